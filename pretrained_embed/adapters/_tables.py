"""The table of a layer: whether a matrix fits it, and the way back to a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pretrained_embed.arrays import Float32Array
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError, brief
from pretrained_embed.ledger import Ledger
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary


def check_shape(shape: Sequence[int], target: Sequence[int], place: str) -> None:
    """Raise `ShapeError` unless ``target`` is ``shape``, which is (rows, dim).

    ``place`` names the target in the message, which also names the mistake that
    most likely led here.
    """
    rows, dim = shape
    if tuple(target) == (rows, dim):
        return
    raise ShapeError(
        f"{place} has shape {tuple(target)}, but the matrix has {rows} rows of dim "
        f"{dim}: {_likely_mistake(rows, dim, target)}"
    )


def check_rows(
    shape: Sequence[int], target: Sequence[int], place: str, rows: int | None
) -> None:
    """Raise `ShapeError` unless a matrix may fill the first ``rows`` of a table.

    ``rows`` is the caller's word that the table may be longer, and has to be the number
    of rows of the matrix; with ``None`` the shapes have to be the same.
    """
    if rows is not None and rows != shape[0]:
        raise ShapeError(
            f"rows={rows}, but the matrix has {shape[0]} rows: give rows=len(vocab)"
        )
    longer = len(target) == 2 and target[0] > shape[0] and target[1] == shape[1]
    if longer and rows is None and target[0] != shape[0] + 1:
        raise ShapeError(
            f"{place} has shape {tuple(target)}, but the matrix has {shape[0]} rows of "
            f"dim {shape[1]}: to fill the first rows only, give rows=len(vocab)"
        )
    if not longer or rows is None:
        check_shape(shape, target, place)


def rows_missing(rows: int, multiple_of: int) -> int:
    """Return how many ``rows`` lack to be a multiple.

    Raises `OptionError` if ``multiple_of`` is not a number above 0.
    """
    if not isinstance(multiple_of, int) or multiple_of < 1:
        raise OptionError(f"multiple_of={multiple_of!r}: give a number from 1 on")
    return -rows % multiple_of


def _likely_mistake(rows: int, dim: int, target: Sequence[int]) -> str:
    if len(target) != 2:
        return "an embedding table has two axes, (rows, dim)"
    if tuple(target) == (dim, rows):
        return "it is transposed; a row is a token, so the shape is (rows, dim)"
    if target[1] == dim and target[0] == rows + 1:
        return (
            "it was probably made with len(vocab) + 1; len(vocab) already counts "
            "every row, that of the pad token included"
        )
    if target[1] == dim and target[0] == rows - 1:
        return (
            "it is one row short; len(vocab) counts every row, that of the pad token "
            "included"
        )
    if target[0] == rows:
        return (
            "the dims differ; was the matrix built from the file you meant? "
            "matrix.dim is the dim of its vectors"
        )
    return "make it with *matrix.shape, and with the vocabulary of this matrix"


def trained_matrix(
    table: Float32Array,
    vocabulary: Vocabulary,
    layer: object,
    started_from: EmbeddingMatrix | None,
) -> EmbeddingMatrix:
    """Return ``table`` (rows, dim), the caller's no more, as a matrix.

    Its provenance says what kind of ``layer`` it was trained in and, where that is
    known, the provenance of the matrix the training began with, whose row ledger it
    keeps. Raises `ShapeError` if the three differ in shape, and `VocabularyError` if
    the training moved the pad row.
    """
    if table.ndim != 2 or len(table) != len(vocabulary):
        raise ShapeError(
            f"the table of the layer has shape {table.shape}, but the vocabulary "
            f"{len(vocabulary)} rows: give the vocabulary the layer was made for"
        )
    kind = type(layer)
    provenance: dict[str, object] = {
        "trained_in": f"{kind.__module__}.{kind.__qualname__}"
    }
    ledger = Ledger(vocabulary)
    if started_from is not None:
        check_shape(started_from.shape, table.shape, "the table of the layer")
        ledger = started_from.ledger.with_vocabulary(vocabulary)
        provenance["trained_from"] = started_from.provenance
    pad = vocabulary.pad_id
    if pad is not None and table[pad].any():
        raise VocabularyError(
            f"row {pad}, of the pad token {brief(vocabulary.pad_token)}, is not zeros: "
            "it was trained, by an output that shares the table or in a layer that "
            "does not keep its gradient out; zero it, or take a vocabulary with "
            "pad=None"
        )
    table.flags.writeable = False  # handed over, so that the matrix need not copy it
    return EmbeddingMatrix(table, replace(ledger, provenance=provenance))


def not_a_layer(layer: object, kinds: str) -> OptionError:
    """Return the error for a ``layer`` that has no table of the ``kinds`` known."""
    return OptionError(f"{type(layer).__name__} is not {kinds}")
