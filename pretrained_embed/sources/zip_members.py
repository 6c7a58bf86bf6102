"""The members of a zip archive.

A deflated member is what is between the header and the trailer of a gzip file. With
these put around it (the archive's directory has the checksum and the length that the
trailer holds) it is read by the same library as gzip, which checks both.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; RFC 1952.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.compressed import codec
from pretrained_embed.sources.guard import Guarded, translated
from pretrained_embed.sources.member import Member, name_fault
from pretrained_embed.sources.stream import Opener, Stream, read_fully

if TYPE_CHECKING:
    import zipfile

    from _typeshed import WriteableBuffer


def zip_members(stream: Stream) -> Iterator[Member]:
    """Yield the members of a zip archive. Raises as `archive.extracted` does."""
    with ExitStack() as closing:
        archive = _open_zip(stream, closing)
        for info in archive.infolist():
            if not info.is_dir():
                name = info.orig_filename.replace("\\", "/")  # of zips from Windows
                fault = name_fault(name)
                if info.flag_bits & 1:
                    fault = "is encrypted; unpack it first"
                yield Member(name, info.file_size, fault, _zip_opener(stream, info))


def _zip_opener(stream: Stream, info: zipfile.ZipInfo) -> Opener:
    def opener() -> Guarded:
        import zlib
        from lzma import LZMAError
        from zipfile import ZIP_DEFLATED, BadZipFile

        gzip = codec("gzip", stream.name)
        unzip = (BadZipFile, zlib.error, LZMAError, NotImplementedError)
        corrupt: tuple[type[Exception], ...] = (*unzip, *gzip.corrupt)
        name = f"{stream.name}#{info.filename}"
        with ExitStack() as closing:
            archive = _open_zip(stream, closing)
            with translated(name, corrupt):
                file: IO[bytes] = closing.enter_context(archive.open(info))
                if info.compress_type == ZIP_DEFLATED:
                    packed = _AsGzip(closing.enter_context(stream.open()), info)
                    file = closing.enter_context(gzip.module.open(packed))
            return Guarded(file, name, corrupt, closing.pop_all())

    return opener


class _AsGzip(io.RawIOBase):
    """The bytes of a deflated member, with the header and trailer of a gzip file."""

    def __init__(self, file: BinaryIO, info: zipfile.ZipInfo) -> None:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", read_fully(file, 30))
        file.seek(name + extra, io.SEEK_CUR)
        self._file: Any = file
        self._left = info.compress_size
        self._header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
        self._trailer = struct.pack("<2I", info.CRC, info.file_size & 0xFFFFFFFF)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        target = memoryview(buffer).cast("B")
        if self._left and not self._header:
            count = int(self._file.readinto(target[: self._left]))
            self._left -= count
            return count
        part = self._header or self._trailer
        count = min(len(part), len(target))
        target[:count] = part[:count]
        if self._header:
            self._header = part[count:]
        else:
            self._trailer = part[count:]
        return count


def _open_zip(stream: Stream, closing: ExitStack) -> zipfile.ZipFile:
    import zipfile

    raw = closing.enter_context(stream.open())
    if not raw.seekable():
        raise SourceError(
            f"{stream.name}: a zip archive inside another compressed file cannot be "
            "read; unpack the outer one first"
        )
    with translated(stream.name, (zipfile.BadZipFile, NotImplementedError)):
        return closing.enter_context(zipfile.ZipFile(raw))
