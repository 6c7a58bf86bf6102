"""Vectors that gensim's FastText makes of a word's own row and those of its n-grams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    BoolArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    joined,
)
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.gensim.arrays import Arrays
from pretrained_embed.formats.pickles.pickled import PickledObject, integer_of
from pretrained_embed.formats.subwords.ngrams import Ngrams
from pretrained_embed.formats.subwords.readers import ComputedRows, add_pieces
from pretrained_embed.formats.subwords.sums import Pieces

_LONGEST = 64  # characters of an n-gram; 6 is usual


class BucketRows:
    """The rows of a model's buckets of n-grams."""

    def __init__(self, table: AnyArray, min_n: int, max_n: int) -> None:
        self.table = table  # (buckets, dim)
        self._sizes = min_n, max_n

    def pieces(self, tokens: PackedTokens) -> Pieces:
        """Return the buckets of the tokens' n-grams."""
        ngrams = Ngrams(tokens, *self._sizes)
        buckets = ngrams.fnv1a() % np.uint32(len(self.table))
        return Pieces(buckets.astype(np.int64), ngrams.counts)

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Write the mean of each token's n-grams into zeros; return which have any."""
        pieces = self.pieces(PackedTokens.pack(tokens))
        add_pieces(out, pieces, self.table)
        with np.errstate(invalid="ignore"):
            out /= np.maximum(pieces.counts, 1).astype(np.float32)[:, None]
        return pieces.counts > 0


class WordRows(ComputedRows):
    """The vectors of a model's words."""

    def __init__(
        self, own: AnyArray, tokens: PackedTokens, buckets: BucketRows
    ) -> None:
        self._own = own  # (words, dim)
        self._tokens = tokens
        self._buckets = buckets
        self.shape = own.shape

    def __getitem__(self, rows: slice | Int64Array) -> Float32Array:
        """Return some rows, each the mean of the word's own and its n-grams' rows."""
        if isinstance(rows, slice):
            tokens = self._tokens[rows]
        else:
            tokens = joined([self._tokens[row : row + 1] for row in rows.tolist()])
        pieces = self._buckets.pieces(tokens)
        with np.errstate(over="ignore", invalid="ignore"):
            vectors = self._own[rows].astype(np.float32)
            add_pieces(vectors, pieces, self._buckets.table)
            vectors /= (pieces.counts + 1).astype(np.float32)[:, None]
        return vectors


def hashed_as_before(owner: PickledObject) -> bool:
    """Tell whether n-grams were hashed as before release 3.8: not as fastText does.

    Such files say nothing of a hash, or that it is not compatible.
    """
    attributes = owner.attributes
    has_ngrams = any(
        name in attributes for name in ("vectors_ngrams", "syn0_ngrams", "hash2index")
    ) or ("bucket" in attributes and integer_of(attributes["bucket"]) != 0)
    return has_ngrams and attributes.get("compatible_hash") is not True


def buckets_of(owner: PickledObject, arrays: Arrays, where: str) -> BucketRows | None:
    """Return the buckets of a FastText model, ``None`` where it has none.

    Raises `FormatError` where they are not what the model says they are.
    """
    attributes = owner.attributes
    min_n, max_n, buckets = (
        integer_of(attributes.get(name)) for name in ("min_n", "max_n", "bucket")
    )
    if min_n is None or max_n is None or not buckets:
        return None
    if hashed_as_before(owner):
        return None
    table = arrays.get("vectors_ngrams")
    if (
        table is None
        or table.ndim != 2
        or table.dtype.kind != "f"
        or table.shape != (buckets, table.shape[-1])
    ):
        raise FormatError(
            f"{where}: it has {buckets:,} buckets of n-grams, but no row for each of "
            "them; the file is damaged"
        )
    if max_n > _LONGEST:
        raise FormatError(
            f"{where}: n-grams of up to {max_n:,} characters; more than {_LONGEST} are "
            "not read"
        )
    return BucketRows(table, min_n, max_n)
