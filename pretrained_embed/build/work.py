"""How a build is carried out: it changes the time, never the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pretrained_embed.arrays import Progress
from pretrained_embed.build.memory import free_memory
from pretrained_embed.errors import OptionError
from pretrained_embed.formats import TARGET_SUFFIXES
from pretrained_embed.formats.parallel import thread_count


class Work(NamedTuple):
    """Where rows go, and what there is to make them with."""

    out: Path | None = None
    shards: int | None = None
    executor: Executor | None = None
    memory: int | None = None  # bytes that an index of tokens may take

    def check(self, rows: int) -> None:
        """Raise `OptionError` for what does not go together, or with so many rows."""
        if self.out is not None and (not self.out.name or "\0" in str(self.out)):
            raise OptionError(f"out is {str(self.out)!r}; name a file or a folder")
        if self.shards is None:
            if self.out is not None and self.out.suffix.lower() not in TARGET_SUFFIXES:
                raise OptionError(
                    f"out is {str(self.out)!r}; rows go into files that end in "
                    f"{' '.join(TARGET_SUFFIXES)}, or into shards. Save others with "
                    "matrix.save"
                )
            return
        if self.out is None:
            raise OptionError("shards are written: name a new folder for them with out")
        if not 1 <= self.shards <= rows:
            raise OptionError(
                f"shards is {self.shards} for {rows:,} rows; it can be 1 to {rows:,}"
            )

    def at_once(self, size: int) -> bool:
        """Whether all rows are made at once, in memory or in their places in a file.

        Else they are made range by range. ``size`` is the bytes that they take.
        """
        if self.executor is not None or self.memory is not None:
            return False
        return self.out is None or (self.shards is None and fits_memory(size))


def fits_memory(size: int) -> bool:
    """Whether so many bytes fit the memory that is free, and leave room beside them."""
    return size <= half_of_memory()


def half_of_memory() -> int:
    """Return half of the bytes of memory that are free."""
    return free_memory() // 2


@contextmanager
def own_threads(threads: int | None) -> Iterator[Executor]:
    """Give threads of this process; what has not been begun is dropped at the end."""
    pool = ThreadPoolExecutor(thread_count(threads))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class WholeProgress:
    """Adds up the bytes that are done, wherever they were, for one listener.

    ``total`` is that of the whole job, or ``None`` where it is not known.
    """

    def __init__(self, listener: Progress | None, total: int | None) -> None:
        self._listener = listener
        self._total = total
        self._done = 0

    def add(self, size: int) -> None:
        """Tell that so many more bytes are done."""
        self._done += size
        self.live(0, None)

    def live(self, done: int, _total: int | None) -> None:
        """Tell how far a part has come that is not finished; see `Progress`."""
        if self._listener is not None:
            self._listener(self._done + done, self._total)
