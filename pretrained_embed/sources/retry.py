"""Requests made again: how often to ask a host, and how long to wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Retry:
    """How long to wait for a host, and how often to ask. Times are in seconds."""

    connect: float = 10.0
    read: float = 30.0  # for the next bytes
    answer: float = 60.0  # for the headers, those of all redirects to them too
    tries: int = 4  # of one URL, each counted from the last that brought bytes
    backoff: float = 0.5  # before the second try; doubles each time
    longest: float = 60.0  # a host that asks for more is left alone
    window: float = 60.0  # the time over which `slowest` is measured
    slowest: float = 1024.0  # bytes per second, below which a host is given up
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class Failure(Exception):
    """A request failed. `library` and `sources` turn it into a `SourceError`."""

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        wait: float | None = None,
        start_over: bool = False,
    ) -> None:
        super().__init__(reason)
        self.again = again  # whether another try may help
        self.wait = wait  # what the host asks for, in seconds
        self.start_over = start_over  # whether what came before is of no use


def persist(
    ask: Callable[[], Result],
    retry: Retry,
    *,
    got: Callable[[], int] = lambda: 0,
    start_over: Callable[[], None] = lambda: None,
) -> Result:
    """Call ``ask`` until it returns or another try is of no use.

    ``got`` tells how many bytes are there: a try that brought new ones is no failed
    one. Raises the last `Failure`.
    """
    most, tries = got(), 0
    while True:
        try:
            return ask()
        except Failure as failure:
            tries = 1 if got() > most else tries + 1
            most = max(most, got())
            if failure.start_over:
                start_over()
            pause = retry.backoff * 2 ** (tries - 1)
            if failure.wait is not None:
                pause = failure.wait
            if not failure.again or tries >= retry.tries or pause > retry.longest:
                raise
        retry.sleep(pause)
