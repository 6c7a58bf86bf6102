"""What is known by a name or a URL, as verified files in the cache."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.errors import OptionError
from pretrained_embed.files.digests import json_digest
from pretrained_embed.sources import cache_folder, local, place, record
from pretrained_embed.sources.entry import Entry
from pretrained_embed.sources.identity import Mark
from pretrained_embed.sources.obtaining import obtain
from pretrained_embed.sources.patience import Patience
from pretrained_embed.sources.record import Record
from pretrained_embed.sources.stream import AnyStream, Stream
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


OFFLINE = "PRETRAINED_EMBED_OFFLINE"

#: What it may be, in any case, and what that means.
_OFFLINE = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
}


class Fetched(NamedTuple):
    """A source in the cache."""

    path: Path
    record: Record
    tokens_path: Path | None


def is_offline(offline: bool | None) -> bool:
    """Return ``offline``; where it is left out, what the environment says.

    Raises `OptionError` for a value there that means nothing: a network that was to be
    off must not be on by a slip.
    """
    if offline is not None:
        return offline
    said = os.environ.get(OFFLINE, "")
    meant = _OFFLINE.get(said.strip().lower())
    if meant is None:
        raise OptionError(
            f"{OFFLINE} is {said!r}; it can be 1, true, yes or on, and 0, false, no, "
            "off or nothing"
        )
    return meant


def fetch_entry(
    entry: Entry,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Fetched:
    """Bring an entry into the cache, unless it is there.

    ``offline`` left out means what ``PRETRAINED_EMBED_OFFLINE`` says; then no socket
    is opened. ``progress`` is called with (bytes so far, bytes in all or ``None``).
    Raises `SourceError`, which tells what each URL answered, where it cannot be had.
    """
    get = partial(
        obtain,
        root=cache_folder.locate(cache_dir),
        source=entry.id,
        offline=is_offline(offline),
        progress=progress,
        patience=patience or Patience(),
    )
    path, known = get(entry.download(), member=entry.member)
    tokens_path = get(entry.tokens)[0] if entry.tokens else None
    return Fetched(path, known, tokens_path)


def fetch_stream(
    entry: Entry,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> AnyStream:
    """Like `fetch_entry`; return the file as a stream, with all that is known."""
    path, known, tokens_path = fetch_entry(
        entry,
        cache_dir=cache_dir,
        offline=offline,
        progress=progress,
        patience=patience,
    )
    stream = local.from_path(path, entry.id)
    checksums = {f"sha256:{known.sha256}": "first use"}
    if known.published is not None:
        checksums[known.published] = "published"
    digests = [
        {"algorithm": algorithm, "value": value, "of": path.name, "by": by}
        for checksum, by in checksums.items()
        for algorithm, _, value in [checksum.partition(":")]
    ]
    provenance = {
        **stream.provenance,
        **entry.facts(),
        "name": path.name,
        "url": str(entry.urls[0]),
        "digests": digests,
    }
    identity = stream.identity and replace(
        stream.identity,
        digests=tuple(digests),
        files=(path, tokens_path) if tokens_path else (path,),
    )
    return Stream(
        entry.id,
        stream.open,
        provenance,
        size=stream.size,
        path=stream.path,
        tokens_path=tokens_path,
        address=None if tokens_path else stream.address,
        identity=identity,
    )


def mark_of(entry: Entry, root: Path) -> Mark:
    """Return what a catalog entry, or a URL, is found again by, downloaded or not.

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
            known = record.read(place.find(root, download, member, entry.id))
            state.append(None if known is None else known.sha256)
        identity.append(member)
    compared = state if state and None not in state else None
    return Mark(entry.id, json_digest(identity), compared)


def by_hand(
    entry: Entry, *, cache_dir: str | os.PathLike[str] | None = None
) -> list[tuple[Url, Path]]:
    """Return each file of an entry, by its URL, and where to put it by hand.

    What is placed there is verified when it is first asked for.
    """
    downloads = [entry.download(), *([entry.tokens] if entry.tokens else [])]
    root = cache_folder.locate(cache_dir)
    return [(one.urls[0], place.place(root, one).path) for one in downloads]
