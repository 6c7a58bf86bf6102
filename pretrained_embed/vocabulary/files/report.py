"""Reports of coverage as CSV, a line for each token: written here, and read again.

RFC 4180 in UTF-8, its first line the names of the columns: ``id``, ``token``,
``count`` and what else is told. Tokens are there to the byte; what is no UTF-8 too.

A spreadsheet runs a cell that begins with ``=`` and the like as a formula. So in a
report for one such cells have an apostrophe in front of them, which spreadsheets do not
show, and cells that begin with an apostrophe another; the column is called ``guarded
token`` then, and reading takes the apostrophes off.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.files.file import BOM, VocabularyFile
from pretrained_embed.vocabulary.files.mistaken import REPORT

GUARDED_TOKEN = "guarded token"
#: With what a cell begins that a spreadsheet would run; some are of full width.
_RUN = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20'")
_LONGEST_CELL = 1 << 30


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet runs.

    >>> guarded("=1+1"), guarded("'tis"), guarded("plain")
    ("'=1+1", "''tis", 'plain')
    """
    return f"'{cell}" if cell.startswith(_RUN) else cell


def recognise(file: VocabularyFile) -> bool:
    """Tell whether the first line is that of a report."""
    return file.data.removeprefix(BOM).startswith(REPORT)


def read(file: VocabularyFile) -> Content:
    """Return the tokens of a report, in their order, and their counts.

    Lines may have been taken out. Raises `VocabularyError` where a line has no token,
    or a count that is none.
    """
    tokens, counts = [], {}
    for line, cells in _lines(file):
        if len(cells) < 3 or not cells[1]:
            raise VocabularyError(
                f"{file.name}:{line}: no token in this line; remove the line"
            )
        if not (cells[2].isdecimal() or not cells[2]):
            raise VocabularyError(f"{file.name}:{line}: {cells[2]!r} is no count")
        tokens.append(cells[1])
        if cells[2]:
            counts[cells[1]] = int(cells[2])
    return Content(tokens, counts=counts if len(counts) == len(tokens) else None)


def _lines(file: VocabularyFile) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line of each row, and its cells, without guards."""
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
