"""A folder that may only be read, for root too, who may write to everything else."""

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
    """Take away the right to write to a folder and all that is in it.

    Root is asked for no right to write; so in this thread, and those it starts, root
    gives up the capability behind that (Linux; elsewhere root skips the test).
    """
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    try:
        with _asked_for_rights():
            if os.access(folder, os.W_OK, effective_ids=True):
                pytest.skip("this user may write to what is only readable")
            yield
    finally:
        for path in paths:
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o200)


@contextmanager
def _asked_for_rights() -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(os, "geteuid") or os.geteuid() or not hasattr(libc, "capset"):
        yield
        return
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    before = sets[0]
    sets[0] = before & ~_OVERRIDE
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        sets[0] = before
        if libc.capset(header, sets):
            raise OSError(ctypes.get_errno(), "capset")
