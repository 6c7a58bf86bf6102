"""HTTP: requests by our rules, when they are repeated, and files read by ranges.

HTTPS with checked certificates; plain HTTP only if a published checksum covers the
bytes. Redirects are followed here, after each is checked; the body of a redirect or of
an error is not read. Headers of an answer are only used if they are plausible. Every
error is a `Failure`.

The same rules hold for ranges of a file (RFC 9110, 14), but only with HTTPS, since no
checksum covers a range. Each answer must be of the version that was found first.
"""

from __future__ import annotations

import io
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import responses
from typing import TYPE_CHECKING, TypeVar

from pretrained_embed.errors import SourceError, needing_package
from pretrained_embed.sources import http
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    import requests
    from _typeshed import WriteableBuffer

    from pretrained_embed.sources.connections import Session


#: How many redirects are followed; browsers follow as many.
MOST_REDIRECTS = 20

_CHUNK = 1 << 18
_PAGE = (b"<!doctype html", b"<html", b"<?xml")
_LFS = b"version https://git-lfs.github.com/spec/"
_REDIRECTS = (301, 302, 303, 307, 308)

#: A number of bytes: below 2**63, so that every counter can hold it.
_COUNT = r"([0-9]{1,18})"
#: The length of an answer; a host may repeat it (RFC 9110, 8.6).
_LENGTH = re.compile(rf"{_COUNT}(?:\s*,\s*\1)*")
_SPAN = re.compile(rf"bytes {_COUNT}-{_COUNT}/{_COUNT}")
#: A strong validator: a weak one is not equal for equal bytes only.
_ETAG = re.compile(r'"[!#-~\x80-\xff]{0,1000}"')
#: How many characters of foreign text are in a message.
_LONGEST = 200


@dataclass(frozen=True)
class Answer:
    """The answer of a host: bytes from ``start`` on, of a file of ``total`` bytes."""

    response: requests.Response
    start: int
    total: int | None
    validator: str | None  # names this version of the file, for If-Range
    session: Session

    @property
    def ends_by_itself(self) -> bool:
        """Whether a truncated answer can be recognised without its length."""
        return "Transfer-Encoding" in self.response.headers


def session() -> Session:
    """Return a session that identifies this package."""
    with needing_package("a download"):
        from pretrained_embed.sources.connections import Session

    made = Session()
    made.headers["User-Agent"] = "pretrained-embed"
    made.headers["Accept-Encoding"] = "identity"  # the bytes as they are published
    return made


@contextmanager
def get(
    session: Session,
    url: str,
    retry: Retry,
    *,
    covered: bool,
    span: str | None = None,
    validator: str | None = None,
) -> Iterator[Answer]:
    """Request a file, or the ``span`` of it (``"100-"``, ``"0-99"``, ``"-500"``).

    ``covered`` says that a published checksum covers the bytes. With ``validator`` the
    span is only sent if the file has not changed. A host may always send the whole file
    instead: see ``start``. Raises `Failure`.
    """
    headers = {}
    if span is not None:
        headers["Range"] = f"bytes={span}"
        if validator is not None:
            headers["If-Range"] = validator
    with _followed(session, Url(url), headers, retry, covered) as response:
        _check_status(response)
        yield _part(response, session)


@contextmanager
def _followed(
    session: Session,
    url: Url,
    headers: dict[str, str],
    retry: Retry,
    covered: bool,
) -> Iterator[requests.Response]:
    """Send a request and follow redirects, all with one deadline."""
    if url.is_shortened:
        raise Failure("what it is signed with was left out; give the whole URL")
    _check_way(url, covered)
    until = retry.clock() + retry.answer
    is_named = True  # whether this is the host that the user has named
    for _ in range(MOST_REDIRECTS + 1):
        left = until - retry.clock()
        if left <= 0:
            raise Failure(f"no answer in {retry.answer:g} seconds", again=True)
        with _asked(session, url, headers, retry, left, is_named) as response:
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or location is None:
                yield response
                return
            target = _target(url, location)
        _check_way(target, covered, "leads to ")
        is_named = is_named and target.origin == url.origin
        url = target
    raise Failure(f"the host answers with more than {MOST_REDIRECTS} redirects")


def _target(url: Url, location: str) -> Url:
    # Headers are read as Latin-1; browsers send and accept UTF-8.
    text = location.encode("latin-1", "replace").decode(errors="replace")
    try:
        return url.leads_to(text)
    except SourceError as error:
        raise Failure(f"it leads to where nothing is asked: {error}") from None


def _check_way(url: Url, covered: bool, leads: str = "") -> None:
    if url.scheme not in ("http", "https"):
        raise Failure(f"it {leads or 'is '}no https:// URL")
    if not covered and url.scheme != "https":
        where = f"it {leads}plain http ({url})," if leads else "plain http,"
        raise Failure(f"{where} and no published checksum covers it")


@contextmanager
def _asked(
    session: Session,
    url: Url,
    headers: dict[str, str],
    retry: Retry,
    seconds: float,
    is_named: bool,
) -> Iterator[requests.Response]:
    """Request the headers of an answer, which may be a redirect.

    Credentials, which come from ~/.netrc, are sent only where ``is_named``.
    """
    import requests
    from urllib3.exceptions import HTTPError

    session.deadline.set(retry.clock, seconds, retry.read)
    try:
        response = session.get(
            url.whole,
            headers=headers,
            stream=True,
            timeout=(min(retry.connect, seconds), min(retry.read, seconds)),
            auth=None if is_named else lambda request: request,
        )
    except requests.exceptions.SSLError as error:
        raise Failure(
            f"its certificate cannot be trusted ({_root(url, error)})"
        ) from url.cause(error)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Failure(f"no answer ({_root(url, error)})", again=True) from url.cause(
            error
        )
    except (requests.RequestException, HTTPError, ValueError) as error:
        raise Failure(_brief(url.hide(str(error)))) from url.cause(error)
    with response:
        yield response


def _root(url: Url, error: BaseException) -> str:
    """Return the text of the innermost cause, which is the informative one."""
    reason = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    return _brief(url.hide(str(reason or error)))


def _brief(text: str) -> str:
    """Return text of a host, shortened, on one line and without control characters."""
    shown = "".join(c if c.isprintable() else " " for c in text[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    again = status in (408, 416, 429) or status >= 500
    raise Failure(
        f"the host answers {status} {responses.get(status, '')}".rstrip(),
        again=again,
        wait=_retry_after(response.headers.get("Retry-After")) if again else None,
        start_over=status == 416,  # the file has no such bytes, so it has changed
    )


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    if value is None:
        return None
    if re.fullmatch(r"[0-9]+", value):
        return float(value[:18])  # longer waits count as infinite
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


def _part(response: requests.Response, session: Session) -> Answer:
    headers = response.headers
    start, total = 0, None
    if (length := headers.get("Content-Length")) is not None:
        if not (found := _LENGTH.fullmatch(length.strip())):
            raise Failure("the host's Content-Length makes no sense")
        total = int(found[1])
    if headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        raise Failure("the host's Transfer-Encoding is none that can be read")
    if response.status_code == 206:
        found = _SPAN.fullmatch(headers.get("Content-Range", ""))
        start, last, whole = map(int, found.groups()) if found else (1, 0, 0)
        if not start <= last < whole:
            raise Failure("the host's Content-Range makes no sense")
        total = whole
    return Answer(response, start, total, _validator(response), session)


def _validator(response: requests.Response) -> str | None:
    """Return the validator of this version of the file, if it is valid."""
    from email.utils import parsedate_to_datetime

    etag = response.headers.get("ETag", "")
    if _ETAG.fullmatch(etag):
        return etag
    modified = response.headers.get("Last-Modified", "")
    try:
        parsedate_to_datetime(modified)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return modified if re.fullmatch(r"[ -~]{1,100}", modified) else None


def body(part: Answer, retry: Retry) -> Iterator[bytes]:
    """Yield the bytes of an answer as they come.

    Raises `Failure` if the connection breaks or the bytes come too slowly.
    """
    from urllib3.exceptions import HTTPError

    since, got = retry.clock(), 0
    while True:
        # For one read, not for all: a host may send chunk headers without end.
        part.session.deadline.set(retry.clock, retry.read, retry.read)
        try:
            chunk = part.response.raw.read1(_CHUNK, decode_content=False)
        except (HTTPError, OSError) as error:
            said = _brief(str(error))
            raise Failure(f"the connection broke ({said})", again=True) from error
        if not chunk:
            return
        yield chunk
        got += len(chunk)
        now = retry.clock()
        if now - since >= retry.window:
            if got < retry.slowest * (now - since):
                raise Failure("the bytes come too slowly")
            since, got = now, 0


def not_vectors(head: bytes) -> str | None:
    """Return what bytes that begin with ``head`` are instead of vectors, if known."""
    if head.startswith(_LFS):
        return "a git-lfs pointer instead of the file it points to"
    if head.lstrip().lower().startswith(_PAGE):
        return "a web page instead of the file"
    return None


Result = TypeVar("Result")


@dataclass(frozen=True)
class Retry:
    """How long to wait for a host, and how often to try. Times are in seconds."""

    connect: float = 10.0
    read: float = 30.0  # for the next bytes
    answer: float = 60.0  # for the headers, those of all redirects to them too
    tries: int = 4  # of one URL, each counted from the last that brought bytes
    backoff: float = 0.5  # before the second try; doubles each time
    longest: float = 60.0  # a host that asks for more is left alone
    window: float = 60.0  # the time over which `slowest` is measured
    slowest: float = 1024.0  # bytes per second, below which a host is given up
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class Failure(Exception):
    """A request failed. `library` and `sources` turn it into a `SourceError`."""

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        wait: float | None = None,
        start_over: bool = False,
    ) -> None:
        super().__init__(reason)
        self.again = again  # whether another try may help
        self.wait = wait  # the wait that the host asks for, in seconds
        self.start_over = start_over  # whether earlier bytes are useless


def persist(
    ask: Callable[[], Result],
    retry: Retry,
    *,
    got: Callable[[], int] = lambda: 0,
    start_over: Callable[[], None] = lambda: None,
) -> Result:
    """Call ``ask`` until it returns or another try is useless.

    ``got`` returns the number of received bytes: a try that received new ones does not
    count as failed. Raises the last `Failure`.
    """
    most, tries = got(), 0
    while True:
        try:
            return ask()
        except Failure as failure:
            tries = 1 if got() > most else tries + 1
            most = max(most, got())
            if failure.start_over:
                start_over()
            pause = retry.backoff * 2 ** (tries - 1)
            if failure.wait is not None:
                pause = failure.wait
            if not failure.again or tries >= retry.tries or pause > retry.longest:
                raise
        retry.sleep(pause)


#: How a page that is sent instead of the file begins.
_HEAD = 512


class HttpFile:
    """A file at an ``https://`` URL, at the version it has when it is found.

    See `remote.Remote`. Each session is used by one thread at a time.
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
        """Return a range of bytes; may be called from any thread."""
        data = bytearray()
        with self._same(start, stop) as part:
            for chunk in http.body(part, self._patience):
                data += chunk
                if len(data) > stop - start:
                    raise Failure("the host sends more than it was asked for")
        return bytes(data)

    def check(self) -> None:
        """Raise `SourceError` if the file has changed."""
        with self._same(0, 1):
            return

    def whole(self) -> io.RawIOBase:
        """Open all bytes, to be read in order."""
        return _Whole(self.name, self._body())

    @contextmanager
    def _asked(
        self, span: str | None, validator: str | None = None
    ) -> Iterator[Answer]:
        """Request a span, or everything. Raises `Failure`; see `http.get`."""
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
        """Request a range of the version that was found first."""
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
        """Yield all bytes in order."""
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
            # the length of a chunked body is unknown
            if part.total is not None and came != part.total:
                raise Failure(f"{part.total:,} bytes were announced, and {came:,} came")


class _Whole(io.RawIOBase):
    """All bytes of a file whose host does not support ranges."""

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
