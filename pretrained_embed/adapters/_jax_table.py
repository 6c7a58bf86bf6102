"""The table of a layer of any JAX library: how it starts, its rows, and the way back.

A table of which a part of the rows trains is kept in three arrays: ``trained``
(trained rows, dim) and ``frozen`` (the other rows, dim), each in the order of their
ids, and ``trains`` (rows,), true for the rows of the first. Where a row is kept
follows from ``trains``. It is not stored: an average of weights would turn an index
into that of another row. Of a mask an average makes numbers that are zero or not.
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

#: Rows are counted in blocks of so many: a call then reads ``trains`` once, and need
#: not write a number for each row.
BLOCK = 64


class Tables(NamedTuple):
    """The rows of a table, parted in two by a mask."""

    trained: jax.Array
    frozen: jax.Array  # of the same dtype, or as bytes
    trains: jax.Array  # (rows,) bool; other numbers count as true unless they are zero

    @classmethod
    def part(cls, table: jax.Array, trains: Any) -> Tables:
        """Part ``table`` (rows, dim) by a mask (rows,) whose values are known."""
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
    """Return the numbers of the rows that ``ids`` (...) mean to a layer of Flax.

    Ids below zero count from the end, and -1 is the number of one out of range.
    Raises `OptionError` for ids that are no integers.
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


# Compiled as one, which is quicker where the caller is not compiled itself.
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

    Where the values are at hand a look at them saves a copy of the table.
    """
    if not isinstance(table, jax.core.Tracer):
        with jax.ensure_compile_time_eval():  # they are, within a jit of others, too
            if not table[np.array(zero_rows, np.int32)].any():
                return table
    return without(table, zero_rows)


@partial(jax.jit, inline=True, static_argnums=1)
def without(table: jax.Array, zero_rows: tuple[int, ...]) -> jax.Array:
    """Return ``table`` (..., rows, dim), zeros without gradient in ``zero_rows``."""
    rows = jnp.array(zero_rows, jnp.int32)
    zero = jnp.zeros(table.shape[-2], bool).at[rows].set(True)
    return jnp.where(zero[:, None], jnp.zeros((), table.dtype), table)


@checked
def pretrained(matrix: EmbeddingMatrix, *, rows: int | None = None) -> Initializer:
    """Return an initialiser ``(key, shape, dtype=jnp.float32)``; it ignores the key.

    For ``nnx.Embed(..., embedding_init=)``, ``flax.linen.Embed(...,
    embedding_init=)``, or to call: ``equinox.nn.Embedding(weight=pretrained(matrix)(
    None, matrix.shape))``. A table made so trains its pad row; `embedding` makes one
    that does not. ``rows=len(vocab)`` says that the table may be longer: the rows after
    those of the matrix are zeros.

    The initialiser raises `ShapeError` if the shape is not that of the matrix or
    ``rows`` not its number of rows, and `OptionError` if the dtype cannot hold the
    values.
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
    """Return the table of a trained layer as a matrix of its own, float32.

    ``layer`` is a layer of Flax NNX, one of Equinox, one of Linen with its variables,
    ``layer.bind(variables)``, or the array itself, which Linen keeps as
    ``params[...]["embedding"]``. With ``started_from``, the matrix the layer was made
    of, the result keeps its row ledger, and its provenance in its own.
    ``rows=len(vocab)`` takes the first rows of a longer table, such as ``multiple_of=``
    makes.

    Raises `OptionError` for anything else, `ShapeError` if layer, vocabulary and
    matrix differ in shape, and `VocabularyError` if the pad row was trained away from
    zero, which a plain layer does.
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
    """What a layer starts with."""

    matrix: EmbeddingMatrix
    dtype: Any  # of the table
    frozen: BoolArray  # (rows,), the rows that do not train, those of zeros with them
    zero_rows: tuple[int, ...]  # the pad row, holes, and rows that are no token's

    @classmethod
    def of(
        cls, matrix: EmbeddingMatrix, freeze: Rows, multiple_of: int, dtype: Any
    ) -> Start:
        """Raise `OptionError` or `ShapeError` for what `embedding` says."""
        check_dtype(matrix, dtype)
        after = rows_missing(len(matrix.origin), multiple_of)
        zero = np.pad(fixed(matrix), (0, after), constant_values=True)
        frozen = np.pad(chosen(matrix, freeze, "freeze"), (0, after)) | zero
        return cls(matrix, dtype, frozen, tuple(np.flatnonzero(zero).tolist()))

    @property
    def splits(self) -> bool:
        """Whether some rows train, and some do not that are not zeros for good."""
        return not self.frozen.all() and int(self.frozen.sum()) > len(self.zero_rows)

    def table(self) -> jax.Array:
        """Return the table (rows, dim), a copy each time."""
        return _copy(self.matrix, self.dtype, len(self.frozen))


def training_mask(frozen: Any, rows: int, zero_rows: Sequence[int]) -> BoolArray:
    """Return which of the ``rows`` train if ``frozen``, a mask (rows,), do not.

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
    """Return ``table`` (rows, dim), of a matrix or a layer, with zeros up to ``shape``.

    Raises `ShapeError` for one of another shape.
    """
    array = jnp.asarray(table[...], dtype)
    check_rows(array.shape, shape, "the layer", len(array))
    return jnp.pad(array, ((0, shape[0] - len(array)), (0, 0)))


def saved_table(
    saved: Mapping[str, Any], own: Tables, load_rows: LoadRows
) -> tuple[jax.Array, BoolArray]:
    """Return the table (rows, dim) that a state has of a layer, and which rows train.

    ``saved`` are the arrays of the layer, by the names they have in any of its kinds;
    of what it leaves out the layer's ``own`` are taken. Which rows train is as in the
    layer, after a warning where the state has others, or as in the "file".

    Raises `ShapeError` for what does not fit.
    """
    mine = trains = np.asarray(own.trains) != 0
    shape = len(mine), own.trained.shape[1]
    if "embedding" in saved:
        table = jnp.asarray(saved["embedding"])
    else:
        if "slots" in saved:  # earlier releases: the place of each row
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
    """Raise `OptionError` for what is no choice."""
    if load_rows not in get_args(LoadRows):
        raise OptionError(f"load_rows={load_rows!r}: give 'layer' or 'file'")


def not_in_the_model(path: Sequence[str]) -> OptionError:
    """Return the error for a part of a state, named by the keys that lead to it."""
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
    """Return the vectors as an array of its own, with zeros up to ``rows`` rows."""
    # Copied by numpy: JAX goes on copying after it has returned.
    table = jnp.asarray(matrix.vectors.copy(), dtype)
    return jnp.pad(table, ((0, rows - len(table)), (0, 0)))
