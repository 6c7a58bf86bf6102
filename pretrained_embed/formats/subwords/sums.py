"""Vectors made of the pieces of tokens: fastText's way, and floret's.

A token's vector is the mean of the rows of its pieces. Pieces share rows, the buckets,
by their hashes. The rows are read by number, a few of them at a time, because a table
may be larger than the memory: of a mapped file no more than `_WINDOW` bytes are held
for each thread.
"""

from __future__ import annotations

import mmap
from typing import NamedTuple, Protocol, cast

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    FloatArray,
    Int64Array,
    PackedTokens,
    UInt8Array,
)
from pretrained_embed.formats.parallel import run_in_order
from pretrained_embed.formats.subwords.ngrams import Ngrams, murmur3

#: Bytes of a file that are mapped at once. The system maps more than what is touched:
#: rows at random soon have it map the whole file.
_WINDOW = 1 << 24


class RowSource(Protocol):
    """A table of vectors."""

    @property
    def dim(self) -> int:
        """Values of a row."""

    @property
    def whole(self) -> Float32Array | None:
        """All rows, where they are at hand as they stand."""

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return the rows of these numbers, which rise: float32 (len(rows), dim)."""


class ArrayRows:
    """Rows of an array (rows, dim) of floating-point numbers."""

    def __init__(self, array: FloatArray) -> None:
        self._array = array
        self.dim: int = array.shape[1]
        flags, plain = array.flags, array.dtype == np.float32
        at_hand = plain and flags.c_contiguous and flags.aligned
        self.whole = cast(Float32Array, array) if at_hand else None

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return some rows. See `RowSource`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._array[rows].astype(np.float32, copy=False)


class MappedRows:
    """Rows of little-endian binary32 that begin anywhere in a mapped file."""

    whole = None

    def __init__(self, file: mmap.mmap, offset: int, count: int, dim: int) -> None:
        self.dim = dim
        self._file = file
        self._offset = offset
        # as opaque rows: numpy would copy an unaligned array of numbers first
        self._rows = np.frombuffer(file, f"V{4 * dim}", count, offset)

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return some rows. See `RowSource`."""
        out = np.empty(len(rows), self._rows.dtype)
        size = len(self._file)
        windows = -(-size // _WINDOW)
        begins = np.arange(windows + 1) * _WINDOW
        cuts = np.searchsorted(rows * (4 * self.dim) + self._offset, begins)
        filled = np.flatnonzero(np.diff(cuts))

        def work(number: int) -> None:
            window = int(filled[number])
            part = slice(cuts[window], cuts[window + 1])
            np.take(self._rows, rows[part], out=out[part], mode="clip")
            if hasattr(self._file, "madvise"):
                begin = window * _WINDOW
                length = min(_WINDOW, size - begin)
                self._file.madvise(mmap.MADV_DONTNEED, begin, length)

        for _ in run_in_order(work, len(filled), threads):
            pass
        numbers = out.view("<f4").reshape(len(rows), self.dim)
        return numbers.astype(np.float32, copy=False)


class Quantiser(NamedTuple):
    """A product quantiser: a vector is cut into parts, each one of 256 centroids."""

    width: int  # values of a part; the last part may have fewer
    centroids: Float32Array  # (dim * 256,), part after part

    def decode(self, codes: UInt8Array, dim: int) -> Float32Array:
        """Return the vectors of codes (rows, parts): float32 (rows, dim)."""
        out = np.empty((len(codes), dim), np.float32)
        for part, begin in enumerate(range(0, dim, self.width)):
            end = min(begin + self.width, dim)
            table = self.centroids[256 * begin : 256 * end].reshape(256, end - begin)
            out[:, begin:end] = table[codes[:, part]]
        return out


class QuantisedRows:
    """Rows that are kept as codes of a product quantiser."""

    whole = None

    def __init__(
        self,
        dim: int,
        codes: UInt8Array,
        quantiser: Quantiser,
        norms: Float32Array | None,
    ) -> None:
        self.dim = dim
        self._codes = codes  # (rows, parts)
        self._quantiser = quantiser
        self._norms = norms  # (rows,), where they are kept apart

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return some rows. See `RowSource`."""
        vectors = self._quantiser.decode(self._codes[rows], self.dim)
        if self._norms is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                vectors *= self._norms[rows][:, None]
        return vectors


#: Tokens that are cut into pieces at once; bytes of rows that are held at once, many,
#: because the whole table is gone through for them; and tokens that a thread adds up
#: at a time.
TOKENS_AT_ONCE, _ROOM, _PART_TOKENS = 1 << 14, 3 << 26, 256

#: Characters of an n-gram beyond which a file is taken to be damaged: a token has as
#: many pieces as this times its length.
LONGEST_NGRAM = 255

#: What fastText makes of the end of a line: a token without n-grams.
_EOS = b"</s>"


class Pieces(NamedTuple):
    """The rows of the pieces of some tokens, token after token."""

    rows: Int64Array
    counts: Int64Array  # (tokens,): how many of them each token has


class Cutting(Protocol):
    """How tokens are cut into pieces."""

    def __call__(self, tokens: PackedTokens) -> Pieces:
        """Return the pieces of tokens."""


class FastTextCutting(NamedTuple):
    """fastText's way: n-grams by their FNV-1a hash, one bucket each."""

    min_n: int
    max_n: int
    bucket: int

    def __call__(self, tokens: PackedTokens) -> Pieces:
        """Return the buckets of the n-grams of tokens."""
        ngrams = Ngrams(tokens, self.min_n, self.max_n)
        rows = (ngrams.fnv1a() % np.uint32(self.bucket)).astype(np.int64)
        return _without(Pieces(rows, ngrams.counts), tokens, _EOS)


class FloretCutting(NamedTuple):
    """floret's way: token and n-grams by MurmurHash3, one to four buckets each.

    With ``edges`` it is spaCy's way: a mark alone is an n-gram and, if ``min_n`` is 0,
    so are the empty strings between the characters and around them. ``without`` is the
    token that has no pieces. https://github.com/explosion/floret
    """

    min_n: int
    max_n: int
    bucket: int
    hash_count: int
    seed: int = 2166136261
    marks: tuple[bytes, bytes] = (b"<", b">")
    edges: bool = False
    without: bytes = _EOS

    def __call__(self, tokens: PackedTokens) -> Pieces:
        """Return the buckets of tokens and of their n-grams."""
        ngrams = Ngrams(
            tokens, self.min_n, self.max_n, marks=self.marks, edges=self.edges
        )
        data, starts, ends = ngrams.spans()
        wholes = ngrams.marked.offsets
        # before its n-grams each token has itself, and empty strings
        empty = self.edges and self.min_n == 0
        before = ngrams.lengths + 2 if empty else np.ones_like(ngrams.lengths)
        itself = np.cumsum(before) - before
        first, last = np.zeros((2, int(before.sum())), np.int64)
        first[itself], last[itself] = wholes[:-1], wholes[1:]
        places = np.repeat(np.cumsum(ngrams.counts) - ngrams.counts, before)
        starts, ends = np.insert(starts, places, first), np.insert(ends, places, last)
        hashes = murmur3(data, starts, ends, self.seed)
        quarters = hashes.astype("<u8").view("<u4")[:, : self.hash_count]
        rows = (quarters % np.uint32(self.bucket)).astype(np.int64).ravel()
        pieces = Pieces(rows, (ngrams.counts + before) * self.hash_count)
        return _without(pieces, tokens, self.without)


def _without(pieces: Pieces, tokens: PackedTokens, token: bytes) -> Pieces:
    """Return the pieces, but none of the tokens that are this one."""
    alike = np.flatnonzero(np.diff(tokens.offsets) == len(token))
    places = tokens.offsets[alike][:, None] + np.arange(len(token))
    same = np.all(tokens.data[places] == np.frombuffer(token, np.uint8), axis=1)
    counts = pieces.counts.copy()
    counts[alike[same]] = 0
    return Pieces(pieces.rows[np.repeat(counts > 0, pieces.counts)], counts)


def composed(
    tokens: PackedTokens,
    cut: Cutting,
    source: RowSource,
    out: Float32Array,
    *,
    threads: int,
) -> BoolArray:
    """Write the vectors of tokens to ``out``; return which have pieces.

    In binary32 and in fastText's order: the rows are added one by one to zero, the sum
    is multiplied by one over their number.
    """
    could = np.zeros(len(tokens), np.bool_)
    for start in range(0, len(tokens), TOKENS_AT_ONCE):
        stop = start + TOKENS_AT_ONCE
        pieces = cut(tokens[start:stop])
        could[start:stop] = pieces.counts > 0
        means(pieces, source, out[start:stop], threads=threads)
    return could


def means(
    pieces: Pieces, source: RowSource, out: Float32Array, *, threads: int
) -> None:
    """Write the mean of each token's rows to ``out``; tokens without keep theirs."""
    rows, counts = pieces
    if source.whole is not None:
        _add_up(source.whole, rows, counts, out, threads)
        return
    distinct, places = np.unique(rows, return_inverse=True)
    if 4 * source.dim * len(distinct) > _ROOM and len(counts) > 1:
        half = len(counts) // 2
        middle = int(counts[:half].sum())
        first = Pieces(rows[:middle], counts[:half])
        second = Pieces(rows[middle:], counts[half:])
        means(first, source, out[:half], threads=threads)
        means(second, source, out[half:], threads=threads)
        return
    _add_up(source.read(distinct, threads), places, counts, out, threads)


def _add_up(
    vectors: Float32Array,
    places: Int64Array,
    counts: Int64Array,
    out: Float32Array,
    threads: int,
) -> None:
    """Write the means; a token's rows are those at so many of ``places`` in turn."""
    offsets = np.append(0, np.cumsum(counts))

    def work(part: int) -> None:
        first = part * _PART_TOKENS
        last = min(first + _PART_TOKENS, len(out))
        kernel.average(vectors, places, offsets[first : last + 1], out[first:last])

    for _ in run_in_order(work, -(-len(out) // _PART_TOKENS), threads):
        pass
