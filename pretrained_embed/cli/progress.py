"""One progress bar on the terminal, for what takes longer than a second."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from pretrained_embed.cli.output import size

#: Seconds before a bar appears, and between two looks of it.
_DELAY = 1.0
_PERIOD = 0.1

_CELLS = 20


class Bar:
    """Draws how far something has come; called with bytes done and bytes in all.

    Fewer bytes done than before begin the next part of the work. Silent where
    ``stream`` is no terminal, and when ``quiet``. As a context it leaves a clean line.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        # there is no standard error where it was closed, or under pythonw
        self._silent = quiet or self._stream is None or not self._stream.isatty()
        self._clock = clock
        self._next = clock() + _DELAY
        self._begun: tuple[float, int] | None = None  # when, and with how many bytes
        self._done = 0
        self._width = 0  # of the line that stands there

    def __call__(self, done: int, total: int | None) -> None:
        """Draw the bar, if it is time to."""
        if self._silent:
            return
        now = self._clock()
        if self._begun is None or done < self._done:
            self._begun = now, done
        self._done = done
        if now >= self._next:
            self._next = now + _PERIOD
            since, already = self._begun
            self._draw(_line(done, total, done - already, now - since))

    def _draw(self, line: str) -> None:
        line = line[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


def _line(done: int, total: int | None, moved: int, seconds: float) -> str:
    """Return bar, share, bytes, speed and time left, as far as they are known."""
    speed = moved / seconds if seconds > 0 else 0.0
    parts = [size(done)]
    if total:
        share = min(done / total, 1.0)
        cells = int(share * _CELLS)
        parts = [
            f"[{'#' * cells}{'-' * (_CELLS - cells)}] {share:4.0%}",
            f"{size(done)} of {size(total)}",
        ]
    if speed:
        parts.append(f"{size(speed)}/s")
    if speed and total:
        minutes, rest = divmod(int(max(total - done, 0) / speed), 60)
        parts.append(f"{minutes}:{rest:02} left")
    return "  ".join(parts)
