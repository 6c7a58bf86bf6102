from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import FormatError
from pretrained_embed.formats.text.layout import SAMPLE_LINES, TextLayout, find_layout

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
    with pytest.raises(FormatError, match=r"f, line 1: the header declares \d"):
        find_layout(header + b"\n" + BODY, whole=True, name="f")


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
        (b"a\t 1 2\n\t 3 4\n", b" ", b" "),
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


def test_only_the_first_lines_are_looked_at():
    head = b"a 1 2\n" * SAMPLE_LINES + b"b 1 2 3\n" * 10 * SAMPLE_LINES

    assert layout_of(head).dim == 2


def test_a_header_and_a_byte_order_mark_are_skipped():
    layout = layout_of(b"\xef\xbb\xbf2 2\n" + BODY)

    assert (layout.skip, layout.header) == (7, b"2 2")
    assert layout.notes == ("a byte order mark before the first row was left out",)


@given(st.binary(max_size=60) | st.text("ab 12.\t\n\r-e", max_size=40).map(str.encode))
def test_any_head_gives_a_layout_or_none_or_our_error(head):
    try:
        layout = find_layout(head, whole=True, name="f")
    except FormatError:
        return
    if layout is not None:
        assert layout.dim >= 1
        assert layout.skip <= len(head)
