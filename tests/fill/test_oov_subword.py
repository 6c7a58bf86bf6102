"""The policy "subword" on models of fastText and floret, held against their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe

DATA = Path(__file__).parents[1] / "data"


def asked(model: str) -> tuple[list[str], np.ndarray]:
    """Return tokens, and what the model's own library makes of them."""
    facts = json.loads((DATA / f"{model}.json").read_text("ascii"))
    return facts["asked"], np.load(DATA / f"{model}.npy")


@pytest.mark.parametrize(
    "model",
    [
        "fasttext/skipgram.bin",
        "fasttext/pruned.ftz",
        "floret/one-hash.bin",
        "floret/four-hashes.floret",
    ],
)
def test_rows_are_what_the_models_own_library_says(model):
    tokens, vectors = asked(model)

    matrix = pe.build_matrix(
        pe.Vocabulary(tokens, pad=None), DATA / model, oov="subword,zeros"
    )

    np.testing.assert_allclose(matrix.vectors, vectors, rtol=1e-5, atol=1e-6)
    names = {pe.ledger.Origin(code).name for code in matrix.origin.tolist()}
    assert "SUBWORD" in names
    assert names <= {"SUBWORD", "EXACT", "OOV"}
    unmade = matrix.origin == pe.ledger.Origin.OOV
    assert not vectors[unmade].any()


def test_a_table_of_pieces_alone_finds_nothing_and_fills_all():
    matrix = pe.build_matrix(
        ["landlord"], DATA / "floret/one-hash.floret", oov="subword"
    )

    assert matrix.coverage.found == 0
    assert matrix.origin.tolist() == [pe.ledger.Origin.PAD, pe.ledger.Origin.SUBWORD]


def test_a_store_which_has_no_pieces_is_left_alone(tmp_path):
    path, cache = tmp_path / "model.bin", tmp_path / "cache"
    shutil.copy(DATA / "fasttext/skipgram.bin", path)
    pe.index(path, library=pe.Library(cache))

    plain = pe.build_matrix(["the"], path, library=pe.Library(cache))
    pieces = pe.build_matrix(
        ["the", "thez"], path, library=pe.Library(cache), oov="subword"
    )
    special = pe.build_matrix(
        ["the", "thez"],
        path,
        library=pe.Library(cache),
        recipe=pe.Recipe(special_oov={"thez": "subword"}),
    )

    assert "store" in plain.provenance["source"]
    for matrix in (pieces, special):
        assert "store" not in matrix.provenance["source"]
        assert matrix.origin[2] == pe.ledger.Origin.SUBWORD
    np.testing.assert_array_equal(pieces["thez"], special["thez"])


def test_of_several_sources_the_first_with_pieces_composes(tmp_path):
    first = tmp_path / "first.txt"
    first.write_bytes(
        b"the" + b" 1" * np.load(DATA / "fasttext/skipgram.bin.npy").shape[1] + b"\n"
    )
    model = DATA / "fasttext/skipgram.bin"

    matrix = pe.build_matrix(["the", "thez"], [first, model], oov="subword")
    alone = pe.build_matrix(["the", "thez"], model, oov="subword")

    assert matrix["the"].tolist() == [1] * matrix.dim
    np.testing.assert_array_equal(matrix["thez"], alone["thez"])
    assert matrix.sources.tolist() == [-1, 0, 1]
