"""Consecutive rows of a table: which they are, cut from it, and put together again.

An array of a table has one entry a row where its last axis is as long as the table;
`HOLES` lists rows, counted from the table's first. What is neither stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens, joined
from pretrained_embed.errors import FormatError, WriteError
from pretrained_embed.formats.table import HOLES, Annotations, Table

Arrays = Mapping[str, AnyArray]

#: Which rows of so many are wanted; they are consecutive.
Span = Callable[[int], range]


class Part(NamedTuple):
    """Some consecutive rows of a table."""

    table: Table  # of these rows alone, maybe of none
    start: int  # the row of the whole that is the first of them
    rows: int  # of the whole


def bounds(rows: int, parts: int) -> list[tuple[int, int]]:
    """Return where each of so many parts begins and ends; they differ by a row at most.

    >>> bounds(8, 3)
    [(0, 2), (2, 5), (5, 8)]
    """
    cuts = [rows * part // parts for part in range(parts + 1)]
    return list(pairwise(cuts))


def cut_arrays(arrays: Arrays, rows: int, start: int, stop: int) -> dict[str, Any]:
    """Return the arrays of a table of so many rows for some of them."""
    cut = dict(arrays)
    for name, array in arrays.items():
        if name == HOLES:
            low, high = np.searchsorted(array, (start, stop))
            cut[name] = array[low:high] - start
        elif array.ndim and array.shape[-1] == rows:
            cut[name] = array[..., start:stop]
    return cut


def check_cuttable(arrays: Arrays, rows: int) -> None:
    """Raise `WriteError` for an array that cannot be cut with the rows."""
    for name, array in arrays.items():
        if name != HOLES and not (array.ndim and array.shape[-1] == rows):
            raise WriteError(
                f"array {name!r} has shape {array.shape}, not one entry for each of "
                f"{rows:,} rows, and cannot be cut with them; write one file instead"
            )


def join_annotations(
    parts: Sequence[Annotations], where: str
) -> tuple[PackedTokens, dict[str, AnyArray]]:
    """Return tokens and arrays of parts that follow each other, as those of one.

    Raises `FormatError` where the parts do not have the same arrays.
    """
    if len(parts) == 1:
        return parts[0].tokens, dict(parts[0].arrays)
    starts = np.cumsum([0, *(len(part.tokens) for part in parts)])
    whole = {}
    for name in sorted({name for part in parts for name in part.arrays}):
        if name == HOLES:
            held = [part.arrays.get(HOLES, np.empty(0, np.int64)) for part in parts]
            pieces = [h + start for h, start in zip(held, starts, strict=False)]
        else:
            try:
                pieces = [part.arrays[name] for part in parts]
            except KeyError as error:
                raise FormatError(
                    f"{where}: array {name!r} is there for some rows only"
                ) from error
        shapes = {(piece.dtype.str, piece.shape[:-1]) for piece in pieces}
        if len(shapes) != 1:
            raise FormatError(
                f"{where}: array {name!r} is not of one kind in all its shards"
            )
        whole[name] = np.concatenate(pieces, axis=-1)
    return joined([part.tokens for part in parts]), whole
