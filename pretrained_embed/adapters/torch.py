"""PyTorch: a matrix as `torch.nn.Embedding`, `torch.nn.EmbeddingBag` or in a tensor,
or spread over processes.

The pad row stays zero: ``padding_idx`` keeps every gradient, dense or sparse, away
from it, so the moments an optimiser keeps for it are zero too, and weight decay
scales a zero.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pretrained_embed.adapters._arguments import checked
from pretrained_embed.adapters._missing import missing
from pretrained_embed.adapters._precision import check_float16
from pretrained_embed.adapters._rows import Rows, chosen, fixed
from pretrained_embed.adapters._shapes import check_shape
from pretrained_embed.adapters._trained import not_a_layer, trained_matrix
from pretrained_embed.errors import OptionError, suggestion
from pretrained_embed.matrix import EmbeddingMatrix, EmbeddingShard
from pretrained_embed.vocabulary import Vocabulary

try:
    import torch
    from torch import Tensor, nn

    from pretrained_embed.adapters._torch_exchange import rank_in
    from pretrained_embed.adapters._torch_sharded import (
        ShardedEmbedding,
        Share,
        agree,
    )
    from pretrained_embed.adapters._torch_split import SplitEmbedding
except ImportError as error:
    raise missing("PyTorch", "torch") from error

__all__ = [
    "ShardedEmbedding",
    "SplitEmbedding",
    "embedding",
    "embedding_bag",
    "from_layer",
    "pretrained_",
    "sharded_embedding",
]

_Mode = Literal["sum", "mean", "max"]


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    freeze: Rows = False,
    sparse: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> nn.Embedding | SplitEmbedding:
    """Return a layer whose row ``i`` is the vector of token id ``i``.

    ``freeze`` is False by default: a layer trains unless told otherwise, like
    ``torch.nn.Embedding(...)`` and unlike ``torch.nn.Embedding.from_pretrained``.
    True freezes all rows, ``"found"`` those that came from the source, ``"oov"`` the
    others, a boolean array (rows,) those where it is true, a list of tokens theirs.
    Where only a part of the rows is frozen the layer is a `SplitEmbedding`, else a
    ``torch.nn.Embedding``. Its ``padding_idx`` is the vocabulary's pad id. ``sparse``
    gives sparse gradients, for SparseAdam and SGD.

    Raises `OptionError` for a choice of rows that means nothing or a ``dtype`` that
    cannot hold the values, and `ShapeError` for a mask of another length.
    """
    vectors = _copy(matrix, dtype, device)
    zero = fixed(matrix)
    frozen = chosen(matrix, freeze, "freeze") | zero
    if frozen.all() or (frozen == zero).all():
        return nn.Embedding.from_pretrained(
            vectors,
            freeze=bool(frozen.all()),
            padding_idx=matrix.pad_id,
            sparse=sparse,
        )
    return SplitEmbedding(vectors, frozen, padding_idx=matrix.pad_id, sparse=sparse)


@checked
def embedding_bag(
    matrix: EmbeddingMatrix,
    *,
    mode: _Mode = "mean",
    freeze: bool = False,
    sparse: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> nn.EmbeddingBag:
    """Return a ``torch.nn.EmbeddingBag`` over the rows of ``matrix``.

    The pad id counts in no bag. A bag cannot freeze a part of its rows: reduce the
    output of `embedding` instead.

    Raises `OptionError` for such a ``freeze``, or a ``dtype`` that cannot hold the
    values.
    """
    if not isinstance(freeze, bool):
        raise OptionError(
            f"freeze={freeze!r}: a bag freezes all rows or none; to freeze some, "
            "reduce the output of embedding(matrix, freeze=...) over its second axis"
        )
    if mode not in get_args(_Mode):
        near = suggestion(str(mode), get_args(_Mode))
        raise OptionError(
            f"mode is {mode!r}; known: {', '.join(get_args(_Mode))}{near}"
        )
    return nn.EmbeddingBag.from_pretrained(
        _copy(matrix, dtype, device),
        freeze=freeze,
        mode=mode,
        sparse=sparse,
        padding_idx=matrix.pad_id,
    )


@checked
def sharded_embedding(
    shard: EmbeddingShard,
    *,
    group: Any = None,
    freeze: bool = False,
    sparse: bool = False,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> ShardedEmbedding:
    """Return a layer of which this process holds the rows of ``shard``.

    All processes of ``group``, by default all there are, make theirs at the same time,
    each of ``load_shard(path, rank, world_size)``; without
    ``torch.distributed.init_process_group`` there is one process, and one shard. The
    layer gives on each of them what `embedding` of the whole matrix would, and trains
    like it on the sum of their losses: with losses that are to be averaged, divide by
    the number of processes.

    ``DistributedDataParallel`` would give every process the rows of the first. Keep the
    layer out of the module it wraps, or name it to
    ``DistributedDataParallel._set_params_and_buffers_to_ignore_for_model`` first.

    Raises `ShapeError`, on all processes, where the shards do not make up one matrix,
    and `OptionError` for a ``dtype`` that cannot hold the values.
    """
    pad_id = shard.pad_id
    own = Share(
        shard.start,
        shard.stop,
        -1 if pad_id is None else pad_id,
        shard.rows,
        shard.dim,
        freeze,
    )
    shares = agree(own, group, device)
    local = nn.Embedding.from_pretrained(
        _copy(shard, dtype, device),
        freeze=freeze,
        padding_idx=None if pad_id is None else pad_id - shard.start,
        sparse=sparse,
    )
    return ShardedEmbedding(local, shares, rank=rank_in(group), group=group)


@checked
def pretrained_(tensor: Tensor, matrix: EmbeddingMatrix) -> Tensor:
    """Fill ``tensor`` (rows, dim) with ``matrix`` in place and return it.

    For layers that exist already, in the manner of ``torch.nn.init``. Values are
    rounded to the dtype of the tensor.

    Raises `ShapeError` if the shapes differ, and `OptionError` if the dtype cannot
    hold the values or the tensor is the computed ``weight`` of a `SplitEmbedding`;
    the tensor is then as it was.
    """
    if not isinstance(tensor, Tensor):
        raise OptionError(
            f"tensor is of type {type(tensor).__name__}: give a torch.Tensor, of a "
            "layer its layer.weight"
        )
    check_shape(matrix.shape, tensor.shape, "the tensor")
    if tensor.grad_fn is not None and not tensor._is_view():
        raise OptionError(
            "the tensor is computed from others, so what is filled in would be lost: "
            "give the parameter itself"
        )
    vectors = _copy(matrix, tensor.dtype, tensor.device)
    with torch.no_grad():
        return tensor.copy_(vectors)


@checked
def from_layer(
    layer: nn.Embedding | nn.EmbeddingBag | SplitEmbedding,
    vocabulary: Vocabulary,
    *,
    started_from: EmbeddingMatrix | None = None,
) -> EmbeddingMatrix:
    """Return the table of a trained layer as a matrix of its own, float32.

    With ``started_from``, the matrix the layer was made of, the result keeps its row
    ledger, and its provenance in its own.

    Raises `OptionError` for a layer without a ``weight``, `ShapeError` if layer,
    vocabulary and matrix differ in shape, and `VocabularyError` if the pad row was
    trained away from zero, which a layer without ``padding_idx`` does.
    """
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        raise not_a_layer(layer, "a layer with a weight")
    table = weight.detach().to("cpu", torch.float32, copy=True).numpy()
    return trained_matrix(table, vocabulary, layer, started_from)


def _copy(
    matrix: EmbeddingMatrix | EmbeddingShard,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> Tensor:
    """Return the vectors as a tensor of its own."""
    if not isinstance(dtype, torch.dtype):
        raise OptionError(
            f"dtype is {dtype!r}: give a dtype of PyTorch, such as torch."
            f"{_dtype_named(dtype)}"
        )
    if not dtype.is_floating_point:
        raise OptionError(f"dtype {dtype} cannot hold vectors: give a floating one")
    if dtype == torch.float16:
        check_float16(matrix)
    return torch.tensor(matrix.vectors, dtype=dtype, device=device)


def _dtype_named(given: object) -> str:
    """Return the name of the dtype that PyTorch has for one of numpy or a word."""
    name = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    name = name.rpartition(".")[2]
    return name if isinstance(getattr(torch, name, None), torch.dtype) else "float32"
