"""Lines of tokens: plain, with counts, or BERT's ``vocab.txt``.

text
    One token a line; the line number, from 0, is the id. The file is UTF-8; a byte
    order mark at its very start is not part of the first token. A line ends at LF
    (0x0A) and nowhere else; one CR before the LF, or at the end of the file, goes with
    it. Nothing else is trimmed: spaces, tabs, NBSP, NEL and U+2028 belong to the token.
    No line is empty; the last one needs no LF.
counts
    The same, but each line is ``TOKEN TAB DIGITS``, split at its last tab. With a blank
    in place of the tab it has to be asked for, since tokens may hold blanks and end in
    numbers.
bert
    Text in which ``[PAD]`` and ``[UNK]`` are lines: they are pad and unk, and
    ``[CLS]``, ``[SEP]`` and ``[MASK]`` are special, too. A token that goes on in a word
    begins with ``##``.
    https://github.com/google-research/bert/blob/master/tokenization.py
"""

from __future__ import annotations

import re

import numpy as np

from pretrained_embed.arrays import BoolArray, Int64Array, PackedTokens, UInt8Array
from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.files.file import VocabularyFile
from pretrained_embed.vocabulary.special_tokens import parts_of
from pretrained_embed.vocabulary.token_rows import TokenRows, cut
from pretrained_embed.vocabulary.tokens import OwnTokenizer

_COUNT = re.compile(r".+\t[0-9]{1,18}")  # 18 digits fit int64
_BLANK_COUNT = re.compile(r".+ [0-9]{1,18}")
_DIGITS = 18
_WORDPIECE = (
    "whose settings this file lacks (load the tokenizer with transformers, and make "
    "the vocabulary of it: Vocabulary.of(tokenizer))"
)
_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_text(file: VocabularyFile) -> Content:
    """Return the lines as tokens."""
    return Content(_rows(file.lines, file.name))


def holds_counts(file: VocabularyFile) -> bool:
    """Tell whether the first line ends in a tab and a count."""
    return _COUNT.fullmatch(file.lines[0]) is not None


def read_counts(file: VocabularyFile) -> Content:
    """Return the tokens and their counts.

    A blank is between them where it is in the first line, as GloVe writes it.
    """
    lines = file.lines
    blank = not holds_counts(file) and _BLANK_COUNT.fullmatch(lines[0])
    starts, ends = lines.offsets[:-1], lines.offsets[1:]
    marks = np.flatnonzero(lines.data == ord(" " if blank else "\t"))
    last = np.concatenate([[-1], marks])[np.searchsorted(marks, ends)]
    counts, good = _numbers(lines.data, last + 1, ends)
    bad = np.flatnonzero(~good | (last <= starts))
    if len(bad):
        number = int(bad[0])
        raise VocabularyError(
            f"{file.name}:{number + 1}: expected TOKEN<{'BLANK' if blank else 'TAB'}>"
            "COUNT as in a list of "
            f"counts, COUNT a whole number of at most {_DIGITS} digits, found "
            f'{brief(lines[number])}; kind="text" takes each line as a token'
        )
    return Content(_rows(cut(lines.data, starts, last), file.name), counts=counts)


def _numbers(
    data: UInt8Array, starts: Int64Array, ends: Int64Array
) -> tuple[Int64Array, BoolArray]:
    """Return what pieces of ``data`` say as numbers, and which are numbers."""
    numbers = np.zeros(len(starts), np.int64)
    good = (ends > starts) & (ends - starts <= _DIGITS)
    for place in range(_DIGITS):
        there = np.flatnonzero(good & (ends - starts > place))
        digits = data[ends[there] - 1 - place] - np.uint8(ord("0"))  # others wrap
        numbers[there] += digits.astype(np.int64) * 10**place
        good[there] = digits < 10
    return numbers, good


def is_bert(file: VocabularyFile) -> bool:
    """Tell whether pad and unk of BERT are lines."""
    return len(TokenRows(file.lines).find(_BERT[:2])) == 2


def read_bert(file: VocabularyFile) -> Content:
    """Return the lines as tokens, the special ones by their names."""
    ids = _rows(file.lines, file.name).ids
    special = [token for token in _BERT if token in ids]
    pieces = any(token.startswith("##") for token in ids)
    return Content(
        ids,
        special_tokens=parts_of(special, {}),
        marks="wordpiece",
        own=OwnTokenizer("WordPiece", why=_WORDPIECE) if pieces else None,
    )


def _rows(lines: PackedTokens, name: str) -> TokenRows:
    """Return lines as tokens, none of them empty and none twice."""
    empty = np.flatnonzero(lines.offsets[1:] == lines.offsets[:-1])
    if len(empty):
        raise VocabularyError(
            f"{name}:{empty[0] + 1}: no token in this line; remove the line (a "
            "JSON list can hold an empty token)"
        )
    rows = TokenRows(lines)
    for first, second in rows.repeats():
        raise VocabularyError(
            f"{name}:{second + 1}: token {brief(lines[second])} is already in line "
            f"{first + 1}; a token has one id"
        )
    return rows
