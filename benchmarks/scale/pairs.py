"""Two ways of doing the same, in turns: what a second worker and this release gain.

Each part is one figure: ``python -m benchmarks.scale --only pool --size 4e9``. Beside
the seconds of the clock stand those of CPU, of the caller and of all workers.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import ROOT
from benchmarks.scale import files
from benchmarks.scale.bench import Bench, Section, megabytes, number, table
from benchmarks.scale.job import DASK, POOL, Job, Outcome

_PIECE = 1 << 22
_ROW = 4 * 300  # bytes of a row of the matrix

#: What a matrix is in bytes, and what its process may have.
_MATRIX, _LIMIT = 4_700_000_000, 1_600_000_000
#: Less no process can do with.
_LEAST = 500_000_000

#: A program that parses all rows, or makes a store of them, as its argument says.
_STORE = """
import sys, tempfile, time
import pretrained_embed as pe
what, path, scratch = sys.argv[1:]
with tempfile.TemporaryDirectory(dir=scratch) as cache:
    library = pe.Library(cache_dir=cache)
    begun, spent = time.perf_counter(), time.process_time()
    if what == "store":
        library.index(path)
    else:
        with pe.open_vectors(path, library=pe.Library(stores=False)) as reader:
            for _ in reader.packed_blocks(threads=1 if what == "parse-1" else None):
                pass
    seconds = time.perf_counter() - begun
    print(seconds, time.process_time() - spent)
"""


class Took(NamedTuple):
    """One run: seconds of the clock, of CPU, and what the answer is known by."""

    seconds: float
    caller: float = 0.0
    workers: float = 0.0
    answer: str = ""
    peak: int = 0
    failed: str = ""

    @classmethod
    def of(cls, run: Outcome) -> Took:
        """Return what a job took."""
        return cls(
            *(run.seconds, run.cpu_seconds, run.all_workers("cpu")),
            *(run.digest, run.peak, run.failed),
        )


def pool(bench: Bench) -> Section:
    """Build all rows of a text in one process, and by a pool of two."""
    path = bench.files.repeated(bench.bytes(4_000_000_000, 100_000_000))
    job = _all_rows(bench, path)
    with Path(job.vocabulary).open("rb") as lines:
        rows = sum(1 for _ in lines)
    ways = {
        "one process, 1 thread": lambda: _built(bench, job),
        "pool of 2 processes": lambda: _built(bench, job, POOL, 2),
        "1 plain process": lambda: _plain(bench, path, rows, 1),
        "2 plain processes": lambda: _plain(bench, path, rows, 2),
    }
    said = (
        "\nPlain processes read the bytes of the text and write as many as the matrix "
        "has; they parse nothing. Wanted: the second 1.7 times as fast as the first, "
        "or 0.9 of what the second plain process gains, whichever is less.\n"
    )
    return _section(bench, "pool", path, ways, said)


def dask(bench: Bench) -> Section:
    """Build all rows of a text by one worker of Dask, and by two."""
    path = bench.files.repeated(bench.bytes(4_000_000_000, 100_000_000))
    job = _all_rows(bench, path)
    ways = {
        "Dask, 1 worker": lambda: _built(bench, job, DASK, 1),
        "Dask, 2 workers": lambda: _built(bench, job, DASK, 2),
    }
    return _section(bench, "dask", path, ways, "\nWanted: 1.6 times as fast.\n")


def caller(bench: Bench) -> Section:
    """Build narrow rows by a pool: what the caller needs over the vocabulary."""
    rows = bench.bytes(20_000_000, 250_000)
    path = files.narrow(bench.files, rows)
    job = replace(_all_rows(bench, path), digest=False)
    ways = {"pool of 2 processes": lambda: _built(bench, job, POOL, 2)}
    said = "\n`--size` is the number of rows. Wanted: 500 MB at 20,000,000.\n"
    return _section(bench, f"caller: {rows:,} x {files.NARROW},", path, ways, said)


def within(bench: Bench) -> Section:
    """Build a matrix in a process that may have a third of it; ``--old`` beside."""
    size = bench.bytes(_MATRIX, _MATRIX // 20)
    path = bench.files.repeated(int(size * 2.1))  # five digits a number
    limit = max(size * _LIMIT // _MATRIX, _LEAST)
    job = replace(_all_rows(bench, path), threads=None, limit=limit, memory=limit // 2)
    ways = {"this tree": lambda: _built(bench, job)}
    if bench.old is not None:
        ways = {"the old tree": lambda: _built(bench, job, old=True), **ways}
    said = (
        f"\n`--size` is about that of the matrix; the process may have {limit:,} bytes "
        "of private memory. Wanted: at most 0.65 of the time of commit 0f0e8c0, whose "
        "checkout, with its kernel built, is given as `--old`.\n"
    )
    return _section(bench, "within", path, ways, said)


def store(bench: Bench) -> Section:
    """Make a store of a text, and parse all of its rows."""
    path = bench.files.repeated(bench.bytes(1_000_000_000, 100_000_000))
    ways = {
        name: lambda what=what: _timed(bench, what, path)  # type: ignore[misc]  # mypy takes no default of a lambda for one
        for name, what in (
            ("all rows parsed, 1 thread", "parse-1"),
            ("all rows parsed", "parse"),
            ("a store made", "store"),
        )
    }
    said = "\nWanted: the store in at most 2 times the parse, 0.5 below.\n"
    return _section(bench, "store", path, ways, said)


def _all_rows(bench: Bench, path: Path) -> Job:
    tokens = files.first(bench.files, path)
    return Job(str(path), str(tokens), threads=1, digest=True)


def _built(
    bench: Bench, job: Job, engine: str = "", workers: int = 0, *, old: bool = False
) -> Took:
    asked = replace(job, out=bench.out(), engine=engine, workers=workers)
    return Took.of(bench.run(asked, bench.old if old and bench.old else ROOT))


def _plain(bench: Bench, path: Path, rows: int, processes: int) -> Took:
    """Read a file and write the bytes of its matrix, a share by each process."""
    out = Path(bench.out("plain"))
    with out.open("wb") as file:
        file.truncate(rows * _ROW)
    sizes = path.stat().st_size, rows * _ROW
    shares = [
        (
            str(path),
            str(out),
            *(size * n // processes for size in sizes for n in (k, k + 1)),
        )
        for k in range(processes)
    ]
    with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
        [*executor.map(time.sleep, [0.5] * processes)]  # each has started
        begun = time.perf_counter()
        spent = [*executor.map(_copied, shares)]
        seconds = time.perf_counter() - begun
    out.unlink()
    return Took(seconds, 0.0, sum(spent))


def _copied(share: tuple[str, str, int, int, int, int]) -> float:
    """Read a part of one file, write a part of another; return the seconds of CPU."""
    source, target, begin, end, first, last = share
    started, piece = time.process_time(), bytearray(_PIECE)
    with Path(source).open("rb", buffering=0) as file:
        file.seek(begin)
        while begin < end and (read := file.readinto(piece)):
            begin += read
    piece[:] = os.urandom(1 << 12) * (_PIECE >> 12)
    with Path(target).open("r+b", buffering=0) as file:
        file.seek(first)
        while first < last:
            first += file.write(memoryview(piece)[: last - first])
    return time.process_time() - started


def _timed(bench: Bench, what: str, path: Path) -> Took:
    done = subprocess.run(
        [sys.executable, "-c", _STORE, what, str(path), str(bench.scratch)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return Took(0.0, failed=done.stderr.strip()[-200:])
    seconds, cpu = map(float, done.stdout.split())
    return Took(seconds, cpu)


def _section(
    bench: Bench,
    name: str,
    path: Path,
    ways: Mapping[str, Callable[[], Took]],
    said: str,
) -> Section:
    """Run all ways in turns, and put them beside the first."""
    runs: dict[str, list[Took]] = {way: [] for way in ways}
    for turn in range(bench.pairs):
        for way, run in ways.items():
            bench.say(f"{name} turn {turn + 1}: {way}")
            runs[way].append(run())
    first, *_ = runs.values()
    header = (
        *("", "s, median", "s, each", "times as fast as the first, turn by turn"),
        *("CPU s of the caller", "of all workers", "MB over vocabulary", "answer"),
    )
    rows = [(way, *_cells(took, first)) for way, took in runs.items()]
    size = path.stat().st_size / 1e9
    title = f"{name} of a text of {size:.3g} GB, {bench.pairs} turns"
    return Section(title, table(header, rows) + said, {})


def _cells(runs: list[Took], first: list[Took]) -> tuple[str, ...]:
    failed = [run.failed for run in (*runs, *first) if run.failed]
    if failed:
        return *["-"] * 6, f"no result: {failed[0]}"
    same = {run.answer for run in (*runs, *first) if run.answer}
    gains = [one.seconds / run.seconds for one, run in zip(first, runs, strict=True)]
    return (
        number(statistics.median(run.seconds for run in runs)),
        " ".join(number(run.seconds) for run in runs),
        f"{statistics.median(gains):.2f}",
        number(statistics.median(run.caller for run in runs)),
        number(statistics.median(run.workers for run in runs)),
        megabytes(max(run.peak for run in runs)),
        "same bytes" if len(same) < 2 else "**other numbers**",
    )
