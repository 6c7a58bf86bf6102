"""Keras' layer of two tables: one that trains, one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any  # of whichever backend


@keras.saving.register_keras_serializable(package="pretrained_embed")
class SplitEmbedding(keras.layers.Layer):
    """An embedding that trains ``trained_rows`` of its rows; the others never move.

    Used like the ``keras.layers.Embedding`` it stands for, made by `embedding`. Its
    three weights are the trained rows, the frozen rows, and where each row is kept.
    One made from a config gives NaN until it has its weights.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        trained_rows: int,
        mask_zero: bool = False,
        **options: Any,  # of every Keras layer: name, trainable, dtype
    ):
        super().__init__(**options)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.trained_rows = trained_rows
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False  # ids are not to be cast to a floating dtype

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; values come from `embedding` or from a file."""
        frozen_rows = self.input_dim - self.trained_rows
        nan = keras.initializers.Constant(float("nan"))
        self.trained = self.add_weight(
            (self.trained_rows, self.output_dim), nan, name="trained"
        )
        self.frozen = self.add_weight(
            (frozen_rows, self.output_dim), nan, name="frozen", trainable=False
        )
        self.slots = self.add_weight(  # see _rows.Split
            (self.input_dim,), "zeros", "int32", name="slots", trainable=False
        )

    def call(self, inputs: Tensor) -> Tensor:
        """Return the rows of ``inputs``, ids of any shape, in the compute dtype."""
        if keras.backend.standardize_dtype(inputs.dtype) not in ("int32", "int64"):
            inputs = ops.cast(inputs, "int32")
        return ops.cast(self._take(inputs), self.compute_dtype)

    def _take(self, ids: Tensor) -> Tensor:
        slots = ops.take(self.slots, ids, axis=0)
        trained = ops.take(self.trained, ops.maximum(slots, 0), axis=0)
        frozen = ops.take(self.frozen, ops.maximum(-1 - slots, 0), axis=0)
        return ops.where(ops.expand_dims(slots >= 0, -1), trained, frozen)

    @property
    def embeddings(self) -> Tensor:
        """The whole table (input_dim, output_dim), put together."""
        return self._take(ops.arange(self.input_dim, dtype="int32"))

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
            "mask_zero": self.mask_zero,
        }
