"""One file, on threads of one process and on several processes."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.scale import files
from benchmarks.scale.bench import Bench, Section, number, table
from benchmarks.scale.job import DASK, POOL, Job

_FILE, _QUICK_FILE = 4_000_000_000, 100_000_000


def workers(bench: Bench) -> Section:
    """Build the same matrix on 1 and 2 threads, processes and workers of Dask."""
    size = _QUICK_FILE if bench.quick else _FILE
    path = bench.files.repeated(size)
    tokens = files.first(bench.files, path)
    job = Job(str(path), str(tokens), threads=1, digest=True)
    runs = {
        "one process, 1 thread": job,
        "one process, 2 threads": replace(job, threads=2),
        **{
            f"{name}, {_number(count)} of 1 thread": replace(
                job, engine=engine, workers=count
            )
            for name, engine in (("Dask", DASK), ("`ProcessPoolExecutor`", POOL))
            for count in (1, 2)
        },
    }
    rows: list[tuple[str, ...]] = []
    figures: dict[str, float] = {}
    first = None
    for name, each in runs.items():
        bench.say(f"workers: {name}")
        run = bench.median(replace(each, out=bench.out()), 3)
        if run.failed:
            rows.append((name, "-", "-", f"no result: {run.failed}"))
            continue
        first = first or run
        if each.engine == POOL:
            figures[f"s, {each.workers} processes"] = run.seconds
        figures |= {"rows": run.tokens, "bytes": path.stat().st_size}
        same = "same bytes" if run.digest == first.digest else "**other numbers**"
        rows.append(
            (name, number(run.seconds), f"{first.seconds / run.seconds:.2f}", same)
        )
    header = ("who scans", "s", "times as fast as the first", "answer")
    title = f"workers: all rows of a text of {size / 1e9:.3g} GB, written with `out=`"
    said = (
        "\nDask is a `LocalCluster` of processes of its own, which is there before the "
        "clock starts, as is the pool.\n"
    )
    return Section(title, table(header, rows) + said, figures)


def _number(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
