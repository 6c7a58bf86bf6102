"""What headers of Parquet and of Arrow IPC say, before anything is made of it.

Readers of both believe the sizes and counts in a file: a header can ask for two
gigabytes, and a page of ten bytes can hold two billion numbers. So the headers are gone
through first.

A column chunk of Parquet is a run of pages, each behind its header, a struct in
Thrift's compact protocol. A message of Arrow is a flatbuffer, behind which lie the
buffers of its record batch; of a packed one the first eight bytes are the size that it
has unpacked, or -1 where it is stored as it is.

https://github.com/apache/parquet-format, parquet.thrift;
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
https://arrow.apache.org/docs/format/Columnar.html, Message.fbs, File.fbs;
https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
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
#: One of strings whose lengths come first: pyarrow makes no dictionary of it.
DELTA_LENGTHS = 6


class Page(NamedTuple):
    """What the header of a page says."""

    size: int  # bytes, unpacked
    values: int  # of a page of data; 0 of a dictionary
    encoding: int


_Fields = dict[int, "int | _Fields"]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number at a place, unsigned, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _struct(data: memoryview, at: int, depth: int = 0) -> tuple[_Fields, int]:
    """Return the whole numbers and structs of a struct, by id, and where it ends.

    Raises `IndexError` where it ends behind the data, and `ValueError` where it makes
    no sense.
    """
    if depth > _DEEPEST:
        raise ValueError("structs within structs")
    fields: _Fields = {}
    number = 0
    while head := data[at]:
        at += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            value, at = _varint(data, at)
            number = value >> 1 ^ -(value & 1)
        if kind in (_I16, _I32, _I64):
            value, at = _varint(data, at)
            fields[number] = value >> 1 ^ -(value & 1)
        elif kind == _STRUCT:
            fields[number], at = _struct(data, at, depth + 1)
        elif kind not in (_TRUE, _FALSE):  # these have no bytes of their own
            at = _skip(data, at, kind, depth)
    return fields, at + 1


def _skip(data: memoryview, at: int, kind: int, depth: int) -> int:
    """Return where a value of a kind ends."""
    if depth > _DEEPEST:
        raise ValueError("lists within lists")
    if kind in (_TRUE, _FALSE, _BYTE):
        return at + 1
    if kind in (_I16, _I32, _I64):
        return _varint(data, at)[1]
    if kind == _DOUBLE:
        return at + 8
    if kind == _BINARY:
        size, at = _varint(data, at)
        return at + size
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)[1]
    if kind in (_LIST, _SET):
        head = data[at]
        count, at = head >> 4, at + 1
        if count == 15:
            count, at = _varint(data, at)
        kinds = [head & 15]
    elif kind == _MAP:
        count, at = _varint(data, at)
        if not count:
            return at
        kinds = [data[at] >> 4, data[at] & 15]
        at += 1
    else:
        raise ValueError(f"no type {kind}")
    for _ in range(count):  # each has a byte at least, so the data bounds them
        for inner in kinds:
            at = _skip(data, at, inner, depth + 1)
        if at > len(data):
            raise IndexError("a list that ends behind the data")
    return at


def pages(data: memoryview, where: str) -> Iterator[Page]:
    """Yield what the headers of all pages of a column chunk say.

    Raises `FormatError` where a header makes no sense, or a page ends behind the chunk.
    """
    at = 0
    while at < len(data):
        try:
            header, end = _struct(data, at)
        except (IndexError, ValueError) as error:
            raise _damaged(at, where) from error
        size, packed = header.get(_PLAIN), header.get(_PACKED)
        if not (isinstance(size, int) and isinstance(packed, int)):
            raise _damaged(at, where)
        if size < 0 or not 0 <= packed <= len(data) - end:
            raise _damaged(at, where)
        values: object = 0
        encoding: object = 0
        of_data, of_data_2 = header.get(_DATA), header.get(_DATA_2)
        if isinstance(of_data, dict):
            values, encoding = of_data.get(_VALUES), of_data.get(_ENCODING)
        elif isinstance(of_data_2, dict):
            values, encoding = of_data_2.get(_VALUES), of_data_2.get(_ENCODING_2)
        elif header.get(_KIND) not in (_DICTIONARY_PAGE, _INDEX_PAGE):
            raise _damaged(at, where)
        if not (isinstance(values, int) and isinstance(encoding, int)) or values < 0:
            raise _damaged(at, where)
        at = end + packed
        yield Page(size, values, encoding)


def _damaged(at: int, where: str) -> FormatError:
    return FormatError(
        f"{where}: the header of a page at byte {at:,} of a column makes no sense; the "
        "file is damaged, copy or download it again"
    )


#: Kinds of headers of a message.
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_CONTINUED = b"\xff\xff\xff\xff"


class _Table(NamedTuple):
    """A table of a flatbuffer. Raises `struct.error` for places outside of it."""

    data: memoryview
    at: int

    def place(self, field: int) -> int | None:
        """Return where a field is, ``None`` where it is left out."""
        table = self.at - self.number("<i", self.at)
        size = self.number("<H", table)
        entry = 4 + 2 * field
        offset = self.number("<H", table + entry) if entry + 2 <= size else 0
        return self.at + offset if offset else None

    def number(self, layout: str, at: int) -> int:
        """Return a number at a place of the data."""
        if at < 0:
            raise struct.error("a place before the first byte")
        found: int = struct.unpack_from(layout, self.data, at)[0]
        return found

    def of(self, field: int, layout: str, default: int = 0) -> int:
        """Return the number that a field has."""
        at = self.place(field)
        return default if at is None else self.number(layout, at)

    def table(self, field: int) -> _Table | None:
        """Return the table that a field has."""
        at = self.place(field)
        return None if at is None else _Table(self.data, at + self.number("<I", at))

    def structs(self, field: int, layout: struct.Struct) -> Iterator[tuple[int, ...]]:
        """Yield the structs of the vector that a field has."""
        at = self.place(field)
        if at is None:
            return
        begin = at + self.number("<I", at)
        count = self.number("<I", begin)
        if count * layout.size > len(self.data):
            raise struct.error("a vector that does not lie within the data")
        for item in range(count):
            yield layout.unpack_from(self.data, begin + 4 + item * layout.size)


def _root(data: memoryview) -> _Table:
    whole = _Table(data, 0)
    return _Table(data, whole.number("<I", 0))


_BUFFER = struct.Struct("<qq")  # offset in the body, length
_BLOCK = struct.Struct("<qi4xq")  # offset in the file, length of metadata, of body


def unpacked_size(metadata: memoryview, body: memoryview) -> int:
    """Return the bytes that the packed buffers of a message say they unpack to.

    Raises `struct.error` for a message that makes no sense.
    """
    message = _root(metadata)
    if not 0 <= message.of(3, "<q") <= len(body):  # so much is allocated for it
        raise struct.error("a body that does not lie within the file")
    kind, header = message.of(1, "<B"), message.table(2)
    if kind == _DICTIONARY_BATCH and header is not None:
        header = header.table(1)
    elif kind != _RECORD_BATCH:
        return 0
    if header is None or header.table(3) is None:
        return 0
    total = 0
    for offset, length in header.structs(2, _BUFFER):
        if length > 0:
            if offset < 0:
                raise struct.error("a buffer before the first byte")
            size = struct.unpack_from("<q", body, offset)[0]
            total += length if size < 0 else size
    return total


def blocks_of_file(data: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
    """Yield metadata and body of each message that the end of a file lists."""
    length = struct.unpack_from("<i", data, len(data) - 10)[0]
    if not 0 < length <= len(data) - 10:
        raise struct.error("a footer that is longer than the file")
    footer = _root(data[len(data) - 10 - length : len(data) - 10])
    for field in (2, 3):  # dictionaries, record batches
        for offset, of_metadata, of_body in footer.structs(field, _BLOCK):
            if min(offset, of_metadata, of_body) < 0:
                raise struct.error("a message before the first byte")
            body = offset + of_metadata
            metadata = data[offset:body]
            skip = 8 if metadata[:4] == _CONTINUED else 4
            yield metadata[skip:], data[body : body + of_body]
