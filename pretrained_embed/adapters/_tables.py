"""The table of a layer: trained rows, checks of shapes, export to a matrix.

A layer of which some rows train keeps two tables: a trained one, the parameter, and a
frozen one that no optimiser sees. Masking gradients is not enough: weight decay and the
moments of Adam move rows without a gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import BoolArray, Float32Array
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError, brief
from pretrained_embed.ledger import Ledger, Origin
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

#: A choice of rows: all or none; those whose token was found in the source, or was not;
#: those of a mask (rows,); those of the listed tokens.
Rows = bool | Literal["found", "oov"] | BoolArray | Iterable[str]

#: An object with rows: a matrix, or its ledger.
Table = EmbeddingMatrix | Ledger


def fixed(matrix: Table) -> BoolArray:
    """Return the mask (rows,) of the rows that stay zero: pad and holes."""
    mask = np.zeros(len(matrix.origin), np.bool_)
    mask[matrix.vocabulary.holes] = True
    pad_id = matrix.vocabulary.pad_id
    if pad_id is not None:
        mask[pad_id] = True
    return mask


def chosen(matrix: Table, rows: Rows, option: str) -> BoolArray:
    """Return the mask (rows,) of a choice of rows; ``option`` names it in messages.

    Raises `OptionError` for an unknown choice or token, and `ShapeError` for a mask of
    another length.
    """
    if isinstance(rows, bool | np.bool_):
        return np.full(len(matrix.origin), bool(rows))
    if isinstance(rows, str):
        return _by_origin(matrix, rows, option)
    if (mask := as_array(rows)) is not None:
        return _by_mask(matrix, mask, option)
    if isinstance(rows, Iterable):
        return _by_token(matrix, list(rows), option)
    raise OptionError(f"{option}={brief(rows)}: {_CHOICES}")


_CHOICES = (
    'give True, False, "found", "oov", a boolean array with one entry for each row, '
    "or a list of tokens"
)
_OF_IDS = "; of ids: mask = np.zeros(len(matrix), bool); mask[ids] = True"


def _by_origin(matrix: Table, rows: str, option: str) -> BoolArray:
    found: BoolArray = matrix.origin >= Origin.EXACT
    if rows == "found":
        return found
    if rows == "oov":
        return ~found & ~fixed(matrix)
    raise OptionError(f"{option}={brief(rows)}: {_CHOICES}")


def as_array(rows: Any) -> npt.NDArray[np.generic] | None:
    """Return a mask of any kind as an array; ``None`` for another value.

    A mask may be an array or tensor of any framework, on any device, a ``Series`` of
    pandas, or a list of truth values.
    """
    if hasattr(rows, "detach"):  # PyTorch converts only CPU tensors to numpy
        rows = rows.detach().cpu()
    if hasattr(rows, "__array__"):
        return np.asarray(rows)
    if isinstance(rows, list) and {type(one) for one in rows} <= {bool, np.bool_}:
        return np.array(rows, np.bool_) if rows else None
    return None


def _by_mask(matrix: Table, mask: npt.NDArray[np.generic], option: str) -> BoolArray:
    if mask.dtype != np.bool_:
        ids = _OF_IDS if mask.dtype.kind in "iu" else ""
        raise OptionError(f"{option} is an array of {mask.dtype}: {_CHOICES}{ids}")
    if mask.shape != matrix.origin.shape:
        raise ShapeError(
            f"the mask for {option} has shape {mask.shape}, but the matrix has "
            f"{len(matrix.origin)} rows: give one entry for each row"
        )
    return mask.astype(np.bool_)  # a copy


def _by_token(matrix: Table, tokens: list[str], option: str) -> BoolArray:
    ids = matrix.vocabulary.ids
    mask = np.zeros(len(matrix.origin), np.bool_)
    for token in tokens:
        if not isinstance(token, str):
            ids = _OF_IDS if isinstance(token, int | np.integer) else ""
            raise OptionError(f"{option} lists {brief(token)}: {_CHOICES}{ids}")
        if token not in ids:
            raise OptionError(f"{option} lists {brief(token)}, not in the vocabulary")
        mask[ids[token]] = True
    return mask


def check_shape(shape: Sequence[int], target: Sequence[int], place: str) -> None:
    """Raise `ShapeError` unless ``target`` is ``shape``, which is (rows, dim).

    ``place`` names the target in the message, which also names the most likely mistake.
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

    ``rows`` allows a longer table, and must be the number of rows of the matrix; with
    ``None`` the shapes must be equal.
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
    """Return how many rows are missing for a multiple.

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
    """Return ``table`` (rows, dim), which is not copied, as a matrix.

    Its provenance has the kind of ``layer`` and, if it is known, the provenance of the
    original matrix, whose ledger it has. Raises `ShapeError` if the three differ in
    shape, and `VocabularyError` if training moved the pad row.
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
    # not used by the caller any more, so the matrix need not copy it
    table.flags.writeable = False
    return EmbeddingMatrix(table, replace(ledger, provenance=provenance))


def not_a_layer(layer: object, kinds: str) -> OptionError:
    """Return the error for a ``layer`` without a table of the known ``kinds``."""
    return OptionError(f"{type(layer).__name__} is not {kinds}")
