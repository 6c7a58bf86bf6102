"""An object store on loopback, moto's, that keeps a list of what it was asked for."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

BUCKET = "vectors"


class Asked(NamedTuple):
    method: str
    key: str
    span: str | None  # Range
    condition: str | None  # If-Match


class Store:
    """One bucket; ``answers``, an HTTP status and S3's word for it, come first."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.client: Any = None  # boto3's
        self.asked: list[Asked] = []
        self.answers: deque[tuple[int, str]] = deque()
        self.before: Callable[[Asked], None] = lambda asked: None

    def put(self, key: str, data: bytes) -> str:
        """Keep an object; return its URL."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def spans(self) -> list[tuple[int, int]]:
        """Return what of the objects was asked for, from the first byte to the last."""
        gets = [asked.span or "" for asked in self.asked if asked.method == "GET"]
        pairs = [span.removeprefix("bytes=").split("-") for span in gets]
        return [(int(first), int(last)) for first, last in pairs]


@contextmanager
def _serving() -> Iterator[Store]:
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *args: object) -> None:
            """Keep silent."""

    store = Store()
    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        asked = Asked(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"].removeprefix(f"/{BUCKET}/"),
            environ.get("HTTP_RANGE"),
            environ.get("HTTP_IF_MATCH"),
        )
        if asked.method in ("GET", "HEAD"):
            store.before(asked)
            store.asked.append(asked)
            if store.answers:
                status, code = store.answers.popleft()
                body = f"<Error><Code>{code}</Code></Error>".encode()
                start(f"{status} {code}", [("Content-Length", str(len(body)))])
                return [] if asked.method == "HEAD" else [body]
        return moto(environ, start)

    server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=Silent
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    store.client = boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    store.client.create_bucket(Bucket=BUCKET)
    try:
        yield store
    finally:
        store.client.close()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def running_store() -> Iterator[Store]:
    with _serving() as store:
        yield store


@pytest.fixture
def s3(running_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the store; ``s3://`` means it, its credentials are in the environment."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_store.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    running_store.answers.clear()
    running_store.before = lambda asked: None
    running_store.asked.clear()
    return running_store
