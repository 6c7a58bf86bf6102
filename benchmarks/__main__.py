"""``python -m benchmarks``: make the data, check, time, and write one report."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import pretrained_embed as pe
from benchmarks import machine, measure, report, startup
from benchmarks.data import QUICK_ROWS, ROWS, Files
from benchmarks.measure import Result
from benchmarks.peers import PEERS
from benchmarks.peers.peer import BINARY, GZIP, TEXT, ZIP
from benchmarks.workloads import WORKLOADS, Workload, own

HERE = Path(__file__).parent
STARTUP = "startup"
_PAGE_CACHE = (
    "warm: files are dropped and read back from the disk before a workload, and read "
    "again by each process before it is timed"
)


def main() -> None:
    """Run what the command line asks for."""
    options = _options()
    now = datetime.now().astimezone()
    files = Files(
        HERE / "data" / ("quick" if options.quick else "full"),
        QUICK_ROWS if options.quick else ROWS,
        _say,
    )
    facts = {
        "command": "python -m benchmarks" + "".join(f" {a}" for a in _shown()),
        "date": now.isoformat(timespec="minutes"),
        **machine.describe(),
        "page cache": _PAGE_CACHE,
        "load before": machine.load(),
    }

    output = options.output or _default_output(options.quick, now)
    seconds = 0.0 if options.quick else options.seconds
    measured: list[tuple[Workload, list[Result]]] = []
    started: list[startup.Startup] = []

    def write() -> str:
        facts["load after"] = machine.load()
        text = _page(f"Benchmark of {now:%Y-%m-%d}", facts, measured, started)
        output.write_text(text)
        return text

    with tempfile.TemporaryDirectory(dir=files.folder) as folder:
        scratch = Path(folder)
        for workload in _chosen(options, files, scratch):
            results = measure.measure(workload, scratch, _say, seconds)
            measured.append((workload, results))
            write()  # a run that is cut loses only what it has not done
    if not options.file and (not options.only or STARTUP in options.only):
        started = startup.measure(files, _say, options.quick)
    print(write())
    _say(f"written to {output}")


def _page(
    title: str,
    facts: dict[str, str],
    measured: list[tuple[Workload, list[Result]]],
    started: list[startup.Startup],
) -> str:
    parts = [f"# {title}\n", report.head(facts)]
    if measured:
        parts.append(report.reached({w.name: results for w, results in measured}))
        parts.append(report.workloads(measured))
    if started:
        parts.append(report.startup(started))
    return "\n".join(part for part in parts if part)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small files, few runs: about two minutes"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        choices=[*WORKLOADS, STARTUP],
        metavar="WORKLOAD",
        help=f"these workloads: {', '.join([*WORKLOADS, STARTUP])}",
    )
    parser.add_argument(
        "--without",
        nargs="+",
        action="extend",
        default=[],
        choices=PEERS,
        metavar="PEER",
        help="leave peers out, such as those that take minutes",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=measure.SECONDS,
        help="what the repeats of one peer in one workload may take (%(default)s)",
    )
    parser.add_argument("--file", type=Path, help="vectors of your own")
    parser.add_argument("--vocab", type=Path, help="a vocabulary for --file")
    parser.add_argument("--output", type=Path, help="where the report goes")
    options = parser.parse_args()
    if (options.file is None) != (options.vocab is None):
        parser.error("--file and --vocab go together")
    return options


def _shown() -> list[str]:
    """Return the arguments without the folders of whoever ran it."""
    return [Path(argument).name for argument in sys.argv[1:]]


def _chosen(options: argparse.Namespace, files: Files, scratch: Path) -> list[Workload]:
    if options.file:
        vocabulary = pe.Vocabulary.from_file(options.vocab, pad=None)
        tokens = scratch / "tokens.json"
        tokens.write_text(json.dumps(vocabulary.tokens))
        return own(options.file, _format(options.file), tokens)
    return [
        workload._replace(
            runs=tuple(r for r in workload.runs if r.peer not in options.without)
        )
        for name in options.only or WORKLOADS
        if name != STARTUP
        for workload in WORKLOADS[name](files)
    ]


def _format(path: Path) -> str:
    with path.open("rb") as file:
        magic = file.read(2)
    if magic in (b"\x1f\x8b", b"PK"):
        return GZIP if magic == b"\x1f\x8b" else ZIP
    with pe.open_vectors(path) as reader:
        return TEXT if reader.format == "text" else BINARY


def _default_output(quick: bool, now: datetime) -> Path:
    """Quick times are for the eye; only those of full runs are kept in git."""
    if quick:
        return HERE / "data" / "quick.md"
    return HERE / "results" / f"{now:%Y-%m-%d-%H%M}.md"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
