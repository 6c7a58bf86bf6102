"""What the layers of every JAX library compute: rows of two tables, and rows of zeros.

A table of which a part of the rows trains is kept in three arrays: ``trained``
(trained rows, dim) and ``frozen`` (the other rows, dim), each in the order of their
ids, and ``trains`` (rows,), true for the rows of the first. Where a row is kept
follows from ``trains``. It is not stored: an average of weights would turn an index
into that of another row. Of a mask an average makes numbers that are zero or not.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pretrained_embed.errors import OptionError

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
