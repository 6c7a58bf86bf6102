"""Bare tables beside a list of tokens of another length."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from tables import stream_of

import pretrained_embed as pe
from pretrained_embed import formats
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
    matrix = pe.build_matrix(["a", "c"], table(), recipe=pe.Recipe(layout="rows=3"))

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
        pe.build_matrix(["a"], table(), recipe=pe.Recipe(layout="rows=4"))


def test_a_matrix_with_tokens_of_its_own_needs_no_layout(tmp_path):
    matrix = pe.EmbeddingMatrix(np.eye(2) * [[0], [1]], pe.Vocabulary(["a"]))
    for name in ("m.npy", "m.safetensors"):
        matrix.save(tmp_path / name)
        with pytest.raises(
            OptionError, match=r"layout gives rows, but.*leave rows out"
        ):
            pe.open_vectors(tmp_path / name, layout="rows=2")


@pytest.fixture
def tensors(tmp_path):
    """Write a file of tensors and tokens; return its path."""

    def write(vectors=VECTORS, name="vocab.txt", config=None):
        ids = {token: id for id, token in enumerate("abc")}
        text = (
            "a\nb\nc\n"
            if name == "vocab.txt"
            else json.dumps({"model": {"vocab": ids}})
        )
        (tmp_path / name).write_text(text)
        if config is not None:
            (tmp_path / "config.json").write_text(json.dumps(config))
        save_file({"weight": vectors}, tmp_path / "v.safetensors")
        return tmp_path / "v.safetensors"

    return write


@pytest.mark.parametrize("name", ["vocab.txt", "tokenizer.json"])
def test_tensors_beside_fewer_tokens_are_an_error_unless_padded(tensors, name):
    with pytest.raises(
        FormatError, match=r"5 rows.*has 3 tokens.*--layout rows=3"
    ) as caught:
        pe.build_matrix(["a"], tensors(name=name))
    assert "\n" not in str(caught.value)
    with pytest.raises(FormatError, match="3 tokens, and the layout says rows=4"):
        pe.build_matrix(["a"], tensors(name=name), recipe=pe.Recipe(layout="rows=4"))

    matrix = pe.build_matrix(
        ["c"], tensors(name=name), recipe=pe.Recipe(layout="rows=3")
    )

    assert matrix["c"].tolist() == [5, 6]
    told = "no tokens for the last 2 rows, as the layout says"
    assert told in matrix.findings.notes


@pytest.mark.parametrize(
    ("config", "zeros", "why"),
    [
        ({"vocab_size": 5}, False, "as the model's config says"),
        ({"text_config": {"vocab_size": 5}}, False, "as the model's config says"),
        (None, True, "which are zeros"),
        ({"vocab_size": 3}, True, "which are zeros"),
    ],
)
def test_tensors_may_be_padded_by_zeros_or_as_the_config_says(
    tensors, config, zeros, why
):
    vectors = VECTORS * np.float32([[1], [1], [1], [not zeros], [not zeros]])

    matrix = pe.build_matrix(["b"], tensors(vectors, config=config))

    assert matrix["b"].tolist() == [3, 4]
    assert f"no tokens for the last 2 rows, {why}" in matrix.findings.notes


@pytest.mark.parametrize("config", [{}, {"vocab_size": 4}, {"vocab_size": "5"}])
def test_a_config_that_says_otherwise_excuses_no_row(tensors, config):
    with pytest.raises(FormatError, match=r"5 rows.*3 tokens"):
        pe.build_matrix(["b"], tensors(config=config))


def test_tensors_whose_tokens_the_source_names(tensors, tmp_path):
    (tmp_path / "names.txt").write_text("x\ny\n")
    stream = stream_of(tensors(), tmp_path / "names.txt")

    with pytest.raises(FormatError, match=r"5 rows.*names\.txt has 2 tokens"):
        formats.open_reader(stream)
    (block,) = formats.open_reader(stream, "rows=2").blocks()

    assert block.tokens == ["x", "y"]
    assert block.vectors.tolist() == [[1, 2], [3, 4]]
