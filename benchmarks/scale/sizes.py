"""Cost against the size of the file, and against that of the vocabulary."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.scale import files
from benchmarks.scale.bench import (
    Bench,
    Section,
    Straight,
    megabytes,
    number,
    table,
)
from benchmarks.scale.job import Job, Outcome

_BYTES = (0.1e9, 0.3e9, 1e9, 3e9, 10e9)
_TOKENS = (10_000, 100_000, 1_000_000, 10_000_000, 20_000_000)
_QUICK_SHARE = 100

THREADS = {"1 thread": 1, "all threads": None}


def file_sizes(bench: Bench) -> Section:
    """Build the same matrix out of larger and larger files."""
    sizes = [round(size * bench.files.rows / 400_000) for size in _BYTES]
    wanted = bench.files.rows // 20
    tokens = files.first(bench.files, bench.files.repeated(sizes[0]), wanted)
    points: list[tuple[float, list[Outcome]]] = []
    for size in sizes:
        bench.say(f"file-size: {size / 1e9:.3g} GB")
        path = bench.files.repeated(size)
        job = Job(str(path), str(tokens), bench.out())
        runs = [
            bench.median(replace(job, threads=n), 5 if size < 2e9 else 3)
            for n in THREADS.values()
        ]
        points.append((path.stat().st_size, runs))
        bench.remove(path)
    rows = [
        (f"{size / 1e9:.3g}", *(cell for run in runs for cell in _per_byte(size, run)))
        for size, runs in points
    ]
    header = ("GB", *(f"{x}, {n}" for n in THREADS for x in ("s", "ns/byte", "MB")))
    text, figures = table(header, rows), {}
    for place, name in enumerate(THREADS):
        fit = _fit([(size, runs[place]) for size, runs in points])
        if fit is not None:
            figures[f"s per byte, {name}"] = fit.slope
            text += f"\nWith {name}: {_said(fit, 1e9, 'ns', 'byte')}\n"
    title = f"file-size: {wanted:,} tokens out of larger and larger files, x 300, text"
    return Section(title, text, figures)


def vocabulary_sizes(bench: Bench) -> Section:
    """Build larger and larger matrices out of one file of narrow vectors."""
    share = _QUICK_SHARE if bench.quick else 1
    sizes = [size // share for size in _TOKENS]
    path = files.narrow(bench.files, sizes[-1])
    points: list[tuple[float, Outcome]] = []
    for size in sizes:
        bench.say(f"vocabulary-size: {size:,} tokens")
        tokens = files.wanted(bench.files, sizes[-1], size)
        job = Job(str(path), str(tokens), bench.out())
        points.append((size, bench.median(job, 3 if size < 5e6 else 1)))
    header = (
        *("tokens", "s", "us/token over the smallest", "MB over vocabulary"),
        *("bytes/token", "index bytes/token", "vocabulary bytes/token"),
    )
    smallest = points[0][1]
    rows = [
        (f"{size:,}", *_per_token(size, run, size - points[0][0], smallest))
        for size, run in points
    ]
    text, figures = table(header, rows), {}
    time = _fit(points)
    if time is not None:
        largest = points[-1][1]
        memory = Straight.through(
            [size for size, _ in points], [run.peak for _, run in points]
        )
        figures = {
            "s per token": time.slope,
            "bytes per token": memory.slope,
            "index bytes per token": largest.index_bytes / largest.tokens,
            "vocabulary bytes per token": largest.vocabulary_bytes / largest.tokens,
        }
        text += f"\nTime: {_said(time, 1e6, 'us', 'token')}\n"
        text += (
            f"\nMemory over the vocabulary: {megabytes(memory.fixed)} MB and "
            f"{memory.slope:.0f} bytes for each token; no point is farther from that "
            f"than {memory.deviation:.0%}.\n"
        )
    title = (
        f"vocabulary-size: larger and larger vocabularies, of a file of {sizes[-1]:,} "
        f"x {files.NARROW}, {path.stat().st_size / 1e9:.2g} GB of text"
    )
    return Section(title, text, figures)


def _per_byte(size: float, run: Outcome) -> tuple[str, ...]:
    if run.failed:
        return run.failed, "-", "-"
    return number(run.seconds), f"{run.seconds / size * 1e9:.3f}", megabytes(run.peak)


def _per_token(
    size: int, run: Outcome, more: int, smallest: Outcome
) -> tuple[str, ...]:
    if run.failed:
        return (run.failed, *["-"] * 5)
    slope = f"{(run.seconds - smallest.seconds) / more * 1e6:.2f}" if more else "-"
    bytes_each = (run.peak, run.index_bytes, run.vocabulary_bytes)
    each = (number(count / size) for count in bytes_each)
    return number(run.seconds), slope, megabytes(run.peak), *each


def _fit(points: list[tuple[float, Outcome]]) -> Straight | None:
    good = [(size, run.seconds) for size, run in points if not run.failed]
    if len(good) < 3:
        return None
    return Straight.through([x for x, _ in good], [y for _, y in good])


def _said(line: Straight, factor: float, unit: str, thing: str) -> str:
    return (
        f"{line.fixed:.3f} s and {line.slope * factor:.3g} {unit} for each {thing}; "
        f"no point is farther from that line than {line.deviation:.0%}."
    )
