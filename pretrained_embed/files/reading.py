"""Reading files: full reads, named pipes, and tests for existing names.

For an invalid name, too long or with NUL, `pathlib.Path` raises an error; `exists`,
`is_file` and `is_folder` return False.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, cast


def read_fully(file: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, or fewer at the end of the file."""
    parts = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


#: How many seconds to wait for the first byte of a pipe without a writer.
PATIENCE = 60.0


def open_pipe(path: Path) -> BinaryIO:
    """Open a named pipe, or one of a shell such as ``/dev/fd/63``.

    Raises `OSError`; `TimeoutError` if nobody wrote to it in time.
    """
    import select

    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(PATIENCE * 1000):
        os.close(descriptor)
        raise TimeoutError(f"is a pipe that nobody wrote to for {PATIENCE:g} seconds")
    os.set_blocking(descriptor, True)
    return cast(BinaryIO, os.fdopen(descriptor, "rb", buffering=0))


def exists(path: str | Path) -> bool:
    """Return whether a file or folder has this name."""
    return os.path.exists(path)  # noqa: PTH110  (see the top)


def is_file(path: str | Path) -> bool:
    """Return whether a file has this name."""
    return os.path.isfile(path)  # noqa: PTH113  (see the top)


def is_folder(path: str | Path) -> bool:
    """Return whether a folder has this name."""
    return os.path.isdir(path)  # noqa: PTH112  (see the top)
