"""A run as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from benchmarks import targets
from benchmarks.measure import Result
from benchmarks.peers.floors import INFLATE, READ
from benchmarks.peers.ours import ALL, ONE
from benchmarks.startup import NUMPY, OURS, USED, Startup
from benchmarks.workloads import Workload

_HEADER = (
    "loader",
    "median s",
    "min - max s",
    "runs",
    "first call s",
    "import s",
    "CPU s",
    "x read",
    "x ours",
    "MB over matrix",
    "answer",
)

_OTHER_TIMES = ("first_seconds", "import_seconds", "cpu_seconds")


def head(facts: dict[str, str]) -> str:
    """Return the facts about a run as a list."""
    return "".join(f"- {name}: {value}\n" for name, value in facts.items())


def workloads(measured: list[tuple[Workload, list[Result]]]) -> str:
    """Return a table for each workload, and one for each series of them."""
    parts = []
    for series, group in groupby(measured, key=lambda pair: pair[0].series):
        if series:
            parts.append(_series(series, list(group)))
        else:
            parts += [_workload(workload, results) for workload, results in group]
    return "\n".join(parts)


def reached(results: targets.Results) -> str:
    """Return the table of what was to be reached."""
    table = targets.lines(results)
    if not table:
        return ""
    header = ("workload", "to reach", "reached", "yes or no")
    return "## To reach, and reached\n\n" + _table(header, table)


def startup(measured: list[Startup]) -> str:
    """Return the table of imports and small jobs."""
    medians = {item.name: item.median for item in measured}
    rows = [
        (
            item.name,
            _ms(item.median),
            f"{_ms(item.seconds[0])} - {_ms(item.seconds[-1])}",
        )
        for item in measured
    ]
    return (
        "## startup: imports, and a small job in a whole process\n\n"
        + _table(("what", "median ms", "min - max ms"), rows)
        + "".join(
            f"\n`{name}` takes {medians[name] / medians[NUMPY]:.2f} times `{NUMPY}`.\n"
            for name in (OURS, USED)
        )
    )


def _workload(workload: Workload, results: list[Result]) -> str:
    read, ours = _median(results, READ), _median(results, ALL)
    ranked = sorted(results, key=lambda r: (not r.samples, r.samples and r.median))
    rows = [_row(result, read, ours) for result in ranked]
    return f"## {workload.name}: {workload.title}\n\n" + _table(_HEADER, rows)


def _row(result: Result, read: float | None, ours: float | None) -> tuple[str, ...]:
    name = result.run.peer
    if not result.samples:
        return (name, *["-"] * 9, f"no result: {result.failed}")
    times = result.seconds
    return (
        name,
        _number(result.median),
        f"{_number(times[0])} - {_number(times[-1])}",
        str(len(times)),
        *(_number(result.median_of(field)) for field in _OTHER_TIMES),
        _ratio(result.median, read),
        _ratio(result.median, ours),
        f"{result.peak_over_answer / 1e6:.0f}",
        result.answer or ("none" if name in (READ, INFLATE) else "not checked"),
    )


def _series(name: str, group: list[tuple[Workload, list[Result]]]) -> str:
    header = (
        "",
        "read alone s",
        f"{ONE} s",
        f"{ALL} s",
        "x read",
        "GB/s",
        "MB over matrix",
        "answers",
    )
    rows = []
    for workload, results in group:
        read, one, all_ = (_median(results, peer) for peer in (READ, ONE, ALL))
        ours = next(result for result in results if result.run.peer == ALL)
        if read is None or one is None or all_ is None:
            rows.append((workload.title, *["-"] * 6, ours.failed))
            continue
        size = ours.run.file.stat().st_size
        answers = {r.answer for r in results if r.run.peer == ONE}
        rows.append(
            (
                workload.title,
                *map(_number, (read, one, all_)),
                _ratio(all_, read),
                f"{size / all_ / 1e9:.1f}",
                f"{ours.peak_over_answer / 1e6:.0f}",
                ", ".join(sorted(answers)),
            )
        )
    return f"## {name}\n\n" + _table(header, rows)


def _median(results: list[Result], peer: str) -> float | None:
    found = (r.median for r in results if r.run.peer == peer and r.samples)
    return next(found, None)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _number(seconds: float) -> str:
    return f"{seconds:.4f}" if seconds < 1 else f"{seconds:.3g}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"


def _ratio(value: float, unit: float | None) -> str:
    if unit is None:
        return "-"
    ratio = value / unit
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"
