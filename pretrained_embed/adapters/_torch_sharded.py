"""PyTorch's layer whose rows are spread over the processes of ``torch.distributed``.

Each process looks up the rows that are its own, for all of them. Ids are sent to the
process that has their row and the rows sent back, each once however often a batch has
its id: the traffic is a row for each distinct id, and every process may have a batch of
its own shape. (Gathering all ids and summing masked rows, the simpler way, sends the
rows of all batches to all processes.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretrained_embed.adapters._torch_chunk import Chunk
from pretrained_embed.adapters._torch_exchange import Exchange, ask, gather
from pretrained_embed.errors import ShapeError


class Share(NamedTuple):
    """Which rows a process has."""

    start: int
    stop: int
    pad_id: int  # -1 where the row is another's, or there is none
    rows: int  # of the whole; from here on the same for all
    dim: int
    freeze: int


def agree(own: Share, group: Any, device: Any) -> list[Share]:
    """Return the shares of all processes of the group, or of this one alone.

    Raises `ShapeError`, on all of them, where their rows do not make up one matrix.
    """
    everyone = [Share(*line) for line in gather(own, group, device)]
    end = 0
    for rank, share in enumerate(everyone):
        if share.start != end or share[3:] != everyone[0][3:]:
            raise ShapeError(
                f"process {rank} of {len(everyone)} has {_said(share)}, which does not "
                f"go on after row {end} of {_said(everyone[0])}; give each the rows "
                "that load_shard(path, rank, world_size) loads, and the same options"
            )
        end = share.stop
    if end != own.rows:
        raise ShapeError(
            f"of {own.rows} rows {len(everyone)} process(es) have {end}; load a shard "
            "for each process, after torch.distributed.init_process_group"
        )
    return everyone


def _said(share: Share) -> str:
    state = "frozen" if share.freeze else "trained"
    rows = f"rows {share.start}:{share.stop} of {share.rows} x {share.dim}"
    return f"{rows}, {state}"


class ShardedEmbedding(nn.Module):
    """An embedding of which each process of a group has some consecutive rows.

    Used like the ``torch.nn.Embedding`` it stands for: any ids on any process, and
    ``num_embeddings`` and ``padding_idx`` are those of the whole. ``local`` has the
    rows of this process, ids from ``start`` to ``stop`` - 1. `sharded_embedding` makes
    it.

    ``torch.distributed.checkpoint`` saves the rows of every process, and what an
    optimiser keeps for them, and loads them into any number of processes. What
    ``torch.save`` writes is the state of the rows of one process, and goes into no
    others.

    Forward and backward are collective: all processes of the group call both, in the
    same order, with no ids if need be. The gradient of a row is the sum over
    processes, as that of the sum of their losses.
    """

    bounds: Tensor  # (processes + 1,) int64: where the rows of each begin

    def __init__(
        self,
        local: nn.Embedding,
        shares: Sequence[Share],
        *,
        rank: int = 0,
        group: Any = None,
    ):
        super().__init__()
        self.local = local
        self.start, self.stop = shares[rank][:2]
        self.num_embeddings, self.embedding_dim = shares[0].rows, shares[0].dim
        pad_id = max(share.pad_id for share in shares)
        self.padding_idx = None if pad_id < 0 else pad_id
        self.group = group
        bounds = [0, *(share.stop for share in shares)]
        device = local.weight.device
        self.register_buffer(
            "bounds", torch.tensor(bounds, device=device), persistent=False
        )
        self._mark()
        self.register_load_state_dict_post_hook(ShardedEmbedding._mark)

    def _mark(self, *_: Any) -> None:
        """Let the parameter, which may be a new one, say which rows it is."""
        place = self.start, self.stop, self.num_embeddings
        Chunk.mark(self.local.weight, *place)

    def _save_to_state_dict(self, *where: Any) -> None:
        self._mark()
        super()._save_to_state_dict(*where)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what was saved with ``torch.save(layer)``."""
        super().__setstate__(state)
        self._mark()

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows of ``ids``, any shape of integers, as ``(*ids.shape, dim)``.

        Raises ``IndexError`` on all processes if one has an id that is no row.
        """
        if len(self.bounds) == 2:
            rows: Tensor = self.local(ids)
            return rows
        distinct, places = torch.unique(ids.long(), return_inverse=True)  # rising
        return functional.embedding(places, self._fetch(distinct))

    def _fetch(self, ids: Tensor) -> Tensor:
        """Return the rows of distinct, rising ids, wherever they are."""
        cuts = torch.searchsorted(ids, self.bounds)
        fine = cuts[0] == 0 and cuts[-1] == len(ids)
        counts = cuts.diff()
        asked = ask(ids, counts if fine else None, self.group)
        found = self.local(asked.ids - self.start)
        fetched: Tensor = Exchange.apply(
            found, asked.counts, counts.tolist(), self.group
        )
        return fetched

    def get_extra_state(self) -> Tensor:
        """Return the ids of the rows that the state is of, int64 (rows,)."""
        ids = torch.arange(self.start, self.stop)
        return Chunk.of(ids, self.start, self.stop, self.num_embeddings)

    def set_extra_state(self, state: Tensor) -> None:
        """Raise `ShapeError` for the state of other rows."""
        earlier = [self.start, self.stop, self.num_embeddings]  # what it was before
        if not torch.equal(state.cpu(), self.get_extra_state()) and (
            state.tolist() != earlier
        ):
            first, last = (state[0], state[-1] + 1) if len(state) else (0, 0)
            raise ShapeError(
                f"this is the state of rows {first}:{last}, and this process has "
                f"{self.start}:{self.stop} of {self.num_embeddings}; load the one that "
                "was saved by this rank, or save with torch.distributed.checkpoint"
            )

    def extra_repr(self) -> str:
        """Return what ``repr`` shows between the brackets."""
        padding = (
            "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        )
        return (
            f"{self.num_embeddings}, {self.embedding_dim}{padding}, "
            f"rows {self.start}:{self.stop}"
        )
