"""Arithmetic on rows of vectors whose last bit is the same on any machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pretrained_embed.arrays import Float64Array

_BLOCK_NUMBERS = 1 << 18


def blocks(rows: int, dim: int) -> Iterator[slice]:
    """Yield slices of rows, each few enough for its float64 copy to be small."""
    step = max(1, _BLOCK_NUMBERS // dim)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def norms(vectors: Float64Array) -> Float64Array:
    """Return the length of each row, (rows,): squares are added from left to right."""
    total = np.zeros(len(vectors))
    for column in vectors.T:
        total += column * column
    lengths: Float64Array = np.sqrt(total)
    return lengths


def unit(vectors: Float64Array) -> Float64Array:
    """Return rows of length 1 in the same directions; a row of zeros stays zeros."""
    lengths = norms(vectors)
    scaled: Float64Array = vectors / np.where(lengths == 0.0, 1.0, lengths)[:, None]
    return scaled


def product(rows: Float64Array, factors: Float64Array) -> Float64Array:
    """Return ``rows @ factors``, each row of which depends on its own row alone.

    What BLAS makes of a row may depend, in its last bit, on how many there are.
    """
    out = np.zeros((factors.shape[1], len(rows)))  # turned: long runs are faster
    term = np.empty_like(out)
    for column, factor in zip(np.ascontiguousarray(rows.T), factors, strict=True):
        out += np.multiply(factor[:, None], column, out=term)
    return np.ascontiguousarray(out.T)
