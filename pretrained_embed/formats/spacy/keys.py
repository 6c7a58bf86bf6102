"""The numbers that spaCy has in place of tokens.

A token's key is its MurmurHash64A with seed 1, unless it is the name of one of spaCy's
symbols: the key is then the symbol's number. ``key2row`` is a MessagePack map from key
to row, both unsigned integers of any width::

    map    = (0x80 + pairs | 0xde uint16 | 0xdf uint32) pair pair ...
    pair   = number number
    number = 0x00 ... 0x7f | 0xcc uint8 | 0xcd uint16 | 0xce uint32 | 0xcf uint64

all big-endian. https://github.com/msgpack/msgpack/blob/master/spec.md and
https://github.com/explosion/spaCy/blob/master/spacy/strings.pyx

The numbers of the symbols have been the same since spaCy 2.0; new ones are added at the
end:
https://github.com/explosion/spaCy/blob/master/spacy/symbols.pyx
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens, UInt8Array, UInt64Array
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.subwords.ngrams import murmur2

_SEED = 1
#: First bytes of numbers, and how many bytes follow each; 16: none that begins one.
_WIDTHS = bytes(0x80) + b"\x10" * 0x4C + b"\1\2\4\x08" + b"\x10" * 0x30
_MAPS = {0xDE: 2, 0xDF: 4}


class KeyRows(NamedTuple):
    """The map of a file, in its order."""

    keys: UInt64Array
    rows: UInt64Array


def parse_key_rows(raw: bytes, where: str) -> KeyRows:
    """Parse ``key2row``; raises `FormatError`, and `TruncatedError` where it is cut."""
    first = raw[0] if raw else 0
    if first >> 4 == 8:
        pairs, start = first & 15, 1
    elif first in _MAPS:
        start = 1 + _MAPS[first]
        pairs = int.from_bytes(raw[1:start], "big")
    else:
        raise FormatError(f"{where}: is no MessagePack map; get the file again")
    if 2 * pairs > len(raw) - start:  # a number takes one byte at least
        raise TruncatedError(
            f"{where}: {pairs:,} pairs do not fit into its {len(raw):,} bytes; get the "
            "file again"
        )
    begins = np.empty(2 * pairs, np.int64)
    at = start
    for number in range(2 * pairs):
        if at >= len(raw):
            at += 1  # at least: this number is missing
            break
        begins[number] = at
        at += 1 + _WIDTHS[raw[at]]
    if at != len(raw):
        raise TruncatedError(
            f"{where}: {pairs:,} pairs end at byte {at:,}, the file at {len(raw):,}; "
            "get the file again"
        )
    numbers = _decoded(np.frombuffer(raw, np.uint8), begins, where)
    return KeyRows(numbers[::2], numbers[1::2])


def _decoded(raw: UInt8Array, begins: Int64Array, where: str) -> UInt64Array:
    firsts = raw[begins]
    widths = np.frombuffer(_WIDTHS, np.uint8)[firsts]
    numbers = firsts.astype(np.uint64)
    for width in np.unique(widths[widths > 0]).tolist():
        chosen = np.flatnonzero(widths == width)
        if width > 8:
            at = int(begins[chosen[0]])
            raise FormatError(
                f"{where}, offset {at:,}: no unsigned integer; the file is damaged"
            )
        parts = raw[begins[chosen][:, None] + np.arange(1, width + 1)]
        numbers[chosen] = parts.view(f">u{width}")[:, 0]
    return numbers


def keys_of(strings: Sequence[bytes]) -> UInt64Array:
    """Return the key of each string, which may be a symbol's name."""
    packed = PackedTokens.join(list(strings))
    keys = murmur2(packed.data, packed.offsets[:-1], packed.offsets[1:], _SEED)
    symbols = {name.encode("ascii"): number for number, name in enumerate(NAMES)}
    for place, string in enumerate(strings):
        number = symbols.get(string)
        if number is not None:
            keys[place] = number
    return keys


_FIRST = """
IS_ALPHA IS_ASCII IS_DIGIT IS_LOWER IS_PUNCT IS_SPACE IS_TITLE IS_UPPER LIKE_URL
LIKE_NUM LIKE_EMAIL IS_STOP IS_OOV_DEPRECATED IS_BRACKET IS_QUOTE IS_LEFT_PUNCT
IS_RIGHT_PUNCT IS_CURRENCY
"""
_ATTRIBUTES = """
ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE
HEAD SENT_START SPACY PROB LANG ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON
PROPN PUNCT SCONJ SYM VERB X EOL SPACE
"""
_LABELS = """
PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME
PERCENT MONEY QUANTITY ORDINAL CARDINAL acomp advcl advmod agent amod appos attr aux
auxpass cc ccomp complm conj cop csubj csubjpass dep det dobj expl hmod hyph infmod intj
iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num number oprd obj obl parataxis
partmod pcomp pobj poss possessive preconj prep prt punct quantmod relcl rcmod root
xcomp acl ENT_KB_ID MORPH ENT_ID IDX _
"""

#: The name of symbol number ``i``.
NAMES = (
    "",
    *_FIRST.split(),
    *(f"FLAG{number}" for number in range(19, 64)),
    *_ATTRIBUTES.split(),
    *(f"DEPRECATED{number:03}" for number in range(1, 277)),
    *_LABELS.split(),
)
