"""JAX with Flax Linen: a matrix as a layer.

Trained rows are in the collection "params", as all parameters. Frozen ones are in the
collection "frozen", which gradients and optimisers of "params" do not see. The pad row
stays zero, whatever the variables have.

Give ``apply`` both: ``model.apply({"params": params, "frozen": frozen}, ids)``. The
layer is used in a model like any other; make it once and pass it to the model as a
field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache, partial
from typing import Any, NamedTuple

from pretrained_embed.adapters._arguments import checked, missing
from pretrained_embed.adapters._tables import Rows
from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix

try:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import linen
    from flax.linen.dtypes import promote_dtype
    from flax.traverse_util import flatten_dict, unflatten_dict

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
        without,
    )
except ImportError as error:
    raise missing("JAX with Flax", "linen", extra="jax") from error

__all__ = [
    "PaddedEmbed",
    "SplitEmbed",
    "embedding",
    "from_layer",
    "load_variables",
    "plain_variables",
    "pretrained",
    "restore_frozen",
    "unfreeze",
]

Variables = Mapping[str, Any]  # by collection, and in each by the names of the parts


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    freeze: Rows = False,
    multiple_of: int = 1,
    dtype: Any = None,
    param_dtype: Any = jnp.float32,
    name: str | None = None,
) -> linen.Module:
    """Return a Flax Linen layer whose row ``i`` is the vector of token id ``i``.

    If all rows train or none, the layer is a ``flax.linen.Embed`` with one array,
    ``embedding`` (rows, dim); a `PaddedEmbed` if there is a pad row to keep at zero or
    no row trains. Else it is a `SplitEmbed`. The pad row never trains.  ``init`` fills
    the variables, except a table that they already have, such as a loaded one.

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
    param_dtype : dtype, default float32
        The dtype of the table; values are rounded once.
    name : str, optional
        The name of the layer in the module that makes it, as for every layer of Linen.

    Returns
    -------
    flax.linen.Embed or SplitEmbed
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
    >>> layer = pe_linen.embedding(matrix, freeze="found")
    >>> variables = layer.init(jax.random.key(0), ids)
    >>> sorted(variables)
    ['frozen', 'params']
    """
    if dtype is not None:
        check_dtype(matrix, dtype)
    start = Start.of(matrix, freeze, multiple_of, param_dtype)
    options: dict[str, Any] = {
        "num_embeddings": len(start.frozen),
        "features": matrix.dim,
        "dtype": dtype,
        "param_dtype": param_dtype,
        "name": name,
    }
    if start.splits:
        return SplitEmbed(start=_Begin(start).parts, **options)
    options["embedding_init"] = _Begin(start).table
    if start.frozen.all():
        return PaddedEmbed(zero_rows=start.zero_rows, collection="frozen", **options)
    if start.zero_rows:
        return PaddedEmbed(zero_rows=start.zero_rows, **options)
    return linen.Embed(**options)


class _TableParts(NamedTuple):
    """The arrays of a `SplitEmbed`, by their names."""

    trained: Any
    frozen: Any
    trains: Any
    zeros: Any

    @classmethod
    def of(cls, table: jax.Array, trains: Any, zeros: Any) -> _TableParts:
        """Split ``table`` by masks (rows,) of trained rows and of zero rows."""
        zeros = np.asarray(zeros) != 0
        table = without(table, tuple(np.flatnonzero(zeros).tolist()))
        return cls(*Tables.part(table, np.asarray(trains) & ~zeros), jnp.array(zeros))

    def tables(self) -> Tables:
        return Tables(*self[:3])

    def take(self, rows: jax.Array) -> jax.Array:
        """Return the rows numbered ``rows`` (...) as (..., dim); NaN for -1."""
        zero = (self.zeros[rows] != 0) & (rows >= 0)
        found = jnp.where(zero[..., None], 0, self.tables().take(rows))
        return found.astype(self.trained.dtype)

    def join(self) -> jax.Array:
        """Return the whole table (rows, dim)."""
        return self.take(jnp.arange(len(self.trains), dtype=jnp.int32))


class _Begin:
    """The values with which ``init`` fills the variables; equal only to itself."""

    def __init__(self, start: Start):
        self.start = start

    def table(self, *_: Any) -> jax.Array:
        """Return the table, as an initialiser of Linen does."""
        return self.start.table()

    def parts(self) -> _TableParts:
        """Return the arrays of a `SplitEmbed`."""
        zeros = np.zeros(len(self.start.frozen), np.bool_)
        zeros[list(self.start.zero_rows)] = True
        return _TableParts.of(self.start.table(), ~self.start.frozen, zeros)


class PaddedEmbed(linen.Embed):
    """A ``flax.linen.Embed`` with rows that stay zero, or of which no row trains.

    It is used like ``flax.linen.Embed`` and has the same variable, ``embedding``
    (num_embeddings, features) in "params"; if no row trains it is in "frozen", or in
    "params" if it is found there. `embedding` makes it.

    Attributes
    ----------
    zero_rows : tuple of int
        Every reader of the table, the layer or a tied output, reads zeros in these rows
        and sends them no gradient.
    collection : "params" or "frozen"
        The collection in which ``init`` puts the table.

    Examples
    --------
    >>> layer = pe_linen.embedding(matrix)  # doctest: +SKIP
    """

    zero_rows: tuple[int, ...] = ()
    collection: str = "params"

    def setup(self) -> None:
        """Find the table, or make it."""
        loaded = self.has_variable("params", "embedding")
        collection = "params" if loaded else self.collection
        shape = self.num_embeddings, self.features
        variable = _variable(
            self,
            collection,
            "embedding",
            lambda: self.embedding_init(None, shape, self.param_dtype),
        )
        _check(self, variable.value.shape)
        self.embedding = without(variable.value, self.zero_rows)

    def to_embedding(self) -> linen.Embed:
        """Return a plain layer with its variables, of a layer that is bound to its own.

        Returns
        -------
        flax.linen.Embed
            The bound layer.
        """
        return _plain(self, self.embedding)


class SplitEmbed(linen.Module):
    """An embedding of which some rows train; the others never move.

    It is used like ``flax.linen.Embed``; `embedding` makes it. Its variables
    are ``trained`` (trained rows, dim) in the collection "params", and in "frozen"
    ``frozen`` (the other rows, dim) and two masks (rows,) of bools: ``trains``, the
    trained rows, and ``zeros``, the pad row and other rows without a token.

    An average of "params" does not change frozen rows. An average of all variables
    changes them by rounding only, and never exchanges rows; `restore_frozen` restores
    the bits. `unfreeze` returns variables with which all rows train, `plain_variables`
    those of plain layers. `from_layer` takes ``layer.bind(variables)``, which has the
    methods below.

    Attributes
    ----------
    num_embeddings, features, dtype, param_dtype
        As in ``flax.linen.Embed``.
    start : callable, optional
        Returns the values with which ``init`` fills the variables. Without it the layer
        needs existing variables.

    Examples
    --------
    >>> layer = pe_linen.embedding(matrix, freeze="found")  # doctest: +SKIP
    """

    num_embeddings: int
    features: int
    dtype: Any = None
    param_dtype: Any = jnp.float32
    start: Callable[[], _TableParts] | None = field(default=None, repr=False)

    def setup(self) -> None:
        """Find the arrays, or make them."""
        first = cache(self._first)
        for name in _TableParts._fields:
            collection = "params" if name == "trained" else "frozen"
            make = partial(lambda name: getattr(first(), name), name)
            variable = _variable(self, collection, name, make)
            setattr(self, name, variable)

    def _first(self) -> _TableParts:
        if self.start is None:
            raise OptionError(
                "this SplitEmbed was made without a matrix: make it with "
                "pretrained_embed.adapters.linen.embedding, or give it variables"
            )
        return self.start()

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Return the rows of ``inputs``, ids of any shape, along a new last axis."""
        rows = self._parts().take(numbered(inputs, self.num_embeddings))
        (rows,) = promote_dtype(rows, dtype=self.dtype, inexact=False)
        return rows

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
        query, table = promote_dtype(query, self.embedding, dtype=self.dtype)
        return jnp.dot(query, table.T)

    @property
    def embedding(self) -> jax.Array:
        """The whole table (num_embeddings, features), joined for reading."""
        if self.scope is None:
            raise OptionError(
                "a layer of Linen has its table in variables: layer.bind(variables)"
            )
        return self._parts().join()

    def to_embedding(self) -> linen.Embed:
        """Return a plain layer with its variables, of a layer that is bound to its own.

        ``layer.bind(variables).to_embedding().unbind()`` returns both.

        Returns
        -------
        flax.linen.Embed
            The bound layer.
        """
        return _plain(self, self.embedding)

    def _parts(self) -> _TableParts:
        parts = _TableParts(
            *(getattr(self, name).value for name in _TableParts._fields)
        )
        rows = len(parts.trained) + len(parts.frozen)
        if not len(parts.trains) == len(parts.zeros) == rows:
            raise ShapeError(
                f"the variables of {_name(self)!r} do not fit "
                f"each other: {len(parts.trained)} rows train and {len(parts.frozen)} "
                f"do not, but 'trains' has {len(parts.trains)}. Take 'params' and "
                "'frozen' of one state, or load_variables(variables, state)"
            )
        _check(self, (rows, parts.trained.shape[1]))
        return parts


def _variable(
    layer: SplitEmbed | PaddedEmbed,
    collection: str,
    name: str,
    make: Callable[[], jax.Array],
) -> Any:
    """Return a variable of a layer, made where variables are created."""
    if layer.has_variable(collection, name) or layer.is_mutable_collection(collection):
        return layer.variable(collection, name, make)
    raise OptionError(
        f"{_name(layer)!r} finds no {name!r} in {collection!r}: give all collections, "
        "and those of another layer through load_variables(variables, others)"
    )


def _name(layer: linen.Module) -> str:
    return layer.name or type(layer).__name__


def _check(layer: SplitEmbed | PaddedEmbed, shape: tuple[int, ...]) -> None:
    if shape != (layer.num_embeddings, layer.features):
        raise ShapeError(
            f"the variables of {_name(layer)!r} are a table of "
            f"shape {shape}, and the layer has {layer.num_embeddings} rows of dim "
            f"{layer.features}: give those of a layer made with the same vocabulary"
        )


def _plain(layer: SplitEmbed | PaddedEmbed, table: jax.Array) -> linen.Embed:
    plain = linen.Embed(
        layer.num_embeddings,
        layer.features,
        dtype=layer.dtype,
        param_dtype=layer.param_dtype,
        parent=None,
    )
    return plain.bind({"params": {"embedding": table}})


def load_variables(
    variables: Variables, saved: Variables, *, load_rows: LoadRows = "layer"
) -> dict[str, Any]:
    """Return the variables of a model with the values of a saved state.

    If model and state have the same layers, ``saved`` can be used directly. This also
    loads plain tables into a layer that freezes rows, the reverse, and states with
    other frozen rows: to freeze other rows, make a model that does, and load.

    Parameters
    ----------
    variables : mapping
        The variables of ``model.init``, which are not changed.
    saved : mapping
        Variables of the same model, which may have other layers of this module or plain
        ones. Arrays that it lacks are taken from ``variables``.
    load_rows : "layer" or "file", default "layer"
        Which rows train if the state has others than the layer: those of the layer,
        with a warning, or those of the file. The values are always those of the file.

    Returns
    -------
    dict
        The variables, by collection.

    Raises
    ------
    OptionError
        For a name that the model does not have, or another ``load_rows``.
    ShapeError
        For a table of another shape than that of the layer.

    Examples
    --------
    >>> variables = model.init(key, ids)  # doctest: +SKIP
    >>> variables = pe_linen.load_variables(variables, restored)  # doctest: +SKIP
    """
    check_load_rows(load_rows)
    flat, rest = _flat(variables), _flat(saved)
    for layer in _layers(flat):
        collection = "frozen" if ("frozen", *layer, "embedding") in flat else "params"
        own, found = _pop(flat, layer), _pop(rest, layer)
        if found:
            own = _loaded(own, found, load_rows)
        _put(flat, layer, own, collection)
    for path, array in rest.items():
        if path not in flat:
            raise not_in_the_model(path)
        flat[path] = array
    return _nested(flat)


def _loaded(
    own: dict[str, Any], saved: dict[str, Any], load_rows: LoadRows
) -> dict[str, Any]:
    """Return the arrays of a layer with the values that were saved."""
    if "trains" in own:
        parts = _TableParts(**own)
        table, trains = saved_table(saved, parts.tables(), load_rows)
        return _TableParts.of(table, trains, parts.zeros)._asdict()
    table = own["embedding"]
    all_rows = Tables.part(table, np.ones(len(table), np.bool_))
    return {"embedding": saved_table(saved, all_rows, "file")[0]}


def plain_variables(variables: Variables) -> dict[str, Any]:
    """Return the variables of a model as if its layers were all ``flax.linen.Embed``.

    Instead of the arrays of a `SplitEmbed` there is one, ``embedding`` (rows, dim), a
    copy; the table of a frozen layer is then in "params". They fit the model with plain
    layers, without this package; `load_variables` reverses this.

    Parameters
    ----------
    variables : mapping
        The variables of the model, by collection.

    Returns
    -------
    dict
        The variables of the plain model.

    Raises
    ------
    OptionError
        If "frozen" is missing.

    Examples
    --------
    >>> plain = pe_linen.plain_variables(variables)  # doctest: +SKIP
    """
    flat = _flat(variables)
    for layer in _layers(flat):
        own = _pop(flat, layer)
        table = _TableParts(**own).join() if "trains" in own else own["embedding"]
        _put(flat, layer, {"embedding": table}, "params")
    return _nested(flat)


def unfreeze(variables: Variables) -> dict[str, Any]:
    """Return variables with which all rows train, except pad rows and other zero rows.

    The model is the same. Its parameters are larger, and need a new optimiser.

    Parameters
    ----------
    variables : mapping
        The variables of the model, by collection.

    Returns
    -------
    dict
        The variables.

    Raises
    ------
    OptionError
        If no layer has frozen rows.

    Examples
    --------
    >>> variables = pe_linen.unfreeze({"params": params, "frozen": frozen})
    """
    flat = _flat(variables)
    if not any(path[0] == "frozen" for path in flat):
        raise OptionError(f"no layer has frozen rows in these variables: {_BOTH}")
    for layer in _layers(flat):
        own = _pop(flat, layer)
        if "trains" in own:
            parts = _TableParts(**own)
            own = _TableParts.of(parts.join(), np.True_, parts.zeros)._asdict()
        _put(flat, layer, own, "params")
    return _nested(flat)


def restore_frozen(variables: Variables, source: Variables) -> dict[str, Any]:
    """Return variables with the frozen rows of ``source``, bit for bit.

    Use it after averaging over all collections. An average of "params" needs nothing.

    Parameters
    ----------
    variables : mapping
        The averaged variables.
    source : mapping
        The variables of the original model.

    Returns
    -------
    dict
        The variables.

    Raises
    ------
    OptionError
        If the two have other layers or other trained rows.

    Examples
    --------
    >>> average = optax.incremental_update(variables, average, 0.001)
    >>> average = pe_linen.restore_frozen(average, variables)
    """
    flat, given = _flat(variables), _flat(source)
    for path, array in flat.items():
        if path[0] != "frozen" or path[-1] not in _NAMES:
            continue
        theirs = given.get(path)
        if (
            theirs is None
            or np.shape(theirs) != np.shape(array)
            or (path[-1] == "trains" and ((array != 0) != (theirs != 0)).any())
        ):
            raise OptionError(
                f"{'.'.join(path)} is of other rows in the source, or not there: give "
                "the variables of the model that this is an average of"
            )
        flat[path] = theirs
    return _nested(flat)


Path = tuple[str, ...]
_NAMES = (*_TableParts._fields, "embedding")  # of the arrays of layers
_BOTH = 'give all collections, {"params": ..., "frozen": ...}'


def _flat(variables: Variables) -> dict[Path, Any]:
    """Return arrays by collection, path and name, all of them in one tuple."""
    flat: dict[Path, Any] = flatten_dict(variables, keep_empty_nodes=True)
    return flat


def _nested(flat: dict[Path, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = unflatten_dict(flat)
    return nested


def _layers(flat: dict[Path, Any]) -> list[Path]:
    """Return the places of the layers of this module and of plain ones.

    Raises `OptionError` if a part of one is missing.
    """
    layers = {}
    for path, array in flat.items():
        collection, *layer, name = path if len(path) > 1 else ("", "")
        if (collection, name) == ("frozen", "trains") or (
            name == "embedding" and np.ndim(array) == 2
        ):
            layers[tuple(layer)] = True
        elif name == "trained" and ("frozen", *layer, "trains") not in flat:
            raise OptionError(f"{'.'.join(path)} came without frozen rows: {_BOTH}")
    return list(layers)


def _pop(flat: dict[Path, Any], layer: Path) -> dict[str, Any]:
    """Remove the arrays of a layer from all arrays, and return them."""
    return {
        name: flat.pop((collection, *layer, name))
        for collection in ("params", "frozen")
        for name in _NAMES
        if (collection, *layer, name) in flat
    }


def _put(flat: dict[Path, Any], layer: Path, own: dict[str, Any], whole: str) -> None:
    """Put the arrays of a layer back; one that is the ``whole`` table goes there."""
    for name, array in own.items():
        collection = {"trained": "params", "embedding": whole}.get(name, "frozen")
        flat[collection, *layer, name] = array
