from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from tables import piped, read_all, stream_of

from pretrained_embed import kernel
from pretrained_embed.budget import USUAL
from pretrained_embed.errors import FormatError, SourceError, TruncatedError
from pretrained_embed.formats import marks
from pretrained_embed.formats.npy import reader as npy
from pretrained_embed.formats.tensors.tokens import read_tokens

VECTORS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
TOKENS = ["the", "\u00a0", "b c"]
TEXT = "the\n\u00a0\nb c\n".encode()


@pytest.fixture
def matrix(tmp_path):
    np.save(tmp_path / "vectors.npy", VECTORS)
    return tmp_path / "vectors.npy"


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("source", [stream_of, piped])
def test_a_matrix_is_read_with_its_tokens(tmp_path, dtype, order, source):
    path, words = tmp_path / "vectors.npy", tmp_path / "words"
    np.save(path, VECTORS.astype(dtype, order=order))
    words.write_bytes(TEXT)
    out = np.zeros((2, 2), np.float32)
    index = kernel.TokenIndex(["b c", "the"], np.array([0, 1]), np.zeros(2, np.uint8))
    stream = source(path)
    stream = type(stream)(**{**vars(stream), "tokens_path": words})

    with npy.open_reader(stream) as reader:
        (block,) = reader.blocks()
        reader.select(index, out)

    assert marks.npy(stream.head(4096), stream)
    assert block.tokens == TOKENS
    assert block.vectors.tolist() == VECTORS.tolist()
    assert out.tolist() == [[5, 6], [1, 2]]
    # Whoever opens it has named the tokens.
    assert "tokens from words" not in reader.findings.notes


@pytest.mark.parametrize("suffix", [".tokens", ".vocab", ".txt"])
def test_tokens_are_found_beside_the_matrix(matrix, suffix):
    matrix.with_suffix(suffix).write_bytes(TEXT)

    with npy.open_reader(stream_of(matrix)) as reader:
        (block,) = reader.blocks()

    assert block.tokens == TOKENS


def test_a_matrix_without_tokens_says_what_to_do(matrix):
    with pytest.raises(FormatError, match=r"one a line.*vectors\.txt"):
        npy.open_reader(stream_of(matrix))


def test_a_missing_token_file_is_a_source_error(matrix):
    with pytest.raises(SourceError, match="nowhere"):
        npy.open_reader(stream_of(matrix, matrix.with_name("nowhere")))


def test_rows_and_tokens_that_differ_are_both_named(matrix):
    words = matrix.with_suffix(".txt")
    words.write_bytes(TEXT + b"more\n")

    with pytest.raises(FormatError, match=r"3 rows.*vectors\.txt has 4 tokens"):
        npy.open_reader(stream_of(matrix))


def test_a_matrix_is_not_copied(matrix):
    matrix.with_suffix(".txt").write_bytes(TEXT)

    vectors = npy.open_reader(stream_of(matrix)).table().vectors

    while isinstance(vectors, np.ndarray) and not isinstance(vectors, np.memmap):
        vectors = vectors.base
    assert isinstance(vectors, np.memmap)


def test_a_matrix_of_another_length_than_declared_is_refused(matrix):
    matrix.with_suffix(".txt").write_bytes(TEXT)
    raw = matrix.read_bytes()

    matrix.write_bytes(raw[:-1])
    with pytest.raises(TruncatedError, match="24 bytes, but 23"):
        npy.open_reader(stream_of(matrix))

    matrix.write_bytes(raw + b"\0")
    with pytest.raises(FormatError, match="1 bytes follow"):
        npy.open_reader(stream_of(matrix))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([["a"]], object), "objects"),
        (np.zeros(3, np.float32), "shape"),
        (np.zeros((3, 2), np.int32), "int32"),
        (np.zeros((0, 2), np.float32), "0 rows"),
        (np.zeros((3, 0), np.float32), "shape"),
        (np.zeros((3, 2), np.longdouble), "dtype|float128"),
        (np.zeros((3, 2), np.complex64), "c8"),
    ],
)
def test_arrays_that_are_no_matrix_of_floats_are_refused(matrix, array, message):
    matrix.with_suffix(".txt").write_bytes(TEXT)
    np.save(matrix, array)

    with pytest.raises(FormatError, match=message):
        npy.open_reader(stream_of(matrix))


def test_a_matrix_damaged_anywhere_gives_rows_or_our_error(matrix):
    matrix.with_suffix(".txt").write_bytes(TEXT)
    raw = matrix.read_bytes()

    outcomes = set()
    for position in range(len(raw)):
        for value in (0, 0x20, 0x39, 0xFF):
            damaged = bytearray(raw)
            damaged[position] = value
            matrix.write_bytes(damaged)
            outcomes.add(read_all(npy, matrix))
        matrix.write_bytes(raw[:position])
        assert read_all(npy, matrix) == "refused"

    assert outcomes == {"read", "refused"}


@given(
    raw=st.lists(st.sampled_from([b"a", b" ", b"\r", b"\n", b"\xc2\x85"])).map(b"".join)
)
def test_a_line_of_tokens_ends_at_lf_alone(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "words"
    path.write_bytes(raw)

    tokens = read_tokens(path, USUAL).unpack()

    lines = [line.removesuffix(b"\n") for line in io.BytesIO(raw)]
    assert tokens == [line.removesuffix(b"\r").decode() for line in lines]


@pytest.mark.parametrize(
    "content",
    [
        TOKENS,
        {"b c": 2, "the": 0, "\u00a0": 1},
        {
            "model": {"vocab": {"the": 0, "\u00a0": 1}},
            "added_tokens": [{"id": 2, "content": "b c"}],
        },
        {"model": {"vocab": [["the", -1.5], ["\u00a0", -2], ["b c", -3]]}},
    ],
    ids=["list", "object", "tokenizer", "unigram"],
)
def test_tokens_are_read_from_json(tmp_path, content):
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps(content))

    assert read_tokens(path, USUAL).unpack() == TOKENS


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "3", "[" * 50_000,
     '{"a": 1}', '{"a": 0, "b": 0}', '{"a": 0, "b": true}',
     '["\\ud800"]', '{"model": {"vocab": 3}}', '{"model": {"vocab": [3]}}',
     '{"model": {"vocab": {}}, "added_tokens": [{"id": [], "content": {}}]}'],
)  # fmt: skip
def test_json_that_lists_no_tokens_is_refused(tmp_path, text):
    path = tmp_path / "tokens.json"
    path.write_text(text)

    with pytest.raises(FormatError, match=r"tokens\.json"):
        read_tokens(path, USUAL)


@pytest.mark.parametrize(
    "type_",
    [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()],
    ids=str,
)
def test_tokens_are_read_from_parquet_in_any_cut(tmp_path, type_):
    tokens = [f"w{number} é" for number in range(1000)] + ["", "\u00a0"]
    table = pa.table({"index": pa.array(tokens).cast(type_), "count": range(1002)})
    parquet.write_table(table, tmp_path / "tokens", row_group_size=7)

    assert read_tokens(tmp_path / "tokens", USUAL).unpack() == tokens


def test_of_several_string_columns_the_named_one_is_taken(tmp_path):
    path = tmp_path / "tokens"
    parquet.write_table(pa.table({"language": ["en"], "word": ["the"]}), path)

    assert read_tokens(path, USUAL).unpack() == ["the"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"word": ["a", None]}, "row 1: the token is null"),
        ({"count": [1]}, "no column of tokens"),
        ({"a": ["x"], "b": ["y"]}, "no column of tokens"),
    ],
)
def test_parquet_without_tokens_is_refused(tmp_path, columns, message):
    path = tmp_path / "tokens"
    parquet.write_table(pa.table(columns), path)

    with pytest.raises(FormatError, match=message):
        read_tokens(path, USUAL)


def test_parquet_that_is_damaged_is_refused(tmp_path):
    path = tmp_path / "tokens"
    parquet.write_table(pa.table({"word": ["a", "b"]}), path)
    raw = path.read_bytes()

    for length in range(4, len(raw), 9):
        path.write_bytes(raw[:length])
        with pytest.raises(FormatError, match="Parquet"):
            read_tokens(path, USUAL)


def test_parquet_of_no_rows_lists_no_tokens(tmp_path):
    path = tmp_path / "tokens"
    parquet.write_table(pa.table({"word": pa.array([], pa.string())}), path)

    assert read_tokens(path, USUAL).unpack() == []
