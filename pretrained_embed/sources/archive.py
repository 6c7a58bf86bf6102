"""One member of a zip or tar archive, read as a stream.

Nothing is unpacked to disk, and no more than a buffer is held in memory. A zip that
holds ``.npy`` members is an ``.npz``: a file of vectors, not an archive.

A zip is told by its first bytes, and by its end where other bytes stand before it, such
as the program of one that unpacks itself::

    zip  = *byte *(member) *(entry) EOCD
    EOCD = "PK" %x05 %x06 *8byte entries-size:uint32 4byte comment-size:uint16 comment

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3.16.
"""

from __future__ import annotations

import re
import struct

from pretrained_embed.errors import SourceError
from pretrained_embed.files.reading import read_fully
from pretrained_embed.sources.member import Member
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream, derived
from pretrained_embed.sources.tar_members import tar_members
from pretrained_embed.sources.url import with_member
from pretrained_embed.sources.zip_members import zip_members

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
        return None  # what goes by once has no end to look at
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
    an ``.npz`` with no member asked for. Raises `SourceError` where there is no
    such member or no single one, or it is encrypted, a link, unsafely named or there
    twice; `FormatError` where it is damaged.
    """
    members = list(tar_members(stream) if kind == "tar" else zip_members(stream))
    is_npz = kind == "zip" and any(m.name.endswith(".npy") for m in _own(members))
    if is_npz and name is None:
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
    lines = [
        f"the archive holds {len(members)} files; name the one to read:"
        if name is None
        else f"the archive has no member {name!r}; it holds:"
    ]
    lines += [f"  {archive}#{m.name}  ({m.size:,} bytes)" for m in members[:_LISTED]]
    if len(members) > _LISTED:
        lines.append(f"  ... and {len(members) - _LISTED} more")
    return "\n".join(lines)
