"""Having an executor scan all splits of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)
from contextlib import closing
from functools import partial

from pretrained_embed.build.extract import Outcome
from pretrained_embed.build.job import Job, scan_again
from pretrained_embed.errors import PretrainedEmbedError, SourceError, WorkerError

#: How often a split is tried before its failure is that of the build.
_TRIES = 3
#: Splits that an executor is given ahead.
_AHEAD = 256

#: Called with the bytes of a split that is finished.
Finished = Callable[[int], None]


def extract(
    job: Job,
    executor: Executor,
    threads: Executor,
    finished: dict[int, Outcome],
    tell: Finished | None = None,
) -> list[Outcome]:
    """Return the outcomes of all splits in order; ``finished`` ones are not done again.

    A split that fails, or whose worker dies, is tried again, and where the executor
    itself breaks the rest is done by ``threads`` of this process. Behind a split that
    was stopped by a bad row there are no more. Raises what scanning raises where that
    lies in the source itself, and `WorkerError` for a split that fails again and again.
    """
    run = _Run(job, executor, threads, finished)
    outcomes = dict(finished)
    with closing(run.outcomes()) as results:  # so that nothing goes on if this fails
        for number, outcome in results:
            outcomes[number] = outcome
            if tell is not None:
                tell(job.size_of(number, outcome))
            if outcome.report.stopped_by is not None:
                run.stop_after(number)
    return [outcomes[number] for number in range(run.end)]


class _Run:
    """Yields the splits as they are finished, in any order."""

    def __init__(
        self,
        job: Job,
        executor: Executor,
        threads: Executor,
        finished: dict[int, Outcome],
    ) -> None:
        self.end = len(job.splits)  # no split from here on is needed
        self._job = job
        self._executor, self._threads = executor, threads
        self._waiting = [n for n in range(len(job.splits)) if n not in finished][::-1]
        self._running: dict[Future[Outcome], int] = {}
        self._failed: Counter[int] = Counter()

    def outcomes(self) -> Generator[tuple[int, Outcome], None, None]:
        """Yield the outcomes; end all that was begun when this is closed."""
        try:
            while self._waiting or self._running:
                self._submit()
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    number = self._running.pop(future)
                    error = _error(future)
                    if error is None:
                        yield number, future.result()
                    else:
                        self._again(number, error)
        finally:
            self._drop_behind(-1)

    def stop_after(self, number: int) -> None:
        """Do none of the splits behind ``number`` that have not been begun."""
        self.end = min(self.end, number + 1)
        self._drop_behind(number)

    def _drop_behind(self, number: int) -> None:
        self._waiting = [n for n in self._waiting if n < number]
        for future, running in list(self._running.items()):
            if running > number and future.cancel():
                del self._running[future]

    def _submit(self) -> None:
        while self._waiting and len(self._running) < _AHEAD:
            number, attempt = self._waiting[-1], self._failed.total()
            task = partial(scan_again, self._job, number, attempt)
            try:
                future = self._executor.submit(task)
            except RuntimeError:  # it is broken, or was shut down
                self._executor = self._threads
                future = self._executor.submit(task)
            self._running[future] = self._waiting.pop()

    def _again(self, number: int, error: BaseException) -> None:
        """Have a split that failed done again, or raise."""
        if number >= self.end:
            return
        if isinstance(error, BrokenExecutor):
            self._executor = self._threads
        elif isinstance(error, PretrainedEmbedError) and not isinstance(
            error, SourceError
        ):
            raise error
        else:
            self._failed[number] += 1
            if self._failed[number] == _TRIES and isinstance(error, SourceError):
                raise error
            if self._failed[number] == _TRIES:
                split = self._job.splits[number]
                raise WorkerError(
                    f"{self._job.address}, bytes {split.begin:,} to {split.end:,}: "
                    f"scanning failed {_TRIES} times, at last with "
                    f"{type(error).__name__}: {error}. What is finished is used when "
                    "the build is run again."
                ) from error
        self._waiting.append(number)


def _error(future: Future[Outcome]) -> BaseException | None:
    """Return why a future has no result; ``None`` if it has one."""
    if future.cancelled():
        return CancelledError("the executor dropped it")
    return future.exception()
