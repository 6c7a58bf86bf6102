"""PyTorch: a matrix as `torch.nn.Embedding`, `torch.nn.EmbeddingBag` or in a tensor.

The pad row stays zero: ``padding_idx`` keeps every gradient, dense or sparse, away
from it, so the moments an optimiser keeps for it are zero too, and weight decay
scales a zero.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from pretrained_embed.adapters._missing import missing
from pretrained_embed.adapters._precision import check_float16
from pretrained_embed.adapters._rows import Rows, chosen, fixed, split
from pretrained_embed.adapters._shapes import check_shape
from pretrained_embed.adapters._trained import trained_matrix
from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise missing("PyTorch", "torch") from error

__all__ = ["SplitEmbedding", "embedding", "embedding_bag", "from_layer", "pretrained_"]


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
    True freezes all rows; ``"found"`` those that came from the source, so that OOV
    and special tokens train; ``"oov"`` those; a boolean array (rows,) the rows where
    it is true; a list of tokens theirs. Where only a part of the rows is frozen the
    layer is a `SplitEmbedding`, else a ``torch.nn.Embedding``. Its ``padding_idx``
    is the vocabulary's pad id. ``sparse`` gives sparse gradients, for SparseAdam and
    SGD.

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


def embedding_bag(
    matrix: EmbeddingMatrix,
    *,
    mode: Literal["sum", "mean", "max"] = "mean",
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
    return nn.EmbeddingBag.from_pretrained(
        _copy(matrix, dtype, device),
        freeze=freeze,
        mode=mode,
        sparse=sparse,
        padding_idx=matrix.pad_id,
    )


def pretrained_(tensor: Tensor, matrix: EmbeddingMatrix) -> Tensor:
    """Fill ``tensor`` (rows, dim) with ``matrix`` in place and return it.

    For layers that exist already, in the manner of ``torch.nn.init``. Values are
    rounded to the dtype of the tensor.

    Raises `ShapeError` if the shapes differ and `OptionError` if the dtype cannot
    hold the values; the tensor is then as it was.
    """
    check_shape(matrix.shape, tensor.shape, "the tensor")
    vectors = _copy(matrix, tensor.dtype, tensor.device)
    with torch.no_grad():
        return tensor.copy_(vectors)


def from_layer(
    layer: nn.Embedding | nn.EmbeddingBag | SplitEmbedding,
    vocabulary: Vocabulary,
    *,
    started_from: EmbeddingMatrix | None = None,
) -> EmbeddingMatrix:
    """Return the table of a trained layer as a matrix of its own, float32.

    With ``started_from``, the matrix the layer was made of, the result keeps its row
    ledger, and its provenance in its own.

    Raises `ShapeError` if layer, vocabulary and matrix differ in shape.
    """
    table = layer.weight.detach().to("cpu", torch.float32, copy=True).numpy()
    return trained_matrix(table, vocabulary, layer, started_from)


class SplitEmbedding(nn.Module):
    """An embedding that trains a part of its rows; the others never move.

    Used like the ``torch.nn.Embedding`` it stands for. The trained rows are a
    parameter, the frozen ones a buffer, which no optimiser sees. ``vectors`` (rows,
    dim) is the whole table, ``frozen`` (rows,) is true for the rows that stay; at
    least one row is of either kind.

    `to_embedding` gives one plain table, to serve or to go on with.
    """

    frozen: Tensor  # (frozen rows, dim)
    slots: Tensor  # (rows,) int32: see _rows.Split

    def __init__(
        self,
        vectors: Tensor,
        frozen: npt.NDArray[np.bool_],
        *,
        padding_idx: int | None = None,
        sparse: bool = False,
    ):
        super().__init__()
        self.num_embeddings, self.embedding_dim = vectors.shape
        self.padding_idx = padding_idx
        self.sparse = sparse
        parts = split(frozen)
        # Frozen ids have to look up some row of the trained table too, for shapes may
        # not depend on values. They get a spare first one, from which padding_idx
        # keeps gradients away: any other would be touched by sparse optimisers.
        spare = vectors.new_zeros(1, self.embedding_dim)
        self.trained = nn.Parameter(torch.cat([spare, vectors[parts.trained]]))
        self.register_buffer("frozen", vectors[parts.frozen])
        self.register_buffer("slots", torch.tensor(parts.slots, device=vectors.device))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows of ``ids``, any shape of integers, as (*ids.shape, dim)."""
        slots = self.slots.index_select(0, ids.reshape(-1)).view(ids.shape)
        trained = functional.embedding(
            (slots + 1).clamp(min=0), self.trained, padding_idx=0, sparse=self.sparse
        )
        frozen = functional.embedding((~slots).clamp(min=0), self.frozen)
        return torch.where((slots >= 0).unsqueeze(-1), trained, frozen)

    @property
    def weight(self) -> Tensor:
        """The whole table (rows, dim), put together; gradients flow through it."""
        return self(torch.arange(self.num_embeddings, device=self.slots.device))

    def to_embedding(self, *, freeze: bool = False) -> nn.Embedding:
        """Return a plain layer with a copy of the whole table."""
        return nn.Embedding.from_pretrained(
            self.weight.detach(),
            freeze=freeze,
            padding_idx=self.padding_idx,
            sparse=self.sparse,
        )

    def extra_repr(self) -> str:
        """Return what ``repr`` shows between the brackets."""
        padding = (
            "" if self.padding_idx is None else f"padding_idx={self.padding_idx}, "
        )
        sparse = ", sparse=True" if self.sparse else ""
        return (
            f"{self.num_embeddings}, {self.embedding_dim}, {padding}"
            f"trained={len(self.trained) - 1}, frozen={len(self.frozen)}{sparse}"
        )


def _copy(
    matrix: EmbeddingMatrix, dtype: torch.dtype, device: torch.device | str | None
) -> Tensor:
    """Return the vectors as a tensor of its own."""
    if not dtype.is_floating_point:
        raise OptionError(f"dtype {dtype} cannot hold vectors: give a floating one")
    if dtype == torch.float16:
        check_float16(matrix)
    return torch.tensor(matrix.vectors, dtype=dtype, device=device)
