"""Files that may not be read or written, for root too, who may do both everywhere."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_VERSION = 0x20080522  # of the structures of capget(2), two sets of 32 bits
_OVERRIDE = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Take away the right to write to a folder and all that is in it."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    try:
        with asked_for_rights():
            yield
    finally:
        for path in paths:
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o200)


@contextmanager
def asked_for_rights() -> Iterator[None]:
    """Let root do no more than the modes of files allow.

    Root is not asked for rights by a capability, which this thread gives up, and those
    that it starts (Linux; elsewhere a test is skipped for root). Other users are asked.
    """
    if not hasattr(os, "geteuid"):
        pytest.skip("here modes of files are no rights")
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):
        pytest.skip("here root may do everything")
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
    _check(libc.capget(header, sets))
    before = sets[0]
    sets[0] = before & ~_OVERRIDE
    _check(libc.capset(header, sets))
    try:
        yield
    finally:
        sets[0] = before
        _check(libc.capset(header, sets))


def _check(failed: int) -> None:
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
