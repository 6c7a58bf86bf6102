"""What the parts of the benchmark share: running a job, drawing a line, a table."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.data import Files
from benchmarks.measure import ROOT, environment
from benchmarks.scale.job import Job, Outcome

#: A file larger than this is removed when it was measured.
KEPT = 4_500_000_000


class Section(NamedTuple):
    """A part of the page, and the figures that others are computed from."""

    title: str
    text: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Bench:
    """Where files are, and how much is done."""

    files: Files
    scratch: Path  # for what is written and goes
    quick: bool
    say: Callable[[str], None]
    size: int | None = None  # of what is measured, where that was asked for
    pairs: int = 5  # turns of what is measured in pairs
    old: Path | None = None  # another checkout, to measure beside this one

    def bytes(self, full: int, quick: int) -> int:
        """Return the size that is asked for, or the usual one."""
        return self.size or (quick if self.quick else full)

    def run(self, job: Job, tree: Path = ROOT) -> Outcome:
        """Run a job in a fresh process; what it wrote goes with the next one.

        ``tree`` is the checkout whose package builds.
        """
        command = [sys.executable, "-m", "benchmarks.scale.job"]
        # the buffers of numpy's linear algebra would count as memory of ours
        quiet = environment() | {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, json.dumps(asdict(job))],
            cwd=tree,
            env=quiet | {"PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [str(done.returncode)])[-1]
            return Outcome(failed=last[:200])
        return Outcome(**json.loads(done.stdout.splitlines()[-1]))

    def median(self, job: Job, runs: int) -> Outcome:
        """Run a job so often; the median of the seconds, the highest of the peaks."""
        outcomes = [self.run(job) for _ in range(1 if self.quick else runs)]
        for outcome in outcomes:
            if outcome.failed:
                return outcome
        return replace(
            outcomes[0],
            seconds=statistics.median(o.seconds for o in outcomes),
            cpu_seconds=statistics.median(o.cpu_seconds for o in outcomes),
            peak=max(o.peak for o in outcomes),
        )

    def remove(self, path: Path) -> None:
        """Remove a file that is too large to keep."""
        if path.stat().st_size > KEPT:
            path.unlink()

    def out(self, name: str = "m.npy") -> str:
        """Return the path of a matrix to write, with nothing there yet."""
        path = self.scratch / name
        path.unlink(missing_ok=True)
        return str(path)


class Straight(NamedTuple):
    """The line nearest to some points, by their relative distances from it."""

    fixed: float
    slope: float
    deviation: float  # the largest, as a share

    @classmethod
    def through(cls, x: Sequence[float], y: Sequence[float]) -> Straight:
        """Fit the line; small values count as much as large ones."""
        across, up = np.array(x, np.float64), np.array(y, np.float64)
        sides = np.stack([1 / up, across / up], axis=1)
        (fixed, slope), *_ = np.linalg.lstsq(sides, np.ones(len(up)), rcond=None)
        far = np.abs((fixed + slope * across) / up - 1)
        return cls(float(fixed), float(slope), float(far.max()))


def table(header: tuple[str, ...], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ("---",) * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float) -> str:
    """Return a number in three digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def megabytes(value: float) -> str:
    """Return bytes as megabytes."""
    return number(value / 1e6)
