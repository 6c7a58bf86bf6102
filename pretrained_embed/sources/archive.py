"""One member of a zip or tar archive, read as a stream.

Nothing is unpacked to disk, and no more than a buffer is held in memory. A zip that
holds ``.npy`` members is an ``.npz``: a file of vectors, not an archive.
"""

from __future__ import annotations

import re

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.member import Member
from pretrained_embed.sources.stream import AnyStream, Stream, derived
from pretrained_embed.sources.tar_members import tar_members
from pretrained_embed.sources.zip_members import zip_members

#: Bytes that `archive_kind` wants to see: one tar header.
HEAD = 512

_LITTER = re.compile(r"^__MACOSX/|(?:^|/)(?:\.DS_Store|Thumbs\.db)$")
_LISTED = 20


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
    members = list(tar_members(stream) if kind == "tar" else zip_members(stream))
    is_npz = kind == "zip" and any(m.name.endswith(".npy") for m in members)
    if is_npz and name is None:
        return None
    member = _chosen(stream.name, members, name)
    return derived(
        stream,
        f"{stream.name}#{member.name}",
        member.opener,
        size=member.size,
        address=stream.address and f"{stream.address}#{member.name}",
        member=member.name,
        archive=kind,
        members=[m.name for m in members[:_LISTED]],
    )


def _chosen(archive: str, members: list[Member], name: str | None) -> Member:
    if name is None:
        found = [m for m in members if not _LITTER.search(m.name)]
    else:
        found = [m for m in members if m.name == name]
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
