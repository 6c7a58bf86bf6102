"""PyTorch's layer of two tables: a parameter that trains, a buffer that does not."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretrained_embed.adapters._rows import split
from pretrained_embed.arrays import BoolArray


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
        frozen: BoolArray,
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
        # not depend on values. They get a spare first one, because they bring it a
        # gradient of zero, and sparse optimisers move a row whenever it has one.
        spare = vectors.new_zeros(1, self.embedding_dim)
        self.trained = nn.Parameter(torch.cat([spare, vectors[parts.trained]]))
        self.register_buffer("frozen", vectors[parts.frozen])
        self.register_buffer("slots", torch.tensor(parts.slots, device=vectors.device))

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows of ``ids``, any shape of integers, as (*ids.shape, dim)."""
        slots = self.slots.index_select(0, ids.reshape(-1)).view(ids.shape)
        trained = functional.embedding(
            (slots + 1).clamp(min=0), self.trained, sparse=self.sparse
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
