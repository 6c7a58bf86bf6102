"""One build in a process of its own: ``python -m benchmarks.scale.job JOB``.

``JOB`` is JSON, the fields of `Job`. The last line of standard output is JSON, the
fields of `Outcome`.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pretrained_embed as pe
from benchmarks import memory
from benchmarks.peers import floors

#: What the splits of a file are given to, but for the threads of one process.
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
    tokens: int = 0
    bytes_read: int = 0  # of the file, in all its scans, as `progress` was told
    digest: str = ""  # SHA-256 of the numbers
    failed: str = ""


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
    with _executor(job) as executor:
        floors.read(Path(job.file))
        if job.limit:
            resource.setrlimit(resource.RLIMIT_DATA, (job.limit, job.limit))
        try:
            outcome = _build(job, executor)
        except MemoryError as error:
            outcome = Outcome(failed=str(error) or "out of memory")
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")


def _build(job: Job, executor: Executor | None) -> Outcome:
    bare = memory.resident()
    vocabulary = pe.Vocabulary.from_file(job.vocabulary, pad=None)
    before = memory.restart_peak()
    told = Told()
    started, cpu_started = time.perf_counter(), time.process_time()
    matrix: Any = pe.build_matrix(
        vocabulary,
        job.file,
        progress=told,
        oov="zeros",
        out=job.out or None,
        work=pe.Work(job.threads, executor, job.memory),
    )
    seconds = time.perf_counter() - started
    cpu_seconds = time.process_time() - cpu_started
    peak = memory.peak() - before
    return Outcome(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak=peak,
        vocabulary_bytes=before - bare,
        index_bytes=_index_bytes(vocabulary) if not job.limit else 0,
        tokens=len(vocabulary),
        bytes_read=told.bytes - (matrix.vectors.nbytes if job.out else 0),
        digest=_digest(matrix.vectors) if job.digest else "",
    )


@contextmanager
def _executor(job: Job) -> Iterator[Executor | None]:
    """Start what the splits are given to: worker processes of one thread each."""
    if job.engine == DASK:
        from dask.distributed import Client, LocalCluster

        alone = {"threads_per_worker": 1, "processes": True, "memory_limit": 0}
        cluster = LocalCluster(job.workers, dashboard_address=None, **alone)
        with cluster, Client(cluster) as client:
            client.run(_import)
            yield client.get_executor()
    elif job.engine == POOL:
        with ProcessPoolExecutor(job.workers) as pool:
            yield pool
    else:
        yield None


def _import() -> None:
    """Have a worker import what it will need, as one that has worked before."""
    import pretrained_embed.build.call  # noqa: F401 - imported to be there


def _index_bytes(vocabulary: pe.Vocabulary) -> int:
    """Return the size of an index of the tokens: the kernel's own, for one form."""
    from pretrained_embed import kernel

    tokens = list(vocabulary.tokens)
    rows, ranks = np.arange(len(tokens)), np.zeros(len(tokens), np.uint8)
    return kernel.TokenIndex(tokens, rows, ranks).nbytes


def _digest(vectors: np.ndarray) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(vectors), 1 << 16):
        digest.update(vectors[start : start + (1 << 16)])
    return digest.hexdigest()


if __name__ == "__main__":
    main()
