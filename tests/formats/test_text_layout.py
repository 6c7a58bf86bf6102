from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import FormatError
from pretrained_embed.formats import open_reader
from pretrained_embed.formats.findings import CODES
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.text.layout import TextLayout, find_layout
from pretrained_embed.sources.stream import Stream

SAMPLE_LINES = 200

pytestmark = pytest.mark.usefixtures("both_kernels")

BODY = b"the 0.1 0.2\nof 0.3 0.4\n"


def layout_of(head: bytes, *, whole: bool = True) -> TextLayout:
    layout = find_layout(head, whole=whole, name="f")
    assert layout is not None
    return layout


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        (b"1000000 2", 1_000_000),
        (b"2 1000000", 1_000_000),
        (b"1000000", 1_000_000),
        (b"2\t2", 2),
        (b"5 2 \r", 5),
    ],
)
def test_one_or_two_integers_are_a_header(line, rows):
    layout = layout_of(line + b"\n" + BODY)

    assert (layout.header, layout.rows, layout.dim) == (line, rows, 2)
    assert layout.skip == len(line) + 1


@pytest.mark.parametrize(
    "line",
    [b"111 222 333", b"hello 1 2", b"111 2.5 3", b"+1 2 2", b"1 0x2 2", b"1e3 2 0"],
)
def test_other_first_lines_are_no_header(line):
    layout = layout_of(line + b"\n" + BODY)

    assert (layout.header, layout.rows, layout.skip) == (None, None, 0)


@pytest.mark.parametrize("line", [b"111 222 hello", b"hello 1", b"x", b"-1 2"])
def test_a_damaged_first_row_is_left_to_the_reading(line):
    layout = layout_of(line + b"\n" + BODY)

    assert (layout.header, layout.dim) == (None, 2)


@pytest.mark.parametrize(
    ("head", "header"),
    [
        (b"2 1\na 1\nb 2\n", True),
        (b"1 2\na 1\nb 2\n", True),
        (b"10 20\n30 40\n", False),
        (b"a 1\nb 2\n", False),
        (b"2\na 1\nb 2\n", True),
    ],
)
def test_one_column_has_a_header_if_one_number_is_one(head, header):
    layout = layout_of(head)

    assert layout.dim == 1
    assert (layout.header is not None) == header


@pytest.mark.parametrize(
    ("head", "dim"),
    [
        (b"3 2\nroute 66 1 2\nhighway 61 1 2\nroad 1 2\n", 2),
        (b"2 2\nroute 66 1 2\nroad 1 2\n", 2),
        (b"1 2\nroute 66 1 2\n", 2),
        (b"road 1 2\nroute 66 1 2\n", 2),  # as many of either: the smaller
        (b"route 66 1 2\nroad 1 2\nroad 1 2\n", 2),
        (b"1 3\na 1 2 3\n", 3),
        (b"3 1\na 1 2 3\n", 3),  # dim before count, not a token of three numbers
    ],
)
def test_tokens_that_end_in_numbers_do_not_change_the_dim(head, dim):
    assert layout_of(head).dim == dim


@pytest.mark.parametrize("header", [b"5 3", b"5 1", b"300 7", b"0 0"])
def test_a_dim_that_no_row_has_is_an_error(header):
    with pytest.raises(FormatError, match=r"f, line 1: the header declares \d") as at:
        find_layout(header + b"\n" + BODY, whole=True, name="f")

    assert at.value.code == "header.not-borne-out"
    assert "the rows have 2" in str(at.value)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n",
        b"2 3\n",
        b"a b c\nd e f\n",
        b"a 1 2 3\nb 1 2\nc 1\n",  # no two rows agree
        b"a 1:2 3:4\nb 1:2 3:4\n",
        b"1,2,3\n4,5,6\n",
        b"a\tb\nc\td\n",
        b"\xef\xbb\xbf",
    ],
)
def test_lines_that_do_not_end_in_numbers_are_no_vectors(head):
    assert find_layout(head, whole=True, name="f") is None


@pytest.mark.parametrize(
    ("head", "separator", "delimiter"),
    [
        (b"a 1 2\nb 3 4\n", b" ", b" "),
        (b"a\t1\t2\nb c\t3\t4\n", b"\t", b"\t"),
        (b"a\t1 2\nb 7\t3 4\n", b" ", b"\t"),
        (b"a\tb 1 2\nc\td 3 4\n", b" ", b" "),
        (b"a\t1 2\nb 3 4\n", b" ", b" "),  # not the whole file uses tabs
    ],
)
def test_tabs_separate_only_where_the_whole_file_uses_them(head, separator, delimiter):
    layout = layout_of(head)

    assert (layout.separator, layout.delimiter) == (separator, delimiter)


def test_a_line_that_the_head_cuts_is_not_looked_at():
    layout = layout_of(b"a 1 2 3\nb 1 2 3\nc 1", whole=False)

    assert layout.dim == 3
    assert find_layout(b"a 1 2 3", whole=False, name="f") is None
    assert layout_of(b"a 1 2 3", whole=True).dim == 3


def test_all_lines_are_looked_at():
    head = b"a 1 2\n" * 200 + b"b 1 2 3\n" * 2000

    assert layout_of(head).dim == 3
    assert layout_of(b"a 1 2\n" * 200 + b"b 1 2 3\n" * 200).dim == 2


def test_a_header_and_a_byte_order_mark_are_skipped():
    layout = layout_of(b"\xef\xbb\xbf2 2\n" + BODY)

    assert (layout.skip, layout.header) == (7, b"2 2")
    assert layout.notes == ("a byte order mark before the first row was left out",)
    assert layout.notes[0].code == "text.byte-order-mark"


# The header


@pytest.mark.parametrize(
    ("head", "dim", "rows"),
    [
        (b"  3\t 3 \nthe 0.5 1 2\nof 1 2 3\nto 3 2 1\n", 3, 3),  # blanks around it
        (b"2 3\nthe 0.25 0.5 1\nof 1 1.#QNAN 2\n", 3, 2),  # half of the rows are bad
        (b"4 3\n34 0.5 1 2\n1 1 2 3\n33 3 2 1\n10 1 1 1\n", 3, 4),  # node2vec
        (b"3 3\nRoute 66 0.5 1 2\nApollo 11 1 2 3\nArea 51 3 2 1\n", 3, 3),
        (
            b"2 1\nRoute 66 0.5\nArea 51 1.5\n",
            1,
            2,
        ),  # not "dim count", whose count is 1
        (b"1 2\na 1 2\n<unk> 3 4\n", 2, 1),
        (b"3 2\npython 2.7\t0.5\t1\nc 99\t1\t2\nc\t1\t2\n", 2, 3),
        (b"2 3\nthe 0.5\t1\t2\nof 1\t2\t3\n", 3, 2),  # a space, then tabs
    ],
)
def test_a_header_that_the_rows_bear_out_is_believed(head, dim, rows):
    layout = layout_of(head)

    assert (layout.dim, layout.rows) == (dim, rows)
    assert layout.header == head.split(b"\n")[0]


@pytest.mark.parametrize(
    ("head", "code", "message"),
    [
        (
            b"2 2\na 1 2 3 4\nb 5 6 7 8\n",  # GloVe -model 3
            "header.not-borne-out",
            "declares 2 values a row, but the rows have 4",
        ),
        (
            b"7 3\nRoute 66 0.5 1 2\nArea 51 3 2 1\n",  # a false count
            "header.not-borne-out",
            "'dim=3,header=yes'.*'header=yes'",
        ),
        (
            b"3 3\nthe 0.25, -0.5, 1.5\nof 0.5, 2, -3\n",
            "header.not-borne-out",
            "declares 3 .* have 1: commas separate the fields",
        ),
        (b"9 4\na 1.5 2\nb 2 3\n", "header.not-borne-out", "'header=yes'"),
        (b"3 2\nthe 1\nof 2\nto 3\n", "header.not-borne-out", "declares 2"),
        (
            b"5 9 120\nthe 0.25 1 2\nof 1 2 3\n",
            "header.three-integers",
            "line 1: it is a header of three integers",
        ),
        (b"0 1 2\nthe 0.5 1 2\nof 1 2 3\n", "text.column-numbers", "numbers the col"),
        (b"2 3\n0.5 1 2\n1 2 3\n", "text.no-tokens", "declares 3 values a row, and"),
    ],
)
def test_a_header_that_no_row_bears_out_is_an_error(head, code, message):
    with pytest.raises(FormatError, match=message) as caught:
        find_layout(head, whole=True, name="f")

    assert caught.value.code == code
    assert "emove line 1" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"alpha, 0.5 -0.25\nbeta, 0.25 1.5\n", "a comma stands behind most tokens"),
        (b"2 2\nalpha; 0.5 -0.25\nbeta; 0.25 1.5\n", "a semicolon"),
        (b"alpha:\t0.5\t-0.25\nbeta:\t0.25\t1.5\n", "a colon"),
        (b"1 2\nalpha, 0.5 -0.25\n", "a comma"),
        (b"alpha;\t0.5\n", "a semicolon"),
        (b"3 3\nfew 0.5 1.25 2\nall 1 2 3\nno. 5 4 3 2 1\n", None),
        (b", 0.5 -0.25\n; 0.25 1.5\n: 0.5 1\n", None),  # the marks are the tokens
        (b"1, 0.5 -0.25\nbeta 0.25 1.5\nthe 0.5 1\n", None),  # one row alone
    ],
)
def test_a_mark_behind_most_tokens_is_a_separator(head, what):
    if what is None:
        assert layout_of(head).dim in (2, 3)
        return
    with pytest.raises(FormatError, match=what) as caught:
        layout_of(head)

    assert caught.value.code == "text.separator"
    style = "tab" if b"\t" in head else "space"
    assert f"--layout separator={style}" in str(caught.value)
    told = find_layout(head, whole=True, name="f", known=KnownLayout(separator=style))
    assert told is not None
    assert "text.comma-tokens" in [note.code for note in told.notes]


@pytest.mark.parametrize(
    "rows",
    [
        ["a -0.5", "b  0.5", "c -0.5", "d -0.25"],  # a blank for a plus sign
        ["alpha 0.5", "beta  0.25", "gamma 1"],  # numbers begin in one column
        ["a 10.5", "b  0.5", "c 20.5"],  # numbers end in one column
        ["a -0.5 -1 -2", "b -0.5 -1 -2", "c  0.5 -1 -2"],
    ],
)
@pytest.mark.parametrize("times", [1, 40])
def test_blanks_that_align_a_few_rows_are_an_error(rows, times):
    head = "".join(f"{row}\n" for row in rows * times).encode()

    with pytest.raises(
        FormatError, match=r"two spaces .* to align its columns"
    ) as caught:
        layout_of(head)

    assert caught.value.code == "text.separator"
    told = find_layout(head, whole=True, name="f", known=KnownLayout(separator="space"))
    assert told is not None


def test_a_token_that_ends_in_a_blank_aligns_nothing():
    assert layout_of(b"a -0.5 1\nb  0.25 1\nc 0.5 1\nd -10 2\n").dim == 2


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (b"a 0.5\nb 0.25\n2 1\na 0.5\nb 0.25\n", b"2 1"),
        (b"2 1\na 0.5\nb 0.25\n2 1\nc 0.5\n", b"2 1"),
        (b"2 1\na 0.5\nb 0.25\n1 2\nc 0.5\n", b"1 2"),
        (b"2 2\na 0.5 1\nb 0.25 1\n2 2 120\nc 0.5 1\n", b"2 2 120"),
    ],
)
def test_a_header_among_short_rows_is_an_error(head, line):
    with pytest.raises(FormatError, match="files were joined") as caught:
        layout_of(head)

    assert caught.value.code == "header.repeated"
    assert repr(line) in str(caught.value)
    dim = layout_of(head[: head.index(line, 4)]).dim
    told = find_layout(head, whole=True, name="f", known=KnownLayout(dim=dim))
    assert told is not None
    assert told.dim == dim


def test_whole_numbers_among_short_rows_are_rows():
    assert layout_of(b"a 0.5\n7 1\nb 0.25\n9 3\nc 2\n").dim == 1
    assert layout_of(b"3 1\n5 2\n2 1\n1 4\n", whole=False).dim == 1


def test_headers_among_longer_rows_do_not_count_as_rows():
    head = b"1 4\na 0.5 1 2 3\n1 4\n1 4\na 0.5 1 2 3\n"

    assert layout_of(head).dim == 4


def test_rows_behind_the_first_that_agree_change_nothing():
    rows = b"".join(b"w%d 0.5\n" % i for i in range(9000))

    layout = layout_of(rows + b"Route 66 0.5\nlast x\n", whole=False)

    assert layout.dim == 1
    assert [note.code for note in layout.notes] == ["text.dim-1"]


@pytest.mark.parametrize(
    ("head", "readings"),
    [
        # the rows are cut, or the count is false
        (b"3 4\na 0.5 1 2\nb 1 2 3\nc 3 2 1\n", "3 rows of 4 .* or 4 rows of 3"),
        # tokens end in a number, or the count is false
        (b"3 2\na 0.5 1 2\nb 1 2 3\nc 3 2 1\n", "3 rows of 2 .* or 2 rows of 3"),
    ],
)
def test_two_readings_as_cheap_are_an_error_that_names_both(head, readings):
    with pytest.raises(FormatError, match=f"may declare {readings}") as caught:
        layout_of(head)

    assert caught.value.code == "header.not-borne-out"
    assert "--layout" in str(caught.value)


@pytest.mark.parametrize(
    ("head", "quoted"),
    [
        (b'"the" 0.5 -1\n"of" 0.25 1.5\n', True),
        (b'the 0.5 -1\n"new york" 0.25 1.5\n', True),
        (b'the 0.5 -1\n"" 0.25 1.5\n"a" 0.5 0.5\n', False),
    ],
)
def test_quotes_of_csv_around_tokens_are_told_of(head, quoted):
    codes = [note.code for note in layout_of(head).notes]

    assert ("text.quoted-tokens" in codes) == quoted


# What is told


def test_what_is_known_takes_the_place_of_what_is_found():
    rows = b"the 0.5\t1\t2\nof 1\t2\t3\n"

    def told(head: bytes, **known: object) -> TextLayout:
        layout = find_layout(head, whole=True, name="f", known=KnownLayout(**known))
        assert layout is not None
        return layout

    with pytest.raises(FormatError, match="separator=space-tab"):
        find_layout(rows, whole=True, name="f")
    for separator, dim in (("space-tab", 3), ("tab", 2)):
        assert told(rows, separator=separator).dim == dim
        assert told(rows, dim=dim).dim == dim
    assert told(b"2 4\n" + BODY, header=True).dim == 2
    assert told(b"2 4\n" + BODY, dim=2).skip == 4
    assert told(b"2 2\n" + BODY, header=False).header is None
    assert told(b"word 0 1\n" + BODY, header=True).skip == 9
    assert told(b"Route 66 0.5 1\nArea 51 1 2\n", dim=2).dim == 2
    with pytest.raises(FormatError, match="gives dim=3, but most rows end in 2") as at:
        told(BODY, dim=3)
    assert at.value.code == "text.layout-differs"
    with pytest.raises(FormatError, match="layout gives dim=3, but most rows end in n"):
        told(b"a b c\nd e f\n", dim=3)


@given(st.binary(max_size=60) | st.text("ab 12.\t\n\r-e", max_size=40).map(str.encode))
def test_any_head_gives_a_layout_or_none_or_our_error(head):
    try:
        layout = find_layout(head, whole=True, name="f")
    except FormatError:
        return
    if layout is not None:
        assert layout.dim >= 1
        assert all(note.code in CODES for note in layout.notes)
        assert layout.skip <= len(head)


# Numbers between a space and a tab


NUMBERS_OF = {
    "fixed": lambda i, j: f"{(i * 7 + j * 13) % 17 / 17 - 0.5:.6f}",
    "whole": lambda i, j: str((i * 5 + j * 7) % 9 - 4),
    "short": lambda i, j: f"{(i * 7 + j * 13) % 97 / 97 - 0.5:.{1 + (i + j) % 4}f}",
}


@pytest.mark.parametrize("numbers", NUMBERS_OF)
@pytest.mark.parametrize(
    "token",
    ["python {i}.7", "Route {i}", "year {i}", "{i} 000", "python 2.{i}", "-{i}"],
)
@pytest.mark.parametrize("rows", [8, 40])
def test_tokens_end_in_a_number_before_tabs(numbers, token, rows):
    text = "".join(
        token.format(i=i + 10)
        + "".join(f"\t{NUMBERS_OF[numbers](i, j)}" for j in range(5))
        + "\n"
        for i in range(rows)
    )

    found = layout_of(text.encode())

    assert (found.dim, found.separator, found.delimiter) == (5, b"\t", b"\t")


@pytest.mark.parametrize("numbers", NUMBERS_OF)
@pytest.mark.parametrize("rows", [2, 3, 8, 40])
def test_a_space_and_then_tabs_lose_no_number(numbers, rows):
    text = "".join(
        f"word{i} " + "\t".join(NUMBERS_OF[numbers](i, j) for j in range(5)) + "\n"
        for i in range(rows)
    )

    if rows < 8 and numbers != "fixed":  # too few to tell: right, or refused
        with contextlib.suppress(FormatError):
            assert layout_of(text.encode()).delimiter == b" "
        return
    found = layout_of(text.encode())

    assert (found.dim, found.separator, found.delimiter) == (5, b"\t", b" ")


def test_no_line_ends_but_cr_are_named_whatever_the_rows_are():
    for row in (b"w 1 0.5", b"1 000 1 0.5", b"a  1  2", b"a, 0.5, 1.5"):
        with pytest.raises(FormatError) as caught:
            layout_of(row + b"\r" + row)

        assert caught.value.code == "text.line-ends"


@pytest.mark.parametrize("header", [b"", b"3 2\n"])
@pytest.mark.parametrize(
    ("write", "cause"),
    [
        ("np.float32({})", "numpy's repr"),
        ("tensor({})", "a type's name"),
        ("[{}]", "brackets"),
        ('"{}"', "quotes"),
        ("\u2212{}", "U\\+2212"),
        ("1.#QNAN", "programs on Windows"),
        ("+0,5", "decimal commas"),
        ("None", "a number is missing"),
        ("{}D-05", "Fortran"),
        ("{}f", "C source"),
        ("{},", "commas separate"),
        ("4:{}", "sparse"),
    ],
)
def test_what_numbers_are_not_is_named_with_and_without_a_header(write, cause, header):
    rows = [
        " ".join([word, *(write.format(number) for number in ("0.25", "1.5"))]) + "\n"
        for word in ("the", "of", "to")
    ]
    raw = header + "".join(rows).encode()

    with pytest.raises(FormatError, match=cause):
        open_reader(Stream("f", lambda: io.BytesIO(raw), size=len(raw)))


@pytest.mark.parametrize("token", ["word{}", "Route {}", "costs {}.50"])
@pytest.mark.parametrize(
    "header", ["9 4 120", "4 9 120", "9 4 1 1", "7 9 4", "9 4 0 0 0", "9 4 1 1 1 1 1"]
)
def test_a_header_of_more_integers_is_read_where_two_of_them_are_true(token, header):
    rows = "".join(f"{token.format(i)} 0.5 -1.25 0.125 2\n" for i in range(9))

    found = layout_of(f"{header}\n{rows}".encode())

    assert (found.dim, found.rows, found.skip) == (4, 9, len(header) + 1)
    assert "header.three-integers" in [note.code for note in found.notes]


@pytest.mark.parametrize("token", ["word{}", "Route {}", "costs {}.50"])
def test_the_remedy_for_three_integers_gives_the_true_rows(token):
    rows = "".join(f"{token.format(i)} 0.5 -1.25 0.125 2\n" for i in range(9))
    raw = f"8 9 120\n{rows}".encode()

    with pytest.raises(FormatError, match="three integers") as caught:
        layout_of(raw)

    assert "layout='header=yes'" in str(caught.value)
    found = find_layout(raw, whole=True, name="f", known=KnownLayout(header=True))
    assert found is not None
    assert found.skip == 8
    said = [note.code for note in found.notes]
    assert found.dim == 4 or "assumed.first-number" in said


def test_numbers_of_columns_below_a_header_are_line_2():
    rows = b"".join(b"w%d 0.5 -1.25 0.125 2\n" % i for i in range(9))

    with pytest.raises(FormatError, match="Remove line 2") as caught:
        layout_of(b"9 4\nword 0 1 2 3\n" + rows)

    assert "header=yes" not in str(caught.value)


def test_some_rows_of_spaces_among_those_of_tabs_are_no_failure():
    tabs = b"".join(b"year %d\t0.5\n" % i for i in range(4))

    with contextlib.suppress(FormatError):
        layout_of(tabs + b"year 1904 0.25\n")
    with contextlib.suppress(FormatError):
        layout_of(b"7\n" + tabs + b"year 1904 0.25\nyear 1905 1.25\n")
