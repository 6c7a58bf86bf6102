"""Progress in plain lines on standard error: what ``progress=True`` shows."""

from __future__ import annotations

import sys
import time

from pretrained_embed.arrays import Progress
from pretrained_embed.errors import OptionError

#: What a function of this package takes: a function to call, True for lines on standard
#: error, False or ``None`` for nothing.
AnyProgress = Progress | bool | None

#: Seconds between two lines.
_PERIOD = 1.0


def listener(progress: AnyProgress) -> Progress | None:
    """Return the function to call, if any; raises `OptionError` for anything else."""
    if progress is None or progress is False:
        return None
    if progress is True:
        return _Lines()
    if callable(progress):
        return progress
    raise OptionError(
        f"progress is {progress!r}; give True for lines on standard error, or a "
        "function of (bytes done, bytes in all or None)"
    )


class _Lines:
    """Prints a line a second, and one where a part of the work is finished."""

    def __init__(self) -> None:
        self._next = 0.0
        self._last = ""

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        finished = total is not None and done >= total
        if now < self._next and not finished:
            return
        self._next = now + _PERIOD
        line = f"{done:,} bytes"
        if total:
            line = f"{min(done / total, 1):4.0%}  {done:,} of {total:,} bytes"
        # under pythonw there is no standard error
        if line != self._last and sys.stderr is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
            self._last = line
