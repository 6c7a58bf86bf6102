"""Archives, zip and tar: one member, read as a stream.

Nothing is unpacked to disk, and no more than a buffer is held in memory. A zip that
holds ``.npy`` members is an ``.npz``: a file of vectors, not an archive.

A zip is told by its first bytes, and by its end where other bytes stand before it, such
as the program of one that unpacks itself::

    zip  = *byte *(member) *(entry) EOCD
    EOCD = "PK" %x05 %x06 *8byte entries-size:uint32 4byte comment-size:uint16 comment

`zipfile` reads the directory. A deflated member is what is between the header and the
trailer of a gzip file: with these put around it (the directory has the checksum and
the length that the trailer holds) it is read as gzip, which checks both and, unlike
`zipfile`, never holds more than a buffer in memory. A bzip2 member is a bzip2 file.

A member is never written to disk under its own name, so none can land outside a folder;
a name that tries to (absolute, or with ``..``) is refused all the same, for it means a
forged archive.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3.16; RFC 1952;
tar: POSIX.1-2001 (pax), GNU and older.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple, Self, cast

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.reading import read_fully
from pretrained_embed.sources.compressed import codec
from pretrained_embed.sources.stream import (
    AnyStream,
    Guarded,
    OneShot,
    Opener,
    Stream,
    derived,
)
from pretrained_embed.sources.url import with_member

if TYPE_CHECKING:
    import tarfile
    import zipfile

    from _typeshed import WriteableBuffer


_UNSAFE = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:|\x00")


class Member(NamedTuple):
    """What an archive says of one of its files, and how to open it."""

    name: str
    size: int
    fault: str  # why it cannot be read; "" if it can
    opener: Opener


def name_fault(name: str) -> str:
    """Say why a member of this name is refused; "" if it is not."""
    if _UNSAFE.search(name):
        return "has an unsafe name (absolute, or with '..'); the archive is refused"
    return ""


#: Bytes that `archive_kind` wants to see: one tar header.
HEAD = 512

#: What operating systems add to an archive: of no member is it the one that is meant.
_LITTER = re.compile(
    r"(?:^|/)(?:__MACOSX|\.Spotlight-V100|\.Trashes|\.fseventsd)/"
    r"|(?:^|/)(?:\._[^/]*|\.DS_Store|Icon\r?|Thumbs\.db|desktop\.ini)$"
)
#: What stands beside vectors and tells of them.
_DOCUMENT = re.compile(
    r"(?:^|/)(?:(?:read[-_]?me|licen[cs]e|copying|notice|citation|authors|credits|"
    r"change(?:s|log)?|about|info|sha\d*sums?|md5sums?)\b[^/]*|\.[^/]*"
    r"|[^/]*\.(?:md|rst|pdf|html?|bib|docx?|rtf|png|jpe?g|md5|sha\d+|asc|sig|url"
    r"|json|ya?ml|toml|ini|cfg|log|py|ipynb|sh))$",
    re.IGNORECASE,
)
_LISTED = 20


_EOCD = struct.Struct("<4s8x2IH")
_EOCD_MARK, _ENTRY_MARK = b"PK\x05\x06", b"PK\x01\x02"
_LOCATOR_MARK = b"PK\x06\x07"  # 20 bytes in front of the EOCD of a zip64
_LONGEST_COMMENT = 0xFFFF


def archive_kind(stream: AnyStream, *, expected: bool) -> str | None:
    """Return ``"zip"``, ``"tar"`` or ``None`` for what a stream holds.

    The end is looked at where that costs next to nothing; with ``expected``, also
    where the bytes are on another machine.
    """
    head = stream.head(HEAD)
    if head.startswith((b"PK\x03\x04", _EOCD_MARK)):
        return "zip"
    if len(head) >= HEAD and head[0]:
        import tarfile

        try:  # a header's checksum tells a tar of any age from anything else
            tarfile.TarInfo.frombuf(head[:HEAD], "utf-8", "surrogateescape")
        except tarfile.TarError:
            pass
        else:
            return "tar"
    if isinstance(stream, OneShot) or not stream.size:
        return None  # what can be read only once has no end to look at
    if stream.ranges and stream.path is None and not expected:
        return None  # on another machine: one more question to a host, mostly for none
    return "zip" if _ends_as_zip(stream, stream.size) else None


def _ends_as_zip(stream: Stream, size: int) -> bool:
    """Return whether the end is that of a zip, and an entry is where it says."""
    with stream.open() as file:
        if not file.seekable():
            return False
        start = max(0, size - _LONGEST_COMMENT - _EOCD.size)
        file.seek(start)
        tail = read_fully(file, size - start)
        at = tail.rfind(_EOCD_MARK)
        if not 0 <= at <= len(tail) - _EOCD.size:
            return False
        _, entries, _, comment = _EOCD.unpack_from(tail, at)
        first = start + at - entries
        if at + _EOCD.size + comment != len(tail) or not entries:
            return False
        if tail[max(0, at - 20) : at].startswith(_LOCATOR_MARK):
            return True  # of more than 4 GB: the entries stand before two records more
        if first < 0:
            return False
        file.seek(first)
        return read_fully(file, len(_ENTRY_MARK)) == _ENTRY_MARK


def extracted(stream: Stream, kind: str, name: str | None) -> AnyStream | None:
    """Return one member of the archive that ``stream`` holds.

    ``name`` may be left out where the archive holds one file, beside what operating
    systems add and what tells of the file, such as a README. ``None`` is returned for
    a zip that is a file of vectors: an ``.npz`` with no member asked for, what
    ``torch.save`` and Keras write with any. Raises `SourceError` where there is no
    such member or no single one, or it is encrypted, a link, unsafely named or there
    twice; `FormatError` where it is damaged.
    """
    members = list(tar_members(stream) if kind == "tar" else zip_members(stream))
    if kind == "zip":
        names = {member.name for member in _own(members)}
        is_npz = any(name.endswith(".npy") for name in names)
        if (is_npz and name is None) or _is_checkpoint(names):
            return None
    member = _chosen(stream.name, members, name)
    return derived(
        stream,
        f"{stream.name}#{member.name}",
        member.opener,
        size=member.size,
        address=stream.address and with_member(stream.address, member.name),
        member=member.name,
        archive=kind,
        members=[m.name for m in members[:_LISTED]],
    )


#: A member of what torch.export.save writes, of today and of before.
_PROGRAM = re.compile(r"[^/]+/archive_format|serialized_exported_program\.json")


def _is_checkpoint(names: set[str]) -> bool:
    """Whether a zip of these members is what torch.save or Keras has written."""
    if {"config.json", "model.weights.h5"} <= names:
        return True
    pickles = (name for name in names if name.endswith("/data.pkl"))
    return any(f"{name.removesuffix('data.pkl')}version" in names for name in pickles)


def _own(members: list[Member]) -> list[Member]:
    """Return the members without what an operating system has added."""
    return [member for member in members if not _LITTER.search(member.name)]


def _chosen(archive: str, members: list[Member], name: str | None) -> Member:
    if name is not None:
        found = [m for m in members if m.name == name]
    elif len(found := _own(members)) > 1:
        members = found
        found = [m for m in members if not _DOCUMENT.search(m.name)] or found
    if len(found) != 1:
        raise SourceError(f"{archive}: {_not_one(archive, members, name, len(found))}")
    if found[0].fault:
        raise SourceError(f"{archive}: member {found[0].name!r} {found[0].fault}")
    return found[0]


def _not_one(archive: str, members: list[Member], name: str | None, count: int) -> str:
    if not members:
        return "the archive holds no file"
    if name is not None and count:
        return f"the archive is refused: {count} members are named {name!r}"
    if name is None and any(_PROGRAM.fullmatch(member.name) for member in members):
        return (
            "a program of torch.export, which is not read. Write its weights alone, "
            "and its tokens beside them as weights.txt, one a line:\n"
            f"  weights = torch.export.load({archive!r}).state_dict\n"
            '  torch.save(weights, "weights.pt")'
        )
    lines = [
        f"the archive holds {len(members)} files; name the one to read:"
        if name is None
        else f"the archive has no member {name!r}; it holds:"
    ]
    lines += [f"  {archive}#{m.name}  ({m.size:,} bytes)" for m in members[:_LISTED]]
    if len(members) > _LISTED:
        lines.append(f"  ... and {len(members) - _LISTED} more")
    return "\n".join(lines)


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


_BUFFER = 1 << 18
_LONGEST_HEADER = 1 << 20  # bytes that say more of a member, such as its long name
_MEMBER = 4096  # bytes that is known of a member takes


def tar_members(stream: Stream) -> Iterator[Member]:
    """Yield the members of a tar archive. Raises as `archive.extracted` does."""
    with ExitStack() as closing:
        archive = _open_tar(stream, closing)
        size = stream.packed_size
        budget = None
        if size is not None:
            budget = stream.read_options.budget_of(stream.name, size)
        while info := _next(stream.name, archive):
            if budget is not None:  # headers can be packed a thousand to one
                budget.take(_MEMBER + len(info.name))
            if not info.isdir():
                fault = name_fault(info.name)
                if not info.isreg():
                    fault = "is a link or a device, not a file; name a file"
                if info.issparse():
                    fault = "is stored with holes; unpack it first"
                yield Member(info.name, info.size, fault, _tar_opener(stream, info))


def _next(name: str, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    with refusing_damage(name):
        return archive.next()


def _tar_opener(stream: Stream, info: tarfile.TarInfo) -> Opener:
    def opener() -> Guarded:
        name = f"{stream.name}#{info.name}"
        with ExitStack() as closing:
            archive = _open_tar(stream, closing)
            with refusing_damage(name):
                # The place noted in ``info`` is valid in every opening of the archive.
                file = closing.enter_context(archive.fileobject(archive, info))
            return Guarded(file, name, closing.pop_all())

    return opener


def _bounded_header(name: str) -> type[tarfile.TarInfo]:
    """Return the class of headers, of which one that says more of a member is short.

    `tarfile` reads such a header whole, however long it says it is.
    """
    import tarfile

    more = (
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    )

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            header = super().frombuf(buf, encoding, errors)
            if header.type in more and header.size > _LONGEST_HEADER:
                raise FormatError(
                    f"{name}: a header of {header.size:,} bytes; the archive is damaged"
                )
            return header

    return Header


def _open_tar(stream: Stream, closing: ExitStack) -> tarfile.TarFile:
    import tarfile

    raw = closing.enter_context(stream.open())
    with refusing_damage(stream.name):
        header = _bounded_header(stream.name)
        if raw.seekable():
            return closing.enter_context(
                tarfile.open(fileobj=raw, mode="r:", tarinfo=header)
            )
        return closing.enter_context(
            tarfile.open(fileobj=raw, mode="r|", bufsize=_BUFFER, tarinfo=header)
        )
