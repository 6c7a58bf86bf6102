"""The rows of a fastText model that its words, and other tokens, are made of."""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens
from pretrained_embed.formats.fasttext.dictionary import Pruned
from pretrained_embed.formats.fasttext.header import Head
from pretrained_embed.formats.subwords.sums import (
    Cutting,
    FastTextCutting,
    FloretCutting,
    Pieces,
)


class ModelCutting:
    """Cuts tokens into the rows of a model's matrix.

    First come the rows of the words, then the buckets, of which pruning keeps some.
    """

    def __init__(self, head: Head, pruned: Pruned | None) -> None:
        min_n, max_n = head.args["min_n"], head.max_n
        bucket, hashes = head.args["bucket"], head.hash_count
        self._cut: Cutting = FastTextCutting(min_n, max_n, bucket)
        if hashes:
            self._cut = FloretCutting(min_n, max_n, bucket, hashes)
        #: Whether any token has pieces besides the word itself.
        self.cuts = bucket > 0 and (hashes > 0 or max_n >= max(min_n, 1))
        self.cuts = self.cuts and (pruned is None or len(pruned.rows) > 0)
        self._pruned = pruned
        self._words = head.words
        # floret keeps rows of words, but uses the first alone: that of </s>
        self._own_rows = 1 if hashes else head.words

    def __call__(self, tokens: PackedTokens) -> Pieces:
        """Return the rows of the n-grams of tokens."""
        if not self.cuts:
            return Pieces(np.empty(0, np.int64), np.zeros(len(tokens), np.int64))
        pieces = self._cut(tokens)
        if self._pruned is not None:
            pieces = _kept(pieces, self._pruned)
        return Pieces(pieces.rows + self._words, pieces.counts)

    def of_words(self, words: Int64Array, tokens: PackedTokens) -> Pieces:
        """Return the rows of words: their own first."""
        pieces = self(tokens)
        own = words < self._own_rows
        firsts = np.cumsum(pieces.counts) - pieces.counts
        rows = np.insert(pieces.rows, firsts[own], words[own])
        return Pieces(rows, pieces.counts + own)


def _kept(pieces: Pieces, pruned: Pruned) -> Pieces:
    """Return the pieces that pruning left, as rows behind those of the words."""
    places = np.searchsorted(pruned.buckets, pieces.rows)
    places[places == len(pruned.buckets)] = 0
    kept = pruned.buckets[places] == pieces.rows
    before = np.append(0, np.cumsum(kept))
    ends = np.cumsum(pieces.counts)
    counts = before[ends] - before[ends - pieces.counts]
    return Pieces(pruned.rows[places[kept]], counts)
