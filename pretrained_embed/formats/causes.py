"""The probable cause of an error in a number or a row.

There is one table of causes for a field that should be a number, and one for a whole
row. They explain layouts of text files, malformed rows and unrecognised files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: The most bytes of a field that may be meant as a number.
_LONGEST_FIELD = 200
_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


#: Bytes that text does not have.
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")

#: Separators of other tools' files, and their descriptions.
SEPARATORS = [
    (mark, f"{name} separate the fields; write spaces or tabs")
    for mark, name in (
        *((b",", "commas"), (b";", "semicolons"), (b"|", "vertical bars")),
        *((b"&", "ampersands (LaTeX)"), (b"\xc2\xa0", "no-break spaces")),
        *((b"\x0b", "vertical tabs"), (b"\x0c", "form feeds")),
        *((b"\xe3\x80\x80", "ideographic spaces"), (b"\\t", "a backslash and a t")),
    )
]


def _table(*causes: tuple[bytes, str]) -> list[tuple[re.Pattern[bytes], str]]:
    return [(re.compile(mark), cause) for mark, cause in causes]


_FIELDS = _table(
    (
        rb"(np|numpy|torch|jnp)\.\w+\(",
        "numpy's repr stands around numbers, as in "
        "np.float32(0.25); write float(number)",
    ),
    (
        rb"(tensor|array|Decimal)\(",
        "a type's name stands around numbers, as in tensor(0.25); write float(number)",
    ),
    (
        rb"[-+]?\d+\.#(QNAN|IND|INF|SNAN)|[-+]?nan\((ind|snan)\)",
        "a number that is none (NaN), or infinite, as programs on Windows print it; "
        "write nan or inf",
    ),
    (
        rb"(?:[-+]?[\d.]+[eE])?(?:\xe2\x88\x92|\xe2\x80[\x90-\x93])[\d.]",
        "a minus sign is not the ASCII one (U+2212 or a dash); write -",
    ),
    (
        rb"[-+]?\d{1,3}(?:,\d{3})+\.\d*$",
        "commas group the digits of numbers (1,234.5); write 1234.5",
    ),
    (
        rb"[-+]?\d*,\d+(?:[eE][-+]?\d+)?$",
        "the numbers have decimal commas; write points",
    ),
    *(
        (rb"(?:(?:%b)?%b)+(?:%b)?$" % (_NUMBER, re.escape(mark), _NUMBER), cause)
        for mark, cause in SEPARATORS
    ),
    (
        rb"[\[({<]+%b[,;]?[\])}>]*[,;]?$|%b[,;]?[\])}>]+[,;]?$|[\[\](){}]+$"
        % (_NUMBER, _NUMBER),
        "brackets stand around the numbers; write the numbers alone",
    ),
    (rb"""["']%b["'],?$""" % _NUMBER, "quotes stand around the numbers; write none"),
    (
        rb"\d+:%b$" % _NUMBER,
        "sparse vectors (index:value); only dense ones can be read",
    ),
    (
        rb"(?i)(none|null|na|n/a|#n/a|<na>|nil|\?|#div/0!|#value!|#num!)$",
        "a number is missing (None, NA, null, ? or the like)",
    ),
    (rb"(\.\.\.|\xe2\x80\xa6)$", "numbers are left out (...); print all of them"),
    (rb"(?i)[-+]?0x[\da-f.]+(p[-+]?\d+)?$", "hexadecimal numbers; write decimal ones"),
    (rb"%b(%%|\xe2\x80\xb0)$" % _NUMBER, "percent; write fractions, such as 0.5"),
    (rb"[-+]?\d+/\d+$", "fractions (1/3); write decimal numbers"),
    (rb"\(?%b[-+]\d[\d.]*[ij]\)?$|%b[ij]$" % (_NUMBER, _NUMBER), "complex numbers"),
    (rb"[-+]?\d+_\d[\d_.]*$", "digits in groups (1_000); write 1000"),
    (rb"(?i)(true|false)$", "truth values; write 1 and 0"),
    (
        rb"[-+]?(?:[\d.]*(?:\xef\xbc[\x8d\x8e\x90-\x99]|\xd9[\xa0-\xab]))+[\d.]*$",
        "digits, points or signs that are not ASCII ones; write 0 to 9, . and -",
    ),
    (
        rb"%b-\d[-\d.eE+]*$" % _NUMBER,
        "nothing stands between a number and the minus sign of the next one",
    ),
    (rb"[-+]{2,}[\d.]", "two signs stand before a number; write one"),
    (rb"[\w.]+=%b$" % _NUMBER, "a name stands before each number (name=0.25)"),
    (rb"[-+]?\d+\.?\d*[dD][-+]?\d+$", "Fortran's exponents (1.0D-05); write 1.0e-05"),
    (rb"[-+]?\d*\.\d+[fFlLdD]$", "a letter stands behind each number, as in C source"),
)

_ROWS = _table(
    (rb"^(<<<<<<<|=======|>>>>>>>)", "a git merge left its marks in the file"),
    (rb"^\s*<[/!a-zA-Z][^ ]*(>| \w+=)", "this looks like HTML, not like vectors"),
    (rb"\0\0\0\0", "zeros fill the place of text: fetch the file again"),
    (
        rb"^(?:\xef\xbb\xbf)?\s*\d+[ \t]+\d+\s*$",
        "this is a header (count dim): files were joined; remove the line",
    ),
    (
        rb"^\W*\d+\s*[x*,;:/]\s*\d+\W*$",
        "this is a header, but not of two integers alone (count dim)",
    ),
    (
        rb"^\s*\d+\s*$",
        "a number alone: was count dim written on two lines? Write them on one",
    ),
    (
        rb"(?i)^[^\d\n]*\b(dim|dims|dimensions?|vector_size|count|size|vocab|words|rows)"
        rb"\b\W*\d+\W*$",
        "this tells of the file, and is no row; remove the line",
    ),
    (
        rb"^\s*(#|//|%|;|--)[^\n]*[A-Za-z]|^\s*(---+|```.*|===+)\s*$",
        "this is a comment, and no row; remove the line",
    ),
    (
        rb"^\s*%b(\s+%b)+\s+[^\s\d.+-]\S*\s*$" % (_NUMBER, _NUMBER),
        "the numbers stand before the token; write the token first",
    ),
    (
        rb"""^\S*[ \t]?["']?[A-Za-z_.]+_?[01]["']?[ \t]["']?[A-Za-z_.]+_?[12]\b""",
        "the line names the columns; remove it, or pass layout='header=yes'",
    ),
)

_MIXED = _table(
    *(
        (rb"(%b ?-?\d[^%b ]*){2}" % (re.escape(mark), re.escape(mark)), cause)
        for mark, cause in SEPARATORS
    ),
    (rb" -?\d[^ ]*\t-?\d|\t-?\d[^\t]* -?\d", "tabs and spaces are mixed"),
    (rb"\d(  +|\t\t+)-?[\d.]", "two spaces or tabs stand side by side; write one"),
)


def cause_of_field(field: bytes) -> str | None:
    """Return what is wrong with a field that should be a number."""
    if len(field) > _LONGEST_FIELD:
        return None
    return next((cause for mark, cause in _FIELDS if mark.match(field)), None)


def cause_of_row(row: bytes) -> str | None:
    """Return the probable fault of a malformed row, or ``None``."""
    found = next((cause for mark, cause in _ROWS if mark.search(row)), None)
    return found or cause_of_numbers(row)


def cause_of_numbers(row: bytes) -> str | None:
    """Return what is wrong with the numbers of a row, or with their separators."""
    fields = row.replace(b"\t", b" ").rstrip(b"\r ").split(b" ")
    found = most_common(cause_of_field(field) for field in fields[1:])
    if found is None:
        found = next((cause for mark, cause in _MIXED if mark.search(row)), None)
    return found


def most_common(causes: Iterable[str | None]) -> str | None:
    """Return the most common cause, or ``None`` if there is none."""
    known = [cause for cause in causes if cause is not None]
    return max(dict.fromkeys(known), key=known.count, default=None)
