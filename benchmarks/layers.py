"""``python -m benchmarks.layers``: what rows frozen one by one cost in PyTorch.

The layer of two tables against ``torch.nn.Embedding``, in one run, by turns: a look-up
with its gradient, and a whole step of an optimiser, for several shares of frozen
rows. Answers are compared first, to the bit. One page of results is written.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

import pretrained_embed as pe
from benchmarks import machine, report
from pretrained_embed.adapters import torch as pe_torch

ROWS, DIM, IDS = 100_000, 300, (64, 128)
SHARES = (0.1, 0.5, 0.9)  # of the rows that are frozen
RESULT = Path(__file__).parent / "results" / "layers.md"

Run = Callable[[], None]
OPTIMIZERS: dict[str, tuple[bool, Callable[..., torch.optim.Optimizer]]] = {
    "SGD": (False, lambda p: torch.optim.SGD(p, 0.1)),
    "SGD with momentum": (False, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "Adam": (False, lambda p: torch.optim.Adam(p)),
    "sparse SGD": (True, lambda p: torch.optim.SGD(p, 0.1)),
    "SparseAdam": (True, lambda p: torch.optim.SparseAdam(p)),
}


def matrix(rows: int) -> pe.EmbeddingMatrix:
    """Return a matrix of random rows, with a pad row."""
    vectors = np.random.default_rng(0).normal(size=(rows, DIM)).astype(np.float32)
    vectors[0] = 0
    tokens = ["<pad>", *(f"token {i}" for i in range(1, rows))]
    return pe.EmbeddingMatrix(vectors, pe.Vocabulary(tokens, pad="<pad>"))


def frozen(rows: int, share: float) -> np.ndarray:
    """Return a mask (rows,) of frozen rows, drawn over all of them."""
    return np.random.default_rng(1).random(rows) < share


def backward(layer: nn.Module, ids: torch.Tensor, given: torch.Tensor) -> Run:
    """Return a look-up and its gradient."""

    def run() -> None:
        layer.zero_grad()
        layer(ids).backward(given)

    return run


def step(
    layer: nn.Module, ids: torch.Tensor, given: torch.Tensor, make: Callable[..., Run]
) -> Run:
    """Return a look-up, its gradient and a step of the optimiser."""
    optimizer = make(layer.parameters())

    def run() -> None:
        optimizer.zero_grad()
        layer(ids).backward(given)
        optimizer.step()

    return run


def seconds(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """Return the median time of each, taken by turns, the first two rounds aside."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn > 1:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


def measure(rows: int, rounds: int) -> list[list[str]]:
    """Return the lines of the table: what, milliseconds, and ratios to it by share."""
    whole = matrix(rows)
    ids = torch.randint(1, rows, IDS, generator=torch.Generator().manual_seed(0))
    given = torch.ones(*IDS, DIM)
    lines = []
    works: dict[str, tuple[bool, Callable[..., Run]]] = {
        "forward": (False, lambda layer: lambda: layer(ids)),
        "forward and backward": (False, lambda layer: backward(layer, ids, given)),
        "forward and backward, sparse": (
            True,
            lambda layer: backward(layer, ids, given),
        ),
    }
    for name, (sparse, make) in OPTIMIZERS.items():
        works[f"step, {name}"] = (
            sparse,
            lambda layer, make=make: step(layer, ids, given, make),
        )
    for work, (sparse, make_run) in works.items():
        layers: dict[str, nn.Module] = {
            "plain": pe_torch.embedding(whole, sparse=sparse)
        }
        for share in SHARES:
            layers[f"{share:.0%}"] = pe_torch.embedding(
                whole, freeze=frozen(rows, share), sparse=sparse
            )
        for layer in layers.values():
            assert torch.equal(layer(ids), layers["plain"](ids))
        taken = seconds(
            {name: make_run(layer) for name, layer in layers.items()}, rounds
        )
        plain = taken.pop("plain")
        ratios = (f"{value / plain:.2f}" for value in taken.values())
        lines.append([work, f"{1000 * plain:.1f}", *ratios])
    return lines


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers")
    parser.add_argument("--quick", action="store_true", help="few rows, few rounds")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    output = arguments.output or (None if arguments.quick else RESULT)
    rows, rounds = (2_000, 3) if arguments.quick else (ROWS, 30)

    facts = machine.describe()
    before = machine.load()
    lines = measure(rows, rounds)
    head = {
        "command": "python -m benchmarks.layers",
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        **facts,
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "load": f"{before} before, {machine.load()} after",
        "table": f"{rows:,} x {DIM}; {IDS[0]} x {IDS[1]} ids, drawn evenly",
        "runs": f"{rounds} of each, by turns; medians",
    }
    columns = ["what", "torch.nn.Embedding, ms"]
    columns += [f"{share:.0%} of the rows frozen, x" for share in SHARES]
    table = [columns, ["---"] * len(columns), *lines]
    page = (
        f"# Rows frozen one by one\n\n{report.head(head)}\n"
        "The time of `torch.nn.Embedding`, of which all rows train, and how many times "
        "as long our layer takes.\n\n"
        + "".join(f"| {' | '.join(line)} |\n" for line in table)
    )
    print(page)
    if output is not None:
        output.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
