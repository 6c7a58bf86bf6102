"""Hosts to download from, and a cache to download into, as the sources have them."""

from tests.sources.conftest import get, host, secure, waits

__all__ = ["get", "host", "secure", "waits"]
