"""The cache folder: where it is, what lies in it, and how to be rid of that.

::

    CACHEDIR.TAG         says what this is; programs that make backups pass over it
    downloads/KEY/       one for each file that is published somewhere
        FILE             whole and verified, or not there
        FILE.json        its record: digest, size, who vouches for it
        FILE.part        an unfinished download, and FILE.part.json what it is part of
        .lock            held by the process that downloads
    stores/              indexed copies: see `pretrained_embed.sources.stores`

A file placed here by hand is verified when it is first asked for, then recorded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import sha256
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources import record
from pretrained_embed.sources.entry import Download, published
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


ENVIRONMENT = "PRETRAINED_EMBED_CACHE"
DOWNLOADS = "downloads"
STORES = "stores"
LOCK = ".lock"

_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
_OURS = "pretrained_embed"
_PART = ".part"


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


def locate(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the cache folder, which need not exist yet.

    That is ``cache_dir``, or what ``PRETRAINED_EMBED_CACHE`` names, or ``./cache`` if
    it holds our ``CACHEDIR.TAG``, or the user's own cache folder. Raises `SourceError`
    where there is no home folder to put that in.
    """
    named = cache_dir or os.environ.get(ENVIRONMENT)
    try:
        if named:
            return Path(named).expanduser().absolute()
        beside = Path.cwd() / "cache"
        return beside if _is_ours(beside) else _of_user()
    except (RuntimeError, FileNotFoundError) as error:
        raise SourceError(
            f"no folder for the cache can be found ({error}); "
            f"name one with {ENVIRONMENT}"
        ) from error


def _is_ours(folder: Path) -> bool:
    try:
        text = (folder / _TAG).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return text.startswith(_SIGNATURE) and _OURS in text


def _of_user() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base or Path.home() / "AppData/Local") / "pretrained-embed/Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/pretrained-embed"
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():  # others are to be ignored, says the standard
        return Path(base) / "pretrained-embed"
    return Path.home() / ".cache/pretrained-embed"


def inside(root: Path) -> SafePath:
    """Return the cache folder as a path below which no link is followed."""
    return SafePath.at(
        root,
        SourceError,
        "remove the link; to keep the files elsewhere, name that folder with "
        f"--cache-dir or {ENVIRONMENT}",
    )


def prepare(root: Path) -> None:
    """Make the cache folder and tag it.

    Raises `SourceError` where that is not possible.
    """
    try:
        tag = inside(root).make(parents=True) / _TAG
        if tag.status() is None:
            tag.write(
                f"{_SIGNATURE}\n# This folder is a cache of {_OURS}.\n"
                "# For information about cache directory tags see "
                "https://bford.info/cachedir/\n".encode()
            )
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(
            f"the cache folder {root} cannot be written to ({error.strerror}); "
            f"name another one with {ENVIRONMENT}"
        ) from error


def folder(root: Path, download: Download) -> SafePath:
    """Return the folder of one published file.

    It is named after the file and its published checksum, or else its first URL: so
    a file that moves to another host is still the same.
    """
    checksum = published(download.checksums, "file")
    url = download.urls[0]
    mark = blake2b((checksum.value if checksum else url).encode(), digest_size=4)
    downloads, name = inside(root) / DOWNLOADS, file_name(url)
    place = downloads / f"{name}-{mark.hexdigest()}"
    if checksum is None and url.is_signed and place.status() is None:
        return _signed(downloads, name, url) or place
    return place


def _signed(downloads: SafePath, name: str, url: Url) -> SafePath | None:
    """Return the folder of a signed URL that is named after its signature, too.

    So folders were named once; the latest is taken.
    """
    found = []
    for folder in downloads.children():
        if folder.name.startswith(f"{name}-"):
            for file in folder.children():
                if file.name.endswith(record.SUFFIX):
                    known = record.read(file.parent / file.name[: -len(record.SUFFIX)])
                    if known and known.source.partition("#")[0] == url:
                        found.append((known.mtime_ns, folder))
    return max(found, key=lambda one: one[0])[1] if found else None


def file_name(name: str) -> str:
    """Return a name for a file, from a URL or from the path of a member.

    >>> file_name("https://host.example/a/glove.6B.zip?download=1")
    'glove.6B.zip'
    >>> file_name("in/v.txt")
    'in%2Fv.txt'
    """
    if "://" in name:
        name = unquote(urlsplit(name).path.rstrip("/").rpartition("/")[2]) or "download"
    safe = quote(name, safe=" +,@()")  # escapes what any system forbids in a name
    return safe[-150:].lstrip(".") or "_"


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
        if file.name.endswith(_PART):
            return Cached(file.path, file.parent.name, size, None, None)
        known = record.read(file)
        if known is not None:
            sha256, published = known.sha256, known.published
            return Cached(file.path, known.source, size, sha256, published)
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

    Waits for a download under way. Raises `SourceError` where it cannot be deleted.
    """
    freed = 0
    kind = folder.parent
    place = inside(kind.parent) / kind.name / folder.name
    try:
        if place.status() is None:
            return 0
        with (place / LOCK).locked():
            for file in place.children():
                if file.name != LOCK:
                    freed += file.path.lstat().st_size
                    file.remove()
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{folder}: cannot be removed: {error.strerror}") from error
    return freed


def clear(cache_dir: str | os.PathLike[str] | None = None) -> int:
    """Delete all downloads and stores; return the bytes freed.

    Raises as `remove` does.
    """
    root = inside(locate(cache_dir))
    folders = [*(root / DOWNLOADS).children(), *(root / STORES).children()]
    return sum(remove(folder.path) for folder in folders)
