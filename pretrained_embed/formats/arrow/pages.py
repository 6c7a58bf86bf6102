"""Pages of a Parquet file: what their headers say, before anything is made of them.

A column chunk is a run of pages, each behind its header, a struct in Thrift's compact
protocol. Readers of Parquet believe the sizes and counts in them: a header can ask for
two gigabytes, and a page of ten bytes can hold two billion numbers. So the headers of a
chunk are gone through first.

https://github.com/apache/parquet-format, parquet.thrift;
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pretrained_embed.errors import FormatError

#: Types of Thrift's compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY = range(1, 9)
_LIST, _SET, _MAP, _STRUCT = range(9, 13)
_DEEPEST = 16

#: Fields of PageHeader, and of the headers in it.
_KIND, _PLAIN, _PACKED, _DATA, _DATA_2 = 1, 2, 3, 5, 8
_VALUES, _ENCODING, _ENCODING_2 = 1, 2, 4
_INDEX_PAGE, _DICTIONARY_PAGE = 1, 2

#: An encoding whose strings begin as the ones before: a page may unfold without bound.
DELTA_STRINGS = 7


class Page(NamedTuple):
    """What the header of a page says."""

    size: int  # bytes, unpacked
    values: int  # of a page of data; 0 of a dictionary
    encoding: int


class Bytes:
    """The bytes of a chunk, and a place in them."""

    def __init__(self, data: memoryview, where: str) -> None:
        self.data = data
        self.where = where
        self.at = 0

    def damaged(self) -> FormatError:
        """Return the error for a header that is none."""
        return FormatError(
            f"{self.where}: the header of a page at byte {self.at:,} of a column makes "
            "no sense; the file is damaged, copy or download it again"
        )

    def skip(self, count: int) -> None:
        """Pass over some bytes, all of which have to be there."""
        if not 0 <= count <= len(self.data) - self.at:
            raise self.damaged()
        self.at += count

    def byte(self) -> int:
        """Return the next byte."""
        self.skip(1)
        return self.data[self.at - 1]

    def varint(self) -> int:
        """Return the next number, unsigned."""
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise self.damaged()

    def zigzag(self) -> int:
        """Return the next number, signed."""
        number = self.varint()
        return number >> 1 ^ -(number & 1)

    def struct(self, depth: int = 0) -> dict[int, int | dict[int, int]]:
        """Return the whole numbers of the next struct, and of structs in it, by id."""
        if depth > _DEEPEST:
            raise self.damaged()
        fields: dict[int, int | dict[int, int]] = {}
        number = 0
        while head := self.byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self.zigzag()
            if kind in (_I16, _I32, _I64):
                fields[number] = self.zigzag()
            elif kind == _STRUCT:
                inner = self.struct(depth + 1)
                plain = {n: v for n, v in inner.items() if isinstance(v, int)}
                fields[number] = plain
            elif kind not in (_TRUE, _FALSE):  # these have no bytes of their own
                self._skip_value(kind, depth)
        return fields

    def _skip_value(self, kind: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise self.damaged()
        if kind in (_TRUE, _FALSE, _BYTE):
            self.skip(1)
        elif kind in (_I16, _I32, _I64):
            self.varint()
        elif kind == _DOUBLE:
            self.skip(8)
        elif kind == _BINARY:
            self.skip(self.varint())
        elif kind in (_LIST, _SET):
            head = self.byte()
            count = head >> 4 if head >> 4 < 15 else self.varint()
            self._skip_values(count, (head & 15,), depth)
        elif kind == _MAP:
            if count := self.varint():
                kinds = self.byte()
                self._skip_values(count, (kinds >> 4, kinds & 15), depth)
        elif kind == _STRUCT:
            self.struct(depth + 1)
        else:
            raise self.damaged()

    def _skip_values(self, count: int, kinds: tuple[int, ...], depth: int) -> None:
        for _ in range(count):  # each has a byte at least, so the data bounds them
            for kind in kinds:
                self._skip_value(kind, depth + 1)


def pages(data: memoryview, where: str) -> Iterator[Page]:
    """Yield what the headers of all pages of a column chunk say.

    Raises `FormatError` where a header makes no sense, or a page ends behind the chunk.
    """
    chunk = Bytes(data, where)
    while chunk.at < len(data):
        header = chunk.struct()
        size, packed = header.get(_PLAIN), header.get(_PACKED)
        if not (isinstance(size, int) and isinstance(packed, int) and size >= 0):
            raise chunk.damaged()
        values = encoding = 0
        of_data, of_data_2 = header.get(_DATA), header.get(_DATA_2)
        if isinstance(of_data, dict):
            values = of_data.get(_VALUES, -1)
            encoding = of_data.get(_ENCODING, 0)
        elif isinstance(of_data_2, dict):
            values = of_data_2.get(_VALUES, -1)
            encoding = of_data_2.get(_ENCODING_2, 0)
        elif header.get(_KIND) not in (_DICTIONARY_PAGE, _INDEX_PAGE):
            raise chunk.damaged()
        if values < 0:
            raise chunk.damaged()
        chunk.skip(packed)
        yield Page(size, values, encoding)
