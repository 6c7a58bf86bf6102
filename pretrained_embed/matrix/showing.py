"""A matrix as a picture, and as a table in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pretrained_embed import drawing, markup
from pretrained_embed.arrays import Int64Array
from pretrained_embed.drawing import Method
from pretrained_embed.errors import OptionError, brief
from pretrained_embed.matrix.origin import Origin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix

#: Rows and numbers that a notebook shows.
_SHOWN_ROWS, _SHOWN_NUMBERS = 8, 6


def plot(
    matrix: EmbeddingMatrix,
    tokens: Sequence[str] | None,
    *,
    count: int,
    method: Method,
    seed: int,
    title: str | None,
) -> Figure:
    """Return a labelled scatter; see `EmbeddingMatrix.plot`."""
    rows = frequent_rows(matrix, count) if tokens is None else _rows_of(matrix, tokens)
    if not len(rows):
        raise OptionError("there is no token to draw")
    places = drawing.project(matrix.vectors[rows], method, seed=seed).tolist()
    names = matrix.vocabulary.strings(rows)
    points = [
        drawing.Point(name, x, y, Origin(matrix.origin[row]).label(matrix.match))
        for row, name, (x, y) in zip(rows.tolist(), names, places, strict=True)
    ]
    return drawing.scatter(points, title=title or "")


def frequent_rows(matrix: EmbeddingMatrix, count: int) -> Int64Array:
    """Return the rows of the most frequent tokens, int64 (count,) or fewer."""
    if count < 1:
        raise OptionError(f"count is {count}; at least 1 is needed")
    return by_frequency(matrix)[:count]


def by_frequency(matrix: EmbeddingMatrix) -> Int64Array:
    """Return the rows of all tokens, int64, the most frequent first.

    By the vocabulary's counts; without them in the order of ids, as vocabularies mostly
    begin with the most frequent. Pad and ids that no token has are left out.
    """
    rows = np.flatnonzero(
        (matrix.origin != Origin.PAD) & (matrix.origin != Origin.UNUSED)
    )
    counts = matrix.vocabulary.counts
    if counts is not None:
        rows = rows[np.argsort(-counts[rows], kind="stable")]
    return rows


def html(matrix: EmbeddingMatrix) -> str:
    """Return the shape, the coverage and the first rows as HTML."""
    rows, dim = matrix.shape
    shown = min(dim, _SHOWN_NUMBERS)
    head = ["id", "token", "origin", *map(str, range(shown)), *["…"] * (dim > shown)]
    first = matrix.vocabulary.packed[:_SHOWN_ROWS]  # of holes there are no bytes
    lines = [
        [
            row,
            token,
            Origin(matrix.origin[row]).label(matrix.match),
            *(f"{number:.4g}" for number in matrix.vectors[row, :shown].tolist()),
            *["…"] * (dim > shown),
        ]
        for row, token in enumerate(first)
    ]
    caption = f"EmbeddingMatrix, {rows:,} rows of {dim}"
    return markup.table(caption, head, lines) + markup.paragraph(matrix.coverage)


def _rows_of(matrix: EmbeddingMatrix, tokens: Sequence[str]) -> Int64Array:
    if isinstance(tokens, str):
        raise OptionError(f"tokens is one text, {brief(tokens)}; give a list of tokens")
    return np.array([matrix.vocabulary[token] for token in tokens], np.int64)
