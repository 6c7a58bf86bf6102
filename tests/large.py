"""Builds by parts, held against the usual one; and a source cut into small splits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.build import extract, plan, scan, work
from pretrained_embed.formats.text import reader as text_format

DIM = 8
ROWS = 6_000


def write_source(path: Path, rows: int = ROWS) -> Path:
    """Write a text file in which every seventh token stands twice."""
    drawn = np.random.default_rng(7).normal(size=(rows, DIM)).astype(np.float32)
    with path.open("w") as file:
        for number, vector in enumerate(drawn.tolist()):
            token = f"w{number - 3000 if number % 7 == 0 and number > 3000 else number}"
            file.write(token + "".join(f" {value:.6g}" for value in vector) + "\n")
    return path


def tokens() -> list[str]:
    """Return tokens out of order, some in upper case, some that no source has."""
    numbers = np.random.default_rng(3).permutation(ROWS + 500)[:4000].tolist()
    return [f"W{n}" if n % 5 == 0 else f"w{n}" for n in numbers]


def make_parts_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ranges, splits and extracts so small that there are many of each.

    And memory so small that no output fits it.
    """
    monkeypatch.setattr(work, "fits_memory", lambda size: False)
    monkeypatch.setattr(plan, "_RANGE", 4 * DIM * 700)
    monkeypatch.setattr(scan, "_SMALLEST", 1 << 14)
    monkeypatch.setattr(text_format, "_SMALLEST_SPLIT", 1 << 14)
    monkeypatch.setattr(extract, "_FULL", 4 * DIM * 100)


def assert_same(one: pe.EmbeddingMatrix, other: pe.EmbeddingMatrix) -> None:
    """Everything is the same, to the bit."""
    assert one.vectors.tobytes() == other.vectors.tobytes()
    for (name, mine), (_, theirs) in zip(ledger(one), ledger(other), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    assert one.provenance == other.provenance
    assert one.findings == other.findings
    assert one.vocabulary.tokens == other.vocabulary.tokens
    assert str(one.coverage) == str(other.coverage)


def ledger(matrix: pe.EmbeddingMatrix) -> Iterator[tuple[str, np.ndarray]]:
    for name in ("origin", "sources", "source_rows"):
        yield name, getattr(matrix, name)
    for number, part in enumerate(matrix.parts):
        yield f"origin of part {number}", part.origin
        yield f"rows of part {number}", part.source_rows
    if matrix.advice is not None:
        yield "advice", matrix.advice.found_by
