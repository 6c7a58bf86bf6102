"""A column of a table: of Parquet, Arrow IPC or Feather, or of CSV with a header.

``words.parquet`` is read where one column alone holds text, or one is called ``token``
or the like; ``words.parquet#word`` and ``words.csv#word`` name the column.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, VocabularyError, brief
from pretrained_embed.files.reading import is_file
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.files.file import VocabularyFile
from pretrained_embed.vocabulary.token_rows import TokenRows

#: First bytes of tables whose columns have types.
_TYPED = (b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff")
#: Bytes below it are in no text; a token may begin with PAR1.
_CONTROL = 9
_DELIMITERS = ",;\t"


def read(path: str | os.PathLike[str]) -> Content | None:
    """Return the tokens of a column, ``None`` where the path names no table's column.

    Raises `VocabularyError` where there is no such column, or a row has no token or one
    that stands before.
    """
    words = os.fsdecode(path)
    name, mark, column = words.rpartition("#")
    if not mark or os.path.lexists(words) or not is_file(Path(name)):
        name, column = words, ""
    if not is_file(Path(name)):
        return None
    try:
        with Path(name).open("rb") as file:
            head = file.read(16)
            typed = head.startswith(_TYPED) and min(head) < _CONTROL
    except OSError:
        return None  # whoever opens it next says why
    if not (typed or column):
        return None
    tokens = _typed(name, column or None) if typed else _csv(name, column)
    return Content(_distinct(tokens, name))


def _typed(name: str, column: str | None) -> PackedTokens:
    from pretrained_embed.formats.arrow.reader import read_column

    try:
        return read_column(Path(name), column)
    except FormatError as error:
        raise VocabularyError(str(error)) from error


def _csv(name: str, column: str) -> PackedTokens:
    text = VocabularyFile(name, told=True).text
    with refusing_damage(name, "not CSV", "", kind=VocabularyError):
        for delimiter in _DELIMITERS:
            lines = io.StringIO(text, newline="")
            rows = csv.reader(lines, delimiter=delimiter, strict=True)
            names = next(rows, [])
            if names.count(column) == 1:
                place = names.index(column)
                cells = [row[place] if place < len(row) else "" for row in rows if row]
                return PackedTokens.pack(cells)
    first = text.partition("\n")[0]
    raise VocabularyError(
        f"{name}: line 1 names no column {brief(column)}; it is {brief(first)}"
    )


def _distinct(tokens: PackedTokens, name: str) -> TokenRows:
    empty = np.flatnonzero(tokens.offsets[1:] == tokens.offsets[:-1])
    if len(empty):
        raise VocabularyError(f"{name}, row {empty[0]:,}: no token; leave the row out")
    rows = TokenRows(tokens)
    for first, second in rows.repeats():
        raise VocabularyError(
            f"{name}, row {second:,}: token {brief(tokens[second])} is already in row "
            f"{first:,}; a token has one id"
        )
    return rows
