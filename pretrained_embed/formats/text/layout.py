"""Finding out how a text file is laid out: header, separators, dim.

GloVe and word2vec text are one grammar::

    file   = [BOM] [header end] row end row end ... {end}
    header = count SP dim           (also seen: ``dim SP count``, and ``count`` alone)
    row    = token delimiter number separator number ...
    end    = {blank} {CR} LF

``separator`` and ``delimiter`` are one space or one tab, nearly always the same. The
token is any bytes but LF: it may hold blanks and numbers. So the file is read as most
of its rows say. The kernel measures all lines of the head; then, in this order:

1. What stands between the numbers, and before them, in more than half of the rows, is
   the separator. What is neither one space nor one tab there is an error.
2. A first line of integers is a header if the rows bear it out. Its readings are tried
   in turn: ``count dim``, ``dim count``, ``count``. A reading fits if some row has
   exactly ``dim`` numbers at its end, and half of them have so many or more. Else
   ``count dim`` may have tokens that all end in whole numbers. Else it is an error.
3. Without a header the commonest run of numbers at the end of a row is the dim; of two
   that are as common, the smaller.
4. More numbers than dim belong to the token; fewer, or a bad one, make a bad row. No
   row changes the dim.
5. What no reader could know is assumed, and a note says so; what is surely no layout is
   an error that names the cause, and what to tell of the layout if it is right.

What a user knows (`KnownLayout`) takes the place of what is found, and is checked
against the rows. GloVe: https://nlp.stanford.edu/projects/glove/ ; word2vec:
https://code.google.com/archive/p/word2vec/
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.text import assumptions
from pretrained_embed.formats.text.evidence import (
    Found,
    Header,
    Style,
    Styles,
    Text,
    most,
    or_tell,
)
from pretrained_embed.formats.text.shapes import ENDS_IN_TAB, Shapes

_BOM = b"\xef\xbb\xbf"
#: Of rows of numbers alone, no more is looked at to tell that they are text.
_LOOKED_AT = 4096

_MIXED = "tabs and spaces are mixed between the fields"
_SPACE_THEN_TABS = (
    "a space and then tabs separate the fields, or tokens end in a number before tabs,"
)
_WIDE = {
    b" \t": "space and tab stand together between fields",
    b"\t ": "tab and space stand together between fields",
    b"  ": "two spaces or more stand between fields",
    b"\t\t": "two tabs or more stand between fields",
}
_DIM_FIRST = Note("header.dim-first", "the header gives dim before count")
_WHOLE_SURPLUS = Note(
    "header.tokens-end-in-numbers",
    "all rows have more numbers than the header declares: as these are whole, they are "
    "taken for the ends of tokens, such as Route 66",
)
_MEND = "Mend the file, or get it as it was published"


class TextLayout(NamedTuple):
    """How the rows of one text file are built."""

    dim: int
    separator: bytes  # between the numbers
    delimiter: bytes  # between token and numbers
    skip: int  # bytes before the first row: BOM and header
    header: bytes | None  # the header line
    rows: int | None  # as the header declares
    notes: tuple[str, ...]
    told: bool = False  # the dim is the user's word
    apart: bool = False  # tokens are in another file, and the first number is one


def find_layout(
    head: bytes,
    *,
    whole: bool,
    name: str,
    known: KnownLayout | None = None,
    tokens_apart: bool = False,
) -> TextLayout | None:
    """Return the layout of a text file that begins with ``head``, or ``None``.

    ``whole`` says that ``head`` is all of it. ``None``: the lines do not end in
    numbers, so this is no text file of vectors. With ``tokens_apart``, tokens are in
    another file, and the first number of rows of numbers alone is no token.

    Raises `FormatError`, which names the cause, for a file whose rows cannot be what
    they seem, that its header contradicts, or that is not laid out as is ``known``.
    """
    begin = len(_BOM) if head.startswith(_BOM) else 0
    lines = Shapes.measure(head, begin, final=whole)
    if b"\n" not in head and b"\r" in head.rstrip(b"\r"):
        _check_line_ends(head, name)
    if not len(lines):
        return None
    known = known or KnownLayout()
    header = Header.of(lines.line(0)) if known.header is not False else None
    taken = header is not None or known.header is True
    if header is not None and len(header.numbers) > 2 and len(lines) == 1:
        taken = False  # no header of three integers is believed on its own word
    rows = lines[1:] if taken else lines
    text = Text(name, whole, lines[:1], rows.filled(), header, known)
    found = _decide(text, tokens_apart=tokens_apart) if len(text.rows) else None
    if found is None:
        return None
    skip, line = begin, None
    if found.header:
        end = head.find(b"\n", begin)
        skip, line = end + 1, head[begin:end]
    if not known.given and not tokens_apart:
        assumptions.check(found)
    notes = list(found.notes)
    if not tokens_apart or not found.text.rows.all_numbers.all():
        notes += assumptions.notes(found)
    if begin:
        what = "a byte order mark before the first row was left out"
        notes.insert(0, Note("text.byte-order-mark", what))
    return TextLayout(
        found.dim,
        found.style.separator,
        found.style.delimiter,
        skip,
        line,
        found.declared,
        tuple(notes),
        known.dim is not None,
        tokens_apart and bool(found.text.rows.all_numbers.all()),
    )


def _check_line_ends(head: bytes, name: str) -> None:
    """Raise `FormatError` where lines of vectors end in CR alone."""
    try:
        lines = head.replace(b"\r", b"\n")
        vectors = find_layout(lines, whole=True, name=name) is not None
    except FormatError:
        vectors = True  # of a layout that is no better with true line ends
    if vectors:
        raise FormatError(
            f"{name}: its lines end in CR alone, as on old Macs and in Excel's CSV "
            "(Macintosh). Write LF in their place, for example by: tr '\\r' '\\n'",
            code="text.line-ends",
        )


def _decide(text: Text, *, tokens_apart: bool) -> Found | None:
    """Return what the rows are, ``None`` if they are none."""
    styles = _styles(text)
    if styles is None:
        _check_unlike_rows(text)
        return None
    if tokens_apart and (found := _tokens_apart(text, styles.ways[0])) is not None:
        return found
    if text.known.header:
        return _by_rows(text, styles, header=True)
    if text.header is not None:
        return _by_header(text, styles) or _against_header(text, styles)
    return _by_rows(text, styles)


# Separators


def _styles(text: Text) -> Styles | None:
    """Return what may stand between numbers and before them, in most of the rows.

    ``None``: too few rows end in numbers to tell. Raises `FormatError` where it is
    neither one space nor one tab.
    """
    some = text.rows[text.rows.numbers > 0]
    if text.known.separator is not None:
        return Styles((Style.of(text.rows, text.known.separator),))
    if 2 * len(some) < len(text.rows):
        return None
    wide = (some.odd > 0) | (some.outer > kernel.TAB)
    if most(wide):
        raise _separator_error(text, _wide_gaps(some[wide]))
    many = some[some.numbers > 1]
    if 2 * len(many) < len(some):  # one number a row
        tab = most(ENDS_IN_TAB[some.before])
        return Styles((Style.of(text.rows, "tab" if tab else "space"),))
    tabs = int((many.between == kernel.TAB).sum())
    spaces = int((many.between == kernel.SPACE).sum())
    if 2 * max(tabs, spaces) <= len(many):
        raise _separator_error(text, _MIXED)
    return _spaced(text, some) if spaces > tabs else _tabbed(text, some)


def _spaced(text: Text, some: Shapes) -> Styles:
    """Return the styles of rows with spaces between their numbers."""
    if not most(ENDS_IN_TAB[some.before]):
        return Styles((Style.of(text.rows, "space"),))
    style = Style.of(text.rows, "tab-space")
    # wikipedia2vec: a word such as "10 000" before the tab; but not before each
    left = some.numbers - some.alike
    if (left > 0).all():
        numbers = some.fields(int(some.alike[0]) + 1)
        whole = bool((some.far <= some.alike).all())
        if any(map(_is_value, numbers)) or (left.min() > 1 and not whole):
            return Styles((style,), _MIXED)
    return Styles((style,))


def _tabbed(text: Text, some: Shapes) -> Styles:
    """Return the styles of rows with tabs between their numbers.

    A number between a space and a tab is the end of a token, as in ``python 2.7``, or
    the first of the vector, in rows that were written as ``token, "\\t".join(vector)``.
    """
    tab = Style.of(text.rows, "tab")
    spaced = some.before == kernel.SPACE
    if not most(spaced):
        return Styles((tab,))
    space_tab = Style.of(text.rows, "space-tab")
    alike = int(np.bincount(some.alike[spaced]).argmax())
    rest = some[ENDS_IN_TAB[some.before]]
    if len(rest):
        ends_of_tokens = np.bincount(rest.alike).argmax() == alike - 1
        return Styles((tab, space_tab) if ends_of_tokens else (space_tab, tab))
    tabs = some[spaced & (some.alike == alike) & (some.between == kernel.TAB)]
    of_token = assumptions.first_ends_token(tabs, alike) if len(tabs) else None
    if of_token:
        return Styles((tab,))
    if most(some.alike < some.numbers):  # numbers go on before the space
        return Styles((tab, space_tab), _MIXED)
    doubt = _SPACE_THEN_TABS if of_token is None else None
    return Styles((space_tab, tab), doubt)


def _is_value(field: bytes) -> bool:
    """Whether a number is one of a vector's, as no token ends in such a one."""
    return field[:1] in (b"-", b"+") or b"e" in field.lower()


def _wide_gaps(rows: Shapes) -> str:
    """Say what stands between fields of rows where it is more than one byte."""
    line = rows.line(0)
    return next((what for gap, what in _WIDE.items() if gap in line), _MIXED)


def _separator_error(text: Text, what: str) -> FormatError:
    remedy = "Write one space or one tab between all fields"
    if what is _SPACE_THEN_TABS:
        remedy = (
            "Pass layout='separator=space-tab' (--layout separator=space-tab) if the "
            "vector begins behind the space, 'separator=tab' if behind the first tab"
        )
    return text.error("text.separator", f"{what} in most of its rows", remedy)


# The header


def _by_header(text: Text, styles: Styles) -> Found | None:
    """Return what the rows are by line 1, ``None`` if no reading of it fits them."""
    header, told = text.header, text.known.dim
    assert header is not None
    if len(header.numbers) == 1:
        return _by_rows(text, styles, header=True)
    if len(header.numbers) > 2:
        return None
    fitting = [
        Found(text, style, dim, True, count, (_DIM_FIRST,) if number else ())
        for number, (count, dim) in enumerate(header.readings())
        for style in styles.ways
        if style.fits(dim) and told in (None, dim)
        if text.counted(count) or not _is_doubtful(text, styles, style, dim)
    ]
    for found in fitting:
        if found.declared is not None and text.counted(found.declared):
            return found
    for count, dim in header.readings():
        if text.counted(count) and told in (None, dim):
            for style in styles.ways:
                if _ends_in_whole_numbers(text, style, dim):
                    return Found(text, style, dim, True, count, (_WHOLE_SURPLUS,))
    for _, dim in header.readings():
        if text.rows.all_numbers.all() and most(text.rows.numbers == dim - 1):
            what = f"line 1 declares {dim:,} values a row, and "
            raise assumptions.no_tokens(text, what)
    # a false count is believed where the other reading has no true one that may fit
    for count, dim in header.readings():
        surplus = any(_has_whole_surplus(text, style, dim) for style in styles.ways)
        if text.counted(count) and dim > 1 and surplus:
            return None
    first, second = header.readings()[0]
    for found in fitting:
        likely = text.counted(first) and second <= found.style.runs.max()
        if not found.notes or not likely:
            return found
    return None


def _is_doubtful(text: Text, styles: Styles, style: Style, dim: int) -> bool:
    """Whether a reading needs more than that the rows fit: a count that is true."""
    return styles.doubt is not None or assumptions.cuts_numbers(text.rows, style, dim)


def _ends_in_whole_numbers(text: Text, style: Style, dim: int) -> bool:
    """Whether tokens may all end in a whole number before ``dim`` numbers."""
    if not _has_whole_surplus(text, style, dim):
        return False
    if (text.rows.near > 0).any():
        return True
    # twice as many, all whole: context vectors behind vectors, as of GloVe -model 3
    counts_first = text.header is not None and dim == text.header.numbers[-1]
    return counts_first and (dim == 1 or int(style.runs[0]) != 2 * dim)


def _has_whole_surplus(text: Text, style: Style, dim: int) -> bool:
    """Whether all rows have as many numbers more, and whole ones: ``Route 66``."""
    surplus = style.runs - dim
    same = bool((surplus == surplus[0]).all())
    return dim > 0 < surplus[0] and same and bool((text.rows.far <= dim).all())


def _against_header(text: Text, styles: Styles) -> Found | None:
    """Return what the rows are where line 1 is no true header, or raise that."""
    header, rows = text.header, text.rows
    assert header is not None
    style = styles.ways[0]
    dim = style.dim()
    if text.known.dim is not None and text.known.dim > 1:
        return _by_rows(text, styles, header=True)
    # line 1 may be a row if it has as many numbers as the others
    is_row = text.first.runs(style.separator, style.delimiter)[0] == dim > 0
    first, *others = header.numbers
    if len(others) == 2:
        true = text.whole and first == len(rows) and others[0] == dim
        if is_row and not true:
            return _by_rows(text.with_first(), _styles(text.with_first()))
        raise _three_integers(text, dim)
    if len(others) == 1:
        sound = bool((style.runs == 1).all()) and assumptions.cause_of(rows) is None
        if is_row and sound and not (text.whole and len(rows) in header.numbers):
            return _by_rows(text.with_first(), _styles(text.with_first()))
        raise _not_borne_out(text, dim)
    return None


def _three_integers(text: Text, dim: int) -> FormatError:
    if dim == 3 and text.header and text.header.numbers in ([0, 1, 2], [1, 2, 3]):
        return assumptions.columns_error(text)
    # tokens may end in numbers: then the second integer tells how many are the vector's
    declared = text.header.numbers[1] if text.header is not None else dim
    told = f"dim={declared if 0 < declared < dim else dim},header=yes"
    return text.error(
        "header.three-integers",
        "it is a header of three integers, such as the words, size and documents of "
        f"deeplearning4j, and the rows have {dim} numbers",
        f"Remove the last integer{or_tell(told)}; decode tokens that begin "
        "with B64: from base64",
    )


def _not_borne_out(text: Text, dim: int) -> FormatError:
    declared = text.header.numbers[1] if text.header is not None else 0
    cause = assumptions.cause_of(text.rows)
    what = f"the header declares {declared:,} values a row, but the rows have {dim:,}"
    if dim == declared:
        first = text.header.numbers[0] if text.header is not None else 0
        what = (
            f"the header may declare {first:,} rows of {dim:,} values or {dim:,} of "
            f"{first:,}, and there are {len(text.rows):,} that end in {dim:,} numbers"
        )
        declared = first
    if cause is not None:
        return text.error("header.not-borne-out", f"{what}: {cause}", _MEND)
    if dim > declared > 0:
        remedy = (
            f"If all tokens end in a number, pass layout='dim={declared},header=yes' "
            f"(--layout); if line 1 is false, 'dim={dim},header=yes'"
        )
    elif dim > 1:
        remedy = (
            "Get the file again if it was cut or edited. If line 1 is false, pass "
            f"layout='dim={dim},header=yes' (--layout)"
        )
    else:
        remedy = "Get the file again; it may have been cut, edited or joined"
    return text.error("header.not-borne-out", what, remedy)


# The rows alone


def _by_rows(
    text: Text, styles: Styles | None, *, header: bool = False
) -> Found | None:
    """Return what the rows are by their numbers; ``None`` if they are none."""
    if styles is None:
        _check_unlike_rows(text)
        return None
    count = text.header.numbers[0] if header and text.header is not None else None
    if header and text.header is not None and len(text.header.numbers) == 3:
        count = None
    if text.known.dim is not None:
        return _as_told(text, styles, text.known.dim, header, count)
    style = styles.ways[0]
    dim = style.dim()
    if (cause := assumptions.cause_of(text.rows)) is not None:
        raise text.error("text.bad-number", f"in most rows {cause}", _MEND)
    if styles.doubt is not None:
        raise _separator_error(text, styles.doubt)
    if not style.reaches(dim):
        return None
    return Found(text, style, dim, header, count)


def _as_told(
    text: Text, styles: Styles, dim: int, header: bool, count: int | None
) -> Found:
    """Return what the rows are with the dim that was given."""
    ways = [way for way in styles.ways if way.fits(dim)]
    ways += [way for way in styles.ways if way.reaches(dim)]
    if not ways:
        raise text.error(
            "text.layout-differs",
            f"layout gives dim={dim:,}, but most rows end in "
            f"{styles.ways[0].dim():,} numbers",
            "Give another dim, or leave it out to have it found",
        )
    return Found(text, ways[0], dim, header, count)


def _check_unlike_rows(text: Text) -> None:
    """Raise the error for lines most of which should end in numbers and do not."""
    if text.known.dim is not None or text.known.separator is not None:
        raise text.error(
            "text.layout-differs",
            f"layout gives {text.known}, but most rows end in no number",
            "Leave it out to have the file recognised",
        )
    from pretrained_embed.formats.causes import CONTROLS  # most files need none of it

    two = text.header is not None and len(text.header.numbers) == 2
    if not two or CONTROLS.search(text.rows.head, 0, _LOOKED_AT):
        return
    cause = assumptions.cause_of(text.rows)
    if cause is not None and "sparse" in cause:
        return
    if cause is not None or (text.rows.numbers > 0).any():
        raise _not_borne_out(text, Style.of(text.rows, "space").dim())


def _tokens_apart(text: Text, style: Style) -> Found | None:
    """Return what rows of numbers alone are, with a header or none."""
    if not text.rows.all_numbers.all():
        return None
    dim = int(style.runs[0])
    if text.header is None or dim + 1 not in text.header.numbers[-2:]:
        text = text.with_first() if text.header is not None else text
        header, count = False, None
    else:
        header, count = True, text.header.numbers[0]
    runs = text.rows.runs(style.separator, style.delimiter)
    if dim < 1 or not (runs == dim).all() or not text.rows.all_numbers.all():
        return None
    return Found(text, style._replace(runs=runs), dim, header, count)
