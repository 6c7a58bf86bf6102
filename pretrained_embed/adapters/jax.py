"""JAX: a matrix as an initialiser for any library, and as a Flax NNX layer.

Frozen rows are `Frozen` variables, not ``nnx.Param``: gradients and optimisers that
work on parameters, as all do by default, do not see them. The pad row stays zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pretrained_embed.adapters._arguments import checked, missing, own_dtype
from pretrained_embed.adapters._tables import Rows
from pretrained_embed.arrays import BoolArray
from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix

try:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from pretrained_embed.adapters._jax_table import (
        LoadRows,
        Start,
        Tables,
        check_dtype,
        check_load_rows,
        from_layer,
        not_in_the_model,
        numbered,
        pretrained,
        saved_table,
        training_mask,
        whole_table,
        without,
        zeroed,
    )
except ImportError as error:
    raise missing("JAX with Flax", "jax") from error

__all__ = [
    "Frozen",
    "PaddedEmbed",
    "SplitEmbed",
    "embedding",
    "from_layer",
    "load_state",
    "pretrained",
]


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    freeze: Rows = False,
    multiple_of: int = 1,
    dtype: Any = None,
    param_dtype: Any = None,
) -> nnx.Module:
    """Return a Flax NNX layer whose row ``i`` is the vector of token id ``i``.

    If all rows train or none, the layer is an ``nnx.Embed``: a `PaddedEmbed` if there
    is a pad row to keep at zero, and with a `Frozen` table if no row trains. Else it is
    a `SplitEmbed`. The pad row never trains.

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
    dtype : dtype, optional
        The dtype of the output; by default that of the table.
    param_dtype : dtype, optional
        The dtype of the table; values are rounded once. By default that of the matrix
        if it is float16 or bfloat16, else float32.

    Returns
    -------
    nnx.Embed
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
    >>> layer = pe_jax.embedding(matrix, freeze="found")
    >>> layer(jnp.array([[2, 3, 0]])).shape
    (1, 3, 50)
    """
    if dtype is not None:
        check_dtype(matrix, dtype)
    if param_dtype is None:
        param_dtype = jnp.dtype(own_dtype(matrix))
    start = Start.of(matrix, freeze, multiple_of, param_dtype)
    table, zero_rows = start.table(), start.zero_rows
    if start.splits:
        return SplitEmbed(table, start.frozen, zero_rows=zero_rows, dtype=dtype)
    if start.frozen.all():
        layer = _embed(table, dtype)
        layer.embedding = Frozen(table)
    elif zero_rows:
        layer = _embed(table, dtype, PaddedEmbed)
        layer.embedding = PaddedTable(table, zero_rows=zero_rows)
    else:
        layer = _embed(table, dtype)
    return layer


def load_state(model: nnx.Module, state: Any, *, load_rows: LoadRows = "layer") -> None:
    """Load a saved state into ``model``, whichever layer each table was saved from.

    If model and state have the same layers, ``nnx.update(model, state)`` does the same.
    This also loads the states of earlier releases, which had ``slots``, a plain
    ``embedding`` into a layer that freezes rows, and the reverse.

    Parameters
    ----------
    model : nnx.Module
        A model with layers of this module, or such a layer. It is changed in place.
    state : nnx.State or nested mapping
        The result of ``nnx.state(model)``, or arrays by name, as orbax restores them
        without a target. Arrays that it lacks stay as they are in the model.
    load_rows : "layer" or "file", default "layer"
        Which rows train if the state has others than the layer: those of the layer,
        with a warning, or those of the file. The values are always those of the file.

    Raises
    ------
    OptionError
        For a name that the model does not have, or another ``load_rows``.
    ShapeError
        For a table of another shape than that of the layer.

    Examples
    --------
    >>> restored = ocp.StandardCheckpointer().restore(path)  # doctest: +SKIP
    >>> pe_jax.load_state(model, restored)  # doctest: +SKIP
    """
    check_load_rows(load_rows)
    saved = _arrays_by_path(state)
    layers = {
        tuple(map(str, path)): layer
        for path, layer in nnx.iter_modules(model)
        if isinstance(layer, nnx.Embed | SplitEmbed)
    }
    for path, layer in layers.items():
        own = {key[-1]: saved.pop(key) for key in list(saved) if key[:-1] == path}
        if own:
            _load(layer, own, load_rows)
    rest = nnx.to_flat_state(nnx.state(model))
    known = {tuple(map(str, path)): variable for path, variable in rest}
    for path, array in saved.items():
        if path not in known:
            raise not_in_the_model(path)
        known[path][...] = array


class Frozen(nnx.Variable):
    """A part of a layer's state that is saved with it and never trained.

    Examples
    --------
    >>> nnx.state(layer, pe_jax.Frozen)  # doctest: +SKIP
    """


class PaddedTable(nnx.Param):
    """The table (rows, dim) of a layer that trains all rows except rows of zeros.

    Every reader of it, the layer or a tied output, reads zeros in ``zero_rows`` and
    sends them no gradient.

    Examples
    --------
    >>> nnx.state(layer, pe_jax.PaddedTable)  # doctest: +SKIP
    """

    def get_value(self, **where: Any) -> Any:
        """Return the table, or a part of it.

        Parameters
        ----------
        **where
            ``index``: the part, as for ``nnx.Variable``.

        Returns
        -------
        jax.Array
            The values.
        """
        table = self.get_raw_value()
        if not isinstance(table, jax.Array | np.ndarray):  # a shape without values
            return super().get_value(**where)
        table = zeroed(table, self.get_metadata("zero_rows", ()))
        return table[where.get("index", ...)]

    def update_from_state(self, variable_state: nnx.Variable[Any]) -> None:
        """Take the value of another variable, but not its metadata.

        Parameters
        ----------
        variable_state : nnx.Variable
            The variable with the value.
        """
        self.set_raw_value(variable_state.get_raw_value())


class PaddedEmbed(nnx.Embed):
    """An ``nnx.Embed`` with rows that stay zero, such as that of the pad token.

    It is used, saved and loaded like ``nnx.Embed``, and their states are the same.
    `embedding` makes it.

    Examples
    --------
    >>> layer = pe_jax.embedding(matrix)  # doctest: +SKIP
    """

    def to_embedding(self) -> nnx.Embed:
        """Return a plain layer with a copy of the table.

        Returns
        -------
        nnx.Embed
            The layer.
        """
        return _embed(self.embedding[...], self.dtype)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("trained", "frozen", "trains", "slots"):
            raise OptionError(
                "this is the state of a layer that froze rows one by one, and in this "
                "one all rows train: load it with load_state(model, state)"
            )
        super().__setattr__(name, value)


class SplitEmbed(nnx.Module):
    """An embedding of which some rows train; the others never move.

    It is used like ``nnx.Embed``; `embedding` makes it. The trained rows are the
    ``nnx.Param`` ``trained``; ``frozen`` has the others, and ``trains`` (rows,), bool,
    is the mask of trained rows; both are `Frozen`.

    An average of whole states changes frozen rows by rounding only, and never exchanges
    rows; `restore_frozen` restores the bits. `unfreeze` lets all rows train.
    `to_embedding` returns one plain table.

    Parameters
    ----------
    table : array, shape (num_embeddings, features)
        The whole table.
    frozen : bool array, shape (num_embeddings,)
        True for the rows that do not train.
    zero_rows : sequence of int
        The rows that stay zero.
    dtype : dtype
        The dtype of the output.

    Examples
    --------
    >>> layer = pe_jax.embedding(matrix, freeze="found")  # doctest: +SKIP
    """

    def __init__(
        self,
        table: jax.Array,
        frozen: BoolArray,
        *,
        zero_rows: tuple[int, ...] = (),
        dtype: Any = None,
    ):
        self.num_embeddings, self.features = table.shape
        self.param_dtype = table.dtype
        self.dtype = dtype or table.dtype
        self.zero_rows = zero_rows
        self._set(Tables.part(table, ~frozen))

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Return the rows of ``inputs``, ids of any shape, along a new last axis."""
        rows = numbered(inputs, self.num_embeddings)
        return self._tables().take(rows).astype(self.dtype)

    def attend(self, query: jax.Array) -> jax.Array:
        """Return the inner products of a query with all rows.

        Parameters
        ----------
        query : array, shape (..., features)
            The query vectors.

        Returns
        -------
        jax.Array, shape (..., num_embeddings)
            The inner products.
        """
        table = self._tables().join()
        return query.astype(self.dtype) @ table.astype(self.dtype).T

    @property
    def embedding(self) -> JoinedVariable:
        """The whole table (num_embeddings, features), joined for reading."""
        return JoinedVariable(self._tables().join())

    @embedding.setter
    def embedding(self, table: Any) -> None:
        raise _joined()

    @property
    def slots(self) -> Any:
        """Removed: only states of earlier releases have it."""
        raise AttributeError("slots")

    @slots.setter
    def slots(self, slots: Any) -> None:
        self.trains[...] = jnp.asarray(slots[...]) >= 0

    def unfreeze(self) -> None:
        """Let all rows train from now on, except the pad row and holes.

        The parameter is then a larger one and needs a new optimiser.
        """
        self.freeze_rows(np.zeros(self.num_embeddings, np.bool_))

    def freeze_rows(self, frozen: BoolArray) -> None:
        """Freeze some rows; the others train from now on, except the pad row and holes.

        The parameter is then another one and needs a new optimiser.

        Parameters
        ----------
        frozen : bool array, shape (num_embeddings,)
            True for the rows to freeze.

        Raises
        ------
        ShapeError
            For a mask of another length.
        """
        mask = training_mask(frozen, self.num_embeddings, self.zero_rows)
        self._set(Tables.part(self._tables().join(), mask))

    def restore_frozen(self, table: Any) -> None:
        """Set the frozen rows to those of a table, bit for bit.

        Use it after averaging weights over the whole state.

        Parameters
        ----------
        table : array, shape (rows, dim)
            ``matrix.vectors``, or ``embedding`` of the original layer.

        Raises
        ------
        ShapeError
            For a table of another shape.
        """
        shape = self.num_embeddings, self.features
        table = whole_table(table, shape, self.param_dtype)
        trains = np.asarray(self.trains[...]) != 0
        self.frozen.set_value(table[~trains])
        self.trains.set_value(jnp.array(trains))

    def to_embedding(self) -> nnx.Embed:
        """Return a plain layer with a copy of the whole table.

        Returns
        -------
        nnx.Embed
            The layer.
        """
        return _embed(self._tables().join(), self.dtype)

    def _set(self, tables: Tables) -> None:
        self.trained = nnx.Param(tables.trained)
        self.frozen = Frozen(tables.frozen)
        self.trains = Frozen(tables.trains)

    def _tables(self) -> Tables:
        return Tables(self.trained[...], self.frozen[...], self.trains[...])


class JoinedVariable(nnx.Variable):
    """A table that is joined from two for reading, and cannot be written.

    Examples
    --------
    >>> layer.embedding.shape  # doctest: +SKIP
    (400001, 50)
    """

    def set_value(self, *value: Any, **where: Any) -> None:
        """Raise `OptionError`: the table cannot be written.

        Parameters
        ----------
        *value, **where
            The arguments of ``nnx.Variable``.
        """
        raise _joined()

    def set_raw_value(self, *value: Any, **options: Any) -> None:
        """Raise `OptionError`: the table cannot be written.

        Parameters
        ----------
        *value, **options
            The arguments of ``nnx.Variable``.
        """
        raise _joined()

    def update_from_state(self, variable_state: nnx.Variable[Any]) -> None:
        """Raise `OptionError`: the table cannot be written.

        Parameters
        ----------
        variable_state : nnx.Variable
            Another variable.
        """
        raise _joined()


def _joined() -> OptionError:
    return OptionError(
        "this table is put together of rows that train and rows that do not, so what "
        "is written to it would be lost: write to trained[...] of the layer, load a "
        "state with load_state(model, state), or take to_embedding() or unfreeze()"
    )


def _arrays_by_path(state: Any) -> dict[tuple[str, ...], Any]:
    """Return the arrays of a nested mapping by their paths."""
    arrays: dict[tuple[str, ...], Any] = {}
    for key, value in dict(state).items():
        if isinstance(value, nnx.Variable):
            arrays[(str(key),)] = value.get_raw_value()
        elif isinstance(value, Mapping):
            below = _arrays_by_path(value)
            # Flax has also stored the array of a variable under this name.
            for path, array in below.items():
                arrays[(str(key), *(() if path == ("value",) else path))] = array
        else:
            arrays[(str(key),)] = value
    return arrays


def _load(
    layer: nnx.Embed | SplitEmbed, saved: dict[str, Any], load_rows: LoadRows
) -> None:
    """Load the arrays of one layer, whose names may be those of any of its kinds."""
    splits = isinstance(layer, SplitEmbed)
    # If all rows train or none, the layer ignores which rows the state trains.
    table, trains = saved_table(saved, _parted(layer), load_rows if splits else "file")
    if isinstance(layer, SplitEmbed):
        layer._set(Tables.part(without(table, layer.zero_rows), trains))
    else:
        layer.embedding[...] = table


def _parted(layer: nnx.Embed | SplitEmbed) -> Tables:
    if isinstance(layer, SplitEmbed):
        tables = layer._tables()
        return tables._replace(trains=tables.trains != 0)
    trains = np.ones(layer.num_embeddings, np.bool_)
    trains[list(layer.embedding.get_metadata("zero_rows", ()))] = False
    return Tables.part(layer.embedding[...], trains)


def _embed(
    table: jax.Array, dtype: Any, kind: type[nnx.Embed] = nnx.Embed
) -> nnx.Embed:
    return kind(
        *table.shape,
        dtype=dtype,
        param_dtype=table.dtype,
        embedding_init=lambda key, shape, dtype: table,
        rngs=nnx.Rngs(0),  # read but not used
    )
