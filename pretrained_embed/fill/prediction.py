"""The policy "ngram": a token's vector as its character n-grams predict it.

A ridge regression from n-grams to vectors is fitted to the source's first rows, which
in the usual files are its most frequent tokens. A vector is the mean of these rows plus
the weights of the token's n-grams (compare Zhao, Mudgal and Liang: Generalizing Word
Embeddings using Bag of Subwords, EMNLP 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Int64Array, Progress
from pretrained_embed.fill.lookup import Lookup, Made
from pretrained_embed.fill.ngrams import ngrams
from pretrained_embed.fill.regression import Counts, ridge
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow

#: Rows of the source that the regression is fitted to.
ROWS = 50_000

#: How often an n-gram occurs in them at least. Others tell of a single token.
OCCURRENCES = 2

#: Of the regression: the larger it is, the smaller are the weights.
PENALTY = 5.0

#: Of the regression: more of them take more time and hardly change a vector.
STEPS = 8

_BLOCK_TOKENS = 1 << 14


def predict(tokens: Sequence[str], lookup: Lookup) -> Made:
    """Yield the vectors of the tokens that have an n-gram which the source has.

    Of the spellings of a token, the first of those with most such n-grams is taken.
    """
    sample = first_rows(lookup.reader, lookup.on_bad_row)
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


def first_rows(reader: Reader, on_bad_row: OnBadRow) -> tuple[list[str], Float32Array]:
    """Return the first `ROWS` tokens of a source, and their vectors.

    Later rows of a token, and rows with numbers that are not finite, are left out.
    """
    tokens: dict[str, None] = {}
    vectors = [np.empty((0, reader.dim), np.float32)]
    rows = 0
    for block in reader.blocks(on_bad_row=on_bad_row):
        infinite = set(np.nonzero(~np.isfinite(block.vectors))[0].tolist())
        chosen = []
        for row, token in enumerate(block.tokens[: ROWS - rows]):
            if row not in infinite and token not in tokens:
                tokens[token] = None
                chosen.append(row)
        vectors.append(block.vectors[chosen])
        rows += len(block.tokens)
        if rows >= ROWS:
            break
    return list(tokens), np.concatenate(vectors)


class Model:
    """Weights of n-grams, fitted to tokens and their vectors, float32 (tokens, dim).

    ``progress`` is called with the bytes of the vectors that it is fitted to.
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
        self._hashes = distinct[kept]  # rising
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
            # one number after the other, so the same on any machine
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
