"""Lines of tokens: plain, with counts, or BERT's ``vocab.txt``.

text
    One token a line; the line number, from 0, is the id. The file is UTF-8; a byte
    order mark at its beginning is not part of the first token. A line ends only at LF
    (0x0A); one CR before the LF, or at the end of the file, is removed. Nothing else is
    removed: spaces, tabs, NBSP, NEL and U+2028 belong to the token. No line is empty;
    the last one needs no LF.
counts
    The same, but each line is ``TOKEN TAB DIGITS``, split at its last tab. With a blank
    instead of the tab, the kind must be given, since tokens may have blanks and end in
    numbers.
numbers
    Text whose tokens are integers, such as ids of items: see `number_rows`. The kind
    must be given.
bert
    Text in which ``[PAD]`` and ``[UNK]`` are lines: they are pad and unk, and
    ``[CLS]``, ``[SEP]`` and ``[MASK]`` are special, too. A token inside a word begins
    with ``##``. https://github.com/google-research/bert/blob/master/tokenization.py
gensim
    ``Dictionary.save_as_text``: a line with the number of documents, which old versions
    lack, then ``ID TAB TOKEN TAB DOCUMENTS`` lines in any order. The count is the
    number of documents with the token.
    https://github.com/piskvorky/gensim/blob/develop/gensim/corpora/dictionary.py
fasttext
    ``fasttext dump MODEL dict``: a line with the number of entries, then ``TOKEN COUNT
    word`` lines in order of id, and ``LABEL COUNT label`` lines, which are no tokens.
    https://github.com/facebookresearch/fastText/blob/main/src/dictionary.cc
"""

from __future__ import annotations

import re

import numpy as np

from pretrained_embed.arrays import (
    BoolArray,
    Int64Array,
    PackedTokens,
    UInt8Array,
    numbers_of,
)
from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import RawVocabulary, numbered, parts_of
from pretrained_embed.vocabulary.encoding import OwnTokenizer
from pretrained_embed.vocabulary.files.file import VocabularyFile
from pretrained_embed.vocabulary.number_rows import NumberRows
from pretrained_embed.vocabulary.token_rows import TokenRows, cut

_COUNT = re.compile(r".+\t[0-9]{1,18}")  # 18 digits fit in int64
_BLANK_COUNT = re.compile(r".+ [0-9]{1,18}")
_DIGITS = 18
_WORDPIECE = (
    "whose settings this file lacks (load the tokenizer with transformers, and make "
    "the vocabulary of it: Vocabulary.of(tokenizer))"
)
_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_text(file: VocabularyFile) -> RawVocabulary:
    """Return the lines as tokens."""
    return RawVocabulary(_rows(file.lines, file.name))


def holds_counts(file: VocabularyFile) -> bool:
    """Return whether the first line ends in a tab and a count."""
    return _COUNT.fullmatch(file.lines[0]) is not None


def read_counts(file: VocabularyFile) -> RawVocabulary:
    """Return the tokens and their counts.

    A blank separates them if it does so in the first line, as GloVe writes it.
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
    return RawVocabulary(_rows(cut(lines.data, starts, last), file.name), counts=counts)


def _numbers(
    data: UInt8Array, starts: Int64Array, ends: Int64Array
) -> tuple[Int64Array, BoolArray]:
    """Return the numbers that parts of ``data`` write, and a mask of those that do."""
    numbers = np.zeros(len(starts), np.int64)
    good = (ends > starts) & (ends - starts <= _DIGITS)
    for place in range(_DIGITS):
        there = np.flatnonzero(good & (ends - starts > place))
        # larger numbers would wrap
        digits = data[ends[there] - 1 - place] - np.uint8(ord("0"))
        numbers[there] += digits.astype(np.int64) * 10**place
        good[there] = digits < 10
    return numbers, good


def read_numbers(file: VocabularyFile) -> RawVocabulary:
    """Return the lines as integers, each written as `digits_of` writes it."""
    return RawVocabulary(numbers_in(file.lines, file.name, first=1))


def numbers_in(tokens: PackedTokens, name: str, *, first: int) -> TokenRows:
    """Return tokens as integers; ``first`` is the number of the first line.

    Raises `VocabularyError`, which names the line, for a token that is no number, a
    number that is written in another way, and one that is there twice.
    """
    numbers, good = numbers_of(tokens)
    for row in np.flatnonzero(~good).tolist():
        raise VocabularyError(
            f"{name}:{row + first}: {brief(tokens[row])} is no whole number of int64 "
            "as it is written here: digits alone, without blanks, +, a fraction or "
            "zeros in front"
        )
    rows = NumberRows(numbers)
    for one, again in rows.repeats():
        raise VocabularyError(
            f"{name}:{again + first}: the number {numbers[again]} is already in line "
            f"{one + first}; a token has one id"
        )
    return rows


def is_bert(file: VocabularyFile) -> bool:
    """Return whether BERT's pad and unk are lines of the file."""
    return len(TokenRows(file.lines).find(_BERT[:2])) == 2


def read_bert(file: VocabularyFile) -> RawVocabulary:
    """Return the lines as tokens, with the special ones by name."""
    ids = _rows(file.lines, file.name).ids
    special = [token for token in _BERT if token in ids]
    pieces = any(token.startswith("##") for token in ids)
    return RawVocabulary(
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


_NUMBER = re.compile(r"[0-9]{1,18}")
_GENSIM = re.compile(r"([0-9]{1,18})\t(.+)\t([0-9]{1,18})")
_FASTTEXT = re.compile(r"(.+) ([0-9]{1,18}) (word|label)")


def is_gensim(file: VocabularyFile) -> bool:
    """Return whether a number is followed by a line of id, token and count."""
    return _begins(file, _GENSIM)


def is_fasttext(file: VocabularyFile) -> bool:
    """Return whether a number is followed by a line of token, count and kind."""
    return _begins(file, _FASTTEXT)


def _begins(file: VocabularyFile, entry: re.Pattern[str]) -> bool:
    first, *rest = file.lines[:2].unpack()
    return bool(_NUMBER.fullmatch(first) and rest and entry.fullmatch(rest[0]))


def read_gensim(file: VocabularyFile) -> RawVocabulary:
    """Return tokens, ids and numbers of documents."""
    ids: dict[str, int] = {}
    counts: dict[str, int] = {}
    for number, entry in _entries(file, _GENSIM, "ID<TAB>TOKEN<TAB>DOCUMENTS"):
        id, token, count = int(entry[1]), entry[2], int(entry[3])
        if token in ids:
            raise VocabularyError(
                f"{file.name}:{number}: token {brief(token)} has id {id}, and in a "
                f"line before id {ids[token]}"
            )
        ids[token], counts[token] = id, count
    return RawVocabulary(ids, counts=counts)


def read_fasttext(file: VocabularyFile) -> RawVocabulary:
    """Return tokens and counts."""
    entries = _entries(file, _FASTTEXT, "TOKEN COUNT word")
    counted = [(entry[1], int(entry[2])) for _, entry in entries if entry[3] == "word"]
    try:
        ids = numbered(token for token, _ in counted)
    except VocabularyError as error:
        raise VocabularyError(f"{file.name}: {error}") from error
    return RawVocabulary(list(ids), counts=dict(counted))


def _entries(
    file: VocabularyFile, entry: re.Pattern[str], expected: str
) -> list[tuple[int, re.Match[str]]]:
    found = []
    for number, line in enumerate(file.lines.unpack(), 1):
        if match := entry.fullmatch(line):
            found.append((number, match))
        elif number > 1 or not _NUMBER.fullmatch(line):
            raise VocabularyError(
                f"{file.name}:{number}: expected {expected}, found {brief(line)}"
            )
    return found
