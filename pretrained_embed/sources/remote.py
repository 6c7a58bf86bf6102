"""Files on other machines that are read remotely, by ranges.

``s3://``, ``gs://``, ``az://`` and other protocols of fsspec; and
``remote+https://``, which is ``https://`` without the download: a library downloads a
plain ``https://`` URL once, and keeps the file. ``remote+`` is a part of the URL, not
an option, so that it can be chosen for one of several sources, and is the same in a
worker process.

Several ranges are requested at a time, and failed ones again. An answer takes time, so
the next bytes are requested before they are read: all of a named range, else more and
more, the longer the file is read in order.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import RawIOBase
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, cast

from pretrained_embed.errors import SourceError
from pretrained_embed.sources import http, object_store
from pretrained_embed.sources.http import Failure, Result, Retry, persist
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.stream import AnyStream, OneShot, Stream
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import WriteableBuffer


#: Concurrent requests for one file. One connection brings some 50 MB/s from a usual
#: object store, so ten fill most networks; botocore keeps as many connections.
AT_ONCE = 10


class RequestSizes(NamedTuple):
    """How many bytes are requested at a time."""

    #: In one request: large enough that latency is the smaller part of its time.
    most: int = 1 << 22
    #: In the first request, when it is unknown how much will be read.
    first: int = 1 << 16
    #: After the end of a named range, requested with it: the rest of a row.
    slack: int = 1 << 14


USUAL = RequestSizes()


class Far(Protocol):
    """A file on another machine, in one version."""

    name: str

    def get(self, start: int, stop: int) -> bytes:
        """Return a range of bytes; may be called from any thread.

        Raises `Failure` if they do not come, `SourceError` if another try is useless.
        """

    def check(self) -> None:
        """Raise `SourceError` if the file has changed."""


class Requests:
    """The requests for one file, in their own threads."""

    def __init__(
        self, far: Far, size: int, retry: Retry, sizes: RequestSizes = USUAL
    ) -> None:
        self.size = size
        self.sizes = sizes
        self._far = far
        self._patience = retry
        self._head = b""
        self._threads = ThreadPoolExecutor(AT_ONCE, "pretrained-embed-request")
        self._files = 0
        self._lock = threading.Lock()

    def get(self, start: int, stop: int) -> bytes:
        """Return bytes of the file; raises `SourceError` after the last try."""

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
        """Return the first bytes, which are requested once."""
        size = min(size, self.size)
        if size > len(self._head):
            stop = min(max(size, self.sizes.first), self.size)
            self._head += self.get(len(self._head), stop)
        return self._head[:size]

    def submit(self, start: int, stop: int) -> Future[bytes]:
        """Request bytes of the file without waiting for them."""
        return self._threads.submit(self.get, start, stop)

    def confirm(self) -> None:
        """Raise `SourceError` if the file has changed."""
        self._persist(self._far.check)

    @property
    def share(self) -> int:
        """Return how many requests each open file may have at a time."""
        return max(2, AT_ONCE // max(1, self._files))

    def opened(self) -> None:
        """Record that a file was opened."""
        with self._lock:
            self._files += 1

    def closed(self) -> bool:
        """Record that a file was closed; return whether it was the last open one."""
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


class _Asked(NamedTuple):
    start: int
    stop: int
    answer: Future[bytes]


class RangedFile(io.RawIOBase):
    """A binary file that can seek and requests the next bytes early.

    Closing the last open file checks whether all bytes were of one version: if not,
    leaving a ``with`` block raises `SourceError`.
    """

    def __init__(self, requests: Requests, begin: int, end: int | None) -> None:
        self._requests = requests
        self._size, self._sizes = requests.size, requests.sizes
        self._goal = 0 if end is None else min(end + self._sizes.slack, self._size)
        span = max(0, self._goal - begin)
        most = self._sizes.most
        self._step = -(-span // max(1, round(span / most))) or most
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
        """Move to ``offset``; return the position in the file."""
        offset += (0, self._place, self._size)[whence]
        if offset < 0:
            raise ValueError(f"negative place {offset} in a file")
        self._place = offset
        return offset

    def tell(self) -> int:
        """Return the position in the file."""
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
        """Make sure that the first answer has the next byte, and others follow."""
        while self._asked and self._asked[0].stop <= self._place:
            self._asked.popleft()
        if not (self._asked and self._asked[0].start <= self._place):
            self._forget()
            # after a move, the order of reading is unknown
            if self._next != self._place:
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
        """Return how many bytes to request now; 0 for none before more were read."""
        if self._next < self._goal:
            return min(self._step, self._goal - self._next)
        in_order = max(0, self._place - max(self._start, self._goal))
        if self._asked and self._next - self._place > in_order:
            return 0
        return min(self._sizes.most, max(self._sizes.first, in_order))

    def _forget(self) -> None:
        while self._asked:
            self._asked.pop().answer.cancel()

    def close(self) -> None:
        """Request nothing more."""
        self._close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, and check that the bytes were of one version."""
        if self._close() and kind is None:
            self._requests.confirm()

    def _close(self) -> bool:
        """Close the file; return whether it was the last open one."""
        if self.closed:
            return False
        super().close()
        self._forget()
        return self._requests.closed()


DIRECT = "remote+"


class Remote(Far, Protocol):
    """A file on another machine, as its protocol describes it."""

    size: int | None
    version: str | None  # a different one is a different file; None if unknown
    ranges: bool  # whether `get` works, if the size is known

    def whole(self) -> RawIOBase:
        """Open all bytes, to be read in order."""


@dataclass(frozen=True)
class RemoteStream(Stream):
    """Bytes on another machine of which any range can be read."""

    requests: Requests = field(kw_only=True, repr=False)

    @property
    def ranges(self) -> bool:
        """True."""
        return True

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""
        return self.requests.head(size)

    def open(self, begin: int = 0, end: int | None = None) -> BinaryIO:
        """Open the bytes for reading from ``begin`` on. See `Stream`."""
        return cast(BinaryIO, RangedFile(self.requests, begin, end))


def open_remote(
    words: str, *, offline: bool, retry: Retry | None = None
) -> tuple[AnyStream, str | None]:
    """Return the bytes at a URL, and the member named after a ``#``.

    Without ranges the stream is read from front to back. Without versions it is read
    once, since two answers may be of two versions. Raises `UnknownSourceError` if there
    is no such file, `MissingPackageError` if the package for its protocol is not
    installed, and `SourceError` if it cannot be read.
    """
    words = Url(words)
    url, member = words.parted()
    if offline:
        raise SourceError(f"{words}: is on another machine, and the network is off")
    retry = retry or Retry()
    try:
        found = persist(lambda: _find(url, retry), retry)
    except Failure as failure:
        raise SourceError(f"{url}: cannot be read: {failure}") from failure
    facts: dict[str, object] = {
        "source": str(words),
        "name": url.rpartition("/")[2],
        "url": str(url),
        "size": found.size,
        "version": found.version,
    }
    return _stream(found, url, facts, retry), member or None


def parts_of(words: str, retry: Retry | None = None) -> list[Url] | None:
    """Return the files of the URL of a folder or of a pattern.

    ``None`` for the URL of one file. A member after a ``#`` is ignored. Raises the
    errors of `open_remote`.
    """
    url, _ = Url(words).parted()
    if url.scheme.startswith(DIRECT) or not object_store.names_several(url):
        return None
    try:
        return persist(lambda: object_store.listed(url), retry or Retry())
    except Failure as failure:
        raise SourceError(f"{url}: cannot be listed: {failure}") from failure


def _find(url: Url, retry: Retry) -> Remote:
    if url.scheme.startswith(DIRECT):
        return http.HttpFile(Url(url.whole[len(DIRECT) :]), str(url), retry)
    return object_store.StoredFile(url)


def _stream(
    found: Remote, url: Url, facts: dict[str, object], retry: Retry
) -> AnyStream:
    name, size = found.name, found.size
    if found.version is None:
        return OneShot(name, found.whole, facts)
    identity = Identity(str(facts["source"]), size, version=found.version)
    if size is None or not found.ranges:
        return Stream(
            name, found.whole, facts, size=size, address=url, identity=identity
        )
    requests = Requests(found, size, retry)
    return RemoteStream(
        name,
        lambda: RangedFile(requests, 0, None),
        facts,
        size=size,
        address=url,
        identity=identity,
        requests=requests,
    )
