"""A lock between processes that no crash can leave behind.

The operating system holds it for an open file and lets go when the process ends,
however it ends. The file itself means nothing and is never removed, for another
process may be waiting on it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
    import time

    def _acquire(descriptor: int) -> None:
        while True:
            try:  # tries for ten seconds, then gives up
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
            except OSError:
                time.sleep(0.1)
            else:
                return

    def _release(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock that the file ``path`` stands for, waiting for it as needed.

    Gives the descriptor of the file. It keeps out other processes and other threads.
    Raises `OSError` where the file cannot be made or its file system has no locks.
    """
    with path.open("ab", buffering=0) as file:
        _acquire(file.fileno())
        try:
            yield file.fileno()
        finally:
            _release(file.fileno())
