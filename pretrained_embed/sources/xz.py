"""Files of xz, read with a bound on what unpacking takes.

`lzma` allocates the dictionary that a file declares, up to 4 GiB. Here it may be as
large as the window of Zstandard, 128 MiB, twice that of ``xz -9``.
"""

from __future__ import annotations

import io
import lzma
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MEMORY = (128 + 1) << 20  # bytes: the dictionary, and what is beside it
_PIECE = 1 << 16  # bytes that are read at a time
_PADDING = b"\0"


class XzFile(io.RawIOBase):
    """The bytes that a file, of one stream of xz or more, holds packed.

    Reading raises `lzma.LZMAError` where it is damaged, or takes too much memory, and
    `EOFError` where it is cut.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = _unpacker()
        self._rest = b""  # packed bytes behind the end of a stream

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        target = memoryview(buffer).cast("B")
        while len(target):
            if self._unpacker.eof and not self._next_stream():
                return 0
            packed = b""
            if self._unpacker.needs_input:
                packed = self._rest or self._file.read(_PIECE)
                self._rest = b""
                if not packed:
                    raise EOFError("within a stream of xz")
            piece = self._unpacker.decompress(packed, len(target))
            if piece:
                target[: len(piece)] = piece
                return len(piece)
        return 0

    def _next_stream(self) -> bool:
        """Go on behind a stream, and zeros that pad it; say whether anything is."""
        rest = self._unpacker.unused_data.lstrip(_PADDING)
        while not rest:
            read = self._file.read(_PIECE)
            if not read:
                return False
            rest = read.lstrip(_PADDING)
        self._rest = rest
        self._unpacker = _unpacker()
        return True


def _unpacker() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
