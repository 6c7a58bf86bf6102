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

#: Rows are counted in blocks of so many: a call then reads ``trains`` once, and need
#: not write a number for each row.
BLOCK = 64


class Tables(NamedTuple):
    """The rows of a table, parted in two by a mask."""

    trained: jax.Array
    frozen: jax.Array
    trains: jax.Array  # (rows,) bool; other numbers count as true unless they are zero

    @classmethod
    def part(cls, table: jax.Array, trains: Any) -> Tables:
        """Part ``table`` (rows, dim) by a mask (rows,) whose values are known."""
        return cls(table[trains], table[~trains], jnp.array(trains))

    def take(self, rows: jax.Array) -> jax.Array:
        """Return the rows numbered ``rows`` (...), int32, as (..., dim).

        The number -1 gives a row of NaN.
        """
        return _take(self, rows)

    def join(self) -> jax.Array:
        """Return the whole table (rows, dim)."""
        return self.take(jnp.arange(len(self.trains), dtype=jnp.int32))


# Compiled as one, which is quicker where the caller is not compiled itself.
@partial(jax.jit, inline=True)
def _take(tables: Tables, rows: jax.Array) -> jax.Array:
    trained, frozen, trains = tables
    if not len(trained) or not len(frozen):
        found = jnp.take(trained if len(trained) else frozen, rows, axis=0)
    else:
        trains = trains != 0
        before = _count_before(trains, rows)
        mine = trains[rows]
        found = jnp.where(
            mine[..., None],
            jnp.take(trained, jnp.where(mine, before, 0), axis=0),
            jnp.take(frozen, jnp.where(mine, 0, rows - before), axis=0),
        )
    return jnp.where((rows >= 0)[..., None], found, jnp.nan)


def _count_before(trains: jax.Array, rows: jax.Array) -> jax.Array:
    """Return how many of the rows before each of ``rows`` train, int32."""
    blocks = jnp.pad(trains, (0, -len(trains) % BLOCK)).reshape(-1, BLOCK)
    counts = blocks.sum(axis=1, dtype=jnp.int32)
    block, place = rows // BLOCK, rows % BLOCK
    earlier = blocks[block] & (jnp.arange(BLOCK) < place[..., None])
    return (jnp.cumsum(counts) - counts)[block] + earlier.sum(axis=-1, dtype=jnp.int32)


@partial(jax.jit, inline=True, static_argnums=1)
def without(table: jax.Array, zero_rows: tuple[int, ...]) -> jax.Array:
    """Return ``table`` (rows, dim) with zeros, and no gradient, in ``zero_rows``."""
    zero = jnp.zeros(len(table), bool).at[jnp.array(zero_rows, jnp.int32)].set(True)
    return jnp.where(zero[:, None], jnp.zeros((), table.dtype), table)
