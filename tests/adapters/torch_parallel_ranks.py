"""What each of two processes does with copies and shards, for `test_torch_parallel`.

Run as a program with a rank, the number of processes and a folder, which gets the
results. Every part trains a model on ids of its own process.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel

from pretrained_embed.adapters import torch as pe_torch
from pretrained_embed.adapters.transformers import initialise
from pretrained_embed.errors import OptionError

from .conformance import make_matrix
from .language_models import BATCH, ROWS, model_of, table_of, tokenizer

IDS = [[[2, 6, 0]], [[6, 3, 1]]]  # of each process; 3 and 6 train, as they are OOV
FULL = StateDictOptions(full_state_dict=True)


def model(**options: Any) -> nn.Sequential:
    torch.manual_seed(0)
    layer = pe_torch.embedding(make_matrix(), freeze="found", **options)
    return nn.Sequential(layer, nn.Linear(4, 1))


def steps(net: nn.Module, ids: torch.Tensor, optimizers: list[Any]) -> Iterator[Any]:
    """Yield losses; what is to be done with each is up to the caller."""
    for _ in range(3):
        for optimizer in optimizers:
            optimizer.zero_grad()
        yield net(ids).float().square().mean()
        for optimizer in optimizers:
            optimizer.step()


class Parts:
    """All that a process does, each in a method."""

    def __init__(self, rank: int, folder: Path) -> None:
        self.ids = torch.tensor(IDS[rank])
        self.folder = folder
        self.rank = rank

    def copies(self) -> Any:
        """Accumulate gradients, in bfloat16, scaled and clipped."""
        made = model()
        net = DistributedDataParallel(made)
        optimizer = torch.optim.AdamW(net.parameters(), 0.1, weight_decay=0.5)
        scaler = torch.amp.GradScaler("cpu")
        for _ in range(3):
            optimizer.zero_grad()
            for waits in (True, False):
                with (
                    net.no_sync() if waits else contextlib.nullcontext(),
                    torch.autocast("cpu", torch.bfloat16),
                ):
                    loss = net(self.ids).float().square().mean()
                scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
        return made[0](torch.arange(7)).detach()

    def sparse_copies(self) -> Any:
        made = model(sparse=True)
        net = DistributedDataParallel(made)
        optimizers = [
            torch.optim.SparseAdam(made[0].parameters(), 0.1),
            torch.optim.SGD(made[1].parameters(), 0.1),
        ]
        for loss in steps(net, self.ids, optimizers):
            loss.backward()
        return made[0](torch.arange(7)).detach()

    def state_of_copies(self) -> Any:
        """Set the state of a wrapped model, whose keys have no prefix then."""
        net = DistributedDataParallel(model())
        state = {k: v.clone() for k, v in get_model_state_dict(net).items()}
        state["0.trained.weight"] += 1
        set_model_state_dict(net, dict(state))
        again = get_model_state_dict(net)
        return sorted(again), all(torch.equal(again[key], state[key]) for key in state)

    def shards(self) -> Any:
        return self._shards()

    def shards_in_bfloat16(self) -> Any:
        return self._shards(mp_policy=MixedPrecisionPolicy(torch.bfloat16))

    def _shards(self, **options: Any) -> Any:
        """Train a sharded model; gather its state, and set it in a new one."""
        net = self._sharded(**options)
        optimizer = torch.optim.AdamW(net.parameters(), 0.1, weight_decay=0.5)
        for loss in steps(net, self.ids, [optimizer]):
            loss.backward()
        dtype = str(net(self.ids).dtype)
        state = get_model_state_dict(net, options=FULL)
        table = pe_torch.plain_state_dict(state)["0.weight"]
        assert torch.equal(pe_torch.plain_state_dict(net)["0.weight"], table)

        fresh = self._sharded(**options)
        told = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        given = dict(state) if self.rank == 0 else {}
        set_model_state_dict(fresh, given, options=told)
        again = pe_torch.plain_state_dict(get_model_state_dict(fresh, options=FULL))
        return table, dtype, torch.equal(again["0.weight"], table)

    def weight_of_shards(self) -> Any:
        layer = self._sharded()[0]
        said = []
        for use in (lambda: layer.weight, layer.unfreeze, layer.to_embedding):
            try:
                use()
            except OptionError as error:
                said.append(str(error))
        return said

    def _sharded(self, **options: Any) -> nn.Sequential:
        net = model()
        for part in (net[0], net):
            fully_shard(part, **options)
        return net

    def tied_language_model(self) -> Any:
        return self._language_model(tied=True)

    def untied_language_model(self) -> Any:
        return self._language_model(tied=False)

    def _language_model(self, *, tied: bool) -> Any:
        """Train a sharded language model; save it, load it into another, train that."""
        made, before = _initialised(tied)
        net = fully_shard(made)
        optimizer = torch.optim.AdamW(net.parameters(), 0.1, weight_decay=0.5)
        self._step(net, optimizer)
        gradient = net.get_input_embeddings().weight.grad.full_tensor()
        first = table_of(net).full_tensor()
        folder = self.folder / f"saved-{tied}"
        checkpoint.save(get_model_state_dict(net), checkpoint_id=folder)

        other, _ = _initialised(tied, seed=1)
        other = fully_shard(other)
        state = get_model_state_dict(other)
        checkpoint.load(state, checkpoint_id=folder)
        set_model_state_dict(other, state)
        self._step(other, torch.optim.AdamW(other.parameters(), 0.1, weight_decay=0.5))
        return before, gradient, first, table_of(other).full_tensor()

    def _step(self, net: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        batch = BATCH[self.rank :][:1]
        net(input_ids=batch, labels=batch).loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()


def _initialised(tied: bool, seed: int = 0) -> Any:
    made = model_of("llama", tied, seed)
    initialise(made, tokenizer(), train=torch.arange(ROWS) % 3 > 0)
    return made, table_of(made).clone()


def main() -> None:
    rank, world_size = map(int, sys.argv[1:3])
    folder = Path(sys.argv[3])
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world_size
    )
    process = Parts(rank, folder)
    names = [name for name in vars(Parts) if name[0] != "_"]
    done = {name: getattr(process, name)() for name in names}
    torch.save(done, folder / f"rank-{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
