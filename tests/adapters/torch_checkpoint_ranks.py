"""What each of three processes does with checkpoints, for `test_torch_checkpoint`.

Run as a program with a rank, the number of processes and a folder, which has the
matrices. Two groups work in turn: all processes, and the first two.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed import checkpoint
from torch.distributed.checkpoint import state_dict as of_torch

import pretrained_embed as pe
from pretrained_embed.adapters import torch as pe_torch
from pretrained_embed.errors import PretrainedEmbedError

#: The rows of each matrix, its pad row, the shards that it is in, and an optimiser
#: that keeps something for each row.
MATRICES = {
    "pad_within": (
        *(11, 8, 4),
        lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, weight_decay=0.5),
    ),
    "uneven": (13, 6, 2, lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.5)),
}


def make(
    folder: Path, name: str, rank: int, size: int, group: Any = None, **options: Any
):
    shard = pe.load_shard(folder / name, rank, size)
    return pe_torch.sharded_embedding(shard, group=group, **options)


def train(
    layer: torch.nn.Module,
    ids: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    steps: int,
) -> None:
    """Make each of the rows smaller that are this process's to look up."""
    for _ in range(steps):
        optimizer.zero_grad()
        weights = (ids + 1.0)[:, None]
        (layer(ids) * weights).square().sum().backward()
        optimizer.step()


def own(layer: pe_torch.ShardedEmbedding) -> torch.Tensor:
    return torch.arange(layer.start, layer.stop)


def saved_by(folder: Path, name: str, size: int) -> str:
    return str(folder / f"{name}-{size}")


def save(folder: Path, name: str, rank: int, size: int, group: Any = None) -> None:
    layer = make(folder, name, rank, size, group)
    optimizer = MATRICES[name][-1](layer.parameters())
    train(layer, own(layer), optimizer, 2)
    model, state = of_torch.get_state_dict(layer, optimizer)
    checkpoint.save(
        {"model": model, "optimizer": state},
        checkpoint_id=saved_by(folder, name, size),
        process_group=group,
    )


def load(
    folder: Path, name: str, rank: int, size: int, by: int, group: Any = None
) -> dict[str, Any]:
    """Return the rows that ``by`` processes saved, and what comes of another step."""
    layer = make(folder, name, rank, size, group)
    with torch.no_grad():
        layer.local.weight.fill_(7)  # all of it has to be loaded
    optimizer = MATRICES[name][-1](layer.parameters())
    model, state = of_torch.get_state_dict(layer, optimizer)
    both = {"model": model, "optimizer": state}
    checkpoint.load(both, checkpoint_id=saved_by(folder, name, by), process_group=group)
    of_torch.set_state_dict(
        layer,
        optimizer,
        model_state_dict=both["model"],
        optim_state_dict=both["optimizer"],
    )
    loaded = layer.local.weight.detach().clone()
    train(layer, own(layer), optimizer, 1)
    return {
        "start": layer.start,
        "loaded": torch.tensor(loaded.tolist()),
        "trained_on": torch.tensor(layer.local.weight.tolist()),
    }


def plainly(folder: Path, rank: int, size: int) -> Any:
    """Save and load ``state_dict()`` itself, of a frozen layer, and by async_save."""
    layer = make(folder, "uneven", rank, size, freeze=True)
    want = layer.local.weight.tolist()
    checkpoint.save(layer.state_dict(), checkpoint_id=folder / "plain")
    checkpoint.async_save(layer.state_dict(), checkpoint_id=folder / "async").result()
    got = []
    for name in ("plain", "async"):
        other = make(folder, "uneven", rank, size, freeze=True)
        with torch.no_grad():
            other.local.weight.zero_()
        state = other.state_dict()
        checkpoint.load(state, checkpoint_id=folder / name)
        other.load_state_dict(state)
        got.append(other.local.weight.tolist() == want)
    return got


def refused(folder: Path, rank: int, size: int) -> Any:
    """Load the checkpoint of a table with another number of rows."""
    layer = make(folder, "pad_within", rank, size)
    before = layer.local.weight.tolist()
    try:
        checkpoint.load(layer.state_dict(), checkpoint_id=folder / "plain")
    except (checkpoint.CheckpointException, PretrainedEmbedError) as error:
        return str(error), layer.local.weight.tolist() == before
    return "no error", False


def main() -> None:
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    warnings.simplefilter("ignore")  # PyTorch's, about its own deprecations
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world_size
    )
    done: dict[str, Any] = {}
    two = distributed.new_group([0, 1])
    for name in MATRICES:
        save(folder, name, rank, 3)
        if rank < 2:
            save(folder, name, rank, 2, two)
        distributed.barrier()
        for by in (1, 2):
            done[f"{name}: 3 load what {by} saved"] = load(folder, name, rank, 3, by)
        if rank < 2:
            for by in (1, 3):
                part = load(folder, name, rank, 2, by, two)
                done[f"{name}: 2 load what {by} saved"] = part
    done["plainly"] = plainly(folder, rank, world_size)
    done["refused"] = refused(folder, rank, world_size)
    torch.save(done, folder / f"rank-{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
