"""A source as far as it was extracted: a reader of the rows that one range wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pretrained_embed import kernel
from pretrained_embed.extraction.gathering import Section
from pretrained_embed.extraction.outcome import Extract, Outcome
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.reader import (
    Block,
    Findings,
    Float32Array,
    OnBadRow,
    Progress,
    Reader,
    Selection,
    Statistics,
)
from pretrained_embed.formats.scanned import ScannedReader
from pretrained_embed.packed_tokens import PackedTokens

Int64Array = npt.NDArray[np.int64]


class _Place(NamedTuple):
    """An extract, and where it is from."""

    extract: Extract
    bounds: Int64Array  # (ranges + 1,)
    first_row: int  # of its split, in the file


class Extracted:
    """What one pass over a source has come to.

    ``findings`` are those of the pass; duplicates are counted range by range. Raises
    `RowError` for the bad row that the pass was stopped by.
    """

    def __init__(
        self, reader: ScannedReader, outcomes: Sequence[Outcome], ranges: int
    ) -> None:
        self.reader = reader
        self.findings = reader.total([outcome.report for outcome in outcomes])
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

    def blocks(
        self, *, on_bad_row: OnBadRow = "error", progress: Progress | None = None
    ) -> Iterator[Block]:
        """Yield all rows of the source. See `Reader`."""
        return self._source.blocks(on_bad_row=on_bad_row, progress=progress)

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
        for section, base in zip(sections, bases[:-1], strict=True):
            here = (entries >= base) & (entries < base + len(section.positions))
            rows = np.flatnonzero(here[: len(out)])
            kernel.gather(section.vectors, entries[rows] - base, rows, out)
        findings = replace(
            self.findings, duplicates=_duplicates(index, claims, sections)
        )
        rows_of = np.concatenate([*in_file, [-1]])  # -1 is the last
        return Selection(rows_of[entries], claims.ranks(), findings)

    @property
    def findings(self) -> Findings:
        """What the pass over the source found."""
        return self._extracted.findings


def _duplicates(
    index: kernel.TokenIndex, claims: Claims, sections: Sequence[Section]
) -> int:
    """Return how many hits were later occurrences of a token that this range owns.

    A token that several ranges want is owned by the first, so that it is counted once.
    """
    if not claims.duplicates or all(section.owned.all() for section in sections):
        return claims.duplicates
    owned = Claims(index, 0)
    for tokens, mask in ((section.tokens, section.owned) for section in sections):
        kept = [tokens.raw(row) for row in np.flatnonzero(mask).tolist()]
        packed = PackedTokens.join(kept)
        owned.find(packed.data, packed.offsets)
    return owned.duplicates
