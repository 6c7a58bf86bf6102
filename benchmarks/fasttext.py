"""``python -m benchmarks.fasttext``: tokens out of a fastText model with subwords.

The model is made, not downloaded: 2,000,000 buckets and 200,000 words of 300 numbers
drawn at random, n-grams of 3 to 6 characters as fastText has them by default. Half of
the wanted tokens are among its words; the other half is like them. Each loader runs in
processes of its own, ours first; its answer is compared with ours before it is timed.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from benchmarks import machine, report
from benchmarks.measure import SECONDS, Result, measure
from benchmarks.peers.subwords import FASTTEXT, GENSIM, OURS
from benchmarks.workloads import Run, Workload

HERE = Path(__file__).parent
RESULT = HERE / "results" / "fasttext.md"

DIM, MIN_N, MAX_N = 300, 3, 6

_HEADER = (
    "loader",
    "s",
    "x ours",
    "first call s",
    "MB over matrix",
    "x ours",
    "answer",
)
_ROWS_AT_ONCE = 10_000
_VOWELS, _CONSONANTS = "aeiouaeioy", "tnshrdlcmwfgpbvkstnr"


class Size(NamedTuple):
    """How large a model is, and how many tokens are wanted."""

    words: int
    buckets: int
    wanted: int


FULL, QUICK = Size(200_000, 2_000_000, 20_000), Size(5_000, 50_000, 1_000)


def main() -> None:
    """Make the model, run all loaders, write one page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fasttext")
    parser.add_argument("--quick", action="store_true", help="a small model, run once")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    folder = HERE / "data" / ("quick" if options.quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    output = options.output or (folder / RESULT.name if options.quick else RESULT)

    model, tokens = folder / "subwords.300d.bin", folder / "subwords.tokens.json"
    if not model.exists() or not tokens.exists():
        _say(f"making {model.name}")
        make(model, tokens, size)
    facts = {
        **machine.describe(),
        "model": f"{model.stat().st_size / 1e6:,.0f} MB, {size.words:,} words, "
        f"{size.buckets:,} buckets, {DIM} dimensions, n-grams of {MIN_N} to {MAX_N}",
        "tokens": f"{size.wanted:,}, half of them not in the dictionary",
        "load before": machine.load(),
    }
    runs = tuple(Run(peer, model) for peer in (OURS, GENSIM, FASTTEXT))
    workload = Workload("fasttext", "", tokens, runs)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        results = measure(
            workload, Path(scratch), _say, 0 if options.quick else SECONDS
        )
    facts["load after"] = machine.load()
    table = [_HEADER, ("---",) * len(_HEADER), *_lines(results)]
    rows = "".join(f"| {' | '.join(row)} |\n" for row in table)
    page = f"# Tokens out of a fastText model\n\n{report.head(facts)}\n{rows}"
    sys.stdout.write(page)
    output.write_text(page)


def make(model: Path, tokens: Path, size: Size) -> None:
    """Write a model of random numbers, and the tokens that are wanted of it."""
    draw = random.Random(0)
    half = size.wanted // 2
    made: dict[str, None] = {}
    while len(made) < size.words + half:
        made[_word(draw)] = None
    listed = list(made)
    words, others = listed[: size.words], listed[size.words :]
    wanted = draw.sample(words, half) + others
    draw.shuffle(wanted)

    part = model.with_suffix(".part")
    with part.open("wb") as file:
        file.writelines(_head(words, size))
        numbers = np.random.default_rng(0)
        _write_matrix(file, numbers, size.words + size.buckets)
        _write_matrix(file, numbers, size.words)
    tokens.write_text(json.dumps(wanted))
    part.replace(model)


def _head(words: list[str], size: Size) -> Iterator[bytes]:
    yield struct.pack("<2i", 793712314, 12)
    args = (DIM, 5, 5, 5, 5, 1, 2, 2, size.buckets, MIN_N, MAX_N, 100)
    yield struct.pack("<12id", *args, 1e-4)
    yield struct.pack("<3i2q", len(words), len(words), 0, 10**9, -1)
    for place, word in enumerate(words):
        count = 5 + 10**8 // (place + 1)
        yield word.encode() + b"\0" + struct.pack("<qb", count, 0)


def _write_matrix(file: BinaryIO, draw: np.random.Generator, rows: int) -> None:
    file.write(b"\0" + struct.pack("<2q", rows, DIM))
    for start in range(0, rows, _ROWS_AT_ONCE):
        shape = min(_ROWS_AT_ONCE, rows - start), DIM
        file.write(draw.standard_normal(shape, np.float32).astype("<f4").tobytes())


def _word(draw: random.Random) -> str:
    """Return something like a word: two to five syllables."""
    syllables = range(draw.choice((2, 3, 3, 4, 4, 5)))
    return "".join(
        draw.choice(_CONSONANTS)
        + draw.choice(_VOWELS)
        + (draw.choice(_CONSONANTS) if draw.random() < 0.3 else "")
        for _ in syllables
    )


def _lines(results: list[Result]) -> Iterator[tuple[str, ...]]:
    ours = results[0]
    for result in results:
        name = result.run.peer
        if not result.samples:
            yield (name, *["-"] * 5, f"no result: {result.failed}")
            continue
        peak = result.peak_over_answer
        yield (
            name,
            f"{result.median:.3g}",
            _ratio(result.median, ours.median) if ours.samples else "-",
            f"{result.median_of('first_seconds'):.3g}",
            f"{peak / 1e6:,.0f}",
            _ratio(peak, ours.peak_over_answer) if ours.samples else "-",
            result.answer,
        )


def _ratio(value: float, unit: float) -> str:
    return f"{value / unit:.3g}" if unit > 0 else "-"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
