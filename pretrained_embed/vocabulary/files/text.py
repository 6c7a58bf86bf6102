"""Lines of tokens: plain, with counts, or BERT's ``vocab.txt``.

text
    One token a line; the line number, from 0, is the id. The file is UTF-8; a byte
    order mark at its very start is not part of the first token. A line ends at LF
    (0x0A) and nowhere else; one CR before the LF, or at the end of the file, goes with
    it. Nothing else is trimmed: spaces, tabs, NBSP, NEL and U+2028 belong to the token.
    No line is empty; the last one needs no LF.
counts
    The same, but each line is ``TOKEN TAB DIGITS``, split at its last tab.
bert
    Text in which ``[PAD]`` and ``[UNK]`` are lines: they are pad and unk, and
    ``[CLS]``, ``[SEP]`` and ``[MASK]`` are special, too. A token that goes on in a word
    begins with ``##``.
    https://github.com/google-research/bert/blob/master/tokenization.py
"""

from __future__ import annotations

import re
import reprlib

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary.checks import repeated
from pretrained_embed.vocabulary.content import Content, numbered
from pretrained_embed.vocabulary.files.file import File
from pretrained_embed.vocabulary.special_tokens import parts_of

_COUNT = re.compile(r".+\t[0-9]{1,18}")  # 18 digits fit int64
_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_text(file: File) -> Content:
    """Return the lines as tokens."""
    _check_lines(file.lines, file.name)
    return Content(file.lines)


def holds_counts(file: File) -> bool:
    """Tell whether the first line ends in a tab and a count."""
    return _COUNT.fullmatch(file.lines[0]) is not None


def read_counts(file: File) -> Content:
    """Return the tokens and their counts."""
    tokens: list[str] = []
    counts: list[int] = []
    for number, line in enumerate(file.lines, 1):
        if not _COUNT.fullmatch(line):
            raise VocabularyError(
                f"{file.name}:{number}: expected TOKEN<TAB>COUNT as in a list of "
                f"counts, COUNT a whole number of at most 18 digits, found "
                f'{reprlib.repr(line)}; kind="text" takes each line as a token'
            )
        token, _, digits = line.rpartition("\t")
        tokens.append(token)
        counts.append(int(digits))
    _check_lines(tokens, file.name)
    return Content(tokens, counts=dict(zip(tokens, counts, strict=True)))


def is_bert(file: File) -> bool:
    """Tell whether pad and unk of BERT are lines."""
    return "[PAD]" in file.lines and "[UNK]" in file.lines


def read_bert(file: File) -> Content:
    """Return the lines as tokens, the special ones by their names."""
    _check_lines(file.lines, file.name)
    ids = numbered(file.lines)
    special = [token for token in _BERT if token in ids]
    return Content(ids, special_tokens=parts_of(special, {}), marks="wordpiece")


def _check_lines(tokens: list[str], name: str) -> None:
    if "" in tokens:
        raise VocabularyError(
            f"{name}:{tokens.index('') + 1}: no token in this line; remove the line (a "
            "JSON list can hold an empty token)"
        )
    if again := repeated(tokens):
        first, second = again
        raise VocabularyError(
            f"{name}:{second + 1}: token {tokens[second]!r} is already in line "
            f"{first + 1}; a token has one id"
        )
