"""One HTTP request, held to our rules, its failures sorted.

HTTPS, with certificates checked; plain HTTP only where a published checksum covers
what comes. All that can go wrong is a `Failure`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pretrained_embed.sources.patience import Failure, Patience

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 18
_PAGE = (b"<!doctype html", b"<html", b"<?xml")
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Part:
    """What a host answers: bytes from ``start`` on, of a file of ``total`` bytes."""

    response: requests.Response
    start: int
    total: int | None
    validator: str | None  # names this very version of the file, for If-Range

    @property
    def ends_by_itself(self) -> bool:
        """Whether a cut answer can be told from a whole one without its length."""
        coding = self.response.headers.get("Transfer-Encoding", "")
        return "chunked" in coding.lower()


def session() -> requests.Session:
    """Return a session that says who is asking."""
    import requests

    made = requests.Session()
    made.headers["User-Agent"] = "pretrained-embed"
    made.headers["Accept-Encoding"] = "identity"  # the bytes as they are published
    return made


@contextmanager
def get(
    session: requests.Session,
    url: str,
    patience: Patience,
    *,
    covered: bool,
    span: str | None = None,
    validator: str | None = None,
) -> Iterator[Part]:
    """Ask for a file, or for the ``span`` of it (``"100-"``, ``"0-99"``, ``"-500"``).

    ``covered`` says that a published checksum covers what comes. With ``validator``
    the span is asked for only if the file has not changed. A host may always send the
    whole file instead: see ``start``. Raises `Failure`.
    """
    headers = {}
    if span is not None:
        headers["Range"] = f"bytes={span}"
        if validator is not None:
            headers["If-Range"] = validator
    if not covered and not url.startswith("https://"):
        raise Failure("plain http, and no published checksum covers it")
    with _asked(session, url, headers, patience) as response:
        _check_way(response, covered)
        _check_status(response)
        yield _part(response)


@contextmanager
def _asked(
    session: requests.Session, url: str, headers: dict[str, str], patience: Patience
) -> Iterator[requests.Response]:
    import requests

    try:
        response = session.get(
            url,
            headers=headers,
            stream=True,
            timeout=(patience.connect, patience.read),
        )
    except requests.exceptions.SSLError as error:
        raise Failure(f"its certificate cannot be trusted ({_root(error)})") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Failure(f"no answer ({_root(error)})", again=True) from error
    except (requests.RequestException, ValueError) as error:
        raise Failure(str(error)) from error
    with response:
        yield response


def _root(error: BaseException) -> str:
    """Return the words of the innermost cause, which are those that tell something."""
    reason = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    return str(reason or error)


def _check_way(response: requests.Response, covered: bool) -> None:
    for step in (*response.history, response):
        if not covered and not step.url.startswith("https://"):
            raise Failure(
                f"it leads to plain http ({step.url}), and no published checksum "
                "covers it"
            )


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    again = status in (408, 416, 429) or status >= 500
    raise Failure(
        f"the host answers {status} {response.reason}",
        again=again,
        wait=_retry_after(response.headers.get("Retry-After")) if again else None,
        start_over=status == 416,  # there are no such bytes: the file is another one
    )


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _part(response: requests.Response) -> Part:
    headers = response.headers
    length = headers.get("Content-Length", "")
    start, total = 0, int(length) if length.isdecimal() else None
    if response.status_code == 206:
        unit, _, rest = headers.get("Content-Range", "").partition(" ")
        first, _, rest = rest.partition("-")
        whole = rest.rpartition("/")[2]
        if unit != "bytes" or not first.isdecimal() or not whole.isdecimal():
            raise Failure("the host's Content-Range makes no sense")
        start, total = int(first), int(whole)
    etag = headers.get("ETag", "")
    if etag.startswith("W/"):  # equal in meaning only, not in bytes
        etag = ""
    return Part(response, start, total, etag or headers.get("Last-Modified"))


def body(part: Part, patience: Patience) -> Iterator[bytes]:
    """Yield the bytes of an answer as they come.

    Raises `Failure` where the connection breaks or the bytes come too slowly.
    """
    from urllib3.exceptions import HTTPError

    since, got = patience.clock(), 0
    while True:
        try:
            chunk = part.response.raw.read1(_CHUNK, decode_content=False)
        except (HTTPError, OSError) as error:
            raise Failure(f"the connection broke ({error})", again=True) from error
        if not chunk:
            return
        yield chunk
        got += len(chunk)
        now = patience.clock()
        if now - since >= patience.window:
            if got < patience.slowest * (now - since):
                raise Failure("the bytes come too slowly")
            since, got = now, 0


def not_vectors(head: bytes) -> str | None:
    """Return what bytes beginning with ``head`` are instead of vectors, if known."""
    if head.startswith(_LFS):
        return "a git-lfs pointer instead of the file it points to"
    if head.lstrip().lower().startswith(_PAGE):
        return "a web page instead of the file"
    return None
