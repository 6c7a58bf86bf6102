"""Beyond memory: a matrix larger than what a process may have, and scans again."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.scale import files
from benchmarks.scale.bench import Bench, Section, megabytes, number, table
from benchmarks.scale.job import Job, Outcome

_FILE, _QUICK_FILE = 10_000_000_000, 1_000_000_000

#: How many times as large as the memory of its process a matrix is; with a small file
#: what any process needs weighs more.
_TIMES, _QUICK_TIMES = 3, 1.5

#: What a build reckons that a token takes in an index, in bytes.
_RECKONED = 48


def limited(bench: Bench) -> Section:
    """Build a matrix in a process that may have a part of its size."""
    size = _QUICK_FILE if bench.quick else _FILE
    path = bench.files.repeated(size)
    tokens = files.first(bench.files, path)
    job = Job(str(path), str(tokens), digest=True)
    bench.say("limited: in memory, without a limit")
    free = bench.run(job)
    matrix = free.tokens * 300 * 4
    limit = int(matrix / (_QUICK_TIMES if bench.quick else _TIMES))
    bench.say(f"limited: written, within {limit / 1e6:.0f} MB")
    written = replace(job, out=bench.out(), limit=limit, memory=limit // 2)
    kept = bench.run(written)
    bench.say("limited: in memory, within the same")
    refused = bench.run(replace(job, limit=limit))
    bench.remove(path)

    rows = [
        ("in memory", "none", *_cells(free), "what the other is held against"),
        ("`out=`", megabytes(limit), *_cells(kept), _same(kept, free)),
        ("in memory", megabytes(limit), *_cells(refused), _same(refused, free)),
    ]
    header = ("matrix", "may have MB", "s", "CPU s", "MB over vocabulary", "answer")
    title = (
        f"limited: all {free.tokens:,} x 300 of a text of {size / 1e9:.3g} GB, a "
        f"matrix of {matrix / 1e9:.3g} GB"
    )
    said = "\nWhat a process may have is its private memory (`RLIMIT_DATA`).\n"
    return Section(title, table(header, rows) + said, {})


def scans(bench: Bench) -> Section:
    """Build one matrix in one scan, and in several with a smaller index each."""
    size = _QUICK_FILE // 4 if bench.quick else _QUICK_FILE
    path = bench.files.repeated(size)
    tokens = files.first(bench.files, path)
    job = Job(str(path), str(tokens), digest=True)
    bench.say("scans: one")
    one = bench.median(replace(job, out=bench.out()), 3)
    rows = [("all there is", "1", *_cells(one), "what the others are held against")]
    for share in (2, 4, 8):
        allowed = _RECKONED * one.tokens // share
        bench.say(f"scans: within {allowed / 1e6:.0f} MB")
        run = bench.median(replace(job, out=bench.out(), memory=allowed), 3)
        made = f"{run.bytes_read / path.stat().st_size:.1f}"
        rows.append((f"{allowed / 1e6:.3g} MB", made, *_cells(run), _same(run, one)))
    header = ("`memory=`", "scans", "s", "CPU s", "MB over vocabulary", "answer")
    title = f"scans: one scan of {size / 1e9:.3g} GB that spills what it finds, or more"
    return Section(title, table(header, rows), {})


def _cells(run: Outcome) -> tuple[str, ...]:
    if run.failed:
        return "-", "-", "-"
    return number(run.seconds), number(run.cpu_seconds), megabytes(run.peak)


def _same(run: Outcome, other: Outcome) -> str:
    if run.failed:
        return f"no result: {run.failed}"
    return "same" if run.digest == other.digest else "**other numbers**"
