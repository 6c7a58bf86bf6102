"""The character n-grams of packed tokens, all at once, in fastText's order.

A token is put between two marks, ``<`` and ``>``, and is then a row of characters: each
is a byte and the UTF-8 continuation bytes (10xxxxxx) behind it, whether or not that is
UTF-8. Its n-grams are all runs of ``min_n`` to ``max_n`` characters, by the character
they begin with and then by length, but for a mark alone. Defined by
``Dictionary::computeSubwords``,
https://github.com/facebookresearch/fastText/blob/main/src/dictionary.cc
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens, UInt8Array, UInt32Array

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
