"""What each of two processes does with a sharded layer, for `test_torch_sharded`.

Run as a program with a rank, the number of processes and a folder: it has the matrix,
in ``matrix``, and gets the results. Each part makes a layer anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

import pretrained_embed as pe
from pretrained_embed.adapters import torch as pe_torch
from pretrained_embed.errors import PretrainedEmbedError, ShapeError, WriteError

#: The ids that each process looks up, of differing shapes, and what its loss is.
IDS = [[[3, 6, 3, 0], [1, 2, 5, 0]], [6, 6, 1]]


def ids_of(rank: int) -> Tensor:
    return torch.tensor(IDS[rank])


def loss_of(rows: Tensor) -> Tensor:
    """A loss whose gradient is another for each place of a batch."""
    places = torch.arange(1, rows.numel() + 1, dtype=rows.dtype)
    return (rows.reshape(-1) * places).sum() + rows.square().sum()


class Rank:
    """One process."""

    def __init__(self, rank: int, world_size: int, folder: Path) -> None:
        self.rank, self.world_size = rank, world_size
        self.folder = folder

    def layer(self, path: str = "matrix", **options: Any) -> pe_torch.ShardedEmbedding:
        shard = pe.load_shard(self.folder / path, self.rank, self.world_size)
        return pe_torch.sharded_embedding(shard, **options)

    def forward_and_backward(self) -> Any:
        layer = self.layer()
        rows = layer(ids_of(self.rank))
        loss_of(rows).backward()
        return rows.detach(), layer.local.weight.grad

    def steps(self, optimizer: Callable[..., Any], **options: Any) -> Any:
        layer = self.layer(**options)
        made = optimizer(layer.parameters())
        for _ in range(3):
            made.zero_grad()
            loss_of(layer(ids_of(self.rank))).backward()
            made.step()
        return layer.local.weight.detach()

    def sgd(self) -> Any:
        return self.steps(lambda p: torch.optim.SGD(p, 0.01))

    def adamw(self) -> Any:
        return self.steps(lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.5))

    def sparse_adam(self) -> Any:
        return self.steps(lambda p: torch.optim.SparseAdam(p, 0.1), sparse=True)

    def frozen(self) -> Any:
        layer = self.layer(freeze=True)
        rows = layer(ids_of(self.rank))
        return rows, rows.requires_grad, [p.requires_grad for p in layer.parameters()]

    def no_ids_on_one(self) -> Any:
        layer = self.layer()
        ids = ids_of(0) if self.rank == 0 else torch.empty(0, 2, dtype=torch.long)
        rows = layer(ids)
        rows.sum().backward()
        return rows.detach(), layer.local.weight.grad

    def int32_ids_on_one(self) -> Any:
        ids = ids_of(self.rank)
        return self.layer()(ids.int() if self.rank else ids).detach()

    def half(self) -> Any:
        return self.layer(dtype=torch.bfloat16)(ids_of(self.rank)).detach()

    def no_row_on_one(self) -> Any:
        layer = self.layer("one")
        return layer.local.weight.shape[0], layer(torch.tensor([0, 0])).detach()

    def id_out_of_range_on_one(self) -> Any:
        layer = self.layer()
        ids = torch.tensor([7 if self.rank else 3])
        return error_of(IndexError, lambda: layer(ids))

    def negative_id_on_one(self) -> Any:
        layer = self.layer()
        ids = torch.tensor([3 if self.rank else -1])
        return error_of(IndexError, lambda: layer(ids))

    def the_same_rows_twice(self) -> Any:
        shard = pe.load_shard(self.folder / "matrix", 0, self.world_size)
        return error_of(ShapeError, lambda: pe_torch.sharded_embedding(shard))

    def rows_left_out(self) -> Any:
        rows = [slice(0, 3), slice(3, 6)][self.rank]
        shard = pe.load_matrix(self.folder / "matrix", rows=rows)
        return error_of(ShapeError, lambda: pe_torch.sharded_embedding(shard))

    def frozen_on_one(self) -> Any:
        return error_of(ShapeError, lambda: self.layer(freeze=self.rank == 0))

    def state(self) -> Any:
        state = self.layer().state_dict()
        torch.save(state, self.folder / f"state-{self.rank}.pt")
        distributed.barrier()
        layer = self.layer()
        with torch.no_grad():
            layer.local.weight.zero_()
        other = torch.load(self.folder / f"state-{1 - self.rank}.pt", weights_only=True)
        refused = error_of(ShapeError, lambda: layer.load_state_dict(other))
        untouched = not layer.local.weight.any()
        layer.load_state_dict(state)
        return list(state), refused, untouched, layer.local.weight.detach()

    def beside_copies(self) -> Any:
        """Train with a layer that all processes have, each a copy."""
        torch.manual_seed(self.rank)
        model = torch.nn.Sequential(self.layer(), torch.nn.Linear(4, 1))
        parallel = torch.nn.parallel.DistributedDataParallel
        parallel._set_params_and_buffers_to_ignore_for_model(model, ["0.local.weight"])
        copies = parallel(model)
        optimizer = torch.optim.SGD(copies.parameters(), 0.01)
        copies(ids_of(self.rank)).square().sum().backward()
        optimizer.step()
        before = self.layer().local.weight
        moved = (model[0].local.weight != before).any(dim=1)
        return moved.tolist(), model[1].weight.detach()

    def written_back(self) -> Any:
        """Train, and write the rows of both processes; then what is refused."""
        layer = self.layer()
        with torch.no_grad():
            layer.local.weight[1:] += 1
        matrix, folder = self.folder / "matrix", self.folder / "trained"
        pe_torch.save_sharded(layer, folder, started_from=matrix)
        there = error_of(
            WriteError,
            lambda: pe_torch.save_sharded(layer, folder, started_from=matrix),
        )
        with torch.no_grad():
            layer.local.weight.fill_(1)  # the pad row, which one process has, too
        new = self.folder / "new"
        pad = error_of(
            PretrainedEmbedError,
            lambda: pe_torch.save_sharded(layer, new, started_from=matrix),
        )
        other = error_of(
            PretrainedEmbedError,
            lambda: pe_torch.save_sharded(layer, new, started_from=self.folder / "one"),
        )
        return there, pad, other, (new / "model.safetensors.index.json").exists()

    def facts(self) -> Any:
        layer = self.layer()
        return repr(layer), layer.num_embeddings, layer.padding_idx


#: Everything that a process does, in order.
PARTS = [
    name for name in vars(Rank) if name[0] != "_" and name not in ("layer", "steps")
]


def run(program: str, processes: int, folder: Path) -> list[dict[str, Any]]:
    """Run a program of this folder in some processes; return what they did, by rank."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", f"tests.adapters.{program}"),
                *(str(rank), str(processes), str(folder)),
            ],
            cwd=root,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    try:
        for process in running:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()
    return [
        torch.load(folder / f"rank-{rank}.pt", weights_only=True)
        for rank in range(processes)
    ]


def error_of(kind: type[Exception], action: Callable[[], Any]) -> str:
    try:
        action()
    except kind as error:
        return str(error)
    return "no error"


def main() -> None:
    rank, world_size = map(int, sys.argv[1:3])
    folder = Path(sys.argv[3])
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world_size
    )
    process = Rank(rank, world_size, folder)
    done = {name: getattr(process, name)() for name in PARTS}
    torch.save(done, folder / f"rank-{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
