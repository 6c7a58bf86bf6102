"""What all tests share: no network, both kernels, how hard hypothesis looks."""

from __future__ import annotations

import importlib
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pretrained_embed import kernel
from tests.s3 import running_store, s3  # noqa: F401  (fixtures)
from tests.slow import (  # noqa: F401  (hooks)
    mark_slow,
    pytest_addoption,
    pytest_configure,
    pytest_ignore_collect,
    pytest_runtest_logreport,
    pytest_sessionfinish,
)

settings.register_profile("default", deadline=None, database=None, max_examples=40)
settings.register_profile(
    "ci", parent=settings.get_profile("default"), derandomize=True
)
settings.register_profile(
    "thorough",
    parent=settings.get_profile("default"),
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

#: Processes the whole suite runs in at most: each imports several frameworks.
MOST_PROCESSES = 8


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite on all CPUs, and named tests in the process that was asked.

    ``-n`` overrides both: ``-n0`` for one process, a number for so many.
    """
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    return min(cpus, MOST_PROCESSES)


#: Files that take minutes: they run first, so that no process is left with one of them
#: when the others have nothing left to do.
LONGEST_FILES = ("tests/adapters/test_keras.py", "tests/test_documentation.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files in front, and mark what is slow."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_FILES))
    mark_slow(items)


#: What the two kernels both have: all but the constants, which they share.
KERNEL_NAMES = (
    "IMPLEMENTATION",
    *(name for name in kernel.__all__ if not name.isupper()),
)


def native_kernel() -> ModuleType:
    """Import the native kernel; skip where there is none, unless in CI."""
    try:
        return importlib.import_module("pretrained_embed.kernel._kernel")
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("the native kernel is not built here")


def kernel_named(name: str) -> ModuleType:
    if name == "native":
        return native_kernel()
    return importlib.import_module("pretrained_embed.kernel._reference")


@pytest.fixture(params=["native", "reference"])
def both_kernels(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """Run the test twice, with each kernel behind `pretrained_embed.kernel`."""
    implementation = kernel_named(request.param)
    for name in KERNEL_NAMES:
        monkeypatch.setattr(kernel, name, getattr(implementation, name))
    return implementation


@pytest.fixture(scope="session")
def kernel_pair() -> tuple[ModuleType, ModuleType]:
    """The native kernel and the reference, to be held against each other."""
    return kernel_named("native"), kernel_named("reference")


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the caches of the user and of this checkout alone."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PRETRAINED_EMBED_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every connection and every look-up of a name beyond this machine."""
    patch = pytest.MonkeyPatch()

    def guarded(original: Callable[..., Any], host_of: Callable[..., object]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            host = host_of(*args, **kwargs)
            if not _is_local(host):
                raise AssertionError(f"a test reached for the network: {host!r}")
            return original(*args, **kwargs)

        return call

    def peer(sock: socket.socket, address: Any) -> object:
        inet = sock.family in (socket.AF_INET, socket.AF_INET6)
        return address[0] if inet else None

    for name in ("connect", "connect_ex"):
        guard = guarded(getattr(socket.socket, name), peer)
        patch.setattr(socket.socket, name, guard)
    for name in ("getaddrinfo", "gethostbyname"):
        guard = guarded(getattr(socket, name), lambda host, *_, **__: host)
        patch.setattr(socket, name, guard)
    yield
    patch.undo()
