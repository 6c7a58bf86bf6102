"""Messages of Arrow IPC: what packed buffers in them say that they unpack to.

Readers of Arrow believe it, so it is looked at first. A message is a flatbuffer, behind
which lie the buffers of its record batch. Of a packed one the first eight bytes are the
size that it has unpacked, or -1 where it is stored as it is.

https://arrow.apache.org/docs/format/Columnar.html, Message.fbs, File.fbs;
https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

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
