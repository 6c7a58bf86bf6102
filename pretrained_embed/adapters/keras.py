"""Keras 3, on every backend: a matrix as a layer or as an initialiser.

The matrix is never in a config, which is JSON in the saved file; the table is among the
weights. So a loaded model needs no matrix.  Keras has no ``padding_idx``: every row of
a trainable table gets a gradient. So `Embedding` returns a constant zero for the pad
id, which has no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np

from pretrained_embed.adapters._arguments import check_float16, checked, missing
from pretrained_embed.adapters._tables import (
    Rows,
    check_rows,
    chosen,
    fixed,
    not_a_layer,
    rows_missing,
    trained_matrix,
)
from pretrained_embed.arrays import AnyArray, Float32Array
from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    import keras
    from keras import ops

    from pretrained_embed.adapters._keras_embedding import Embedding
    from pretrained_embed.adapters._keras_split import SplitEmbedding
except ImportError as error:
    raise missing("Keras 3 with one of its backends", "keras") from error

__all__ = [
    "Embedding",
    "Pretrained",
    "SplitEmbedding",
    "embedding",
    "export",
    "from_layer",
]

Tensor = Any  # of any backend


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    trainable: Rows = True,
    mask_zero: bool = False,
    multiple_of: int = 1,
    embeddings_regularizer: Any = None,
    embeddings_constraint: Any = None,
    activity_regularizer: Any = None,
    name: str | None = None,
    dtype: Any = None,
) -> keras.layers.Layer:
    """Return a built layer whose row ``i`` is the vector of token id ``i``.

    If all rows train or none, it is a ``keras.layers.Embedding`` with one weight (rows,
    dim), and works like that layer. Its pad row stays zero, which needs the subclass
    `Embedding`. With ``trainable=False`` it is saved as the plain layer, so that a
    model with it loads without this package; to train it after that, give
    ``trainable=True`` here and set ``layer.trainable = False``. If only some rows are
    frozen, it is a `SplitEmbedding`, which keeps them in a second table; see there for
    its weights.

    ``import pretrained_embed.adapters.keras`` before a saved model with a trainable
    layer is loaded, or save the result of `export`.

    A clone has no vectors until it is given weights.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors, which are copied.
    trainable : bool, "found", "oov", bool array (rows,) or list of str, default True
        Which rows train: all, none, those that came from the source, the others, those
        where the array is true, or those of the tokens. The pad row never does.
    mask_zero : bool, default False
        Mask id 0, which must be the pad id.
    multiple_of : int, default 1
        Rows of zeros are added at the end until the number of rows is a multiple.
    embeddings_regularizer, embeddings_constraint, activity_regularizer : optional
        As in ``keras.layers.Embedding``. If some rows are frozen, the first two are for
        the trained rows.
    name : str, optional
        The name of the layer.
    dtype : dtype or keras.DTypePolicy, optional
        By default the policy of Keras. For a matrix of int8, "int8_from_float32" makes
        Keras' own quantised layer with the integers of the matrix; it does not train,
        and needs ``trainable=False``.

    Returns
    -------
    keras.layers.Embedding or SplitEmbedding
        The built layer.

    Raises
    ------
    OptionError
        For an unknown choice of rows, a ``mask_zero`` that would mask a token, a
        ``multiple_of`` that is not positive, or a ``dtype`` that cannot hold the
        values.
    ShapeError
        For a mask of another length.

    Examples
    --------
    >>> layer = pe_keras.embedding(matrix, trainable=False, mask_zero=True)
    >>> model = keras.Sequential([layer, keras.layers.LSTM(64), keras.layers.Dense(1)])
    """
    _check_mask_zero(matrix, mask_zero)
    if _quantizes(dtype):
        return _quantized(matrix, trainable, mask_zero, multiple_of, name, dtype)
    more = rows_missing(len(matrix.vectors), multiple_of)
    vectors = np.pad(matrix.vectors, ((0, more), (0, 0)))
    frozen = ~chosen(matrix, trainable, "trainable") | fixed(matrix)
    options: dict[str, Any] = {
        "mask_zero": mask_zero,
        "embeddings_regularizer": embeddings_regularizer,
        "embeddings_constraint": embeddings_constraint,
        "activity_regularizer": activity_regularizer,
        "name": name,
        "dtype": dtype,
    }
    pad_id = -1 if matrix.pad_id is None else matrix.pad_id
    weights: list[AnyArray] = [vectors]
    if not frozen.all() and (frozen & ~fixed(matrix)).any():
        trains = np.zeros(len(vectors), np.bool_)
        trains[: len(frozen)] = ~frozen
        options.update(trained_rows=int(trains.sum()), pad_id=pad_id)
        layer = SplitEmbedding(*vectors.shape, **options)
        weights.append(trains)
    else:
        options["trainable"] = not frozen.all()
        if pad_id >= 0:
            layer = Embedding(
                *vectors.shape, pad_id=pad_id, plain_form=bool(frozen.all()), **options
            )
        else:
            layer = keras.layers.Embedding(*vectors.shape, **options)
    if "float16" in (layer.variable_dtype, layer.compute_dtype):
        check_float16(matrix)
    layer.build()
    layer.set_weights(weights)
    return layer


def _quantizes(dtype: Any) -> bool:
    """Return whether a dtype is a quantising policy; Keras reports invalid ones."""
    if isinstance(dtype, str) and "_from_" not in dtype:
        return False
    if not isinstance(dtype, str | keras.DTypePolicy):
        return False
    return keras.dtype_policies.get(dtype).quantization_mode is not None


def _quantized(
    matrix: EmbeddingMatrix,
    trainable: Rows,
    mask_zero: bool,
    multiple_of: int,
    name: str | None,
    dtype: Any,
) -> keras.layers.Layer:
    """Return Keras' quantised layer with the integers of a matrix of int8.

    Keras divides by the largest integer over the largest absolute value, which is the
    reciprocal of our scale.
    """
    mode = keras.dtype_policies.get(dtype).quantization_mode
    if mode != "int8" or matrix.dtype != "int8":
        raise OptionError(
            f"dtype={dtype!r} quantises as {mode}, and the matrix is of "
            f"{matrix.dtype}: Keras' int8 is that of matrix.astype('int8'); others are "
            "made by layer.quantize()"
        )
    if not isinstance(trainable, bool) or trainable:
        raise OptionError("Keras does not train rows of int8: give trainable=False")
    stored = matrix.stored
    more = rows_missing(len(matrix), multiple_of)
    scales = np.asarray(stored.scales, np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        factors = np.where(scales > 0, 1 / scales, np.float32(1))
    if not np.isfinite(factors).all():
        raise OptionError(
            "a row of this matrix has numbers too small for Keras' int8, which keeps "
            "one over its scale: leave dtype= out"
        )
    layer = keras.layers.Embedding(
        len(matrix) + more, matrix.dim, mask_zero=mask_zero, name=name, dtype=dtype
    )
    layer.build()
    values = np.pad(stored.checked(), ((0, more), (0, 0)))
    layer.set_weights([values, np.pad(factors, (0, more), constant_values=1)])
    layer.trainable = False
    return layer


@checked
def from_layer(
    layer: keras.layers.Layer,
    vocabulary: Vocabulary,
    *,
    started_from: EmbeddingMatrix | None = None,
    rows: int | None = None,
) -> EmbeddingMatrix:
    """Return the table of a built ``Embedding`` or `SplitEmbedding`, as float32.

    It includes LoRA; a quantised table is dequantised as in the layer.

    Parameters
    ----------
    layer : keras.layers.Layer
        A layer of `embedding`, or a ``keras.layers.Embedding``.
    vocabulary : Vocabulary
        The tokens of the rows.
    started_from : EmbeddingMatrix, optional
        The matrix that the layer was made of: the result has its ledger, and its
        provenance inside the new one.
    rows : int, optional
        ``rows=len(vocab)`` takes the first rows of a longer table, such as one with
        ``multiple_of=``.

    Returns
    -------
    EmbeddingMatrix
        The trained vectors.

    Raises
    ------
    OptionError
        For another layer or one that is not built.
    ShapeError
        If layer, vocabulary and matrix differ in shape.
    VocabularyError
        If training changed the pad row from zero, as a plain layer does.

    Examples
    --------
    >>> pe_keras.from_layer(layer, vocab, started_from=matrix).save("trained.npz")
    """
    if not getattr(layer, "built", False) or not hasattr(layer, "embeddings"):
        raise not_a_layer(layer, "an embedding layer that is built")
    return trained_matrix(_table(layer)[:rows], vocabulary, layer, started_from)


def _table(layer: keras.layers.Layer) -> Float32Array:
    if isinstance(layer, Embedding | SplitEmbedding) and not _is_changed(layer):
        table = layer.get_weights()[0]
    elif _is_changed(layer):
        table = layer(np.arange(layer.input_dim, dtype=np.int32))
    else:
        table = layer.embeddings
    return np.array(ops.convert_to_numpy(ops.cast(table, "float32")))


def _is_changed(layer: keras.layers.Layer) -> bool:
    """Return whether the weights of a layer differ from its table."""
    quantised = getattr(layer, "quantization_mode", None) is not None
    return quantised or getattr(layer, "lora_enabled", False)


def export(model: keras.Model) -> keras.Model:
    """Return a model with plain Keras layers instead of those of this package.

    It is for saving and serving without this package, and has the same output as
    ``model``. The layers that replace `Embedding`, `SplitEmbedding` and layers
    initialised by `Pretrained` have copies of the weights; all other layers are shared
    with ``model``, so training one changes the other. It is not compiled.

    Parameters
    ----------
    model : keras.Model
        A sequential or functional model, which may contain such models.

    Returns
    -------
    keras.Model
        The model with plain layers.

    Raises
    ------
    OptionError
        For a model of another kind, or for such a layer inside a custom layer, where
        Keras does not find it: replace it there by ``to_embedding()`` or
        ``keras.layers.Embedding``.

    Examples
    --------
    >>> pe_keras.export(model).save("model.keras")
    """
    if not isinstance(model, keras.Sequential | keras.Function):
        raise OptionError(
            f"{type(model).__name__} is neither a sequential nor a functional model, "
            f"so its layers cannot be replaced: {_IN_ITS_CODE}"
        )
    plain = keras.models.clone_model(model, clone_function=_plain, recursive=True)
    for layer in plain._flatten_layers():
        if _is_ours(layer):
            raise OptionError(
                f"the layer {layer.name!r} is inside another layer: {_IN_ITS_CODE}"
            )
    return plain


_IN_ITS_CODE = (
    "in its code, make the layer of pretrained_embed a plain one, with to_embedding() "
    "or keras.layers.Embedding, and load the weights of this model into it"
)


def _is_ours(layer: keras.layers.Layer) -> bool:
    initializer = getattr(layer, "embeddings_initializer", None)
    return layer.__class__ in (Embedding, SplitEmbedding) or isinstance(
        initializer, Pretrained
    )


def _plain(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return a plain layer for one of this package, and any other unchanged."""
    if not _is_ours(layer):
        return layer
    names = signature(keras.layers.Embedding).parameters.keys() - {"kwargs"}
    config = {
        name: value
        for name, value in layer.get_config().items()
        if name in names
        or name in ("name", "trainable", "dtype", "activity_regularizer")
    }
    config.pop("embeddings_initializer", None)  # it may be `Pretrained`
    plain = keras.layers.Embedding.from_config(config)
    plain.build()
    weights = layer.get_weights()
    plain.set_weights(weights[:1] if isinstance(layer, SplitEmbedding) else weights)
    return plain


@keras.saving.register_keras_serializable(package="pretrained_embed")
class Pretrained(keras.initializers.Initializer):
    """The vectors of a matrix as ``embeddings_initializer=``.

    A plain ``keras.layers.Embedding`` trains its pad row; a layer of `embedding` does
    not. The config does not have the matrix: an initialiser from a config returns NaN,
    until weights are loaded or set. ``import pretrained_embed.adapters.keras`` before a
    model with it is loaded, or save the result of `export`.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors; ``None`` only in an initialiser from a config.
    rows : int, optional
        ``rows=len(vocab)`` allows a longer table: its first rows are filled, and the
        others are zeros.

    Examples
    --------
    >>> keras.layers.Embedding(
    ...     *matrix.shape, embeddings_initializer=pe_keras.Pretrained(matrix)
    ... )
    """

    @checked
    def __init__(self, matrix: EmbeddingMatrix | None = None, rows: int | None = None):
        self.matrix = matrix
        self.rows = rows

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """Return the vectors as a new tensor of ``shape``.

        Raises `ShapeError` if that is not the shape of the matrix or ``rows`` is not
        its number of rows, and `OptionError` if ``dtype`` cannot hold the values.
        """
        dtype = keras.backend.standardize_dtype(dtype)
        if self.matrix is None:
            return ops.full(shape, float("nan"), dtype)
        check_rows(self.matrix.shape, shape, "the table to initialise", self.rows)
        if dtype == "float16":
            check_float16(self.matrix)
        more = shape[0] - len(self.matrix.vectors)
        vectors = np.pad(self.matrix.vectors, ((0, more), (0, 0)))
        return ops.cast(ops.convert_to_tensor(vectors), dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the config: the number of rows, without the matrix.

        Returns
        -------
        dict
            ``{"rows": rows}``.
        """
        return {"rows": self.rows}


def _check_mask_zero(matrix: EmbeddingMatrix, mask_zero: bool) -> None:
    if not mask_zero or matrix.pad_id == 0:
        return
    pad = "there is none" if matrix.pad_id is None else f"its id is {matrix.pad_id}"
    raise OptionError(
        f"mask_zero=True masks id 0, which is not that of the pad token here ({pad}): "
        "make the vocabulary with its pad token at row 0, or leave mask_zero out and "
        "give the layers that follow a mask of your own (ids != the id to mask)"
    )
