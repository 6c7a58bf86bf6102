"""Extracts: what a scan has found waits in them, sorted by the range that wants it.

::

    extract = positions vectors lengths tokens bounds

Of each entry, those of the first range before those of the next: ``positions`` are
int64, the row of the split it stands in; ``vectors`` float32 (entries, dim);
``lengths`` uint32, the bytes of its token; ``tokens`` these bytes. ``bounds`` are int64
(2, ranges + 1): the entry, and the byte of ``tokens``, that each range begins with, and
the ends. Numbers are those of the machine: an extract lives as long as the job, and on
machines of one kind.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array, PackedTokens, Progress
from pretrained_embed.build.placed import InPlace, Placing
from pretrained_embed.build.workers import NOTHING, Spent
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.reading import read_fully
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.fill import source_statistics
from pretrained_embed.formats.blocks import Hits, PackedBlock, gathered
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.local import crc32
from pretrained_embed.formats.reader import (
    OnBadRow,
    Reader,
    Selection,
    SplitReport,
    Statistics,
    first_rows,
)
from pretrained_embed.vocabulary.token_rows import cut

#: Bytes of vectors that wait before an extract is closed and the next is begun.
_FULL = 1 << 24


class Gathering:
    """Collects hits until they are made into an extract.

    The rows of ``index`` are the numbers of ranges; with ``out``, (rows, dim), they are
    those of ``out``, in which such hits are placed at once, and ranges come behind.
    """

    def __init__(
        self,
        index: kernel.TokenIndex,
        ranges: int,
        dim: int,
        out: Float32Array | None = None,
    ) -> None:
        self._index = index
        self._ranges = ranges
        self._placed_rows = 0 if out is None else len(out)
        self.placing = None if out is None else Placing(out)
        self._room = max(1, _FULL // (4 * dim))
        self._pairs = np.empty((0, 2), np.int64)
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        self._blocks: list[PackedBlock] = []
        self._positions: list[Int64Array] = []
        self._hits: list[Int64Array] = []  # of the pairs, counted over all calls
        self._wanted_by: list[Int64Array] = []

    def is_full_for(self, found: Hits) -> bool:
        """Whether an extract has to be closed before these hits are added."""
        return self._count > 0 and self._count + found.size > self._room

    def add(self, found: Hits) -> None:
        """Take a copy of hits, or place them."""
        pairs = self._spread(found)
        if self.placing is not None:
            here = pairs[:, 1] < self._placed_rows
            hits, rows = pairs[here].T.copy()
            self.placing.add(found, hits, rows)
            pairs = pairs[~here] - np.array([0, self._placed_rows])
            if not len(pairs):
                return
            chosen = np.unique(pairs[:, 0])
            pairs[:, 0] = np.searchsorted(chosen, pairs[:, 0])
            found = found._replace(
                size=len(chosen),
                hits=found.hits[chosen],
                vectors=found.vectors[chosen],
            )
        self._blocks.append(found.block())
        self._positions.append(found.hits[: found.size, 0] + found.rows_before)
        self._hits.append(pairs[:, 0] + self._count)
        self._wanted_by.append(pairs[:, 1].copy())
        self._count += found.size

    def _spread(self, found: Hits) -> Int64Array:
        count = kernel.spread(self._index, found.hits, found.size, self._pairs)
        if count > len(self._pairs):
            self._pairs = np.empty((count, 2), np.int64)
            kernel.spread(self._index, found.hits, found.size, self._pairs)
        return self._pairs[:count]

    def extract(self) -> list[memoryview]:
        """Return the pieces of bytes of an extract of what was added; forget it."""
        if not self._count:
            return []
        ((tokens, vectors),) = gathered(self._blocks)
        wanted_by = np.concatenate(self._wanted_by)
        order = np.argsort(wanted_by, kind="stable")
        chosen = np.concatenate(self._hits)[order]
        tokens = cut(tokens.data, tokens.offsets[chosen], tokens.offsets[chosen + 1])
        entries = np.searchsorted(wanted_by[order], np.arange(self._ranges + 1))
        columns = (
            np.concatenate(self._positions)[chosen],
            vectors[chosen],
            np.diff(tokens.offsets).astype(np.uint32),
            tokens.data,
            np.stack([entries, tokens.offsets[entries]]),
        )
        self._clear()
        return [column.reshape(-1).view(np.uint8).data for column in columns]


class Section(NamedTuple):
    """What one extract has for one range."""

    positions: Int64Array  # (entries,) rows of the split
    tokens: PackedTokens


@dataclass(frozen=True)
class Extract:
    """One extract: in a file, or its bytes."""

    size: int
    crc32: int
    path: SafePath | None = None
    data: bytes = b""
    folder: Path | None = None  # that of the path, which was looked at: it is no link

    def bounds(self, ranges: int, number: int, dim: int) -> Int64Array:
        """Return where one of so many ranges begins, the next does, and the ends.

        Int64 (2, 3), see above. Raises `SourceError`.
        """
        length = 8 * (ranges + 1)
        end = max(0, self.size - 2 * length)
        spans = [
            (end + row * length + 8 * column, 8 * columns)
            for row in range(2)
            for column, columns in ((number, 2), (ranges, 1))
        ]
        bounds = np.frombuffer(b"".join(self._read(*spans)), np.int64).reshape(2, 3)
        entries, size = bounds[:, 2].tolist()
        rising = (bounds[:, 0] >= 0).all() and (bounds[:, 1:] >= bounds[:, :-1]).all()
        if not rising or (12 + 4 * dim) * entries + size != end:
            raise self._damaged()
        return bounds

    def section(self, bounds: Int64Array, dim: int) -> Section:
        """Return what there is for a range, all but the vectors.

        ``bounds`` are where the range begins, where the next does, and the ends.
        """
        (begin, end, _), (first, last, _) = bounds.tolist()
        if begin == end:
            return Section(np.empty(0, np.int64), PackedTokens.join([]))
        entries, count = int(bounds[0, -1]), end - begin
        lengths_at = (8 + 4 * dim) * entries
        positions, lengths, data = self._read(
            (8 * begin, 8 * count),
            (lengths_at + 4 * begin, 4 * count),
            (lengths_at + 4 * entries + first, last - first),
        )
        offsets = np.zeros(count + 1, np.int64)
        np.cumsum(np.frombuffer(lengths, np.uint32), out=offsets[1:])
        if offsets[-1] != last - first:
            raise self._damaged()
        tokens = PackedTokens(np.frombuffer(data, np.uint8), offsets)
        return Section(np.frombuffer(positions, np.int64), tokens)

    def vectors(self, bounds: Int64Array, dim: int) -> Float32Array:
        """Return the vectors of what there is for a range, float32 (entries, dim)."""
        begin, end, _ = bounds[0].tolist()
        start = 8 * int(bounds[0, -1]) + 4 * dim * begin
        (raw,) = self._read((start, 4 * dim * (end - begin)))
        return np.frombuffer(raw, np.float32).reshape(-1, dim)

    def _damaged(self) -> SourceError:
        return SourceError(
            f"{self.path}: an extract of this build is damaged; remove the folder it "
            "is in, and run the build again"
        )

    def _read(self, *spans: tuple[int, int]) -> list[bytes]:
        """Return the bytes of spans, each given by its begin and length."""
        if self.path is None:
            return [self.data[begin : begin + length] for begin, length in spans]
        parts = []
        try:
            with self._open() as file:
                for begin, length in spans:
                    file.seek(begin)
                    parts.append(read_fully(file, length))
        except OSError as error:
            raise SourceError(
                f"{self.path}: an extract of this build cannot be read: "
                f"{error.strerror}; run the build again"
            ) from error
        if [len(part) for part in parts] != [length for _, length in spans]:
            raise SourceError(
                f"{self.path}: an extract of this build has become shorter; run the "
                "build again"
            )
        return parts

    def _open(self) -> BinaryIO:
        """Open the file: by its name alone in a folder that was looked at before.

        Each range reads of each extract, so there are many such calls.
        """
        path = cast(SafePath, self.path)
        if self.folder is None:
            return path.open(buffering=0)

        def opener(name: str, flags: int) -> int:
            return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0))

        # by a descriptor; handed on open
        return open(self.folder / path.name, "rb", 0, opener=opener)

    def is_whole(self) -> bool:
        """Whether the file has the bytes that were written to it."""
        if self.path is None:
            return True
        size = crc = 0
        try:
            with self.path.open(buffering=0) as file:
                while block := file.read(1 << 20):
                    size += len(block)
                    crc = crc32(block, crc)
        except OSError:
            return False
        return (size, crc) == (self.size, self.crc32)


@dataclass(frozen=True)
class Outcome:
    """The report of a split, its extracts in order, and what it took to find them.

    The extracts lack what was ``placed``.
    """

    report: SplitReport
    extracts: list[Extract]
    spent: Spent = NOTHING
    placed: bool = False  # whether there is a `Placed`

    def to_record(self, key: str) -> bytes:
        """Return the record that is kept of a split of a job, unless it was stopped."""
        facts = {
            "key": key,
            "findings": self.report.findings.to_dict(),
            "read": self.report.read,
            "part": self.report.part,
            "blank_end": self.report.blank_end,
            "skips": self.report.skips,
            "odd_tokens": [self.report.odd_tokens, self.report.first_odd],
            "extracts": [[one.size, one.crc32] for one in self.extracts],
            "placed": self.placed,
        }
        text = json.dumps(facts).encode("ascii")
        return b"%08x\n" % crc32(text) + text

    @classmethod
    def from_record(
        cls, record: bytes, key: str, paths: Iterator[SafePath]
    ) -> Outcome | None:
        """Read a record; ``None`` for one that is damaged or of another job.

        ``paths`` are those of the extracts in order, as many as there are at least.
        """
        crc, _, text = record.partition(b"\n")
        if crc != b"%08x" % crc32(text):
            return None
        try:
            with refusing_damage("a record of this build"):
                facts = json.loads(text)
                return _outcome(facts, paths) if facts["key"] == key else None
        except FormatError:
            return None


def _outcome(facts: Any, paths: Iterator[SafePath]) -> Outcome:
    """Return what a record says; raises `ValueError` and the like if it is none."""
    pairs = [(size, crc) for size, crc in facts["extracts"]]
    odd, first_odd = facts.get("odd_tokens", (0, 0))  # former releases have none
    numbers = [facts["read"], facts["part"], facts["blank_end"], odd, first_odd]
    if min(*numbers, *chain(*pairs)) < 0:
        raise ValueError("a number below 0")
    report = SplitReport(
        Findings.from_dict(facts["findings"]),
        read=facts["read"],
        blank_end=facts["blank_end"],
        skips=bool(facts["skips"]),
        part=facts["part"],
        odd_tokens=odd,
        first_odd=first_odd,
    )
    each = zip(pairs, paths, strict=False)
    extracts = [Extract(size, crc, path) for (size, crc), path in each]
    return Outcome(report, extracts, placed=bool(facts.get("placed")))


class Pass:
    """What one pass over a source, for some of the ranges, has found.

    ``numbers`` are those of its ranges, of which there are ``ranges`` in all,
    ``findings`` those of the pass, without duplicates, and ``extracts`` what was found,
    each with the first row of its split in the source. ``in_place`` are rows that need
    no extract, and ``again`` splits, by number, that were looked through for the others
    once more. Raises `RowError` for the bad row that the pass was stopped by.
    """

    def __init__(
        self,
        reader: Reader,
        numbers: range,
        ranges: int,
        on_bad_row: OnBadRow,
        outcomes: Sequence[Outcome],
        in_place: InPlace | None = None,
        again: Mapping[int, Outcome] = MappingProxyType({}),
    ) -> None:
        self.reader, self.numbers, self.ranges = reader, numbers, ranges
        self.in_place = in_place
        self._on_bad_row = on_bad_row
        self.findings = reader.total([outcome.report for outcome in outcomes])
        self.firsts = first_rows(outcome.report for outcome in outcomes)
        every = [*enumerate(outcomes), *again.items()]
        folders = {e.path.parent for _, one in every for e in one.extracts if e.path}
        looked = {folder: folder.checked() for folder in folders}

        def looked_at(extract: Extract) -> Extract:
            path = extract.path
            return replace(extract, folder=looked[path.parent]) if path else extract

        self.extracts = [
            (looked_at(extract), self.firsts[number])
            for number, outcome in every
            for extract in outcome.extracts
        ]

    @cached_property
    def statistics(self) -> Statistics:
        """Those of the source, once for all ranges."""
        return source_statistics(self.reader, self._on_bad_row)


class RangeReader(Reader):
    """A source as far as it was extracted, as one range of rows sees it.

    `select` finds no tokens but those that the range wants; `whole` finds all.
    ``met_again`` is how often each token that was looked for last is met after the
    first time, and ``bytes_read`` what was read of the extracts. See `Reader`.
    """

    def __init__(self, found: Pass, number: int) -> None:
        self._pass, self._number = found, number
        self._source = source = found.reader
        self.format, self.name, self.dim = source.format, source.name, source.dim
        self.count, self.dtype = source.count, source.dtype
        self.composes, self.facts = source.composes, source.facts
        self.met_again: dict[bytes, int] = {}
        self.bytes_read = 0

    @property
    def statistics(self) -> Statistics:  # type: ignore[override]  # it is only read
        """Those of the source, which are made where a policy asks for them."""
        return self._pass.statistics

    @property
    def whole(self) -> Reader:
        """The source itself."""
        return self._source

    @cached_property
    def place(self) -> Float32Array | None:
        """The rows of the range where they lie, of which some are there already.

        Float32 (rows, dim), what `select` has to be given; ``None`` where none are.
        """
        placed = self._pass.in_place
        return None if placed is None else placed.map(self._number)

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows of the source. See `Reader`."""
        return self._source.packed_blocks(
            threads=threads, on_bad_row=on_bad_row, progress=progress
        )

    def select(
        self,
        index: kernel.TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row. See `Reader`."""
        claims, number = Claims(index, len(out)), self._number
        extracts = self._pass.extracts
        sections: list[PackedTokens] = []
        bases, in_file = [0], []  # the first entry of each extract, and behind the last
        all_bounds = []
        for extract, first_row in extracts:
            bounds = extract.bounds(self._pass.ranges, number, self.dim)
            all_bounds.append(bounds)
            positions, tokens = extract.section(bounds, self.dim)
            self.bytes_read += 12 * len(tokens) + tokens.data.nbytes
            claims.find(tokens.data, tokens.offsets, bases[-1])
            sections.append(tokens)
            in_file.append(positions + first_row)
            bases.append(bases[-1] + len(positions))
        entries, ranks = claims.positions(), claims.ranks()
        rows_of = np.concatenate([*in_file, [-1]])  # -1 is the last
        source_rows = rows_of[entries]
        if self._pass.in_place is not None:
            assert not len(out) or out is self.place, "rows are there already"
            placed = self._pass.in_place.of(number)[: len(entries)]
            there = np.flatnonzero(placed >= 0)
            source_rows[there], ranks[there] = placed[there], 0
            entries[there] = -1
            if len(out):
                out[placed < 0] = 0.0
        found = np.flatnonzero(entries[: len(out)] >= 0)
        found = found[np.argsort(entries[found])]
        cuts = pairwise(np.searchsorted(entries[found], bases).tolist())
        for (extract, _), bounds, base, cut_at in zip(
            extracts, all_bounds, bases, cuts, strict=False
        ):
            rows = found[slice(*cut_at)]
            if len(rows):
                vectors = extract.vectors(bounds, self.dim)
                self.bytes_read += vectors.nbytes
                numbers = entries[rows] - base
                kernel.gather(vectors, numbers, rows, out, None, None)
        counts: Counter[bytes] = Counter()
        if claims.duplicates:  # what was looked for again may be there twice
            for token, _ in {
                (token, row)
                for tokens, rows in zip(sections, in_file, strict=True)
                for token, row in zip(tokens.split(), rows.tolist(), strict=True)
            }:
                counts[token] += 1
        self.met_again = {
            token: count - 1
            for token, count in counts.items()
            if count > 1 and index.key(token) >= 0
        }
        findings = replace(self.findings, duplicates=claims.duplicates)
        return Selection(source_rows, ranks, findings)

    @property
    def findings(self) -> Findings:
        """What the pass over the source found."""
        return self._pass.findings


def reader_of(reader: Reader, passes: Sequence[Pass], number: int) -> Reader:
    """Return a source as a range sees it: what was found for it, or else all there is.

    ``passes`` are those over the source.
    """
    for found in passes:
        if number in found.numbers:
            return RangeReader(found, number)
    return reader
