"""``python -m benchmarks.checkpoints``: tokens out of checkpoints, ours and by hand.

20,000 tokens, drawn at random, of a table of 400,000 x 300, into a matrix in the order
that was asked for. By hand that is ``torch.load(mmap=True)`` or ``safe_open``, a
dictionary from token to row and a look-up. All take turns in one process, and all give
the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks import machine, report
from benchmarks.parquet import DIM, HEADER, ROWS, WANTED, draw, in_turns, ours
from benchmarks.peers.peer import Float32Array

RESULT = Path(__file__).parent / "results" / "checkpoints.md"


def main() -> None:
    """Run all of it and write one page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints")
    parser.add_argument("--quick", action="store_true", help="a fortieth of the rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    share = 40 if options.quick else 1
    facts = {**machine.describe(), "load before": machine.load()}
    lines = [HEADER, ("---",) * len(HEADER)]
    wanted = draw(ROWS // share, WANTED // share)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(folder, ROWS // share)
        for name, path, by_hand in (
            ("torch.save", folder / "m.pt", by_torch),
            ("torch.save of before 1.6", folder / "old.pt", by_torch),
            ("safetensors", folder / "m.safetensors", by_safetensors),
        ):
            readers = {
                "ours": partial(ours, path, wanted),
                by_hand.__name__: partial(by_hand, path, wanted),
            }
            lines += in_turns(name, readers, options.rounds)
    facts["load after"] = machine.load()
    table = "".join(f"| {' | '.join(row)} |\n" for row in lines)
    page = f"# Checkpoints\n\n{report.head(facts)}\n{table}"
    sys.stdout.write(page)
    options.output.write_text(page)


def write(folder: Path, rows: int) -> None:
    """Make the files, and the tokens beside them."""
    vectors = np.random.default_rng(0).normal(size=(rows, DIM)).astype(np.float32)
    state = {
        "embedding.weight": torch.from_numpy(vectors),
        "out.weight": torch.zeros(2, DIM),
    }
    torch.save(state, folder / "m.pt")
    torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, folder / "m.safetensors")
    ids = {f"token{number}": number for number in range(rows)}
    (folder / "vocab.json").write_text(json.dumps(ids))


def by_torch(path: Path, wanted: list[str]) -> Float32Array:
    """Map the file, where PyTorch can, and take the rows."""
    state = torch.load(path, mmap=path.name != "old.pt", weights_only=True)
    return state["embedding.weight"].index_select(0, _rows(path, wanted)).numpy()


def by_safetensors(path: Path, wanted: list[str]) -> Float32Array:
    """Map the file and take the rows."""
    with safe_open(path, "pt") as file:
        table = file.get_tensor("embedding.weight")
    return table.index_select(0, _rows(path, wanted)).numpy()


def _rows(path: Path, wanted: list[str]) -> torch.Tensor:
    ids = json.loads(path.with_name("vocab.json").read_text())
    return torch.tensor([ids[token] for token in wanted])


if __name__ == "__main__":
    main()
