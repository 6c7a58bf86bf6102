"""The vocabularies of finalfusion's files: words, and how n-grams find their rows.

::

    simple   = words:uint64 *string
    bucket   = words:uint64 min_n:uint32 max_n:uint32 exponent:uint32 *string
    fasttext = words:uint64 min_n:uint32 max_n:uint32 buckets:uint32 *string
    explicit = words:uint64 n-grams:uint64 min_n:uint32 max_n:uint32
               *string *(string row:uint64)
    string   = length:uint32 *UTF-8

Word ``i`` has row ``i`` of the storage; rows of n-grams follow those of the words:
2 ** exponent of them, as many as there are buckets, or those that are listed.

https://github.com/finalfusion/finalfusion-rust/tree/main/src/chunks/vocab
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.cursor import Cursor
from pretrained_embed.formats.finalfusion.ngrams import hashed_pieces, listed_pieces
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


class Vocabulary(NamedTuple):
    """The words of a file, and how others are cut into n-grams."""

    tokens: PackedTokens
    rows: int  # of words and n-grams together
    cut: Cut | None
    facts: dict[str, object]


def read_vocabulary(kind: int, cursor: Cursor) -> Vocabulary:
    """Read a vocabulary, to where it ends."""
    if kind == _FLORET:
        raise FormatError(
            f"{cursor.where}: a floret vocabulary, which lists no words; read the "
            ".floret or .bin file that it was made of"
        )
    if kind == _SIMPLE:
        tokens = _words(cursor, cursor.unsigned(8))
        return Vocabulary(tokens, len(tokens), None, {"vocabulary": "simple"})
    return _explicit(cursor) if kind == _EXPLICIT else _hashed(kind, cursor)


def _hashed(kind: int, cursor: Cursor) -> Vocabulary:
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
    return Vocabulary(_words(cursor, words), words + buckets, cut, facts)


def _explicit(cursor: Cursor) -> Vocabulary:
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
    return Vocabulary(tokens, rows, cut, facts)


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
