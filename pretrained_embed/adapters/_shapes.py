"""Does a matrix fit where it is to go? Asked before the framework's own check."""

from __future__ import annotations

from collections.abc import Sequence

from pretrained_embed.errors import OptionError, ShapeError


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
