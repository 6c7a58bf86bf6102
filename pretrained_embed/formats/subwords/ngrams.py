"""The character n-grams of packed tokens, all at once, in fastText's order.

A token is put between two marks, ``<`` and ``>``, and is then a row of characters: each
is a byte and the UTF-8 continuation bytes (10xxxxxx) behind it, whether or not that is
UTF-8. Its n-grams are all runs of ``min_n`` to ``max_n`` characters, by the character
they begin with and then by length, but for a mark alone. Defined by
``Dictionary::computeSubwords``,
https://github.com/facebookresearch/fastText/blob/main/src/dictionary.cc

Also MurmurHash of many runs of bytes at once. Both functions were written and put into
the public domain by Austin Appleby, https://github.com/aappleby/smhasher. Runs of one
length are hashed together: the time depends on the number of different lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import (
    Int64Array,
    PackedTokens,
    UInt8Array,
    UInt32Array,
    UInt64Array,
)

_FNV_BASIS, _FNV_PRIME = 2166136261, np.uint32(16777619)


class Spans(NamedTuple):
    """Runs of bytes: run ``i`` is ``data[starts[i]:ends[i]]``."""

    data: UInt8Array
    starts: Int64Array
    ends: Int64Array


class Ngrams:
    """The n-grams of some tokens.

    ``counts`` is int64 (tokens,): how many there are of each token. With ``edges`` a
    mark alone is one, too. ``marked`` are the tokens between their marks, ``lengths``
    their characters.
    """

    def __init__(
        self,
        tokens: PackedTokens,
        min_n: int,
        max_n: int,
        *,
        marks: tuple[bytes, bytes] = (b"<", b">"),
        edges: bool = False,
    ) -> None:
        self.marked = _marked(tokens, *marks)
        data = self.marked.data
        begins = np.flatnonzero((data & 0xC0) != 0x80)  # of characters
        borders = np.searchsorted(begins, self.marked.offsets)  # of tokens, in those
        self.lengths: Int64Array = np.diff(borders)
        self._low = max(min_n, 1)
        self._high = min(max_n, int(self.lengths.max(initial=0)))
        self._edges = np.append(begins, len(data))
        self._last = np.repeat(
            borders[1:], self.lengths
        )  # behind each character's token
        sizes = np.arange(self._low, self._high + 1)
        valid = np.arange(len(begins))[:, None] + sizes <= self._last[:, None]
        if not edges and valid.size and self._low == 1:
            valid[borders[:-1], 0] = valid[borders[1:] - 1, 0] = False
        self._valid = valid  # (characters, sizes): whether an n-gram begins there
        sums = np.append(0, np.cumsum(np.count_nonzero(valid, axis=1)))
        self.counts: Int64Array = np.diff(sums[borders])

    def fnv1a(self) -> UInt32Array:
        """Return the FNV-1a hash of each n-gram, as fastText has it: bytes are signed.

        http://www.isthe.com/chongo/tech/comp/fnv/
        """
        signed = self.marked.data.view(np.int8).astype(np.uint32)
        hashes = np.empty(self._valid.shape, np.uint32)
        state = np.full(len(self._valid), _FNV_BASIS, np.uint32)
        live = np.arange(len(state))
        for n in range(1, self._high + 1):
            live = live[live + n <= self._last[live]]
            going, at, end = live, self._edges[live + n - 1], self._edges[live + n]
            while len(going):
                state[going] = (state[going] ^ signed[at]) * _FNV_PRIME
                more = at + 1 < end
                going, at, end = going[more], at[more] + 1, end[more]
            if n >= self._low:
                hashes[:, n - self._low] = state
        return hashes[self._valid]

    def spans(self) -> Spans:
        """Return where in the marked tokens each n-gram lies."""
        character, column = np.nonzero(self._valid)
        ends = self._edges[character + column + self._low]
        return Spans(self.marked.data, self._edges[character], ends)


def _marked(tokens: PackedTokens, begin: bytes, end: bytes) -> PackedTokens:
    """Return the tokens between two marks."""
    more = np.arange(len(tokens) + 1) * (len(begin) + len(end))
    offsets = tokens.offsets + more
    data = np.empty(int(offsets[-1]), np.uint8)
    own = np.ones(len(data), np.bool_)
    places = [(offsets[:-1] + place, byte) for place, byte in enumerate(begin)]
    lasts = offsets[1:] - len(end)
    places += [(lasts + place, byte) for place, byte in enumerate(end)]
    for place, byte in places:
        data[place] = byte
        own[place] = False
    data[own] = tokens.data
    return PackedTokens(data, offsets)


_M2 = np.uint64(0xC6A4A7935BD1E995)
_M3_1, _M3_2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_FIVE, _ADD_1, _ADD_2 = np.uint64(5), np.uint64(0x52DCE729), np.uint64(0x38495AB5)


def murmur2(
    data: UInt8Array, starts: Int64Array, ends: Int64Array, seed: int
) -> UInt64Array:
    """Return MurmurHash64A of each run ``data[starts[i]:ends[i]]``."""
    hashes = np.empty(len(starts), np.uint64)
    for chosen, words, length in _by_length(data, starts, ends, 8):
        start = (seed ^ length * int(_M2)) % 2**64
        h = np.full(len(chosen), start, np.uint64)
        for column in range(length // 8):
            k = words[:, column] * _M2
            h = (h ^ _shifted(k, 47) * _M2) * _M2
        if length % 8:
            h = (h ^ words[:, -1]) * _M2
        h = _shifted(h, 47) * _M2
        hashes[chosen] = _shifted(h, 47)
    return hashes


def murmur3(
    data: UInt8Array, starts: Int64Array, ends: Int64Array, seed: int
) -> UInt64Array:
    """Return MurmurHash3_x64_128 of each run, uint64 (runs, 2)."""
    hashes = np.empty((len(starts), 2), np.uint64)
    for chosen, words, length in _by_length(data, starts, ends, 16):
        h1 = np.full(len(chosen), seed, np.uint64)
        h2 = h1.copy()
        whole = length // 16
        for column in range(0, 2 * whole, 2):
            h1 = h1 ^ _rotated(words[:, column] * _M3_1, 31) * _M3_2
            h1 = (_rotated(h1, 27) + h2) * _FIVE + _ADD_1
            h2 = h2 ^ _rotated(words[:, column + 1] * _M3_2, 33) * _M3_1
            h2 = (_rotated(h2, 31) + h1) * _FIVE + _ADD_2
        if length % 16:  # the bytes that are missing count as zeros, which change none
            h2 = h2 ^ _rotated(words[:, 2 * whole + 1] * _M3_2, 33) * _M3_1
            h1 = h1 ^ _rotated(words[:, 2 * whole] * _M3_1, 31) * _M3_2
        h1, h2 = h1 ^ np.uint64(length), h2 ^ np.uint64(length)
        h1 = h1 + h2
        h2 = h2 + h1
        h1, h2 = _mixed(h1), _mixed(h2)
        h1 = h1 + h2
        hashes[chosen, 0], hashes[chosen, 1] = h1, h2 + h1
    return hashes


def _by_length(
    data: UInt8Array, starts: Int64Array, ends: Int64Array, step: int
) -> Iterator[tuple[Int64Array, UInt64Array, int]]:
    """Yield runs of one length: their numbers, their words, the length in bytes.

    The words are little-endian, zeros behind the last byte up to a multiple of
    ``step`` bytes.
    """
    lengths = ends - starts
    order = np.argsort(lengths, kind="stable")
    sizes, firsts = np.unique(lengths[order], return_index=True)
    stops = np.append(firsts[1:], len(order))
    for length, first, stop in zip(
        sizes.tolist(), firsts, stops[: len(sizes)], strict=True
    ):
        chosen = order[first:stop]
        padded = np.zeros((len(chosen), -(-length // step) * step), np.uint8)
        for place in range(length):
            padded[:, place] = data[starts[chosen] + place]
        yield chosen, padded.view("<u8").astype(np.uint64, copy=False), length


def _shifted(h: UInt64Array, by: int) -> UInt64Array:
    return h ^ h >> np.uint64(by)


def _rotated(h: UInt64Array, by: int) -> UInt64Array:
    return h << np.uint64(by) | h >> np.uint64(64 - by)


def _mixed(h: UInt64Array) -> UInt64Array:
    h = _shifted(h, 33) * _MIX_1
    h = _shifted(h, 33) * _MIX_2
    return _shifted(h, 33)
