"""Numbered parts of work, done by threads, with results in order."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pretrained_embed.errors import OptionError

Result = TypeVar("Result")


def thread_count(threads: int | None, *, least: int = 1) -> int:
    """Return ``threads``, or by default the number of CPUs for this process.

    The default is at least ``least``, for threads that mostly wait.
    """
    if threads is None:
        if hasattr(os, "sched_getaffinity"):
            return max(least, len(os.sched_getaffinity(0)))
        return max(least, os.cpu_count() or 1)
    if threads < 1:
        raise OptionError(f"threads is {threads}; at least 1 is needed")
    return threads


def per_thread(make: Callable[[], Result]) -> Callable[[], Result]:
    """Return a function that makes one object for each thread that calls it."""
    local = threading.local()

    def get() -> Result:
        if not hasattr(local, "made"):
            local.made = make()
        made: Result = local.made
        return made

    return get


def started(thread: threading.Thread) -> bool:
    """Start a thread; return whether the system has allowed it."""
    try:
        thread.start()
    except RuntimeError:  # "can't start new thread": a limit of the process, or memory
        return False
    return True


def run_in_order(
    work: Callable[[int], Result], parts: int, threads: int
) -> Iterator[Result]:
    """Yield ``work(0)``, ``work(1)``, ... in order, computed by ``threads`` threads.

    The threads are at most twice their number ahead of the consumer. An exception is
    raised in the turn of its part, so the first one in order is raised.
    """
    if threads == 1 or parts == 1:
        yield from map(work, range(parts))
        return
    run = _OrderedRun(work, parts, threads)
    workers = []
    for _ in range(min(threads, parts)):
        worker = threading.Thread(target=run.work)
        if not started(worker):
            break
        workers.append(worker)
    if not workers:
        yield from map(work, range(parts))
        return
    try:
        for part in range(parts):
            yield run.take(part)
    finally:
        run.stop()
        for worker in workers:
            worker.join()


class _OrderedRun(Generic[Result]):
    """The shared state of the threads of one run."""

    def __init__(self, work: Callable[[int], Result], parts: int, threads: int) -> None:
        self._work = work
        self._end = parts  # later parts are not begun
        self._ahead = 2 * threads
        self._begun = self._taken = 0
        self._done: dict[int, tuple[Result | None, BaseException | None]] = {}
        self._change = threading.Condition()

    def work(self) -> None:
        """Do parts in order until there are no more."""
        while (part := self._begin()) is not None:
            outcome: tuple[Result | None, BaseException | None]
            try:
                outcome = self._work(part), None
            except BaseException as error:  # noqa: BLE001  (raised again by take)
                outcome = None, error
                self._stop_after(part)
            with self._change:
                self._done[part] = outcome
                self._change.notify_all()

    def take(self, part: int) -> Result:
        """Wait for a part; return its result or raise its exception."""
        with self._change:
            self._change.wait_for(lambda: part in self._done)
            result, error = self._done.pop(part)
            self._taken = part + 1
            self._change.notify_all()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only where there is an error

    def stop(self) -> None:
        """Begin no more parts."""
        self._stop_after(-1)

    def _begin(self) -> int | None:
        with self._change:
            self._change.wait_for(
                lambda: (
                    self._begun >= self._end or self._begun < self._taken + self._ahead
                )
            )
            if self._begun >= self._end:
                return None
            self._begun += 1
            return self._begun - 1

    def _stop_after(self, part: int) -> None:
        with self._change:
            self._end = min(self._end, part + 1)
            self._change.notify_all()
