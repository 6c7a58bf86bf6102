from __future__ import annotations

import os

import numpy as np
import pytest
from conformance import FormatConformance, all_rows, select
from hypothesis import given
from hypothesis import strategies as st
from tables import piped, stream_of

from pretrained_embed import formats
from pretrained_embed.errors import FormatError, RowError, TruncatedError, WriteError
from pretrained_embed.formats import (
    PackedTokens,
    Table,
    text,
    text_scan,
    text_writer,
    window,
)
from pretrained_embed.sources.stream import Stream

ROWS = b"first 1 2 3\nsecond 4 5 6\nthird 7 8 9\n"


def opened(path, raw):
    path.write_bytes(raw)
    return formats.open_reader(stream_of(path))


def stream_over(raw: bytes):
    from io import BytesIO

    return Stream("memory", lambda: BytesIO(raw), size=len(raw))


@pytest.fixture
def parts_of(monkeypatch):
    """Cut files into parts of so many bytes, read so many at a time."""

    def cut(part: int, read: int, headroom: int = 64) -> None:
        for name in ("_SMALLEST_PART", "_LARGEST_PART"):
            monkeypatch.setattr(text, name, part)
        for module in (text, text_scan):
            monkeypatch.setattr(module, "ALIGNMENT", 1)
        for module in (text_scan, window):
            monkeypatch.setattr(module, "READ_SIZE", read)
        monkeypatch.setattr(window, "HEADROOM", headroom)

    return cut


class TestGloVeText(FormatConformance):
    suffix = ".txt"
    header = False
    tokens = (*FormatConformance.tokens, "new york", "0,0 km²", "a\tb", "\t", "-")
    unwritable = ("", "a\nb", "route 66", "a\t1", "x nan", " 1")

    @pytest.fixture(autouse=True)
    def small_parts(self, parts_of):
        parts_of(4000, 512)

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


# Parts and reads


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("raw", [ROWS, b"3 3\n" + ROWS, b"\xef\xbb\xbf" + ROWS[:-1]])
def test_borders_of_parts_fall_anywhere(tmp_path, parts_of, raw):
    whole = all_rows(opened(tmp_path / "f", raw))
    for part in range(5, len(raw) + 2):  # longer than a header, as they are
        parts_of(part, read=7)
        reader = opened(tmp_path / "f", raw)
        tokens, vectors = all_rows(reader)
        out, selection = select(reader, [("third", 0, 0), ("first", 1, 0)], threads=3)

        assert tokens == whole[0] == ["first", "second", "third"]
        assert vectors.tolist() == whole[1].tolist()
        assert out[:2].tolist() == [[7, 8, 9], [1, 2, 3]]
        assert selection.source_rows.tolist() == [2, 0, -1]
        assert reader.findings.rows == 3
        assert ("no line end" in str(reader.findings)) == (raw[-1:] != b"\n")


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("headroom", [1, 5, 64])
def test_rows_may_be_longer_than_a_read_and_its_headroom(tmp_path, parts_of, headroom):
    long = b"x" * 99
    for read in (1, 2, 3, 31, 33, 200):
        parts_of(50, read, headroom)
        for stream in (stream_of, piped):
            (tmp_path / "f").write_bytes(ROWS + long + b" 1 2 3\nlast 4 5 6\n")
            tokens, vectors = all_rows(formats.open_reader(stream(tmp_path / "f")))

            assert tokens == ["first", "second", "third", long.decode(), "last"]
            assert vectors[-2:].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("left", [0, 11, 12, 13, 30])
def test_a_file_that_shrinks_is_an_error(tmp_path, parts_of, threads, left):
    parts_of(4, read=4)
    reader = opened(tmp_path / "f", ROWS)
    os.truncate(tmp_path / "f", left)

    with pytest.raises(FormatError, match=r"37 bytes when opened.*while it was read"):
        select(reader, [("third", 0, 0)], threads=threads)


def test_a_file_that_shrinks_behind_the_reading_is_an_error(tmp_path, parts_of):
    parts_of(12, read=12)
    reader = opened(tmp_path / "f", ROWS)

    # once the first part has been read, the file is cut to a piece of it
    with pytest.raises(FormatError, match="changed while it was read"):
        select(
            reader,
            [("third", 0, 0)],
            threads=1,
            progress=lambda *_: os.truncate(tmp_path / "f", 3),
        )


def test_a_line_that_never_ends_is_given_up(tmp_path, parts_of, monkeypatch):
    parts_of(1 << 20, read=1 << 12)
    monkeypatch.setattr(window, "LONGEST_ROW", 1 << 14)
    reader = opened(tmp_path / "f", ROWS * 200_000 + b"x" * (1 << 15))

    with pytest.raises(FormatError, match=r"no end of a row in"):
        select(reader, [("third", 0, 0)])


# Malformed and suspicious rows


DAMAGED = (
    b"a 1 2 3\n\nb 1 2 3\nc 1 2\n 1 2 3\nd 1 two 3\ne 1 2 3\nf 1_0 2 3\ng 1 2 3 4\n"
)


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("part", [5, 13, 1000])
@pytest.mark.parametrize("threads", [1, 7])
def test_bad_rows_are_left_out_counted_and_named_if_asked(
    tmp_path, parts_of, part, threads
):
    parts_of(part, read=11)
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
def test_the_first_bad_row_is_the_one_named(tmp_path, parts_of, threads, header):
    raw = header + ROWS * 50 + b"bad 1\n" + ROWS * 50 + b"worse\n" + ROWS
    parts_of(200, read=64)
    reader = opened(tmp_path / "f", raw)

    with pytest.raises(RowError) as caught:
        select(reader, [("third", 0, 0)], threads=threads)

    line = 151 + bool(header)
    assert caught.value.line == line
    assert f"f, line {line}: 1 values, 3 expected" in str(caught.value)
    assert "on_bad_row='skip'" in str(caught.value)


def test_all_bad_rows_are_counted_and_the_first_ten_described(tmp_path, parts_of):
    parts_of(300, read=64)
    reader = opened(tmp_path / "f", ROWS * 200 + b"bad\n" * 500 + ROWS)

    _, selection = select(reader, [("third", 0, 0)], on_bad_row="skip", threads=3)

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
        assert reader.findings.notes == [
            "the last line has no line end; it may be cut short"
        ]
    else:
        with pytest.raises(TruncatedError, match=r"line 3: .* cut download"):
            all_rows(reader)


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


# Writing


tokens = st.binary(min_size=1, max_size=8) | st.text(
    "ab 1\t\r\u00a0\x85\u2028", min_size=1
).map(str.encode)


@given(
    st.lists(
        st.tuples(tokens, st.lists(st.integers(0, 2**32 - 1), min_size=3)), min_size=1
    ),
    st.integers(1, 3),
    st.booleans(),
)
def test_what_the_writer_accepts_reads_back_to_the_bit(
    tmp_path_factory, rows, dim, header
):
    path = tmp_path_factory.getbasetemp() / "written.txt"
    bits = np.array([numbers[:dim] for _, numbers in rows], np.uint32)
    vectors = bits.view(np.float32)
    vectors[np.isnan(vectors)] = np.nan  # text has one NaN
    table = Table(PackedTokens.join([token for token, _ in rows]), vectors, {}, {})

    try:
        text_writer.write_table(path, table, header=header)
    except WriteError:
        return
    back = formats.read_table(stream_of(path))

    assert back.tokens.unpack() == table.tokens.unpack()
    assert back.vectors.tobytes() == vectors.tobytes()


def test_a_header_is_written_unless_asked_not_to(tmp_path):
    table = Table(
        PackedTokens.pack(["a b", "c"]), np.float32([[1, 0.1], [-0.0, 1e-9]]), {}, {}
    )

    text_writer.write_table(tmp_path / "with.txt", table)
    text_writer.write_table(tmp_path / "without.txt", table, header=False)

    rows = b"a b 1.0 0.1\nc -0.0 1e-09\n"
    assert (tmp_path / "with.txt").read_bytes() == b"2 2\n" + rows
    assert (tmp_path / "without.txt").read_bytes() == rows


@pytest.mark.parametrize(
    ("token", "dim", "message"),
    [("\ufeffa", 2, "byte order mark"), ("a", 1, "taken for a header")],
)
def test_what_only_a_header_makes_clear_is_not_written_without(
    tmp_path, token, dim, message
):
    table = Table(PackedTokens.pack([token]), np.ones((1, dim), np.float32), {}, {})

    with pytest.raises(WriteError, match=message):
        text_writer.write_table(tmp_path / "f.txt", table, header=False)
    formats.write_table(tmp_path / "f.txt", table)

    assert formats.read_table(stream_of(tmp_path / "f.txt")).tokens.unpack() == [token]


def test_every_binary32_number_is_written_so_that_it_reads_back():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 50_000, np.uint32)
    vectors = bits.view(np.float32)[:, None]

    texts = [row[0] for row in text_writer._numbers(vectors)]

    back = np.array([np.float32(float(number)) for number in texts])
    finite = ~np.isnan(vectors[:, 0])
    assert (back.view(np.uint32) == bits)[finite].all()
    assert np.isnan(back[~finite]).all()
