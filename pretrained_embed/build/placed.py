"""Rows that a scan puts straight into their places in the output.

Where the output is a file that can be mapped, and fits the memory, a token that stands
in a source as it was asked for gives a row at once: nothing else can win that row but
the same token further ahead in the source. Two splits that have the same token both
put it there, and which was the last nobody knows: such a row is *torn*. It is looked
for once more, and comes from an extract.

Only processes that share the memory of one system see each other's mapped rows. So
workers of another machine place none: then what is found waits in extracts, as it does
where the output is no such file.

Whoever lost a row must not place it after it was put right. So each worker holds a
*gate* open while it scans; the process that calls shuts it, which waits for all of
them, before torn rows are put right, and when a build goes on from a killed one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.build.sinks import Target
from pretrained_embed.build.work_folder import cannot_write, read_arrays, write_arrays
from pretrained_embed.build.workers import machine
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.blocks import Hits
from pretrained_embed.formats.local import crc32

_PIECE = 1 << 10  # rows that are compared at a time


@dataclass(frozen=True)
class Places:
    """Where the rows of the ranges of a pass lie in the output.

    ``machine`` is whose processes may place rows; without a ``gate`` only threads of
    this process do. ``word`` is what stands in the gate while this build places rows.
    """

    target: Target
    rows: range
    machine: str
    gate: SafePath | None
    word: bytes = b""

    @property
    def here(self) -> bool:
        """Whether this process may place rows."""
        return self.gate is None or machine() == self.machine

    def map(self) -> Float32Array:
        """Return the rows, float32 (rows, dim), to be written to."""
        return self.target.map(self.rows)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Hold the gate open; raises `SourceError` where it was shut for this build."""
        if self.gate is None:
            yield
            return
        import fcntl  # it is there where `machine` knows the system

        with self.gate.open(buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            if file.read() != self.word:
                raise SourceError(
                    f"{self.gate}: the build that this worker was asked by has ended, "
                    "or has gone on without it"
                )
            yield

    def say(self, word: bytes) -> None:
        """Write another word into the gate, once nobody holds it open."""
        if self.gate is not None:
            try:
                with self.gate.locked() as file:
                    os.ftruncate(file, 0)
                    os.write(file, word)
            except OSError as error:
                raise cannot_write(self.gate, error) from error

    def hold(self, placed: Placed) -> bool:
        """Whether the rows that a split has placed are there as they were."""
        out, crc = self.map(), 0
        for begin in range(0, len(placed.rows), _PIECE):
            crc = crc32(out[placed.rows[begin : begin + _PIECE]].data, crc)
        return crc == placed.crc32


class Placed(NamedTuple):
    """What the scan of a split has placed. Rows are counted from those of its pass."""

    rows: Int64Array  # each once, in the order of the file
    positions: Int64Array  # (rows,) of the split, in which they stand
    later: Int64Array  # the row of each later hit
    crc32: int  # of their vectors, in this order

    def save(self, path: SafePath) -> int:
        """Write it to a file, and return the bytes; raises `WriteError`."""
        arrays = [("rows", self.rows), ("positions", self.positions)]
        try:
            write_arrays(path, [*arrays, ("later", self.later)], self.crc32)
        except OSError as error:
            raise cannot_write(path, error) from error
        return self.rows.nbytes + self.positions.nbytes + self.later.nbytes

    @classmethod
    def load(cls, path: SafePath) -> Placed | None:
        """Return what `save` wrote; ``None`` for what is not there, or damaged."""
        try:
            crc, arrays = read_arrays(path)
        except (OSError, FormatError):
            return None
        return cls(arrays["rows"], arrays["positions"], arrays["later"], crc)


class Placing:
    """Places the hits of one split: the first of each row."""

    def __init__(self, out: Float32Array) -> None:
        self._out = out
        self._met = np.zeros(len(out), np.bool_)
        self._rows: list[Int64Array] = []
        self._positions: list[Int64Array] = []
        self._later: list[Int64Array] = []
        self._crc = 0
        self.written = 0

    def add(self, found: Hits, hits: Int64Array, rows: Int64Array) -> None:
        """Place some of the hits, given by their numbers, each in its row."""
        first = np.zeros(len(rows), np.bool_)
        first[np.unique(rows, return_index=True)[1]] = True
        first &= ~self._met[rows]
        if not first.all():
            self._later.append(rows[~first])
            hits, rows = hits[first], rows[first]
        self._met[rows] = True
        kernel.gather(found.vectors, hits, rows, self._out, None, None)
        vectors = found.vectors[: found.size]
        if not np.array_equal(hits, np.arange(found.size)):
            vectors = found.vectors[hits]
        self._crc = crc32(vectors.data, self._crc)
        self.written += vectors.nbytes
        self._rows.append(rows)
        self._positions.append(found.hits[hits, 0] + found.rows_before)

    def placed(self) -> Placed:
        """Return what was placed."""
        none = [np.empty(0, np.int64)]
        rows, positions, later = (
            np.concatenate(none + part)
            for part in (self._rows, self._positions, self._later)
        )
        return Placed(rows, positions, later, self._crc)


class PlacedRows:
    """What all splits of a pass have placed.

    Rows are counted here from those of the pass.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        count = len(places.rows)
        self._source_rows = np.full(count, -1)
        self._by = np.full(count, -1, np.int32)  # the split that has the row first
        self._torn = np.zeros(count, np.bool_)
        self._later: Counter[int] = Counter()
        self._splits: set[int] = set()  # that have torn rows

    def add(self, split: int, placed: Placed, first_row: int) -> None:
        """Take what the next split has placed, which begins at a row of the source."""
        rows = placed.rows
        again = self._by[rows] >= 0
        if again.any():
            torn = rows[again]
            self._torn[torn] = True
            self._splits |= {split, *self._by[torn].tolist()}
        new = rows[~again]
        self._by[new] = split
        self._source_rows[new] = placed.positions[~again] + first_row
        self._later.update(placed.later.tolist())

    @property
    def torn(self) -> Int64Array:
        """The ids of the rows that are torn, rising."""
        return np.flatnonzero(self._torn) + self.places.rows.start

    @property
    def splits_with_torn(self) -> list[int]:
        """The splits that have placed any of them."""
        return sorted(self._splits)

    def later(self) -> dict[int, int]:
        """Return the ids of rows that are in place, and how many later hits each has.

        Those without any are left out. Ids rise.
        """
        begin = self.places.rows.start
        each = sorted(self._later.items())
        return {row + begin: n for row, n in each if not self._torn[row]}

    def in_place(self, ranges: Sequence[range]) -> InPlace:
        """Return the rows that are in their places, for the ranges of a plan."""
        self._source_rows[self._torn] = -1
        return InPlace(self.places, ranges, self._source_rows)


@dataclass(frozen=True)
class InPlace:
    """The rows of a pass that are in their places, for the ranges of a plan."""

    places: Places
    ranges: Sequence[range]
    source_rows: Int64Array  # (rows of the pass,), -1 for one that is not in its place

    @classmethod
    def load(cls, path: SafePath, places: Places, ranges: Sequence[range]) -> InPlace:
        """Return what `save` wrote; raises `OSError` and `FormatError`."""
        _, arrays = read_arrays(path, mapped=True)
        return cls(places, ranges, arrays["source_rows"])

    def save(self, path: SafePath) -> None:
        """Write it for other processes; raises `WriteError`."""
        try:
            write_arrays(path, [("source_rows", self.source_rows)])
        except OSError as error:
            raise cannot_write(path, error) from error

    def of(self, number: int) -> Int64Array:
        """Return where each row of a range comes from, -1 if it is not in its place."""
        rows, begin = self.ranges[number], self.places.rows.start
        return self.source_rows[rows.start - begin : rows.stop - begin]

    def map(self, number: int) -> Float32Array:
        """Return the rows of a range, float32 (rows, dim), to be written to."""
        return self.places.target.map(self.ranges[number])
