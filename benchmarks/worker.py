"""One run of one peer, in a process of its own: ``python -m benchmarks.worker JOB``.

``JOB`` is JSON: peer, file, tokens, and where to keep the answer if it is to be
checked. The last line of standard output is JSON, the fields of `measure.Sample`.

A first call pays for what a package imports and sets up only when it is used, so a call
that is not slow is made twice: the second is the time of the work alone. Both are told.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import memory
from benchmarks.peers import PEERS, floors
from benchmarks.peers.peer import Answer, Load

#: Seconds from which on a call is not made twice: what it sets up no longer counts.
_SLOW = 5.0


def main() -> None:
    """Import, prepare, warm the page cache; then time the call."""
    job = json.loads(sys.argv[1])
    peer, path = PEERS[job["peer"]], Path(job["file"])
    started = time.perf_counter()
    try:
        for package in peer.packages:
            importlib.import_module(package)
    except ImportError as error:
        _finish(missing=str(error))
        return
    import_seconds = time.perf_counter() - started
    wanted = peer.prepare(json.loads(Path(job["tokens"]).read_bytes()))
    load = (peer.check or peer.load) if job["answer"] else peer.load
    floors.read(path)

    gc.collect()
    before = memory.restart_peak()
    seconds, cpu_seconds, answer = _timed(load, path, wanted)
    peak = memory.peak() - before
    answer_bytes = 0 if answer is None else answer.nbytes
    if job["answer"] and answer is not None:
        np.save(job["answer"], answer)
    first_seconds = seconds
    if seconds < _SLOW:
        del answer
        gc.collect()
        seconds, cpu_seconds, _ = _timed(peer.load, path, wanted)
    _finish(
        seconds=seconds,
        first_seconds=first_seconds,
        import_seconds=import_seconds,
        cpu_seconds=cpu_seconds,
        peak=peak,
        answer_bytes=answer_bytes,
    )


def _timed(load: Load, path: Path, wanted: Any) -> tuple[float, float, Answer]:
    """Return the seconds, the processor seconds of all threads, and the answer."""
    started, cpu_started = time.perf_counter(), time.process_time()
    answer = load(path, wanted)
    seconds = time.perf_counter() - started
    return seconds, time.process_time() - cpu_started, answer


def _finish(**fields: Any) -> None:
    print(json.dumps(fields))


if __name__ == "__main__":
    main()
