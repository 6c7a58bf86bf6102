"""Hosts to download from, and a cache to download into."""

import pytest

from pretrained_embed.library.published import fetch_entry
from pretrained_embed.sources.http import Retry
from tests import servers
from tests.sources.published import DATA


@pytest.fixture
def host():
    with servers.serving() as host:
        host.files["v.txt"] = DATA
        yield host


@pytest.fixture
def secure(monkeypatch):
    """Return a host whose certificate is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.TLS / "good.pem"))
    with servers.serving("good.pem") as host:
        host.files["v.txt"] = DATA
        yield host


@pytest.fixture
def waits():
    """Return the pauses that were made; none of them takes time."""
    return []


@pytest.fixture
def get(tmp_path, waits):
    """Fetch an entry into a cache of this test."""

    def get(entry, **options):
        retry = options.pop("retry", None) or Retry(sleep=waits.append)
        return fetch_entry(
            entry,
            tmp_path / "cache",
            retry=retry,
            **({"offline": False} | options),
        )

    return get
