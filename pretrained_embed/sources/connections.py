"""Connections over which no host can keep us waiting.

A timeout of a socket is one for the next bytes: a host that sends a byte of its headers
now and then is waited for without end. Here each read has what is left of a deadline.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Deadline:
    """When something has to be there, and how long the next bytes of it may take."""

    def __init__(self) -> None:
        self._clock: Callable[[], float] = time.monotonic
        self._until = self._pause = float("inf")

    def set(self, clock: Callable[[], float], seconds: float, pause: float) -> None:
        """Set it ``seconds`` from now, with ``pause`` seconds for the next bytes."""
        self._clock, self._until, self._pause = clock, clock() + seconds, pause

    def left(self) -> float:
        """Return how many seconds to wait for the next bytes; 0 for none."""
        return max(0.0, min(self._pause, self._until - self._clock()))


class Session(requests.Session):
    """A session whose connections keep its ``deadline``.

    It follows no redirect: each is for the caller to look at first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.deadline = Deadline()
        adapter = _Adapter(self.deadline)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return ``None``: else the body of each redirect would be read."""


class _Adapter(HTTPAdapter):
    def __init__(self, deadline: Deadline) -> None:
        self._pools = {
            "http": partial(_Pool, deadline),
            "https": partial(_SecurePool, deadline),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _Pool(HTTPConnectionPool):
    def __init__(self, deadline: Deadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ConnectionCls = partial(_Connection, deadline)  # type: ignore[assignment]  # is only called


class _SecurePool(HTTPSConnectionPool):
    def __init__(self, deadline: Deadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ConnectionCls = partial(_SecureConnection, deadline)  # type: ignore[assignment]  # is only called


class _Connection(HTTPConnection):
    def __init__(self, deadline: Deadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.response_class = partial(_response, deadline)  # type: ignore[assignment]  # is only called


class _SecureConnection(HTTPSConnection):
    def __init__(self, deadline: Deadline, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.response_class = partial(_response, deadline)  # type: ignore[assignment]  # is only called


def _response(
    deadline: Deadline, sock: Any, *args: Any, **options: Any
) -> HTTPResponse:
    watched: Any = _Watched(sock, deadline)
    return _Response(watched, *args, **options)


class _Response(HTTPResponse):
    def begin(self) -> None:
        super().begin()
        # urllib3 would log what of the headers is malformed, with the URL and all that
        # is secret in it; headers that are missed then are missed by who asks.
        self.msg.defects = []
        self.msg.set_payload("")


class _Watched:
    """As much of a socket as an answer is read by."""

    def __init__(self, sock: Any, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the bytes that come."""
        raw = self._sock.makefile(mode, buffering=0)
        return io.BufferedReader(_TimedBytes(raw, self._sock, self._deadline))


class _TimedBytes(io.RawIOBase):
    """The bytes that come over a socket, each read with what is left of a deadline."""

    def __init__(self, raw: Any, sock: Any, deadline: Deadline) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.left()
        if not left:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._raw.close()
