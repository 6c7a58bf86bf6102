"""Dictionaries that other tools write as text, with counts.

gensim
    ``Dictionary.save_as_text``: a line with the number of documents, which old versions
    leave out, then ``ID TAB TOKEN TAB DOCUMENTS`` lines in any order. The count is the
    number of documents with the token.
    https://github.com/piskvorky/gensim/blob/develop/gensim/corpora/dictionary.py
fasttext
    ``fasttext dump MODEL dict``: a line with the number of entries, then ``TOKEN COUNT
    word`` lines in order of id, and ``LABEL COUNT label`` lines, which are no tokens.
    https://github.com/facebookresearch/fastText/blob/main/src/dictionary.cc

Lines are those of `text`.
"""

from __future__ import annotations

import re

from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import Content, numbered
from pretrained_embed.vocabulary.files.file import VocabularyFile

_NUMBER = re.compile(r"[0-9]{1,18}")
_GENSIM = re.compile(r"([0-9]{1,18})\t(.+)\t([0-9]{1,18})")
_FASTTEXT = re.compile(r"(.+) ([0-9]{1,18}) (word|label)")


def is_gensim(file: VocabularyFile) -> bool:
    """Tell whether a number is followed by a line of id, token and count."""
    return _begins(file, _GENSIM)


def is_fasttext(file: VocabularyFile) -> bool:
    """Tell whether a number is followed by a line of token, count and what it is."""
    return _begins(file, _FASTTEXT)


def _begins(file: VocabularyFile, entry: re.Pattern[str]) -> bool:
    first, *rest = file.lines[:2].unpack()
    return bool(_NUMBER.fullmatch(first) and rest and entry.fullmatch(rest[0]))


def read_gensim(file: VocabularyFile) -> Content:
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
    return Content(ids, counts=counts)


def read_fasttext(file: VocabularyFile) -> Content:
    """Return tokens and counts."""
    entries = _entries(file, _FASTTEXT, "TOKEN COUNT word")
    counted = [(entry[1], int(entry[2])) for _, entry in entries if entry[3] == "word"]
    try:
        ids = numbered(token for token, _ in counted)
    except VocabularyError as error:
        raise VocabularyError(f"{file.name}: {error}") from error
    return Content(list(ids), counts=dict(counted))


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
