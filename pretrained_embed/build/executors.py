"""Tasks, done by whatever executor there is, and again where one fails.

A task is a call of a function with a number. What it leaves is the same however often
it is done.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from pretrained_embed.errors import PretrainedEmbedError, SourceError, WorkerError

Result = TypeVar("Result")

#: How often a task is tried before its failure is that of the build.
_TRIES = 3
#: Tasks that an executor is given ahead.
_AHEAD = 256

_GOES_ON = "What is finished is used when the build is run again."


class Share(NamedTuple):
    """What one worker did for a build, or one task of it."""

    worker: str  # its machine, and the number of its process there
    cpu_seconds: float = 0.0
    bytes_read: int = 0  # of sources, and of what waited
    bytes_written: int = 0  # of what waits, and of rows

    def plus(self, other: Share) -> Share:
        """Return both together."""
        return Share(
            self.worker,
            self.cpu_seconds + other.cpu_seconds,
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
        )


NOTHING = Share("")


class Meter:
    """Measures what the task does that runs in this thread now.

    ``clock`` is `time.process_time` for what all threads of this process do.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock, self._begin = clock, clock()
        self.read = self.written = 0

    def share(self) -> Share:
        """Return what was done since."""
        worker = f"{platform.node()}:{os.getpid()}"
        spent = self._clock() - self._begin
        return Share(worker, spent, self.read, self.written)


def shared(whole: Share, shares: Iterable[Share]) -> list[Share]:
    """Return the shares of all workers, given those of tasks, this process first.

    ``whole`` is all that this process did; some of the tasks are a part of that.
    """
    each = {whole.worker: Share(whole.worker, 0.0, *whole[2:])}
    for share in shares:
        if share.worker:
            known = each.get(share.worker, Share(share.worker))
            each[share.worker] = known.plus(share)
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
