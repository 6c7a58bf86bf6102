"""The n-grams of tokens as finalfusion finds their rows: by a hash, or in a list.

A token is put between ``<`` and ``>``; its n-grams are all runs of min_n to max_n of
its characters, a mark alone among them. The hash is 64-bit FNV-1a over the number of
characters (8 bytes) and the code point of each (4 bytes), little-endian.

https://github.com/finalfusion/finalfusion-rust/blob/main/src/subword.rs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pretrained_embed.arrays import Int64Array, UInt64Array
from pretrained_embed.formats.subwords.sums import Pieces

_FNV_BASIS, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def hashed_pieces(
    tokens: Sequence[str], min_n: int, max_n: int, exponent: int
) -> Pieces:
    """Return the buckets of all n-grams; there are 2 ** exponent."""
    words = [f"<{token}>" for token in tokens]
    raw = "".join(words).encode("utf-32-le", "surrogatepass")
    points = np.frombuffer(raw, np.uint8).reshape(-1, 4).astype(np.uint64)
    lengths = np.array([len(word) for word in words], np.int64)
    ends = np.repeat(np.cumsum(lengths), lengths)  # of the word of each character

    begins, buckets = [], []
    for size in range(min_n, min(max_n, int(lengths.max(initial=0))) + 1):
        at = np.arange(len(ends) - size + 1)
        at = at[at + size <= ends[at]]
        begins.append(at)
        hashes = _hash(points, at, size) & np.uint64((1 << exponent) - 1)
        buckets.append(hashes.astype(np.int64))
    at = np.concatenate([*begins, np.empty(0, np.int64)])
    order = np.argsort(at, kind="stable")
    word_of = np.repeat(np.arange(len(words)), lengths)
    counts = np.bincount(word_of[at], minlength=len(words)).astype(np.int64)
    return Pieces(np.concatenate([*buckets, np.empty(0, np.int64)])[order], counts)


def listed_pieces(
    tokens: Sequence[str], min_n: int, max_n: int, listed: dict[str, int]
) -> Pieces:
    """Return the rows of those n-grams that are listed with one."""
    rows = [
        [listed[ngram] for ngram in _ngrams(token, min_n, max_n) if ngram in listed]
        for token in tokens
    ]
    counts = np.array([len(some) for some in rows], np.int64)
    return Pieces(np.array([row for some in rows for row in some], np.int64), counts)


def _ngrams(token: str, min_n: int, max_n: int) -> Iterator[str]:
    word = f"<{token}>"
    for start in range(len(word)):
        for end in range(start + min_n, min(start + max_n, len(word)) + 1):
            yield word[start:end]


def _hash(points: UInt64Array, at: Int64Array, size: int) -> UInt64Array:
    """Return the hashes of the runs of so many characters that begin at ``at``."""
    hashes = np.full(len(at), _FNV_BASIS)
    for byte in size.to_bytes(8, "little"):
        hashes = (hashes ^ np.uint64(byte)) * _FNV_PRIME
    for character in range(size):
        for byte in range(4):
            hashes = (hashes ^ points[at + character, byte]) * _FNV_PRIME
    return hashes
