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
2. A first line of integers is a header if the rows bear it out. All its readings are
   compared, ``count dim`` and ``dim count``, with all separators that may be: each
   costs what has to be believed for it (`_COSTS`), and the cheapest is right. Two that
   are as cheap, or one that nothing bears out, are an error that names them.
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

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.text import assumptions, tokens
from pretrained_embed.formats.text.evidence import (
    FirstLine,
    Found,
    Lines,
    Style,
    Styles,
    most,
    or_tell,
)
from pretrained_embed.formats.text.first_number import Owner, owner
from pretrained_embed.formats.text.shapes import ENDS_IN_TAB, Shapes

_BOM = b"\xef\xbb\xbf"
#: Bytes, and lines, that all have to agree, so that no more of the head is measured.
_FIRST, _FIRST_LINES = 1 << 16, 1 << 9
#: What may be said of lines that do: more of them tell no more of it.
_OF_ONE_NUMBER = {"text.dim-1", "text.counts"}
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
#: What has to be believed for a reading of line 1, and what it costs.
_COSTS = {
    "no-tokens": 1,  # the rows have one number less, and no token
    "dim-first": 1,
    "more-integers": 2,  # line 1 has more than two
    "elsewhere": 1,  # and others before them
    "tokens-end-in-numbers": 2,  # all rows have as many more, which are no vector's
    "tokens-may-end-in-numbers": 3,  # which may be one's
    "in-token": 2,  # the first number, or the last one before, is the token's
    "count-false": 3,
    "dim-false": 4,  # all rows have more or fewer numbers, and the count is true
    "row": 4,  # line 1 is no header
    "whole-row": 6,  # though no other's token is a number, or most have fractions
}
_DIM_FIRST = Note("header.dim-first", "the header gives dim before count")
_SURPLUS = Note(
    "header.tokens-end-in-numbers",
    "all rows have more numbers than the header declares, and as many rows as it "
    "declares: what they have more is taken for the ends of tokens, such as Route 66",
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
    notes: tuple[Note, ...]
    told: bool = False  # the dim is the user's word
    apart: bool = False  # tokens are in another file, and the first number is one
    base64: bool = False  # tokens are in base64


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
    known = known or KnownLayout()
    if len(head) > _FIRST:
        feeds = np.flatnonzero(np.frombuffer(head, np.uint8, _FIRST) == 0x0A)
        first = head[: feeds[:_FIRST_LINES][-1] + 1] if len(feeds) else b""
        if (plain := _plain_layout(first, name, known)) is not None:
            return plain
    found = _look(head, whole, name, known, tokens_apart)
    return None if found is None else _layout(head, found, tokens_apart)


def _plain_layout(first: bytes, name: str, known: KnownLayout) -> TextLayout | None:
    """Return the layout that the first lines agree on, if there is little to say.

    What follows them can then hold no more than bad rows, and tokens with a number.
    """
    try:
        found = _look(first, False, name, known, False)
        if found is None or (found.text.rows.numbers != found.style.runs).any():
            return None
        if (found.style.runs != found.dim).any() or found.text.rows.all_numbers.any():
            return None
        layout = _layout(first, found, False)
    except FormatError:
        return None
    said = {note.code for note in layout.notes}
    return None if layout.base64 or said - _OF_ONE_NUMBER else layout


def _look(
    head: bytes, whole: bool, name: str, known: KnownLayout, tokens_apart: bool
) -> Found | None:
    """Measure the lines of ``head``, and return what they are. See `find_layout`."""
    lines, whole = Shapes.measure(head, _begin(head), final=whole)
    if b"\n" not in head and b"\r" in head.rstrip(b"\r"):
        _check_line_ends(head, name)
    if not len(lines):
        return None
    header = FirstLine.of(lines.line(0)) if known.header is not False else None
    taken = header is not None or known.header is True
    if header is not None and len(header.numbers) > 2 and len(lines) == 1:
        taken = False  # no header of three integers is believed on its own word
    rows = (lines[1:] if taken else lines).filled()
    if header is not None and not most(rows.numbers < assumptions.SHORT):
        rows = rows.without(header.again(rows))
    text = Lines(name, whole, lines[:1], rows, header, known)
    if not len(text.rows):
        return None
    if not tokens_apart:
        assumptions.check_lines(text)
    return _decide(text, tokens_apart=tokens_apart)


def _layout(head: bytes, found: Found, tokens_apart: bool) -> TextLayout:
    """Return the layout of what was found, if it can be; see `find_layout`."""
    known, rows = found.text.known, found.text.rows
    begin = skip = _begin(head)
    line = None
    if found.header:
        end = head.find(b"\n", begin)
        skip, line = end + 1, head[begin:end]
    apart = tokens_apart and bool(rows.all_numbers.all())
    base64 = tokens.are_base64(rows)
    notes = list(found.notes)
    if not apart:
        tabs = found.style.delimiter == b"\t"
        trait = None if base64 else tokens.common_trait(rows, tabs=tabs)
        if known.dim is None and known.separator is None:
            assumptions.check(found, trait)
        notes += assumptions.notes(found, trait, base64=base64)
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
        told=known.dim is not None,
        apart=apart,
        base64=base64,
    )


def _begin(head: bytes) -> int:
    """Return where line 1 begins: behind a byte order mark."""
    return len(_BOM) if head.startswith(_BOM) else 0


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


def _decide(text: Lines, *, tokens_apart: bool) -> Found | None:
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
        return _by_header(text, styles)
    return _by_rows(text, styles)


# Separators


def _styles(text: Lines) -> Styles | None:
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
    if wide.any() and _are_aligned(some):
        raise _separator_error(text, _wide_gaps(some[wide]), "to align its columns")
    many = some[some.numbers > 1]
    if 2 * len(many) < len(some):  # one number a row
        tab = most(ENDS_IN_TAB[some.before])
        return Styles((Style.of(text.rows, "tab" if tab else "space"),))
    tabs = int((many.between == kernel.TAB).sum())
    spaces = int((many.between == kernel.SPACE).sum())
    if 2 * max(tabs, spaces) <= len(many):
        raise _separator_error(text, _MIXED)
    return _spaced(text, some) if spaces > tabs else _tabbed(text, some)


def _spaced(text: Lines, some: Shapes) -> Styles:
    """Return the styles of rows with spaces between their numbers."""
    if not most(ENDS_IN_TAB[some.before]):
        return Styles((Style.of(text.rows, "space"),))
    style = Style.of(text.rows, "tab-space")
    # wikipedia2vec: a word such as "10 000" before the tab; but not before each
    left = some.numbers - some.alike
    if (left > 0).all():
        of_vector = owner(some, int(some.alike[0]) + 1) is Owner.VECTOR
        if of_vector or (left.min() > 1 and bool((some.far > some.alike).any())):
            return Styles((style,), _MIXED)
    return Styles((style,))


def _tabbed(text: Lines, some: Shapes) -> Styles:
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
    whose = owner(tabs, alike) if len(tabs) else Owner.VECTOR
    before = some.numbers - some.alike  # numbers that go on before the space
    if whose is Owner.TOKEN and not most(before > 1):
        return Styles((tab,))
    if most(before > 0):
        return Styles((tab, space_tab), _MIXED)
    doubt = None if whose is Owner.VECTOR else _SPACE_THEN_TABS
    return Styles((space_tab, tab), doubt)


def _are_aligned(rows: Shapes) -> bool:
    """Whether blanks fill up columns, so that those before the numbers differ.

    They take the place of a sign, or end or begin all first numbers in one place.
    """
    signs, begins, ends, gaps = set(), set(), set(), set()
    for place in rows.sample():
        line = rows.line(place)
        before = int(rows.front_end[place] - rows.begin[place])
        number = line[before:].split(None, 1)[0]
        begin = line.index(number, before)
        gaps.add(gap := begin - before)
        signs.add((number.startswith(b"-"), gap))
        begins.add(begin)
        ends.add(begin + len(number))
    return len(gaps) > 1 and (
        len(signs) == 2 == len(dict(signs)) or min(len(begins), len(ends)) == 1
    )


def _wide_gaps(rows: Shapes) -> str:
    """Say what stands between fields of rows where it is more than one byte."""
    line = rows.line(0)
    return next((what for gap, what in _WIDE.items() if gap in line), _MIXED)


def _separator_error(
    text: Lines, what: str, where: str = "in most of its rows"
) -> FormatError:
    remedy = "Write one space or one tab between all fields"
    if what is _SPACE_THEN_TABS:
        remedy = (
            "Pass layout='separator=space-tab' (--layout separator=space-tab) if the "
            "vector begins behind the space, 'separator=tab' if behind the first tab"
        )
    return text.error("text.separator", f"{what} {where}", remedy)


# The header


class Reading(NamedTuple):
    """A way to read line 1, and the rows by it."""

    cost: int  # of what has to be believed: see `_COSTS`
    declared: int  # rows
    dim: int
    found: Found | None  # None: if this is what it means, the file is not right


def _by_header(text: Lines, styles: Styles) -> Found | None:
    """Return what the rows are by the cheapest reading of line 1."""
    header, told = text.header, text.known.dim
    assert header is not None
    if len(header.numbers) == 1:
        return _by_rows(text, styles, header=True)
    readings = [r for r in _readings(text, styles) if told in (None, r.dim)]
    least = min((reading.cost for reading in readings), default=0)
    best = [reading for reading in readings if reading.cost == least]
    if best and best[0].found and len({reading.dim for reading in best}) == 1:
        return best[0].found
    if told is not None:
        return _by_rows(text, styles, header=True)
    if len(header.numbers) > 3:
        text = text.with_first()
        return _by_rows(text, _styles(text))
    if len(header.numbers) == 3:
        raise _three_integers(text, styles.ways[0].dim())
    if best and not best[0].found and text.rows.all_numbers.all():
        what = f"line 1 declares {best[0].dim:,} values a row, and "
        raise assumptions.no_tokens(text, what)
    raise _not_borne_out(text, styles.ways[0].dim(), best)


def _readings(text: Lines, styles: Styles) -> Iterator[Reading]:
    """Yield each reading of line 1 that the rows do not rule out, the likelier first.

    They have to end in as many numbers as it declares, or nearly so.
    """
    rows, header = text.rows, text.header
    assert header is not None
    more = len(header.numbers) > 2
    of_dl4j = more and tokens.are_base64(rows)
    for number, (count, dim) in enumerate(header.readings()):
        counted = text.counted(count)
        place, swapped = divmod(number, 2)
        if place and (of_dl4j or not counted):
            break
        if more and not (counted or of_dl4j):
            continue
        notes = [_DIM_FIRST] * swapped + [_more_integers(header, count, dim)] * more
        cost = swapped * _COSTS["dim-first"] + place * _COSTS["elsewhere"]
        cost += (more and not of_dl4j) * _COSTS["more-integers"]
        cost += (not counted) * _COSTS["count-false"]
        if rows.all_numbers.all() and most(rows.numbers == dim - 1):
            yield Reading(cost + _COSTS["no-tokens"], count, dim, None)
        for style in styles.ways:
            found = Found(text, style, dim, True, count, tuple(notes))
            doubtful = styles.doubt or assumptions.cuts_numbers(rows, style, dim)
            if style.fits(dim) and (counted or not doubtful):
                if not counted and _cuts_off(found):
                    cost += _COSTS["in-token"]
                yield Reading(cost, count, dim, found)
            elif counted and (how := _end_in_numbers(text, style, dim)) is not None:
                found = found._replace(notes=(*notes, _SURPLUS))
                yield Reading(cost + _COSTS[how], count, dim, found)
            elif text.whole and counted and dim <= 2 * style.dim() <= 4 * dim:
                yield Reading(cost + _COSTS["dim-false"], count, dim, None)
    if (row := _with_first(text, styles)) is not None:
        unlike = most(rows.near > 0) or not (rows.lead > 0).any()
        kind = "whole-row" if more and unlike else "row"
        yield Reading(_COSTS[kind], len(row.text.rows), row.dim, row)


def _cuts_off(found: Found) -> bool:
    """Whether the vector may begin a number sooner, or later, than it is taken to."""
    rows, runs = found.text.rows, found.style.runs
    return bool((rows.numbers > runs).all()) or (
        owner(rows[runs == found.dim], found.dim) is Owner.TOKEN
    )


def _end_in_numbers(text: Lines, style: Style, dim: int) -> str | None:
    """Return which of `_COSTS` it is that all tokens end in numbers: ``Route 66``."""
    rows, surplus = text.rows, int(style.runs[0]) - dim
    if not dim > 0 < surplus or not (style.runs == style.runs[0]).all():
        return None
    owners = (owner(rows, dim + more) for more in range(surplus, 0, -1))
    first = next(owners)
    if first is Owner.TOKEN and all(one is Owner.TOKEN for one in owners):
        return "tokens-end-in-numbers"
    # twice as many, all whole: context vectors behind vectors, as of GloVe -model 3
    twice = dim == surplus > 1 and not (rows.near > 0).any()
    if (rows.far > dim).any() or first is Owner.VECTOR or twice:
        return None
    return "tokens-may-end-in-numbers"


def _with_first(text: Lines, styles: Styles) -> Found | None:
    """Return what the rows are with line 1, where that may be one of them."""
    header, style, rows = text.header, styles.ways[0], text.rows
    assert header is not None
    dim = style.dim()
    if text.first.runs(style.separator, style.delimiter)[0] != dim:
        return None
    if dim == 1:
        true = text.whole and len(rows) in header.numbers
        if true or (style.runs != 1).any() or assumptions.cause_of(rows) is not None:
            return None
    elif text.whole and header.numbers[:2] == [len(rows), dim]:
        return None
    with_first = text.with_first()
    return _by_rows(with_first, _styles(with_first))


def _more_integers(header: FirstLine, count: int, dim: int) -> Note:
    """Return the note on a header that has more than count and dim."""
    return Note(
        "header.three-integers",
        f"line 1 is {len(header.numbers)} integers (deeplearning4j writes words, size "
        f"and documents): {count:,} and {dim:,} are taken for count and dim",
    )


def _three_integers(text: Lines, dim: int) -> FormatError:
    if dim == 3 and text.header and text.header.numbers in ([0, 1, 2], [1, 2, 3]):
        return assumptions.columns_error(text)
    # tokens may end in numbers: then the second integer tells how many are the vector's
    declared = text.header.numbers[1] if text.header is not None else dim
    told = f"dim={declared},header=yes" if 0 < declared < dim else "header=yes"
    return text.error(
        "header.three-integers",
        "it is a header of three integers, such as the words, size and documents of "
        f"deeplearning4j, and the rows have {dim} numbers",
        f"Remove the last integer{or_tell(told)}",
    )


def _not_borne_out(
    text: Lines, dim: int, readings: Sequence[Reading] = ()
) -> FormatError:
    declared = text.header.numbers[1] if text.header is not None else 0
    cause = assumptions.cause_of(text.rows)
    what = f"the header declares {declared:,} values a row, but the rows have {dim:,}"
    if len(readings) > 1:
        may = " or ".join(f"{r.declared:,} rows of {r.dim:,} values" for r in readings)
        what = (
            f"the header may declare {may}, and there are {len(text.rows):,} that end "
            f"in {dim:,} numbers"
        )
        declared = next(r.dim for r in readings if r.dim != dim)
    if cause is not None:
        return text.error("header.not-borne-out", f"{what}: {cause}", _MEND)
    if dim > declared > 0:
        remedy = (
            f"If all tokens end in a number, pass layout='dim={declared},header=yes' "
            "(--layout); if line 1 is false, 'header=yes'"
        )
    elif dim > 1:
        remedy = (
            "Get the file again if it was cut or edited. If line 1 is false, pass "
            "layout='header=yes' (--layout header=yes)"
        )
    else:
        remedy = "Get the file again; it may have been cut, edited or joined"
    return text.error("header.not-borne-out", what, remedy)


# The rows alone


def _by_rows(
    text: Lines, styles: Styles | None, *, header: bool = False
) -> Found | None:
    """Return what the rows are by their numbers; ``None`` if they are none."""
    if styles is None:
        _check_unlike_rows(text)
        return None
    count = text.header.numbers[0] if header and text.header is not None else None
    if header and text.header is not None and len(text.header.numbers) > 2:
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
    text: Lines, styles: Styles, dim: int, header: bool, count: int | None
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


def _check_unlike_rows(text: Lines) -> None:
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


def _tokens_apart(text: Lines, style: Style) -> Found | None:
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
