"""Which rows of a table train and which stay.

A layer that trains a part of its rows keeps two tables: a trained one, the parameter,
and a frozen one that no optimiser sees. Masking gradients alone would not do: weight
decay and the moments of Adam move rows without a gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import BoolArray
from pretrained_embed.errors import OptionError, ShapeError, brief
from pretrained_embed.ledger import Ledger, Origin
from pretrained_embed.matrix import EmbeddingMatrix

#: A choice of rows: all or none; those whose token was found in the source, or was
#: not; those where a mask (rows,) is true; those of the tokens listed.
Rows = bool | Literal["found", "oov"] | BoolArray | Iterable[str]

#: What has rows: a matrix, or its ledger alone.
Table = EmbeddingMatrix | Ledger


def fixed(matrix: Table) -> BoolArray:
    """Return the mask (rows,) of the rows that are zero for good: pad and holes."""
    mask = np.zeros(len(matrix.origin), np.bool_)
    mask[matrix.vocabulary.holes] = True
    pad_id = matrix.vocabulary.pad_id
    if pad_id is not None:
        mask[pad_id] = True
    return mask


def chosen(matrix: Table, rows: Rows, option: str) -> BoolArray:
    """Return the mask (rows,) of a choice of rows; ``option`` names it in messages.

    Raises `OptionError` for a choice that means nothing or a token that is not in the
    vocabulary, and `ShapeError` for a mask of another length.
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
    """Return a mask of whatever kind as an array; ``None`` for what is none.

    A mask may be an array or tensor of any framework, on any device, a ``Series`` of
    pandas, or a list of truth values.
    """
    if hasattr(rows, "detach"):  # PyTorch gives numpy only what is on the CPU
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
