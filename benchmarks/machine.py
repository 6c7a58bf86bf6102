"""The machine, the versions and the kernel, as lines for the head of a report."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "pretrained-embed",
    "numpy",
    "gensim",
    "torch",
    "polars",
    "pyarrow",
    "pandas",
    "reach",
    "embfile",
    "fasttext-wheel",
    "h5py",
)


def describe() -> dict[str, str]:
    """Return what a reader needs to judge the times, by name."""
    from pretrained_embed import kernel

    return {
        "processor": f"{_processor()}, {_cores()} cores for this process",
        "memory": f"{_memory() / 2**30:.0f} GiB",
        "system": platform.platform(),
        "kernel": kernel.IMPLEMENTATION,
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    }


def load() -> str:
    """Return how busy the machine is: the load of the last 1, 5 and 15 minutes."""
    if not hasattr(os, "getloadavg"):
        return "not known"
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return models[0].strip() if models else platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    if not hasattr(os, "sysconf"):
        return 0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
