"""From the measured figures to sizes that were not run."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.scale.bench import Bench, Section, number, table

DIM = 200
#: Of text: a token, and a number of five digits with its sign, point and space.
_TOKEN_BYTES, _NUMBER_BYTES = 10, 7

_PROBE = 1 << 30
_CHUNK = 1 << 22

_ONE, _ALL = "s per byte, 1 thread", "s per byte, all threads"


class Job(NamedTuple):
    """Rows of `DIM` numbers, all of them wanted."""

    title: str
    rows: int
    workers: int

    @property
    def text(self) -> int:
        """Bytes of text."""
        return self.rows * (_TOKEN_BYTES + DIM * _NUMBER_BYTES)

    @property
    def matrix(self) -> int:
        """Bytes of the matrix; what is spilled is as much, and its tokens."""
        return self.rows * DIM * 4


JOBS = (
    Job("78,000,000 x 200, this machine", 78_000_000, 1),
    Job("1,000,000,000 x 200, 100 workers", 1_000_000_000, 100),
)


def arithmetic(bench: Bench, figures: Mapping[str, float]) -> Section:
    """Compute time, memory and disk of larger jobs from the figures of the parts."""
    title = "arithmetic: what larger jobs come to, by these figures"
    needed = (
        _ONE,
        _ALL,
        "s per token",
        "bytes per token",
        "s",
        "index bytes per token",
    )
    missing = [name for name in needed if name not in figures]
    if missing:
        said = f"Not computed: the parts that give {', '.join(missing)} did not run.\n"
        return Section(title, said, {})
    bench.say("arithmetic: the disk")
    write, read = disk(bench.scratch / "probe")
    number_cost = _number_cost(figures)
    facts = (
        f"Measured: {figures[_ONE] * 1e9:.3f} ns a byte on one thread and "
        f"{figures[_ALL] * 1e9:.3f} on all; {figures['s per token'] * 1e6:.2f} us a "
        f"wanted token of {8} numbers; {number_cost * 1e9:.1f} ns more for each number "
        f"of a wanted row, spilling and writing included; a disk that writes "
        f"{write / 1e9:.2f} and reads {read / 1e9:.2f} GB/s.\n\n"
    )
    header = ("", *(job.title for job in JOBS))
    columns = [_column(job, figures, number_cost, write, read) for job in JOBS]
    names = list(columns[0])
    rows = [(name, *(column[name] for column in columns)) for name in names]
    return Section(title, facts + table(header, rows), {})


def _column(
    job: Job, figures: Mapping[str, float], each: float, write: float, read: float
) -> dict[str, str]:
    per_byte = figures[_ALL] if job.workers == 1 else figures[_ONE]
    scan = job.text * per_byte / job.workers
    tokens = job.rows * figures["s per token"] / job.workers
    numbers = job.rows * DIM * each / job.workers
    index = job.rows * figures["index bytes per token"]
    vocabulary = job.rows * figures["vocabulary bytes per token"]
    disk_time = (job.text + job.matrix) / read + 2 * job.matrix / write
    return {
        "text": _size(job.text),
        "matrix, and the spilled rows again": f"2 x {_size(job.matrix)}",
        "scan": _time(scan),
        "tokens": _time(tokens),
        "numbers": _time(numbers),
        "disk, if nothing is cached": _time(disk_time / job.workers),
        "sum, nothing at the same time": _time(
            scan + tokens + numbers + disk_time / job.workers
        ),
        "index, in each worker": _size(index),
        "vocabulary, where it is called": _size(vocabulary),
    }


def _number_cost(figures: Mapping[str, float]) -> float:
    """Return the seconds that a number of a wanted row costs, by the limited build."""
    rest = (
        figures["s"]
        - figures["bytes"] * figures[_ALL]
        - figures["tokens"] * figures["s per token"]
    )
    return max(rest, 0.0) / (figures["tokens"] * 300)


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
