"""A file on a web server, of which ranges are asked for (RFC 9110, 14).

It is asked as for downloads and by the same rules: HTTPS alone, for no checksum vouches
for a range. Each answer has to be of the version that was found first.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pretrained_embed.errors import SourceError
from pretrained_embed.sources import http
from pretrained_embed.sources.http import Answer
from pretrained_embed.sources.retry import Failure, Retry

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes by which a page that is sent in place of the file is told.
_HEAD = 512


class HttpFile:
    """A file at an ``https://`` URL, at the version it has when it is found.

    See `remote.Remote`. A session is used by one thread at a time.
    """

    def __init__(self, url: str, name: str, retry: Retry) -> None:
        self.name = name
        self._url = url
        self._patience = retry
        self._sessions = deque([http.session()])
        with self._asked(f"0-{_HEAD - 1}") as part:
            self.ranges = part.response.status_code == 206
            self.size = part.total
            self.version = part.validator
            what = http.not_vectors(next(http.body(part, retry), b""))
        if what is not None:
            raise SourceError(f"{name}: the host sends {what}")

    def get(self, start: int, stop: int) -> bytes:
        """Return these bytes, from any thread."""
        data = bytearray()
        with self._same(start, stop) as part:
            for chunk in http.body(part, self._patience):
                data += chunk
                if len(data) > stop - start:
                    raise Failure("the host sends more than it was asked for")
        return bytes(data)

    def check(self) -> None:
        """Raise `SourceError` if the file is another one now."""
        with self._same(0, 1):
            return

    def whole(self) -> io.RawIOBase:
        """Open all bytes, to be read from the first to the last."""
        return _Whole(self.name, self._body())

    @contextmanager
    def _asked(
        self, span: str | None, validator: str | None = None
    ) -> Iterator[Answer]:
        """Ask for a span, or for all. Raises `Failure`; see `http.get`."""
        try:
            session = self._sessions.popleft()
        except IndexError:
            session = http.session()
        with http.get(
            session,
            self._url,
            self._patience,
            covered=False,
            span=span,
            validator=validator,
        ) as part:
            yield part
        self._sessions.append(session)

    @contextmanager
    def _same(self, start: int, stop: int) -> Iterator[Answer]:
        """Ask for these bytes of the version that was found."""
        with self._asked(f"{start}-{stop - 1}", self.version) as part:
            found = (part.response.status_code, part.total, part.validator)
            if found != (206, self.size, self.version):
                raise self._changed()
            if part.start != start:
                raise Failure("the host sends another part than it was asked for")
            yield part

    def _changed(self) -> SourceError:
        return SourceError(f"{self.name}: was changed while it was read; read it again")

    def _body(self) -> Generator[bytes]:
        """Yield all bytes as they come."""
        with self._asked(None) as part:
            if (part.total, part.validator) != (self.size, self.version):
                raise self._changed()
            if part.response.status_code != 200:
                raise Failure("the host sends another part than it was asked for")
            if part.total is None and not part.ends_by_itself:
                raise Failure("the host does not say how long the file is")
            came = 0
            for chunk in http.body(part, self._patience):
                yield chunk
                came += len(chunk)
            if part.total is not None and came != part.total:  # of chunks nobody counts
                raise Failure(f"{part.total:,} bytes were announced, and {came:,} came")


class _Whole(io.RawIOBase):
    """All bytes of a file, of which the host gives no ranges."""

    def __init__(self, name: str, chunks: Generator[bytes]) -> None:
        self._name = name
        self._chunks = chunks
        self._chunk = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        target = memoryview(buffer).cast("B")
        try:
            self._chunk = self._chunk or next(self._chunks, b"")
        except Failure as failure:
            raise SourceError(
                f"{self._name}: cannot be read: {failure}; the host gives no ranges, "
                "or names no versions, so it could not be gone on with: download the "
                "file first"
            ) from failure
        count = min(len(target), len(self._chunk))
        target[:count] = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return count

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self._chunks.close()
