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
_MEASURED_DIM = 300  # of the parts that want all rows

_PROBE = 1 << 30
_CHUNK = 1 << 22


class Large(NamedTuple):
    """A job of `DIM` numbers a row, all rows wanted."""

    title: str
    rows: int
    scans: int  # at the same time, each of one thread

    @property
    def text(self) -> int:
        """Bytes of text."""
        return self.rows * (_TOKEN_BYTES + DIM * _NUMBER_BYTES)

    @property
    def matrix(self) -> int:
        """Bytes of the matrix; what waits on the disk is as much again."""
        return self.rows * DIM * 4


JOBS = (
    Large("78,000,000 x 200, 2 threads", 78_000_000, 2),
    Large("1,000,000,000 x 200, 100 workers", 1_000_000_000, 100),
)


class Costs(NamedTuple):
    """Seconds and bytes of one of each, computed from what was measured."""

    byte: float  # s to scan
    found: float  # s for each number of a wanted row, in the process that scans
    token: float  # s, in the process that calls
    row_number: float  # s for each number of a row, there
    token_memory: float  # bytes of vocabulary and build, there
    token_index: float  # bytes, in each process that scans

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> Costs:
        """Part the work that two processes share from that of the one that calls.

        With scans S and the rest R, one process takes S + R and two take S/2 + R.
        """
        one, two = figures["s, 1 processes"], figures["s, 2 processes"]
        scans, rest = 2 * (one - two), 2 * two - one
        numbers = figures["rows"] * _MEASURED_DIM
        byte, token = figures["s per byte, 1 thread"], figures["s per token"]
        return cls(
            byte=byte,
            found=max(0.0, scans - figures["bytes"] * byte) / numbers,
            token=token,
            row_number=max(0.0, rest - figures["rows"] * token) / numbers,
            token_memory=figures["bytes per token"]
            + figures["vocabulary bytes per token"],
            token_index=figures["index bytes per token"],
        )


def arithmetic(bench: Bench, figures: Mapping[str, float]) -> Section:
    """Compute time, memory and disk of larger jobs from the figures of the parts."""
    title = "arithmetic: what larger jobs come to, by these figures"
    try:
        costs = Costs.of(figures)
    except KeyError as error:
        return Section(title, f"Not computed: no part gave {error}.\n", {})
    bench.say("arithmetic: the disk")
    write, read = disk(bench.scratch / "probe")
    measured = (
        f"Where it is scanned: {costs.byte * 1e9:.2f} ns for each byte and "
        f"{costs.found * 1e9:.2f} ns for each number of a wanted row. Where it is "
        f"called: {costs.token * 1e6:.2f} us for each token and "
        f"{costs.row_number * 1e9:.2f} ns for each number of its row. The disk writes "
        f"{write / 1e9:.2f} GB/s and reads {read / 1e9:.2f}.\n\n"
    )
    columns = [_column(job, costs, write, read) for job in JOBS]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    header = ("", *(job.title for job in JOBS))
    return Section(title, measured + table(header, rows), {})


def _column(job: Large, costs: Costs, write: float, read: float) -> dict[str, str]:
    numbers = job.rows * DIM
    scans = (job.text * costs.byte + numbers * costs.found) / job.scans
    rest = job.rows * costs.token + numbers * costs.row_number
    one_disk = (job.text + job.matrix) / read + 2 * job.matrix / write
    return {
        "text": _size(job.text),
        "on the disk: rows that wait, and the matrix": f"2 x {_size(job.matrix)}",
        "time of the scans, side by side": _time(scans),
        "time of the process that calls, after them": _time(rest),
        "sum": _time(scans + rest),
        "of which workers wait": f"{rest / (scans + rest):.0%}",
        "time of one such disk, if nothing is cached": _time(one_disk),
        "index, in each process that scans": _size(job.rows * costs.token_index),
        "vocabulary and build, where it is called": _size(
            job.rows * costs.token_memory
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
