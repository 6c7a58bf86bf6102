"""What is looked for in which splits of which source, and how one split is scanned.

All of it can be done by any process.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np

from pretrained_embed import formats, kernel
from pretrained_embed.arrays import (
    AnyArray,
    Int64Array,
    PackedTokens,
    Progress,
    UInt8Array,
    joined,
)
from pretrained_embed.build.extract import Extract, Gathering, Outcome
from pretrained_embed.errors import SourceError, WriteError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import KnownLayout
from pretrained_embed.formats.reader import OnBadRow, Reader, Split
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.library import Library
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.spool import rereadable

_RUN = "run"


@dataclass(frozen=True)
class WantedTokens:
    """What is looked for in one pass over a source.

    ``ranges`` is int64 (len(tokens),), rising: which range wants the token. A token
    that several ranges want stands there once for each.
    """

    tokens: PackedTokens
    ranges: Int64Array

    @classmethod
    def of(cls, by_range: dict[int, PackedTokens]) -> WantedTokens:
        """Return what ranges want, given by their numbers, which rise."""
        counts = [len(tokens) for tokens in by_range.values()]
        numbers = np.fromiter(by_range, np.int64, len(by_range))
        return cls(joined(list(by_range.values())), np.repeat(numbers, counts))

    def index(self) -> kernel.TokenIndex:
        """Return the index whose rows are the ranges."""
        ranks = np.zeros(len(self.ranges), np.uint8)
        return kernel.TokenIndex(self.tokens, self.ranges, ranks)

    def digest(self) -> str:
        """Return what differs where something else is wanted."""
        digest = blake2b(digest_size=16)
        for array in self._arrays():
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def save(self, path: SafePath) -> None:
        """Write to a file that `load` reads; raises `OSError`."""
        with path.replacing() as file:
            for array in self._arrays():
                np.lib.format.write_array(file, array, allow_pickle=False)

    @classmethod
    def load(cls, path: SafePath) -> WantedTokens:
        """Read what `save` wrote; raises `OSError`, `ValueError` for other bytes."""
        with path.open() as file:
            data, offsets, ranges = (
                np.lib.format.read_array(file, allow_pickle=False) for _ in range(3)
            )
        return cls(PackedTokens(data, offsets, where=str(path)), ranges)

    def _arrays(self) -> Iterator[AnyArray]:
        yield from (self.tokens.data, self.tokens.offsets, self.ranges)


@dataclass(frozen=True)
class Job:
    """One pass over a source, to be done split by split in any process.

    ``address`` is what ``library`` opens the source by, and ``state`` what is
    known of its bytes; ``wanted`` the tokens, or the file they are saved in. ``folder``
    is where extracts go; without one they are handed over. ``reader`` is the source
    where it is open already: it stays in its process, and without an address so does
    the job.
    """

    key: str  # differs where anything differs that the extracts depend on
    size: int | None  # bytes of the source, where they are known
    address: str | None
    state: dict[str, Any]
    dim: int
    on_bad_row: OnBadRow
    ranges: int
    splits: tuple[Split, ...]
    wanted: WantedTokens | SafePath
    folder: SafePath | None = None
    layout: KnownLayout | None = None  # of the source, as it was given
    library: Library = field(default=Library(), compare=False)  # how it is read
    reader: Reader | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "reader": None}

    def opened(self) -> tuple[Reader, TokenIndex]:
        """Return the source and the index, which are kept until another job comes.

        Raises `SourceError` where the source is not what it was for the job's maker.
        """
        with _lock:
            if self.key not in _opened:
                _opened.clear()  # first: each may take much memory
                reader = self.reader or self._open()
                _opened[self.key] = reader, self._wanted().index()
            return _opened[self.key]

    def close(self) -> None:
        """Let go of what was kept."""
        with _lock:
            _opened.pop(self.key, None)

    def size_of(self, number: int, outcome: Outcome) -> int:
        """Return how many bytes a split has, which was scanned with this outcome."""
        if len(self.splits) == 1:
            return self.size or outcome.report.read
        return self.splits[number].end - self.splits[number].begin

    def _wanted(self) -> WantedTokens:
        if isinstance(self.wanted, WantedTokens):
            return self.wanted
        try:
            return WantedTokens.load(self.wanted)
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{self.wanted}: the tokens that this build looks for cannot be read: "
                f"{error}. Every worker needs the folder that the output is in."
            ) from error

    def _open(self) -> Reader:
        with self.library.reading():
            stream = rereadable(self.library.stream(cast(str, self.address)))
            reader = formats.open_reader(stream, self.layout)
        same = _RUN in self.state or state_of(stream.identity) == self.state
        if reader.splits() is None or stream.size != self.size or not same:
            raise SourceError(
                f"{self.address}: not the bytes that this build began with; every "
                "worker needs the same file at the same place, which nobody changes"
            )
        return reader


def state_of(identity: Identity | None) -> dict[str, Any]:
    """Return what tells the bytes of a source from others.

    Where nothing does, it is something that no other source and no later run has.
    """
    state = {} if identity is None else identity.telling()
    return state or {_RUN: os.urandom(16).hex()}


def same_file(address: str | None) -> list[int]:
    """Return what differs, at this place, where a local file was written to."""
    for path in (address, (address or "").rpartition("#")[0]):
        with suppress(OSError, ValueError):
            if path:
                status = Path(path).stat()
                return [status.st_size, status.st_mtime_ns, status.st_ino]
    return []


_opened: dict[str, tuple[Reader, TokenIndex]] = {}
_lock = threading.Lock()


def scan_split(job: Job, number: int, progress: Progress | None = None) -> Outcome:
    """Scan a split for the tokens that are wanted, and return what was found.

    With a folder the extracts are written there and then, once they are all there, a
    record of the outcome: whoever finds it need not scan the split again. Without one
    they are in what is returned. Raises what reading the source raises, and
    `WriteError`.
    """
    reader, index = job.opened()
    scan = reader.scan(job.splits[number], index, job.on_bad_row)
    gathering = Gathering(index, job.ranges, job.dim)
    extracts: list[Extract] = []

    def close() -> None:
        if pieces := gathering.extract():
            name = f"{_name(number)}-{len(extracts):04}.extract"
            extracts.append(_keep(pieces, job.folder / name if job.folder else None))

    for found in scan.run(progress):
        if gathering.is_full_for(found):
            close()
        gathering.add(found)
    close()
    outcome = Outcome(scan.report(), extracts)
    if job.folder is not None and outcome.report.stopped_by is None:
        _write(record_path(job.folder, number), [outcome.to_record(job.key)])
    return outcome


def record_path(folder: SafePath, number: int) -> SafePath:
    """Return where the record of a split is."""
    return folder / f"{_name(number)}.json"


def scan_again(job: Job, number: int, attempt: int) -> Outcome:
    """Scan a split as `scan_split` does.

    ``attempt`` tells the calls apart for executors that give equal calls one result.
    """
    return scan_split(job, number)


def _name(number: int) -> str:
    return f"split-{number:06}"


def _keep(pieces: Sequence[UInt8Array], path: SafePath | None) -> Extract:
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece.data, crc)
    size = sum(len(piece) for piece in pieces)
    if path is None:
        data = b"".join(piece.data for piece in pieces)
        return Extract(size, crc, data=data)
    _write(path, [piece.data for piece in pieces])
    return Extract(size, crc, path)


def _write(path: SafePath, parts: Sequence[bytes | memoryview]) -> None:
    """Write a file that appears whole; it is checked if it is used later."""
    try:
        with path.replacing() as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        raise WriteError(
            f"cannot write {path}: {error.strerror or error}; rows wait there until "
            "all of the source is read. What is finished is used when the build is run "
            "again."
        ) from error
