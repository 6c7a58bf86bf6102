"""What tasks open in the process that does them, once for all of a kind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pretrained_embed import formats
from pretrained_embed.errors import SourceError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import KnownLayout, Reader
from pretrained_embed.library import Library, OpenSource
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.stream import Stream, rereadable

Value = TypeVar("Value")

_RUN = "run"
_MARK = "build"


@dataclass(frozen=True)
class Opening:
    """A source as another process opens it, or this one again.

    ``state`` is what is known of its bytes, and ``written`` what changes where a local
    file is written to.
    """

    address: str
    layout: KnownLayout | None  # as it was given
    library: Library  # how it is read
    state: dict[str, Any]
    written: list[Any]
    seconds: list[int]  # when a local file was written to, as a good copy has it
    size: int | None

    @classmethod
    def of(cls, opened: OpenSource) -> Self | None:
        """Return how to open a source; ``None`` where no other process can."""
        if opened.address is None:
            return None
        library = opened.library or Library()
        # as a worker sees it, who knows no other name
        stream = library.stream(opened.address)
        return cls(
            opened.address,
            opened.layout,
            library,
            state_of(stream.identity),
            same_file(opened.address, stream.identity),
            _seconds(opened.address),
            stream.size,
        )

    @property
    def facts(self) -> list[Any]:
        """What differs where it may be another source, or read in another way."""
        return [self.address, str(self.layout), self.state, self.written]

    def reader(self) -> Reader:
        """Return the open source; raises as `stream` does."""
        return formats.open_reader(self.stream(), self.layout)

    def stream(self) -> Stream:
        """Return the bytes of the source.

        Raises `SourceError` where it is not what it was for who gave the task.
        """
        stream = rereadable(self.library.stream(self.address))
        same = _RUN in self.state or state_of(stream.identity) == self.state
        same = same and _seconds(self.address) == self.seconds
        if stream.size != self.size or not same:
            raise SourceError(
                f"{self.address}: not the bytes that this build began with; every "
                "worker needs the same file at the same place, which nobody changes "
                "(a copy keeps its time: cp -p, rsync -t)"
            )
        return stream


def state_of(identity: Identity | None) -> dict[str, Any]:
    """Return what tells the bytes of a source from others.

    Where nothing does, it is something that no other source and no later run has.
    """
    state = {} if identity is None else identity.telling()
    return state or {_RUN: os.urandom(16).hex()}


def same_file(address: str | None, identity: Identity | None) -> list[Any]:
    """Return what differs, at this place, where a local file was written to."""
    if identity is not None and identity.in_parts:
        mark = identity.mark()
        return [] if mark is None else [*(mark.state or ())]
    for path in (address, (address or "").rpartition("#")[0]):
        with suppress(OSError, ValueError):
            if path:
                status = Path(path).stat()
                return [status.st_mtime_ns, status.st_size, status.st_ino]
    return []


def _seconds(address: str) -> list[int]:
    return [time // 10**9 for time in same_file(address, None)[:1]]


#: What was opened last for tasks of one kind, by process, and by the key of the job.
_opened: dict[str, tuple[str, int, Any]] = {}
_lock = threading.Lock()


def opened(kind: str, key: str, open: Callable[[], Value]) -> Value:
    """Return what a job works with; it is kept until another job of its kind comes.

    Threads of a process share it. A process that was forked opens its own.
    """
    with _lock:
        held = _opened.get(kind)
        if held is None or held[:2] != (key, os.getpid()):
            _opened.pop(kind, None)  # first: each may take much memory
            held = _opened[kind] = key, os.getpid(), open()
        value: Value = held[2]
        return value


def close(kind: str) -> None:
    """Let go of what was kept."""
    with _lock:
        _opened.pop(kind, None)


def mark(folder: SafePath) -> str:
    """Put into a folder what shows a worker that it is this one; return that."""
    text = os.urandom(16).hex()
    (folder / _MARK).write(text.encode())
    return text


def look(
    folder: SafePath | None,
    text: str,
    openings: Sequence[Opening],
    number: int,
    attempt: int,
) -> None:
    """Raise `SourceError` where this process sees another folder, or other sources."""
    seen = b""
    with suppress(OSError):
        seen = b"" if folder is None else (folder / _MARK).read()
    if seen != text.encode():
        raise SourceError(
            f"{folder}: a worker does not see the folder in which rows wait; every "
            "worker needs the folder of the output, at the same place"
        )
    for opening in openings:
        opening.stream()
