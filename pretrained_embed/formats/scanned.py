"""Files that are read from front to back, split by split, for the rows wanted of them.

A split is a run of a file's rows that can be scanned apart from the others: by another
thread, process or machine. What its scan tells is counted from the split's own first
row; `ScannedReader.total` puts the splits together, in order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pretrained_embed.arrays import Progress
from pretrained_embed.formats.reader import EXAMPLES, Findings, OnBadRow, Reader
from pretrained_embed.kernel import TokenIndex

if TYPE_CHECKING:
    from pretrained_embed.formats.blocks import Hits
    from pretrained_embed.formats.faults import Fault


class Split(NamedTuple):
    """A byte range of a file; a row belongs to that in which it begins."""

    begin: int
    end: int
    first: bool
    last: bool


#: A whole file in one split.
WHOLE = Split(0, 0, first=True, last=True)


@dataclass
class SplitReport:
    """What scanning a split has found, its rows counted from its first."""

    findings: Findings = field(default_factory=Findings)
    stopped_by: Fault | None = None  # a bad row that may not be left out
    blank_end: int = 0  # lines at the end that are blank: bad rows if more rows follow
    skips: bool = True  # whether bad rows may be left out
    read: int = 0  # place in the file up to which was read

    def add_to(self, findings: Findings, first_line: int | None) -> None:
        """Add what was found to the findings of the splits before this one.

        ``first_line`` is that of the file's first row, ``None`` in a binary file.
        """
        mine, before = self.findings, findings.rows
        for doubt in mine.doubts[: EXAMPLES - len(findings.doubts)]:
            line = None if first_line is None else first_line + before + doubt.row
            findings.doubts.append(doubt._replace(row=before + doubt.row, line=line))
        findings.rows += mine.rows
        findings.bad_rows += mine.bad_rows
        findings.suspicious_rows += mine.suspicious_rows
        findings.notes += mine.notes


class SplitScan(Protocol):
    """One pass over the rows of a split."""

    def run(self, progress: Progress | None = None) -> Iterator[Hits]:
        """Yield the hits of the split in order."""

    def report(self) -> SplitReport:
        """Return what was found, after the last of the hits."""


class ScannedReader(Reader):
    """A reader of a file that has no index: to find a token is to read on to it."""

    @abstractmethod
    def splits(self, size: int) -> list[Split]:
        """Cut the file into splits of about ``size`` bytes, or as far as it can be."""

    @abstractmethod
    def scan(
        self, split: Split, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> SplitScan:
        """Return a scan of a split for the tokens of ``index``, or for all."""

    @abstractmethod
    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a pass, given the reports of its splits in order.

        Duplicates are not counted. Raises `RowError` for the bad row by which a split
        was stopped.
        """
