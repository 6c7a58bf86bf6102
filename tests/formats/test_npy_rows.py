"""The file beside a ``.npy`` matrix: whose it is, and when it is not looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import TOKENS, assert_same, example, read_all, stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.npy import reader as npy
from pretrained_embed.formats.npy.rows import Sample, sampled


@pytest.fixture
def matrix(tmp_path):
    formats.write_table(tmp_path / "m.npy", example())
    return tmp_path / "m.npy"


@pytest.fixture
def whole(matrix):
    """Return the path of a matrix, and the bytes of the file beside it."""
    return matrix, matrix.with_name("m.rows.safetensors").read_bytes()


def test_a_matrix_in_two_files_is_saved_and_loaded_whole(tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("the 1 2\nsat 3 4\n")
    matrix = pe.build_matrix(["the", "cat"], source)

    matrix.save(tmp_path / "m.npy")

    loaded = pe.load_matrix(tmp_path / "m.npy")
    assert_same(loaded.table(), matrix.table())
    assert loaded.explain("the") == matrix.explain("the")


def test_rows_of_any_source_are_converted(tmp_path):
    (tmp_path / "v.txt").write_text("the 1 2\nsat 3 4\n")

    pe.convert(tmp_path / "v.txt", tmp_path / "v.npy")

    with formats.open_reader(stream_of(tmp_path / "v.npy")) as reader:
        (block,) = reader.blocks()
    assert block.tokens == ["the", "sat"]
    assert block.vectors.tolist() == [[1, 2], [3, 4]]
    assert reader.findings.notes == ["tokens from v.rows.safetensors"]


def change_a_value(vectors: np.ndarray) -> np.ndarray:
    return np.where(np.arange(vectors.size).reshape(vectors.shape), vectors, 7)


@pytest.mark.parametrize(
    "other",
    [
        change_a_value,
        lambda vectors: vectors[:-1],
        lambda vectors: vectors.reshape(-1, 5),
        lambda vectors: vectors[::-1],
    ],
)
def test_a_matrix_written_anew_is_told_from_the_one_it_was(matrix, other):
    np.save(matrix, other(example().vectors).astype(np.float32))

    with pytest.raises(FormatError, match=r"m\.npy is not the matrix that .*m\.rows"):
        npy.open_reader(stream_of(matrix))


def test_a_file_of_tokens_that_is_named_comes_first(matrix):
    named = matrix.with_name("named")
    named.write_text("".join(f"t{row}\n" for row in range(len(TOKENS))))

    with npy.open_reader(stream_of(matrix, named)) as reader:
        table = reader.table()

    assert table.tokens[0] == "t0"
    assert not table.metadata


def test_it_comes_before_other_lists_of_tokens(matrix):
    matrix.with_suffix(".txt").write_text("one\n")

    assert_same(formats.read_table(stream_of(matrix)), example())


def test_it_is_found_beside_a_matrix_that_is_linked_to(matrix, tmp_path):
    link = tmp_path / "links" / "elsewhere.npy"
    link.parent.mkdir()
    link.symlink_to(matrix)

    assert_same(formats.read_table(stream_of(link)), example())

    formats.write_table(link, example(dim=2))

    assert_same(formats.read_table(stream_of(matrix)), example(dim=2))
    assert link.is_symlink()


@pytest.mark.parametrize("content", [b"", b"{}", b"\x02\0\0\0\0\0\0\0{}"])
def test_another_file_of_that_name_is_refused(matrix, content):
    matrix.with_name("m.rows.safetensors").write_bytes(content)

    with pytest.raises(FormatError, match=r"m\.rows\.safetensors"):
        npy.open_reader(stream_of(matrix))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 1 << 20), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_read_or_refused(whole, position, byte, cut):
    matrix, raw = whole
    damaged = bytearray(raw)
    damaged[position % len(raw)] = byte
    matrix.with_name("m.rows.safetensors").write_bytes(
        damaged[: position % len(raw)] if cut else damaged
    )

    assert read_all(npy, matrix) in ("read", "refused")


@given(rows=st.integers(1, 500), cuts=st.lists(st.integers(0, 500)))
def test_the_sample_is_the_same_in_any_blocks(rows, cuts):
    vectors = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
    whole, blocks = Sample(rows, 2), Sample(rows, 2)

    whole.add(vectors)
    for block in np.split(vectors, sorted(min(cut, rows) for cut in cuts)):
        blocks.add(block)

    assert blocks.digest() == whole.digest()
    assert {0, rows - 1} <= set(sampled(rows))
