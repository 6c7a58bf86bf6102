"""One file, in one process and on several, and what each token and number costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from benchmarks.scale import files
from benchmarks.scale.bench import Bench, Section, megabytes, number, table
from benchmarks.scale.job import DASK, POOL, Job, Outcome

_FILE, _QUICK_FILE = 4_000_000_000, 100_000_000
_TOKENS, _QUICK_TOKENS = (2_000_000, 8_000_000), (250_000, 1_000_000)
_WIDE = 300  # columns of the file

_ONE, _TWO = "one process, 1 thread", "`ProcessPoolExecutor`, 2 workers of 1 thread"
_PAIRS = 3


def workers(bench: Bench) -> Section:
    """Build the same matrix in one process, by a pool and by Dask, in turns."""
    size = _QUICK_FILE if bench.quick else _FILE
    path = bench.files.repeated(size)
    job = Job(str(path), str(files.first(bench.files, path)), threads=1, digest=True)
    jobs = {
        _ONE: job,
        _TWO: replace(job, engine=POOL, workers=2),
        "Dask, 1 worker of 1 thread": replace(job, engine=DASK, workers=1),
        "Dask, 2 workers of 1 thread": replace(job, engine=DASK, workers=2),
    }
    runs: dict[str, list[Outcome]] = {name: [] for name in jobs}
    for turn in range(_PAIRS):
        for name, asked in jobs.items():
            if turn and bench.quick and asked.engine == DASK:
                continue  # it takes longer to start than to work
            bench.say(f"workers: {name}")
            runs[name].append(bench.run(replace(asked, out=bench.out())))
    rows = [_row(name, those, runs[_ONE]) for name, those in runs.items()]
    header = (
        *("who works", "s", "times as fast as the first, turn by turn", "CPU s of all"),
        *("of the caller", "of the busiest worker", "its MB read, written"),
        *("MB over vocabulary, caller", "busiest worker", "answer"),
    )
    title = f"workers: all rows of a text of {size / 1e9:.3g} GB, written with `out=`"
    said = (
        "\nWorkers are there before the clock starts. All is the median of "
        f"{_PAIRS} turns, of Dask in a quick run one turn. What is written are the "
        "rows that wait, and the matrix.\n\n"
    )
    text = table(header, rows) + said
    if any(run.failed for run in runs[_TWO]):
        return Section(title, text, {})
    points = [_tokens(bench, count) for count in _counts(bench)]
    if any(run.failed for run in points):
        return Section(title, text, {})
    costs = _figures(points, _middle(runs[_TWO]))
    narrow = (
        *("tokens", "CPU s of the caller", "of all workers", "to make an index"),
        *("MB over vocabulary, caller", "busiest worker"),
    )
    cells = [
        (
            f"{run.tokens:,}",
            *map(number, (run.cpu_seconds, run.all_workers("cpu"), run.index_seconds)),
            *map(megabytes, (run.peak, run.most("peak"))),
        )
        for run in points
    ]
    text += f"All rows of narrower texts, x {files.NARROW}, on 2 workers:\n\n"
    return Section(title, text + table(narrow, cells), costs)


def _counts(bench: Bench) -> tuple[int, int]:
    return _QUICK_TOKENS if bench.quick else _TOKENS


def _tokens(bench: Bench, count: int) -> Outcome:
    """Build all rows of a file of narrow vectors, on two workers."""
    path = files.narrow(bench.files, count)
    tokens = files.first(bench.files, path)
    job = Job(str(path), str(tokens), threads=1, engine=POOL, workers=2)
    bench.say(f"workers: {count:,} tokens")
    return _middle([bench.run(replace(job, out=bench.out())) for _ in range(_PAIRS)])


def _middle(runs: list[Outcome]) -> Outcome:
    """Return the run whose CPU seconds are the median, or one that failed."""
    ordered = sorted(runs, key=lambda run: run.cpu_seconds + run.all_workers("cpu"))
    return next((run for run in runs if run.failed), ordered[len(runs) // 2])


def _row(name: str, runs: list[Outcome], first: list[Outcome]) -> tuple[str, ...]:
    run = _middle(runs)
    if run.failed:
        return name, *["-"] * 8, f"no result: {run.failed}"
    pairs = [a.seconds / b.seconds for a, b in zip(first, runs, strict=False)]
    moved = ", ".join(megabytes(run.most(what)) for what in ("read", "written"))
    same = {one.digest for one in (*runs, *first)} == {run.digest}
    return (
        name,
        number(statistics.median(one.seconds for one in runs)),
        f"{statistics.median(pairs):.2f}",
        number(run.cpu_seconds + run.all_workers("cpu")),
        number(run.cpu_seconds),
        number(run.most("cpu")),
        moved,
        megabytes(run.peak),
        megabytes(run.most("peak")),
        "same bytes" if same else "**other numbers**",
    )


class _Line(NamedTuple):
    """What is always there, and what comes with each row, by two builds."""

    fixed: float
    row: float

    @classmethod
    def of(
        cls, few: Mapping[str, float], many: Mapping[str, float], name: str
    ) -> _Line:
        more = many["rows"] - few["rows"]
        row = max(0.0, (many[name] - few[name]) / more)
        return cls(few[name] - row * few["rows"], row)


def _facts(run: Outcome) -> dict[str, float]:
    every = run.index_seconds * len(run.workers)  # each worker makes an index
    return {
        "rows": run.tokens,
        "caller": run.cpu_seconds,
        "worker": run.all_workers("cpu") - every,
        "read": run.all_workers("read"),
        "written": run.all_workers("written"),
        "peak": run.peak,
        "worker peak": run.most("peak"),
        "own index": run.index_seconds,
        "index bytes": run.index_bytes,
        "vocabulary": run.vocabulary_bytes,
    }


def _figures(points: list[Outcome], wide: Outcome) -> dict[str, float]:
    """Return what a token, a row and a number of it cost, from narrow and wide rows."""
    few, many, whole = (_facts(run) for run in (*points, wide))
    lines = {name: _Line.of(few, many, name) for name in few if name != "rows"}
    figures = {f"{name} per token": line.row for name, line in lines.items()}
    for name in ("caller", "worker", "read", "written"):
        line = lines[name]
        each = (whole[name] - line.fixed) / whole["rows"]
        more = max(0.0, (each - line.row) / (_WIDE - files.NARROW))
        figures[f"{name} per number"] = more
        figures[f"{name} per token"] = max(0.0, line.row - more * files.NARROW)
    return figures
