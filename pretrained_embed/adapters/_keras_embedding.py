"""Keras' own embedding layer, with a pad row that stays zero."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from pretrained_embed.arrays import AnyArray, BoolArray
from pretrained_embed.errors import OptionError

Tensor = Any  # of any backend


@keras.saving.register_keras_serializable(package="pretrained_embed")
class Embedding(keras.layers.Embedding):
    """``keras.layers.Embedding`` whose pad row is always zero.

    It works like the plain layer: one weight ``embeddings`` (rows, dim),
    ``get_weights``, ``set_weights``, ``enable_lora``, ``quantize``, clones, and weight
    files, which can be exchanged with the plain layer. `embedding` makes it.

    The output for the pad id is zeros without a gradient. A change of the row by
    another path, such as a tied output, is undone after each step of a Keras optimizer.
    With an optimizer of another library and a tied output, the row is zero in the
    layer's own output, in ``get_weights`` and in files.

    The class has the name of the plain one, since weight files have paths made of class
    names. A model with it is saved as usual; before loading it, ``import
    pretrained_embed.adapters.keras``, or save the result of `export` instead.

    Parameters
    ----------
    input_dim, output_dim : int
        Rows and dim.
    pad_id : int
        The row that stays zero.
    plain_form : bool, default False
        Save and clone the layer as the plain layer while it is not trainable. Then
        Keras alone can load it, and its pad row trains if it is made trainable later.
    **options
        Those of ``keras.layers.Embedding``.

    Warns
    -----
    UserWarning
        If weights are set or loaded whose pad row is not zero, which is ignored.

    Examples
    --------
    >>> layer = pe_keras.embedding(matrix)
    >>> layer.get_weights()[0][vocab["cat"]]  # the vector of "cat"
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        pad_id: int,
        plain_form: bool = False,
        weights: Any = None,
        **options: Any,
    ):
        super().__init__(input_dim, output_dim, **options)
        self.pad_id = pad_id
        self.plain_form = plain_form
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) else [weights])

    embeddings_initializer: Any

    @property  # type: ignore[misc]  # a layer's class is never set
    def __class__(self) -> type:
        """The class that Keras writes into files and clones."""
        values = vars(self)
        plain = values.get("plain_form") and not values.get("_trainable")
        return keras.layers.Embedding if plain else type(self)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; a second call does nothing, as in the plain layer."""
        if self.built:
            return
        initializer = self.embeddings_initializer
        self.embeddings_initializer = lambda shape, dtype=None: zero_row(
            initializer(shape, dtype=dtype), self.pad_id
        )
        super().build(input_shape)
        self.embeddings_initializer = initializer
        PaddedVariable.mark(self._embeddings, self.pad_id, self.embeddings_constraint)

    def call(self, inputs: Tensor) -> Tensor:
        """Return the rows of ``inputs``, ids of any shape, in the compute dtype."""

        def rows(ids: Tensor) -> Tensor:
            if self.lora_enabled:
                return super(Embedding, self).call(ids)
            found = ops.take(self._embeddings.value, ids, axis=0)
            return ops.cast(found, self.compute_dtype)

        return look_up(inputs, lambda ids: without(rows(ids), ids, self.pad_id))

    def quantized_call(self, inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        """Return the rows of ``inputs`` from a quantised table."""

        def plain(ids: Tensor) -> Tensor:
            return super(Embedding, self).quantized_call(ids, *args, **options)

        return look_up(inputs, lambda ids: without(plain(ids), ids, self.pad_id))

    def enable_lora(self, rank: int, *args: Any, **options: Any) -> None:
        """Train a change of ``rank`` instead of the table; the pad row has none."""
        super().enable_lora(rank, *args, **options)
        PaddedVariable.mark(self.lora_embeddings_a, self.pad_id)
        self.lora_embeddings_a.assign(self.lora_embeddings_a)

    def quantize(
        self, mode: Any = None, type_check: bool = True, **options: Any
    ) -> None:
        """Quantise the table to ``"int8"`` or ``"int4"``; the pad row stays zero."""
        # Keras checks the type to keep out subclasses that have other weights.
        super().quantize(mode, type_check=False, **options)

    def get_weights(self) -> list[Any]:
        """Return the table (rows, dim), alone in a list."""
        self._settle()
        return super().get_weights()

    def set_weights(self, weights: Any) -> None:
        """Set the table; a pad row that is not zero is left out, with a warning."""
        super().set_weights(weights)
        self._warn_of(weights[0])

    def save_own_variables(self, store: Any) -> None:
        """Save as the plain layer does."""
        if self.built:
            self._settle()
        super().save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Load what this layer, the plain one or one of an earlier release saved."""
        store = stored(store, self)
        if len(store) == 3 and self.quantization_mode is None:
            store = {"0": joined(store)[0]}
        super().load_own_variables(store)
        if self.built:
            self._warn_of(store["0"])

    def _settle(self) -> None:
        """Set the pad row to zero, in case other code than Keras has changed it."""
        # otherwise it was zero when it was quantised
        if self.quantization_mode is None:
            self._embeddings.assign(self._embeddings)

    def _warn_of(self, table: Any) -> None:
        """Warn about a table whose pad row was not zero."""
        if self.quantization_mode is None and np.any(table[self.pad_id]):
            warn_of_pad(self, self.pad_id)

    def get_config(self) -> dict[str, Any]:
        """Return the config of the plain layer, and the pad id."""
        config: dict[str, Any] = super().get_config()
        if self.__class__ is type(self):
            config["pad_id"] = self.pad_id
            config["plain_form"] = self.plain_form
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.layers.Embedding:
        """Return the layer of a config; a plain one for the plain form."""
        if "pad_id" not in config:
            return keras.layers.Embedding.from_config(config)
        return super().from_config(config)


class PaddedVariable(keras.Variable):
    """A variable (rows, dim) with a row that stays zero, whatever is assigned to it.

    Some optimizers write to the tensor of the backend. `ZeroRow` makes each Keras
    optimizer assign the variable to itself after a step, which writes the one row in
    place if the backend can.
    """

    constraint: "ZeroRow"

    @classmethod
    def mark(cls, variable: Any, row: int, constraint: Any = None) -> None:
        """Turn a variable into one; it stays the same object in the layer.

        It has its own constraint, since ``enable_lora`` refuses a layer with one.
        """
        variable.__class__ = cls
        variable.constraint = ZeroRow(row, constraint)

    def assign(self, value: Any) -> Any:
        """Set the values, except those of the row."""
        if value is not self:
            super().assign(value)
        row, now = self.constraint.row, self.value
        kind = type(now).__name__ if now is self._value else ""  # else not to keep
        if kind == "Parameter":  # PyTorch
            now.detach()[row] = 0
        elif kind == "ResourceVariable":  # TensorFlow, on one device
            now.scatter_nd_update([[row]], ops.zeros((1, self.shape[1]), self.dtype))
        else:
            super().assign(zero_row(now, row))
        return self.value

    def __tf_tensor__(self, dtype: Any = None, name: Any = None) -> Any:
        """Convert to a TensorFlow tensor with a row that sends no gradient back.

        Averages of weights are taken there before constraints are applied.
        """
        table = super().__tf_tensor__(dtype, name)
        return without(table, ops.arange(self.shape[0]), self.constraint.row)


class ZeroRow(keras.constraints.Constraint):
    """The zero row of a `PaddedVariable`, together with its other constraint.

    It belongs to a variable, and so is in no config.
    """

    def __init__(self, row: int, constraint: Callable[[Tensor], Tensor] | None = None):
        self.row = row
        self.constraint = constraint

    def __call__(self, w: Any) -> Any:
        """Return the value to assign to ``w`` (rows, dim), or ``w`` itself."""
        return w if self.constraint is None else self.constraint(w)


def zero_row(table: Tensor, row: int) -> Tensor:
    """Return ``table`` (rows, dim) with zeros in ``row``."""
    table = ops.convert_to_tensor(table)
    zeros = ops.zeros((1, table.shape[1]), table.dtype)
    return ops.slice_update(table, (row, 0), zeros)


def without(rows: Tensor, ids: Tensor, pad_id: int) -> Tensor:
    """Return ``rows`` (*ids.shape, dim) with a constant zero where the pad id is."""
    padded = ops.expand_dims(ops.equal(ids, pad_id), -1)
    return ops.where(padded, ops.zeros((), rows.dtype), rows)


def look_up(inputs: Tensor, take: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``take(ids)`` for ids in every form that the plain layer takes."""
    if hasattr(inputs, "with_flat_values"):  # a RaggedTensor of TensorFlow
        return inputs.with_flat_values(look_up(inputs.flat_values, take))
    ids = ops.convert_to_tensor(inputs, sparse=False)
    if keras.backend.standardize_dtype(ids.dtype) not in ("int32", "int64"):
        ids = ops.cast(ids, "int32")
    return take(ids)


def warn_of_pad(layer: keras.layers.Layer, pad_id: int) -> None:
    """Warn that a pad row was not zero and is ignored."""
    warnings.warn(
        f"row {pad_id} of the weights is not zero; it is the pad row of the layer "
        f"{layer.name!r}, which stays zero: its values are left out",
        UserWarning,
        stacklevel=3,
    )


# Keras stores the weights of a layer under a path made of class names, such as
# ``layers/split_embedding_1/vars``. The weights of a layer that an earlier release made
# a `SplitEmbedding`, or with other frozen rows, are therefore under another path.


def stored(store: Any, layer: Any) -> Any:
    """Return the entry of a file with the weights of ``layer``.

    It is ``store``, which Keras looked up, unless that is empty. Then it is the entry
    of the other class with a table of that size, and with the name of the layer if
    there are several. Raises `OptionError` if several entries fit.
    """
    path = getattr(store, "_h5_entry_path", None)
    if len(store) or not path:
        return store
    found = [other for other in _beside(path, store) if _fits(store.get(other), layer)]
    named = [other for other in found if _name(store.get(other)) == layer.name]
    chosen = named or found
    if len(chosen) > 1:
        names = ", ".join(repr(_name(store.get(other))) for other in chosen)
        raise OptionError(
            f"the file has no weights of the layer {layer.name!r}, and those of the "
            f"layers {names} would fit: give it the name of the one that is meant"
        )
    return store.get(chosen[0] if chosen else path)


def joined(store: Any) -> tuple[AnyArray, BoolArray]:
    """Return the table (rows, dim) of a `SplitEmbedding`, and which rows train.

    The third of its variables is bool (rows,), true for the rows that train. That of an
    earlier release is int32 (rows,): ``j >= 0`` for row ``j`` of the first, ``~k < 0``
    for row ``k`` of the second.
    """
    trained, frozen, where = (store[key] for key in "012")
    table = np.empty((len(where), trained.shape[1]), trained.dtype)
    if where.dtype == np.bool_:
        table[where], table[~where] = trained, frozen
        return table, where
    trains = where >= 0
    table[trains], table[~trains] = trained[where[trains]], frozen[~where[~trains]]
    return table, trains


def _beside(path: str, store: Any) -> Iterator[str]:
    """Yield the paths of layers of the other class, which Keras numbers from 0."""
    folder, _, own = path.rpartition("/")
    other = "embedding" if own.startswith("split_") else "split_embedding"
    first = f"{folder}/{other}" if folder else other
    number, beside = 0, first
    while len(store.get(beside)):
        yield beside
        number += 1
        beside = f"{first}_{number}"


def _fits(store: Any, layer: Any) -> bool:
    shapes = [store[key].shape for key in store.keys()]  # noqa: SIM118  # no mapping
    tables = [shape for shape in shapes if len(shape) == 2]
    return {dim for _, dim in tables} == {layer.output_dim} and layer.input_dim == sum(
        rows for rows, _ in tables
    )


def _name(store: Any) -> Any:
    return store._h5_entry_group.attrs.get("name")
