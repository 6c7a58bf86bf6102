"""A source as far as it was extracted: a reader of the rows that one range wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array, Progress
from pretrained_embed.build.extract import Extract, Outcome, Section
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.reader import OnBadRow, Reader, Selection, Statistics


class _Place(NamedTuple):
    """An extract, and where it is from."""

    extract: Extract
    bounds: Int64Array  # (ranges + 1,)
    first_row: int  # of its split, in the file


class Extracted:
    """What one pass over a source has come to.

    ``findings`` are those of the pass, without duplicates: ``met_again`` has, by range,
    how often the tokens that it has looked for are met after the first time. Raises
    `RowError` for the bad row that the pass was stopped by.
    """

    def __init__(
        self, reader: Reader, outcomes: Sequence[Outcome], ranges: int
    ) -> None:
        self.reader = reader
        self.findings = reader.total([outcome.report for outcome in outcomes])
        self.met_again: dict[int, dict[bytes, int]] = {}
        self._places: list[_Place] = []
        first_row = 0
        for outcome in outcomes:
            self._places += [
                _Place(extract, extract.bounds(ranges), first_row)
                for extract in outcome.extracts
            ]
            first_row += outcome.report.findings.rows

    def sections(self, number: int) -> Iterator[tuple[Section, int]]:
        """Yield what there is for a range, in the order of the file.

        With each section comes the row of the file that its positions count from.
        """
        for place in self._places:
            begin, end = place.bounds[number : number + 2].tolist()
            section = place.extract.section(begin, end, self.reader.dim)
            if section is not None:
                yield section, place.first_row


class RangeReader(Reader):
    """The source of an extract, as one range of rows sees it.

    `select` finds no tokens but those that the range wants; `whole` finds all. See
    `Reader`.
    """

    def __init__(
        self, extracted: Extracted, number: int, statistics: Statistics | None
    ) -> None:
        self._extracted = extracted
        self._number = number
        self._source = source = extracted.reader
        self.format, self.name, self.dim = source.format, source.name, source.dim
        self.count, self.dtype = source.count, source.dtype
        self.composes, self.facts = source.composes, source.facts
        self.statistics = statistics

    @property
    def whole(self) -> Reader:
        """The source itself."""
        return self._source

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
        claims = Claims(index, len(out))
        sections: list[Section] = []
        bases, in_file = [0], [np.empty(0, np.int64)]
        for section, first_row in self._extracted.sections(self._number):
            tokens = section.tokens
            claims.find(tokens.data, tokens.offsets, bases[-1])
            sections.append(section)
            bases.append(bases[-1] + len(section.positions))
            in_file.append(section.positions + first_row)
        entries = claims.positions()
        found = np.flatnonzero(entries[: len(out)] >= 0)
        found = found[np.argsort(entries[found])]
        cuts = np.searchsorted(entries[found], bases).tolist()
        for section, base, cut in zip(sections, bases, pairwise(cuts), strict=False):
            rows = found[slice(*cut)]
            kernel.gather(section.vectors, entries[rows] - base, rows, out)
        again = _met_again(index, sections) if claims.duplicates else {}
        self._extracted.met_again[self._number] = again
        findings = replace(self.findings, duplicates=claims.duplicates)
        rows_of = np.concatenate([*in_file, [-1]])  # -1 is the last
        return Selection(rows_of[entries], claims.ranks(), findings)

    @property
    def findings(self) -> Findings:
        """What the pass over the source found."""
        return self._extracted.findings


def _met_again(
    index: kernel.TokenIndex, sections: Sequence[Section]
) -> dict[bytes, int]:
    """Return how often tokens that were looked for are met after the first time."""
    counts: Counter[bytes] = Counter()
    for section in sections:
        counts.update(section.tokens.split())
    return {
        token: count - 1
        for token, count in counts.items()
        if count > 1 and index.key(token) >= 0
    }
