"""Compressed files, read as streams.

Which compression is told by the first bytes alone, never by the name. Nothing is
unpacked to disk, and no more than a buffer is held in memory.

gzip RFC 1952; xz https://tukaani.org/xz/xz-file-format.txt; Zstandard RFC 8878;
bzip2 has no specification but its source.

`lzma` allocates the dictionary that a file of xz declares, up to 4 GiB. Here it may be
as large as the window of Zstandard, 128 MiB, twice that of ``xz -9``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import MissingPackageError
from pretrained_embed.sources.stream import AnyStream, Guarded, derived

if TYPE_CHECKING:
    import lzma

    from _typeshed import WriteableBuffer


_MAGIC = {
    b"\x1f\x8b\x08": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
#: A block, or the end of an empty file; a text may begin with the letters BZh too.
_BZIP2 = (b"1AY&SY", b"\x17rE8P\x90")
#: Bytes that `compression` wants to see.
HEAD = 10


def compression(head: bytes) -> str | None:
    """Return the compression that bytes beginning with ``head`` have, or ``None``.

    >>> compression(b"\\x1f\\x8b\\x08\\x00")
    'gzip'
    """
    for magic, kind in _MAGIC.items():
        if head.startswith(magic) and (kind != "bzip2" or head[4:10] in _BZIP2):
            return kind
    return None


def decompressed(stream: AnyStream, kind: str) -> AnyStream:
    """Return the decompressed bytes of ``stream``, whose compression is ``kind``.

    Reading them raises `TruncatedError` or `FormatError` where the data is cut or
    damaged. Raises `MissingPackageError` for Zstandard without a package for it.
    """
    opened = codec(kind, stream.name)

    def opener() -> Guarded:
        with ExitStack() as closing:
            raw = closing.enter_context(stream.open())
            with refusing_damage(stream.name):
                file = closing.enter_context(opened(raw))
            return Guarded(file, stream.name, closing.pop_all())

    address = stream.address  # what is named is unpacked there, too
    return derived(stream, stream.name, opener, address=address, compression=kind)


#: Opens what another file holds compressed.
Codec = Callable[[BinaryIO], IO[bytes]]


def codec(kind: str, name: str = "the file") -> Codec:
    """Return what reads ``kind``; ``name`` is that of the file, for messages.

    Raises `MissingPackageError` where a package is needed that is not installed.
    """
    if kind == "gzip":
        module = _imported("isal.igzip")  # several times as fast
        return _opener(module or import_module("gzip"))
    if kind == "bzip2":
        return _opener(import_module("bz2"))
    if kind == "xz":
        return lambda file: cast(IO[bytes], io.BufferedReader(XzFile(file)))
    # The one is in the standard library from Python 3.14 on, the other is its copy.
    zstd = _imported("compression.zstd") or _imported("backports.zstd")
    if zstd is None:
        raise MissingPackageError(
            f"{name} is compressed with Zstandard, which Python reads by itself from "
            "3.14 on; until then: pip install backports.zstd"
        )
    return _opener(zstd)


def _opener(module: Any) -> Codec:
    """Return what a module reads files with: gzip, bz2, or one that is alike."""
    opener: Codec = module.open
    return opener


def _imported(name: str) -> Any:
    """Return a module, or ``None`` where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


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
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
