"""The viewer embedding-atlas gets what it asks for."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from pyarrow import parquet

import pretrained_embed as pe
from pretrained_embed.adapters import embedding_atlas


@pytest.fixture
def matrix() -> pe.EmbeddingMatrix:
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    vectors[0] = 0
    counts = {"a": 1, "b": 3, "c": 2}
    return pe.EmbeddingMatrix(vectors, pe.Vocabulary(["a", "b", "c"], counts=counts))


def test_each_token_is_a_row_with_all_that_is_known_of_it(matrix):
    table = embedding_atlas.columns(matrix, count=2, projection="pca", seed=0)

    assert table["id"].tolist() == [2, 3]
    assert table["token"] == ["b", "c"]
    assert table["origin"] == ["exact", "exact"]
    assert table["count"].tolist() == [3, 2]
    assert len(table["x"]) == len(table["y"]) == 2
    np.testing.assert_allclose(
        table["norm"], np.linalg.norm(matrix.vectors[2:], axis=1), rtol=1e-6
    )


def test_the_package_missing_is_named(matrix, monkeypatch):
    monkeypatch.setitem(sys.modules, "embedding_atlas.widget", None)

    with pytest.raises(
        pe.errors.MissingPackageError, match="pip install embedding-atlas"
    ):
        embedding_atlas.widget(matrix)


def test_the_viewer_opens_the_matrix(matrix):
    pytest.importorskip(
        "embedding_atlas",
        reason="embedding-atlas brings some 2 GB of packages for language models: pip "
        "install embedding-atlas, and run this again",
    )

    widget = embedding_atlas.widget(matrix)

    shown = widget.selection()
    assert shown["token"].tolist() == ["b", "c", "a"]


def test_a_file_for_the_program_has_the_same_columns(matrix, tmp_path):
    embedding_atlas.save(matrix, tmp_path / "atlas.parquet")

    table = parquet.read_table(tmp_path / "atlas.parquet").to_pydict()
    expected = embedding_atlas.columns(matrix, count=None, projection="pca", seed=0)
    assert table.keys() == expected.keys()
    assert table["token"] == ["b", "c", "a"]
    np.testing.assert_array_equal(table["x"], expected["x"])
