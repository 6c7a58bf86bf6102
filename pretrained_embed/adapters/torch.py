"""PyTorch: a matrix as an embedding layer, in a tensor, or spread over processes.

The pad row stays zero: ``padding_idx`` keeps the gradients of look-ups, dense or
sparse, away from it, so the moments an optimiser keeps for it are zero too, and weight
decay scales a zero. What else uses the table sends it a gradient: see `embedding` on
tied outputs.
"""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

import numpy as np

from pretrained_embed.adapters._arguments import (
    check_float16,
    checked,
    missing,
    own_dtype,
)
from pretrained_embed.adapters._tables import (
    Rows,
    check_rows,
    chosen,
    fixed,
    not_a_layer,
    rows_missing,
    trained_matrix,
)
from pretrained_embed.bits import has_scales
from pretrained_embed.errors import OptionError, suggestion
from pretrained_embed.matrix import EmbeddingMatrix, EmbeddingShard
from pretrained_embed.vocabulary import Vocabulary

try:
    import torch
    from torch import Tensor, nn

    from pretrained_embed.adapters._torch_sharded import (
        RankRows,
        ShardedEmbedding,
        agree,
        rank_in,
        write,
    )
    from pretrained_embed.adapters._torch_split import (
        LoadRows,
        SplitEmbedding,
        plain_state_dict,
    )
    from pretrained_embed.adapters._torch_table import JoinedTable, lost
except ImportError as error:
    raise missing("PyTorch", "torch") from error

__all__ = [
    "QuantizedEmbedding",
    "ShardedEmbedding",
    "SplitEmbedding",
    "embedding",
    "embedding_bag",
    "from_layer",
    "plain_state_dict",
    "pretrained_",
    "quantized_embedding",
    "save_sharded",
    "sharded_embedding",
]

_Mode = Literal["sum", "mean", "max"]


@checked
def embedding(
    matrix: EmbeddingMatrix,
    *,
    freeze: Rows = False,
    sparse: bool = False,
    multiple_of: int = 1,
    load_rows: LoadRows = "layer",
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> nn.Embedding | SplitEmbedding:
    """Return a layer whose row ``i`` is the vector of token id ``i``.

    The layer is a ``torch.nn.Embedding`` where all rows train or none, else a
    `SplitEmbedding`. Its ``padding_idx`` is the vocabulary's pad id: look-ups send the
    pad row no gradient. A tied output does (``linear.weight = layer.weight`` of a
    ``torch.nn.Embedding``): then the pad row of a layer of which all rows train trains,
    too, as in every layer of PyTorch. Zero it after each step, or freeze a row or more
    for themselves: the pad row of a `SplitEmbedding` stays whatever happens.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors, which are copied.
    freeze : bool, "found", "oov", bool array (rows,) or list of str, default False
        The rows that do not train: all, none, those that came from the source, the
        others, those where the array is true, those of the tokens listed. None by
        default, unlike in ``torch.nn.Embedding.from_pretrained``.
    sparse : bool, default False
        Sparse gradients, for SparseAdam and SGD.
    multiple_of : int, default 1
        Make the number of rows a multiple of this, 64 for example, as fast kernels like
        it, with rows of zeros at the end. They are no token's.
    load_rows : "layer" or "file", default "layer"
        Which rows train after a state was loaded; see `SplitEmbedding`.
    max_norm : float, optional
        As in ``torch.nn.Embedding``, which scales longer rows in place when they are
        looked up, frozen or not. Not with rows frozen one by one.
    norm_type : float, default 2.0
        The norm that ``max_norm`` limits.
    scale_grad_by_freq : bool, default False
        As in ``torch.nn.Embedding``.
    dtype : torch.dtype, optional
        Of the table; values are rounded once. By default that of the matrix, where it
        is float16 or bfloat16, whose bits are kept, else torch.float32: of int8 and the
        like see `quantized_embedding`.
    device : torch.device or str, optional
        Where the table is made.

    Raises
    ------
    OptionError
        For a choice of rows that means nothing, a ``dtype`` that cannot hold the
        values, ``max_norm`` with rows frozen one by one, or ``multiple_of`` below 1.
    ShapeError
        For a mask of another length.

    Examples
    --------
    >>> layer = pe_torch.embedding(matrix, freeze="found")
    >>> layer(torch.tensor([[2, 3, 0]])).shape
    torch.Size([1, 3, 50])
    """
    zero = fixed(matrix)
    frozen = chosen(matrix, freeze, "freeze") | zero
    vectors = _padded(_copy(matrix, dtype, device), multiple_of)
    options = {"sparse": sparse, "scale_grad_by_freq": scale_grad_by_freq}
    if frozen.all() or (frozen == zero).all():
        return nn.Embedding.from_pretrained(
            vectors,
            freeze=bool(frozen.all()),
            padding_idx=matrix.pad_id,
            max_norm=max_norm,
            norm_type=norm_type,
            **options,
        )
    if max_norm is not None:
        raise OptionError(
            f"max_norm={max_norm} would move frozen rows: leave it out and set "
            "layer.trained.max_norm, which limits the rows that train"
        )
    frozen = np.append(frozen, np.ones(len(vectors) - len(frozen), np.bool_))
    return SplitEmbedding(
        vectors, frozen, padding_idx=matrix.pad_id, load_rows=load_rows, **options
    )


@checked
def embedding_bag(
    matrix: EmbeddingMatrix,
    *,
    mode: _Mode = "mean",
    freeze: bool = False,
    sparse: bool = False,
    multiple_of: int = 1,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    include_last_offset: bool = False,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> nn.EmbeddingBag:
    """Return a ``torch.nn.EmbeddingBag`` over the rows of ``matrix``.

    The pad id counts in no bag. A bag cannot freeze a part of its rows: reduce the
    output of `embedding` instead. ``multiple_of`` is as in `embedding`, the other
    options as in ``torch.nn.EmbeddingBag``.

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
        _padded(_copy(matrix, dtype, device), multiple_of),
        freeze=freeze,
        mode=mode,
        sparse=sparse,
        padding_idx=matrix.pad_id,
        max_norm=max_norm,
        norm_type=norm_type,
        scale_grad_by_freq=scale_grad_by_freq,
        include_last_offset=include_last_offset,
    )


class QuantizedEmbedding(nn.Module):
    """A frozen table of int8: row ``i`` is ``weight[i] * scales[i]``.

    ``weight``, int8 (rows, dim), and ``scales``, float32 (rows,), are buffers: they are
    saved, moved and loaded with the module, and no optimiser sees them. What comes out
    is of ``dtype``; a row of zeros stays zeros.
    """

    weight: Tensor
    scales: Tensor

    def __init__(
        self,
        weight: Tensor,
        scales: Tensor,
        *,
        padding_idx: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scales", scales)
        self.num_embeddings, self.embedding_dim = weight.shape
        self.padding_idx = padding_idx
        self.dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows of ids: their shape, plus (dim,)."""
        # The product is rounded once, whatever comes out.
        whole = self.weight[ids].to(torch.float32)
        return (whole * self.scales[ids].to(torch.float32).unsqueeze(-1)).to(self.dtype)

    def extra_repr(self) -> str:
        """Return what ``print`` shows of the layer."""
        pad = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{pad}, int8"


@checked
def quantized_embedding(
    matrix: EmbeddingMatrix,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> QuantizedEmbedding:
    """Return a frozen layer that keeps a matrix of int8 as it is, a scale a row.

    Its output is that of `embedding` of the same matrix, at a quarter of the memory.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        Of dtype "int8", "int4" or "binary"; whole numbers of fewer bits are kept as
        int8, too. They are copied.
    dtype : torch.dtype, default torch.float32
        Of the output, which is rounded to it once.
    device : torch.device or str, optional
        Where the table is made.

    Raises
    ------
    OptionError
        For a matrix of another dtype, and for a ``dtype`` that is not a floating one.
    FormatError
        Where a file has bits that are no number.

    Examples
    --------
    >>> layer = pe_torch.quantized_embedding(matrix.astype("int8"))
    >>> layer.weight.dtype, layer.scales.dtype
    (torch.int8, torch.float32)
    """
    if not has_scales(matrix.dtype):
        raise OptionError(
            f"the matrix is of {matrix.dtype}, without whole numbers: give "
            "matrix.astype('int8')"
        )
    _check_floating(dtype)
    stored = matrix.stored
    return QuantizedEmbedding(
        torch.tensor(stored.whole_numbers(), device=device),
        torch.tensor(stored.scales, device=device),
        padding_idx=matrix.pad_id,
        dtype=dtype,
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
    own = RankRows(
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
def save_sharded(
    layer: ShardedEmbedding,
    path: str | os.PathLike[str],
    *,
    started_from: str | os.PathLike[str],
) -> None:
    """Write the rows of all processes into a new folder of shards, a file for each.

    All processes of the layer's group call it; they see the same folder. Each writes
    its own rows, and process 0 the index, so nowhere is the whole in memory.
    `load_matrix` and `load_shard` read the folder, with any number of processes.

    Parameters
    ----------
    layer : ShardedEmbedding
        What `sharded_embedding` made, trained or not.
    path : path
        The new folder.
    started_from : path
        The matrix that ``load_shard`` has read. Its tokens and its ledger are taken
        over, and its provenance becomes part of the new one.

    Raises
    ------
    ShapeError
        On all processes, where the rows of the layer are not those of
        ``load_shard(started_from, rank, world_size)``.
    VocabularyError
        Where the pad row was trained away from zero.
    WriteError
        Where the folder is there already or cannot be written to. An error of one
        process is an error of all.

    Examples
    --------
    >>> shard = pe.load_shard("model", rank, world_size)  # doctest: +SKIP
    >>> layer = pe_torch.sharded_embedding(shard)  # doctest: +SKIP
    >>> pe_torch.save_sharded(layer, "trained", started_from="model")  # doctest: +SKIP
    """
    if not isinstance(layer, ShardedEmbedding):
        raise OptionError(
            f"{type(layer).__name__} is not spread over processes: "
            "from_layer(layer, vocabulary).save(path, shards=...) writes shards of it"
        )
    write(layer, path, started_from)


@checked
def pretrained_(
    tensor: Tensor, matrix: EmbeddingMatrix, *, rows: int | None = None
) -> Tensor:
    """Fill ``tensor`` (rows, dim) with ``matrix`` in place and return it.

    For layers that exist already, in the manner of ``torch.nn.init``. Values are
    rounded to the dtype of the tensor. ``rows=len(vocab)`` says that the tensor may be
    longer: its first rows are filled, the others stay as they are.

    Raises `ShapeError` if the shapes differ or ``rows`` is not the number of rows of
    the matrix, and `OptionError` if the dtype cannot hold the values or the tensor is
    the computed ``weight`` of a `SplitEmbedding`; the tensor is then as it was.
    """
    if not isinstance(tensor, Tensor):
        raise OptionError(
            f"tensor is of type {type(tensor).__name__}: give a torch.Tensor, of a "
            "layer its layer.weight"
        )
    check_rows(matrix.shape, tensor.shape, "the tensor", rows)
    if isinstance(tensor, JoinedTable):
        raise lost("pretrained_")
    if tensor.grad_fn is not None and not tensor._is_view():
        raise OptionError(
            "the tensor is computed from others, so what is filled in would be lost: "
            "give the parameter itself"
        )
    vectors = _copy(matrix, tensor.dtype, tensor.device)
    with torch.no_grad():
        tensor[: len(vectors)].copy_(vectors)
    return tensor


@checked
def from_layer(
    layer: nn.Embedding | nn.EmbeddingBag | SplitEmbedding,
    vocabulary: Vocabulary,
    *,
    started_from: EmbeddingMatrix | None = None,
    rows: int | None = None,
) -> EmbeddingMatrix:
    """Return the table of a trained layer as a matrix of its own, float32.

    With ``started_from``, the matrix the layer was made of, the result keeps its row
    ledger, and its provenance in its own. ``rows=len(vocab)`` takes the first rows of a
    longer table, such as ``multiple_of=`` makes.

    Raises `OptionError` for a layer without a ``weight``, `ShapeError` if layer,
    vocabulary and matrix differ in shape, and `VocabularyError` if the pad row was
    trained away from zero, which a layer without ``padding_idx`` does, and one whose
    weight is that of a tied output, too.
    """
    if isinstance(layer, ShardedEmbedding):
        raise OptionError(
            "this process has some of the rows only: save_sharded(layer, path, "
            "started_from=...) writes those of all, and load_matrix(path) reads them"
        )
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor):
        raise not_a_layer(layer, "a layer with a weight")
    table = weight.detach().to("cpu", torch.float32, copy=True).numpy()
    return trained_matrix(table[:rows], vocabulary, layer, started_from)


def _padded(vectors: Tensor, multiple_of: int) -> Tensor:
    """Return the table with rows of zeros up to a multiple of rows."""
    rows, dim = vectors.shape
    missing = rows_missing(rows, multiple_of)
    if not missing:
        return vectors
    return torch.cat([vectors, vectors.new_zeros(missing, dim)])


def _copy(
    matrix: EmbeddingMatrix | EmbeddingShard,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> Tensor:
    """Return the vectors as a tensor of its own."""
    if dtype is None:
        dtype = getattr(torch, own_dtype(matrix))
    _check_floating(dtype)
    if isinstance(matrix, EmbeddingMatrix) and str(dtype) == f"torch.{matrix.dtype}":
        values = matrix.stored.checked()
        if dtype == torch.bfloat16:  # whose bits numpy has as whole numbers
            bits = torch.tensor(values.view(np.int16), device=device)
            return bits.view(torch.bfloat16)
        return torch.tensor(values, device=device)
    if dtype == torch.float16:
        check_float16(matrix)
    return torch.tensor(matrix.vectors, dtype=dtype, device=device)


def _check_floating(dtype: object) -> None:
    """Raise `OptionError` for what is no dtype of PyTorch that holds vectors."""
    if not isinstance(dtype, torch.dtype):
        raise OptionError(
            f"dtype is {dtype!r}: give a dtype of PyTorch, such as torch."
            f"{_dtype_named(dtype)}"
        )
    if not dtype.is_floating_point:
        raise OptionError(f"dtype {dtype} cannot hold vectors: give a floating one")


def _dtype_named(given: object) -> str:
    """Return the name of the dtype that PyTorch has for one of numpy or a word."""
    name = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    name = name.rpartition(".")[2]
    return name if isinstance(getattr(torch, name, None), torch.dtype) else "float32"
