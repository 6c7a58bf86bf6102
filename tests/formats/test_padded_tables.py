"""Bare tables beside a list of tokens of another length."""

from __future__ import annotations

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.errors import FormatError, OptionError

VECTORS = np.arange(1, 11, dtype=np.float32).reshape(5, 2)


@pytest.fixture
def table(tmp_path):
    """Write a table, and tokens beside it; return its path."""

    def write(vectors=VECTORS, tokens="abc"):
        (tmp_path / "v.txt").write_text("".join(f"{t}\n" for t in tokens))
        np.save(tmp_path / "v.npy", vectors)
        return tmp_path / "v.npy"

    return write


def test_a_list_of_another_length_is_an_error_that_gives_both_numbers(table):
    for tokens, remedy in (("abc", "--layout rows=3"), ("abcdefg", "belong together")):
        with pytest.raises(
            FormatError, match=f"5 rows.*{len(tokens)} tokens.*{remedy}"
        ):
            pe.build_matrix(["a"], table(tokens=tokens))


def test_the_remedy_leaves_the_rows_behind_the_tokens_out(table):
    matrix = pe.build_matrix(["a", "c"], table(), layout="rows=3")

    assert matrix["c"].tolist() == [5, 6]
    (note,) = [note for note in matrix.findings.notes if "no tokens" in note]
    assert note == "no tokens for the last 2 rows, as the layout says"
    block = next(pe.open_vectors(table(), layout="rows=3").blocks())
    assert block.tokens == [*"abc"]


def test_rows_that_are_zeros_are_left_out_with_a_note(table):
    padded = VECTORS * [[1], [1], [1], [0], [0]]

    matrix = pe.build_matrix(["b"], table(padded.astype(np.float32)))

    assert matrix["b"].tolist() == [3, 4]
    assert "no tokens for the last 2 rows, which are zeros" in matrix.findings.notes


def test_a_layout_that_the_list_contradicts_is_refused(table):
    with pytest.raises(FormatError, match="has 3 tokens, and the layout says rows=4"):
        pe.build_matrix(["a"], table(), layout="rows=4")


def test_a_matrix_with_tokens_of_its_own_needs_no_layout(tmp_path):
    matrix = pe.EmbeddingMatrix(np.eye(2) * [[0], [1]], pe.Vocabulary(["a"]))
    for name in ("m.npy", "m.safetensors"):
        matrix.save(tmp_path / name)
        with pytest.raises(
            OptionError, match=r"layout gives rows, but.*leave rows out"
        ):
            pe.open_vectors(tmp_path / name, layout="rows=2")
