"""Bytes taken one piece after the other, never more than there are."""

from __future__ import annotations

import struct

from pretrained_embed.errors import FormatError, TruncatedError


class Cursor:
    """A place in some bytes. What it takes are views of them, not copies.

    ``what`` names the whole in messages: "the pickle", "chunk 3".
    """

    __slots__ = ("_data", "_what", "at", "where")

    def __init__(self, data: memoryview, where: str, what: str) -> None:
        self._data = data
        self.where = where
        self._what = what
        self.at = 0

    @property
    def left(self) -> int:
        """How many bytes follow."""
        return len(self._data) - self.at

    def take(self, count: int) -> memoryview:
        """Return the next ``count`` bytes; raises `TruncatedError`."""
        begin, end = self.at, self.at + count
        if end > len(self._data):
            raise TruncatedError(
                f"{self.where}, offset {begin:,} of {self._what}: {count:,} bytes "
                f"should follow, but {len(self._data) - begin:,} do; get the file again"
            )
        self.at = end
        return self._data[begin:end]

    def part(self, count: int) -> Cursor:
        """Return a cursor that stops after the next ``count`` bytes, and pass them."""
        inner = Cursor(self._data[: self.at + count], self.where, self._what)
        inner.at = self.at
        self.take(count)
        return inner

    def unsigned(self, width: int) -> int:
        """Return the next number of ``width`` bytes, little-endian."""
        return int.from_bytes(self.take(width), "little")

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Return the next numbers of a layout."""
        return layout.unpack(self.take(layout.size))

    def line(self, longest: int) -> bytes:
        """Return what stands before the next LF, and pass over that."""
        head = bytes(self._data[self.at : self.at + longest])
        line, feed, _ = head.partition(b"\n")
        if not feed:
            raise self.damaged(f"no line of at most {longest} bytes")
        self.at += len(line) + 1
        return line

    def damaged(self, fault: str) -> FormatError:
        """Return the error that tells of a fault at this place."""
        return FormatError(
            f"{self.where}, offset {self.at:,} of {self._what}: {fault}; the file is "
            "damaged, or is none of its format"
        )
