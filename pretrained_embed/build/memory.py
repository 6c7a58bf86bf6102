"""How much memory is free: of the system, and of the container that this runs in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: Where nothing tells how much is free.
_UNKNOWN = 1 << 32

#: Of control groups, version 2 and version 1: the folder of the root group, the files
#: of limit and use, and the line of ``memory.stat`` for files that may be read again.
_VERSION_2 = ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_VERSION_1 = (
    *("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    "total_inactive_file",
)


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that are free, as far as that is told.

    It is the least of what the system has and of what each control group that this
    process is in may still take: in a container that is less. What holds files that may
    be read again is free, too. ``root`` is where ``proc`` and ``sys`` are.

    Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max) and
    https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
    """
    return min([_of_system(root), *_of_groups(root)])


def _of_system(root: Path) -> int:
    with suppress(OSError, ValueError, KeyError):  # not on this system
        known = dict(_lines(root / "proc/meminfo"))
        return int(known["MemAvailable:"]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _of_groups(root: Path) -> Iterator[int]:
    """Yield what each group may still take: that of the process, and those above."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top, *files = _VERSION_1 if controllers else _VERSION_2
            group = (root / top).joinpath(*name.strip("/").split("/"))
            # a container may see its own group as the root, whatever the name says
            for folder in (group, *group.parents):
                if folder.is_relative_to(root / top) and ".." not in folder.parts:
                    yield from _left(folder, *files)


def _left(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    """Yield what a group may still take, nothing where it has no limit."""
    with suppress(OSError, ValueError):  # "max" is no number
        left = int((folder / limit).read_text("ascii"))
        left -= int((folder / used).read_text("ascii"))
        with suppress(OSError, ValueError):
            left += int(dict(_lines(folder / "memory.stat")).get(cached, 0))
        yield max(0, left)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the number of each line."""
    for line in path.read_text("ascii").splitlines():
        name, number, *_ = line.split()
        yield name, number
