"""Entries of the catalog as text and as JSON, and which of them are on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pretrained_embed as pe
from pretrained_embed.cli.output import facts, number, plural, size
from pretrained_embed.library import packages
from pretrained_embed.library.entry import Entry
from pretrained_embed.markup import columns

#: Id or URL of what needs no download, and why: "installed" or "cached".
Here = Mapping[str, str]


def here(library: pe.Library) -> Here:
    """Return what is on this machine; a package comes before the cache."""
    cached = {
        file.source: "cached"
        for file in library.cache.entries()
        if file.sha256 is not None
    }
    return cached | dict.fromkeys(packages.names(), "installed")


def entries_table(entries: Iterable[Entry], here: Here) -> str:
    """Return one line an entry."""
    return columns(
        ("NAME", "DIM", "ROWS", "DOWNLOAD", "LANGUAGE", "LICENCE", "HERE"),
        [
            (
                entry.id,
                number(entry.dim),
                number(entry.rows),
                size(entry.size),
                _languages(entry),
                entry.licence or "?",
                _mark(entry, here),
            )
            for entry in entries
        ],
        right=(1, 2, 3),
    )


def entry_text(entry: Entry, here: Here) -> str:
    """Return what is known of one entry, a line each."""
    return facts(
        [
            ("name", entry.id),
            ("title", entry.title),
            ("here", _mark(entry, here) or "no"),
            ("family", entry.family),
            ("language", _languages(entry)),
            ("letter case", entry.case),
            ("dim", number(entry.dim)),
            ("rows", number(entry.rows)),
            ("format", entry.format),
            ("member", entry.member),
            ("download", size(entry.size)),
            ("unpacked", size(entry.member_size)),
            *(("url", url) for url in entry.urls),
            *(
                (c.algorithm, f"{c.value} of the {c.of}, says {c.vouched or '?'}")
                for c in entry.checksums
            ),
            ("corpus", entry.corpus),
            ("licence", entry.licence or "?"),
            ("licence text", entry.licence_url),
            ("citation", entry.citation),
        ]
    )


def entry_facts(entry: Entry, here: Here) -> dict[str, Any]:
    """Return what is known of one entry as JSON can hold it."""
    return asdict(entry) | {"here": here.get(entry.id)}


def _languages(entry: Entry) -> str:
    if len(entry.languages) > 3:
        return plural(len(entry.languages), "language")
    return ", ".join(entry.languages) or "?"


def _mark(entry: Entry, here: Here) -> str:
    if not entry.is_template:
        return here.get(entry.id, "")
    ids = [entry.for_language(code).id for code in entry.languages]
    count = sum(id in here for id in ids)
    return f"{count} cached" if count else ""
