"""The table of a layer of any JAX library: its start, its rows, and its export.

A table of which some rows train is kept in three arrays: ``trained`` (trained rows,
dim) and ``frozen`` (other rows, dim), each in the order of the ids, and ``trains``
(rows,), true for trained rows. The position of a row is computed from ``trains`` and
not stored, since an average of weights would turn an index into that of another row.
The average of a mask is still zero or not zero.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from pretrained_embed.adapters._arguments import check_float16, checked
from pretrained_embed.adapters._tables import (
    Rows,
    check_rows,
    check_shape,
    chosen,
    fixed,
    not_a_layer,
    rows_missing,
    trained_matrix,
)
from pretrained_embed.arrays import BoolArray
from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

Initializer = Callable[..., jax.Array]  # (key, shape, dtype)
LoadRows = Literal["layer", "file"]

#: Rows are counted in blocks of this size: a call then reads ``trains`` once, and need
#: not write a number for each row.
BLOCK = 64


class Tables(NamedTuple):
    """The rows of a table, split in two by a mask."""

    trained: jax.Array
    frozen: jax.Array  # of the same dtype, or as bytes
    trains: jax.Array  # (rows,) bool; other numbers count as true unless they are zero

    @classmethod
    def part(cls, table: jax.Array, trains: Any) -> Tables:
        """Split ``table`` (rows, dim) by a mask (rows,) whose values are known."""
        return cls(table[trains], table[~trains], jnp.array(trains))

    def take(self, rows: jax.Array, dtype: str | None = None) -> jax.Array:
        """Return the rows numbered ``rows`` (...), int32, as (..., dim).

        The number -1 gives a row of NaN. ``dtype`` is that of frozen rows which are
        kept as bytes.
        """
        return _take(self, rows, dtype)

    def join(self, dtype: str | None = None) -> jax.Array:
        """Return the whole table (rows, dim)."""
        return self.take(jnp.arange(len(self.trains), dtype=jnp.int32), dtype)


def numbered(ids: jax.Array, rows: int) -> jax.Array:
    """Return the row numbers that ``ids`` (...) mean in a layer of Flax.

    Ids below zero count from the end; an id out of range gets -1. Raises `OptionError`
    for ids that are no integers.
    """
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise OptionError(f"ids are integers, not {ids.dtype}")
    numbers = jnp.arange(rows, dtype=jnp.int32)
    return jnp.take(numbers, ids, axis=0, mode="fill", fill_value=-1)


def to_bytes(table: jax.Array) -> jax.Array:
    """Return the bytes of ``table`` (rows, dim) as (rows, dim x size), uint8."""
    return jax.lax.bitcast_convert_type(table, jnp.uint8).reshape(len(table), -1)


def _of_bytes(rows: jax.Array, dtype: str) -> jax.Array:
    size = jnp.dtype(dtype).itemsize
    apart = rows.reshape(*rows.shape[:-1], rows.shape[-1] // size, size)
    return jax.lax.bitcast_convert_type(apart, jnp.dtype(dtype))


# Compiled as one function, which is faster if the caller is not compiled.
@partial(jax.jit, inline=True, static_argnums=2)
def _take(tables: Tables, rows: jax.Array, dtype: str | None) -> jax.Array:
    trained, frozen, trains = tables

    def kept(rows: jax.Array) -> jax.Array:
        found = jnp.take(frozen, rows, axis=0)
        return found if dtype is None else _of_bytes(found, dtype).astype(trained.dtype)

    if not len(frozen):
        found = jnp.take(trained, rows, axis=0)
    elif not len(trained):
        found = kept(rows)
    else:
        trains = trains != 0
        before = _count_before(trains, rows)
        mine = trains[rows]
        found = jnp.where(
            mine[..., None],
            jnp.take(trained, jnp.where(mine, before, 0), axis=0),
            kept(jnp.where(mine, 0, rows - before)),
        )
    return jnp.where((rows >= 0)[..., None], found, jnp.nan)


def _count_before(trains: jax.Array, rows: jax.Array) -> jax.Array:
    """Return how many of the rows before each of ``rows`` train, int32."""
    blocks = jnp.pad(trains, (0, -len(trains) % BLOCK)).reshape(-1, BLOCK)
    counts = blocks.sum(axis=1, dtype=jnp.int32)
    block, place = rows // BLOCK, rows % BLOCK
    earlier = blocks[block] & (jnp.arange(BLOCK) < place[..., None])
    return (jnp.cumsum(counts) - counts)[block] + earlier.sum(axis=-1, dtype=jnp.int32)


def zeroed(table: jax.Array, zero_rows: tuple[int, ...]) -> jax.Array:
    """Return ``table`` (rows, dim) with zeros in ``zero_rows``: itself if it has them.

    If the values are known, checking them may save a copy of the table.
    """
    if not isinstance(table, jax.core.Tracer):
        # they are known, even within a jit of other arrays
        with jax.ensure_compile_time_eval():
            if not table[np.array(zero_rows, np.int32)].any():
                return table
    return without(table, zero_rows)


@partial(jax.jit, inline=True, static_argnums=1)
def without(table: jax.Array, zero_rows: tuple[int, ...]) -> jax.Array:
    """Return ``table`` (..., rows, dim) with constant zeros in ``zero_rows``."""
    rows = jnp.array(zero_rows, jnp.int32)
    zero = jnp.zeros(table.shape[-2], bool).at[rows].set(True)
    return jnp.where(zero[:, None], jnp.zeros((), table.dtype), table)


@checked
def pretrained(matrix: EmbeddingMatrix, *, rows: int | None = None) -> Initializer:
    """Return an initialiser that fills a table with the vectors of a matrix.

    It is called with (key, shape, dtype=jnp.float32), and ignores the key. A table made
    by it trains its pad row; a layer of `embedding` does not.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors.
    rows : int, optional
        ``rows=len(vocab)`` allows a longer table, whose other rows are zeros.

    Returns
    -------
    callable
        The initialiser. It raises `ShapeError` if the shape is not that of the matrix,
        or ``rows`` is not its number of rows, and `OptionError` if the dtype cannot
        hold the values.

    Examples
    --------
    >>> equinox.nn.Embedding(
    ...     weight=pretrained(matrix)(None, matrix.shape)
    ... )  # doctest: +SKIP
    """

    def initializer(
        key: Any, shape: Sequence[int], dtype: Any = jnp.float32
    ) -> jax.Array:
        check_rows(matrix.shape, shape, "the table to initialise", rows)
        check_dtype(matrix, dtype)
        return _copy(matrix, dtype, shape[0])

    return initializer


@checked
def from_layer(
    layer: Any,
    vocabulary: Vocabulary,
    *,
    started_from: EmbeddingMatrix | None = None,
    rows: int | None = None,
) -> EmbeddingMatrix:
    """Return the table of a trained layer as a new matrix, float32.

    Parameters
    ----------
    layer : layer or array
        A layer of Flax NNX or Equinox, one of Linen with its variables,
        ``layer.bind(variables)``, or the array itself, which Linen keeps as
        ``params[...]["embedding"]``.
    vocabulary : Vocabulary
        The tokens of the rows.
    started_from : EmbeddingMatrix, optional
        The matrix that the layer was made of: the result has its ledger, and its
        provenance inside the new one.
    rows : int, optional
        ``rows=len(vocab)`` takes the first rows of a longer table, such as one with
        ``multiple_of=``.

    Returns
    -------
    EmbeddingMatrix
        The trained vectors.

    Raises
    ------
    OptionError
        For any other object.
    ShapeError
        If layer, vocabulary and matrix differ in shape.
    VocabularyError
        If training changed the pad row from zero, as a plain layer does.

    Examples
    --------
    >>> trained = from_layer(layer, vocab, started_from=matrix)  # doctest: +SKIP
    """
    table = getattr(layer, "embedding", getattr(layer, "weight", layer))
    if not isinstance(table, jax.Array | np.ndarray) and not hasattr(
        table, "__jax_array__"
    ):
        raise not_a_layer(
            layer,
            "an embedding layer or a table (of Linen give layer.bind(variables))",
        )
    array = np.array(jnp.asarray(table[...], jnp.float32))
    array[list(getattr(layer, "zero_rows", ()))] = 0
    return trained_matrix(array[:rows], vocabulary, layer, started_from)


class Start(NamedTuple):
    """The initial state of a layer."""

    matrix: EmbeddingMatrix
    dtype: Any  # of the table
    frozen: BoolArray  # (rows,), the rows that do not train, those of zeros with them
    zero_rows: tuple[int, ...]  # the pad row, holes, and rows that are no token's

    @classmethod
    def of(
        cls, matrix: EmbeddingMatrix, freeze: Rows, multiple_of: int, dtype: Any
    ) -> Start:
        """Return the start of a layer; raises the errors of `embedding`."""
        check_dtype(matrix, dtype)
        after = rows_missing(len(matrix.origin), multiple_of)
        zero = np.pad(fixed(matrix), (0, after), constant_values=True)
        frozen = np.pad(chosen(matrix, freeze, "freeze"), (0, after)) | zero
        return cls(matrix, dtype, frozen, tuple(np.flatnonzero(zero).tolist()))

    @property
    def splits(self) -> bool:
        """Whether some rows train, and some others do not and are not zero rows."""
        return not self.frozen.all() and int(self.frozen.sum()) > len(self.zero_rows)

    def table(self) -> jax.Array:
        """Return the table (rows, dim), a new copy for each call."""
        return _copy(self.matrix, self.dtype, len(self.frozen))


def training_mask(frozen: Any, rows: int, zero_rows: Sequence[int]) -> BoolArray:
    """Return the mask of trained rows, given the mask ``frozen`` (rows,).

    Raises `ShapeError` for a mask of another length.
    """
    mask = np.array(frozen, np.bool_)
    if mask.shape != (rows,):
        raise ShapeError(
            f"the mask has shape {mask.shape}, but the layer has {rows} rows: give "
            "one entry for each row"
        )
    mask[list(zero_rows)] = True
    return ~mask


def whole_table(table: Any, shape: tuple[int, int], dtype: Any) -> jax.Array:
    """Return ``table`` (rows, dim) of a matrix or a layer, with zeros up to ``shape``.

    Raises `ShapeError` for one of another shape.
    """
    array = jnp.asarray(table[...], dtype)
    check_rows(array.shape, shape, "the layer", len(array))
    return jnp.pad(array, ((0, shape[0] - len(array)), (0, 0)))


def saved_table(
    saved: Mapping[str, Any], own: Tables, load_rows: LoadRows
) -> tuple[jax.Array, BoolArray]:
    """Return the saved table (rows, dim) of a layer, and which rows train.

    ``saved`` has the arrays of the layer, with the names of any of its kinds; missing
    ones are taken from ``own``, those of the layer. The rows that train are those of
    the layer, with a warning if the state has others, or those of the "file". Raises
    `ShapeError` for arrays that do not fit.
    """
    mine = trains = np.asarray(own.trains) != 0
    shape = len(mine), own.trained.shape[1]
    if "embedding" in saved:
        table = jnp.asarray(saved["embedding"])
    else:
        if "slots" in saved:  # earlier releases have the position of each row
            trains = np.asarray(saved["slots"]) >= 0
        elif "trains" in saved:
            trains = np.asarray(saved["trains"]) != 0
        trained, frozen = (
            jnp.asarray(saved.get(name, array))
            for name, array in zip(("trained", "frozen"), own, strict=False)
        )
        if (len(trained), len(frozen)) != (trains.sum(), (~trains).sum()):
            raise ShapeError(
                f"the state has {len(trained)} rows that train and {len(frozen)} that "
                f"do not, but the layer {trains.sum()} and {(~trains).sum()}: load the "
                "whole state, not the parameters alone"
            )
        table = Tables(trained, frozen, jnp.array(trains)).join()
    check_shape(shape, table.shape, "the saved table")
    if load_rows == "file":
        return table, trains
    if (trains != mine).any():
        warnings.warn(
            f"{(trains != mine).sum()} rows train in the layer and did not where "
            "the state was saved, or the other way round; they do as in the layer "
            '(load_rows="file" does as when it was saved)',
            stacklevel=4,
        )
    return table, mine


def check_load_rows(load_rows: object) -> None:
    """Raise `OptionError` for an unknown value."""
    if load_rows not in get_args(LoadRows):
        raise OptionError(f"load_rows={load_rows!r}: give 'layer' or 'file'")


def not_in_the_model(path: Sequence[str]) -> OptionError:
    """Return the error for a part of a state, named by its path."""
    return OptionError(
        f"the state has {'.'.join(path)!r}, which the model does not have: "
        "give it the layers that it had when it was saved"
    )


def check_dtype(matrix: EmbeddingMatrix, dtype: Any) -> None:
    """Raise `OptionError` for a dtype that cannot hold the vectors."""
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        raise OptionError(
            f"dtype is {dtype!r}: give one of JAX or numpy, such as jnp.float32"
        ) from None
    if not jnp.issubdtype(dtype, jnp.floating):
        raise OptionError(f"dtype {dtype} cannot hold vectors: give a floating one")
    if dtype == jnp.float16:
        check_float16(matrix)


def _copy(matrix: EmbeddingMatrix, dtype: Any, rows: int) -> jax.Array:
    """Return the vectors as a new array, with zeros up to ``rows`` rows."""
    # Copied by numpy: JAX may still copy after it has returned.
    table = jnp.asarray(matrix.vectors.copy(), dtype)
    return jnp.pad(table, ((0, rows - len(table)), (0, 0)))
