from __future__ import annotations

import struct

import numpy as np
import pytest
from conformance import FormatConformance, all_rows, select
from tables import piped, stream_of

from pretrained_embed import formats
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats import Findings, window
from pretrained_embed.formats.word2vec import reader as word2vec_binary

ROWS = [("a", (1.0, 2.0)), ("b", (3.0, 4.0)), ("c", (5.0, 6.0))]


def binary(rows, *, count=None, dim=2, newline=b"", end=b"\n") -> bytes:
    """Return a file as word2vec.c (newline) or gensim (none) writes it."""
    header = b"%d %d" % (len(rows) if count is None else count, dim) + end
    return header + b"".join(
        token.encode("utf-8", "surrogateescape")
        + b" "
        + struct.pack(f"<{len(vector)}f", *vector)
        + newline
        for token, vector in rows
    )


def opened(path, raw):
    path.write_bytes(raw)
    return formats.open_reader(stream_of(path))


class TestGensimBinary(FormatConformance):
    suffix = ".bin"
    newline = b""
    unwritable = ("", " ", "new york", "a ", "\n", "\nfirst")

    @pytest.fixture(autouse=True)
    def small_reads(self, monkeypatch):
        monkeypatch.setattr(window, "READ_SIZE", 512)
        monkeypatch.setattr(window, "HEADROOM", 64)
        monkeypatch.setattr(word2vec_binary, "READ_SIZE", 512)

    def write(self, path, tokens, vectors):
        path.write_bytes(
            binary(
                list(zip(tokens, vectors.tolist(), strict=True)),
                dim=vectors.shape[1],
                newline=self.newline,
            )
        )


class TestWord2VecCBinary(TestGensimBinary):
    newline = b"\n"


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize(("newline", "token"), [(b"", "\u00a0\n"), (b"\n", "\n\u00a0")])
def test_borders_of_reads_fall_anywhere(tmp_path, monkeypatch, newline, token):
    raw = binary([("token", (1.5, -2.5)), (token, (0.0, 1e-9))], newline=newline)
    (tmp_path / "f").write_bytes(raw)
    for size in range(1, len(raw) + 1):
        for room in (0, 3, 64):
            monkeypatch.setattr(window, "READ_SIZE", size)
            monkeypatch.setattr(window, "HEADROOM", room)

            tokens, vectors = all_rows(formats.open_reader(stream_of(tmp_path / "f")))

            assert tokens == ["token", token]
            assert vectors.tolist() == np.float32([[1.5, -2.5], [0, 1e-9]]).tolist()


def test_a_file_cut_anywhere_is_refused_or_its_whole_rows_kept(tmp_path):
    raw = binary(ROWS, newline=b"\n")
    for size in range(raw.index(b"\n") + 12, len(raw) - 1):
        reader = opened(tmp_path / "f", raw[:size])
        whole = [row for row in range(4) if 4 + 11 * row - 1 <= size][-1]
        if size in (4 + 11 * whole, 4 + 11 * whole - 1):
            continue  # cut between rows: only the count tells

        with pytest.raises(TruncatedError, match=r"offset \d+: .*cut download"):
            all_rows(reader)
        tokens, _ = all_rows(reader, on_bad_row="skip")

        assert tokens == ["a", "b", "c"][:whole]
        assert reader.findings.bad_rows == 1
        assert reader.findings.doubts[0].row == whole


@pytest.mark.parametrize("count", [0, 2, 4, 9_999_999_999])
def test_a_wrong_count_is_noted_and_costs_nothing(tmp_path, count):
    reader = opened(tmp_path / "f", binary(ROWS, count=count))

    tokens, _ = all_rows(reader)
    _, selection = select(reader, [("c", 0, 0)])

    assert tokens == ["a", "b", "c"]
    note = f"the header declares {count:,} rows, there are 3"
    assert selection.findings == Findings(rows=3, notes=[note])


@pytest.mark.parametrize("rows", [0, 1, 9_999_999_999])
@pytest.mark.parametrize("dim", [300, 195_202, 9_999_999_999])
@pytest.mark.parametrize("stream", [stream_of, piped])
def test_a_dim_that_the_file_cannot_hold_is_refused_unallocated(
    tmp_path, rows, dim, stream
):
    (tmp_path / "f").write_bytes(binary(ROWS, count=rows, dim=dim))

    with pytest.raises(TruncatedError, match=f"rows of {dim:,} values, 30 bytes"):
        formats.open_reader(stream(tmp_path / "f"))


def test_a_row_longer_than_the_head_is_refused(tmp_path):
    (tmp_path / "f").write_bytes(b"1 300000\nthe " + bytes(1 << 20))

    with pytest.raises(FormatError, match="No embedding has so many"):
        formats.open_reader(stream_of(tmp_path / "f"))


def test_a_token_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(window, "LONGEST_ROW", 1 << 16)
    monkeypatch.setattr(window, "READ_SIZE", 1 << 14)
    reader = opened(tmp_path / "f", binary(ROWS) + bytes(1 << 17))

    with pytest.raises(FormatError, match="offset 34: no end of a row"):
        all_rows(reader)


def test_other_text_below_such_a_header_is_not_taken_for_numbers(tmp_path):
    raw = b"9 3\n" + b"".join(b"the 1:0.5 2:0.25 word%d\n" % n for n in range(9))
    (tmp_path / "f").write_bytes(raw)

    with pytest.raises(FormatError, match="sparse vectors"):
        formats.open_reader(stream_of(tmp_path / "f"))


def test_a_token_may_begin_with_a_line_end_where_rows_do_not_end_in_one(tmp_path):
    rows = [("a", (1, 2)), ("\nb", (3, 4)), ("c", (5, 6))]

    gensim, _ = all_rows(opened(tmp_path / "f", binary(rows)))
    word2vec, _ = all_rows(opened(tmp_path / "f", binary(rows, newline=b"\n")))

    assert gensim == word2vec == ["a", "\nb", "c"]


def test_a_header_may_end_in_cr_lf(tmp_path):
    tokens, _ = all_rows(opened(tmp_path / "f", binary(ROWS, end=b"\r\n")))

    assert tokens == ["a", "b", "c"]


def test_gensim_layout_is_written(tmp_path):
    reader = opened(tmp_path / "f", binary(ROWS))

    formats.write_table(
        tmp_path / "t.bin", formats.read_table(stream_of(tmp_path / "f"))
    )

    assert reader.format == "word2vec-binary"
    assert (tmp_path / "t.bin").read_bytes() == binary(ROWS)


WORDS = [
    *["the", "of", "and", "to", "in", "été"],
    "New_York",
    "\u00a0",
    "1",
    "-0.5",
    *"abcdefgh",
]


def wide(dtype: str, dim: int, newline: bytes) -> tuple[bytes, np.ndarray]:
    """Return a file of numbers of any width, and the numbers."""
    numbers = np.random.default_rng(dim).normal(size=(len(WORDS), dim)).astype(dtype)
    numbers[1] = np.arange(dim)
    rows = (
        word.encode() + b" " + row.tobytes() + newline
        for word, row in zip(WORDS, numbers, strict=True)
    )
    return b"%d %d\n" % numbers.shape + b"".join(rows), numbers


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("newline", [b"", b"\n"])
@pytest.mark.parametrize("dim", [2, 4, 50, 300])
@pytest.mark.parametrize(
    ("dtype", "notes"),
    [
        ("<f4", []),
        ("<f8", ["stored as float64; rounded to float32"]),
        ("<f2", ["stored as float16"]),
    ],
)
def test_numbers_of_other_widths_are_known_by_the_tokens_between_them(
    tmp_path, dtype, notes, dim, newline
):
    raw, numbers = wide(dtype, dim, newline)

    with opened(tmp_path / "f", raw) as reader:
        tokens, vectors = all_rows(reader)
        out, selection = select(reader, [("été", 0, 0), ("h", 1, 0), ("x", 2, 0)])

    assert tokens == WORDS
    assert vectors.tobytes() == numbers.astype(np.float32).tobytes()
    assert out[:2].tobytes() == numbers[[5, -1]].astype(np.float32).tobytes()
    assert selection.source_rows.tolist() == [5, len(WORDS) - 1, -1, -1]
    assert reader.findings.notes == notes
    assert (reader.dim, reader.count) == (dim, len(WORDS))


def test_a_cut_file_of_doubles_is_told_as_one(tmp_path):
    raw, _ = wide("<f8", 50, b"")

    with (
        opened(tmp_path / "f", raw[:-9]) as reader,
        pytest.raises(TruncatedError, match="no whole row of 50 values, after 17 rows"),
    ):
        all_rows(reader)


def test_rows_that_no_width_makes_sense_of_are_read_as_single_precision(tmp_path):
    raw, _ = wide("<f2", 3, b"")  # six bytes a row, of which there is no reading

    with opened(tmp_path / "f", raw) as reader, pytest.raises(FormatError):
        all_rows(reader)
    assert reader.layout.dtype == "<f4"


@pytest.mark.parametrize("token", ["\x01", "\udcff", "a\0b", "\t"])
def test_odd_tokens_do_not_make_single_precision_something_else(tmp_path, token):
    rows = [("a", (1.5, 2.0)), (token, (3.0, 4.25)), ("c", (5.0, 6.0))]

    with opened(tmp_path / "f", binary(rows)) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == ["a", token, "c"]
    assert vectors.tolist() == [[1.5, 2.0], [3.0, 4.25], [5.0, 6.0]]
