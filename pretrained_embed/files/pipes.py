"""Named pipes, opened without waiting for ever for somebody to write to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, cast

#: Seconds to wait for the first byte of a pipe that nobody may be writing to.
PATIENCE = 60.0


def open_pipe(path: Path) -> BinaryIO:
    """Open a named pipe, or one that a shell names such as ``/dev/fd/63``.

    Raises `OSError`, a `TimeoutError` where nobody wrote to it in time.
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
