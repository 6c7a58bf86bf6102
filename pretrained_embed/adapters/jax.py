"""JAX: a matrix as an initialiser for any library, and as a Flax NNX layer.

Frozen rows are `Frozen` variables, not ``nnx.Param``: gradients and optimisers that
work on parameters, as all do by default, do not see them. The pad row is always one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pretrained_embed.adapters._arguments import checked
from pretrained_embed.adapters._missing import missing
from pretrained_embed.adapters._precision import check_float16
from pretrained_embed.adapters._rows import Rows, Split, chosen, fixed, split
from pretrained_embed.adapters._shapes import check_shape
from pretrained_embed.adapters._trained import not_a_layer, trained_matrix
from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    import jax
    import jax.numpy as jnp
    from flax import nnx
except ImportError as error:
    raise missing("JAX with Flax", "jax") from error

__all__ = ["Frozen", "SplitEmbed", "embedding", "from_layer", "pretrained"]

Initializer = Callable[..., jax.Array]  # (key, shape, dtype)


@checked
def pretrained(matrix: EmbeddingMatrix) -> Initializer:
    """Return an initialiser ``(key, shape, dtype=jnp.float32)``; it ignores the key.

    For ``nnx.Embed(..., embedding_init=)``, ``flax.linen.Embed(...,
    embedding_init=)``, or to call: ``equinox.nn.Embedding(weight=pretrained(matrix)(
    None, matrix.shape))``. A table made so trains its pad row; `embedding` makes one
    that does not.

    The initialiser raises `ShapeError` if the shape is not that of the matrix, and
    `OptionError` if the dtype cannot hold the values.
    """

    def initializer(
        key: Any, shape: Sequence[int], dtype: Any = jnp.float32
    ) -> jax.Array:
        check_shape(matrix.shape, shape, "the table to initialise")
        return _copy(matrix, dtype)

    return initializer


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    freeze: Rows = False,
    dtype: Any = None,
    param_dtype: Any = jnp.float32,
) -> nnx.Module:
    """Return a Flax NNX layer whose row ``i`` is the vector of token id ``i``.

    ``freeze`` True freezes all rows, ``"found"`` those that came from the source,
    ``"oov"`` the others, a boolean array (rows,) those where it is true, a list of
    tokens theirs. The pad row never trains. Where a part of the rows trains the layer
    is a `SplitEmbed`, else an ``nnx.Embed``, whose table is `Frozen` if none does.
    ``dtype`` is that of the output, ``param_dtype`` that of the table.

    Raises `OptionError` for a choice of rows that means nothing or a dtype that cannot
    hold the values, and `ShapeError` for a mask of another length.
    """
    if dtype is not None:
        _check_dtype(matrix, dtype)
    frozen = chosen(matrix, freeze, "freeze") | fixed(matrix)
    table = _copy(matrix, param_dtype)
    if frozen.any() and not frozen.all():
        return SplitEmbed(table, split(frozen), dtype=dtype)
    layer = _embed(table, dtype)
    if frozen.all():
        layer.embedding = Frozen(table)
    return layer


@checked
def from_layer(
    layer: Any, vocabulary: Vocabulary, *, started_from: EmbeddingMatrix | None = None
) -> EmbeddingMatrix:
    """Return the table of a trained layer as a matrix of its own, float32.

    ``layer`` is an ``nnx.Embed``, a `SplitEmbed`, an ``equinox.nn.Embedding``, or the
    array itself, which Linen keeps as ``params[...]["embedding"]``. With
    ``started_from``, the matrix the layer was made of, the result keeps its row
    ledger, and its provenance in its own.

    Raises `OptionError` for anything else, `ShapeError` if layer, vocabulary and
    matrix differ in shape, and `VocabularyError` if the pad row was trained away from
    zero, which a plain layer does.
    """
    table = getattr(layer, "embedding", getattr(layer, "weight", layer))
    if not isinstance(table, jax.Array | np.ndarray | nnx.Variable):
        raise not_a_layer(layer, "an embedding layer or a table")
    array = np.array(jnp.asarray(table[...], jnp.float32))
    return trained_matrix(array, vocabulary, layer, started_from)


class Frozen(nnx.Variable):
    """A part of a layer's state that is saved with it and never trained."""


class SplitEmbed(nnx.Module):
    """An embedding that trains a part of its rows; the others never move.

    Used like the ``nnx.Embed`` it stands for, made by `embedding`. `to_embedding`
    gives one plain table, to serve or to go on with.
    """

    def __init__(self, table: jax.Array, parts: Split, *, dtype: Any = None):
        self.num_embeddings, self.features = table.shape
        self.dtype = dtype
        self.trained = nnx.Param(table[parts.trained])
        self.frozen = Frozen(table[parts.frozen])
        self.slots = Frozen(jnp.array(parts.slots))

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Return the rows of ``inputs``, ids of any shape, along a new last axis."""
        if not jnp.issubdtype(inputs.dtype, jnp.integer):
            raise OptionError(f"ids are integers, not {inputs.dtype}")
        return self._cast(self._take(inputs))

    def _take(self, ids: jax.Array) -> jax.Array:
        # An id out of range has the lowest slot there is, and so a row of NaN, as in
        # nnx.Embed.
        slots = jnp.take(self.slots[...], ids, axis=0)
        trained = jnp.take(self.trained[...], jnp.maximum(slots, 0), axis=0)
        frozen = jnp.take(self.frozen[...], jnp.maximum(~slots, 0), axis=0)
        return jnp.where((slots >= 0)[..., None], trained, frozen)

    def _cast(self, array: jax.Array) -> jax.Array:
        return array if self.dtype is None else array.astype(self.dtype)

    @property
    def embedding(self) -> jax.Array:
        """The whole table (num_embeddings, features), put together."""
        return self._take(jnp.arange(self.num_embeddings))

    def attend(self, query: jax.Array) -> jax.Array:
        """Return the inner products of ``query`` (..., features) with all rows."""
        return self._cast(query) @ self._cast(self.embedding).T

    def to_embedding(self) -> nnx.Embed:
        """Return a plain layer with a copy of the whole table."""
        return _embed(self.embedding, self.dtype)


def _embed(table: jax.Array, dtype: Any) -> nnx.Embed:
    return nnx.Embed(
        *table.shape,
        dtype=dtype,
        param_dtype=table.dtype,
        embedding_init=lambda key, shape, dtype: table,
        rngs=nnx.Rngs(0),  # asked for, not used
    )


def _copy(matrix: EmbeddingMatrix, dtype: Any) -> jax.Array:
    _check_dtype(matrix, dtype)
    return jnp.array(matrix.vectors, dtype)


def _check_dtype(matrix: EmbeddingMatrix, dtype: Any) -> None:
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        raise OptionError(
            f"dtype is {dtype!r}: give one of JAX or numpy, such as jnp.float32"
        ) from None
    if not jnp.issubdtype(dtype, jnp.floating):
        raise OptionError(f"dtype {dtype} cannot hold vectors: give a floating one")
    if dtype == jnp.float16:
        check_float16(matrix)
