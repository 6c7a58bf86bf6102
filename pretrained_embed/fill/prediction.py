"""The policy "ngram": predicts a vector from character n-grams of the token.

A ridge regression from n-grams to vectors is fitted to the source's first rows, which
in most files are the most frequent tokens. A vector is the mean of these rows plus the
weights of the token's n-grams (compare Zhao, Mudgal and Liang: Generalizing Word
Embeddings using Bag of Subwords, EMNLP 2018).

A token is enclosed in ``<`` and ``>``, as in fastText (Bojanowski et al., TACL 5,
2017). An n-gram is identified by a 64-bit polynomial hash of its code points; two of a
million are unlikely to share one.

The regression gives the same bits on any machine. It uses conjugate gradients on the
normal equations (Hestenes and Stiefel, 1952), scaled by the diagonal. The number of
steps is fixed and every sum runs in order, in binary64. BLAS and LAPACK are not used,
since their results change with the machine and the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int64Array,
    Progress,
    UInt64Array,
)
from pretrained_embed.fill.source import Lookup, Spelled, first_rows
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow

#: How many rows of the source the regression is fitted to.
ROWS = 50_000

#: The least number of occurrences of an n-gram. Rarer ones describe single tokens.
OCCURRENCES = 2

#: The penalty of the regression: a larger one makes smaller weights.
PENALTY = 5.0

#: Steps of the regression: more take time and hardly change a vector.
STEPS = 8

#: The regression ends when the squared error has this share of that at the start.
_ENOUGH = 1e-24

#: The lengths of n-grams, in characters.
SHORTEST, LONGEST = 3, 6

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so no power of it is 0

_BLOCK_TOKENS = 1 << 14


def predict(tokens: Sequence[str], lookup: Lookup) -> Spelled:
    """Yield the vectors of the tokens that have a known n-gram.

    Of the spellings of a token the one with the most known n-grams is used, the first
    of equals.
    """
    sample = _sample(lookup.reader, lookup.on_bad_row)
    if not sample[0]:
        return
    model = Model(*sample, lookup.progress)
    for start in range(0, len(tokens), _BLOCK_TOKENS):
        block = tokens[start : start + _BLOCK_TOKENS]
        spelled = lookup.spellings(block)
        known = iter(model.known(list(chain(*spelled))).tolist())
        places, best = [], []
        for place, spellings in enumerate(spelled, start):
            counts = [(next(known), spelling) for spelling in spellings]
            most, spelling = max(counts, key=lambda pair: pair[0], default=(0, ""))
            if most:
                places.append(place)
                best.append(spelling)
        yield np.array(places, np.int64), model.vectors(best)


def _sample(reader: Reader, on_bad_row: OnBadRow) -> tuple[list[str], Float32Array]:
    """Return the tokens of the first `ROWS` rows of a source, and their vectors.

    Duplicates, and rows with numbers that are not finite, are left out.
    """
    tokens, vectors = first_rows(reader, on_bad_row, ROWS)
    finite = np.logical_and.reduce(np.isfinite(vectors), axis=1)
    chosen: dict[str, int] = {}
    for row, token in enumerate(tokens):
        if finite[row]:
            chosen.setdefault(token, row)
    return list(chosen), vectors[list(chosen.values())]


class Model:
    """Weights of n-grams, fitted to tokens and their vectors, float32 (tokens, dim).

    ``progress`` is called with the bytes of the fitted vectors.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        vectors: Float32Array,
        progress: Progress | None = None,
    ) -> None:
        found = ngrams(tokens)
        distinct, place, occurrences = np.unique(
            found.hashes, return_inverse=True, return_counts=True
        )
        kept: BoolArray = occurrences >= OCCURRENCES
        self._hashes = distinct[kept]  # ascending
        self._mean = np.empty(vectors.shape[1])
        self._weights = np.empty((vectors.shape[1], len(self._hashes)), np.float32)
        chosen = kept[place]
        counts = Counts(
            found.owners[chosen],
            (np.cumsum(kept) - 1)[place[chosen]],
            len(tokens),
            len(self._hashes),
        )
        for dim, column in enumerate(vectors.T):
            target = column.astype(np.float64)
            # one number after the other, so that any machine has the same bits
            self._mean[dim] = np.add.accumulate(target)[-1] / len(target)
            apart = target - self._mean[dim]
            weights = ridge(counts, apart, penalty=PENALTY, steps=STEPS)
            with np.errstate(over="ignore"):
                self._weights[dim] = weights
            if progress is not None:
                progress(column.nbytes * (dim + 1), vectors.nbytes)

    def known(self, tokens: Sequence[str]) -> Int64Array:
        """Return how many n-grams of each token have weights, (len(tokens),)."""
        return np.bincount(self._counts(tokens).rows, minlength=len(tokens))

    def vectors(self, tokens: Sequence[str]) -> Float32Array:
        """Return the vectors predicted, (len(tokens), dim)."""
        counts = self._counts(tokens)
        out = np.empty((len(tokens), len(self._mean)), np.float32)
        for dim, (mean, weights) in enumerate(
            zip(self._mean, self._weights, strict=True)
        ):
            with np.errstate(over="ignore", invalid="ignore"):
                out[:, dim] = mean + counts.times(weights)
        return out

    def _counts(self, tokens: Sequence[str]) -> Counts:
        """Return which n-grams with weights occur in tokens."""
        found = ngrams(tokens)
        place = np.searchsorted(self._hashes, found.hashes)
        inside = place < len(self._hashes)
        has = np.zeros(len(place), np.bool_)
        has[inside] = self._hashes[place[inside]] == found.hashes[inside]
        return Counts(found.owners[has], place[has], len(tokens), len(self._hashes))


class NGrams(NamedTuple):
    """The n-grams of some tokens, in the order of the tokens."""

    owners: Int64Array  # (n-grams,) the place of the token, rising
    hashes: UInt64Array  # (n-grams,)


def ngrams(tokens: Sequence[str]) -> NGrams:
    """Return the n-grams of tokens, repeated ones too."""
    marked = [f"<{token}>" for token in tokens]
    raw = "".join(marked).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(raw, "<u4").astype(np.uint64)
    lengths = np.array([len(token) for token in marked], np.int64)
    owner = np.repeat(np.arange(len(marked)), lengths)
    left = np.cumsum(lengths)[owner] - np.arange(len(points))  # to the end of the token
    owners, hashes = [], []
    hashed = np.ones(len(points), np.uint64)  # so that the length is in the hash
    for length in range(1, LONGEST + 1):
        later = points[length - 1 :]
        hashed = hashed[: len(later)] * _FACTOR + later
        if length >= SHORTEST:
            begins = np.flatnonzero(left[: len(later)] >= length)
            owners.append(owner[begins])
            hashes.append(hashed[begins])
    together = np.concatenate(owners)
    order = np.argsort(together, kind="stable")
    return NGrams(together[order], np.concatenate(hashes)[order])


class Counts(NamedTuple):
    """How often each row has each feature, as a list of single occurrences."""

    rows: Int64Array  # (occurrences,)
    features: Int64Array  # (occurrences,)
    row_count: int
    feature_count: int

    def times(self, weights: FloatArray) -> Float64Array:
        """Return the sum of the weights of each row's features, (row_count,)."""
        return _sums(self.rows, weights[self.features], self.row_count)

    def transposed_times(self, values: Float64Array) -> Float64Array:
        """Return the sum of the values of each feature's rows, (feature_count,)."""
        return _sums(self.features, values[self.rows], self.feature_count)


def ridge(
    counts: Counts, target: Float64Array, *, penalty: float, steps: int
) -> Float64Array:
    """Return weights w, (feature_count,), after some steps towards the minimum of

    ``sum((counts.times(w) - target)**2) + penalty * sum(w**2)``, from zeros.
    """
    scale = 1.0 / (
        np.bincount(counts.features, minlength=counts.feature_count) + penalty
    )
    weights = np.zeros(counts.feature_count)
    error = counts.transposed_times(target)
    scaled = scale * error
    direction = scaled
    size = start = _dot(error, scaled)
    for _ in range(steps):
        if size <= _ENOUGH * start:
            break
        image = counts.transposed_times(counts.times(direction)) + penalty * direction
        step = size / _dot(direction, image)
        weights += step * direction
        error = error - step * image
        scaled = scale * error
        before, size = size, _dot(error, scaled)
        direction = scaled + (size / before) * direction
    return weights


def _sums(places: Int64Array, values: FloatArray, count: int) -> Float64Array:
    """Return the sum of the values of each place, added in their order."""
    return np.bincount(places, values, count).astype(np.float64, copy=False)


def _dot(one: Float64Array, other: Float64Array) -> float:
    # np.dot and np.sum use another order
    return float(np.add.accumulate(one * other)[-1]) if len(one) else 0.0
