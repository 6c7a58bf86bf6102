"""Character n-grams of tokens, as numbers.

A token stands between ``<`` and ``>``, as in fastText (Bojanowski et al., TACL 5,
2017), and its n-grams are of characters. Each is known by a polynomial hash of 64 bits
of its code points, which no two of a million are likely to share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import Int64Array, UInt64Array

#: The lengths of n-grams, in characters.
SHORTEST, LONGEST = 3, 6


_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so no power of it is 0


class NGrams(NamedTuple):
    """The n-grams of some tokens, those of the first token first."""

    owners: Int64Array  # (n-grams,) the place of the token, rising
    hashes: UInt64Array  # (n-grams,)


def ngrams(tokens: Sequence[str]) -> NGrams:
    """Return the n-grams of tokens; one that occurs twice in a token is there twice."""
    marked = [f"<{token}>" for token in tokens]
    raw = "".join(marked).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(raw, "<u4").astype(np.uint64)
    lengths = np.array([len(token) for token in marked], np.int64)
    owner = np.repeat(np.arange(len(marked)), lengths)
    left = np.cumsum(lengths)[owner] - np.arange(len(points))  # to the token's end
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
