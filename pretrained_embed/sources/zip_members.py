"""The members of a zip archive.

`zipfile` reads the directory. A deflated member is what is between the header and the
trailer of a gzip file: with these put around it (the directory has the checksum and
the length that the trailer holds) it is read as gzip, which checks both and, unlike
`zipfile`, never holds more than a buffer in memory. A bzip2 member is a bzip2 file.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; RFC 1952.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import SourceError
from pretrained_embed.files.reading import read_fully
from pretrained_embed.sources.compressed import codec
from pretrained_embed.sources.guard import Guarded
from pretrained_embed.sources.member import Member, name_fault
from pretrained_embed.sources.stream import Opener, Stream

if TYPE_CHECKING:
    import zipfile

    from _typeshed import WriteableBuffer

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12


def zip_members(stream: Stream) -> Iterator[Member]:
    """Yield the members of a zip archive. Raises as `archive.extracted` does."""
    with ExitStack() as closing:
        archive = _open_zip(stream, closing)
        for info in archive.infolist():
            if info.filename and not info.is_dir():
                name = info.orig_filename.replace("\\", "/")  # of zips from Windows
                fault = name_fault(name)
                fault = fault or packing_fault(info)
                yield Member(name, info.file_size, fault, _zip_opener(stream, info))


def _zip_opener(stream: Stream, info: zipfile.ZipInfo) -> Opener:
    def opener() -> Guarded:
        name = f"{stream.name}#{info.filename}"
        with ExitStack() as closing:
            archive = _open_zip(stream, closing)
            raw = closing.enter_context(stream.open())
            with refusing_damage(name):
                file = closing.enter_context(member_file(archive, raw, info))
            return Guarded(file, name, closing.pop_all())

    return opener


def packing_fault(info: zipfile.ZipInfo) -> str:
    """Say why a member cannot be read; "" if it can."""
    if info.flag_bits & 1:
        return "is encrypted; unpack it first"
    if info.compress_type not in (_STORED, _DEFLATED, _BZIP2):
        return f"is packed by method {info.compress_type}; unpack it first"
    return ""


def member_file(
    archive: zipfile.ZipFile, raw: BinaryIO, info: zipfile.ZipInfo
) -> IO[bytes]:
    """Open a member that has no `packing_fault`; ``raw`` is the file of the archive."""
    file = archive.open(info)  # which checks the header in front of the member
    if info.compress_type == _STORED:
        return file
    file.close()
    packed = _Packed(raw, info)
    kind = "gzip" if info.compress_type == _DEFLATED else "bzip2"
    return codec(kind)(cast(BinaryIO, packed))


class _Packed(io.RawIOBase):
    """The bytes of a packed member; those of a deflated one made a gzip file."""

    def __init__(self, file: BinaryIO, info: zipfile.ZipInfo) -> None:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", read_fully(file, 30))
        file.seek(name + extra, io.SEEK_CUR)
        self._file = file
        self._left = info.compress_size
        self._header = self._trailer = b""
        if info.compress_type == _DEFLATED:
            self._header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
            self._trailer = struct.pack("<2I", info.CRC, info.file_size & 0xFFFFFFFF)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        target = memoryview(buffer).cast("B")
        size = len(target)
        if self._header:
            part, self._header = self._header[:size], self._header[size:]
        elif self._left:
            part = self._file.read(min(size, self._left))
            self._left -= len(part)
        else:
            part, self._trailer = self._trailer[:size], self._trailer[size:]
        target[: len(part)] = part
        return len(part)


def _open_zip(stream: Stream, closing: ExitStack) -> zipfile.ZipFile:
    import zipfile

    raw = closing.enter_context(stream.open())
    if not raw.seekable():
        raise SourceError(
            f"{stream.name}: a zip archive inside another compressed file cannot be "
            "read; unpack the outer one first"
        )
    with refusing_damage(stream.name):
        return closing.enter_context(zipfile.ZipFile(raw))
