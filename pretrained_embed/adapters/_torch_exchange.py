"""Rows that processes ask of each other, and their gradients on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable


def rank_in(group: Any) -> int:
    """Return the rank of this process in a group; 0 where it is alone."""
    return distributed.get_rank(group) if _are_several() else 0


def gather(numbers: Sequence[int], group: Any, device: Any) -> list[list[int]]:
    """Return the numbers that each process of a group gives, as many from each."""
    own = torch.tensor(numbers, device=device)
    if not _are_several():
        return [own.tolist()]
    everyone = [torch.empty_like(own) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(everyone, own, group=group)
    return [tensor.tolist() for tensor in everyone]


def _are_several() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())


class Asked(NamedTuple):
    """What all processes want of this one."""

    ids: Tensor  # int64, those of process 0 first
    counts: list[int]  # how many of them each process wants


def ask(ids: Tensor, counts: Tensor | None, group: Any) -> Asked:
    """Tell every process which ids are wanted of it, and hear the same.

    ``ids`` are int64, those for process 0 first, ``counts``, int64 (world size,), how
    many are for each. A process that cannot ask gives ``None``: then all of them raise
    ``IndexError``, since none may go on alone.
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
    """``apply(rows, sends, receives, group)``: rows (sum(sends), dim) to others.

    Process ``i`` gets ``sends[i]`` of them, in order, and gives ``receives[i]``:
    (sum(receives), dim) come back. Gradients go the other way.
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
