"""The members of a zip that are read where they lie.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3
"""

from __future__ import annotations

import struct
import zipfile
from typing import Self

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.local import LocalFile, file_size

_LOCAL_HEADER = 30  # bytes, before the name and the extra fields


class Zipped:
    """An open zip archive, whose directory is checked against the file.

    No two members lie in the same bytes, and no two have one name.
    """

    def __init__(self, file: LocalFile, where: str) -> None:
        self.file = file
        self.where = where
        self._size = file_size(file)
        with refusing_damage(where, "the zip archive is damaged"):
            self.zip = zipfile.ZipFile(file)
        self.members: dict[str, zipfile.ZipInfo] = {}
        end = 0
        for info in sorted(self.zip.infolist(), key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise self.damaged(f"member {info.filename!r} overlaps the one before")
            end = info.header_offset + _LOCAL_HEADER + info.compress_size
            if info.filename in self.members:
                raise self.damaged(f"there are two members {info.filename!r}")
            self.members[info.filename] = info

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.zip.close()

    def place(self, info: zipfile.ZipInfo) -> int:
        """Return where the bytes of a stored member begin; all of them are there."""
        if info.flag_bits & 1:
            raise self.damaged(f"member {info.filename!r} is encrypted")
        if not 0 <= info.header_offset <= self._size:
            raise self.damaged(f"member {info.filename!r} is not within the file")
        self.file.seek(info.header_offset)
        local = self.file.read(_LOCAL_HEADER)
        if len(local) < _LOCAL_HEADER or not local.startswith(b"PK\x03\x04"):
            raise self.damaged(
                f"member {info.filename!r} is not where the directory says"
            )
        name, extra = struct.unpack("<HH", local[26:30])
        start: int = info.header_offset + _LOCAL_HEADER + name + extra
        if info.file_size != info.compress_size or start + info.file_size > self._size:
            raise self.damaged(f"member {info.filename!r} does not lie within the file")
        return start

    def damaged(self, what: str) -> FormatError:
        """Return the error that tells what is wrong with the archive."""
        return FormatError(f"{self.where}: {what}; get the file again")
