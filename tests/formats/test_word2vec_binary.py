from __future__ import annotations

import struct
from contextlib import nullcontext, suppress
from itertools import product

import numpy as np
import pytest
from conformance import FormatConformance, all_rows, select
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import piped, stream_of

from pretrained_embed import formats
from pretrained_embed.errors import FormatError, TruncatedError, brief
from pretrained_embed.formats import Findings, window
from pretrained_embed.formats.word2vec import layout
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
@pytest.mark.parametrize("newline", [b"", b"\n", b"\n\n"])
def test_borders_of_reads_fall_anywhere(tmp_path, monkeypatch, newline):
    token = "\u00a0\n"
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


@pytest.mark.parametrize("newline", [b"", b"\n", b"\n\n\n"])
def test_line_ends_before_a_token_are_left_out_as_word2vec_and_gensim_do(
    tmp_path, newline
):
    rows = [("a", (1, 2)), ("\nb", (3, 4)), ("\n\nc\n", (5, 6))]
    raw = binary(rows, newline=newline)
    (tmp_path / "f").write_bytes(raw)

    tokens, vectors = all_rows(opened(tmp_path / "f", raw))
    out, _ = select(formats.open_reader(stream_of(tmp_path / "f")), [("b", 0, 0)])

    assert tokens == ["a", "b", "c\n"]
    assert vectors.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert out[0].tolist() == [3, 4]
    loaded = KeyedVectors.load_word2vec_format(tmp_path / "f", binary=True)
    assert loaded.index_to_key[:2] == tokens[:2]


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


def numbers_of(rows: int, dim: int, seed: int = 0, scale: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, (rows, dim)).astype(np.float32)


def written(tokens, vectors, newline=b"") -> bytes:
    return binary(
        list(zip(tokens, vectors.tolist(), strict=True)),
        dim=vectors.shape[1],
        newline=newline,
    )


#: Tokens with blanks: one, several, at either end, other scripts, numbers, no UTF-8.
BLANKS = [
    *("new york", "new york city", "trailing ", " leading", "two  blanks", "a b"),
    *("\u0440\u0438\u043c \u043c\u0438\u0440", "1 1/2", "x 1999", "a\udcff b"),
    "it is a long one that has more bytes than sixteen numbers have, to be sure of it",
]


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("newline", [b"", b"\n"])
@pytest.mark.parametrize("place", [0, 1, 20, 39])
@pytest.mark.parametrize("blank", BLANKS)
def test_a_token_that_holds_a_blank_is_read_whole(tmp_path, blank, place, newline):
    tokens = [f"w{n}" for n in range(40)]
    tokens[place] = blank
    vectors = numbers_of(40, 20)

    reader = opened(tmp_path / "f", written(tokens, vectors, newline))
    read, numbers = all_rows(reader)
    first = blank.partition(" ")[0]
    wanted = [(first, 0, 0), (blank, 1, 0), (f"w{min(place + 1, 38)}", 2, 0)]
    out, _ = select(reader, wanted)

    assert read == tokens
    assert numbers.tobytes() == vectors.tobytes()
    assert (out[0] == -7).all()
    assert out[1].tobytes() == vectors[place].tobytes()
    assert out[2].tobytes() == vectors[min(place + 1, 38)].tobytes()
    (note,) = reader.findings.notes
    shown = brief(blank.encode("utf-8", "surrogateescape"))
    assert note.startswith(
        f"tokens that hold a blank: 1, the first {shown} in row {place} "
    )


@pytest.mark.usefixtures("both_kernels")
def test_many_tokens_may_hold_a_blank_wherever_reads_end(tmp_path, monkeypatch):
    monkeypatch.setattr(window, "READ_SIZE", 512)
    monkeypatch.setattr(window, "HEADROOM", 64)
    monkeypatch.setattr(word2vec_binary, "READ_SIZE", 512)
    tokens = [f"w{n} x{n}" if n % 3 == 1 else f"w{n}" for n in range(300)]
    vectors = numbers_of(300, 10)

    for stream in (stream_of, piped):
        (tmp_path / "f").write_bytes(written(tokens, vectors))
        read, numbers = all_rows(formats.open_reader(stream(tmp_path / "f")))

        assert read == tokens
        assert numbers.tobytes() == vectors.tobytes()


@pytest.mark.parametrize("dtype", ["<f8", "<f2", ">f4", ">f8"])
def test_tokens_with_blanks_between_numbers_of_other_kinds(tmp_path, dtype):
    numbers = numbers_of(40, 20).astype(dtype)
    tokens = [f"w{n}" if n != 30 else "new york" for n in range(40)]
    raw = b"40 20\n" + b"".join(
        token.encode() + b" " + row.tobytes()
        for token, row in zip(tokens, numbers, strict=True)
    )

    read, vectors = all_rows(opened(tmp_path / "f", raw))

    assert read == tokens
    assert vectors.tobytes() == numbers.astype(np.float32).tobytes()


UNBROKEN = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=1, max_size=9
)


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(UNBROKEN, min_size=12, max_size=30),
    phrases=st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(["new york", "a b", "1 2"])),
        max_size=3,
    ),
    dim=st.sampled_from([8, 20, 50, 300]),
    newline=st.sampled_from([b"", b"\n"]),
    scale=st.sampled_from([1e-6, 0.02, 1.0, 1e6]),
    seed=st.integers(0, 2**32),
)
def test_tokens_with_and_without_blanks_are_read_or_refused(
    tmp_path_factory, words, phrases, dim, newline, scale, seed
):
    path = tmp_path_factory.getbasetemp() / "blanks"
    tokens = [*words]
    for place, phrase in phrases:
        tokens.insert(place, phrase)
    vectors = numbers_of(len(tokens), dim, seed, scale)
    reader = opened(path, written(tokens, vectors, newline))
    with suppress(FormatError) if phrases else nullcontext():
        read, numbers = all_rows(reader)
        assert read == tokens
        assert numbers.tobytes() == vectors.tobytes()


def test_where_nothing_tells_where_a_token_ends_its_row_is_named(tmp_path):
    vectors = numbers_of(40, 20)
    tokens = [f"w{n}" for n in range(40)]
    tokens[19], tokens[20] = "new york", "\x01"

    reader = opened(tmp_path / "f", written(tokens, vectors))

    with pytest.raises(
        FormatError, match=r"row 19 .*, offset .*begins b'new' seems to hold a blank"
    ):
        all_rows(reader, on_bad_row="skip")


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
@pytest.mark.parametrize("places", [2, 9])
def test_no_big_endian_numbers_are_misread_in_silence(tmp_path, dtype, places):
    random, right = np.random.default_rng(1), 0
    for rows, dim in product((1, 2, 3, 5, 60), (2, 3, 8, 20)):
        vectors = np.round(random.normal(size=(rows, dim)), places).astype(dtype)
        lines = [b"w%d " % i + row.tobytes() + b"\n" for i, row in enumerate(vectors)]
        raw = b"%d %d\n" % (rows, dim) + b"".join(lines)

        with opened(tmp_path / "x", raw) as reader:
            _, read = all_rows(reader)

        same = np.array_equal(read, vectors.astype(np.float32))
        code = "big-endian" if same else "byte-order-unknown"
        assert f"binary.{code}" in reader.findings.codes, (rows, dim)
        assert same or rows * dim < 6
        right += same
    assert right >= 16


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
@pytest.mark.parametrize(("rows", "dim"), [(60, 1), (20, 3), (8, 8)])
def test_few_numbers_are_enough_to_tell_big_endian_ones(tmp_path, dtype, rows, dim):
    vectors = np.random.default_rng(1).normal(size=(rows, dim)).astype(dtype)
    vectors[0] = -0.0  # whose bytes are a number in the other order
    lines = [b"w%d " % row + vectors[row].tobytes() + b"\n" for row in range(rows)]

    with opened(tmp_path / "x", b"%d %d\n" % (rows, dim) + b"".join(lines)) as reader:
        _, read = all_rows(reader)

    np.testing.assert_array_equal(read, vectors.astype(np.float32))


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8"])
@pytest.mark.parametrize("short", [True, False])
def test_big_endian_numbers_are_read_with_a_note(tmp_path, dtype, short):
    numbers = numbers_of(40, 20)
    if short or dtype == ">f2":
        numbers = numbers.astype(np.float16).astype(np.float32)
    raw = b"40 20\n" + b"".join(
        b"w%d " % n + row.astype(dtype).tobytes() for n, row in enumerate(numbers)
    )

    reader = opened(tmp_path / "f", raw)
    _, vectors = all_rows(reader)

    assert vectors.tobytes() == numbers.tobytes()
    (note,) = reader.findings.notes
    assert note.startswith("stored as big-endian")


def test_one_row_tells_how_wide_its_numbers_are(tmp_path):
    for dtype, dim in product(("<f2", "<f4", "<f8"), (2, 6, 20)):
        vector = np.linspace(-1, 1, dim).astype(dtype)
        raw = b"1 %d\nthe " % dim + vector.tobytes()

        _, read = all_rows(opened(tmp_path / "x", raw))

        assert read.tolist() == [vector.astype(np.float32).tolist()]


@pytest.mark.parametrize(
    "numbers",
    [
        np.float32([[1e-30, 0], [0, 3e38]]),
        np.full((9, 9), 1e-31, np.float32),
        np.full((9, 9), np.nan, np.float32),
        np.zeros((9, 9), np.float32),
        np.float32([[1e-45, 2e-45], [3e-45, -1e-45]]),
        np.random.default_rng(0).integers(0, 1 << 32, (50, 20), np.uint32).view("<f4"),
    ],
)
def test_odd_numbers_are_not_taken_for_big_endian_ones(tmp_path, numbers):
    raw = b"%d %d\n" % numbers.shape + b"".join(
        b"w%d " % n + row.tobytes() for n, row in enumerate(numbers)
    )

    tokens, vectors = all_rows(opened(tmp_path / "f", raw))

    assert tokens == [f"w{n}" for n in range(len(numbers))]
    assert vectors.tobytes() == numbers.tobytes()


@pytest.mark.parametrize(
    "numbers",
    [
        np.float16(np.random.default_rng(1).normal(0, 0.4, (60, 20))),
        np.float16(np.random.default_rng(2).integers(-9, 10, (60, 20))),
        np.float16(np.random.default_rng(3).choice([0.25, -0.5, 1, 16], (60, 20))),
        np.float16(np.random.default_rng(4).normal(0, 2000, (60, 20))),
        np.float16(2.0) ** np.random.default_rng(5).integers(-12, 9, (60, 20)),
    ],
)
def test_halves_are_not_taken_for_big_endian_ones(tmp_path, numbers):
    numbers = numbers.astype("<f2")
    raw = b"%d %d\n" % numbers.shape + b"".join(
        b"w%d " % n + row.tobytes() for n, row in enumerate(numbers)
    )

    tokens, vectors = all_rows(opened(tmp_path / "f", raw))

    assert tokens == [f"w{n}" for n in range(len(numbers))]
    assert vectors.tobytes() == numbers.astype(np.float32).tobytes()


@pytest.mark.parametrize(
    "body",
    [
        b"the 0.25 -0.5 1.5\r\r\nof 0.125 2 -3\r\r\n",
        b"the 0.25, -0.5, 1.5\nof 0.125, 2, -3\n",
        b"the,0.25,-0.5,1.5\n",
        b"the 0,25 -0,5 1,5\n",
        b"the [0.25, -0.5, 1.5]\n",
        b"a\0b 0.25 x 1.5\nof\x01 0.125 2 z\n",
        b"a 1 2\n",
        b"hello world, this is text",
        "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440".encode(),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n"])
def test_text_is_not_taken_for_binary(body, end):
    assert not layout.is_binary(b"2 3" + end + body)


@given(
    rows=st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.integers()),
        min_size=1,
        max_size=5,
    ),
    dim=st.integers(4, 50),
)
def test_short_files_of_numbers_are_binary(rows, dim):
    tokens = [token.replace(" ", "_") for token, _ in rows]
    assert layout.is_binary(written(tokens, numbers_of(len(rows), dim)))
