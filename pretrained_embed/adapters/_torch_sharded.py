"""PyTorch's layer whose rows are spread over the processes of ``torch.distributed``.

Each process looks up the rows that are its own, for all of them. Ids are sent to the
process that has their row and the rows sent back, each once however often a batch has
its id: the traffic is a row for each distinct id, and every process may have a batch of
its own shape. (Gathering all ids and summing masked rows, the simpler way, sends the
rows of all batches to all processes.)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretrained_embed.adapters._torch_chunk import Chunk
from pretrained_embed.adapters._torch_exchange import Exchange, ask, gather, rank_in
from pretrained_embed.errors import (
    PretrainedEmbedError,
    ShapeError,
    VocabularyError,
    WriteError,
)
from pretrained_embed.formats import PackedBlock
from pretrained_embed.formats.sharded.sink import ShardedWriter
from pretrained_embed.saved import part_of


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


def write(layer: ShardedEmbedding, path: Any, started_from: Any) -> None:
    """Write a layer into a folder of shards; see `save_sharded`."""
    writing = _Writing(layer, path, started_from)
    for step in (writing.begin, writing.write, writing.finish):
        error = None
        try:
            step()
        except (PretrainedEmbedError, OSError) as failure:
            error = failure  # the others wait for this process
        device, group = layer.bounds.device, layer.group
        failed = [done != [1] for done in gather([int(not error)], group, device)]
        if error is not None:
            raise error
        if any(failed):
            raise WriteError(
                f"{os.fspath(path)}: process {failed.index(True)} of {len(failed)} "
                "could not do its part; its error says why"
            )


class _Writing:
    """What one process does to write a layer, in steps that all begin together."""

    def __init__(self, layer: ShardedEmbedding, path: Any, started_from: Any) -> None:
        self._layer = layer
        self._path = path
        self._started_from = started_from
        shares = len(layer.bounds) - 1
        self._rank, self._shares = rank_in(layer.group), shares
        # the same on all, and another each time: nothing is taken over
        number = int.from_bytes(os.urandom(7), "little")
        everyone = gather([number], layer.group, layer.bounds.device)
        self._job = f"trained {everyone[0][0]:x}"

    def begin(self) -> None:
        """Check what is to be written, and make the folder."""
        layer = self._layer
        part = part_of(self._started_from, self._rank, self._shares)
        tokens, vectors, arrays, metadata = part.table
        table = layer.local.weight.detach().to("cpu", torch.float32, copy=True).numpy()
        theirs = part.start, part.start + len(tokens), part.rows, vectors.shape[1]
        own = layer.start, layer.stop, layer.num_embeddings, layer.embedding_dim
        if theirs != own:
            raise ShapeError(
                f"the layer has rows {own[0]}:{own[1]} of {own[2]} x {own[3]} here, "
                f"load_shard of {os.fspath(self._started_from)} rows "
                f"{theirs[0]}:{theirs[1]} of {theirs[2]} x {theirs[3]}; give the "
                "matrix that the layer was made of by load_shard(path, rank, "
                "world_size)"
            )
        pad = layer.local.padding_idx
        if pad is not None and table[pad].any():
            raise VocabularyError(
                f"row {layer.padding_idx}, of the pad token, is not zeros: it was "
                "trained; zero it"
            )
        kind = type(layer)
        provenance = {
            "trained_in": f"{kind.__module__}.{kind.__qualname__}",
            "trained_from": metadata.get("provenance", {}),
        }
        self._rows = PackedBlock(tokens, table)
        self._arrays = arrays
        self._metadata = {**metadata, "provenance": provenance}
        self._writer = ShardedWriter(
            self._path,
            rows=layer.num_embeddings,
            dim=layer.embedding_dim,
            shards=self._shares,
            job=self._job,
        )

    def write(self) -> None:
        """Write the rows of this process."""
        with self._writer.shard(self._rank, self._rows.tokens) as sink:
            sink.append(self._rows)
            sink.finish(self._arrays, self._metadata)

    def finish(self) -> None:
        """Write the index, once all rows are there."""
        if self._rank:
            return
        for number in range(self._shares):
            if not self._writer.have(number):
                raise WriteError(
                    f"{os.fspath(self._path)}: the file of process {number} is not "
                    "there, or not as it was written; all processes have to see one "
                    "folder"
                )
        self._writer.finish(self._metadata)
