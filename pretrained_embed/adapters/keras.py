"""Keras 3, on every backend: a matrix as a layer or as an initialiser.

The matrix is never in a config: a config is JSON inside the saved file, the table
belongs among its weights. So what is loaded from a file needs no matrix.

Keras has no ``padding_idx``: a gradient reaches every row of a trainable table. So
the pad row is kept out of it, in a second table that does not train.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pretrained_embed.adapters._missing import missing
from pretrained_embed.adapters._precision import check_float16
from pretrained_embed.adapters._rows import Rows, chosen, fixed, split
from pretrained_embed.adapters._shapes import check_shape
from pretrained_embed.adapters._trained import trained_matrix
from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    import keras
    from keras import ops
except ImportError as error:
    raise missing("Keras 3 with one of its backends", "keras") from error

__all__ = ["Pretrained", "SplitEmbedding", "embedding", "from_layer"]

Tensor = Any  # of whichever backend


def embedding(
    matrix: EmbeddingMatrix,
    *,
    trainable: Rows = True,
    mask_zero: bool = False,
    name: str | None = None,
    dtype: Any = None,
) -> keras.layers.Layer:
    """Return a built layer whose row ``i`` is the vector of token id ``i``.

    ``trainable`` is True or False for all rows; ``"oov"`` to train those that did not
    come from the source (OOV and special tokens), ``"found"`` to train those that
    did; a boolean array (rows,) to train the rows where it is true; a list of tokens
    to train theirs. The pad row never trains, whatever is set later. The layer is a
    `SplitEmbedding`, or a ``keras.layers.Embedding`` if there are no rows to part.
    ``mask_zero`` masks id 0, so that has to be the pad id. ``dtype`` is a dtype or a
    dtype policy.

    Raises `OptionError` for a choice of rows that means nothing, a ``mask_zero`` that
    would mask a token, or a ``dtype`` that cannot hold the values, and `ShapeError`
    for a mask of another length.
    """
    _check_mask_zero(matrix, mask_zero)
    never = fixed(matrix)
    frozen = ~chosen(matrix, trainable, "trainable") | never
    trains = not frozen.all()
    if not trains:
        frozen = never  # someone may set layer.trainable = True later
    options = {"mask_zero": mask_zero, "trainable": trains, "name": name}
    if frozen.all() or not frozen.any():
        layer = keras.layers.Embedding(*matrix.shape, **options, dtype=dtype)
        tables = [matrix.vectors]
    else:
        parts = split(frozen)
        layer = SplitEmbedding(
            *matrix.shape, trained_rows=len(parts.trained), **options, dtype=dtype
        )
        vectors = matrix.vectors
        tables = [vectors[parts.trained], vectors[parts.frozen], parts.slots]
    if layer.dtype_policy.variable_dtype == "float16":
        check_float16(matrix)
    layer.build()
    for variable, table in zip(layer.variables, tables, strict=True):
        variable.assign(np.array(table))  # some backends keep the array they get
    return layer


def from_layer(
    layer: keras.layers.Layer,
    vocabulary: Vocabulary,
    *,
    started_from: EmbeddingMatrix | None = None,
) -> EmbeddingMatrix:
    """Return the table of a built ``Embedding`` or `SplitEmbedding`, as float32.

    With ``started_from``, the matrix the layer was made of, the result keeps its row
    ledger, and its provenance in its own.

    Raises `ShapeError` if layer, vocabulary and matrix differ in shape.
    """
    table = ops.convert_to_numpy(ops.cast(layer.embeddings, "float32"))
    return trained_matrix(np.array(table), vocabulary, layer, started_from)


@keras.saving.register_keras_serializable(package="pretrained_embed")
class Pretrained(keras.initializers.Initializer):
    """The vectors of a matrix as ``embeddings_initializer=``.

    A plain ``keras.layers.Embedding`` trains its pad row; `embedding` makes one that
    does not. The config does not hold the matrix: an initialiser that comes out of a
    config gives NaN, which a loaded file or ``set_weights`` replaces and nothing
    else hides.
    """

    def __init__(self, matrix: EmbeddingMatrix | None = None):
        self.matrix = matrix

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Return the vectors as a new tensor of ``shape``.

        Raises `ShapeError` if that is not the shape of the matrix, and `OptionError`
        if ``dtype`` cannot hold the values.
        """
        dtype = keras.backend.standardize_dtype(dtype)
        if self.matrix is None:
            return ops.full(shape, float("nan"), dtype)
        check_shape(self.matrix.shape, shape, "the table to initialise")
        if dtype == "float16":
            check_float16(self.matrix)
        return ops.cast(ops.convert_to_tensor(np.array(self.matrix.vectors)), dtype)

    def get_config(self) -> dict[str, Any]:
        """Return an empty config; see the class for what that means."""
        return {}


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


def _check_mask_zero(matrix: EmbeddingMatrix, mask_zero: bool) -> None:
    if not mask_zero or matrix.pad_id == 0:
        return
    what = (
        "there is no pad token"
        if matrix.pad_id is None
        else (f"the pad id is {matrix.pad_id}")
    )
    raise OptionError(
        f"mask_zero=True masks id 0, which is a token of this vocabulary ({what}): "
        "make the vocabulary with its pad token at row 0, or leave mask_zero out and "
        "give the layers that follow a mask of your own (ids != the id to mask)"
    )
