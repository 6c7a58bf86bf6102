"""``python -m benchmarks.oov``: how near do filled rows come to the true ones?

Tokens that a source has are hidden from it, in bands of frequency, and their rows are
filled by each policy from what is left. A filled row is held against the true one: by
its cosine, its norm, and the neighbours that it has. One page of results is written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

import pretrained_embed as pe
from benchmarks import machine, report
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats.table_reader import TableReader

#: Policies with what fills the rows that they leave.
POLICIES = ("zeros", "mean", "normal", "uniform", "parts,normal", "ngram,normal")
#: Ranks in the source, which is in order of frequency, and names for them.
BANDS = {
    "1-1k": (0, 1_000),
    "1k-10k": (1_000, 10_000),
    "10k-50k": (10_000, 50_000),
    "50k-100k": (50_000, 100_000),
    "100k-400k": (100_000, 400_000),
}
HIDDEN = 400  # tokens of each band
LOOKED_AROUND = 100  # of these, whose neighbours are compared
NEIGHBOURS = 10
WIDE = 300  # columns of the projection that times are also taken of
SEED = 2
CHOICE = 1  # the seed of the tokens by which settings were chosen
RESULT = Path(__file__).parent / "results" / "oov.md"

_LEGEND = f"""\
- `made`: tokens whose rows the policy itself filled; the next one filled the others.
- `cosine`: to the true vector. Zeros have no direction: it counts as 0, \
neighbours as none.
- `neighbours`: share of the {NEIGHBOURS} tokens nearest to the true vector that are \
among the {NEIGHBOURS} nearest to the filled one.
- `norm`: median of the ratio to the true one.
- `CPU s`: of the whole build, from a source in memory; the wide one is a random \
projection.
"""

Vectors = npt.NDArray[np.float32]


class Filled(NamedTuple):
    """What a policy made of the hidden tokens, one after the other."""

    made: npt.NDArray[np.bool_]  # by the first policy of the chain
    cosines: npt.NDArray[np.float64]
    norms: npt.NDArray[np.float64]  # as shares of the true ones
    overlaps: npt.NDArray[np.float64]  # of some of them: shares of the true neighbours
    seconds: float  # of CPU time
    wide_seconds: float


def read(source: str) -> tuple[list[str], Vectors]:
    """Return all tokens and vectors of a source."""
    tokens: list[str] = []
    vectors: list[Vectors] = []
    with pe.open_vectors(source) as reader:
        for block in reader.blocks():
            tokens += block.tokens
            vectors.append(block.vectors)
    return tokens, np.concatenate(vectors)


def hide(count: int) -> npt.NDArray[np.int64]:
    """Return rows to hide, as many of each band, band after band.

    They are none of those by which the settings of the policies were chosen.
    """
    for_choice, for_test = (np.random.default_rng(seed) for seed in (CHOICE, SEED))
    hidden = []
    for low, high in BANDS.values():
        band = np.arange(low, min(high, count))
        seen = for_choice.choice(band, HIDDEN, replace=False)
        hidden.append(for_test.choice(np.setdiff1d(band, seen), HIDDEN, replace=False))
    return np.concatenate(hidden)


def fill(
    policy: str, tokens: list[str], vectors: Vectors, hidden: npt.NDArray[np.int64]
) -> tuple[pe.EmbeddingMatrix, float]:
    """Return the matrix of the hidden tokens and of one known, and the CPU seconds."""
    left = np.delete(np.arange(len(tokens)), hidden)
    packed = PackedTokens.pack(tokens[row] for row in left.tolist())
    known = tokens[left[0]]
    vocabulary = pe.Vocabulary(
        [*(tokens[row] for row in hidden.tolist()), known], pad=None
    )
    with TableReader("table", "memory", packed, vectors[left]) as reader:
        began = time.process_time()
        matrix = pe.build_matrix(vocabulary, reader, oov=policy)
        return matrix, time.process_time() - began


def neighbours(of: Vectors, among: Vectors) -> npt.NDArray[np.int64]:
    """Return the rows nearest by cosine, (len(of), NEIGHBOURS); ``among`` is unit."""
    nearest = [
        np.argpartition(some @ among.T, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        for some in np.array_split(unit(of), -(-len(of) // 64))
    ]
    return np.concatenate(nearest)


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors at length 1; zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)


def measure(tokens: list[str], vectors: Vectors) -> dict[str, Filled]:
    """Return what each policy makes of the hidden tokens."""
    hidden = hide(len(tokens))
    truth = vectors[hidden]
    left = unit(np.delete(vectors, hidden, axis=0))
    around = np.arange(len(hidden)) % HIDDEN < LOOKED_AROUND
    nearest = neighbours(truth[around], left)
    rng = np.random.default_rng(SEED)
    wide = vectors @ rng.normal(size=(vectors.shape[1], WIDE)).astype(np.float32)
    results = {}
    for policy in POLICIES:
        matrix, seconds = fill(policy, tokens, vectors, hidden)
        _, wide_seconds = fill(policy, tokens, wide, hidden)
        filled = matrix.vectors[: len(hidden)]
        pairs = zip(neighbours(filled[around], left), nearest, strict=True)
        spelled = matrix.origin[: len(hidden)] != pe.ledger.Origin.OOV
        norms = np.linalg.norm(filled, axis=1)
        results[policy] = Filled(
            spelled if "," in policy else np.ones(len(hidden), np.bool_),
            (unit(filled) * unit(truth)).sum(axis=1),
            norms / np.linalg.norm(truth, axis=1),
            np.array([len(np.intersect1d(a, b)) / NEIGHBOURS for a, b in pairs])
            * (norms[around] > 0),
            seconds,
            wide_seconds,
        )
        print(policy, f"{seconds:.2f} s, {results[policy].cosines.mean():.3f}")
    return results


def main() -> None:
    """Measure all, print the page and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default=pe.DEFAULT_SOURCE, help="the vectors")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    before, began = machine.load(), time.perf_counter()
    tokens, vectors = read(options.source)
    results = measure(tokens, vectors)
    now = datetime.now().astimezone()
    head = {
        "command": "python -m benchmarks.oov",
        "date": f"{now:%Y-%m-%d}",
        "time": f"{time.perf_counter() - began:.0f} s",
        **machine.describe(),
        "load before": before,
        "vectors": f"{options.source}, {len(tokens):,} x {vectors.shape[1]}",
        "hidden": f"{HIDDEN} tokens of each band of ranks, drawn with seed {SEED}; the "
        f"neighbours of {LOOKED_AROUND} of each; the settings of `parts` and `ngram` "
        "were chosen on other tokens",
    }
    page = _page(head, results)
    print(page)
    options.output.write_text(page)


def _page(head: dict[str, str], results: dict[str, Filled]) -> str:
    means = {
        policy: (
            f"{100 * filled.made.mean():.0f} %",
            f"{filled.cosines.mean():.3f}",
            f"{100 * filled.overlaps.mean():.1f} %",
            f"{np.median(filled.norms):.2f}",
            f"{filled.seconds:.2f}",
            f"{filled.wide_seconds:.2f}",
        )
        for policy, filled in results.items()
    }
    columns = (
        "made",
        "cosine",
        "neighbours",
        "norm",
        "CPU s",
        f"CPU s, {WIDE} columns",
    )
    return (
        f"# What fills rows best?\n\n{report.head(head)}\n{_LEGEND}\n"
        f"{_table(('policy', *columns), means)}\n"
        "## Cosine to the true vector by rank: mean (quartiles)\n\n"
        f"{_by_band(results, 'cosines', _spread)}\n"
        "## Shared neighbours by rank\n\n"
        f"{_by_band(results, 'overlaps', lambda part: f'{100 * part.mean():.1f} %')}\n"
        "## Norm by rank: median ratio\n\n"
        f"{_by_band(results, 'norms', lambda part: f'{np.median(part):.2f}')}"
    )


def _spread(part: npt.NDArray[np.float64]) -> str:
    low, middle, high = np.percentile(part, (25, 50, 75))
    return f"{part.mean():.3f} ({low:.2f}, {middle:.2f}, {high:.2f})"


def _by_band(
    results: dict[str, Filled],
    field: str,
    cell: Callable[[npt.NDArray[np.float64]], str],
) -> str:
    parts = {
        policy: tuple(map(cell, getattr(filled, field).reshape(len(BANDS), -1)))
        for policy, filled in results.items()
    }
    return _table(("policy", *BANDS), parts)


def _table(header: tuple[str, ...], rows: dict[str, tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header)]
    lines += [(f"`{name}`", *cells) for name, cells in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
