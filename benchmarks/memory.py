"""The resident memory of this process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def restart_peak() -> int:
    """Make the peak of resident memory what is resident now, and return that.

    ``ru_maxrss`` cannot be used as it is: after fork and exec it begins at what the
    parent had, and imports may have needed more than they left.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the column shows the peak so far
        return 0
    return resident()


def resident() -> int:
    """Return the bytes that are resident now."""
    return status("VmRSS")


def peak() -> int:
    """Return the most bytes that were resident since `restart_peak`."""
    return status("VmHWM")


def status(name: str) -> int:
    """Return a field of this process's status, in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
