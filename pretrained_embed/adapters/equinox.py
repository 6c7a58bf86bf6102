"""JAX with Equinox: a matrix as a layer, called on one id, or on more by ``jax.vmap``.

Frozen rows are kept as bytes, so ``filter_grad`` and optimisers that are given what
``is_inexact_array`` lets through do not train or decay them. Give an optimiser no more:
after ``is_array`` Optax raises, as there is no gradient. The pad row stays zero.
"""

from __future__ import annotations

from typing import Any

from pretrained_embed.adapters._arguments import checked, missing
from pretrained_embed.adapters._tables import Rows
from pretrained_embed.arrays import BoolArray
from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix

try:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from pretrained_embed.adapters._jax_table import (
        Start,
        Tables,
        from_layer,
        pretrained,
        to_bytes,
        training_mask,
        whole_table,
        without,
    )
except ImportError as error:
    raise missing("Equinox with JAX", "equinox") from error

__all__ = ["PaddedEmbedding", "SplitEmbedding", "embedding", "from_layer", "pretrained"]


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    freeze: Rows = False,
    multiple_of: int = 1,
    dtype: Any = jnp.float32,
) -> eqx.Module:
    """Return an Equinox layer whose row ``i`` is the vector of token id ``i``.

    Where all rows train the layer is an ``equinox.nn.Embedding``, a `PaddedEmbedding`
    if there is a pad row to keep at zero. Else, also if no row trains, it is a
    `SplitEmbedding`. The pad row never trains.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors, which are copied.
    freeze : bool, "found", "oov", bool array (rows,) or list of str, default False
        The rows that do not train: all, none, those that came from the source, the
        others, those where the array is true, those of the tokens listed.
    multiple_of : int, default 1
        Make the number of rows a multiple of this, 64 for example, as accelerators like
        it, with rows of zeros at the end. They are no token's, and never train.
    dtype : dtype, default float32
        Of the table and the output; values are rounded once.

    Raises
    ------
    OptionError
        For a choice of rows that means nothing, a dtype that cannot hold the values,
        or ``multiple_of`` below 1.
    ShapeError
        For a mask of another length.

    Examples
    --------
    >>> layer = pe_equinox.embedding(matrix, freeze="found")
    >>> jax.vmap(layer)(jnp.array([2, 3, 0])).shape
    (3, 50)
    """
    start = Start.of(matrix, freeze, multiple_of, dtype)
    if start.splits or start.frozen.all():
        return SplitEmbedding(start.table(), start.frozen, zero_rows=start.zero_rows)
    if start.zero_rows:
        return PaddedEmbedding(start.table(), zero_rows=start.zero_rows)
    return eqx.nn.Embedding(weight=start.table())


class PaddedEmbedding(eqx.nn.Embedding):
    """An ``equinox.nn.Embedding`` with rows that stay zero, the pad token's above all.

    It is used like the layer it extends, and what ``tree_serialise_leaves`` writes of
    one is read into the other. `embedding` makes it.
    """

    zero_rows: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, weight: jax.Array, *, zero_rows: tuple[int, ...]):
        super().__init__(weight=weight)
        self.zero_rows = zero_rows

    def __call__(self, x: Any, *, key: Any = None) -> jax.Array:
        """Return the row of the id ``x``, a scalar."""
        row = super().__call__(x, key=key)
        zero = np.zeros(self.num_embeddings, np.bool_)
        zero[list(self.zero_rows)] = True
        return jnp.where(jnp.asarray(zero)[x], jnp.zeros((), row.dtype), row)

    def to_embedding(self) -> eqx.nn.Embedding:
        """Return a plain layer with a copy of the table."""
        return eqx.nn.Embedding(weight=without(self.weight, self.zero_rows))


def _keep(layer: PaddedEmbedding, zero_rows: tuple[int, ...]) -> None:
    """Set the zero rows of a layer, and make them zeros where it is differentiated.

    So whoever reads ``weight``, the layer or an output tied to it, sends them no
    gradient. Equinox sets this field after ``weight`` whenever it puts a layer together
    again, as within ``jit`` and ``grad``. There the table is a tracer; elsewhere it is
    left as it is, as ``tree_at`` looks for the very array.
    """
    layer.__dict__["zero_rows"] = zero_rows
    table = layer.__dict__.get("weight")
    if isinstance(table, jax.core.Tracer) and table.ndim >= 2:
        layer.__dict__["weight"] = without(table, zero_rows)


PaddedEmbedding.zero_rows = property(  # type: ignore[assignment]  # of the same type
    lambda layer: layer.__dict__["zero_rows"], _keep
)


class SplitEmbedding(eqx.Module):
    """An embedding that trains a part of its rows, or none; the others never move.

    Used like the ``equinox.nn.Embedding`` it stands for, made by `embedding`. The rows
    that train are ``trained``; the others are ``frozen``, as bytes (frozen rows, dim x
    size), uint8; ``trains`` (rows,), bool, says which of the rows train.

    An average of all arrays gives bytes that are rounded to what they were, so frozen
    rows keep their bits unless the average is so long or coarse that a byte moves by a
    half; `restore_frozen` puts them back. `unfreeze` gives a layer of which all rows
    train, `to_embedding` one plain table, to save, to serve or to go on with.
    """

    trained: jax.Array
    frozen: jax.Array
    trains: jax.Array
    num_embeddings: int = eqx.field(static=True)
    embedding_size: int = eqx.field(static=True)
    zero_rows: tuple[int, ...] = eqx.field(static=True)
    dtype: str = eqx.field(static=True)  # of the frozen rows

    def __init__(
        self, table: jax.Array, frozen: BoolArray, *, zero_rows: tuple[int, ...] = ()
    ):
        tables = Tables.part(table, ~frozen)
        self.trained, self.trains = tables.trained, tables.trains
        self.frozen = to_bytes(tables.frozen)
        self.num_embeddings, self.embedding_size = table.shape
        self.zero_rows = zero_rows
        self.dtype = table.dtype.name

    def __call__(self, x: Any, *, key: Any = None) -> jax.Array:
        """Return the row of the id ``x``, a scalar."""
        if not eqx.is_array_like(x) or jnp.shape(x) != ():
            raise OptionError("an id is a scalar: look up more with jax.vmap(layer)")
        # Ids below zero and out of range mean what they do to the plain layer.
        rows = jnp.arange(self.num_embeddings, dtype=jnp.int32)
        return self._tables().take(rows[x], self.dtype)

    @property
    def weight(self) -> jax.Array:
        """The whole table (num_embeddings, embedding_size), put together, to read."""
        if not eqx.is_array(self.trained):  # tree_at, or a tree of something else
            raise OptionError(
                "this table is put together of rows that train and rows that do not, "
                "so what is written to it would be lost: name trained instead of "
                "weight, or take to_embedding() or unfreeze()"
            )
        return self._tables().join(self.dtype)

    def unfreeze(self) -> eqx.Module:
        """Return a layer of which all rows train, but for the pad row and holes.

        It needs an optimiser of its own.
        """
        table = self.weight
        if self.zero_rows:
            return PaddedEmbedding(table, zero_rows=self.zero_rows)
        return eqx.nn.Embedding(weight=table)

    def freeze_rows(self, frozen: BoolArray) -> SplitEmbedding:
        """Return a layer that freezes the rows where ``frozen`` (rows,), bool, is true.

        The others train, but for the pad row and holes. It needs an optimiser of its
        own.

        Raises `ShapeError` for a mask of another length.
        """
        mask = training_mask(frozen, self.num_embeddings, self.zero_rows)
        return SplitEmbedding(self.weight, ~mask, zero_rows=self.zero_rows)

    def restore_frozen(self, table: Any) -> SplitEmbedding:
        """Return the layer, its frozen rows with the bits of ``table`` (rows, dim).

        For an average of weights that went over all arrays: ``table`` is
        ``matrix.vectors``, or ``weight`` of the layer that the average is of.

        Raises `ShapeError` for a table of another shape.
        """
        shape = self.num_embeddings, self.embedding_size
        table = whole_table(table, shape, self.dtype)
        trains = np.asarray(self.trains) != 0
        new = to_bytes(table[~trains]), jnp.array(trains)
        return eqx.tree_at(lambda layer: (layer.frozen, layer.trains), self, new)

    def to_embedding(self) -> eqx.nn.Embedding:
        """Return a plain layer with a copy of the whole table."""
        return eqx.nn.Embedding(weight=self.weight)

    def _tables(self) -> Tables:
        frozen = self.frozen
        if frozen.dtype != jnp.uint8:  # an average, whose weights the mask tells
            total = self.trains.max().astype(frozen.dtype)
            whole = frozen / jnp.where(total > 0, total, 1)
            frozen = jnp.round(whole).astype(jnp.uint8)
        return Tables(self.trained, frozen, self.trains)
