"""JAX with Equinox: a matrix as a layer for one id, or for more by ``jax.vmap``.

Frozen rows are kept as bytes, so ``filter_grad``, and optimisers with the arrays of
``is_inexact_array``, do not train or decay them. Do not use ``is_array``: Optax then
raises an error, since there is no gradient. The pad row stays zero.
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

    If all rows train, the layer is an ``equinox.nn.Embedding``; a `PaddedEmbedding` if
    there is a pad row to keep at zero. Else it is a `SplitEmbedding`, also if no row
    trains. The pad row never trains.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors, which are copied.
    freeze : bool, "found", "oov", bool array (rows,) or list of str, default False
        The rows that do not train: all, none, those that came from the source, the
        others, those where the array is true, those of the tokens listed.
    multiple_of : int, default 1
        Make the number of rows a multiple of this, for example 64 for accelerators, by
        rows of zeros at the end, which never train.
    dtype : dtype, default float32
        The dtype of the table and the output; values are rounded once.

    Returns
    -------
    equinox.nn.Embedding or SplitEmbedding
        The layer.

    Raises
    ------
    OptionError
        For an unknown choice of rows, a dtype that cannot hold the values, or
        ``multiple_of`` below 1.
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
    """An ``equinox.nn.Embedding`` with rows that stay zero, such as the pad token's.

    It is used like ``equinox.nn.Embedding``, and files of ``tree_serialise_leaves`` can
    be exchanged between the two. `embedding` makes it.

    Parameters
    ----------
    weight : array, shape (rows, dim)
        The table.
    zero_rows : tuple of int
        The rows that stay zero.

    Examples
    --------
    >>> layer = pe_equinox.embedding(matrix)  # doctest: +SKIP
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
        """Return a plain layer with a copy of the table.

        Returns
        -------
        equinox.nn.Embedding
            The layer.
        """
        return eqx.nn.Embedding(weight=without(self.weight, self.zero_rows))


def _keep(layer: PaddedEmbedding, zero_rows: tuple[int, ...]) -> None:
    """Set the zero rows of a layer, and their values to zero under differentiation.

    So every use of ``weight``, by the layer or a tied output, sends them no gradient.
    Equinox sets this field after ``weight`` whenever it rebuilds a layer, as within
    ``jit`` and ``grad``. There the table is a tracer; elsewhere it is not changed,
    since ``tree_at`` looks for the same array.
    """
    layer.__dict__["zero_rows"] = zero_rows
    table = layer.__dict__.get("weight")
    if isinstance(table, jax.core.Tracer) and table.ndim >= 2:
        layer.__dict__["weight"] = without(table, zero_rows)


PaddedEmbedding.zero_rows = property(  # type: ignore[assignment]  # of the same type
    lambda layer: layer.__dict__["zero_rows"], _keep
)


class SplitEmbedding(eqx.Module):
    """An embedding of which some rows train, or none; the others never move.

    It is used like ``equinox.nn.Embedding``; `embedding` makes it. ``trained`` has the
    trained rows; ``frozen`` the others, as bytes (frozen rows, dim x size), uint8;
    ``trains`` (rows,), bool, is the mask of trained rows.

    The average of all arrays rounds bytes to their old values, so frozen rows keep
    their bits unless the average is so long or coarse that a byte moves by a half;
    `restore_frozen` restores them. `unfreeze` returns a layer that trains all rows,
    `to_embedding` one plain table for saving and serving.

    Parameters
    ----------
    table : array, shape (num_embeddings, embedding_size)
        The whole table.
    frozen : bool array, shape (num_embeddings,)
        True for the rows that do not train.
    zero_rows : tuple of int
        The rows that stay zero.

    Examples
    --------
    >>> layer = pe_equinox.embedding(matrix, freeze="found")  # doctest: +SKIP
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
        # Ids below zero and out of range have the same meaning as in the plain layer.
        rows = jnp.arange(self.num_embeddings, dtype=jnp.int32)
        return self._tables().take(rows[x], self.dtype)

    @property
    def weight(self) -> jax.Array:
        """The whole table (num_embeddings, embedding_size), joined for reading."""
        if not eqx.is_array(self.trained):  # tree_at, or a tree of other objects
            raise OptionError(
                "this table is put together of rows that train and rows that do not, "
                "so what is written to it would be lost: name trained instead of "
                "weight, or take to_embedding() or unfreeze()"
            )
        return self._tables().join(self.dtype)

    def unfreeze(self) -> eqx.Module:
        """Return a layer that trains all rows, except the pad row and holes.

        It needs a new optimiser.

        Returns
        -------
        SplitEmbedding
            The layer.
        """
        table = self.weight
        if self.zero_rows:
            return PaddedEmbedding(table, zero_rows=self.zero_rows)
        return eqx.nn.Embedding(weight=table)

    def freeze_rows(self, frozen: BoolArray) -> SplitEmbedding:
        """Return a layer that freezes the given rows.

        The others train, except the pad row and holes. It needs a new optimiser.

        Parameters
        ----------
        frozen : bool array, shape (rows,)
            True for the rows to freeze.

        Returns
        -------
        SplitEmbedding
            The layer.

        Raises
        ------
        ShapeError
            For a mask of another length.
        """
        mask = training_mask(frozen, self.num_embeddings, self.zero_rows)
        return SplitEmbedding(self.weight, ~mask, zero_rows=self.zero_rows)

    def restore_frozen(self, table: Any) -> SplitEmbedding:
        """Return the layer with the frozen rows of a table, bit for bit.

        Use it after averaging weights over all arrays.

        Parameters
        ----------
        table : array, shape (rows, dim)
            ``matrix.vectors``, or ``weight`` of the original layer.

        Returns
        -------
        SplitEmbedding
            The layer.

        Raises
        ------
        ShapeError
            For a table of another shape.
        """
        shape = self.num_embeddings, self.embedding_size
        table = whole_table(table, shape, self.dtype)
        trains = np.asarray(self.trains) != 0
        new = to_bytes(table[~trains]), jnp.array(trains)
        return eqx.tree_at(lambda layer: (layer.frozen, layer.trains), self, new)

    def to_embedding(self) -> eqx.nn.Embedding:
        """Return a plain layer with a copy of the whole table.

        Returns
        -------
        equinox.nn.Embedding
            The layer.
        """
        return eqx.nn.Embedding(weight=self.weight)

    def _tables(self) -> Tables:
        frozen = self.frozen
        if frozen.dtype != jnp.uint8:  # an average, whose weights follow from the mask
            total = self.trains.max().astype(frozen.dtype)
            whole = frozen / jnp.where(total > 0, total, 1)
            frozen = jnp.round(whole).astype(jnp.uint8)
        return Tables(self.trained, frozen, self.trains)
