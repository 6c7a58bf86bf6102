"""The best rows so far for some query vectors, as blocks of rows pass by."""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array

#: Squares of lengths from here on are exact enough to divide by.
_SMALL = 1e-30

#: Of so many queries and rows the products are held in memory at once.
_QUERIES, _ROWS = 1 << 10, 1 << 12


def unit_rows(vectors: Float32Array) -> Float32Array:
    """Return rows of length 1; rows without a direction become zeros.

    ``vectors`` is float32 (rows, dim). Zeros, and rows with numbers that are not
    finite, have no direction.
    """
    wide = vectors.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        units = wide / norms[:, None]
    units[~(np.isfinite(norms) & (norms > 0))] = 0.0
    found: Float32Array = units.astype(np.float32)
    return found


class Nearest:
    """Finds the rows with the largest cosine to each query.

    ``queries`` is float32 (queries, dim). After all blocks were added ``rows`` is int64
    (queries, count), the nearest first, -1 where there were too few; ``cosines`` is
    float32 of the same shape, -inf there. Rows without a direction are near nothing.
    Of rows that are equally near the lower one comes first.
    """

    def __init__(self, queries: Float32Array, count: int) -> None:
        self._queries = unit_rows(queries)
        self._count = count
        self._seen = 0
        shape = (len(queries), count)
        self.rows: Int64Array = np.full(shape, -1, np.int64)
        self.cosines: Float32Array = np.full(shape, -np.inf, np.float32)

    def add(self, vectors: Float32Array) -> None:
        """Look at the next rows, float32 (rows, dim)."""
        for start in range(0, len(vectors), _ROWS):
            some = vectors[start : start + _ROWS]
            for first in range(0, len(self._queries), _QUERIES):
                self._add(some, slice(first, first + _QUERIES))
            self._seen += len(some)

    def _add(self, vectors: Float32Array, chosen: slice) -> None:
        cosines = self._cosines(vectors, self._queries[chosen])
        best = self._largest(cosines)
        near = np.take_along_axis(cosines, best, axis=1)
        rows = np.where(near == -np.inf, -1, best + self._seen)
        rows = np.concatenate([self.rows[chosen], rows], axis=1)
        near = np.concatenate([self.cosines[chosen], near], axis=1)
        order = np.lexsort((rows, -near), axis=1)[:, : self._count]
        self.rows[chosen] = np.take_along_axis(rows, order, axis=1)
        self.cosines[chosen] = np.take_along_axis(near, order, axis=1)

    def _cosines(self, vectors: Float32Array, queries: Float32Array) -> Float32Array:
        """Return the cosines, (queries, rows); -inf for rows without a direction."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", vectors, vectors)
            cosines: Float32Array = queries @ vectors.T
            # squares leave the range of binary32 before the numbers do: look again
            odd = ~(np.isfinite(squares) & (squares > _SMALL))
            cosines /= np.sqrt(np.where(odd, np.float32(1), squares))
        if odd.any():
            units = unit_rows(vectors[odd])
            cosines[:, odd] = np.where(
                units.any(axis=1), queries @ units.T, np.float32(-np.inf)
            )
        return cosines

    def _largest(self, cosines: Float32Array) -> Int64Array:
        """Return the columns of the largest values of each row, in no order."""
        columns = cosines.shape[1]
        if columns <= self._count:
            return np.broadcast_to(np.arange(columns), cosines.shape)
        rest = columns - self._count
        return np.argpartition(cosines, rest, axis=1)[:, rest:]
