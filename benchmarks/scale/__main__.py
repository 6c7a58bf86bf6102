"""``python -m benchmarks.scale``: how cost grows, and what larger jobs come to.

The page is written after each part, so a run that is cut loses nothing but the rest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks import machine, report
from benchmarks.data import QUICK_ROWS, ROWS, Files
from benchmarks.scale.arithmetic import arithmetic
from benchmarks.scale.bench import Bench, Section
from benchmarks.scale.beyond import limited, scans
from benchmarks.scale.pairs import caller, dask, pool, store, within
from benchmarks.scale.sizes import file_sizes, vocabulary_sizes
from benchmarks.scale.workers import workers

HERE = Path(__file__).parents[1]
PAGE = "scale.md"

PARTS: dict[str, Callable[[Bench], Section]] = {
    "vocabulary-size": vocabulary_sizes,
    "workers": workers,
    "scans": scans,
    "file-size": file_sizes,
    "limited": limited,  # reads the largest file, which the one before may have made
}

#: Single figures, each by two ways in turns.
PAIRS: dict[str, Callable[[Bench], Section]] = {
    "pool": pool,
    "dask": dask,
    "caller": caller,
    "within": within,
    "store": store,
}


def main() -> None:
    """Run the parts that are asked for, and write one page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="small files, run once")
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        choices=PARTS | PAIRS,
        metavar="PART",
        help=f"these parts: {', '.join(PARTS)}; by name alone: {', '.join(PAIRS)}",
    )
    parser.add_argument(
        "--size",
        type=lambda text: int(float(text)),
        help=f"of what the parts {', '.join(PAIRS)} measure, in bytes such as 4e9",
    )
    parser.add_argument("--pairs", type=int, default=5, help="turns of these parts")
    parser.add_argument(
        "--old", type=Path, help="a checkout of another commit, for the part within"
    )
    parser.add_argument("--output", type=Path, help="where the page goes")
    options = parser.parse_args()
    folder = HERE / "data" / ("quick" if options.quick else "full")
    files = Files(folder, QUICK_ROWS if options.quick else ROWS, _say)
    output = options.output or (folder if options.quick else HERE / "results") / PAGE

    facts = {
        "date": datetime.now().astimezone().isoformat(timespec="minutes"),
        **machine.describe(),
        "load before": machine.load(),
    }
    sections: list[Section] = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        bench = Bench(
            *(files, Path(scratch), options.quick, _say),
            *(options.size, options.pairs, options.old and options.old.resolve()),
        )
        for name in options.only or PARTS:
            sections.append((PARTS | PAIRS)[name](bench))
            output.write_text(_page(facts, sections))
        measured = {
            name: value
            for section in sections
            for name, value in section.figures.items()
        }
        if not PAIRS.keys() >= {*(options.only or PARTS)}:
            sections.append(arithmetic(bench, measured))
    facts["load after"] = machine.load()
    page = _page(facts, sections)
    output.write_text(page)
    sys.stdout.write(page)


def _page(facts: dict[str, str], sections: list[Section]) -> str:
    parts = [f"## {section.title}\n\n{section.text}" for section in sections]
    return "\n".join(["# How large it can get\n", report.head(facts), *parts])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
