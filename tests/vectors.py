"""Small sources of vectors, written as text, and how they are cut for reading."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import pytest

from pretrained_embed import formats
from pretrained_embed.formats import Reader, window
from pretrained_embed.formats.text import reader as text_format
from pretrained_embed.formats.text import scan as text_scan
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


def cut_into_parts(
    monkeypatch: pytest.MonkeyPatch, part: int, *, read: int, headroom: int = 64
) -> None:
    """Have text cut into parts of so many bytes, read so many at a time."""
    for name in ("_SMALLEST_SPLIT", "_LARGEST_SPLIT"):
        monkeypatch.setattr(text_format, name, part)
    for module in (text_format, text_scan):
        monkeypatch.setattr(module, "ALIGNMENT", 1)
    for module in (text_scan, window):
        monkeypatch.setattr(module, "READ_SIZE", read)
    monkeypatch.setattr(window, "HEADROOM", headroom)
