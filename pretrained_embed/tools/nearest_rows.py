"""The nearest rows to some query vectors, found in blocks of rows.

Products of whole blocks in binary32 select the candidates, which are measured again in
binary64, row by row. So the result is exact to the bit, and does not depend on blocks
or threads.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int64Array,
)
from pretrained_embed.errors import OptionError, suggestion

#: The measure of "near": the cosine, the inner product or the distance.
Metric = Literal["cosine", "dot", "euclidean"]
METRICS: tuple[str, ...] = get_args(Metric)

#: Squares of lengths in this range are exact enough for binary32.
_SMALL, _LARGE = 1e-30, 1e30

#: The largest number of binary32.
_MAX = np.finfo(np.float32).max

#: The first block has this many rows, which give a lower bound for the others.
_FIRST = 1 << 12
#: How many rows are processed together, and at most how many numbers are measured
#: again.
_ROWS, _NUMBERS = 1 << 16, 1 << 21


def unit_rows(vectors: FloatArray) -> Float32Array:
    """Return rows scaled to length 1; rows without a direction become zeros.

    ``vectors`` is float32 (rows, dim). Zeros, and rows with numbers that are not
    finite, have no direction.
    """
    found: Float32Array = _units(vectors).astype(np.float32)
    return found


def _units(vectors: FloatArray) -> Float64Array:
    wide = vectors.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        units: Float64Array = wide / norms[:, None]
    units[~(np.isfinite(norms) & (norms > 0))] = 0.0
    return units


def _directed(units: Float64Array) -> BoolArray:
    found: BoolArray = np.abs(units).max(axis=1, initial=0.0) > 0
    return found


class RowLengths(NamedTuple):
    """The lengths of rows for a search, computed once for many queries.

    ``squares`` is float32 (rows,), ``inf`` on overflow; ``reciprocals`` is 1 divided by
    the length, float32 (rows,), 1 for zeros. ``odd`` are the rows, in order, whose
    squares are outside the range in which binary32 is exact enough.
    """

    squares: Float32Array
    reciprocals: Float32Array
    odd: Int64Array

    @classmethod
    def of(cls, vectors: Float32Array) -> RowLengths:
        """Return the lengths of rows, float32 (rows, dim)."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares: Float32Array = np.einsum("ij,ij->i", vectors, vectors)
        lengths = np.sqrt(np.where(squares > 0, squares, np.float32(1)))
        reciprocals = (1 / lengths).astype(np.float32, copy=False)
        odd = np.flatnonzero(~((squares > _SMALL) & (squares < _LARGE)))
        return cls(squares, reciprocals, odd)

    def part(self, start: int, stop: int) -> RowLengths:
        """Return the lengths of the rows from ``start`` to before ``stop``."""
        first, last = np.searchsorted(self.odd, (start, stop))
        part = slice(start, stop)
        odd = self.odd[first:last] - start
        return RowLengths(self.squares[part], self.reciprocals[part], odd)

    def longest(self) -> float:
        """Return the largest length whose square is in range."""
        squares = np.delete(self.squares, self.odd) if len(self.odd) else self.squares
        return float(np.sqrt(float(squares.max(initial=0.0))))


class Nearest:
    """Finds the rows that are nearest to each query.

    Parameters
    ----------
    queries : float32 or float64 (queries, dim)
        The query vectors. One without a direction has no near rows.
    count : int
        How many rows to find for each query.
    metric : "cosine" (default), "dot" or "euclidean"
        "cosine" and "dot" find the largest, "euclidean" the smallest distances.
    at_once : (int, int)
        How many queries, and how many products of queries and rows, are in memory at a
        time, to fit the caches of a core. The result is the same for any values.

    After all blocks were added ``rows`` is int64 (queries, count), the nearest first,
    -1 for missing ones; ``scores`` is float64 of the same shape, NaN for missing ones.
    Rows without a direction (zeros, or numbers that are not finite) are never near. Of
    equally near rows the lower one comes first.

    >>> best = Nearest(np.float32([[1, 0]]), 1)
    >>> best.add(np.float32([[0, 2], [3, 3]]))
    >>> best.rows.tolist(), best.scores.round(4).tolist()
    ([[1]], [[0.7071]])
    """

    def __init__(
        self,
        queries: FloatArray,
        count: int,
        metric: Metric = "cosine",
        *,
        at_once: tuple[int, int] = (1 << 8, 1 << 20),
    ) -> None:
        check_metric(metric)
        units, wide = _units(queries), queries.astype(np.float64)
        directed = _directed(units)
        self._metric = metric
        self._queries = units if metric == "cosine" else wide
        self._lengths = np.where(directed, np.linalg.norm(self._queries, axis=1), 1.0)
        scales = self._lengths  # so that no product leaves the range of binary32
        if metric == "euclidean":
            scales = np.maximum(scales, 1.0)
        scaled = np.where(directed[:, None], self._queries, 0.0) / scales[:, None]
        self._directed, self._scales = directed, scales
        self._scaled: Float32Array = scaled.astype(np.float32)
        self._count = count
        self._seen = 0
        self._at_once, self._products_at_once = at_once
        shape = (len(queries), count)
        self.rows: Int64Array = np.full(shape, -1, np.int64)
        self._best: Float64Array = np.full(shape, -np.inf)  # larger means nearer

    @property
    def scores(self) -> Float64Array:
        """Cosines, products or distances, float64 (queries, count); NaN for none."""
        signed = -self._best if self._metric == "euclidean" else self._best
        return np.where(self.rows < 0, np.nan, signed)

    def add(self, vectors: Float32Array, lengths: RowLengths | None = None) -> None:
        """Search the next rows, float32 (rows, dim).

        ``lengths`` are their lengths, if known.
        """
        start = 0
        while start < len(vectors):
            step = self._products_at_once // max(1, min(self._at_once, len(self.rows)))
            step = min(max(1 << 11, step), _ROWS)
            if self._seen < _FIRST + self._count:
                step = _FIRST + self._count
            some = vectors[start : start + step]
            if lengths is None:
                known = RowLengths.of(some)
            else:
                known = lengths.part(start, start + len(some))
            for first in range(0, len(self.rows), self._at_once):
                self._add(some, known, slice(first, first + self._at_once))
            self._seen += len(some)
            start += len(some)

    def _add(self, vectors: Float32Array, lengths: RowLengths, part: slice) -> None:
        """Search some rows for some of the queries."""
        near, slack = self._approximate(vectors, lengths, part)
        floor = self._products(self._best[part, -1], part)
        lowest = _below(floor - slack)
        # most blocks have no new row for most queries, and a maximum is fast
        asked = np.flatnonzero(near.max(axis=1, initial=-np.inf) >= lowest)
        chosen = near[asked] >= lowest[asked, None]
        hits = np.flatnonzero(chosen)
        counts = np.bincount(hits // near.shape[1], minlength=len(asked))
        many = np.flatnonzero(counts > 2 * self._count)
        if len(many):  # the bound is still low: the block's own rows give a better one
            some = asked[many]
            last = -self._count
            floor[some] = [
                np.partition(near[query, there], last)[last]
                for query, there in zip(some, chosen[many], strict=True)
            ]
            better = _below(floor[some] - 2 * slack[some])
            chosen[many] = near[some] >= better[:, None]
            hits = np.flatnonzero(chosen)
        if len(hits):
            places, rows = np.divmod(hits, near.shape[1])
            queries = asked[places]
            self._merge(queries, rows, self._exact(vectors, queries, rows, part), part)

    def _products(self, best: Float64Array, part: slice) -> Float64Array:
        """Return the results of `_exact` in the form of `_approximate`, (queries,)."""
        if self._metric == "euclidean":
            best = (self._lengths[part] ** 2 - best**2) / 2
        products: Float64Array = best / self._scales[part]
        return products

    def _approximate(
        self, vectors: Float32Array, lengths: RowLengths, part: slice
    ) -> tuple[Float32Array, Float64Array]:
        """Return approximately how near rows are, and the largest error.

        The first is (queries, rows), larger means nearer, and -inf for rows that are
        never near; the second is (queries,). For distances it is half of the difference
        between the square of the query's length and that of the distance. All are
        divided by the query's scale.
        """
        scales = self._scales[part]
        # the bound of Higham (2002), 3.5, for the product and for the squares
        wrong = 2 * (vectors.shape[1] + 8) * 2.0**-24
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            slack = np.full(len(scales), wrong)
            near: Float32Array
            if self._metric == "cosine" and len(scales) > vectors.shape[1]:
                near = self._scaled[part] @ (vectors * lengths.reciprocals[:, None]).T
            else:
                near = self._scaled[part] @ vectors.T
                if self._metric == "cosine":
                    near *= lengths.reciprocals
            if self._metric == "dot":
                slack *= lengths.longest()
            elif self._metric == "euclidean":
                twice: Float32Array = (2 * scales[:, None]).astype(np.float32)
                near -= np.divide(lengths.squares, twice)
                longest = lengths.longest()
                slack *= longest + longest**2 / (2 * scales)
            if len(lengths.odd):
                near[:, lengths.odd] = self._of_odd(vectors[lengths.odd], part)
        near[~self._directed[part]] = -np.inf
        return near, slack + np.finfo(np.float32).tiny

    def _of_odd(self, vectors: Float32Array, part: slice) -> Float64Array:
        """Return the same for rows whose squares are outside the range."""
        units, wide = _units(vectors), vectors.astype(np.float64)
        scales = self._scales[part][:, None]
        queries: Float64Array = self._queries[part] / scales
        near: Float64Array = queries @ (units if self._metric == "cosine" else wide).T
        if self._metric == "euclidean":
            squares: Float64Array = np.einsum("ij,ij->i", wide, wide)
            near -= squares / (2 * scales)
        near = near.clip(-_MAX, _MAX)
        near[:, ~_directed(units)] = -np.inf
        return near

    def _exact(
        self, vectors: Float32Array, queries: Int64Array, rows: Int64Array, part: slice
    ) -> Float64Array:
        """Return how near each row is to its query, (pairs,)."""
        found = np.empty(len(rows))
        step = max(1, _NUMBERS // vectors.shape[1])
        asked = self._queries[part]
        for start in range(0, len(rows), step):
            chosen = slice(start, start + step)
            one, other = asked[queries[chosen]], vectors[rows[chosen]]
            if self._metric == "cosine":
                found[chosen] = np.einsum("ij,ij->i", one, _units(other))
            elif self._metric == "dot":
                found[chosen] = np.einsum("ij,ij->i", one, other.astype(np.float64))
            else:
                apart = one - other
                found[chosen] = -np.sqrt(np.einsum("ij,ij->i", apart, apart))
        return found

    def _merge(
        self, queries: Int64Array, rows: Int64Array, near: Float64Array, part: slice
    ) -> None:
        """Keep the best of the old and the new rows."""
        touched = np.unique(queries)
        kept = self.rows[part][touched]
        old = kept >= 0
        queries = np.concatenate([np.repeat(touched, old.sum(axis=1)), queries])
        rows = np.concatenate([kept[old], rows + self._seen])
        near = np.concatenate([self._best[part][touched][old], near])
        order = np.lexsort((rows, -near, queries))
        queries, rows, near = queries[order], rows[order], near[order]
        first = np.searchsorted(queries, queries)  # where the rows of each query begin
        rank = np.arange(len(queries)) - first
        best = rank < self._count
        queries, rank = queries[best] + part.start, rank[best]
        self.rows[queries, rank] = rows[best]
        self._best[queries, rank] = near[best]


def _below(bound: Float64Array) -> Float32Array:
    """Return the largest finite numbers of binary32 below the bound."""
    lowest = np.clip(bound, -_MAX, _MAX).astype(np.float32)
    with np.errstate(over="ignore"):
        below: Float32Array = np.nextafter(lowest, np.float32(-np.inf))
    return np.maximum(below, -_MAX)


def check_metric(metric: str) -> None:
    """Raise `OptionError` for an unknown metric."""
    if metric not in METRICS:
        raise OptionError(
            f"metric is {metric!r}; it can be {', '.join(METRICS)}"
            f"{suggestion(str(metric), METRICS)}"
        )
