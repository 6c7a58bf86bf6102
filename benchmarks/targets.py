"""What the package sets out to reach, and whether a run reached it."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.measure import Result
from benchmarks.peers.floors import READ
from benchmarks.peers.libraries import GENSIM, REACH
from benchmarks.peers.loops import KERAS
from benchmarks.peers.ours import ALL, EXAMINE, STREAM
from benchmarks.peers.tables import POLARS_READ, POLARS_SCAN, PYARROW

Results = dict[str, list[Result]]  # by name of workload

_POLARS = (POLARS_SCAN, POLARS_READ)
_FLOORS = {(READ,): "the read", (STREAM,): "the parse of all rows, by examine"}
_MEMORY = 64e6


class Target(NamedTuple):
    """A ratio of medians between one of our calls and the fastest of some peers."""

    workload: str
    peers: tuple[str, ...]
    factor: float
    ours: str = ALL

    @property
    def is_floor(self) -> bool:
        """Whether we may take ``factor`` times as long, not be so much faster."""
        return self.peers in _FLOORS


TARGETS = (
    Target("text-300", (READ,), 1.5),
    Target("text-300", (KERAS,), 200),
    Target("text-300", (GENSIM,), 700),
    Target("text-300", (REACH,), 20),
    Target("text-300", _POLARS, 25),
    Target("text-50", (READ,), 3),
    Target("all-300", (READ,), 10),
    Target("all-300", (GENSIM,), 150),
    Target("all-300", _POLARS, 4),
    Target("all-300", (PYARROW,), 4),
    Target("all-300", (STREAM,), 2, EXAMINE),
    Target("binary-300", (READ,), 2),
    Target("binary-300", (f"{GENSIM}, binary",), 100),
)


class Line(NamedTuple):
    """A line of the table."""

    workload: str
    to_reach: str
    reached: str
    verdict: str


def lines(results: Results) -> list[Line]:
    """Return the table, for the workloads that ran."""
    table = [
        _speed(target, results) for target in TARGETS if target.workload in results
    ]
    return [*table, *_memory(results)]


def _speed(target: Target, results: Results) -> Line:
    ours = _ours(results[target.workload], target.ours)
    theirs = [
        result.median
        for result in results[target.workload]
        if result.run.peer in target.peers and result.samples
    ]
    name = target.peers[0].partition(",")[0]
    if target.is_floor:
        to_reach = f"at most {target.factor:g} x {_FLOORS[target.peers]}"
    else:
        to_reach = f"{target.factor:g} x faster than {name}"
    if ours is None or not theirs:
        return Line(target.workload, to_reach, "not run", "-")
    if target.is_floor:
        ratio = ours.median / min(theirs)
        good, reached = ratio <= target.factor, f"{ratio:.2f} x"
    else:
        ratio = min(theirs) / ours.median
        good, reached = ratio >= target.factor, f"{ratio:.0f} x"
    return Line(target.workload, to_reach, reached, _verdict(good))


def _memory(results: Results) -> list[Line]:
    """Return a line for the workload that needed most."""
    over = {
        workload: ours.peak_over_answer
        for workload, runs in results.items()
        if (ours := _ours(runs)) is not None
    }
    if not over:
        return []
    workload = max(over, key=over.__getitem__)
    return [
        Line(
            f"{workload}, the worst of {len(over)}",
            f"at most {_MEMORY / 1e6:.0f} MB over matrix and vocabulary",
            f"{over[workload] / 1e6:.1f} MB",
            _verdict(over[workload] <= _MEMORY),
        )
    ]


def _ours(runs: list[Result], peer: str = ALL) -> Result | None:
    found = (result for result in runs if result.run.peer == peer and result.samples)
    return next(found, None)


def _verdict(good: bool) -> str:
    return "yes" if good else "**no**"
