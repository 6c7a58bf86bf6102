"""Having an executor scan all splits of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    wait,
)

from pretrained_embed.errors import PretrainedEmbedError, SourceError, WorkerError
from pretrained_embed.extraction.job import Job
from pretrained_embed.extraction.outcome import Outcome
from pretrained_embed.extraction.scanning import scan_split

#: How often a split is tried before its failure is that of the build.
_TRIES = 3
#: Splits that an executor is given ahead.
_AHEAD = 256

#: Called with the bytes of a split that is finished.
Finished = Callable[[int], None]


def extract(
    job: Job,
    executor: Executor,
    finished: dict[int, Outcome],
    tell: Finished | None = None,
) -> list[Outcome]:
    """Return the outcomes of all splits in order; ``finished`` ones are not done again.

    A split that fails, or whose worker dies, is tried again, and where the executor
    itself breaks the rest is done in this process. Behind a split that was stopped by a
    bad row there are no more. Raises what scanning raises where that lies in the source
    itself, and `WorkerError` for a split that fails again and again.
    """
    run = _Run(job, executor, finished)
    outcomes = dict(finished)
    end = len(job.splits)
    for number, outcome in run:
        outcomes[number] = outcome
        if tell is not None:
            tell(job.size_of(number))
        if outcome.report.stopped_by is not None:
            end = min(end, number + 1)
            run.stop_after(number)
    return [outcomes[number] for number in range(end)]


class _Run:
    """Yields the splits as they are finished, in any order."""

    def __init__(
        self, job: Job, executor: Executor, finished: dict[int, Outcome]
    ) -> None:
        self._job = job
        self._executor: Executor | None = executor
        self._waiting = [n for n in range(len(job.splits)) if n not in finished][::-1]
        self._running: dict[Future[Outcome], int] = {}
        self._failed: Counter[int] = Counter()

    def __iter__(self) -> Iterator[tuple[int, Outcome]]:
        try:
            while self._waiting or self._running:
                self._submit()
                if self._executor is None and not self._running:
                    number = self._waiting.pop()
                    yield number, scan_split(self._job, number)
                    continue
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    number = self._running.pop(future)
                    error = _error(future)
                    if error is None:
                        yield number, future.result()
                    else:
                        self._again(number, error)
        finally:
            self.stop_after(-1)

    def stop_after(self, number: int) -> None:
        """Do none of the splits behind ``number`` that have not been begun."""
        self._waiting = [n for n in self._waiting if n < number]
        for future, running in list(self._running.items()):
            if running > number and future.cancel():
                del self._running[future]

    def _submit(self) -> None:
        while self._executor and self._waiting and len(self._running) < _AHEAD:
            number = self._waiting.pop()
            try:
                future = self._executor.submit(scan_split, self._job, number)
            except BrokenExecutor:
                self._waiting.append(number)
                self._executor = None
            else:
                self._running[future] = number

    def _again(self, number: int, error: BaseException) -> None:
        """Have a split that failed done again, or raise."""
        if isinstance(error, BrokenExecutor):
            self._executor = None
        elif isinstance(error, PretrainedEmbedError) and not isinstance(
            error, SourceError
        ):
            raise error
        else:
            self._failed[number] += 1
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
