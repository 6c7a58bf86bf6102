"""A file far away, read by ranges, several of which are under way at once.

The answer to a request is a while on its way, so what will be read next is asked for
before it is read: of a range that was named all of it, else the more the longer the
file is read in order.
"""

from __future__ import annotations

import io
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.sources.far import FIRST, Requests

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from _typeshed import WriteableBuffer

#: Bytes of a request: its way there and back is then the smaller part of its time.
CHUNK = 1 << 22
#: Bytes behind the end of a named range that are asked for with it: a row's rest.
_SLACK = 1 << 14


class _Asked(NamedTuple):
    start: int
    stop: int
    answer: Future[bytes]


class RangedFile(io.RawIOBase):
    """A binary file that can seek and asks for the next bytes in time.

    The file that is the last to be closed finds out whether the bytes were all of one
    version: leaving a ``with`` block raises `SourceError` if not.
    """

    def __init__(self, requests: Requests, begin: int, end: int | None) -> None:
        self._requests = requests
        self._size = requests.size
        self._goal = 0 if end is None else min(end + _SLACK, self._size)
        span = max(0, self._goal - begin)
        self._step = -(-span // max(1, round(span / CHUNK))) or CHUNK
        self._asked: deque[_Asked] = deque()
        self._start = self._place = self._next = begin
        requests.opened()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to ``offset``; return the place in the file."""
        offset += (0, self._place, self._size)[whence]
        if offset < 0:
            raise ValueError(f"negative place {offset} in a file")
        self._place = offset
        return offset

    def tell(self) -> int:
        """Return the place in the file."""
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        target = memoryview(buffer).cast("B")
        if not target or self._place >= self._size:
            return 0
        self._ask_ahead()
        start, _, answer = self._asked[0]
        offset = self._place - start
        data = memoryview(answer.result())[offset : offset + len(target)]
        target[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _ask_ahead(self) -> None:
        """See to it that the first answer has the next byte, and others follow."""
        while self._asked and self._asked[0].stop <= self._place:
            self._asked.popleft()
        if not (self._asked and self._asked[0].start <= self._place):
            self._forget()
            if self._next != self._place:  # it was moved: nothing is known of the order
                self._start = self._next = self._place
        while self._next < self._size and len(self._asked) < self._requests.share:
            step = self._next_step()
            if step == 0:
                return
            stop = min(self._next + step, self._size)
            answer = self._requests.submit(self._next, stop)
            self._asked.append(_Asked(self._next, stop, answer))
            self._next = stop

    def _next_step(self) -> int:
        """Return how many bytes to ask for now; 0 for none before more were read."""
        if self._next < self._goal:
            return min(self._step, self._goal - self._next)
        in_order = max(0, self._place - max(self._start, self._goal))
        if self._asked and self._next - self._place > in_order:
            return 0
        return min(CHUNK, max(FIRST, in_order))

    def _forget(self) -> None:
        while self._asked:
            self._asked.pop().answer.cancel()

    def close(self) -> None:
        """Ask for nothing more."""
        self._close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, and see whether the bytes were of one version."""
        if self._close() and kind is None:
            self._requests.confirm()

    def _close(self) -> bool:
        """Close the file; return whether it was the last one open."""
        if self.closed:
            return False
        super().close()
        self._forget()
        return self._requests.closed()
