"""What is to be done: which tokens to look for, in which splits of which source."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pretrained_embed import formats, sources
from pretrained_embed.errors import SourceError
from pretrained_embed.extraction.outcome import Outcome
from pretrained_embed.extraction.wanted import WantedTokens
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import KnownLayout
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.formats.scanned import ScannedReader, Split
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.spool import rereadable

_RUN = "run"


@dataclass(frozen=True)
class Job:
    """One pass over a source, to be done split by split in any process.

    ``address`` is what `sources.open_source` opens the source by, and ``state`` what is
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
    reader: ScannedReader | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "reader": None}

    def opened(self) -> tuple[ScannedReader, TokenIndex]:
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

    def _open(self) -> ScannedReader:
        stream = rereadable(sources.open_source(cast(str, self.address)))
        reader = formats.open_reader(stream, self.layout)
        same = _RUN in self.state or state_of(stream.identity) == self.state
        if (
            not isinstance(reader, ScannedReader)
            or stream.size != self.size
            or not same
        ):
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


_opened: dict[str, tuple[ScannedReader, TokenIndex]] = {}
_lock = threading.Lock()
