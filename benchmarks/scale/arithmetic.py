"""From the measured figures to sizes that were not run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.scale.bench import Bench, Section, number, table

DIM = 200

_PROBE = 1 << 30
_CHUNK = 1 << 22


class Large(NamedTuple):
    """A job of `DIM` numbers a row, all rows wanted."""

    rows: int
    workers: int  # of one thread each

    @property
    def title(self) -> str:
        """What the column is called."""
        return f"{self.rows:,} x {DIM}, {self.workers} workers"

    @property
    def matrix(self) -> int:
        """Bytes of the matrix; what waits on the disk is as much again."""
        return self.rows * DIM * 4


JOBS = (Large(78_000_000, 2), Large(78_000_000, 100), Large(1_000_000_000, 100))


class Cost(NamedTuple):
    """What a token and a number of its row cost: seconds of CPU, or bytes."""

    token: float
    number: float = 0.0

    @classmethod
    def of(cls, figures: Mapping[str, float], name: str) -> Cost:
        """Take what was measured."""
        return cls(figures[f"{name} per token"], figures.get(f"{name} per number", 0.0))

    def all(self, job: Large) -> float:
        """Return what the rows of a job come to."""
        return job.rows * (self.token + DIM * self.number)


class Costs(NamedTuple):
    """What was measured on two workers."""

    caller: Cost  # CPU seconds
    worker: Cost  # CPU seconds that workers share
    own_index: Cost  # CPU seconds that each worker spends
    read: Cost  # bytes that workers share, of the source and of what waits
    written: Cost  # bytes that workers share, of what waits and of rows
    vocabulary: Cost  # bytes of memory of the caller, before the build
    peak: Cost  # bytes of memory of the caller, over that
    worker_peak: Cost  # bytes of memory of each worker

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> Costs:
        """Take what was measured; raises `KeyError` for what was not."""
        return cls(*(Cost.of(figures, name.replace("_", " ")) for name in cls._fields))


def arithmetic(bench: Bench, figures: Mapping[str, float]) -> Section:
    """Compute time, memory and disk of larger jobs from the figures of the parts."""
    title = "arithmetic: what larger jobs come to, by these figures"
    try:
        costs = Costs.of(figures)
    except KeyError as error:
        return Section(title, f"Not computed: no part gave {error}.\n", {})
    bench.say("arithmetic: the disk")
    write, read = disk(bench.scratch / "probe")
    inputs = [
        (f"`{name}`", f"{cost.token:.4g}", f"{cost.number:.4g}")
        for name, cost in costs._asdict().items()
    ]
    measured = (
        "Measured on two workers, in seconds of CPU and bytes, for each token, and "
        "beside that for each number of its row. Workers share `worker`, `read` and "
        "`written`; `own_index` and `worker_peak` are those of each.\n\n"
        + table(("input", "a token", "a number"), inputs)
        + f"\nThe disk writes {write / 1e9:.2f} GB/s and reads {read / 1e9:.2f}.\n\n"
    )
    columns = [column(job, costs, write, read) for job in JOBS]
    rows = [(name, *(one[name] for one in columns)) for name in columns[0]]
    header = ("", *(job.title for job in JOBS))
    return Section(title, measured + table(header, rows), {})


def column(job: Large, costs: Costs, write: float, read: float) -> dict[str, str]:
    """Return what a job comes to, in words."""
    index, share = costs.own_index.all(job), costs.worker.all(job) / job.workers
    caller = costs.caller.all(job)
    whole = index + share + caller
    moved = costs.read.all(job), costs.written.all(job)
    least = moved[0] / read + moved[1] / write
    disks = sum(moved) / (index + share) / job.workers
    return {
        "matrix; as much waits beside it": _size(job.matrix),
        "CPU time of each worker: its index": _time(index),
        "CPU time of each worker: scanning, making and writing rows": _time(share),
        "CPU time of the caller: plan, ledger, names": _time(caller),
        "sum, where the disk keeps up": _time(whole),
        "of which workers wait for the caller": f"{caller / whole:.0%}",
        "read, written by each worker": ", ".join(
            _size(x / job.workers) for x in moved
        ),
        "what a disk has to move for each worker": f"{disks / 1e6:.0f} MB/s",
        "time of one disk such as here, if nothing is cached": _time(least),
        "memory of each worker": _size(costs.worker_peak.all(job)),
        "memory of the caller: vocabulary, and the build over it": ", ".join(
            _size(cost.all(job)) for cost in (costs.vocabulary, costs.peak)
        ),
    }


def disk(path: Path) -> tuple[float, float]:
    """Return the bytes per second that a new file is written with, and read."""
    chunk = os.urandom(_CHUNK)
    started = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(_PROBE // _CHUNK):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        written = time.perf_counter() - started
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(_CHUNK):
            pass
    taken = time.perf_counter() - started
    path.unlink()
    return _PROBE / written, _PROBE / taken


def _size(count: float) -> str:
    return f"{number(count / 1e9)} GB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
