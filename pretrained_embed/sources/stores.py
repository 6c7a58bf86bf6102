"""Stores in the cache: one for each content, made once, found again by its source.

::

    stores/KEY/
        store.h5        whole and recorded, or not to be used
        store.h5.json   its record: digest, size
        MARK.origin     a source that has this content
        .lock           held by the process that makes the store

The key is a digest of the digests of all bytes that went in, and of what the caller
says about how. So a store is never stale; a store that no key leads to is only lost.
What a store looks like inside is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pretrained_embed.damage import parser_errors
from pretrained_embed.errors import FormatError, SourceError, WriteError
from pretrained_embed.files.digests import json_digest, sha256
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.sources import record
from pretrained_embed.sources.cache_folder import LOCK, STORES, inside, prepare
from pretrained_embed.sources.identity import Mark

Opened = TypeVar("Opened")

_FILE = "store.h5"
_ORIGIN = ".origin"
_TRIES = 3  # where what is made is deleted before it is whole


def key(digests: Sequence[str], *how: object) -> str:
    """Return the key of the store of this content, made in this way."""
    return json_digest([sorted(digests), *how])


def place(root: Path, key: str) -> SafePath:
    """Return the path of the store with this key, which need not exist."""
    return inside(root) / STORES / key / _FILE


def recall(root: Path, mark: Mark) -> list[str] | None:
    """Return the digests of a source's content as they were when its store was made."""
    found: list[tuple[int, list[str]]] = []
    for folder in (inside(root) / STORES).children():
        path = folder / f"{mark.key}{_ORIGIN}"
        with suppress(OSError, *parser_errors()):
            if (status := path.status()) is None:
                continue
            known = json.loads(path.read())
            if mark.state is None or known["state"] == mark.state:
                found.append((status.st_mtime_ns, list(known["digests"])))
    return max(found)[1] if found else None


def find(
    root: Path, key: str, open: Callable[[Path], Opened]
) -> tuple[Opened | None, str | None]:
    """Return the store with this key, opened, or ``None``; and what is wrong with it.

    A store that was touched since it was made is hashed first.
    """
    path = place(root, key)
    try:
        known = record.read(path)
        if known is None or path.status() is None:  # never finished
            return None, None
        if _intact(path, known):
            return open(path.checked()), None
        fault = "its content is not what was written"
    except (OSError, FormatError) as error:
        fault = str(error)
    return None, f"the store {path} is damaged ({fault})"


def obtain(
    root: Path,
    key: str,
    mark: Mark,
    digests: Sequence[str],
    *,
    open: Callable[[Path], Opened],
    make: Callable[[SafePath], object],
) -> tuple[Opened, str | None]:
    """Return the store with this key, opened; made first where it is not there.

    Of several processes one makes it, those that waited find it. Also says what was
    wrong with a store that was made anew. Raises what ``make`` and ``open`` raise, and
    `SourceError` where the cache cannot be written to.
    """
    opened, fault = find(root, key, open)
    if opened is not None:
        _remember(root, key, mark, digests)
        return opened, None
    folder = place(root, key).parent
    for left in reversed(range(_TRIES)):
        prepare(root)
        try:
            made, fault = _made(root, key, mark, open, make)
            break
        except (OSError, WriteError) as error:
            if left and folder.status() is None:
                continue  # somebody has cleared the cache meanwhile
            if isinstance(error, SourceError | WriteError):
                raise
            raise SourceError(
                f"the cache folder {folder} cannot be written to: "
                f"{error.strerror or error}"
            ) from error
    _remember(root, key, mark, digests)
    return made, fault and f"{fault}; it was made anew"


def _made(
    root: Path,
    key: str,
    mark: Mark,
    open: Callable[[Path], Opened],
    make: Callable[[SafePath], object],
) -> tuple[Opened, str | None]:
    """Return a store, which this process makes unless another one has."""
    path = place(root, key)
    folder = path.parent
    with (folder.make() / LOCK).locked():
        opened, fault = find(root, key, open)
        if opened is None:
            for left in folder.children():
                if left.name.startswith(".") and left.name.endswith(".part"):
                    left.remove()  # of a process that was killed
            make(path)
            record.write(path, mark.source, sha256(path.checked()), None)
            opened = open(path.checked())
    return opened, fault


def _intact(path: SafePath, known: record.Record) -> bool:
    status = path.checked().stat()
    if (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return True
    if sha256(path.checked()) != known.sha256:
        return False
    with suppress(OSError):  # a cache that may only be read is hashed again next time
        record.write(path, known.source, known.sha256, None)
    return True


def _remember(root: Path, key: str, mark: Mark, digests: Sequence[str]) -> None:
    """Note that the source has this content, unless that is known."""
    if recall(root, mark) == list(digests):
        return
    path = place(root, key).parent / f"{mark.key}{_ORIGIN}"
    known = {"source": mark.source, "state": mark.state, "digests": [*digests]}
    with suppress(OSError):  # then the store is found by its content alone
        path.write(json.dumps(known, indent=1).encode())
