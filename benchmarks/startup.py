"""The time before any work: imports, and a whole process that does a small job.

Every run is a fresh process that finds compiled bytecode, as after an installation.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.data import Files
from benchmarks.measure import ROOT, environment

NUMPY, OURS = "import numpy", "import pretrained_embed"
#: The package loads its parts when they are used: this takes what `build_matrix` needs.
USED = "from pretrained_embed import Vocabulary, build_matrix"

_TIMED = """
import time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""
_JOB = """
import json, sys
from pathlib import Path
file, tokens = map(Path, sys.argv[1:])
tokens = json.loads(tokens.read_bytes())
"""
_LOOP = f"""{_JOB}
from benchmarks.peers import loops
loops.keras_guide(file, dict(zip(tokens, range(len(tokens)))))
"""
_BUILD = f"""{_JOB}
import pretrained_embed as pe
pe.build_matrix(pe.Vocabulary(tokens), file)
"""


class Startup(NamedTuple):
    """The times of one statement or job, rising."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        """The median time in seconds."""
        return statistics.median(self.seconds)


def measure(files: Files, say: Callable[[str], None], quick: bool) -> list[Startup]:
    """Time imports inside, and small jobs outside of fresh processes, in rounds."""
    small = files.small(2000)
    arguments = [str(small), str(files.tokens(small, 1000))]
    runs: dict[str, Callable[[], float]] = {
        NUMPY: lambda: _inside(NUMPY),
        OURS: lambda: _inside(OURS),
        USED: lambda: _inside(USED),
        "whole process: nothing": lambda: _outside("pass", []),
        "whole process: Keras guide's loop": lambda: _outside(_LOOP, arguments),
        "whole process: build_matrix": lambda: _outside(_BUILD, arguments),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(6 if quick else 21):
        say(f"startup: round {turn}")
        for name, run in runs.items():
            taken = run()
            if turn:  # the first writes the bytecode
                seconds[name].append(taken)
    return [Startup(name, sorted(taken)) for name, taken in seconds.items()]


def _inside(statement: str) -> float:
    code = _TIMED.format(statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(),
        check=True,
        capture_output=True,
    )
    return float(done.stdout)


def _outside(code: str, arguments: list[str]) -> float:
    command = [sys.executable, "-c", code, *arguments]
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)
    return time.perf_counter() - started
