"""Tasks for workers: who does them, and what is opened where they are done.

A task is a call of a function with a number. Any executor does it, and it is done again
where it fails: what it leaves is the same however often it is done. What tasks of one
kind share is opened once in each process.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar

from pretrained_embed import formats
from pretrained_embed.errors import PretrainedEmbedError, SourceError, WorkerError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import KnownLayout, Reader
from pretrained_embed.library import Library, OpenSource
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.stream import Stream, rereadable

Value = TypeVar("Value")

_RUN = "run"
_MARK = "build"


@dataclass(frozen=True)
class Opening:
    """A source as another process opens it, or this one again.

    ``state`` is what is known of its bytes, and ``written`` what changes where a local
    file is written to.
    """

    address: str
    layout: KnownLayout | None  # as it was given
    library: Library  # how it is read
    state: dict[str, Any]
    written: list[Any]
    seconds: list[int]  # when a local file was written to, as a good copy has it
    size: int | None

    @classmethod
    def of(cls, opened: OpenSource) -> Self | None:
        """Return how to open a source; ``None`` where no other process can."""
        if opened.address is None:
            return None
        library = opened.library or Library()
        # as a worker sees it, who knows no other name
        stream = library.stream(opened.address)
        return cls(
            opened.address,
            opened.layout,
            library,
            state_of(stream.identity),
            same_file(opened.address, stream.identity),
            _seconds(opened.address),
            stream.size,
        )

    @property
    def facts(self) -> list[Any]:
        """What differs where it may be another source, or read in another way."""
        return [self.address, str(self.layout), self.state, self.written]

    def reader(self) -> Reader:
        """Return the open source; raises as `stream` does."""
        return formats.open_reader(self.stream(), self.layout)

    def stream(self) -> Stream:
        """Return the bytes of the source.

        Raises `SourceError` where it is not what it was for who gave the task.
        """
        stream = rereadable(self.library.stream(self.address))
        same = _RUN in self.state or state_of(stream.identity) == self.state
        same = same and _seconds(self.address) == self.seconds
        if stream.size != self.size or not same:
            raise SourceError(
                f"{self.address}: not the bytes that this build began with; every "
                "worker needs the same file at the same place, which nobody changes "
                "(a copy keeps its time: cp -p, rsync -t)"
            )
        return stream


def state_of(identity: Identity | None) -> dict[str, Any]:
    """Return what tells the bytes of a source from others.

    Where nothing does, it is something that no other source and no later run has.
    """
    state = {} if identity is None else identity.telling()
    return state or {_RUN: os.urandom(16).hex()}


def same_file(address: str | None, identity: Identity | None) -> list[Any]:
    """Return what differs, at this place, where a local file was written to."""
    if identity is not None and identity.in_parts:
        mark = identity.mark()
        return [] if mark is None else [*(mark.state or ())]
    for path in (address, (address or "").rpartition("#")[0]):
        with suppress(OSError, ValueError):
            if path:
                status = Path(path).stat()
                return [status.st_mtime_ns, status.st_size, status.st_ino]
    return []


def _seconds(address: str) -> list[int]:
    return [time // 10**9 for time in same_file(address, None)[:1]]


#: What was opened last for tasks of one kind, with the key of the job and the process.
#: A fork has a copy of it, but not its own place in the files: it opens them again.
_opened: dict[str, tuple[str, int, Any]] = {}
_lock = threading.Lock()


def opened(kind: str, key: str, open: Callable[[], Value]) -> Value:
    """Return what a job works with; it is kept until another job of its kind comes.

    Threads of a process share it. A process that was forked opens its own.
    """
    with _lock:
        held = _opened.get(kind)
        if held is None or held[:2] != (key, os.getpid()):
            _opened.pop(kind, None)  # first: each may take much memory
            held = _opened[kind] = key, os.getpid(), open()
        value: Value = held[2]
        return value


def close(kind: str) -> None:
    """Let go of what was kept."""
    with _lock:
        _opened.pop(kind, None)


def mark(folder: SafePath) -> str:
    """Put into a folder what shows a worker that it is this one; return that."""
    text = os.urandom(16).hex()
    (folder / _MARK).write(text.encode())
    return text


def look(
    folder: SafePath | None,
    text: str,
    openings: Sequence[Opening],
    number: int,
    attempt: int,
) -> str:
    """Return the machine of this process: see `machine`.

    Raises `SourceError` where it sees another folder, or other sources.
    """
    seen = b""
    with suppress(OSError):
        seen = b"" if folder is None else (folder / _MARK).read()
    if seen != text.encode():
        raise SourceError(
            f"{folder}: a worker does not see the folder in which rows wait; every "
            "worker needs the folder of the output, at the same place"
        )
    for opening in openings:
        opening.stream()
    return machine()


def machine() -> str:
    """Return what tells the system that runs from all others, "" where nothing does.

    Source: https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html (boot_id).
    """
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


Result = TypeVar("Result")

#: How often a task is tried before its failure is that of the build.
_TRIES = 3
#: Tasks that an executor is given ahead.
_AHEAD = 256

_GOES_ON = "What is finished is used when the build is run again."


class Spent(NamedTuple):
    """What one worker did for a build, or one task of it."""

    worker: str  # its machine, and the number of its process there
    cpu_seconds: float = 0.0
    bytes_read: int = 0  # of sources, and of what waited
    bytes_written: int = 0  # of what waits, and of rows

    def plus(self, other: Spent) -> Spent:
        """Return both together."""
        return Spent(
            self.worker,
            self.cpu_seconds + other.cpu_seconds,
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
        )


NOTHING = Spent("")


class Meter:
    """Measures what the task does that runs in this thread now.

    ``clock`` is `time.process_time` for what all threads of this process do.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock, self._begin = clock, clock()
        self.read = self.written = 0

    def spent(self) -> Spent:
        """Return what was done since."""
        worker = f"{platform.node()}:{os.getpid()}"
        spent = self._clock() - self._begin
        return Spent(worker, spent, self.read, self.written)


def by_worker(whole: Spent, tasks: Iterable[Spent]) -> list[Spent]:
    """Return what each worker has spent, given the same of tasks, this process first.

    ``whole`` is all that this process did; some of the tasks are a part of that.
    """
    each = {whole.worker: Spent(whole.worker, 0.0, *whole[2:])}
    for task in tasks:
        if task.worker:
            known = each.get(task.worker, Spent(task.worker))
            each[task.worker] = known.plus(task)
    each[whole.worker] = each[whole.worker]._replace(cpu_seconds=whole.cpu_seconds)
    return [*each.values()]


@dataclass
class Tasks(Generic[Result]):
    """Tasks of one kind.

    ``call`` returns what an executor is to call, given the number of a task, and how
    often any task has failed: that tells the calls apart for executors that give equal
    calls one result. ``name`` returns what a message calls a task. ``done`` is called
    with the number and the result of each that is done, in any order; if it says that
    this one is the last that is needed, those of higher numbers are dropped.
    """

    call: Callable[[int, int], tuple[Any, ...]]
    name: Callable[[int], str]
    done: Callable[[int, Result], bool]

    def run(self, numbers: Iterable[int], executor: Executor, here: Executor) -> None:
        """Do all tasks of these numbers.

        A task that fails, or whose worker dies, is tried again, and where the executor
        itself breaks the rest is done by ``here``, threads of this process. Raises what
        a task raises where that lies in what it was given, and `WorkerError` for one
        that fails again and again, or that the executor drops.
        """
        waiting = sorted(numbers, reverse=True)
        running: dict[Future[Result], int] = {}
        failed: Counter[int] = Counter()
        end: int | None = None
        try:
            while waiting or running:
                while waiting and len(running) < _AHEAD:
                    call = self.call(waiting[-1], failed.total())
                    try:
                        future = executor.submit(*call)
                    except RuntimeError:  # it is broken, or was shut down
                        executor = here
                        future = executor.submit(*call)
                    running[future] = waiting.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    number = running.pop(future)
                    if end is not None and number > end:
                        continue
                    error = self._error(future, number)
                    if isinstance(error, BrokenExecutor):
                        executor = here
                    elif error is not None:
                        failed[number] += 1
                        self._check(number, error, failed[number])
                    elif self.done(number, future.result()):
                        end = number
                        waiting = [n for n in waiting if n < number]
                        behind = [f for f, n in running.items() if n > number]
                        for other in filter(Future.cancel, behind):
                            del running[other]
                    if error is not None:
                        waiting.append(number)
        finally:  # so that nothing goes on if this fails
            for future in running:
                future.cancel()

    def _error(self, future: Future[Result], number: int) -> BaseException | None:
        if future.cancelled():
            raise WorkerError(
                f"{self.name(number)}: the executor dropped it: it was shut down, or "
                f"its scheduler is gone. {_GOES_ON}"
            )
        return future.exception()

    def _check(self, number: int, error: BaseException, times: int) -> None:
        """Raise unless a task that failed for the so-manieth time is tried again."""
        ours = isinstance(error, PretrainedEmbedError)
        if ours and (times == _TRIES or not isinstance(error, SourceError)):
            raise error
        if times == _TRIES:
            raise WorkerError(
                f"{self.name(number)}: failed {_TRIES} times, at last with "
                f"{type(error).__name__}: {error}. {_GOES_ON}"
            ) from error


def scatters(executor: Executor) -> bool:
    """Whether an executor is Dask's, which gives its workers what tasks share."""
    return hasattr(getattr(executor, "_client", None), "scatter")
