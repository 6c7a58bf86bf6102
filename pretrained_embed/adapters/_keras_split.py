"""Keras' layer of two tables: a trained one and a frozen one."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pretrained_embed.adapters._keras_embedding import (
    joined,
    look_up,
    stored,
    warn_of_pad,
    without,
)
from pretrained_embed.arrays import AnyArray, BoolArray
from pretrained_embed.errors import OptionError, ShapeError

Tensor = Any  # of any backend

_BLOCK = 64  # how many rows of the mask are counted at a time


class OnlyOfOneTableError(OptionError, NotImplementedError):
    """A feature that a layer of two tables lacks; ``Model.quantize`` warns about it."""


@keras.saving.register_keras_serializable(package="pretrained_embed")
class SplitEmbedding(keras.layers.Layer):
    """An embedding of which some rows train; the others never move.

    It is used like ``keras.layers.Embedding``. `embedding` makes it if some rows are
    frozen. The trained rows are one variable; the others are in a second one that no
    optimizer sees, so weight decay, moments and averages of weights do not change them.

    * ``layer.get_weights()`` is ``[table, trains]``: the whole table (rows, dim), and
      bool (rows,), true for the rows that train. ``layer.set_weights`` takes both, or
      ``[table]`` alone. ``layer.weights`` and ``model.get_weights()`` have variables
      instead: ``trained``, ``frozen`` and ``trains``; ``trained[0]`` is not row 0.
    * ``layer.embeddings`` is the whole table, joined; gradients flow through it,
      so a tied output is ``ops.matmul(hidden, ops.transpose(layer.embeddings))``. To
      write to it, use ``set_weights``.
    * ``layer.unfreeze()`` lets all rows but the pad row train. ``layer.trainable =
      True`` does not, and warns once.
    * ``layer.to_embedding()`` is a plain layer with a copy of the table, which can be
      quantised, adapted by LoRA, and loaded without this package; `export` puts such
      layers into a copy of a model.

    A model with it is saved as usual; before loading it, ``import
    pretrained_embed.adapters.keras``. Weights are loaded from files of this layer, of
    earlier releases and of plain layers. The values come from the file; the rows that
    train are those of the layer, with a ``UserWarning`` if the file has others. A layer
    made from a config returns NaN until it has its weights.

    Parameters
    ----------
    input_dim, output_dim : int
        Rows and dim.
    trained_rows : int
        How many rows train; their mask is among the weights.
    pad_id : int, optional
        The row that stays zero; -1 if there is none, ``None`` in a layer of an earlier
        release, which did not save it.
    mask_zero : bool, default False
        As in ``keras.layers.Embedding``.
    embeddings_regularizer, embeddings_constraint : optional
        As there; of the rows that train.
    unfrozen : bool, default False
        Whether `unfreeze` was called.
    **options
        Those of every Keras layer: name, trainable, dtype, activity_regularizer.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        trained_rows: int,
        pad_id: int | None = None,
        mask_zero: bool = False,
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        unfrozen: bool = False,
        **options: Any,
    ):
        super().__init__(**options)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.trained_rows = trained_rows
        # Only the pad id is ever masked, so it is known even for an earlier release.
        self.pad_id = 0 if pad_id is None and mask_zero else pad_id
        self.mask_zero = mask_zero
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = keras.constraints.get(embeddings_constraint)
        self.unfrozen = unfrozen
        self.supports_masking = mask_zero
        self.autocast = False  # ids must not be cast to a floating dtype
        self._warned = False

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; values come from `embedding` or from a file."""
        if self.built:
            return
        nan = keras.initializers.Constant(float("nan"))
        self.trained = self.add_weight(
            (self.trained_rows, self.output_dim),
            nan,
            name="trained",
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self.frozen = self.add_weight(
            (self.input_dim - self.trained_rows, self.output_dim),
            nan,
            name="frozen",
        )
        # Set afterwards: TensorFlow never lets a variable train that was made not to,
        # and `unfreeze` may be called later.
        self.frozen.trainable = self.unfrozen and self.trainable
        # Bools, because an average of positions would be the position of another row.
        self.trains = self.add_weight(
            (self.input_dim,),
            lambda shape, dtype=None: ops.arange(self.input_dim) < self.trained_rows,
            "bool",
            name="trains",
            trainable=False,
        )
        self.trains.__class__ = MaskVariable
        self.trains.trained_rows = self.trained_rows

    def call(self, inputs: Tensor) -> Tensor:
        """Return the rows of ``inputs``, ids of any shape, in the compute dtype."""
        return look_up(
            inputs, lambda ids: ops.cast(self._take(ids), self.compute_dtype)
        )

    def _take(self, ids: Tensor) -> Tensor:
        ids = ops.where(ids < 0, ids + self.input_dim, ids)  # as in the plain layer
        trains = _at(self.trains, ids)
        before = self._trained_before(ids)
        trained = ops.take(self.trained, ops.where(trains, before, 0), axis=0)
        frozen = ops.take(self.frozen, ops.where(trains, 0, ids - before), axis=0)
        rows = ops.where(ops.expand_dims(trains, -1), trained, frozen)
        if self.unfrozen and self.pad_id is not None and self.pad_id >= 0:
            rows = without(rows, ids, self.pad_id)
        return rows

    def _trained_before(self, ids: Tensor) -> Tensor:
        """Return how many trained rows come before those of ``ids``.

        That is the position of a row in its table. It is counted by blocks of the mask,
        since a cumulative sum over all rows takes tens of milliseconds on TensorFlow.
        """
        spare = -self.input_dim % _BLOCK
        mask = ops.pad(ops.cast(self.trains, "int8"), [[0, spare]])
        mask = ops.reshape(mask, (-1, _BLOCK))
        counts = ops.sum(ops.cast(mask, ids.dtype), axis=1)
        block, place = ids // _BLOCK, ids % _BLOCK
        earlier = ops.arange(_BLOCK, dtype=ids.dtype) < ops.expand_dims(place, -1)
        inside = ops.where(earlier, ops.take(mask, block, axis=0), 0)
        return _at(ops.cumsum(counts) - counts, block) + ops.sum(
            ops.cast(inside, ids.dtype), axis=-1
        )

    @property
    def embeddings(self) -> Tensor:
        """The whole table (input_dim, output_dim), joined."""
        return self._take(ops.arange(self.input_dim, dtype="int32"))

    @property
    def trainable(self) -> bool:
        """Whether the rows that are not frozen train."""
        return bool(self._trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)
        if self.built:
            self.frozen.trainable = value and self.unfrozen
        if value and not self.unfrozen and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.input_dim - self.trained_rows} rows of the layer "
                f"{self.name!r} stay frozen: call its unfreeze() to let all rows train",
                UserWarning,
                stacklevel=2,
            )

    def unfreeze(self) -> None:
        """Let all rows train, except the pad row.

        As after any change of ``trainable``, call ``model.compile`` after it.

        Raises `OptionError` if the pad row of a layer of an earlier release is unknown:
        set ``layer.pad_id`` first, to -1 if there is none.
        """
        if self.pad_id is None:
            raise OptionError(
                f"the layer {self.name!r} was saved by an earlier release, which did "
                "not note its pad row: set layer.pad_id to its id, or to -1 if there "
                "is none, and then call unfreeze()"
            )
        self.unfrozen = True
        self.frozen.trainable = self.trainable

    def get_weights(self) -> list[AnyArray]:
        """Return the whole table (rows, dim), and which rows train, bool (rows,)."""
        return [ops.convert_to_numpy(w) for w in (self.embeddings, self.trains)]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the table, and if given, which rows train.

        Raises `OptionError` for other values, and for a mask with another number of
        trained rows, and `ShapeError` for a table or a mask of another shape.
        """
        if len(weights) not in (1, 2):
            raise OptionError(
                f"{len(weights)} arrays for the layer {self.name!r}, which takes "
                "[table] or [table, trains], as its get_weights() gives them; "
                "model.set_weights takes what model.get_weights() gives"
            )
        self._put(np.asarray(weights[0]), *map(np.asarray, weights[1:]))

    def load_own_variables(self, store: Any) -> None:
        """Load what this layer, the plain one or one of an earlier release saved."""
        store = stored(store, self)
        if len(store) == 1:
            self._put(store["0"])
        elif len(store) == 3:
            self._load(*joined(store))
        else:
            super().load_own_variables(store)  # which reports the missing weights

    def _load(self, table: AnyArray, trains: BoolArray) -> None:
        if not self._is_filled():
            self._put(table, trains)
            return
        others = trains != ops.convert_to_numpy(self.trains)
        self._put(table)
        if others.any():
            warnings.warn(
                f"{others.sum()} of {self.input_dim} rows of the layer {self.name!r} "
                "train where the file has them frozen, or the other way round: the "
                "values are those of the file, and which rows train is up to the layer",
                UserWarning,
                stacklevel=2,
            )

    def _is_filled(self) -> bool:
        """Return whether the layer has vectors, and so knows which rows train."""
        return not np.isnan(ops.convert_to_numpy(self.frozen[:1])).any()

    def _put(self, table: AnyArray, trains: Any = None) -> None:
        if table.shape != (self.input_dim, self.output_dim):
            raise ShapeError(
                f"the table for the layer {self.name!r} has shape {table.shape}, not "
                f"{(self.input_dim, self.output_dim)}"
            )
        if trains is None:
            if not self._is_filled():
                raise OptionError(
                    f"the layer {self.name!r} was made from a config, so it does not "
                    "know which rows train: set [table, trains]"
                )
            trains = ops.convert_to_numpy(self.trains)
        trains = self._checked(trains)
        if self.pad_id is not None and self.pad_id >= 0 and table[self.pad_id].any():
            table = table.copy()
            table[self.pad_id] = 0
            warn_of_pad(self, self.pad_id)
        self.trained.assign(table[trains])
        self.frozen.assign(table[~trains])
        self.trains.assign(trains)

    def _checked(self, trains: AnyArray) -> BoolArray:
        if trains.shape != (self.input_dim,):
            raise ShapeError(
                f"the mask for the layer {self.name!r} has shape {trains.shape}, not "
                f"{(self.input_dim,)}"
            )
        return mask_of(trains, self.trained_rows)

    def enable_lora(self, *args: Any, **options: Any) -> None:
        """Raise `OptionError`: see `to_embedding`."""
        raise self._only_of_one_table("enable_lora")

    def quantize(self, *args: Any, **options: Any) -> None:
        """Raise `OptionError`, which ``model.quantize`` makes a warning."""
        raise self._only_of_one_table("quantize")

    def _only_of_one_table(self, method: str) -> OptionError:
        return OnlyOfOneTableError(
            f"{method} needs one table, and the layer {self.name!r} has two, because "
            "rows are frozen one by one: put its to_embedding() in its place, or use "
            "the model that pretrained_embed.adapters.keras.export(model) gives"
        )

    def to_embedding(self) -> keras.layers.Embedding:
        """Return a plain, built layer with a copy of the whole table."""
        layer = keras.layers.Embedding(
            self.input_dim,
            self.output_dim,
            mask_zero=self.mask_zero,
            trainable=self.trainable,
            dtype=self.dtype_policy,
        )
        layer.build()
        layer.embeddings.assign(self.embeddings)
        return layer

    def compute_mask(self, inputs: Tensor, mask: Tensor = None) -> Tensor:
        """Return where ``inputs`` is not 0, or ``None`` without ``mask_zero``."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the output for that of the input."""
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        """Return the sizes; the tables are weights."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "trained_rows": self.trained_rows,
            "pad_id": self.pad_id,
            "mask_zero": self.mask_zero,
            "embeddings_regularizer": keras.regularizers.serialize(
                self.embeddings_regularizer
            ),
            "embeddings_constraint": keras.constraints.serialize(
                self.embeddings_constraint
            ),
            "activity_regularizer": keras.regularizers.serialize(
                self.activity_regularizer
            ),
            "unfrozen": self.unfrozen,
        }


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Return ``values`` (n,) at ``places`` (...), so that ONNX can express it."""
    return ops.squeeze(ops.take(ops.expand_dims(values, -1), places, axis=0), -1)


class MaskVariable(keras.Variable):
    """The mask of trained rows, bool (rows,), whatever form of it is assigned.

    ``model.set_weights`` assigns the values of an earlier ``model.get_weights()``: a
    mask, an average of masks, or the positions of rows in an earlier release.
    """

    trained_rows: int

    def assign(self, value: Any) -> Any:
        """Set the mask.

        Raises `OptionError` for another value, and for another number of trained rows.
        """
        kind = keras.backend.standardize_dtype(value.dtype)
        # Values in a graph are bools already, and cannot be read.
        if kind != "bool" or isinstance(value, np.ndarray):
            value = mask_of(ops.convert_to_numpy(value), self.trained_rows)
        return super().assign(value)


def mask_of(given: AnyArray, trained_rows: int) -> BoolArray:
    """Return the mask (rows,) for a value in any of its forms.

    Earlier releases kept the position of each row, int32: ``j >= 0`` for row ``j`` of
    those that train, ``~k < 0`` for row ``k`` of the others.

    Raises `OptionError` for another value, and for another number of trained rows.
    """
    mask: BoolArray = given != 0
    if given.dtype.kind == "i" and (given < 0).any():
        mask = given >= 0
        places = np.where(mask, np.cumsum(mask) - 1, ~(np.cumsum(~mask) - 1))
        if (given != places).any():
            raise _no_mask(given, "places of rows in another order than that of ids")
    elif given.dtype != np.bool_ and not ((given > -0.5) & (given < 1.5)).all():
        raise _no_mask(given, "neither a mask nor an average of masks")
    if mask.sum() != trained_rows:
        raise OptionError(
            f"{mask.sum()} rows train by this mask, but {trained_rows} in the layer: "
            "make another layer with embedding(matrix, trainable=mask)"
        )
    return mask


def _no_mask(given: AnyArray, what: str) -> OptionError:
    return OptionError(
        f"the weights that say which rows train are {what}, {given.dtype} from "
        f"{given.min()} to {given.max()}: load a file that was saved, or set the table "
        "with layer.set_weights([table])"
    )
