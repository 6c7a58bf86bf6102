from __future__ import annotations

import numpy as np
from conformance import select

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats.subwords.readers import ComputedRows, SubwordTableReader

ROWS = 5000


class Doubled(ComputedRows):
    """Rows that are twice their own number, and that remember being asked for."""

    shape = (ROWS, 1)

    def __init__(self):
        self.asked = []

    def __getitem__(self, rows):
        numbers = np.arange(ROWS)[rows]
        self.asked += numbers.tolist()
        return (2 * numbers).astype(np.float32)[:, None]


def reader_of(rows, **options):
    tokens = PackedTokens.pack(f"w{number}" for number in range(ROWS))
    return SubwordTableReader("test", "x", tokens, rows, facts={}, **options)


def test_only_the_rows_found_are_computed():
    rows = Doubled()
    progress = []

    out, selection = select(
        reader_of(rows),
        [("w4999", 0, 0), ("missing", 1, 0), ("w7", 2, 0)],
        progress=lambda *at: progress.append(at),
    )

    assert rows.asked == [4999, 7]
    assert out[[0, 2], 0].tolist() == [9998, 14]
    assert selection.source_rows.tolist() == [4999, -1, 7, -1]
    assert progress == [(2, 2)]


def test_many_tokens_are_composed_in_parts():
    parts = []

    def compose(tokens, out):
        parts.append(len(tokens))
        out[:, 0] = [len(token) for token in tokens]
        return np.array([token != "-" for token in tokens])

    tokens = ["a" * (number % 7) or "-" for number in range(3000)]
    out = np.full((3000, 1), -1, np.float32)

    made = reader_of(Doubled(), compose=compose).compose(tokens, out)

    assert sum(parts) == 3000
    assert max(parts) < 3000
    assert made.tolist() == [token != "-" for token in tokens]
    assert out[:, 0].tolist() == [-1 if t == "-" else len(t) for t in tokens]
