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

from pretrained_embed.adapters._arguments import checked
from pretrained_embed.adapters._missing import missing
from pretrained_embed.adapters._precision import check_float16
from pretrained_embed.adapters._rows import Rows, chosen, fixed, split
from pretrained_embed.adapters._shapes import check_shape
from pretrained_embed.adapters._trained import not_a_layer, trained_matrix
from pretrained_embed.arrays import AnyArray
from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    import keras
    from keras import ops

    from pretrained_embed.adapters._keras_split import SplitEmbedding
except ImportError as error:
    raise missing("Keras 3 with one of its backends", "keras") from error

__all__ = ["Pretrained", "SplitEmbedding", "embedding", "from_layer"]

Tensor = Any  # of whichever backend


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    trainable: Rows = True,
    mask_zero: bool = False,
    name: str | None = None,
    dtype: Any = None,
) -> keras.layers.Layer:
    """Return a built layer whose row ``i`` is the vector of token id ``i``.

    ``trainable`` True trains all rows, ``"found"`` those that came from the source,
    ``"oov"`` the others, a boolean array (rows,) those where it is true, a list of
    tokens theirs. The pad row never trains, even if ``layer.trainable`` is set later.
    The layer is a `SplitEmbedding`, or a ``keras.layers.Embedding`` where no row has
    to be kept from training. A clone has no vectors until it is given weights.
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
    parts = split(frozen if trains else never)  # layer.trainable may be set later
    options: dict[str, Any] = {"mask_zero": mask_zero, "name": name, "dtype": dtype}

    vectors = matrix.vectors
    tables: list[AnyArray]
    if len(parts.trained) and len(parts.frozen):
        layer = SplitEmbedding(
            *matrix.shape, trained_rows=len(parts.trained), **options
        )
        tables = [vectors[parts.trained], vectors[parts.frozen], parts.slots]
    else:
        layer = keras.layers.Embedding(*matrix.shape, **options)
        tables = [vectors.copy()]  # JAX takes over an array that suits it
    if "float16" in (layer.variable_dtype, layer.compute_dtype):
        check_float16(matrix)
    layer.build()
    for variable, table in zip(layer.variables, tables, strict=True):
        variable.assign(table)
    layer.trainable = trains
    return layer


@checked
def from_layer(
    layer: keras.layers.Layer,
    vocabulary: Vocabulary,
    *,
    started_from: EmbeddingMatrix | None = None,
) -> EmbeddingMatrix:
    """Return the table of a built ``Embedding`` or `SplitEmbedding`, as float32.

    With ``started_from``, the matrix the layer was made of, the result keeps its row
    ledger, and its provenance in its own.

    Raises `OptionError` for another layer or one that is not built, `ShapeError` if
    layer, vocabulary and matrix differ in shape, and `VocabularyError` if the pad row
    was trained away from zero, which a plain layer does.
    """
    if not getattr(layer, "built", False) or not hasattr(layer, "embeddings"):
        raise not_a_layer(layer, "an embedding layer that is built")
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

    @checked
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


def _check_mask_zero(matrix: EmbeddingMatrix, mask_zero: bool) -> None:
    if not mask_zero or matrix.pad_id == 0:
        return
    pad = "there is none" if matrix.pad_id is None else f"its id is {matrix.pad_id}"
    raise OptionError(
        f"mask_zero=True masks id 0, which is not that of the pad token here ({pad}): "
        "make the vocabulary with its pad token at row 0, or leave mask_zero out and "
        "give the layers that follow a mask of your own (ids != the id to mask)"
    )
