"""What the rows of a text file show beside their layout, and what they cannot show.

`check` raises what makes a layout impossible that the numbers of fields alone allow;
`notes` says what is assumed, and what is remarkable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.errors import FormatError, brief
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.text.evidence import (
    Found,
    Lines,
    Style,
    common_number,
    most,
    or_tell,
)
from pretrained_embed.formats.text.first_number import Owner, owner
from pretrained_embed.formats.text.shapes import Shapes
from pretrained_embed.formats.text.tokens import Trait, are_quoted

#: Rows of fewer numbers may look like a header, or like numbers of columns.
SHORT = 3
#: Rows that are not all alike by chance.
_MANY_ROWS = 5
#: Classes of which one may be negative.
_CLASSES = 2
_TOKENS = (Owner.TOKEN, Owner.TOKEN_PERHAPS)

#: The least part of lines that begin with a word, where rows are wrapped.
_TOKEN_LINES = 0.1
#: Bytes of a line 1 that may be a header in other words, its integers, and what says
#: of a line that is like a row that it is none.
_LONGEST_LINE_1 = 80
_INTEGER = re.compile(rb"(?<![\w.])(\d{1,18})(?:\.0*)?(?![\w.])")
_SAYS = re.compile(
    rb"(?i)[#%=:]|dim|count|size|words|vocab|vectors|tokens|word2vec|"
    rb"^(\+\d+\s+\+?\d+$|\W*\d+(\.0*\s|\s*[,;x]))"
)
_COMMENT = re.compile(rb"(#|%|//|;|--)\s*([^ \t]*[A-Za-z][^ \t]*[ \t]+){2}")
#: What stands before the numbers of columns, or of the rows' own, in line 1.
_LABELS = (
    b"word words token tokens index id label name key term node entity vocab unnamed"
)


def cause_of(rows: Shapes) -> str | None:
    """Return what is wrong with most rows: what the field before their numbers is.

    Half of the rows have to have a field there that is meant to be a number.
    """
    if not 2 * int((rows.front > rows.begin).sum()) >= len(rows):
        return None
    from pretrained_embed.formats.causes import cause_of_field, most_common

    causes = [cause_of_field(field) for field in rows.fronts()]
    if 2 * sum(cause is not None for cause in causes) < len(causes):
        return None
    return most_common(causes)


def no_tokens(text: Lines, before: str = "") -> FormatError:
    """Return the error for rows of numbers without a token."""
    return text.error(
        "text.no-tokens",
        f"{before}all fields of all rows are numbers: these are vectors without tokens",
        "Put each token before its numbers. Those of the Embedding Projector's "
        "vectors.tsv are in metadata.tsv, which is read where it lies beside it",
    )


def check_lines(text: Lines) -> None:
    """Raise `FormatError` for lines that are no rows, whatever the dim is."""
    rows = text.rows
    if text.header is None and text.known.header is None:
        _check_line_1(text)
    if text.known.dim is not None or not (rows.lead > 0).any():
        return
    alone, words = rows.all_numbers, rows.lead == 0
    if not alone.sum() >= words.sum() >= max(1, _TOKEN_LINES * len(rows)):
        return
    beside = common_number(rows[words])
    if beside == 0 or most(rows[alone].numbers < beside):
        raise text.error(
            "text.wrapped-rows",
            "lines of numbers alone stand between lines that begin with a word: rows "
            "are wrapped over several lines, or tokens stand on lines of their own",
            "Write each token and all of its numbers on one line",
        )


def _check_line_1(text: Lines) -> None:
    """Raise `FormatError` for a header in other words, or a comment, in line 1."""
    line, rows = text.first.line(0), text.rows[1:]
    if len(line) > _LONGEST_LINE_1 or not line or not len(rows):
        return
    dim, own = common_number(rows), int(text.first.numbers[0])
    longer = _begins_with_header(text, dim)
    if (
        not longer
        and own >= dim > 0
        and (most(rows.near == 0) or _has_fractions(line, dim))
    ):
        return  # a row as the others are, of a token such as #hashtag
    row = "" if own < dim else ", or 'header=no' if it is a row"
    remedy = f"pass layout='header=yes' (--layout header=yes) to leave it out{row}"
    pairs = pairwise(map(int, _INTEGER.findall(line)))
    for count, number in (pair for a, b in pairs for pair in ((a, b), (b, a))):
        true = count == len(rows) if text.whole else count >= len(rows) and own < dim
        if number == dim and true and (own < dim or longer or _SAYS.search(line)):
            raise text.error(
                "header.in-words",
                f"{brief(line)} gives count and dim, but not as two integers alone",
                f"Write '{count} {dim}', or {remedy}",
            )
    if own >= dim and _COMMENT.match(line) and not _COMMENT.match(rows.line(0)):
        raise text.error(
            "text.comment", f"{brief(line)} is a comment", f"P{remedy[1:]}"
        )


def _begins_with_header(text: Lines, dim: int) -> bool:
    """Whether line 1 is a header with more behind it, such as ``20 3 0.1 2``.

    As a row it would be one whose token is the number of the others.
    """
    fields, rows = text.first.line(0).split(), text.rows[1:]
    if not text.first.all_numbers[0] or not all(map(bytes.isdigit, fields[:2])):
        return False
    count, declared = map(int, fields[:2])
    return text.whole and declared == dim and count == len(rows) > 1


def _has_fractions(line: bytes, dim: int) -> bool:
    """Whether some of the last numbers have a fraction, as 20.5, but not 20.0, has."""
    values = map(kernel.number, line.split()[-dim:])
    return not all(value is not None and value.is_integer() for value in values)


def columns_error(text: Lines, *, below_header: bool = False) -> FormatError:
    """Return the error for a first line that numbers the columns."""
    if below_header:  # nothing that is told of a layout leaves out line 2
        return FormatError(
            f"{text.name}, line 2: it numbers the columns, as pandas' to_csv writes "
            "them, and is no row. Remove line 2",
            code="text.column-numbers",
        )
    return text.error(
        "text.column-numbers",
        "it numbers the columns, as pandas' to_csv writes them, and is no row",
        "Remove the line, or pass layout='header=yes' (--layout header=yes) to have it "
        "left out",
    )


def check(found: Found, trait: Trait | None) -> None:
    """Raise `FormatError` for rows that cannot be what they seem.

    ``trait`` is what most tokens have in common.
    """
    text, rows = found.text, found.text.rows
    if not is_dim_known(found):
        words = int(rows.lead[0] == 0 and rows.numbers[0] < found.dim)
        below = rows[words:]  # words in line 1 name the columns
        if len(below) and below.all_numbers.all() and (below.lead > 1).any():
            fields = (
                below.line(place).split(None, 1)[0] for place in range(len(below))
            )
            first = [kernel.number(field) or 0.0 for field in fields]
            if min(first) < 0 or len(set(first)) < len(first):
                raise no_tokens(text, "below line 1 " * words)
    if _may_number_columns(found) and found.dim >= SHORT:
        counted = found.declared is not None and text.counted(found.declared)
        if not counted and (rows.near[1:] > 0).any():
            raise columns_error(text, below_header=found.header)
    if trait is not None and trait.remedy:
        remedy = trait.remedy + or_tell(f"separator={found.style.name}")
        raise text.error(trait.code, trait.what, remedy)
    if found.dim < SHORT and (line := _header_among(found)) is not None:
        raise FormatError(
            f"{text.name}: among its rows stands {brief(line)}, a header (count dim): "
            f"files were joined. Remove the line{or_tell(f'dim={found.dim}')}",
            code="header.repeated",
        )


def _header_among(found: Found) -> bytes | None:
    """Return a row that is a header: that of line 1, or of the rows behind it.

    It has as many numbers as the others; where it has not, it is a bad row.
    """
    text, rows = found.text, found.text.rows
    if most(rows.integers):
        return None
    if found.header and text.header is not None and (again := text.header.again(rows)):
        return rows.line(again[0])
    first = text.known.header is False  # it is a row, as was told
    integers = (np.flatnonzero(rows.integers[first:]) + first).tolist()
    for place in integers if text.whole else ():
        line, behind = rows.line(place), len(rows) - 1 - place
        numbers = [*map(int, line.split())]
        if numbers[:2] == [behind, found.dim] and min(numbers) >= 0:
            return line
    return None


def cuts_numbers(rows: Shapes, style: Style, dim: int) -> bool:
    """Whether half of the rows have a bad number before ``dim`` good ones."""
    whole = rows[style.runs == dim]
    return 2 * len(whole) >= len(rows) and cause_of(whole) is not None


def notes(found: Found, trait: Trait | None, *, base64: bool) -> Iterator[Note]:
    """Yield what is assumed, and what is remarkable about the rows.

    ``trait`` is what most tokens have in common, ``base64`` that they are in it.
    """
    rows = found.text.rows
    if not is_dim_known(found):
        yield from _assumed(found)
    yield from _first_line(found)
    if found.dim == 1 and not found.header:
        yield from _one_number(found)
    if trait is not None:
        what = f"{trait.what}, and is taken for a part of them"
        yield Note(trait.note, trait.what if not trait.remedy else what)
    if base64:
        yield Note(
            "text.base64-tokens",
            "tokens begin with B64:, and are decoded from base64, as deeplearning4j "
            "writes them",
        )
    if are_quoted(rows):
        yield Note(
            "text.quoted-tokens",
            "quotes stand around tokens, as CSV has them; they are kept: write "
            "without them (pandas: quoting=csv.QUOTE_NONE) if they are not meant",
        )


def is_dim_known(found: Found) -> bool:
    """Whether a header, or the user, says how many numbers a row has."""
    numbers = found.text.header.numbers if found.text.header is not None else []
    declared = found.header and len(numbers) > 1 and found.dim in numbers
    return declared or found.text.known.dim is not None


def _assumed(found: Found) -> Iterator[Note]:
    """Yield what no reader could know of rows without a header."""
    text, rows, dim = found.text, found.text.rows, found.dim
    whole = bool((rows.near == 0).all())
    if whole and rows.all_numbers.all() and (rows.lead == 1).all():
        yield Note(
            "assumed.whole-numbers",
            "all fields are whole numbers: the first of each row is taken for its "
            "token, and line 1 for a row",
        )
    elif dim > 1 and owner(rows[found.style.runs == dim], dim) in _TOKENS:
        yield Note(
            "assumed.first-number",
            "all tokens may end in a number, such as Route 66: the first number of "
            "each row is taken for the vector's; if that is wrong, pass layout="
            f"'dim={dim - 1}'",
        )
    if (rows.numbers > found.style.runs).all():
        yield Note(
            "assumed.first-number",
            "all tokens end in a number before the gap that is taken to be behind them",
        )
    if rows.all_numbers.all():
        yield Note(
            "assumed.numbers-are-tokens",
            "all fields are numbers, and the first of each row is taken for its token; "
            "if these are vectors alone, their tokens are elsewhere, such as in the "
            "metadata.tsv of the Embedding Projector",
        )
    if dim > 1 and len(rows) >= _MANY_ROWS and _ends_in_class(rows):
        yield Note(
            "text.last-number",
            "the last number of each row is whole, the one before never: if it is a "
            "class or a count, and not of the vector, write the file without it",
        )
    if more := int((found.style.runs > dim).sum()):
        yield Note(
            "assumed.surplus-in-token",
            f"{more:,} of the first {len(rows):,} rows have more than {dim:,} numbers: "
            "what they have more is taken for the end of their tokens",
        )
    if text.whole and len(rows) == 1:
        yield Note(
            "assumed.one-row",
            "there is one row and no header: all numbers at its end are taken for its "
            "vector",
        )


def _ends_in_class(rows: Shapes) -> bool:
    """Whether the last numbers, and they alone, may be a class or a count."""
    if not (rows.near == 2).all():
        return False
    last = {rows.line(place).split()[-1] for place in rows.sample()}
    return len(last) <= _CLASSES or not any(field.startswith(b"-") for field in last)


def _first_line(found: Found) -> Iterator[Note]:
    """Yield what line 1 may be that it is not taken for."""
    text, dim = found.text, found.dim
    integers = 0 if text.header is None else len(text.header.numbers)
    told = text.known.header is not None
    # a true ``count 1`` is a header
    true = text.whole and text.header is not None and found.declared == len(text.rows)
    if integers == 2 and dim == 1 and not told and not (true and not found.notes):
        kind = "header" if found.header else "row"
        yield Note(
            "assumed.first-row-of-two",
            f"line 1 is two integers: it is taken for a {kind}; pass layout="
            f"'dim=1,header={'no' if found.header else 'yes'}' if that is wrong",
        )
    if integers == 3 and dim == 2 and not found.header and not told:
        yield Note(
            "assumed.first-row-of-three",
            "line 1 is three integers: it is taken for a row; pass layout="
            "'dim=2,header=yes' if it is a header",
        )
    if _may_number_columns(found):
        yield Note(
            "text.column-numbers",
            "the first row has the numbers of the columns as its vector; if it is no "
            "row, pass layout='header=yes' to leave line 1 out",
        )


def _one_number(found: Found) -> Iterator[Note]:
    rows = found.text.rows
    if (rows.near == 0).all() and (rows.far == 0).all():
        yield Note(
            "text.counts",
            "rows are a token and one whole number: these look like counts of words, "
            "such as GloVe's vocab.txt, not like vectors",
        )
    else:
        yield Note("text.dim-1", "rows are a token and one number, so dim is 1")


def _may_number_columns(found: Found) -> bool:
    """Whether the first row's numbers are 0, 1, 2, ... or 1, 2, 3, ...

    A true header says that the row is one.
    """
    text, rows, dim = found.text, found.text.rows, found.dim
    declared = found.declared not in (None, len(rows) - 1)
    if found.in_tokens:  # the columns may have taken the place of a row, or of numbers
        declared, dim = False, int(rows.numbers[0])
    if text.known.header is not None or (text.whole and declared) or rows.near[0]:
        return False
    fields = rows.line(0).split()[-dim:]
    if rows.numbers[0] < dim - 1 or not all(field.isdigit() for field in fields):
        return False
    first = int(fields[0])
    if first not in (0, 1) or [*map(int, fields)] != [*range(first, first + dim)]:
        return False
    # a small table of whole numbers often begins with 1 2 3
    label = rows.line(0)[: rows.front_end[0] - rows.begin[0]].strip(b"\"': ").lower()
    labelled = not label or label in _LABELS.split()
    return bool((rows.near[1:] > 0).any()) or first == 0 or labelled
