"""``python -m benchmarks.stores``: what a store costs to make, and what it saves.

Each time is measured beside the one it is held against, in turns, in one process: an
index of all rows beside the parse of all rows, or beside inflating the zip it is read
from; a matrix out of a store beside `numpy.take` of the same rows of a mapped array.
Opening a store is timed in fresh processes, beside the import of h5py in others: a
store is a file of HDF5, but opening it takes no library.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

import pretrained_embed as pe
from benchmarks import machine, report
from benchmarks.data import QUICK_ROWS, ROWS, Files
from benchmarks.measure import ROOT, environment
from benchmarks.peers.floors import inflate

HERE = Path(__file__).parent
RESULT = HERE / "results" / "stores.md"
WANTED = 100_000

HEADER = ("what", "ms", "ms of", "held against", "ratio", "of the best", "at most")

_TIMED = """
import sys, time
begun = time.perf_counter()
{}
print(time.perf_counter() - begun)
"""
_OPEN = "from pretrained_embed.formats.store import open_store; open_store(sys.argv[1])"


class Line(NamedTuple):
    """Seconds of ours and of what they are held against, run in turns."""

    what: str
    against: str
    limit: str
    ours: list[float]
    theirs: list[float]

    def cells(self) -> tuple[str, ...]:
        """Return medians, their ratio and that of the shortest, as cells."""
        ours, theirs = statistics.median(self.ours), statistics.median(self.theirs)
        milliseconds = (f"{1e3 * ours:.1f}", f"{1e3 * theirs:.1f}")
        ratio = f"{ours / theirs:.2f}"
        best = f"{min(self.ours) / min(self.theirs):.2f}"
        return self.what, *milliseconds, self.against, ratio, best, self.limit


def main() -> None:
    """Run all of it and write one page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores")
    parser.add_argument("--quick", action="store_true", help="small files, few rounds")
    parser.add_argument("--file", type=Path, help="a text file of vectors of your own")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    folder = HERE / "data" / ("quick" if options.quick else "full")
    files = Files(folder, QUICK_ROWS if options.quick else ROWS, _say)
    text = options.file or files.wide()
    rounds = 3 if options.quick else 9

    facts = {**machine.describe(), "file": text.name, "load before": machine.load()}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        cache = Path(scratch) / "cache"
        lines = [indexing(text, cache, rounds)]
        if options.file is None:
            lines.append(unpacking(files.zipped(), cache, rounds))
        store = pe.index(text, library=pe.Library(cache))
        lines += [gathering(text, store, cache, 3 * rounds), opening(store, rounds)]
        facts["store"] = f"{store.stat().st_size / 1e6:.0f} MB"
    facts["load after"] = machine.load()
    rows = [HEADER, ("---",) * len(HEADER), *(line.cells() for line in lines)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    page = f"# Stores\n\n{report.head(facts)}\n{table}"
    sys.stdout.write(page)
    options.output.write_text(page)


def indexing(text: Path, cache: Path, rounds: int) -> Line:
    """Make a store of a text file, the digests of both files included."""

    def parse() -> None:
        with pe.open_vectors(text, library=pe.Library(stores=False)) as reader:
            for _ in reader.blocks():
                pass

    ours, theirs = _in_turns(lambda: _index(text, cache), parse, rounds // 2)
    return Line("text to store", "parse of all rows", "2.5 x", ours, theirs)


def unpacking(packed: Path, cache: Path, rounds: int) -> Line:
    """Make a store of a text in a zip."""
    ours, theirs = _in_turns(
        lambda: _index(packed, cache), lambda: inflate(packed), rounds // 2
    )
    return Line("zip to store", "inflating the zip with zlib", "-", ours, theirs)


def gathering(text: Path, store: Path, cache: Path, rounds: int) -> Line:
    """Build a matrix of tokens drawn at random."""
    with pe.open_vectors(text, library=pe.Library(cache)) as reader:
        listed = [token for tokens, _ in reader.blocks() for token in tokens]
        chosen = random.Random(0).sample(listed, min(WANTED, len(listed) // 2))
        vocabulary = pe.Vocabulary(chosen, pad=None)
        rows = pe.build_matrix(vocabulary, reader).source_rows
        with h5py.File(store) as file:
            vectors = file["vectors"]
            place = {"offset": vectors.id.get_offset(), "shape": vectors.shape}
        mapped = np.memmap(store, np.float32, "r", **place)
        ours, theirs = _in_turns(
            lambda: pe.build_matrix(vocabulary, reader),
            lambda: np.take(mapped, rows, axis=0),
            rounds,
        )
    what = f"matrix of {len(rows):,} tokens, store to memory"
    return Line(what, "numpy.take of the same rows, mapped", "2 x", ours, theirs)


def opening(store: Path, rounds: int) -> Line:
    """Open a store in a fresh process, all imports included."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for code, taken in zip((_OPEN, "import h5py"), seconds, strict=True):
            command = [sys.executable, "-c", _TIMED.format(code), str(store)]
            done = subprocess.run(
                command, cwd=ROOT, env=environment(), check=True, capture_output=True
            )
            taken.append(float(done.stdout))
    ours, theirs = (taken[1:] for taken in seconds)  # the first wrote the bytecode
    limit = "20 ms more"
    return Line(
        "importing it, and opening a store", "importing h5py", limit, ours, theirs
    )


def _index(source: Path, cache: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    pe.index(source, library=pe.Library(cache))


def _in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Time both, one after the other, after a first time that does not count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for call, taken in zip((ours, theirs), seconds, strict=True):
            begun = time.perf_counter()
            result = call()
            if turn:
                taken.append(time.perf_counter() - begun)
            del result
    return seconds


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
