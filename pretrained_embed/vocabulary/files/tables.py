"""Tables with a column of tokens: Parquet, Arrow IPC or Feather, CSV, coverage reports.

``words.parquet`` is read if only one column has text, or one is called ``token`` or
similar; ``words.parquet#word`` and ``words.csv#word`` name the column.

Coverage reports as CSV, a line for each token, are written and read here.

RFC 4180 in UTF-8, its first line the names of the columns: ``id``, ``token``,
``count`` and others. Tokens are exact bytes, also those that are not UTF-8.

A spreadsheet runs a cell that begins with ``=`` and the like as a formula. In a report
for spreadsheets such cells begin with an apostrophe, which is not shown, and so do
cells that already begin with one. The column is then called ``guarded token``, and
reading removes the apostrophes.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, VocabularyError, brief
from pretrained_embed.files.reading import is_file
from pretrained_embed.vocabulary.content import RawVocabulary
from pretrained_embed.vocabulary.files.file import BOM, VocabularyFile
from pretrained_embed.vocabulary.files.mistaken import REPORT
from pretrained_embed.vocabulary.files.text import numbers_in
from pretrained_embed.vocabulary.number_rows import rows_of_array
from pretrained_embed.vocabulary.token_rows import TokenRows

#: First bytes of tables whose columns have types.
_TYPED = (b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff")
#: Bytes below it are not in text; a token may begin with PAR1.
_CONTROL = 9
_NUMPY = b"\x93NUMPY"
_DELIMITERS = ",;\t"


def read_column_of(
    path: str | os.PathLike[str], *, numbers: bool
) -> RawVocabulary | None:
    """Return the tokens of a column; ``None`` if the path is no column of a table.

    With ``numbers`` they must be integers; an array of them is a column. Raises
    `VocabularyError` for an unknown column, and for a row without a token or with the
    token of an earlier row.
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
        return None  # the next reader reports the error
    if head.startswith(_NUMPY) and not column:
        return _array(name)
    if not (typed or column):
        return None
    tokens = _typed(name, column or None) if typed else _csv(name, column)
    rows = numbers_in(tokens, name, first=0) if numbers else _distinct(tokens, name)
    return RawVocabulary(rows)


def _array(name: str) -> RawVocabulary | None:
    """Return the integers of a ``.npy``; ``None`` if it has other values."""
    try:
        with refusing_damage(name, "damaged", "", kind=VocabularyError):
            array = np.load(name, mmap_mode="r", allow_pickle=False)
    except VocabularyError:
        return None  # `mistaken` reports it, with a remedy
    if array.ndim != 1 or array.dtype.kind not in "iu":
        return None
    return RawVocabulary(rows_of_array(array))


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


GUARDED_TOKEN = "guarded token"
#: The first characters of cells that a spreadsheet would run; some are full-width.
_RUN = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20'")
_LONGEST_CELL = 1 << 30


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula.

    >>> guarded("=1+1"), guarded("'tis"), guarded("plain")
    ("'=1+1", "''tis", 'plain')
    """
    return f"'{cell}" if cell.startswith(_RUN) else cell


def is_report(file: VocabularyFile) -> bool:
    """Return whether the first line is that of a report."""
    return file.data.removeprefix(BOM).startswith(REPORT)


def read_report(file: VocabularyFile) -> RawVocabulary:
    """Return the tokens of a report, in order, and their counts.

    Lines may have been removed. Raises `VocabularyError` for a line without a token or
    with an invalid count.
    """
    tokens, counts = [], {}
    for line, cells in _report_lines(file):
        if len(cells) < 3 or not cells[1]:
            raise VocabularyError(
                f"{file.name}:{line}: no token in this line; remove the line"
            )
        if not (cells[2].isdecimal() or not cells[2]):
            raise VocabularyError(f"{file.name}:{line}: {cells[2]!r} is no count")
        tokens.append(cells[1])
        if cells[2]:
            counts[cells[1]] = int(cells[2])
    return RawVocabulary(tokens, counts=counts if len(counts) == len(tokens) else None)


def _report_lines(file: VocabularyFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the last line number of each row, and its cells, without guards."""
    text = file.data.removeprefix(BOM).decode("utf-8", "surrogateescape")
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        rows = csv.reader(io.StringIO(text, newline=""))
        is_guarded = next(rows, ["", ""])[1:2] == [GUARDED_TOKEN]
        for cells in rows:
            if is_guarded and len(cells) > 1:
                cells[1] = cells[1].removeprefix("'")
            yield rows.line_num, cells
    except csv.Error as error:
        raise VocabularyError(f"{file.name}: not CSV: {error}") from error
    finally:
        csv.field_size_limit(before)
