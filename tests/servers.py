"""A web server on loopback that can do everything wrong on command."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TLS = Path(__file__).with_name("data") / "tls"

#: Answers one request, whose whole file is given.
Answer = Callable[["Handler", bytes], None]


class Host:
    """Files at a URL. Each request takes the next of ``answers``, or ``default``."""

    def __init__(self, scheme: str, port: int) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}/"
        self.files: dict[str, bytes] = {}
        self.answers: deque[Answer] = deque()
        self.default: Answer = good
        self.etag: str | None = '"version-1"'
        self.asked: list[tuple[str, str | None]] = []  # path, Range
        self.queries: list[str] = []  # behind the paths, where there was one
        self.logins: list[str | None] = []  # what came as Authorization
        self.headers: dict[str, str] = {}  # added to every good answer


class Handler(BaseHTTPRequestHandler):
    """Looks the answer up; knows how to send part of a file."""

    protocol_version = "HTTP/1.1"
    host: Host

    def do_GET(self) -> None:
        path, mark, query = self.path.partition("?")
        name = path.lstrip("/")
        if mark:
            self.host.queries.append(query)
        self.host.logins.append(self.headers["Authorization"])
        self.host.asked.append((name, self.headers["Range"]))
        answer = self.host.answers.popleft() if self.host.answers else self.host.default
        if name not in self.host.files and answer is good:
            answer = status(404, b"<html>Not found</html>")
        answer(self, self.host.files.get(name, b""))

    def log_message(self, *args: object) -> None:
        """Keep silent."""

    def send(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.push(body)

    def push(self, body: bytes) -> None:
        """Send bytes to a client that may be gone."""
        try:
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:
            self.close_connection = True

    def hang_up(self) -> None:
        self.close_connection = True

    def plan(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return the right answer, a Range and its condition heeded (RFC 9110)."""
        etag = self.host.etag
        headers = {"Accept-Ranges": "bytes", **self.host.headers}
        if etag is not None:
            headers["ETag"] = etag
        wanted = self.headers["Range"]
        condition = self.headers["If-Range"]
        if wanted is None or condition not in (None, etag):
            return 200, {**headers, "Content-Length": str(len(data))}, data
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(data) - int(last))
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= len(data):
            headers["Content-Range"] = f"bytes */{len(data)}"
            return 416, {**headers, "Content-Length": "0"}, b""
        body = data[start:stop]
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return 206, {**headers, "Content-Length": str(len(body))}, body


def good(handler: Handler, data: bytes) -> None:
    handler.send(*handler.plan(data))


def without_ranges(handler: Handler, data: bytes) -> None:
    headers = {"Content-Length": str(len(data))}
    handler.send(200, headers, data)


def versions_without_ranges(handler: Handler, data: bytes) -> None:
    headers = {"Content-Length": str(len(data)), "ETag": str(handler.host.etag)}
    handler.send(200, headers, data)


def chunked(handler: Handler, data: bytes) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    handler.send(200, {"Transfer-Encoding": "chunked"}, body)


def chunked_of_length(more: int) -> Answer:
    """Send chunks, and announce a length that is another."""

    def answer(handler: Handler, data: bytes) -> None:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        length = {"Content-Length": str(len(data) + more)}
        handler.send(200, {"Transfer-Encoding": "chunked", **length}, body)
        handler.hang_up()

    return answer


def cut_chunked(handler: Handler, data: bytes) -> None:
    handler.send(200, {"Transfer-Encoding": "chunked"}, b"%x\r\n%b" % (len(data), data))
    handler.hang_up()


def without_length(handler: Handler, data: bytes) -> None:
    handler.send(200, {"Connection": "close"}, data)
    handler.hang_up()


def silent(handler: Handler, data: bytes) -> None:
    """Close the connection without a word."""
    handler.hang_up()


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: Handler, data: bytes) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.send(code, {"Content-Length": str(len(body)), **named}, body)

    return answer


def cut(at: int, then: Callable[[], None] = lambda: None) -> Answer:
    """Send ``at`` bytes of the body, call ``then``, and hang up."""

    def answer(handler: Handler, data: bytes) -> None:
        code, headers, body = handler.plan(data)
        handler.send(code, headers, body[:at])
        then()
        handler.hang_up()

    return answer


def cut_without_ranges(at: int) -> Answer:
    """Send the first ``at`` bytes of the whole file and hang up."""

    def answer(handler: Handler, data: bytes) -> None:
        handler.send(200, {"Content-Length": str(len(data))}, data[:at])
        handler.hang_up()

    return answer


def long_by(extra: int) -> Answer:
    """Announce more bytes than there are."""

    def answer(handler: Handler, data: bytes) -> None:
        code, headers, body = handler.plan(data)
        headers["Content-Length"] = str(len(body) + extra)
        handler.send(code, headers, body)
        handler.hang_up()

    return answer


def short_by(missing: int) -> Answer:
    """Announce fewer bytes than there are, and send all."""

    def answer(handler: Handler, data: bytes) -> None:
        code, headers, body = handler.plan(data)
        headers["Content-Length"] = str(len(body) - missing)
        handler.send(code, headers, body)
        handler.hang_up()

    return answer


def other_bytes(data: bytes) -> Answer:
    """Send something else, with all that makes it look right."""

    def answer(handler: Handler, _: bytes) -> None:
        handler.send(*handler.plan(data))

    return answer


def other_span(handler: Handler, data: bytes) -> None:
    """Answer a Range with the bytes from 1 on, whatever was asked for."""
    headers = {"Content-Range": f"bytes 1-{len(data) - 1}/{len(data)}"}
    headers["Content-Length"] = str(len(data) - 1)
    handler.send(206, headers, data[1:])


def drip(size: int) -> Answer:
    """Send the body in pieces of ``size`` bytes."""

    def answer(handler: Handler, data: bytes) -> None:
        code, headers, body = handler.plan(data)
        handler.send(code, headers, b"")
        for start in range(0, len(body), size):
            handler.push(body[start : start + size])

    return answer


def redirect(url: str) -> Answer:
    return status(302, Location=url)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep silent about clients that hang up, which some are told to."""


@contextmanager
def serving(certificate: str | None = None) -> Iterator[Host]:
    """Run a server; over TLS with one of the certificates in ``data/tls``, if named."""

    class OfHost(Handler):
        pass

    server = _Server(("127.0.0.1", 0), OfHost)
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / certificate, TLS / "key.pem")
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    OfHost.host = Host(scheme, server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield OfHost.host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
