"""Small sources of vectors, written as text."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from pretrained_embed import formats
from pretrained_embed.formats import Reader
from pretrained_embed.sources.stream import Stream

Rows = Iterable[tuple[str, Sequence[float]]]


def text(rows: Rows) -> bytes:
    return b"".join(
        token.encode("utf-8", "surrogateescape")
        + (" %r" * len(vector) % tuple(vector)).encode()
        + b"\n"
        for token, vector in rows
    )


def reader_of(rows: Rows) -> Reader:
    """Return a reader over rows in memory; it has no path."""
    raw = text(rows)
    return formats.open_reader(Stream("memory", lambda: io.BytesIO(raw), size=len(raw)))
