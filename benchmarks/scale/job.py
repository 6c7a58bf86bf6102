"""One build in a process of its own: ``python -m benchmarks.scale.job JOB``.

``JOB`` is JSON, the fields of `Job`. The last line of standard output is JSON, the
fields of `Outcome`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pretrained_embed as pe
from benchmarks import memory
from benchmarks.peers import floors

#: What splits and ranges are given to, but for the threads of one process.
DASK, POOL = "dask", "processes"


@dataclass(frozen=True)
class Job:
    """What is built, and how; ``None`` and "" leave it to the package."""

    file: str
    vocabulary: str  # a token a line
    out: str = ""  # the matrix is written here, not returned
    threads: int | None = None
    memory: int | None = None
    engine: str = ""
    workers: int = 0
    limit: int = 0  # of the private memory of the process, in bytes
    digest: bool = False


@dataclass(frozen=True)
class Outcome:
    """What it took: seconds, and bytes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of this process, all threads
    peak: int = 0  # of resident memory, over what was resident before the build
    vocabulary_bytes: int = 0
    index_bytes: int = 0
    index_seconds: float = 0.0  # of CPU, to make it
    tokens: int = 0
    workers: list[dict[str, float]] = field(default_factory=list)  # see `Crew`
    bytes_read: int = 0  # of the file, in all its scans, as `progress` was told
    digest: str = ""  # SHA-256 of the numbers
    failed: str = ""

    def all_workers(self, name: str) -> float:
        """Return a figure of all workers together."""
        return sum(worker[name] for worker in self.workers)

    def most(self, name: str) -> float:
        """Return a figure of the worker that has most of it; 0 without workers."""
        return max((worker[name] for worker in self.workers), default=0)


class Crew(NamedTuple):
    """Worker processes, and how each is asked for something.

    Their figures are ``cpu``, the seconds that each spends during the build, ``peak``
    of resident memory over what was resident before, and ``read`` and ``written`` in
    bytes, as ``Work(report=)`` is told.
    """

    executor: Executor | None = None
    ask: Callable[[Callable[[], Any]], list[Any]] = lambda function: []


class Told:
    """Adds up what a callback for progress is told."""

    def __init__(self) -> None:
        self.bytes = 0
        self._last = 0

    def __call__(self, done: int, total: int | None) -> None:
        """Take what is done of all there is, both in bytes."""
        self.bytes += done - self._last if done >= self._last else done
        self._last = done


def main() -> None:
    """Warm the page cache, make the vocabulary, then time the build."""
    job = Job(**json.loads(sys.argv[1]))
    with _crew(job) as crew:
        floors.read(Path(job.file))
        if job.limit:
            resource.setrlimit(resource.RLIMIT_DATA, (job.limit, job.limit))
        try:
            outcome = _build(job, crew)
        except MemoryError as error:
            outcome = Outcome(failed=str(error) or "out of memory")
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")


def _build(job: Job, crew: Crew) -> Outcome:
    bare = memory.resident()
    vocabulary = pe.Vocabulary.from_file(job.vocabulary, pad=None)
    before = memory.restart_peak()
    told, shares = Told(), list[Any]()
    begun = crew.ask(_begin)
    started, cpu_started = time.perf_counter(), time.process_time()
    matrix: Any = pe.build_matrix(
        vocabulary,
        job.file,
        progress=told,
        oov="zeros",
        out=job.out or None,
        work=pe.Work(job.threads, crew.executor, job.memory, report=shares.extend),
    )
    seconds = time.perf_counter() - started
    cpu_seconds = time.process_time() - cpu_started
    peak = memory.peak() - before
    spent = {worker: (cpu, most) for worker, cpu, most in crew.ask(_end)}
    told_of = {share.worker: share for share in shares}
    workers = []
    for worker, cpu, resident in begun:
        share, (end, most) = told_of.get(worker), spent[worker]
        workers.append(
            {
                "cpu": end - cpu,
                "peak": most - resident,
                "read": share.bytes_read if share else 0,
                "written": share.bytes_written if share else 0,
            }
        )
    index_bytes, index_seconds = _index(vocabulary) if not job.limit else (0, 0.0)
    return Outcome(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak=peak,
        vocabulary_bytes=before - bare,
        index_bytes=index_bytes,
        index_seconds=index_seconds,
        tokens=len(vocabulary),
        workers=workers,
        bytes_read=told.bytes - (matrix.vectors.nbytes if job.out else 0),
        digest=_digest(matrix.vectors) if job.digest else "",
    )


@contextmanager
def _crew(job: Job) -> Iterator[Crew]:
    """Start worker processes of one thread each, which share nothing with this one."""
    if job.engine == DASK:
        from dask.distributed import Client, LocalCluster

        alone = {"threads_per_worker": 1, "processes": True, "memory_limit": 0}
        cluster = LocalCluster(job.workers, dashboard_address=None, **alone)
        with cluster, Client(cluster) as client:
            client.run(_import)
            yield Crew(
                client.get_executor(), lambda function: [*client.run(function).values()]
            )
    elif job.engine == POOL:
        context = get_context("spawn")
        barrier = context.Barrier(job.workers)
        with ProcessPoolExecutor(job.workers, context, _meet, (barrier,)) as pool:

            def ask(function: Callable[[], Any]) -> list[Any]:
                return [*pool.map(_alone, [function] * job.workers)]

            ask(_import)
            yield Crew(pool, ask)
    else:
        yield Crew()


#: Where the workers of a pool meet, so that each takes one of the tasks that wait.
_meeting: list[Barrier] = []


def _meet(barrier: Barrier) -> None:
    _meeting.append(barrier)


def _alone(function: Callable[[], Any]) -> Any:
    _meeting[0].wait()
    return function()


def _begin() -> tuple[str, float, int]:
    return _worker(), time.process_time(), memory.restart_peak()


def _end() -> tuple[str, float, int]:
    return _worker(), time.process_time(), memory.peak()


def _worker() -> str:
    return f"{platform.node()}:{os.getpid()}"


def _import() -> None:
    """Have a worker import what it will need, as one that has worked before."""
    import pretrained_embed.build.call  # noqa: F401 - imported to be there


def _index(vocabulary: pe.Vocabulary) -> tuple[int, float]:
    """Return the bytes of an index of the tokens, the kernel's own, and CPU seconds."""
    from pretrained_embed import kernel

    tokens = vocabulary.packed
    rows, ranks = np.arange(len(tokens)), np.zeros(len(tokens), np.uint8)
    started = time.process_time()
    size = kernel.TokenIndex(tokens, rows, ranks).nbytes
    return size, time.process_time() - started


def _digest(vectors: np.ndarray) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(vectors), 1 << 16):
        digest.update(vectors[start : start + (1 << 16)])
    return digest.hexdigest()


if __name__ == "__main__":
    main()
