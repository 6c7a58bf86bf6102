"""PyTorch: a matrix as an embedding layer, in a tensor, or over several processes.

The pad row stays zero: ``padding_idx`` keeps the gradients of look-ups, dense or
sparse, away from it, so the moments of an optimiser for it are zero too, and weight
decay scales a zero. Other uses of the table send it a gradient: see `embedding` on tied
outputs.
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

    The layer is a ``torch.nn.Embedding`` if all rows train or none, else a
    `SplitEmbedding`. Its ``padding_idx`` is the vocabulary's pad id, so look-ups send
    the pad row no gradient. A tied output does (``linear.weight = layer.weight``): then
    the pad row of a ``torch.nn.Embedding`` trains too, as usual in PyTorch. Set it to
    zero after each step, or freeze at least one other row: the pad row of a
    `SplitEmbedding` never changes.

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
        Make the number of rows a multiple of this, for example 64 for fast kernels, by
        rows of zeros at the end.
    load_rows : "layer" or "file", default "layer"
        Which rows train after a state was loaded; see `SplitEmbedding`.
    max_norm : float, optional
        As in ``torch.nn.Embedding``, which scales longer rows in place at each look-up,
        frozen or not. Not allowed if some rows are frozen.
    norm_type : float, default 2.0
        The norm that ``max_norm`` limits.
    scale_grad_by_freq : bool, default False
        As in ``torch.nn.Embedding``.
    dtype : torch.dtype, optional
        The dtype of the table; values are rounded once. By default that of the matrix
        if it is float16 or bfloat16, whose bits are kept, else torch.float32. For int8
        see `quantized_embedding`.
    device : torch.device or str, optional
        The device of the table.

    Returns
    -------
    torch.nn.Embedding or SplitEmbedding
        The layer.

    Raises
    ------
    OptionError
        For an unknown choice of rows, a ``dtype`` that cannot hold the values,
        ``max_norm`` if some rows are frozen, or ``multiple_of`` below 1.
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

    The pad id is not counted in a bag. A bag cannot freeze some of its rows: reduce the
    output of `embedding` instead.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors, which are copied.
    mode, max_norm, norm_type, scale_grad_by_freq, include_last_offset
        As in ``torch.nn.EmbeddingBag``.
    freeze : bool, default False
        Freeze all rows.
    sparse : bool, default False
        Sparse gradients, for SparseAdam and SGD.
    multiple_of, dtype, device
        As in `embedding`.

    Returns
    -------
    torch.nn.EmbeddingBag
        The layer.

    Raises
    ------
    OptionError
        For another ``freeze`` or ``mode``, or a ``dtype`` that cannot hold the values.

    Examples
    --------
    >>> layer = pe_torch.embedding_bag(matrix, mode="mean")  # doctest: +SKIP
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

    ``weight`` and ``scales`` are buffers: they are saved, moved and loaded with the
    module, and no optimiser sees them. A row of zeros stays zeros.
    `quantized_embedding` makes it.

    Parameters
    ----------
    weight : Tensor of int8, shape (rows, dim)
        The integers.
    scales : Tensor of float32, shape (rows,)
        The scale of each row.
    padding_idx : int, optional
        The pad row.
    dtype : torch.dtype, default torch.float32
        The dtype of the output.

    Examples
    --------
    >>> layer = pe_torch.quantized_embedding(matrix.astype("int8"))  # doctest: +SKIP
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
        """Return the rows of ids.

        Parameters
        ----------
        ids : Tensor of int, any shape
            The ids.

        Returns
        -------
        Tensor, shape of ``ids`` + (dim,)
            The rows.
        """
        # The product is rounded once, to any dtype.
        whole = self.weight[ids].to(torch.float32)
        return (whole * self.scales[ids].to(torch.float32).unsqueeze(-1)).to(self.dtype)

    def extra_repr(self) -> str:
        """Return the text that ``print`` shows of the layer.

        Returns
        -------
        str
            Sizes and pad row.
        """
        pad = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{pad}, int8"


@checked
def quantized_embedding(
    matrix: EmbeddingMatrix,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> QuantizedEmbedding:
    """Return a frozen layer that keeps the int8 values and scales of a matrix.

    Its output is that of `embedding` for the same matrix, with a quarter of the memory.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        A matrix of dtype "int8", "int4" or "binary"; all are copied as int8.
    dtype : torch.dtype, default torch.float32
        The dtype of the output, which is rounded to it once.
    device : torch.device or str, optional
        The device of the table.

    Returns
    -------
    QuantizedEmbedding
        The layer.

    Raises
    ------
    OptionError
        For a matrix of another dtype, and for a ``dtype`` that is not a floating one.
    FormatError
        If a file has bits that are no number.

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

    All processes of ``group`` call this at the same time, each with its
    ``load_shard(path, rank, world_size)``; without
    ``torch.distributed.init_process_group`` there is one process with one shard. The
    output is that of `embedding` of the whole matrix, and training uses the sum of the
    losses of all processes: divide by their number for the mean.

    ``DistributedDataParallel`` would give every process the rows of the first. Keep the
    layer out of the module it wraps, or first pass its name to
    ``DistributedDataParallel._set_params_and_buffers_to_ignore_for_model``.

    Parameters
    ----------
    shard : EmbeddingShard
        The rows of this process, which are copied.
    group : ProcessGroup, optional
        The processes; by default all.
    freeze : bool, default False
        Freeze all rows.
    sparse : bool, default False
        Sparse gradients, for SparseAdam and SGD.
    dtype : torch.dtype, default torch.float32
        The dtype of the table; values are rounded once.
    device : torch.device or str, optional
        The device of the rows.

    Returns
    -------
    ShardedEmbedding
        The layer.

    Raises
    ------
    ShapeError
        On all processes, if the shards do not form one matrix.
    OptionError
        For a ``dtype`` that cannot hold the values.

    Examples
    --------
    >>> shard = pe.load_shard("model", rank, world_size)  # doctest: +SKIP
    >>> layer = pe_torch.sharded_embedding(shard)  # doctest: +SKIP
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
    """Write the rows of all processes into a new folder of shards.

    All processes of the layer's group call it, with the same folder. Each writes a file
    with its own rows, and process 0 the index, so no process needs memory for the whole
    table. `load_matrix` and `load_shard` read the folder, with any number of processes.

    Parameters
    ----------
    layer : ShardedEmbedding
        The result of `sharded_embedding`, trained or not.
    path : path
        The new folder.
    started_from : path
        The matrix that ``load_shard`` has read. The folder has its tokens and ledger,
        and its provenance becomes part of the new one.

    Raises
    ------
    OptionError
        For another layer.
    ShapeError
        On all processes, if the rows of the layer are not those of
        ``load_shard(started_from, rank, world_size)``.
    VocabularyError
        If training changed the pad row from zero.
    WriteError
        If the folder exists or cannot be written. An error of one process is raised by
        all.

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
    """Fill a tensor with a matrix in place, in the manner of ``torch.nn.init``.

    Values are rounded to the dtype of the tensor.

    Parameters
    ----------
    tensor : Tensor, shape (rows, dim)
        The tensor of an existing layer.
    matrix : EmbeddingMatrix
        The vectors.
    rows : int, optional
        ``rows=len(vocab)`` allows a longer tensor: its first rows are filled, the
        others stay.

    Returns
    -------
    Tensor
        The same tensor.

    Raises
    ------
    ShapeError
        If the shapes differ, or ``rows`` is not the number of rows of the matrix.
    OptionError
        If the dtype cannot hold the values, or the tensor is the computed ``weight`` of
        a `SplitEmbedding`. The tensor is not changed.

    Examples
    --------
    >>> pe_torch.pretrained_(model.embed.weight, matrix)  # doctest: +SKIP
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
    """Return the table of a trained layer as a new matrix, float32.

    Parameters
    ----------
    layer : torch.nn.Embedding, torch.nn.EmbeddingBag or SplitEmbedding
        The layer.
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
        For a layer without a ``weight``.
    ShapeError
        If layer, vocabulary and matrix differ in shape.
    VocabularyError
        If training changed the pad row from zero, which happens in a layer without
        ``padding_idx`` or with a tied output.

    Examples
    --------
    >>> trained = pe_torch.from_layer(layer, vocab)  # doctest: +SKIP
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
        if dtype == torch.bfloat16:  # numpy has the bits of bfloat16 as integers
            bits = torch.tensor(values.view(np.int16), device=device)
            return bits.view(torch.bfloat16)
        return torch.tensor(values, device=device)
    if dtype == torch.float16:
        check_float16(matrix)
    return torch.tensor(matrix.vectors, dtype=dtype, device=device)


def _check_floating(dtype: object) -> None:
    """Raise `OptionError` for a value that is no floating dtype of PyTorch."""
    if not isinstance(dtype, torch.dtype):
        raise OptionError(
            f"dtype is {dtype!r}: give a dtype of PyTorch, such as torch."
            f"{_dtype_named(dtype)}"
        )
    if not dtype.is_floating_point:
        raise OptionError(f"dtype {dtype} cannot hold vectors: give a floating one")


def _dtype_named(given: object) -> str:
    """Return the name of PyTorch's dtype for a numpy dtype or a word."""
    name = given if isinstance(given, str) else getattr(given, "__name__", str(given))
    name = name.rpartition(".")[2]
    return name if isinstance(getattr(torch, name, None), torch.dtype) else "float32"
