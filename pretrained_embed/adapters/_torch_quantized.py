"""A layer of PyTorch whose rows are whole numbers with a scale each."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
