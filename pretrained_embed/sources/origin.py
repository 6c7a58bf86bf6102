"""What a source is known by: before it is read, and by all of its bytes.

The first tells whether a source is still what it was, the second whether two sources
are the same. By both the store of a source is found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import json_digest, sha256
from pretrained_embed.sources import cache, record
from pretrained_embed.sources.entry import Entry
from pretrained_embed.sources.stream import AnyStream

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


class Origin(NamedTuple):
    """What a source is known by without reading it."""

    source: str  # the name, URL or path it was asked for by
    mark: str
    state: list[object] | None  # differs where its bytes may; None: nothing to compare


def of_entry(entry: Entry, root: Path) -> Origin:
    """Return what a catalog entry, or a URL, is known by, downloaded or not.

    With a published checksum it always has the same bytes. Else it has those of its
    download in the cache ``root``, if that is there.
    """
    downloads = [(entry.download(), entry.member)]
    if entry.tokens is not None:
        downloads.append((entry.tokens, None))
    identity: list[object] = [entry.id]
    state: list[object] = []
    for download, member in downloads:
        if download.checksums:
            identity += [[c.algorithm, c.of, c.value] for c in download.checksums]
        else:
            identity += [*download.urls]
            name = cache.file_name(member or download.urls[0])
            known = record.read(cache.folder(root, download) / name)
            state.append(None if known is None else known.sha256)
        identity.append(member)
    compared = state if state and None not in state else None
    return Origin(entry.id, json_digest(identity), compared)


def of_file(stream: AnyStream) -> Origin | None:
    """Return what a local file is known by; ``None`` for what is no local file.

    Its state is size, times of change, inode and fingerprint: they all stay as they are
    only while nobody writes to it.
    """
    facts = stream.provenance
    if "fingerprint" not in facts or "digests" in facts:
        return None
    path = Path(str(facts["name"]))
    state: list[object] = [facts["fingerprint"]]
    try:
        for file in _files(stream, path):
            status = file.stat()
            state += [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            state.append(status.st_ino)
        mark = json_digest([str(path.resolve()), facts.get("member")])
    except OSError:
        return None
    return Origin(str(facts["source"]), mark, state)


def of_digests(stream: AnyStream, digests: list[str]) -> Origin:
    """Return what a source is known by that has digests and no other mark."""
    return Origin(stream.name, json_digest([*digests]), None)


def file_digests(stream: AnyStream, *, progress: Progress | None = None) -> list[str]:
    """Return what identifies the content of a local file: all of it is read.

    Raises `SourceError` where that is not possible.
    """
    path = Path(str(stream.provenance["name"]))
    try:
        digests = [
            f"sha256:{sha256(file, progress=progress)}" for file in _files(stream, path)
        ]
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    return [*digests, *_member(stream)]


def verified_digests(stream: AnyStream) -> list[str] | None:
    """Return what identifies content that was verified; ``None`` where none was."""
    listed = stream.provenance.get("digests")
    if not isinstance(listed, list) or not listed:
        return None
    named: dict[str, str] = {}
    for known in listed:
        if not isinstance(known, Mapping) or not {"algorithm", "value"} <= set(known):
            return None
        named[f"{known['algorithm']}:{known['value']}"] = str(known.get("of"))
    digests = [*named]
    if "package" in stream.provenance:  # its files are not hashed each time
        digests.append(str(stream.provenance.get("fingerprint")))
    if stream.tokens_path is not None and stream.tokens_path.name not in named.values():
        try:
            digests.append(f"tokens sha256:{sha256(stream.tokens_path)}")
        except OSError:
            return None
    return [*digests, *_member(stream)]


def check_package(stream: AnyStream) -> None:
    """Hash the files of an installed package.

    Raises `SourceError` where one is not what its package says it is.
    """
    if "package" not in stream.provenance:
        return
    named: dict[str, Path] = {}
    for path in (stream.path, stream.tokens_path):
        if path is not None:
            named[path.name] = path
    for known in cast(list[dict[str, str]], stream.provenance["digests"]):
        path = named.get(known.get("of", ""))
        if path is not None and known["algorithm"] == "sha256":
            found = sha256(path)
            if found != known["value"]:
                raise SourceError(
                    f"{path}: the installed file is damaged: sha256 {found}, not "
                    f"{known['value']}; install its package anew"
                )


def _files(stream: AnyStream, path: Path) -> list[Path]:
    return [path, *([stream.tokens_path] if stream.tokens_path else [])]


def _member(stream: AnyStream) -> list[str]:
    member = stream.provenance.get("member")
    return [] if member is None else [f"member {member}"]
