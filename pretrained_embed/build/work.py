"""How a build is executed, and where its rows go: neither changes the rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from pretrained_embed.arrays import Progress
from pretrained_embed.budget import USUAL, ReadOptions, number_of_bytes
from pretrained_embed.build.workers import Spent
from pretrained_embed.errors import OptionError, brief
from pretrained_embed.formats import TARGET_SUFFIXES
from pretrained_embed.formats.parallel import thread_count
from pretrained_embed.sources import Stream, open_source
from pretrained_embed.sources.stream import rereadable

#: The memory that is assumed if the system does not report it.
_UNKNOWN = 1 << 32

#: Of control groups, version 2 and version 1: the folder of the root group, the files
#: of limit and use, and the line of ``memory.stat`` for files that may be read again.
_VERSION_2 = ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
_VERSION_1 = (
    *("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    "total_inactive_file",
)


def free_memory(root: Path = Path("/")) -> int:
    """Return the free memory in bytes, as far as it is known.

    It is the minimum of the system's free memory and that of each control group of this
    process, which is less in a container. Cached file content counts as free. ``root``
    is the folder of ``proc`` and ``sys``.

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
    """Yield the free memory of the process's control group, and of those above it."""
    with suppress(OSError, ValueError):
        for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top, *files = _VERSION_1 if controllers else _VERSION_2
            group = (root / top).joinpath(*name.strip("/").split("/"))
            # a container may see its own group as the root, whatever its name is
            for folder in (group, *group.parents):
                if folder.is_relative_to(root / top) and ".." not in folder.parts:
                    yield from _left(folder, *files)


def _left(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    """Yield the free memory of a group; nothing if it has no limit."""
    with suppress(OSError, ValueError):  # "max" is no number
        left = int((folder / limit).read_text("ascii"))
        left -= int((folder / used).read_text("ascii"))
        with suppress(OSError, ValueError):
            left += int(dict(_lines(folder / "memory.stat")).get(cached, 0))
        yield max(0, left)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the number in each line."""
    for line in path.read_text("ascii").splitlines():
        name, number, *_ = line.split()
        yield name, number


@dataclass(frozen=True, init=False)
class Work:
    """How a build is executed. It changes the time, never the rows.

    Parameters
    ----------
    threads : int, optional
        How many threads read. Default: the number of CPUs that this process may use.
    executor : concurrent.futures.Executor, optional
        The executor that reads the sources. Its workers may be processes, or as with
        Dask's ``client.get_executor()`` other machines, if they have the same files at
        the same paths, ``out`` too. A split of a source that fails is read again.
    memory : int or str, optional
        The most bytes for the index of the tokens in each process, a number or text
        such as ``"4GB"``. A larger index needs several passes over the source; "parts"
        and "ngram" read it again for each block of rows. Default: half of the free
        memory.
    advise : bool, default False
        Also find out, in the same pass, which other forms of ``match`` would find more:
        see `Coverage`.
    report : callable of a list, optional
        Called at the end with the work of each worker, this process first: ``worker``,
        which is machine and process, ``cpu_seconds``, ``bytes_read`` and
        ``bytes_written``, which include intermediate files.

    Raises
    ------
    OptionError
        For an invalid value.

    Examples
    --------
    >>> Work(threads=2, memory="4GB")
    Work(threads=2, executor=None, memory=4000000000, advise=False)
    """

    __module__ = "pretrained_embed"

    threads: int | None = None
    executor: Executor | None = None
    memory: int | None = None
    advise: bool = False
    report: Callable[[list[Spent]], object] | None = field(default=None, repr=False)

    def __init__(
        self,
        threads: int | None = None,
        executor: Executor | None = None,
        memory: int | str | None = None,
        advise: bool = False,
        report: Callable[[list[Spent]], object] | None = None,
    ) -> None:
        if threads is not None:
            _check_count("threads", threads)
        if executor is not None and not hasattr(executor, "submit"):
            raise OptionError(
                f"executor is {brief(executor)}; give one of concurrent.futures"
            )
        if not isinstance(advise, bool):
            raise OptionError(f"advise is {brief(advise)}; it is True or False")
        if report is not None and not callable(report):
            raise OptionError(f"report is {brief(report)}; it is called with a list")
        self.__dict__.update(
            threads=threads,
            executor=executor,
            memory=None if memory is None else number_of_bytes(memory),
            advise=advise,
            report=report,
        )


@dataclass(frozen=True)
class Shards:
    """A new folder of safetensors files, for the rows of a matrix: ``out=`` of a build.

    Parameters
    ----------
    folder : path
        The new folder, with an index that Hugging Face's libraries read. It appears
        whole.
    files : int
        How many files there are, each with some of the rows; at most one for each row.

    Raises
    ------
    OptionError
        For an invalid number.

    Examples
    --------
    >>> Shards("model", 8)
    Shards(folder='model', files=8)
    """

    __module__ = "pretrained_embed"

    folder: str | os.PathLike[str]
    files: int

    def __post_init__(self) -> None:
        _check_count("files", self.files)


def _check_count(name: str, given: object) -> None:
    """Raise `OptionError` for a value that is no integer from 1."""
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise OptionError(f"{name} is {brief(given)}; at least 1 is needed")


class Output(NamedTuple):
    """Where rows go: into memory, into one file, or into ``files`` in a new folder."""

    path: Path | None = None
    files: int | None = None
    read_options: ReadOptions = USUAL  # options for reading the result

    @classmethod
    def of(
        cls,
        out: str | os.PathLike[str] | Shards | None,
        rows: int,
        read_options: ReadOptions = USUAL,
    ) -> Output:
        """Return the output for a number of rows; raises `OptionError`."""
        if out is None:
            return cls()
        files = out.files if isinstance(out, Shards) else None
        given = out.folder if isinstance(out, Shards) else out
        if not isinstance(given, str | bytes | os.PathLike):
            raise OptionError(
                f"out is {brief(given)}; give a path, or pe.Shards(folder, files)"
            )
        path = Path(os.fsdecode(given))
        if not path.name or "\0" in str(path):
            raise OptionError(f"out is {str(path)!r}; name a file or a folder")
        if files is None and path.suffix.lower() not in TARGET_SUFFIXES:
            raise OptionError(
                f"out is {str(path)!r}; rows go into files that end in "
                f"{' '.join(TARGET_SUFFIXES)}, or into a folder: "
                f"out=pe.Shards({str(path)!r}, 8). Save others with matrix.save"
            )
        if files is not None and files > rows:
            raise OptionError(
                f"shards is {files} for {rows:,} rows; it can be 1 to {rows:,}"
            )
        return cls(path, files, read_options)

    def stream(self) -> Stream:
        """Return the written file as a stream; there must be a path."""
        found = open_source(cast(Path, self.path), read_options=self.read_options)
        return rereadable(found)

    def at_once(self, size: int, work: Work) -> bool:
        """Return whether all rows are made at once, in memory or in their file.

        Else they are made range by range. ``size`` is their size in bytes.
        """
        if work.executor is not None or work.memory is not None:
            return False
        return self.path is None or self.in_memory(size)

    def in_memory(self, size: int) -> bool:
        """Whether rows go into one file, and their ``size`` fits the memory."""
        return self.path is not None and self.files is None and fits_memory(size)


def fits_memory(size: int) -> bool:
    """Return whether this many bytes fit into free memory, with room beside them."""
    return size <= half_of_memory()


def half_of_memory() -> int:
    """Return half of the free memory in bytes."""
    return free_memory() // 2


@contextmanager
def own_threads(threads: int | None) -> Iterator[Executor]:
    """Yield an executor of threads; tasks not yet begun are dropped at the end."""
    pool = ThreadPoolExecutor(thread_count(threads))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class WholeProgress:
    """Adds up the bytes done in all places, for one listener.

    ``total`` is that of the whole job, or ``None`` if unknown.
    """

    def __init__(self, listener: Progress | None, total: int | None) -> None:
        self._listener = listener
        self._total = total
        self._done = 0

    def add(self, size: int) -> None:
        """Report that this many more bytes are done."""
        self._done += size
        self.live(0, None)

    def live(self, done: int, _total: int | None) -> None:
        """Report the progress of an unfinished part; see `Progress`."""
        if self._listener is not None:
            self._listener(self._done + done, self._total)
