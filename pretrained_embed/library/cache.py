"""The cache: the files in it, and how to check and remove them.

A file that was placed here by hand is verified and recorded at its first use. Files
with names that the cache does not give are neither listed nor removed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.errors import SourceError, UnknownSourceError, suggestion
from pretrained_embed.files.digests import sha256
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.library import cache_folder, record
from pretrained_embed.library.cache_folder import (
    DOWNLOADS,
    LOCK,
    STORES,
    inside,
    locate,
    remarks,
)
from pretrained_embed.sources.url import public

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
        """Whether it is a store, made from another file."""
        return self.path.parent.parent.name == STORES


@dataclass(frozen=True)
class Cache:
    """The cache of a library; ``cache_dir`` is as in `Library`."""

    cache_dir: str | os.PathLike[str] | None = None

    @property
    def folder(self) -> Path:
        """The cache folder, which need not exist yet.

        Raises `SourceError` if no folder may be used; see `Library`.
        """
        return locate(self.cache_dir)

    def remarks(self) -> Iterator[str]:
        """Yield the remarks on the cache that is used, a line each."""
        yield from remarks(self.cache_dir)

    def entries(self) -> list[Cached]:
        """Return the files in the cache, unfinished downloads too, sorted by path."""
        return [
            cached
            for kind in (DOWNLOADS, STORES)
            for folder in (inside(self.folder) / kind).children()
            for file in folder.children()
            if (cached := _cached(file)) is not None
        ]

    def verify(self, *, progress: Progress | None = None) -> Iterator[Verified]:
        """Hash every finished file again; yield each, and whether its record fits."""
        for cached in self.entries():
            if cached.sha256 is not None:
                try:
                    digest = sha256(cached.path, progress=progress)
                except OSError:
                    digest = ""
                yield Verified(cached, digest == cached.sha256)

    def remove(self, *sources: str) -> Removed:
        """Delete the downloads of names or URLs, and their stores.

        Only files with names that the cache gives, and their records, are deleted; of a
        link only the link. Waits for a running download. Raises `UnknownSourceError`
        for a name without files, and `SourceError` if a file cannot be deleted.
        """
        files = self.entries()
        known = {file.source for file in files}
        wanted = set(map(public, sources))
        for name in map(public, sources):
            if name not in known:
                raise UnknownSourceError(
                    f"{name!r} is not in the cache{suggestion(name, known)}"
                )
        folders = {file.path.parent for file in files if file.source in wanted}
        freed = sum(
            _remove(inside(self.folder) / folder.parent.name / folder.name)
            for folder in sorted(folders)
        )
        gone = {file.source for file in files if file.path.parent in folders}
        return Removed(sorted(gone), freed)

    def clear(self) -> int:
        """Delete all downloads and stores; return the bytes freed.

        Only files with names that the cache gives are deleted; of a link only the link.
        Raises the errors of `remove`.
        """
        freed = 0
        for kind in (DOWNLOADS, STORES):
            folder = inside(self.folder) / kind
            if folder.is_link():
                freed += _remove(folder)
            else:
                own = filter(cache_folder.is_own_folder, folder.children())
                freed += sum(map(_remove, own))
        return freed


class Verified(NamedTuple):
    """A file of the cache, and whether its record fits."""

    file: Cached
    is_right: bool


class Removed(NamedTuple):
    """The names that were removed from the cache, and the bytes freed."""

    sources: list[str]  # names and URLs
    freed: int  # bytes


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
        if file.name.endswith(cache_folder.PART) and not file.name.startswith("."):
            return Cached(file.path, file.parent.name, size, None, None)
    return None


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
            for file in cache_folder.own_names(folder):
                freed += file.path.lstat().st_size
                file.remove()
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{folder}: cannot be removed: {error.strerror}") from error
    return freed
