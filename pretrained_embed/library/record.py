"""The record of a file in the cache: its digest, and how it was verified.

The record of a downloaded file also has its identity (see `cache_folder.identity`),
which is compared before the file is used.

If no checksum of a file is published, the digest is recorded at its first use, and the
file must have that digest from then on. A file is hashed if it is new or its size or
modification time differs from the record, not at each use.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from pretrained_embed.damage import unless_damaged
from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import Hashes, hashed
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources.url import public

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress
    from pretrained_embed.library.catalog import Checksum


SUFFIX = ".json"

#: The identity of a file: its published checksum or its URL, and the archive member.
FileIdentity = tuple[str, str | None]


@dataclass(frozen=True)
class FileRecord:
    """The record of one file."""

    source: str  # the name or URL with which it was requested
    sha256: str
    size: int
    mtime_ns: int
    # the published checksum that it met, "algorithm:value"; none for stores and in
    # older records
    published: str | None
    identity: FileIdentity | None = None  # of a store, and in older records: not said


def read(path: SafePath) -> FileRecord | None:
    """Return the record of the file ``path``; ``None`` if it has no readable one."""

    def kept() -> FileRecord:
        known = FileRecord(**json.loads(path.beside(SUFFIX).read()))
        if known.identity is not None:
            what, member = known.identity  # JSON has no tuples
            known = replace(known, identity=(what, member))
        return replace(known, source=public(known.source))  # older ones are whole files

    return unless_damaged(kept)


def write(
    path: SafePath,
    source: str,
    digest: str,
    published: Checksum | None,
    identity: FileIdentity | None = None,
) -> FileRecord:
    """Record the file ``path`` as verified."""
    status = path.checked().stat()
    record = FileRecord(
        source,
        digest,
        status.st_size,
        status.st_mtime_ns,
        _words(published),
        identity,
    )
    put(path, record)
    return record


def put(path: SafePath, record: FileRecord) -> None:
    """Write a record of the file ``path``, which need not exist yet."""
    known = asdict(record)
    if record.identity is None:  # releases before this one do not read it
        del known["identity"]
    path.beside(SUFFIX).write(json.dumps(known, indent=1).encode())


def forget(path: SafePath) -> None:
    """Delete the file ``path`` and its record."""
    path.beside(SUFFIX).remove()
    path.remove()


def verified(
    path: SafePath,
    source: str,
    published: Checksum | None,
    identity: FileIdentity,
    *,
    progress: Progress | None = None,
) -> FileRecord | None:
    """Return the record of a file that is right; ``None`` if there is no file.

    A new or changed file is hashed first. Raises `SourceError` if it differs from the
    published checksum or from the first use, or is recorded as another file.
    """
    try:
        status = path.status()
    except SourceError:
        raise
    except OSError:
        return None
    if status is None:
        return None
    record = read(path)
    if record is not None and record.identity not in (None, identity):
        raise SourceError(
            f"{path}: is recorded as another file, that of {record.source}; delete it "
            "and its record to download what was asked for"
        )
    if (
        record is not None
        and (record.size, record.mtime_ns) == (status.st_size, status.st_mtime_ns)
        and record.published == _words(published)
    ):
        return record
    hashes = hashed(path.checked(), _algorithms(published), progress=progress)
    fault = mismatch(hashes, published, record)
    if fault:
        raise SourceError(f"{path}: {fault}; delete this file to download it again")
    with suppress(OSError):  # in a read-only cache it is hashed again next time
        return write(path, source, hashes["sha256"], published, identity)
    return FileRecord(
        source,
        hashes["sha256"],
        status.st_size,
        status.st_mtime_ns,
        _words(published),
    )


def mismatch(
    hashes: Hashes, published: Checksum | None, record: FileRecord | None
) -> str | None:
    """Return how digests differ from the published or recorded ones."""
    if published is not None:
        found = hashes[published.algorithm]
        if found == published.value:
            return None
        return (
            f"the content is wrong: {published.algorithm} {found}, "
            f"not the published {published.value}"
        )
    if record is None or record.sha256 == hashes["sha256"]:
        return None
    return (
        f"the content has changed since its first use: sha256 {hashes['sha256']}, "
        f"not {record.sha256}; if the publisher meant to change it, remove "
        f"{record.source} from the cache and fetch it again"
    )


def _algorithms(published: Checksum | None) -> tuple[str, ...]:
    return () if published is None else (published.algorithm,)


def _words(published: Checksum | None) -> str | None:
    return None if published is None else published.words
