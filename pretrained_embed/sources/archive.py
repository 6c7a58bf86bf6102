"""One member of a zip or tar archive, read as a stream.

Nothing is unpacked to disk, so no member can land outside a folder; a name that tries
to (absolute, or with ``..``) is refused all the same, for it means a forged archive.
A zip that holds ``.npy`` members is an ``.npz``: a file of vectors, not an archive.

zip: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; tar: POSIX.1-2001 pax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.stream import (
    AnyStream,
    Guarded,
    Opener,
    Stream,
    derived,
    translated,
)

if TYPE_CHECKING:
    import tarfile
    import zipfile

#: Bytes that `archive_kind` wants to see: one tar header.
HEAD = 512

_UNSAFE = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:|\x00")
_LITTER = re.compile(r"^__MACOSX/|(?:^|/)(?:\.DS_Store|Thumbs\.db)$")
_LISTED = 20
_TAR_BUFFER = 1 << 18


class _Member(NamedTuple):
    name: str
    size: int
    fault: str  # why it cannot be read; "" if it can
    opener: Opener


def archive_kind(head: bytes) -> str | None:
    """Return ``"zip"``, ``"tar"`` or ``None`` for bytes that begin with ``head``."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if len(head) >= HEAD and head[0]:
        import tarfile

        try:  # a header's checksum tells a tar of any age from anything else
            tarfile.TarInfo.frombuf(head[:HEAD], "utf-8", "surrogateescape")
        except tarfile.TarError:
            return None
        return "tar"
    return None


def extracted(stream: Stream, kind: str, name: str | None) -> AnyStream | None:
    """Return one member of the archive that ``stream`` holds.

    ``name`` may be left out where the archive holds one file. ``None`` is returned
    for an ``.npz`` with no member asked for. Raises `SourceError` where there is no
    such member or no single one, or it is encrypted, a link, unsafely named or there
    twice; `FormatError` where it is damaged.
    """
    members = list(_tar_members(stream) if kind == "tar" else _zip_members(stream))
    is_npz = kind == "zip" and any(m.name.endswith(".npy") for m in members)
    if is_npz and name is None:
        return None
    member = _chosen(stream.name, members, name)
    return derived(
        stream,
        f"{stream.name}#{member.name}",
        member.opener,
        size=member.size,
        member=member.name,
    )


def _chosen(archive: str, members: list[_Member], name: str | None) -> _Member:
    if name is None:
        found = [m for m in members if not _LITTER.search(m.name)]
    else:
        found = [m for m in members if m.name == name]
    if len(found) != 1:
        raise SourceError(f"{archive}: {_not_one(archive, members, name, len(found))}")
    if found[0].fault:
        raise SourceError(f"{archive}: member {found[0].name!r} {found[0].fault}")
    return found[0]


def _not_one(archive: str, members: list[_Member], name: str | None, count: int) -> str:
    if not members:
        return "the archive holds no file"
    if name is not None and count:
        return f"the archive is refused: {count} members are named {name!r}"
    lines = [
        f"the archive holds {len(members)} files; name the one to read:"
        if name is None
        else f"the archive has no member {name!r}; it holds:"
    ]
    lines += [f"  {archive}#{m.name}  ({m.size:,} bytes)" for m in members[:_LISTED]]
    if len(members) > _LISTED:
        lines.append(f"  ... and {len(members) - _LISTED} more")
    return "\n".join(lines)


def _name_fault(name: str) -> str:
    if _UNSAFE.search(name):
        return "has an unsafe name (absolute, or with '..'); the archive is refused"
    return ""


def _zip_members(stream: Stream) -> Iterator[_Member]:
    with ExitStack() as closing:
        archive = _open_zip(stream, closing)
        for info in archive.infolist():
            if not info.is_dir():
                name = info.orig_filename.replace("\\", "/")  # of zips from Windows
                fault = _name_fault(name)
                if info.flag_bits & 1:
                    fault = "is encrypted; unpack it first"
                yield _Member(name, info.file_size, fault, _zip_opener(stream, info))


def _zip_opener(stream: Stream, info: zipfile.ZipInfo) -> Opener:
    def opener() -> Guarded:
        import zlib
        from lzma import LZMAError
        from zipfile import BadZipFile

        corrupt = (BadZipFile, zlib.error, LZMAError, NotImplementedError)
        name = f"{stream.name}#{info.filename}"
        with ExitStack() as closing:
            archive = _open_zip(stream, closing)
            with translated(name, corrupt):
                file = closing.enter_context(archive.open(info))
            return Guarded(file, name, corrupt, closing.pop_all())

    return opener


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


def _tar_members(stream: Stream) -> Iterator[_Member]:
    with ExitStack() as closing:
        archive = _open_tar(stream, closing)
        while info := _next(stream.name, archive):
            if not info.isdir():
                fault = _name_fault(info.name)
                if not info.isreg():
                    fault = "is a link or a device, not a file; name a file"
                yield _Member(info.name, info.size, fault, _tar_opener(stream, info))


def _next(name: str, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    import tarfile

    with translated(name, (tarfile.TarError,)):
        return archive.next()


def _tar_opener(stream: Stream, info: tarfile.TarInfo) -> Opener:
    def opener() -> Guarded:
        from tarfile import TarError

        name = f"{stream.name}#{info.name}"
        with ExitStack() as closing:
            archive = _open_tar(stream, closing)
            with translated(name, (TarError,)):
                # The place noted in ``info`` is valid in every opening of the archive.
                file = closing.enter_context(archive.fileobject(archive, info))
            return Guarded(file, name, (TarError,), closing.pop_all())

    return opener


def _open_tar(stream: Stream, closing: ExitStack) -> tarfile.TarFile:
    import tarfile

    raw = closing.enter_context(stream.open())
    with translated(stream.name, (tarfile.TarError,)):
        if raw.seekable():
            return closing.enter_context(tarfile.open(fileobj=raw, mode="r:"))
        return closing.enter_context(
            tarfile.open(fileobj=raw, mode="r|", bufsize=_TAR_BUFFER)
        )
