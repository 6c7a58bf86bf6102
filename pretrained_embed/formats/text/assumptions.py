"""What the rows of a text file show beside their layout, and what they cannot show.

`check` raises what makes a layout impossible that the numbers of fields alone allow;
`notes` says what is assumed, and what is remarkable.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import BoolArray
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.text.evidence import Found, Style, Text, most, or_tell
from pretrained_embed.formats.text.shapes import SAMPLE, Shapes

#: Rows whose first number is compared with the next few.
_COMPARED, _NEXT = 16, 4
#: Digits behind the point: of a number that people write, and of one of a vector.
_FEW_PLACES, _MANY_PLACES = 2, 4
_COLUMNS_FROM_DIM = 3
#: Of one row, how many numbers the first one is compared with to tell whether it is the
#: end of a token; how many rows are not sorted by chance; and what hardly, never is so.
_BESIDE, _SORTED, _HARDLY, _NEVER = 16, 7, 0.005, 1e-4
#: A number with which no vector's begins.
_ZEROS = re.compile(rb"[-+]?0\d")

#: What stands before the numbers of columns, or of the rows' own, in line 1.
_LABELS = b"word words token tokens index id label name key term node entity vocab"

_QUOTED = re.compile(rb'"[^"]*(?:[ \t]|"").*"[ \t]')
_BASE64 = b"B64:"


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


def no_tokens(text: Text, before: str = "") -> FormatError:
    """Return the error for rows of numbers without a token."""
    return text.error(
        "text.no-tokens",
        f"{before}all fields of all rows are numbers: these are vectors without tokens",
        "Put each token before its numbers. Those of the Embedding Projector's "
        "vectors.tsv are in metadata.tsv, which is read where it lies beside it",
    )


def columns_error(text: Text, *, below_header: bool = False) -> FormatError:
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


def check(found: Found) -> None:
    """Raise `FormatError` for rows that cannot be what they seem."""
    text, rows = found.text, found.text.rows
    known = is_dim_known(found)
    if not known and rows.all_numbers.all() and (rows.lead > 1).any():
        first = _first_numbers(rows)
        if min(first) < 0 or len(set(first)) < len(first):
            raise no_tokens(text)
    if _may_number_columns(found) and found.dim >= _COLUMNS_FROM_DIM:
        counted = found.declared is not None and text.counted(found.declared)
        if not counted and (rows.near[1:] > 0).any():
            raise columns_error(text, below_header=found.header)
    if found.dim == 1 and found.style.delimiter != b"\t" and most(_end_in_commas(rows)):
        raise text.error(
            "text.separator",
            "a comma, a semicolon or a bar stands behind most tokens",
            f"Write one space or one tab there{or_tell('dim=1')}",
        )


def cuts_numbers(rows: Shapes, style: Style, dim: int) -> bool:
    """Whether half of the rows have a bad number before ``dim`` good ones."""
    whole = rows[style.runs == dim]
    return 2 * len(whole) >= len(rows) and cause_of(whole) is not None


def notes(found: Found) -> Iterator[Note]:
    """Yield what is assumed, and what is remarkable about the rows."""
    rows = found.text.rows
    head = rows.head
    if not is_dim_known(found):
        yield from _assumed(found)
    yield from _first_line(found)
    if found.dim == 1 and not found.header:
        yield from _one_number(found)
    if most(_end_in_commas(rows)):
        yield Note(
            "text.comma-tokens",
            "most tokens end in a comma, a semicolon or a bar, which may separate them "
            "from their numbers",
        )
    first = np.frombuffer(head, np.uint8)[rows.begin]
    quoted = np.flatnonzero(first == ord('"'))[:SAMPLE]
    if any(_QUOTED.match(rows.line(number)) for number in quoted):
        yield Note(
            "text.quoted-tokens",
            "quotes stand around tokens, as CSV has them; they are kept: write "
            "without them (pandas: quoting=csv.QUOTE_NONE) if they are not meant",
        )
    if most(first == _BASE64[0]) and most(_begin_in(rows, _BASE64)):
        yield Note(
            "text.base64-tokens",
            "tokens begin with B64:, so they are in base64, as deeplearning4j writes "
            "them; they are read as they stand",
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
    elif dim > 1 and _first_stands_apart(found):
        yield Note(
            "assumed.first-number",
            "the first number of all rows is unlike the others: it is taken for the "
            "vector's, not for the end of a token such as Route 66; if that is wrong, "
            f"pass layout='dim={dim - 1}'",
        )
    apart = found.style.separator != found.style.delimiter
    if apart and (rows.numbers > found.style.runs).all():
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


def _first_line(found: Found) -> Iterator[Note]:
    """Yield what line 1 may be that it is not taken for."""
    text, dim = found.text, found.dim
    integers = 0 if text.header is None else len(text.header.numbers)
    told = text.known.header is not None
    if integers == 2 and dim == 1 and not told:
        counted = (
            found.declared is not None and text.whole and text.counted(found.declared)
        )
        if not counted:
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


def _first_numbers(rows: Shapes) -> list[float]:
    fields = (rows.line(number).split(None, 1)[0] for number in range(len(rows)))
    return list(map(_value, fields))


def _may_number_columns(found: Found) -> bool:
    """Whether the first row's numbers are 0, 1, 2, ... or 1, 2, 3, ...

    A true header says that the row is one.
    """
    text = found.text
    declared = found.declared is not None and found.declared != len(text.rows) - 1
    if text.known.header is not None or (text.whole and declared):
        return False
    rows, dim = found.text.rows, found.dim
    if rows.near[0] or rows.numbers[0] < dim - 1:
        return False
    fields = rows.line(0).split()[-dim:]
    if len(fields) < dim or not all(field.isdigit() for field in fields):
        return False
    numbers, first = list(map(int, fields)), int(fields[0])
    if first not in (0, 1) or numbers != list(range(first, first + dim)):
        return False
    # a small table of whole numbers often begins with 1 2 3
    label = rows.line(0)[: rows.front_end[0] - rows.begin[0]].strip(b"\"' ").lower()
    labelled = not label or label in _LABELS.split()
    return bool((rows.near[1:] > 0).any()) or first == 0 or labelled


def _end_in_commas(rows: Shapes) -> BoolArray:
    """Whether the token of each row ends in a mark that separates, and is more."""
    last = np.frombuffer(rows.head, np.uint8)[np.maximum(rows.front_end - 1, 0)]
    marks: BoolArray = np.isin(last, list(b",;|"))
    marks &= rows.front_end - rows.begin > 1
    return marks


def _begin_in(rows: Shapes, prefix: bytes) -> BoolArray:
    begin = [rows.line(number).startswith(prefix) for number in rows.sample()]
    return np.array(begin, np.bool_)


def first_ends_token(rows: Shapes, dim: int) -> bool | None:
    """Whether the first of ``dim`` numbers with tabs between ends the token.

    In these rows it stands between a space and a tab, as in ``python 2.7`` before a
    tab. ``None``: the numbers are all alike, so that nobody knows.
    """
    lines = [rows.line(number).split(b"\t")[-dim:] for number in rows.sample()]
    names, _, first = zip(*(line[0].rpartition(b" ") for line in lines), strict=True)
    others = list(zip(*(line[1 : 1 + _BESIDE] for line in lines), strict=True))
    count = len(lines)
    if count > 1 and 2 * len(set(names)) <= count:
        return True  # as tokens, these would be there more than once
    if 2 * sum(_ZEROS.match(number) is not None for number in first) > count:
        return True
    if any(_unlike(has, first, others) for has in (_is_whole, _is_broken, _is_short)):
        return True
    long = all(len(_places(n)) >= _MANY_PLACES for n in itertools.chain(*others))
    if long and all(map(_is_short, first)):
        return True
    values, *columns = [list(map(_value, column)) for column in (first, *others)]
    if count >= _SORTED and _is_sorted(values) and not any(map(_is_sorted, columns)):
        return True
    if all(map(_is_whole, itertools.chain(first, *others))):
        rest = list(itertools.chain(*columns))
        low, high = (min(values), max(map(abs, rest)) + 1)
        if count >= _SORTED and (low > high or max(values) < -high):
            return True
        negative = sum(value < 0 for value in rest) / len(rest)
        if count >= _SORTED and low >= 0 and (1 - negative) ** count < _NEVER:
            return True
    negative_first = sum(value < 0 for value in values)
    if 0 < negative_first < count or any(len(_places(n)) > 2 for n in first):
        return False
    return None


def _unlike(
    has: Callable[[bytes], bool],
    first: Sequence[bytes],
    others: Sequence[Sequence[bytes]],
) -> bool:
    """Whether all first numbers have what hardly any of the others have."""
    if not all(map(has, first)):
        return False
    rest = [has(number) for column in others for number in column]
    if len(first) == 1:
        return not any(rest)
    share = (sum(rest) + 1) / (len(rest) + 2)
    return bool(share ** len(first) < _HARDLY)


def _places(number: bytes) -> bytes:
    """Return what stands behind the point; of an exponent, all of the number."""
    return number if b"e" in number.lower() else number.partition(b".")[2]


def _is_whole(number: bytes) -> bool:
    return number.lstrip(b"-+").isdigit()


def _is_broken(number: bytes) -> bool:
    return not _is_whole(number)


def _is_short(number: bytes) -> bool:
    return len(_places(number)) <= _FEW_PLACES


def _is_sorted(values: Sequence[float]) -> bool:
    up = all(a < b for a, b in itertools.pairwise(values))
    return up or all(a > b for a, b in itertools.pairwise(values))


def few_places_first(rows: Shapes, dim: int) -> bool:
    """Whether the first number has few digits behind the point, and others have many.

    Rows end in ``dim`` numbers; the next few are compared, in some rows.
    """
    places = [
        [len(field.partition(b".")[2]) for field in part]
        for part in _first_fields(rows, dim)
    ]
    return all(p[0] <= _FEW_PLACES and max(p[1:]) >= _MANY_PLACES for p in places)


def _first_fields(rows: Shapes, dim: int) -> list[list[bytes]]:
    """Return the first number, and the next few, of some rows that end in ``dim``."""
    step = max(1, len(rows) // _COMPARED)
    chosen = range(0, len(rows), step)[:_COMPARED]
    return [rows.line(number).split()[-dim:][:_NEXT] for number in chosen]


def _first_stands_apart(found: Found) -> bool:
    """Whether the first number of the rows is such as tokens end in.

    It is whole, or has few digits behind the point, or is never negative, or larger,
    and the next ones are not so.
    """
    rows, dim = found.text.rows[found.style.runs == found.dim], found.dim
    first_whole = rows.far < dim
    if first_whole.all() and most(rows.near > 0):
        return True
    if ((rows.near == dim) & ~first_whole).all() or few_places_first(rows, dim):
        return True
    parts = [list(map(_value, part)) for part in _first_fields(rows, dim)]
    first, *others = zip(*parts, strict=True)
    rest = [number for column in others for number in column]
    signs = min(first) >= 0 > min(rest) or max(first) < 0 < max(rest)
    if signs and len(parts) > 1:
        return True
    if len(parts) >= _SORTED and _is_sorted(first) and not any(map(_is_sorted, others)):
        return True
    larger = min(first) > max(map(abs, rest), default=0) + 1
    return larger and bool((rows.near == 0).all())


def _value(field: bytes) -> float:
    return kernel.number(field) or 0.0
