"""The extract of a split: its hits, sorted by the range of rows that wants them.

::

    extract  = section section ... bounds
    section  = count bytes positions vectors lengths tokens filler
    bounds   = (ranges + 1) x int64, where each section begins and the last ends

Of a section, which is that of one range: ``count`` and ``bytes`` are int64, the entries
and the bytes of their tokens; ``positions`` int64, the rows of the split they stand in;
``vectors`` float32 (count, dim); ``lengths`` uint32, of the tokens; ``filler`` up to a
multiple of 8 bytes. A range that nothing was found for has a section of no bytes.
Numbers are those of the machine: an extract lives as long as the job, and on machines
of one kind.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array, PackedTokens, UInt8Array
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.reading import read_fully
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.blocks import Hits
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.reader import SplitReport

_HEAD = 16
#: Bytes of vectors that wait before an extract is closed and the next is begun.
_FULL = 1 << 24

_DAMAGED = "an extract of this build is damaged"
_REMEDY = "; remove the folder it is in, and run the build again"


class Section(NamedTuple):
    """What one extract has for one range."""

    positions: Int64Array  # (entries,) rows of the split
    tokens: PackedTokens
    vectors: Float32Array  # (entries, dim)


class Gathering:
    """Collects hits until they are made into an extract."""

    def __init__(self, index: kernel.TokenIndex, ranges: int, dim: int) -> None:
        self._index = index
        self._ranges = ranges
        self._vectors = np.empty((max(1, _FULL // (4 * dim)), dim), np.float32)
        self._pairs = np.empty((0, 2), np.int64)
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        self._tokens: list[UInt8Array] = []
        self._lengths: list[Int64Array] = []
        self._positions: list[Int64Array] = []
        self._hits: list[Int64Array] = []  # of the pairs, counted over all calls
        self._wanted_by: list[Int64Array] = []

    def add(self, found: Hits) -> None:
        """Take a copy of hits, for which there is room unless `is_full_for` says no."""
        if found.size > len(self._vectors):
            self._vectors = np.empty((found.size, self._vectors.shape[1]), np.float32)
        hits = found.hits[: found.size]
        end = self._count + found.size
        self._vectors[self._count : end] = found.vectors[: found.size]
        self._lengths.append(hits[:, 2].copy())
        tokens = np.empty(int(hits[:, 2].sum()), np.uint8)
        kernel.pack(found.data, found.hits, found.size, tokens)
        self._tokens.append(tokens)
        self._positions.append(hits[:, 0] + found.rows_before)
        pairs = self._spread(found)
        self._hits.append(pairs[:, 0] + self._count)
        self._wanted_by.append(pairs[:, 1].copy())
        self._count = end

    def is_full_for(self, found: Hits) -> bool:
        """Whether an extract has to be closed before these hits are added."""
        return self._count > 0 and self._count + found.size > len(self._vectors)

    def _spread(self, found: Hits) -> Int64Array:
        count = kernel.spread(self._index, found.hits, found.size, self._pairs)
        if count > len(self._pairs):
            self._pairs = np.empty((count, 2), np.int64)
            kernel.spread(self._index, found.hits, found.size, self._pairs)
        return self._pairs[:count]

    def extract(self) -> list[UInt8Array]:
        """Return the pieces of bytes of an extract of what was added; forget it."""
        if not self._count:
            return []
        hits = np.concatenate(self._hits)
        wanted_by = np.concatenate(self._wanted_by)
        order = np.argsort(wanted_by, kind="stable")
        chosen = hits[order]
        entries = np.searchsorted(wanted_by[order], np.arange(self._ranges + 1))
        positions = np.concatenate(self._positions)[chosen]
        vectors = self._vectors[chosen]
        tokens = _take(
            np.concatenate(self._tokens), np.concatenate(self._lengths), chosen
        )
        lengths = np.diff(tokens.offsets).astype(np.uint32)
        self._clear()

        pieces: list[UInt8Array] = []
        begins = np.zeros(self._ranges + 1, np.int64)
        filled = np.flatnonzero(np.diff(entries))
        for number in filled.tolist():
            begin, end = entries[number : number + 2].tolist()
            own = slice(begin, end)
            data = tokens.data[tokens.offsets[begin] : tokens.offsets[end]]
            parts: list[npt.NDArray[np.generic]] = [
                np.array([end - begin, len(data)]),
                positions[own],
                vectors[own].reshape(-1),
                lengths[own],
                data,
            ]
            size = sum(part.nbytes for part in parts)
            parts.append(np.zeros(-size % 8, np.uint8))
            pieces += [part.view(np.uint8) for part in parts]
            begins[number + 1] = size + -size % 8
        pieces.append(np.cumsum(begins).view(np.uint8))
        return pieces


def _take(data: UInt8Array, lengths: Int64Array, rows: Int64Array) -> PackedTokens:
    """Return some tokens of those that lie in ``data``, in the order of ``rows``."""
    ends = np.cumsum(lengths)
    taken = lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(taken)])
    places = np.repeat(ends[rows] - offsets[1:], taken)
    places += np.arange(offsets[-1])
    return PackedTokens(data[places], offsets)


def bounds_size(ranges: int) -> int:
    """Return the bytes at the end of an extract that hold its bounds."""
    return 8 * (ranges + 1)


def read_section(raw: bytes | memoryview, dim: int) -> Section | None:
    """Return a section, given its bytes; ``None`` for one of no entries.

    Raises `ValueError` where it is not of so many bytes.
    """
    if not len(raw):
        return None
    count, size = np.frombuffer(raw, np.int64, 2).tolist()
    needed = _HEAD + (12 + 4 * dim) * count + size
    if min(count, size) < 0 or needed + -needed % 8 != len(raw):
        raise ValueError(f"a section of {len(raw):,} bytes for {count:,} entries")
    fields = _fields(raw, count, size, dim)
    positions = np.frombuffer(next(fields), np.int64)
    vectors = np.frombuffer(next(fields), np.float32).reshape(count, dim)
    lengths = np.frombuffer(next(fields), np.uint32)
    data = np.frombuffer(next(fields), np.uint8)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return Section(positions, PackedTokens(data, offsets), vectors)


def _fields(
    raw: bytes | memoryview, count: int, size: int, dim: int
) -> Iterator[memoryview]:
    view, begin = memoryview(raw), _HEAD
    for length in (8 * count, 4 * dim * count, 4 * count, size):
        yield view[begin : begin + length]
        begin += length


@dataclass(frozen=True)
class Extract:
    """One extract: in a file, or its bytes."""

    size: int
    crc32: int
    path: SafePath | None = None
    data: bytes = b""

    def bounds(self, ranges: int) -> Int64Array:
        """Return where its sections begin, int64 (ranges + 1,)."""
        length = bounds_size(ranges)
        end = self.size - length
        bounds = np.frombuffer(self._read(max(end, 0), length), np.int64)
        if bounds[0] != 0 or bounds[-1] != end or (bounds[1:] < bounds[:-1]).any():
            raise SourceError(f"{self.path}: {_DAMAGED}{_REMEDY}")
        return bounds

    def section(self, begin: int, end: int, dim: int) -> Section | None:
        """Return the section of these bytes; raises `SourceError` if they are gone."""
        if begin == end:
            return None
        raw = self._read(begin, end - begin)
        with refusing_damage(str(self.path), _DAMAGED, _REMEDY, kind=SourceError):
            return read_section(raw, dim)

    def _read(self, begin: int, length: int) -> bytes:
        if self.path is None:
            return self.data[begin : begin + length]
        try:
            with self.path.open(buffering=0) as file:
                file.seek(begin)
                raw = read_fully(file, length)
        except OSError as error:
            raise SourceError(
                f"{self.path}: an extract of this build cannot be read: "
                f"{error.strerror}; run the build again"
            ) from error
        if len(raw) < length:
            raise SourceError(
                f"{self.path}: an extract of this build has become shorter; run the "
                "build again"
            )
        return raw

    def is_whole(self) -> bool:
        """Whether the file has the bytes that were written to it."""
        if self.path is None:
            return True
        size = crc = 0
        try:
            with self.path.open(buffering=0) as file:
                while block := file.read(1 << 20):
                    size += len(block)
                    crc = zlib.crc32(block, crc)
        except OSError:
            return False
        return (size, crc) == (self.size, self.crc32)


@dataclass(frozen=True)
class Outcome:
    """The report of a split, and its extracts in order."""

    report: SplitReport
    extracts: list[Extract]

    def to_record(self, key: str) -> bytes:
        """Return the record that is kept of a split of a job, unless it was stopped."""
        facts = {
            "key": key,
            "findings": self.report.findings.to_dict(),
            "read": self.report.read,
            "blank_end": self.report.blank_end,
            "skips": self.report.skips,
            "extracts": [
                {
                    "file": extract.path.name,
                    "size": extract.size,
                    "crc32": extract.crc32,
                }
                for extract in self.extracts
                if extract.path is not None
            ],
        }
        text = json.dumps(facts).encode("ascii")
        return b"%08x\n" % zlib.crc32(text) + text

    @classmethod
    def from_record(cls, record: bytes, key: str, folder: SafePath) -> Outcome | None:
        """Read a record; ``None`` for one that is damaged or of another job."""
        crc, _, text = record.partition(b"\n")
        if crc != b"%08x" % zlib.crc32(text):
            return None
        try:
            with refusing_damage(str(folder)):
                facts = json.loads(text)
                return _outcome(facts, folder) if facts["key"] == key else None
        except FormatError:
            return None


def _outcome(facts: Any, folder: SafePath) -> Outcome:
    """Return what a record says; raises `ValueError` and the like if it is none."""
    report = SplitReport(
        Findings.from_dict(facts["findings"]),
        read=_checked(facts["read"], int),
        blank_end=_checked(facts["blank_end"], int),
        skips=_checked(facts["skips"], bool),
    )
    extracts = [
        Extract(
            _checked(entry["size"], int),
            _checked(entry["crc32"], int),
            folder / _checked(entry["file"], str),
        )
        for entry in facts["extracts"]
    ]
    return Outcome(report, extracts)


def _checked(value: Any, kind: Any) -> Any:
    """Return a value of this kind, a number that is not below 0."""
    if not isinstance(value, kind) or (type(value) is int and value < 0):
        raise ValueError(f"{value!r:.60} is no {kind}")
    return value
