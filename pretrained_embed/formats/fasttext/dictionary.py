"""The dictionary of a fastText model: its words, its labels, its pruned n-grams.

::

    dictionary = entry entry ... pair pair ...
    entry      = token NUL count type        int64, int8; type 0: a word, 1: a label
    pair       = bucket row                  int32 each; of a pruned model alone

Words come first. Defined by ``Dictionary::load``,
https://github.com/facebookresearch/fastText/blob/main/src/dictionary.cc
"""

from __future__ import annotations

import mmap
from array import array
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens, UInt8Array
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.fasttext.header import Head

#: Bytes of an entry behind its token: NUL, count, type.
_TAIL = 10
_NUL = b"\0"
#: Tokens that are copied at once.
_AT_ONCE = 1 << 16
#: Bytes of the dictionary that are looked at at once, and the zeros that end an entry.
_PIECE, _ZEROS = 1 << 16, 5


class Pruned(NamedTuple):
    """The buckets that were kept, rising, and the row of each behind the words."""

    buckets: Int64Array
    rows: Int64Array


class Dictionary(NamedTuple):
    """What the dictionary holds, and where in the file it ends."""

    words: PackedTokens
    labels: PackedTokens
    pruned: Pruned | None
    end: int


def read_dictionary(file: mmap.mmap, head: Head, where: str) -> Dictionary:
    """Read the dictionary behind a head.

    Raises `TruncatedError` where the file ends within it, `FormatError` where it
    contradicts itself.
    """
    if head.entries * _TAIL > len(file) - head.length:
        raise TruncatedError(
            f"{where}: its dictionary of {head.entries:,} entries does not fit into "
            f"{len(file):,} bytes; get the file again"
        )
    ends = _token_ends(file, head, where)
    stop = int(ends[-1]) + _TAIL
    raw = np.frombuffer(file, np.uint8, stop)
    types = raw[ends + _TAIL - 1]
    if types[: head.words].any() or not np.all(types[head.words :] == 1):
        raise FormatError(
            f"{where}: its dictionary does not list {head.words:,} words and then "
            f"{head.labels:,} labels; the file is damaged, get it again"
        )
    starts = np.append(head.length, ends[:-1] + _TAIL)
    tokens = picked(raw, starts, ends)
    pruned = None
    if head.pruned >= 0:
        pruned = _pruned(file, stop, head, where)
        stop += 8 * head.pruned
    return Dictionary(tokens[: head.words], tokens[head.words :], pruned, stop)


def picked(raw: UInt8Array, starts: Int64Array, ends: Int64Array) -> PackedTokens:
    """Pack the tokens that lie at ``raw[starts[i]:ends[i]]``."""
    lengths = ends - starts
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = np.empty(offsets[-1], np.uint8)
    for first in range(0, len(starts), _AT_ONCE):
        part = slice(first, min(first + _AT_ONCE, len(starts)))
        begin, end = offsets[part.start], offsets[part.stop]
        shifts = np.repeat(starts[part] - offsets[:-1][part], lengths[part])
        data[begin:end] = raw[np.arange(begin, end) + shifts]
    return PackedTokens(data, offsets)


def _token_ends(file: mmap.mmap, head: Head, where: str) -> Int64Array:
    """Return where the NUL behind each token stands.

    An entry's beginning is known only when the one before it has been read. But nearly
    all are alike enough to be guessed, many at once; the others are read one by one.
    """
    parts: list[Int64Array] = []
    found, position, steps = 0, head.length, 1
    while found < head.entries:
        ends = _guessed(np.frombuffer(file, np.uint8)[position : position + _PIECE])
        if len(ends):
            ends, steps = ends + position, 1
        else:
            ends, steps = _read(file, position, steps), 2 * steps
        ends = ends[: head.entries - found]
        if not len(ends) or ends[-1] + _TAIL > len(file):
            raise TruncatedError(
                f"{where}: ends within entry {found + max(len(ends), 1):,} of "
                f"{head.entries:,} of its dictionary; get the file again"
            )
        parts.append(ends)
        found += len(ends)
        position = int(ends[-1]) + _TAIL
    return np.concatenate(parts)


def _guessed(piece: UInt8Array) -> Int64Array:
    """Return where the first tokens of a piece end, none if they are not alike.

    A piece begins with a token. Behind the token of a word with a count below 2**32
    five zeros end the entry. So the guess: a token begins behind each run of five zeros
    or more, and ends at the next zero. It is right as long as the entry that ends there
    ends at the beginning of the next token.
    """
    zero = piece == 0
    turns = np.flatnonzero(zero[1:] != zero[:-1]) + 1
    if not len(turns) or zero[0]:
        return turns[:0]
    ends = turns[1::2]
    begins = turns[::2][: len(ends)]  # of runs of zeros
    runs = np.flatnonzero(ends - begins >= _ZEROS)
    tokens: Int64Array = begins[np.append(0, runs[:-1] + 1)[: len(runs)]]
    wrong = np.flatnonzero(tokens + _TAIL != ends[runs])
    return tokens[: wrong[0]] if len(wrong) else tokens


def _read(file: mmap.mmap, position: int, count: int) -> Int64Array:
    """Return where so many tokens end, fewer where the file does."""
    ends = array("q")
    while len(ends) < count and (end := file.find(_NUL, position)) >= 0:
        ends.append(end)
        position = end + _TAIL
    return np.frombuffer(ends, np.int64) if ends else np.empty(0, np.int64)


def _pruned(file: mmap.mmap, start: int, head: Head, where: str) -> Pruned:
    if 8 * head.pruned > len(file) - start:
        raise TruncatedError(
            f"{where}, offset {start:,}: ends within the {head.pruned:,} n-grams that "
            "pruning left; get the file again"
        )
    pairs = np.frombuffer(file, "<i4", 2 * head.pruned, start).reshape(-1, 2)
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")].astype(np.int64)
    buckets, rows = pairs[:, 0], pairs[:, 1]
    if len(rows) and not 0 <= rows.min() <= rows.max() < head.pruned:
        raise FormatError(
            f"{where}, offset {start:,}: an n-gram has row {rows.max():,} of "
            f"{head.pruned:,}; the file is damaged, get it again"
        )
    return Pruned(buckets, rows)
