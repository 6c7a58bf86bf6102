"""Finding out how a text file is laid out: header, separators, dim.

GloVe and word2vec text are one grammar::

    file   = [BOM] [header LF] row LF row LF ...
    header = count SP dim          (also seen: ``dim SP count``, and ``count`` alone)
    row    = token SP number SP number ... [SP] [CR]

A file that uses tabs uses them throughout: between all fields, or (wikipedia2vec)
between token and vector only. Nothing of this is asked from the user. The first few
hundred lines tell: what the most rows end in is the dim, and a header is a hint to be
checked against them. GloVe: https://nlp.stanford.edu/projects/glove/ ; word2vec:
https://code.google.com/archive/p/word2vec/
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from pretrained_embed import kernel
from pretrained_embed.errors import FormatError

#: Lines looked at, and how many of them, evenly spread, have their numbers read.
SAMPLE_LINES = 200
SAMPLE_ROWS = 12

_BOM = b"\xef\xbb\xbf"
_SPACE, _TAB = b" ", b"\t"


class TextLayout(NamedTuple):
    """How the rows of one text file are built."""

    dim: int
    separator: bytes  # between the numbers
    delimiter: bytes  # between token and numbers
    skip: int  # bytes before the first row: BOM and header
    header: bytes | None  # the header line
    rows: int | None  # as the header declares
    notes: tuple[str, ...]


def find_layout(head: bytes, *, whole: bool, name: str) -> TextLayout | None:
    """Return the layout of a text file that begins with ``head``, or ``None``.

    ``whole`` says that ``head`` is all of it. ``None``: the lines do not end in
    numbers, so this is no text file of vectors. Raises `FormatError` for a header that
    contradicts its rows.
    """
    begin = len(_BOM) if head.startswith(_BOM) else 0
    lines = head[begin:].split(b"\n", SAMPLE_LINES)
    if not whole or len(lines) > SAMPLE_LINES or not lines[-1]:
        lines.pop()
    if not lines:
        return None
    notes = ["a byte order mark before the first row was left out"] if begin else []
    header = _header_numbers(lines[0])
    body = [row for line in lines[1 if header else 0 :] if (row := _trim(line))]
    shape = _shape(body)
    if header and not body:
        return None
    if header and shape and not _is_header(header, shape[0]):
        header = None
        shape = _shape([_trim(lines[0]), *body])
    if not shape:
        return None
    dim, separator, delimiter = shape
    if not header:
        return TextLayout(dim, separator, delimiter, begin, None, None, tuple(notes))
    count, declared = header[0], (header[1] if len(header) == 2 else None)
    if declared is not None and declared != dim:
        if _trust_header(declared, dim, body, separator, alone=count != dim):
            dim = declared
        elif count == dim:
            count = declared
            notes.append("the header gives dim before count")
        else:
            raise FormatError(
                f"{name}, line 1: the header declares {declared} values a row, but the "
                f"rows have {dim}. Correct the header's second number or remove line 1."
            )
    skip = begin + len(lines[0]) + 1
    return TextLayout(dim, separator, delimiter, skip, lines[0], count, tuple(notes))


def _trim(line: bytes) -> bytes:
    return (line[:-1] if line.endswith(b"\r") else line).rstrip(b" \t")


def _header_numbers(line: bytes) -> list[int] | None:
    """Return the one or two integers that are all of the line, or ``None``."""
    fields = _trim(line).replace(_TAB, _SPACE).split(_SPACE)
    if len(fields) > 2 or not all(f.isdigit() and len(f) < 19 for f in fields):
        return None
    return [int(field) for field in fields]


def _is_header(header: list[int], dim: int) -> bool:
    """Tell a header from a first row that happens to be all integers.

    Only a file of one column can begin with such a row.
    """
    return len(header) == 1 or dim > 1 or header[1] == 1 or header[0] == 1


def _trust_header(
    declared: int, dim: int, body: list[bytes], separator: bytes, *, alone: bool
) -> bool:
    """Whether the rows fit a declared dim below the one they seem to have.

    They do if one at least cannot be wider: a token such as ``route 66`` makes its
    row look one value too long, but not all rows of a file have such tokens. A row
    that is ``alone`` in its file may be such a one.
    """
    if not 1 <= declared < dim:
        return False
    runs = [_run(row, separator) for row in body]
    return declared in runs or (alone and len(runs) == 1)


def _shape(body: list[bytes]) -> tuple[int, bytes, bytes] | None:
    """Return dim, separator and delimiter of the rows, or ``None``."""
    step = max(1, len(body) // SAMPLE_ROWS)
    sample = body[::step][:SAMPLE_ROWS]
    if not sample:
        return None
    if all(_TAB in row for row in body):
        if dim := _most_common([_run(row, _TAB) for row in sample]):
            return dim, _TAB, _TAB
        if dim := _most_common([_values(row.rsplit(_TAB, 1)[1]) for row in sample]):
            return dim, _SPACE, _TAB
    if dim := _most_common([_run(row, _SPACE) for row in sample]):
        return dim, _SPACE, _SPACE
    return None


def _run(row: bytes, separator: bytes) -> int:
    """Return how many fields at the end of the row are numbers, the first apart."""
    run = 0
    for field in reversed(row.split(separator)[1:]):
        if kernel.number(field) is None:
            break
        run += 1
    return run


def _values(text: bytes) -> int:
    """Return how many numbers the text is, or 0 if it is something else."""
    run = _run(b"x " + text, _SPACE)
    return run if run == text.count(_SPACE) + 1 else 0


def _most_common(runs: list[int]) -> int:
    """Return the one that half of them are at least; of two, the smaller; or 0."""
    counts = Counter(run for run in runs if run)
    best = max(counts.values(), default=0)
    if 2 * best < len(runs):
        return 0
    return min((run for run, seen in counts.items() if seen == best), default=0)
