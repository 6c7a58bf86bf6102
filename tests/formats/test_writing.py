"""Rows into files, whatever the format; what it refuses, and what is left then."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import stream_of

from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import OptionError, RowError, WriteError
from pretrained_embed.formats import HOLES, PackedBlock, RowStream, Table
from pretrained_embed.formats.sink import stream_of as rows_of

#: Formats that our own readers read. TensorBoard's is for people to look at.
READ = tuple(name for name in formats.WRITABLE_FORMATS if name != "projector")
FOLDERS = ("sentence-transformers", "projector")
OF_ANY_DTYPE = (
    *("npz", "hdf5", "safetensors", "gensim", "sentence-transformers"),
    *("parquet", "arrow"),
)
every_format = pytest.mark.parametrize("format", formats.WRITABLE_FORMATS)
in_tmp_path = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

tokens = (
    st.text("ab1 \t\r\n\0\u00a0\x85\u2028\ufeff.-", max_size=5)
    | st.binary(max_size=4).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | st.sampled_from(["[UNK]", "<unk>", "route 66", "1e5", "3 4", "nan", "12", "é"])
)


def packed(tokens: list[str], vectors: np.ndarray) -> PackedBlock:
    return PackedBlock(PackedTokens.pack(tokens), vectors)


def rows(blocks: list[list[str]], dim: int = 2) -> tuple[RowStream, np.ndarray]:
    """Return a stream of blocks of tokens, and the vectors it will have given."""
    total = sum(map(len, blocks))
    vectors = np.random.default_rng(0).normal(size=(total, dim)).astype(np.float32)
    starts = np.cumsum([0, *map(len, blocks)])
    given = (
        packed(block, vectors[start : start + len(block)])
        for block, start in zip(blocks, starts.tolist(), strict=False)
    )
    return RowStream(dim, given), vectors


def read(path: Path) -> tuple[list[str], np.ndarray]:
    with formats.open_reader(stream_of(path)) as reader:
        blocks = list(reader.blocks())
    assert reader.findings.bad_rows == 0
    return (
        [token for block in blocks for token in block.tokens],
        np.concatenate([block.vectors for block in blocks]),
    )


@pytest.mark.parametrize("format", READ)
@in_tmp_path
@given(
    blocks=st.lists(st.lists(tokens, min_size=1, max_size=4), min_size=1, max_size=3),
    dim=st.integers(1, 3),
)
def test_rows_read_back_as_they_were_or_a_token_is_named(
    tmp_path_factory, format, blocks, dim
):
    folder = tmp_path_factory.mktemp("round")
    stream, vectors = rows(blocks, dim)
    given_tokens = [token for block in blocks for token in block]

    try:
        formats.write_rows(folder / "out", stream, format=format)
    except WriteError:
        assert list(folder.iterdir()) == []
        return

    back, numbers = read(folder / "out")
    assert back == given_tokens
    assert numbers.tobytes() == vectors.tobytes()


@pytest.mark.parametrize("format", READ)
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
@in_tmp_path
def test_any_numbers_read_back_to_the_bit(tmp_path_factory, format, bits):
    folder = tmp_path_factory.mktemp("numbers")
    vectors = np.array(bits, np.uint32).view(np.float32).reshape(2, 3)
    vectors[np.isnan(vectors)] = np.nan  # text has one NaN

    stream = RowStream(3, [packed(["the", "cat"], vectors)])
    try:
        formats.write_rows(folder / "out", stream, format=format)
    except WriteError:  # numbers can be taken for text: 10 ** -42 is the bytes of "1\n"
        assert format == "word2vec-binary"
        return

    assert read(folder / "out")[1].tobytes() == vectors.tobytes()


@every_format
def test_rows_and_a_table_give_the_same_bytes(tmp_path, format):
    stream, vectors = rows([["the", "cat"], ["sat"]])
    table = Table(PackedTokens.pack(["the", "cat", "sat"]), vectors, {}, {"a": 1})

    formats.write_table(tmp_path / "table", table, format=format)
    formats.write_rows(
        tmp_path / "rows",
        RowStream(2, stream.blocks, metadata={"a": 1}),
        format=format,
    )

    def content(path: Path) -> dict[str, bytes]:
        files = [path] if path.is_file() else path.iterdir()
        return {file.name.replace("rows", "table"): file.read_bytes() for file in files}

    assert content(tmp_path / "table") == content(tmp_path / "rows")


@every_format
def test_an_error_while_rows_come_leaves_nothing(tmp_path, format):
    def broken() -> Iterator[PackedBlock]:
        yield packed(["the"], np.ones((1, 2), np.float32))
        raise RowError("line 2: malformed", line=2)

    with pytest.raises(RowError, match="line 2"):
        formats.write_rows(tmp_path / "out", RowStream(2, broken()), format=format)

    assert list(tmp_path.iterdir()) == []


@every_format
def test_a_file_of_no_rows_is_not_written(tmp_path, format):
    with pytest.raises(WriteError, match="no rows"):
        formats.write_rows(tmp_path / "out", RowStream(2, []), format=format)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["word2vec", "word2vec-binary", "npz"])
def test_a_count_that_proves_wrong_is_an_error(tmp_path, format):
    blocks = [packed(["the"], np.ones((1, 2), np.float32))]

    with pytest.raises(WriteError, match="2 rows were announced, 1 came"):
        formats.write_rows(tmp_path / "out", RowStream(2, blocks, 2), format=format)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", OF_ANY_DTYPE)
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_vectors_are_kept_as_asked(tmp_path, format, dtype):
    vectors = np.array([[0.1, -2.5], [np.inf, np.nan]], np.float32)
    stream = RowStream(2, [packed(["a", "b"], vectors)], dtype=dtype)

    formats.write_rows(tmp_path / "out", stream, format=format)

    expected = vectors.astype(dtype).astype(np.float32)
    assert read(tmp_path / "out")[1].tobytes() == expected.tobytes()
    with formats.open_reader(stream_of(tmp_path / "out")) as reader:
        list(reader.blocks())
    assert any(dtype in note for note in reader.findings.notes)


@pytest.mark.parametrize(
    "format", ["word2vec", "glove", "word2vec-binary", "projector"]
)
def test_a_dtype_that_a_format_has_not_is_refused(tmp_path, format):
    stream = RowStream(1, [], dtype="float16")

    with pytest.raises(OptionError, match=f"{format} holds float32"):
        formats.write_rows(tmp_path / "out", stream, format=format)


def test_a_number_too_large_for_the_dtype_is_named_with_its_token(tmp_path):
    vectors = np.array([[1, 2], [3, 1e5]], np.float32)
    stream = RowStream(2, [packed(["a", "b"], vectors)], dtype="float16")

    with pytest.raises(WriteError, match=r"'b' holds the number 100000\.0"):
        formats.write_rows(tmp_path / "out.npz", stream)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("format", "bad"),
    [
        ("word2vec", ["", "a\n", "route 66"]),
        ("glove", ["", "a\n", "route 66"]),
        ("word2vec-binary", ["", "new york", "\na"]),
        ("gensim", ["the"]),
        ("sentence-transformers", ["", "the", "a b", "\u00a0", "\udcff"]),
        ("projector", ["", "a\tb", "a\n", " a", "\ufeff", "\u2003", "\udcff"]),
    ],
)
def test_the_token_that_stops_a_format_is_named(tmp_path, format, bad):
    for token in bad:
        stream = RowStream(2, [packed(["the", token], np.ones((2, 2), np.float32))])
        with pytest.raises(WriteError, match=re.escape(f"token {token!r} ")):
            formats.write_rows(tmp_path / "out", stream, format=format)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "format", ["word2vec", "glove", "word2vec-binary", "gensim", "projector"]
)
def test_a_row_without_a_token_is_refused_where_none_can_be(tmp_path, format):
    vectors = np.ones((2, 2), np.float32)
    table = Table(PackedTokens.pack(["", "a"]), vectors, {HOLES: np.array([0])}, {})

    with pytest.raises(WriteError, match="row 0 has no token"):
        formats.write_table(tmp_path / "out", table, format=format)


@pytest.mark.parametrize(
    ("tokens", "numbers"),
    [
        (["a"], b"1.5\n"),  # digits of a row of text
        (["1", "111\r", "1"], b"l\xbf\x00>\x7fF\x07\xbe\xbd\xf2#?"),  # doubles
    ],
)
def test_a_binary_file_that_would_be_taken_for_another_is_not_written(
    tmp_path, tokens, numbers
):
    vectors = np.frombuffer(numbers, "<f4").reshape(-1, 1)
    stream = RowStream(1, [packed(tokens, vectors)], len(tokens))

    with pytest.raises(WriteError, match="taken for text or for other numbers"):
        formats.write_rows(tmp_path / "out.bin", stream)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["word2vec", "glove"])
def test_a_first_row_that_no_reader_sees_the_end_of_is_not_written(tmp_path, format):
    long = [packed(["x" * (1 << 20), "a"], np.ones((2, 2), np.float32))]

    with pytest.raises(WriteError, match="how they are laid out"):
        formats.write_rows(tmp_path / "out", RowStream(2, long), format=format)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FOLDERS)
def test_a_folder_is_new_or_empty(tmp_path, format):
    table = Table(PackedTokens.pack(["a"]), np.ones((1, 2), np.float32), {}, {})
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")

    formats.write_table(tmp_path / "empty", table, format=format)
    with pytest.raises(WriteError, match="there already"):
        formats.write_table(tmp_path / "full", table, format=format)

    assert len(list((tmp_path / "empty").iterdir())) >= 3
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_in_the_way_is_refused_before_a_row_is_read(tmp_path):
    def never() -> Iterator[PackedBlock]:
        raise AssertionError
        yield

    (tmp_path / "out.npz").mkdir()
    with pytest.raises(WriteError, match="is a folder"):
        formats.write_rows(tmp_path / "out.npz", RowStream(2, never()))
    with pytest.raises(WriteError, match="make it first"):
        formats.write_rows(tmp_path / "none" / "out.npz", RowStream(2, never()))


def test_a_format_that_there_is_none_of_is_refused(tmp_path):
    table = Table(PackedTokens.pack(["a"]), np.ones((1, 2), np.float32), {}, {})

    with pytest.raises(OptionError, match="did you mean 'glove'"):
        formats.write_table(tmp_path / "out.txt", table, format="Glov")


def test_a_format_that_is_named_comes_before_the_suffix(tmp_path):
    table = Table(PackedTokens.pack(["a"]), np.ones((1, 2), np.float32), {}, {})

    formats.write_table(tmp_path / "out.npz", table, format="glove")

    assert (tmp_path / "out.npz").read_bytes() == b"a 1 1\n"


def test_the_second_pass_tells_its_progress(tmp_path):
    stream, _ = rows([["a", "b"], ["c"]])
    seen: list[tuple[int, int | None]] = []

    formats.write_rows(
        tmp_path / "out.txt", stream, progress=lambda *at: seen.append(at)
    )

    assert seen == [(24, 24)]


def test_a_table_is_streamed_in_blocks():
    vectors = np.zeros((10_000, 2), np.float32)
    tokens = [str(number) for number in range(10_000)]
    table = Table(PackedTokens.pack(tokens), vectors, {}, {})

    blocks = list(rows_of(table).blocks)

    assert len(blocks) > 1
    assert [token for block in blocks for token in block.tokens.unpack()] == tokens


@pytest.mark.parametrize("format", sorted({*formats.WRITABLE_FORMATS} - {"gensim"}))
def test_memory_holds_a_few_blocks_however_many_there_are(tmp_path, format):
    """gensim pickles vectors of less than 42 MB in memory."""

    def many() -> Iterator[PackedBlock]:
        for block in range(100):
            tokens = [f"{block}-{row}" for row in range(40)]
            yield packed(tokens, np.full((40, 1000), block % 2, np.float32))

    tracemalloc.start()
    try:
        formats.write_rows(tmp_path / "out", RowStream(1000, many()), format=format)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 9_000_000  # of 16 MB of vectors, and more of text
