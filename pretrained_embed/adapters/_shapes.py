"""Does a matrix fit where it is to go? Asked before the framework's own check."""

from __future__ import annotations

from collections.abc import Sequence

from pretrained_embed.errors import ShapeError


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
