"""PyTorch's layer whose rows are distributed over processes.

Each process looks up its own rows for all processes. Ids are sent to the process that
has the row, and the rows are sent back, once for each distinct id of a batch; batches
may have different shapes. (The simpler method, gathering all ids and summing masked
rows, sends the rows of all batches to all processes.)

``torch.distributed.checkpoint`` saves a tensor of one name once, from one process. But
it asks a tensor with the methods of `Chunk` for its place in a larger one, and then
saves the part of every process, and loads any rows for another number of processes.
Optimisers make their moments by ``zeros_like`` and similar functions, so they are
`Chunk` objects too, and are saved with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from pretrained_embed.errors import (
    PretrainedEmbedError,
    ShapeError,
    VocabularyError,
    WriteError,
)
from pretrained_embed.formats import PackedBlock
from pretrained_embed.formats.sharded.sink import ShardedWriter
from pretrained_embed.saved import part_of


def rank_in(group: Any) -> int:
    """Return the rank of this process in a group; 0 without a group."""
    return distributed.get_rank(group) if _are_several() else 0


def gather(numbers: Sequence[int], group: Any, device: Any) -> list[list[int]]:
    """Return the numbers of each process of a group, equally many from each."""
    own = torch.tensor(numbers, device=device)
    if not _are_several():
        return [own.tolist()]
    everyone = [torch.empty_like(own) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(everyone, own, group=group)
    return [tensor.tolist() for tensor in everyone]


def _are_several() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())


class Asked(NamedTuple):
    """The rows that all processes want from this one."""

    ids: Tensor  # int64, those of process 0 first
    counts: list[int]  # how many of them each process wants


def ask(ids: Tensor, counts: Tensor | None, group: Any) -> Asked:
    """Exchange with every process which ids are wanted.

    ``ids`` are int64, those for process 0 first, ``counts``, int64 (world size,), how
    many are for each. A process with invalid ids passes ``None``: then all raise
    ``IndexError``, since none may continue alone.
    """
    size = distributed.get_world_size(group)
    sent = ids.new_full((size,), -1) if counts is None else counts
    received = torch.empty_like(sent)
    distributed.all_to_all_single(received, sent, group=group)
    wanted = received.tolist()
    if -1 in wanted:
        raise IndexError(
            f"process {wanted.index(-1)} of the group was given ids out of range"
        )
    out = ids.new_empty(sum(wanted))
    distributed.all_to_all_single(out, ids, wanted, sent.tolist(), group=group)
    return Asked(out, wanted)


class Exchange(torch.autograd.Function):
    """``apply(rows, sends, receives, group)``: sends rows (sum(sends), dim) to others.

    Process ``i`` gets ``sends[i]`` of them, in order, and returns ``receives[i]``:
    (sum(receives), dim) come back. Gradients take the reverse way.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        sends: Sequence[int],
        receives: Sequence[int],
        group: Any,
    ) -> Tensor:
        """Send rows."""
        ctx.way_back = receives, sends, group
        return _exchange(rows, sends, receives, group)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]  # torch has no types for it
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Send the gradients of rows back."""
        return _exchange(gradient, *ctx.way_back), None, None, None


def _exchange(
    rows: Tensor, sends: Sequence[int], receives: Sequence[int], group: Any
) -> Tensor:
    out = rows.new_empty(sum(receives), rows.shape[1])
    distributed.all_to_all_single(
        out, rows.contiguous(), list(receives), list(sends), group=group
    )
    return out


class Chunk(Tensor):
    """Rows ``start`` to ``start + len(self)`` - 1 of a table with ``rows`` rows.

    It is a tensor of these rows, except that ``size()`` is the size of the table, which
    ``torch.distributed.checkpoint`` compares with the saved one; ``shape`` is that of
    the rows. The result of an element-wise operation is a chunk too. ``torch.save``
    saves it as a plain tensor.
    """

    start: int
    stop: int
    rows: int

    @classmethod
    def of(cls, tensor: Tensor, start: int, stop: int, rows: int) -> Chunk:
        """Return a tensor as rows ``start`` to ``stop`` - 1; the memory is shared."""
        chunk: Chunk = tensor.detach().as_subclass(cls)
        chunk.start, chunk.stop, chunk.rows = start, stop, rows
        return chunk

    @classmethod
    def mark(cls, parameter: Tensor, start: int, stop: int, rows: int) -> None:
        """Turn a parameter into a chunk; it stays the same object in the optimiser."""
        if not isinstance(parameter, cls):
            parameter.__class__ = cls
            parameter._is_param = True  # nn.Parameter requires it of a subclass
            chunk: Any = parameter
            chunk.start, chunk.stop, chunk.rows = start, stop, rows

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func``; a result of the same shape is a chunk, unless rows moved."""
        kwargs = kwargs or {}
        one = next((a for a in (*args, *kwargs.values()) if isinstance(a, cls)), None)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        if one is None or type(result) is not Tensor or func in _MOVING_ROWS:
            return result
        fits = result.shape == one.shape and result.layout == torch.strided
        if fits or func is Tensor.new_empty:
            result = result.as_subclass(cls)
            result.start, result.stop, result.rows = one.start, one.stop, one.rows
        return result

    def size(self, dim: int | None = None) -> Any:
        """Return the size of the whole table, or of one of its dimensions."""
        whole = torch.Size([self.rows, *self.shape[1:]])
        return whole if dim is None else whole[dim]

    def set_(self, *source: Any) -> Any:
        """Use another storage, of these rows if its size is said to be ``size()``."""
        if len(source) == 4:  # async_save copies a tensor like this
            storage, offset, size, stride = source
            rows = self.stop - self.start
            return super().set_(storage, offset, (rows, *size[1:]), stride)
        return super().set_(*source)

    def __repr__(self, **options: Any) -> str:
        """Return the ``repr`` of a plain tensor of these rows."""
        return self.as_subclass(Tensor).__repr__(**options)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a copy, which is a parameter if this is one."""
        copied: Any = self.detach().clone()
        if isinstance(self, nn.Parameter):
            copied = nn.Parameter(copied, requires_grad=self.requires_grad)
        if self.grad is not None:
            copied.grad = self.grad.clone()
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as a plain tensor or parameter."""
        plain = self.detach().as_subclass(Tensor)
        if isinstance(self, nn.Parameter):
            plain = nn.Parameter(plain, requires_grad=self.requires_grad)
        return plain.__reduce_ex__(protocol)

    def __create_write_items__(self, name: str, tensor: Any) -> list[Any]:
        """Return the items to save: these rows, at their place."""
        from torch.distributed.checkpoint import metadata, planner

        plain = self.as_subclass(Tensor)
        properties = metadata.TensorProperties.create_from_tensor(plain)
        return [
            planner.WriteItem(
                index=metadata.MetadataIndex(name, chunk.offsets),
                type=planner.WriteItemType.SHARD,
                tensor_data=planner.TensorWriteData(chunk, properties, self.size()),
            )
            for chunk in self.__create_chunk_list__()
        ]

    def __create_chunk_list__(self) -> list[Any]:
        """Return the place of these rows in the table; nothing without rows."""
        from torch.distributed.checkpoint.metadata import ChunkStorageMetadata

        offsets = torch.Size([self.start, *(0 for _ in self.shape[1:])])
        return [ChunkStorageMetadata(offsets, self.shape)] if len(self) else []

    def __get_tensor_shard__(self, index: Any) -> Tensor:
        """Return the rows at a place of the table: there is only one."""
        return self.detach().as_subclass(Tensor)


#: Functions whose result has other rows, even if it has the shape of a chunk.
_MOVING_ROWS = (
    *(functional.embedding, Tensor.__getitem__, Tensor.index_select),
    *(torch.index_select, Tensor.as_subclass, Tensor.flip, Tensor.sort, torch.sort),
)


class RankRows(NamedTuple):
    """The rows of a process."""

    start: int
    stop: int
    pad_id: int  # -1 where the row is another's, or there is none
    rows: int  # of the whole; from here on the same for all
    dim: int
    freeze: int


def agree(own: RankRows, group: Any, device: Any) -> list[RankRows]:
    """Return the rows of each process of the group.

    Raises `ShapeError`, on all processes, if their rows do not form one matrix.
    """
    everyone = [RankRows(*line) for line in gather(own, group, device)]
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


def _said(share: RankRows) -> str:
    state = "frozen" if share.freeze else "trained"
    rows = f"rows {share.start}:{share.stop} of {share.rows} x {share.dim}"
    return f"{rows}, {state}"


class ShardedEmbedding(nn.Module):
    """An embedding of which each process of a group has some consecutive rows.

    It is used like ``torch.nn.Embedding``, with any ids on any process;
    ``num_embeddings`` and ``padding_idx`` are those of the whole table. ``local`` has
    the rows of this process, ids ``start`` to ``stop`` - 1. `sharded_embedding` makes
    it.

    ``torch.distributed.checkpoint`` saves the rows and optimiser states of every
    process, and loads them into any number of processes. ``torch.save`` writes the rows
    of one process, which only that process can load.

    Forward and backward are collective: all processes of the group call both, in the
    same order, if necessary with no ids. The gradient of a row is the sum over
    processes, as for the sum of their losses.
    """

    bounds: Tensor  # (processes + 1,) int64: where the rows of each begin

    def __init__(
        self,
        local: nn.Embedding,
        shares: Sequence[RankRows],
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
        """Mark the parameter, which may be a new one, with its rows."""
        place = self.start, self.stop, self.num_embeddings
        Chunk.mark(self.local.weight, *place)

    def _save_to_state_dict(self, *where: Any) -> None:
        self._mark()
        super()._save_to_state_dict(*where)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of ``torch.save(layer)``."""
        super().__setstate__(state)
        self._mark()

    def forward(self, ids: Tensor) -> Tensor:
        """Return the rows of ``ids``, any shape of integers, as ``(*ids.shape, dim)``.

        Raises ``IndexError`` on all processes if one has an invalid id.
        """
        if len(self.bounds) == 2:
            rows: Tensor = self.local(ids)
            return rows
        distinct, places = torch.unique(ids.long(), return_inverse=True)  # ascending
        return functional.embedding(places, self._fetch(distinct))

    def _fetch(self, ids: Tensor) -> Tensor:
        """Return the rows of distinct, ascending ids, from any process."""
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
        earlier = [self.start, self.stop, self.num_embeddings]  # the size before
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
        """Return the text that ``repr`` shows between the brackets."""
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
            error = failure  # the other processes wait for this one
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
    """The part of one process in writing a layer, in steps that all begin together."""

    def __init__(self, layer: ShardedEmbedding, path: Any, started_from: Any) -> None:
        self._layer = layer
        self._path = path
        self._started_from = started_from
        shares = len(layer.bounds) - 1
        self._rank, self._shares = rank_in(layer.group), shares
        # equal on all processes and new each time, so that no old file is used
        number = int.from_bytes(os.urandom(7), "little")
        everyone = gather([number], layer.group, layer.bounds.device)
        self._job = f"trained {everyone[0][0]:x}"

    def begin(self) -> None:
        """Check the layer, and make the folder."""
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
        """Write the index, after all rows are written."""
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
