"""What lies in the cache, and how to be rid of it.

A file that was placed here by hand is verified when it is first asked for, and then
recorded. What has no name that the cache gives is nobody's business here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import sha256
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources import place, record
from pretrained_embed.sources.cache_folder import (
    DOWNLOADS,
    LOCK,
    STORES,
    inside,
    locate,
)

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


class Cached(NamedTuple):
    """One file in the cache."""

    path: Path
    source: str  # the name or URL it was asked for by
    size: int  # bytes
    sha256: str | None  # None: an unfinished download
    published: str | None  # the published checksum that it met; None: its first use

    @property
    def is_store(self) -> bool:
        """Whether it was made here, out of something else."""
        return self.path.parent.parent.name == STORES


def listing(cache_dir: str | os.PathLike[str] | None = None) -> list[Cached]:
    """Return the files in the cache, unfinished downloads included, sorted by path."""
    return [
        cached
        for kind in (DOWNLOADS, STORES)
        for folder in (inside(locate(cache_dir)) / kind).children()
        for file in folder.children()
        if (cached := _cached(file)) is not None
    ]


def _cached(file: SafePath) -> Cached | None:
    with suppress(OSError):
        status = file.status()
        if status is None:
            return None
        size = status.st_size
        known = record.read(file)
        if known is not None:
            sha256, published = known.sha256, known.published
            return Cached(file.path, known.source, size, sha256, published)
        if file.name.endswith(place.PART) and not file.name.startswith("."):
            return Cached(file.path, file.parent.name, size, None, None)
    return None


def verify(
    cache_dir: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
) -> Iterator[tuple[Cached, bool]]:
    """Hash every finished file again; yield each, and whether it is as recorded."""
    for cached in listing(cache_dir):
        if cached.sha256 is not None:
            try:
                digest = sha256(cached.path, progress=progress)
            except OSError:
                digest = ""
            yield cached, digest == cached.sha256


def remove(folder: Path) -> int:
    """Delete what one folder of the cache holds, records too; return the bytes freed.

    Only names that the cache gives, and of a link the link. Waits for a download under
    way. Raises `SourceError` where it cannot be deleted.
    """
    kind = folder.parent
    return _remove(inside(kind.parent) / kind.name / folder.name)


def _remove(folder: SafePath) -> int:
    freed = 0
    try:
        if folder.is_link():
            folder.remove()
            return 0
        if folder.status() is None:
            return 0
        lock = folder / LOCK
        if lock.is_link():
            lock.remove()
        with lock.locked():
            for file in place.own_names(folder):
                freed += file.path.lstat().st_size
                file.remove()
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{folder}: cannot be removed: {error.strerror}") from error
    return freed


def clear(cache_dir: str | os.PathLike[str] | None = None) -> int:
    """Delete all downloads and stores; return the bytes freed.

    Only names that the cache gives, and of a link the link. Raises as `remove` does.
    """
    freed = 0
    for kind in (DOWNLOADS, STORES):
        folder = inside(locate(cache_dir)) / kind
        if folder.is_link():
            freed += _remove(folder)
        else:
            freed += sum(map(_remove, filter(place.is_own_folder, folder.children())))
    return freed
