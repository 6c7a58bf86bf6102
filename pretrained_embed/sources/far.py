"""Requests for ranges of a file far away: several at once, and again where one fails.

What answers them is behind `Far`: `object_store.StoredFile`, `http_file.HttpFile`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.patience import Failure, Patience, Result, persist

#: Requests for one file at a time. One connection brings some 50 MB/s from a usual
#: object store, so ten fill most networks; botocore keeps as many connections.
AT_ONCE = 10
#: Bytes of the first request where it is not known how much will be read.
FIRST = 1 << 16


class Far(Protocol):
    """A file on another machine, at some version of it."""

    name: str

    def get(self, start: int, stop: int) -> bytes:
        """Return these bytes, from any thread.

        Raises `Failure` where they do not come, `SourceError` where they never will.
        """

    def check(self) -> None:
        """Raise `SourceError` if the file is another one now."""


class Requests:
    """The requests for one file, in threads of their own."""

    def __init__(self, far: Far, size: int, patience: Patience) -> None:
        self.size = size
        self._far = far
        self._patience = patience
        self._head = b""
        self._threads = ThreadPoolExecutor(AT_ONCE, "pretrained-embed-request")
        self._files = 0
        self._lock = threading.Lock()

    def get(self, start: int, stop: int) -> bytes:
        """Return bytes of the file; raises `SourceError` when patience has an end."""

        def ask() -> bytes:
            try:
                data = self._far.get(start, stop)
                if len(data) != stop - start:
                    raise Failure(
                        f"{stop - start:,} bytes asked for from {start:,} on, "
                        f"{len(data):,} came",
                        again=True,
                    )
            except Failure:
                self._far.check()  # a file that changes fails in many ways
                raise
            return data

        return self._persist(ask)

    def head(self, size: int) -> bytes:
        """Return the first bytes, which are asked for once."""
        size = min(size, self.size)
        if size > len(self._head):
            stop = min(max(size, FIRST), self.size)
            self._head += self.get(len(self._head), stop)
        return self._head[:size]

    def submit(self, start: int, stop: int) -> Future[bytes]:
        """Ask for bytes of the file, and do not wait for them."""
        return self._threads.submit(self.get, start, stop)

    def confirm(self) -> None:
        """Raise `SourceError` if the file is another one now."""
        self._persist(self._far.check)

    @property
    def share(self) -> int:
        """How many requests each of the open files may have under way."""
        return max(2, AT_ONCE // max(1, self._files))

    def opened(self) -> None:
        """Note that a file was opened."""
        with self._lock:
            self._files += 1

    def closed(self) -> bool:
        """Note that a file was closed; return whether it was the last one open."""
        with self._lock:
            self._files -= 1
            return self._files == 0

    def _persist(self, ask: Callable[[], Result]) -> Result:
        try:
            return persist(ask, self._patience)
        except Failure as failure:
            raise SourceError(
                f"{self._far.name}: cannot be read: {failure}"
            ) from failure
