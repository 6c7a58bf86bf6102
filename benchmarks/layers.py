"""``python -m benchmarks.layers``: what rows that stay cost in PyTorch, Keras and JAX.

Our layers against the framework's own, in one run, by turns: a look-up with its
gradient, and a whole step of an optimiser, for several shares of frozen rows. Answers
are compared first, to the bit. Each framework has a process of its own. One page of
results is written.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import pretrained_embed as pe
from benchmarks import machine, report

ROWS, DIM, IDS = 100_000, 300, (64, 128)
SHARES = (0.1, 0.5, 0.9)  # of the rows that are frozen
RESULT = Path(__file__).parent / "results" / "layers.md"

Run = Callable[[], Any]
Line = list[str]  # what, milliseconds, and ratios to it


def matrix(rows: int) -> pe.EmbeddingMatrix:
    """Return a matrix of random rows, with a pad row."""
    vectors = np.random.default_rng(0).normal(size=(rows, DIM)).astype(np.float32)
    vectors[0] = 0
    tokens = ["<pad>", *(f"token {i}" for i in range(1, rows))]
    return pe.EmbeddingMatrix(vectors, pe.Vocabulary(tokens, pad="<pad>"))


def frozen(rows: int, share: float) -> np.ndarray:
    """Return a mask (rows,) of frozen rows, drawn over all of them."""
    return np.random.default_rng(1).random(rows) < share


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


def choices(rows: int) -> dict[str, Any]:
    """Return what is compared with the plain layer: which rows are frozen, by name."""
    shares = {f"{share:.0%}": frozen(rows, share) for share in SHARES}
    return {"none": False, **shares}


def some_ids(rows: int) -> np.ndarray:
    """Return a batch of ids, none of them the pad id."""
    return np.random.default_rng(2).integers(1, rows, IDS).astype(np.int32)


def line(work: str, runs: dict[str, Run], rounds: int) -> Line:
    """Return a line of the table; the plain layer is the first of the runs."""
    plain, *others = seconds(runs, rounds).values()
    return [work, f"{1000 * plain:.1f}", *(f"{other / plain:.2f}" for other in others)]


def compare(answers: dict[str, Any]) -> None:
    """Raise unless all layers answer as the plain one."""
    expected = np.asarray(answers["plain"])
    for name, answer in answers.items():
        if np.asarray(answer).tobytes() != expected.tobytes():
            raise AssertionError(f"{name} answers otherwise than the plain layer")


def with_torch(rows: int, rounds: int) -> list[Line]:
    """Measure ``adapters.torch`` against ``torch.nn.Embedding``."""
    import torch

    from pretrained_embed.adapters import torch as pe_torch

    whole, ids = matrix(rows), torch.from_numpy(some_ids(rows))
    given = torch.ones(*IDS, DIM)

    def look_up(layer: torch.nn.Module) -> Run:
        return lambda: layer(ids)

    def backward(layer: torch.nn.Module) -> Run:
        def run() -> None:
            layer.zero_grad()
            layer(ids).backward(given)

        return run

    def stepping(make: Callable[..., torch.optim.Optimizer]) -> Callable[..., Run]:
        def prepared(layer: torch.nn.Module) -> Run:
            optimizer = make(layer.parameters())

            def run() -> None:
                optimizer.zero_grad()
                layer(ids).backward(given)
                optimizer.step()

            return run

        return prepared

    works: dict[str, tuple[bool, Callable[..., Run]]] = {
        "forward": (False, look_up),
        "forward and backward": (False, backward),
        "forward and backward, sparse": (True, backward),
        "step, SGD": (False, stepping(lambda p: torch.optim.SGD(p, 0.1))),
        "step, SGD with momentum": (
            False,
            stepping(lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        ),
        "step, Adam": (False, stepping(torch.optim.Adam)),
        "step, sparse SGD": (True, stepping(lambda p: torch.optim.SGD(p, 0.1))),
        "step, SparseAdam": (True, stepping(torch.optim.SparseAdam)),
    }
    lines = []
    for work, (sparse, prepare) in works.items():
        layers: dict[str, torch.nn.Module] = {
            "plain": torch.nn.Embedding.from_pretrained(
                torch.tensor(whole.vectors), freeze=False, padding_idx=0, sparse=sparse
            )
        }
        for name, freeze in choices(rows).items():
            layers[name] = pe_torch.embedding(whole, freeze=freeze, sparse=sparse)
        compare({name: layer(ids).detach() for name, layer in layers.items()})
        runs = {name: prepare(layer) for name, layer in layers.items()}
        lines.append(line(work, runs, rounds))
    return lines


def with_keras(rows: int, rounds: int) -> list[Line]:
    """Measure ``adapters.keras`` against ``keras.layers.Embedding``."""
    import keras

    from pretrained_embed.adapters import keras as pe_keras

    whole, ids = matrix(rows), some_ids(rows)
    labels = np.ones((len(ids), 1), np.float32)
    lines = []
    for optimizer in ("SGD", "Adam"):
        layers = {"plain": keras.layers.Embedding(rows, DIM, weights=whole.vectors)}
        for name, freeze in choices(rows).items():
            trains = True if freeze is False else ~freeze
            layers[name] = pe_keras.embedding(whole, trainable=trains)
        compare({n: keras.ops.convert_to_numpy(one(ids)) for n, one in layers.items()})
        runs = {}
        for name, layer in layers.items():
            pool = keras.layers.GlobalAveragePooling1D()
            inputs = keras.Input(IDS[1:], dtype="int32")
            model = keras.Sequential([inputs, layer, pool, keras.layers.Dense(1)])
            model.compile(optimizer, "mse")
            runs[name] = lambda model=model: model.train_on_batch(ids, labels)
        lines.append(line(f"train_on_batch, {optimizer}", runs, rounds))
    return lines


def with_jax(rows: int, rounds: int) -> list[Line]:
    """Measure ``adapters.jax`` against ``flax.nnx.Embed``."""
    import jax
    import optax
    from flax import nnx

    from pretrained_embed.adapters import jax as pe_jax

    whole, ids = matrix(rows), jax.numpy.asarray(some_ids(rows))

    @nnx.jit
    def gradient(layer: nnx.Module) -> Any:
        return nnx.grad(lambda layer: (layer(ids) ** 2).sum())(layer)

    @nnx.jit
    def step(layer: nnx.Module, optimizer: nnx.Optimizer) -> None:
        optimizer.update(layer, gradient(layer))

    def stepping(make: Any) -> Callable[..., Run]:
        def prepared(layer: nnx.Module) -> Run:
            optimizer = nnx.Optimizer(layer, make, wrt=nnx.Param)

            def run() -> None:
                step(layer, optimizer)
                jax.block_until_ready(nnx.state(layer))

            return run

        return prepared

    works: dict[str, Callable[..., Run]] = {
        "forward and backward": lambda one: (
            lambda: jax.block_until_ready(gradient(one))
        ),
        "step, SGD": stepping(optax.sgd(0.1)),
        "step, Adam": stepping(optax.adam(0.001)),
    }
    lines = []
    for work, prepare in works.items():
        make = pe_jax.pretrained(whole)
        layers: dict[str, Any] = {
            "plain": nnx.Embed(rows, DIM, embedding_init=make, rngs=nnx.Rngs(0))
        }
        for name, freeze in choices(rows).items():
            layers[name] = pe_jax.embedding(whole, freeze=freeze)
        compare({name: layer(ids) for name, layer in layers.items()})
        runs = {name: prepare(layer) for name, layer in layers.items()}
        lines.append(line(work, runs, rounds))
    return lines


#: What is measured, each in a process of its own: the layer of the framework, how,
#: and the backend of Keras.
PARTS: dict[str, tuple[str, Callable[[int, int], list[Line]], str]] = {
    "PyTorch": ("torch.nn.Embedding", with_torch, ""),
    "Keras on PyTorch": ("keras.layers.Embedding", with_keras, "torch"),
    "Keras on TensorFlow": ("keras.layers.Embedding", with_keras, "tensorflow"),
    "Keras on JAX": ("keras.layers.Embedding", with_keras, "jax"),
    "JAX, Flax NNX": ("flax.nnx.Embed", with_jax, ""),
}


def measured(part: str, rows: int, rounds: int) -> list[Line]:
    """Measure a part in a process of its own, and return its lines."""
    backend = PARTS[part][2]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if backend:
        environment["KERAS_BACKEND"] = backend
    command = [sys.executable, "-m", "benchmarks.layers", "--part", part]
    run = subprocess.run(
        [*command, str(rows), str(rounds)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    lines: list[Line] = json.loads(run.stdout.splitlines()[-1])
    return lines


def section(part: str, lines: list[Line]) -> str:
    """Return the table of a part, in Markdown."""
    frozen = [f"{share:.0%} frozen" for share in SHARES]
    columns = ["what", f"`{PARTS[part][0]}`, ms", "all train", *frozen]
    table = [columns, ["---"] * len(columns), *lines]
    return f"## {part}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in table)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers")
    parser.add_argument("--quick", action="store_true", help="few rows, few rounds")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part, *sizes = arguments.part
        print(json.dumps(PARTS[part][1](*map(int, sizes))))
        return
    output = arguments.output or (None if arguments.quick else RESULT)
    rows, rounds = (2_000, 3) if arguments.quick else (ROWS, 20)

    facts = machine.describe()
    before = machine.load()
    sections = [section(part, measured(part, rows, rounds)) for part in PARTS]
    head = {
        "command": "python -m benchmarks.layers",
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        **facts,
        "load": f"{before} before, {machine.load()} after",
        "table": f"{rows:,} x {DIM}; {IDS[0]} x {IDS[1]} ids, drawn evenly",
        "runs": f"{rounds} of each, by turns; medians",
    }
    page = (
        f"# Layers with rows that stay\n\n{report.head(head)}\n"
        "The time of the framework's own layer, of which all rows train, and how many "
        "times as long our layers take: one of which all rows but the pad row train, "
        "and ones with a share of the rows frozen.\n\n" + "\n".join(sections)
    )
    print(page)
    if output is not None:
        output.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
