from __future__ import annotations

import io

import pytest
from conformance import FormatConformance, all_rows, select
from hypothesis import given
from hypothesis import strategies as st
from tables import stream_of
from vectors import cut_into_parts

from pretrained_embed import formats
from pretrained_embed.errors import (
    FormatError,
    RowError,
    TruncatedError,
)
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.text import reader as text
from pretrained_embed.sources.stream import Stream

ROWS = b"first 1 2 3\nsecond 4 5 6\nthird 7 8 9\n"


def opened(path, raw):
    path.write_bytes(raw)
    return formats.open_reader(stream_of(path))


def stream_over(raw: bytes):
    return Stream("memory", lambda: io.BytesIO(raw), size=len(raw))


class TestGloVeText(FormatConformance):
    suffix = ".txt"
    header = False
    tokens = (*FormatConformance.tokens, "new york", "0,0 km²", "a\tb", "\t", "-")
    unwritable = ("", "a\nb", "route 66", "a\t1", "x nan", " 1")

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch):
        cut_into_parts(monkeypatch, 4000, read=512)

    def write(self, path, tokens, vectors):
        with path.open("wb") as file:
            if self.header:
                file.write(b"%d %d\n" % vectors.shape)
            for token, vector in zip(tokens, vectors.tolist(), strict=True):
                raw = token.encode("utf-8", "surrogateescape")
                file.write(raw + (" %r" * len(vector) % tuple(vector)).encode() + b"\n")


class TestWord2VecText(TestGloVeText):
    header = True


class TestUncutText(TestGloVeText):
    """One part, as a small file is, and reads that hold it all."""

    @pytest.fixture(autouse=True)
    def small_parts(self):
        pass


# Malformed and suspicious rows


DAMAGED = (
    b"a 1 2 3\n\nb 1 2 3\nc 1 2\n 1 2 3\nd 1 two 3\ne 1 2 3\nf 1_0 2 3\ng 1 2 3 4\n"
)


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("part", [5, 13, 1000])
@pytest.mark.parametrize("threads", [1, 7])
def test_bad_rows_are_left_out_counted_and_named_if_asked(
    tmp_path, monkeypatch, part, threads
):
    cut_into_parts(monkeypatch, part, read=11)
    reader = opened(tmp_path / "f", DAMAGED)

    tokens, vectors = all_rows(reader, on_bad_row="skip", threads=threads)

    assert tokens == ["a", "b", "e", "g 1"]
    assert vectors.tolist() == [[1, 2, 3]] * 3 + [[2, 3, 4]]
    found = reader.findings
    assert (found.rows, found.bad_rows, found.suspicious_rows) == (9, 5, 1)
    assert [(d.row, d.line, d.what.partition(";")[0]) for d in found.doubts] == [
        (1, 2, "blank line"),
        (3, 4, "2 values, 3 expected"),
        (4, 5, "no token before the 3 values"),
        (5, 6, "value 2 of 3 is not a number"),
        (7, 8, "value 1 of 3 is not a number"),
        (
            8,
            9,
            "4 fields follow the first, 3 expected: the token itself ends in a number "
            "or separator",
        ),
    ]


@pytest.mark.usefixtures("both_kernels")
def test_numbers_of_rows_that_are_not_wanted_are_not_read(tmp_path):
    reader = opened(tmp_path / "f", b"a 1 2 3\nb 1 two 3\nc 1 2 3\n")

    _, selection = select(reader, [("c", 0, 0)])
    with pytest.raises(RowError, match="line 2: value 2 of 3 is not a number"):
        select(reader, [("b", 0, 0)])

    assert selection.findings.rows == 3
    assert selection.findings.bad_rows == 0


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("header", [b"", b"9 3\n"])
def test_the_first_bad_row_is_the_one_named(tmp_path, monkeypatch, threads, header):
    raw = header + ROWS * 50 + b"bad 1\n" + ROWS * 50 + b"worse\n" + ROWS
    cut_into_parts(monkeypatch, 200, read=64)
    reader = opened(tmp_path / "f", raw)

    with pytest.raises(RowError) as caught:
        select(reader, [("third", 0, 0)], threads=threads)

    line = 151 + bool(header)
    assert caught.value.line == line
    assert f"f, line {line}: 1 values, 3 expected" in str(caught.value)
    assert "on_bad_row='skip'" in str(caught.value)


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_all_bad_rows_are_counted_and_the_first_ten_described(
    tmp_path, monkeypatch, threads
):
    cut_into_parts(monkeypatch, 300, read=64)
    reader = opened(tmp_path / "f", ROWS * 200 + b"bad\n" * 500 + ROWS)

    _, selection = select(reader, [("third", 0, 0)], on_bad_row="skip", threads=threads)

    assert selection.findings.bad_rows == 500
    assert [doubt.line for doubt in selection.findings.doubts] == list(range(601, 611))
    assert selection.source_rows.tolist() == [2, -1]


def test_a_row_of_one_number_does_not_fill_a_vector(tmp_path):
    reader = opened(tmp_path / "f", ROWS + b"seven 7\n" + ROWS)

    with pytest.raises(RowError, match="1 values, 3 expected"):
        select(reader, [("seven", 0, 0)])
    out, selection = select(reader, [("seven", 0, 0)], on_bad_row="skip")

    assert (out == -7).all()
    assert selection.source_rows.tolist() == [-1, -1]


@pytest.mark.parametrize("size", range(26, 37))
def test_a_file_cut_in_a_row_is_named_as_such(tmp_path, size):
    reader = opened(tmp_path / "f", ROWS[:size])
    if size == 36:
        all_rows(reader)
        assert "text.no-final-line-end" in reader.findings.codes
    else:
        with pytest.raises(TruncatedError, match=r"line 3: .* cut download"):
            all_rows(reader)


# Line ends


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("part", [5, 13, 64, 1000])
@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
def test_blank_lines_behind_the_last_row_are_no_rows(
    tmp_path, monkeypatch, part, on_bad_row
):
    cut_into_parts(monkeypatch, part, read=11)
    reader = opened(tmp_path / "f", ROWS + b"\n \n\t\n" + b"\n" * 100)

    tokens, _ = all_rows(reader, on_bad_row=on_bad_row)

    assert tokens == ["first", "second", "third"]
    assert (reader.findings.rows, reader.findings.bad_rows) == (3, 0)
    assert reader.findings.doubts == []
    assert reader.findings.codes["text.blank-end"] == 1


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("part", [5, 13, 64, 1000])
def test_blank_lines_before_a_row_are_bad_rows(tmp_path, monkeypatch, part):
    cut_into_parts(monkeypatch, part, read=11)
    reader = opened(tmp_path / "f", ROWS + b"\n" * 100 + b"last 1 2 3\n\n")

    out, selection = select(reader, [("last", 0, 0)], on_bad_row="skip")

    assert out[0].tolist() == [1, 2, 3]
    assert selection.source_rows.tolist() == [103, -1]
    found = selection.findings
    assert (found.rows, found.bad_rows) == (104, 100)
    assert [doubt.line for doubt in found.doubts] == list(range(4, 14))
    assert {doubt.code for doubt in found.doubts} == {"text.blank-line"}
    with pytest.raises(RowError, match="line 4: blank line") as caught:
        select(reader, [("last", 0, 0)])
    assert (caught.value.line, caught.value.code) == (4, "text.blank-line")


@pytest.mark.usefixtures("both_kernels")
def test_any_number_of_crs_ends_a_line(tmp_path):
    raw = b"3 3\r\r\n" + ROWS.replace(b"\n", b" \r\r\r\n")

    tokens, vectors = all_rows(opened(tmp_path / "f", raw))

    assert tokens == ["first", "second", "third"]
    assert vectors[0].tolist() == [1, 2, 3]


def test_lines_that_end_in_cr_alone_are_named(tmp_path):
    with pytest.raises(FormatError, match="lines end in CR alone") as caught:
        opened(tmp_path / "f", b"3 3\r" + ROWS.replace(b"\n", b"\r"))

    assert caught.value.code == "text.line-ends"


# A header that is false


def test_a_second_header_is_called_one(tmp_path):
    reader = opened(tmp_path / "f", b"3 3\n" + ROWS + b"3 3\n" + ROWS)

    with pytest.raises(RowError, match=r"line 5: .*this is a header") as caught:
        all_rows(reader)
    all_rows(reader, on_bad_row="skip")

    assert caught.value.code == "header.repeated"
    assert reader.findings.codes == {"text.bad-row": 1, "header.count-differs": 1}


def test_a_false_count_whose_dim_no_row_has_is_an_error(tmp_path, monkeypatch):
    # the head does not show how many rows there are
    monkeypatch.setattr(text, "HEAD_SIZE", 64)
    rows = b"".join(b"route %d 0.5 1.5\n" % i for i in range(9))
    true, false = (
        text.open_reader(stream_over(b"%d 2\n" % count + rows)) for count in (9, 8)
    )

    assert all_rows(true)[0][0] == "route 0"
    assert "header.tokens-end-in-numbers" in true.findings.codes
    with pytest.raises(FormatError, match=r"declares 8 rows of 2 .* there are 9"):
        all_rows(false)
    told = text.open_reader(stream_over(b"8 2\n" + rows), KnownLayout(dim=2))
    assert all_rows(told)[0][0] == "route 0"


@pytest.mark.parametrize("header", ["5 3", "3 5"])
@pytest.mark.parametrize("token", ["costs {}.50", "{} 000", "Route {}", "no. 1.{}"])
def test_tokens_that_all_end_in_a_number_keep_it_under_a_true_header(header, token):
    tokens = [token.format(number) for number in range(1, 6)]
    values = "0.1234 0.2345 0.3456"
    text_of = "".join(f"{each} {values}\n" for each in tokens)
    reader = text.open_reader(stream_over(f"{header}\n{text_of}".encode()))

    assert all_rows(reader)[0] == tokens
    assert reader.dim == 3
    assert "header.tokens-end-in-numbers" in reader.findings.codes
    assert ("header.dim-first" in reader.findings.codes) == (header == "3 5")


@pytest.mark.parametrize("header", ["4 2", "5 2"])
def test_a_surplus_that_is_the_vectors_is_no_end_of_a_token(header):
    rows = [b"a -0.1234 0.5 1.5", b"b 0.2345 0.25 2.5", b"c 0.5432 1 -2", b"d 1 2 3"]

    with pytest.raises(FormatError, match="declares 2 values a row, but the rows have"):
        text.open_reader(stream_over(b"\n".join([header.encode(), *rows, b""])))


def test_a_first_row_of_three_integers_with_a_tab_is_a_row():
    rows = b"5 000\t7\n6 000\t8\n7 000\t-9\n"

    assert all_rows(text.open_reader(stream_over(rows)))[0] == [
        "5 000",
        "6 000",
        "7 000",
    ]


# Bytes of any kind


@given(
    lines=st.lists(
        st.binary(max_size=8) | st.sampled_from([b"a 1 2", b" 1 2", b"b\t1\t2", b"3 2"])
    ),
    end=st.sampled_from([b"", b"\n", b"\r\n"]),
)
def test_any_bytes_give_rows_or_our_error(lines, end):
    raw = b"\n".join(lines) + end
    try:
        reader = formats.open_reader(stream_over(raw))
        blocks = list(reader.blocks(on_bad_row="skip"))
    except FormatError:
        return
    rows = sum(len(block.tokens) for block in blocks)
    assert all(len(block.tokens) == len(block.vectors) for block in blocks)
    assert rows + reader.findings.bad_rows == reader.findings.rows
