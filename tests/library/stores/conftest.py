"""A cache, a file of vectors and a host that the catalog knows, for each test."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Host, serving

#: Every kind of match, a repeated token, a token that looks one value too long.
TEXT = b"".join(
    b"%s %d.5 %d.25 1e-3\n" % (token, number, number)
    for number, token in enumerate(
        [
            b"the",
            b"The",
            b"cat",
            b"new york",
            b"\xc3\xa9",
            b"\xff",
            b"the",
            b"7",
            b"dog",
        ]
    )
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache folder of this test, which does not exist yet."""
    for name in [name for name in os.environ if name.startswith("PRETRAINED_EMBED_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRETRAINED_EMBED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_bytes(TEXT)
    return path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Return a host of the entries ``mini``, and ``first-use`` without a checksum."""
    with serving("good.pem") as host:
        monkeypatch.setenv(
            "REQUESTS_CA_BUNDLE", str(Path(__file__).parents[2] / "data/tls/good.pem")
        )
        host.files = {"mini.txt": TEXT, "first.txt": TEXT}
        digest = hashlib.sha256(TEXT).hexdigest()
        checksum = {"algorithm": "sha256", "of": "file", "value": digest}
        entries = [
            {
                "id": "mini",
                "urls": [host.url + "mini.txt"],
                "checksums": [checksum],
                "licence": "CC0-1.0",
            },
            {"id": "first-use", "urls": [host.url + "first.txt"]},
        ]
        path = tmp_path / "catalog.json"
        path.write_text(json.dumps({"schema": 1, "entries": entries}))
        monkeypatch.setenv("PRETRAINED_EMBED_CATALOG", str(path))
        yield host
