"""The row ledger of matrices of several sources, on its way through a file."""

from __future__ import annotations

import numpy as np
import pytest
from grouped import grouped
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.formats import Table
from pretrained_embed.matrix import from_table
from tests.ledger.test_saved import WHOLE, assert_whole

ONE = [("the", (1.0, 2.0)), ("paris", (3.0, 4.0))]
TWO = [("dog", (8.0, 9.0)), ("the", (0.5, 0.5))]
VOCABULARY = ("the", "Paris", "dog", "zzz")


def build(**options) -> pe.EmbeddingMatrix:
    readers = [reader_of(ONE), reader_of(TWO)]
    return pe.build_matrix(
        VOCABULARY, readers, **grouped(match="exact,lower", **options)
    )


def examples() -> dict[str, pe.EmbeddingMatrix]:
    return {
        "fill": build(),
        "concat": build(combine="concat"),
        "average": build(combine="average", normalize_each=True),
        "extended": build(onto=pe.build_matrix(["dog"], reader_of(TWO))),
    }


def table_of(matrix: pe.EmbeddingMatrix, **arrays: np.ndarray | None) -> Table:
    """The table of a matrix with arrays changed, or left out (None)."""
    table = matrix.table()
    changed = table.arrays | arrays
    return table._replace(
        arrays={name: array for name, array in changed.items() if array is not None}
    )


@pytest.mark.parametrize("suffix", WHOLE)
@pytest.mark.parametrize("kind", ["fill", "concat", "average", "extended"])
def test_the_ledger_of_several_sources_is_given_back(tmp_path, suffix, kind):
    matrix = examples()[kind]

    matrix.save(tmp_path / f"m{suffix}")

    loaded = pe.load_matrix(tmp_path / f"m{suffix}")
    assert_whole(matrix, loaded)
    assert loaded.sources.dtype == np.int16
    assert loaded.sources.tolist() == matrix.sources.tolist()
    assert len(loaded.parts) == len(matrix.parts)
    for one, two in zip(matrix.parts, loaded.parts, strict=True):
        assert (one.origin.dtype, one.source_rows.dtype) == (
            *(two.origin.dtype, two.source_rows.dtype),
        )
        assert one.origin.tobytes() == two.origin.tobytes()
        assert one.source_rows.tobytes() == two.source_rows.tobytes()
        assert not two.origin.flags.writeable
    for token in matrix.vocabulary:
        assert loaded.explain(token) == matrix.explain(token)


def test_matrices_saved_before_there_were_sources_are_of_one():
    matrix = pe.build_matrix(["the", "zzz"], reader_of(ONE))

    loaded = from_table(table_of(matrix, sources=None), "m")

    assert loaded.sources.tolist() == [-1, 0, -1]
    assert loaded.explain("the") == matrix.explain("the")


def test_matrices_saved_when_there_were_fewer_codes_load():
    table = pe.build_matrix(["the", "zzz"], reader_of(ONE)).table()
    table.metadata["origins"] = {"unused": 0, "pad": 1, "oov": 2, "exact": 16}

    assert from_table(table, "m").coverage.found == 1
    table.metadata["origins"] = {"unused": 0, "pad": 1, "oov": 16, "exact": 2}
    with pytest.raises(pe.errors.FormatError, match="codes of its row ledger"):
        from_table(table, "m")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"sources": np.zeros(5)}, "sources of its rows are not whole numbers"),
        ({"sources": np.zeros(4, np.int16)}, r"sources of shape \(4,\) for 5 rows"),
        ({"part_rows": None}, "missing: 'part_rows'"),
        ({"part_rows": np.zeros((1, 5), np.int64)}, "2 part_origins, 1 part_rows"),
        ({"part_rows": np.zeros((2, 4), np.int64)}, r"source_rows of shape \(4,\)"),
        ({"part_rows": np.zeros((2, 5))}, "not of whole numbers"),
        ({"part_origins": np.full((2, 5), 7, np.uint8)}, "holds the code 7"),
        ({"part_origins": np.array(2, np.uint8)}, "a part of the matrix is missing"),
        ({"part_origins": np.zeros(2, np.uint8)}, "shape"),
    ],
)
def test_ledgers_that_do_not_fit_are_refused(arrays, message):
    with pytest.raises(pe.errors.FormatError, match=message):
        from_table(table_of(build(combine="concat"), **arrays), "m")
