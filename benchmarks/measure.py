"""Runs in fresh processes, interleaved, and what they come to."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import answers
from benchmarks.peers import PEERS, floors
from benchmarks.workloads import Run, Workload

ROOT = Path(__file__).resolve().parents[1]
_BYTECODE = ROOT / "benchmarks" / "data" / "bytecode"

#: Seconds that one run may take before it is given up.
TIME_LIMIT = 900

#: The most that a run is repeated, and the seconds that its repeats may take in all,
#: unless others are asked for.
MOST_REPEATS, SECONDS = 9, 15.0

Say = Callable[[str], None]


class Failed(Exception):
    """A run gave no result; the message says why, for the table."""


@dataclass(frozen=True)
class Sample:
    """One timed run: seconds, and bytes."""

    seconds: float  # of the second call, or of the only one where that is slow
    first_seconds: float
    import_seconds: float
    cpu_seconds: float
    peak: int  # of resident memory in the first call, over what was resident before
    answer_bytes: int
    process_seconds: float = 0.0  # from start to end, imports and second call included


@dataclass
class Result:
    """All runs of one peer on one workload."""

    run: Run
    answer: str = ""  # how it compares with ours
    failed: str = ""  # why there is no time
    samples: list[Sample] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        """The times, rising."""
        return sorted(sample.seconds for sample in self.samples)

    @property
    def median(self) -> float:
        """The median time in seconds."""
        return statistics.median(self.seconds)

    def median_of(self, field: str) -> float:
        """Return the median of another field of the samples."""
        values = [float(getattr(sample, field)) for sample in self.samples]
        return statistics.median(values)

    @property
    def peak_over_answer(self) -> int:
        """The highest peak in bytes, less the matrix that was asked for."""
        return max(sample.peak - sample.answer_bytes for sample in self.samples)


def environment() -> dict[str, str]:
    """Return the environment of a process that is timed.

    Bytecode is kept, as after an installation, whatever the caller's settings. UTF-8
    mode, because one peer opens files in the encoding of the locale.
    """
    ours = {"PYTHONPYCACHEPREFIX": str(_BYTECODE), "PYTHONUTF8": "1"}
    theirs = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return theirs | ours


def measure(
    workload: Workload, scratch: Path, say: Say, seconds: float
) -> list[Result]:
    """Check every run's answer against ours, then time all of them in rounds.

    ``seconds`` is what the repeats of each run may take. One that takes longer is not
    repeated: its time is that of its check, which was timed in the same way.
    """
    results = [Result(run) for run in workload.runs]
    for path in {run.file for run in workload.runs}:
        _reload(path)
    checks = _check(workload, results, scratch, say)
    repeats = [_repeats(check, seconds) for check in checks]
    for result, check, count in zip(results, checks, repeats, strict=True):
        if check is not None and count < 2:
            result.samples.append(check)
    for turn in range(max(repeats, default=0)):
        for result, count in zip(results, repeats, strict=True):
            if turn < count and not result.failed:
                say(f"{workload.name}: {result.run.peer}, run {turn + 1} of {count}")
                try:
                    result.samples.append(_run(workload, result.run))
                except Failed as error:
                    result.failed = str(error)
    return results


def _reload(path: Path) -> None:
    """Drop a file from the page cache and read it back, where the system lets us.

    A cached file is read twice as fast if it came from the disk in long runs than if
    it was just written in small pieces; so all files are brought into the first state.
    """
    if not path.is_file():
        return
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    floors.read(path)


def _repeats(check: Sample | None, seconds: float) -> int:
    if check is None:
        return 0
    return min(MOST_REPEATS, int(seconds / check.process_seconds))


def _check(
    workload: Workload, results: list[Result], scratch: Path, say: Say
) -> list[Sample | None]:
    """Fill in how each answer compares; return the runs that gave them."""
    reference = scratch / "ours.npy"
    reference.unlink(missing_ok=True)
    checks: list[Sample | None] = [None] * len(results)
    # ours first: it is what the others are held against
    for place in sorted(range(len(results)), key=lambda i: not results[i].run.is_ours):
        result = results[place]
        answer = scratch / "theirs.npy" if reference.exists() else reference
        say(f"{workload.name}: {result.run.peer}, check")
        try:
            checks[place] = _run(workload, result.run, answer)
        except Failed as error:
            result.failed = str(error)
            continue
        if answer is reference:
            result.answer = "what the others are held against" * answer.exists()
        elif answer.exists():
            result.answer = answers.compare(answer, reference)
            answer.unlink()
    reference.unlink(missing_ok=True)
    return checks


def _run(workload: Workload, run: Run, answer: Path | None = None) -> Sample:
    job = {
        "peer": run.peer,
        "file": str(run.file),
        "tokens": str(workload.tokens),
        "answer": None if answer is None else str(answer),
    }
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            cwd=ROOT,
            env=environment() | dict(PEERS[run.peer].environment),
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {TIME_LIMIT} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise Failed(last[:120])
    fields = json.loads(done.stdout.splitlines()[-1])
    if "missing" in fields:
        raise Failed(fields["missing"])
    return Sample(**fields, process_seconds=time.perf_counter() - started)
