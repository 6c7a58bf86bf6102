"""The vocabularies of finalfusion's files: words, and how n-grams find their rows.

::

    simple   = words:uint64 *string
    bucket   = words:uint64 min_n:uint32 max_n:uint32 exponent:uint32 *string
    fasttext = words:uint64 min_n:uint32 max_n:uint32 buckets:uint32 *string
    explicit = words:uint64 n-grams:uint64 min_n:uint32 max_n:uint32
               *string *(string row:uint64)
    string   = length:uint32 *UTF-8

Word ``i`` has row ``i`` of the storage; rows of n-grams follow those of the words:
2 ** exponent of them, as many as there are buckets, or those that are listed. A token
is put between ``<`` and ``>``; its n-grams are all runs of min_n to max_n of its
characters, a mark alone among them. Their hash is 64-bit FNV-1a over the number of
characters (8 bytes) and the code point of each (4 bytes), little-endian.

https://github.com/finalfusion/finalfusion-rust/tree/main/src/chunks/vocab and
https://github.com/finalfusion/finalfusion-rust/blob/main/src/subword.rs
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens, UInt64Array
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.local import Cursor
from pretrained_embed.formats.subwords.ngrams import Ngrams
from pretrained_embed.formats.subwords.sums import Pieces

_LONGEST = 64  # characters of an n-gram; 6 is usual
_HASHED = struct.Struct("<QIII")
_LISTED = struct.Struct("<QQII")
_SIMPLE, _BUCKET, _FASTTEXT, _EXPLICIT, _FLORET = 1, 3, 7, 8, 9

#: The kinds of chunks that are vocabularies.
KINDS = {_SIMPLE, _BUCKET, _FASTTEXT, _EXPLICIT, _FLORET}

#: Returns the rows of the n-grams of tokens, counted from the first of all n-grams.
Cut = Callable[[Sequence[str]], Pieces]


class WordList(NamedTuple):
    """The words of a file, and how others are cut into n-grams."""

    tokens: PackedTokens
    rows: int  # of words and n-grams together
    cut: Cut | None
    facts: dict[str, object]


def read_vocabulary(kind: int, cursor: Cursor) -> WordList:
    """Read a vocabulary, to where it ends."""
    if kind == _FLORET:
        raise FormatError(
            f"{cursor.where}: a floret vocabulary, which lists no words; read the "
            ".floret or .bin file that it was made of"
        )
    if kind == _SIMPLE:
        tokens = _words(cursor, cursor.unsigned(8))
        return WordList(tokens, len(tokens), None, {"vocabulary": "simple"})
    return _explicit(cursor) if kind == _EXPLICIT else _hashed(kind, cursor)


def _hashed(kind: int, cursor: Cursor) -> WordList:
    words, min_n, max_n, size = cursor.unpack(_HASHED)
    _check_sizes(cursor, min_n, max_n)
    if not 0 < size < (1 << 31 if kind == _FASTTEXT else 32):
        raise cursor.damaged(f"{size:,} as the number of buckets, or its exponent")
    name = "fasttext" if kind == _FASTTEXT else "bucket"
    buckets = size if kind == _FASTTEXT else 1 << size

    def cut(tokens: Sequence[str]) -> Pieces:
        if kind == _BUCKET:
            return hashed_pieces(tokens, min_n, max_n, exponent=size)
        # Unlike fastText, finalfusion takes a mark alone for an n-gram.
        ngrams = Ngrams(PackedTokens.pack(tokens), min_n, max_n, edges=True)
        rows = (ngrams.fnv1a() % np.uint32(buckets)).astype(np.int64)
        return Pieces(rows, ngrams.counts)

    facts = {"vocabulary": name, "min_n": min_n, "max_n": max_n, "buckets": buckets}
    return WordList(_words(cursor, words), words + buckets, cut, facts)


def _explicit(cursor: Cursor) -> WordList:
    words, count, min_n, max_n = cursor.unpack(_LISTED)
    _check_sizes(cursor, min_n, max_n)
    tokens = _words(cursor, words)
    if count > cursor.left // 12:
        raise cursor.damaged(f"{count:,} n-grams in {cursor.left:,} bytes")
    listed: dict[str, int] = {}
    for _ in range(count):
        ngram = str(cursor.take(cursor.unsigned(4)), "utf-8", "surrogateescape")
        listed[ngram] = cursor.unsigned(8)

    def cut(tokens: Sequence[str]) -> Pieces:
        return listed_pieces(tokens, min_n, max_n, listed)

    rows = words + max(listed.values(), default=-1) + 1
    facts = {"vocabulary": "explicit", "min_n": min_n, "max_n": max_n, "ngrams": count}
    return WordList(tokens, rows, cut, facts)


def _check_sizes(cursor: Cursor, min_n: int, max_n: int) -> None:
    if not 0 < min_n <= max_n <= _LONGEST:
        raise cursor.damaged(
            f"n-grams of {min_n:,} to {max_n:,} characters; 1 to {_LONGEST} are read"
        )


def _words(cursor: Cursor, count: int) -> PackedTokens:
    if count > cursor.left // 4:
        raise cursor.damaged(f"{count:,} words in {cursor.left:,} bytes")
    words = [bytes(cursor.take(cursor.unsigned(4))) for _ in range(count)]
    return PackedTokens.join(words)


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
