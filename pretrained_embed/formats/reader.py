"""What every format gives and takes: the border between files and matrices.

A format turns a `ByteStream` into a `Reader`. A reader gives all its rows in order
(`Reader.blocks`) or only the wanted ones (`Reader.select`), and tells what it found
(`Findings`). What a reader cannot do, it answers with ``None``. Nothing here knows
where the bytes came from.

A split is a run of a file's rows that can be scanned apart from the others: by another
thread, process or machine. What its scan tells is counted from the split's own first
row; `Reader.total` puts the splits together, in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Protocol, Self

import numpy as np

from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int64Array,
    Progress,
    UInt8Array,
)
from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import OptionError
from pretrained_embed.formats.blocks import Block, PackedBlock
from pretrained_embed.formats.findings import EXAMPLES, Findings
from pretrained_embed.formats.findings import (
    Doubt as Doubt,  # pickles of release 0.1 look for it here
)
from pretrained_embed.kernel import TokenIndex

if TYPE_CHECKING:
    from pathlib import Path

    from pretrained_embed.formats.blocks import Hits, RowStream
    from pretrained_embed.formats.faults import Fault
    from pretrained_embed.formats.table import Span, Table, TablePart


#: What a reader does with a malformed row: raise, or leave it out and count it.
OnBadRow = Literal["error", "skip"]

#: Bytes at the start of a file by which its format and layout are found out.
HEAD_SIZE = 1 << 20

#: Rows that statistics are taken of at a time.
_STATISTICS_BLOCK = 1024


class ByteStream(Protocol):
    """A run of bytes with a name, as the sources layer hands it over."""

    @property
    def name(self) -> str:
        """The name to use in messages."""

    @property
    def size(self) -> int | None:
        """Number of bytes, where that is known before reading."""

    @property
    def packed_size(self) -> int | None:
        """Number of bytes of the file they were unpacked from, where that is known."""

    @property
    def path(self) -> Path | None:
        """The plain local file that holds exactly these bytes, if there is one."""

    @property
    def tokens_path(self) -> Path | None:
        """A file that lists the tokens, for formats that hold vectors alone."""

    @property
    def fragment(self) -> str | None:
        """What is wanted of the file, for formats that hold several things."""

    @property
    def read_options(self) -> ReadOptions:
        """How its file, and those beside it, are read: whenever, by whatever thread."""

    @property
    def provenance(self) -> Mapping[str, object]:
        """Facts about the source that go with its vectors; JSON holds them all."""

    @property
    def parts(self) -> Sequence[ByteStream]:
        """The files in order, of a source of several that has no bytes of its own."""

    @property
    def ranges(self) -> bool:
        """Whether the size is known and any range can be opened, by several at once."""

    @property
    def address(self) -> str | None:
        """The source to name in another process to open the same bytes there."""

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""

    def open(self, begin: int = 0, end: int | None = None) -> BinaryIO:
        """Open the bytes for reading from ``begin`` on, which is 0 without `ranges`.

        Behind ``end`` little will be read. That is a hint, and no end of the file.
        """


class Split(NamedTuple):
    """A byte range of a file; a row belongs to that in which it begins."""

    begin: int
    end: int
    first: bool
    last: bool
    part: int = 0  # which file, of a source of several


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
    part: int = 0  # which file, of a source of several
    odd_tokens: int = 0  # rows whose token holds what no text has
    first_odd: int = 0  # the first of them

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


def first_rows(reports: Iterable[SplitReport]) -> list[int]:
    """Return the row of the source at which each split begins, then how many there are.

    Blank lines at the end of a file are no rows, whatever splits they are in: else
    those of the files behind it would be counted from another place.
    """
    firsts, row, blank, part = [], 0, 0, 0
    for report in reports:
        if report.part != part:
            row, blank, part = row - blank, 0, report.part
        firsts.append(row)
        rows = report.findings.rows
        row += rows
        blank = report.blank_end + (blank if report.blank_end == rows else 0)
    return [*firsts, row - blank]


class SplitScan(Protocol):
    """One pass over the rows of a split."""

    def run(self, progress: Progress | None = None) -> Iterator[Hits]:
        """Yield the hits of the split in order."""

    def report(self) -> SplitReport:
        """Return what was found, after the last of the hits."""


class Selection(NamedTuple):
    """Where the rows of a selection came from."""

    # As many rows as ``out`` or ``index.row_count`` has, whichever is more.
    source_rows: Int64Array  # (rows,) 0-based row in the file; -1: not found
    ranks: UInt8Array  # (rows,) rank of the wanted form that was found
    findings: Findings


class Statistics(NamedTuple):
    """Of the first rows of a file, dimension by dimension."""

    mean: Float64Array  # (dim,)
    std: Float64Array  # (dim,), of the population
    rows: int  # how many rows there were

    @classmethod
    def of(cls, vectors: FloatArray) -> Statistics:
        """Return the statistics of rows, (rows, dim).

        The sums run row by row in binary64, so that they are the same on any machine,
        over a block of rows at a time, so that they take little memory.
        Numbers that are not finite are left out of them.
        """
        dim = vectors.shape[1]
        count = np.zeros(dim, np.int64)
        total = _Sum(dim)
        for sample, finite in _in_binary64(vectors):
            count += finite.sum(axis=0)
            total.add(np.where(finite, sample, 0.0))
        count = np.maximum(count, 1)
        mean = total.of_rows / count
        squares = _Sum(dim)
        for sample, finite in _in_binary64(vectors):
            apart = np.where(finite, sample - mean, 0.0)
            squares.add(apart * apart)
        return cls(mean, np.sqrt(squares.of_rows / count), len(vectors))


class _Sum:
    """A sum of rows, block by block, with the bits of one over all of them."""

    def __init__(self, dim: int) -> None:
        self.of_rows = np.zeros(dim)
        self._begun = False

    def add(self, rows: Float64Array) -> None:
        """Add rows, one after the other."""
        if self._begun:
            rows = np.vstack([self.of_rows, rows])
        self.of_rows = np.add.reduce(rows, axis=0)
        self._begun = True


def _in_binary64(
    vectors: FloatArray,
) -> Iterator[tuple[Float64Array, BoolArray]]:
    """Yield rows, and which of their numbers are finite, a block at a time."""
    for start in range(0, len(vectors), _STATISTICS_BLOCK):
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            sample = vectors[start : start + _STATISTICS_BLOCK].astype(np.float64)
        yield sample, np.isfinite(sample)


class Reader(ABC):
    """An open file of vectors.

    ``count`` is the number of rows the file declares or is known to have, or
    ``None``; a declared count is a hint and may be false. ``statistics`` are those that
    the file holds itself, or ``None``. ``dtype`` is what the numbers are stored as: the
    name of a dtype, or "text". ``composes`` says that tokens which the file
    does not hold can have vectors made of its subword pieces (see `compose`). ``facts``
    is what else the file tells of itself, for people to read; JSON holds it all.
    """

    format: str
    name: str
    dim: int
    count: int | None = None
    statistics: Statistics | None = None
    dtype: str = "float32"
    composes: bool = False
    facts: Mapping[str, object] = MappingProxyType({})

    def blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        """Yield all rows as `packed_blocks` does, with a ``str`` for each token."""
        packed = self.packed_blocks(
            threads=threads, on_bad_row=on_bad_row, progress=progress
        )
        for tokens, vectors in packed:
            yield Block(tokens.unpack(), vectors)

    @abstractmethod
    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows in file order, duplicates included, tokens as bytes.

        Raises `RowError` at the first malformed row unless ``on_bad_row="skip"``,
        and `TruncatedError` where the bytes end inside a row. After the last block
        `findings` is complete.
        """

    @abstractmethod
    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row of ``out``.

        ``out`` is float32 (rows, dim), C-contiguous; rows whose token is not in the
        file keep what they hold. Where several rows of the file serve one row of
        ``out``, the lowest rank wins, then the first in the file, whatever the
        number of threads. Rows that ``index`` wants beyond the end of ``out`` are
        looked for as the others are, but their vectors are not read.
        """

    def locate(
        self,
        index: TokenIndex,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Return where `select` would find each wanted token, and read no vector.

        A file without an index is still read from front to back.
        """
        return self.select(
            index,
            np.empty((0, self.dim), np.float32),
            threads=threads,
            on_bad_row=on_bad_row,
            progress=progress,
        )

    def table(self) -> Table | None:
        """Return all rows at once, with the arrays and metadata of the file.

        ``None`` where the file has to be read from front to back: see `blocks`.
        """
        return None

    def unread(self) -> Table | None:
        """Return the same as `table`, whose vectors are read as they are asked for.

        ``None`` where the file has no metadata, or is no table of several files.
        """
        return None

    def find_faults(self) -> None:  # noqa: B027  (most readers need not do anything)
        """Find the malformed rows that only their vectors tell of, where it matters."""

    def rows(self, progress: Progress | None = None) -> RowStream | None:
        """Return the same as `table`, a block at a time; ``None`` likewise.

        Rows without a token are among them.
        """
        return None

    def rows_in(self, span: Span) -> TablePart | None:
        """Return some consecutive rows, as `table` returns all; ``None`` likewise.

        ``span`` is given the number of rows and returns the range that is wanted.
        """
        return None

    def splits(self, size: int | None = None) -> list[Split] | None:
        """Cut a file that is read from front to back into splits of ``size`` bytes.

        By default, and where the format cannot be cut, there is one of all rows.
        ``None`` where tokens are looked up in an index: use `select`.
        """
        return None

    def scan(
        self, split: Split, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> SplitScan:
        """Return a scan of one of `splits` for the tokens of ``index``, or for all.

        Raises `OptionError` for a reader without splits.
        """
        raise self._without_splits()

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a pass, given the reports of `splits` in order.

        Duplicates are not counted. Raises `RowError` for the bad row by which a split
        was stopped, and `OptionError` for a reader without splits.
        """
        raise self._without_splits()

    def _without_splits(self) -> OptionError:
        return OptionError(
            f"{self.name}: {self.format} has no splits; select from it, or read blocks"
        )

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Write vectors made of the file's subword pieces; return which could be.

        ``out`` is float32 (len(tokens), dim). What is returned is bool (len(tokens),);
        rows of tokens that no piece of the file is in keep what they hold. Only where
        ``composes`` is true can there be any.
        """
        return np.zeros(len(tokens), np.bool_)

    @property
    def whole(self) -> Reader:
        """The reader of all tokens, where this one is of some."""
        return self

    @property
    @abstractmethod
    def findings(self) -> Findings:
        """What the last complete pass over the file found."""

    def close(self) -> None:  # noqa: B027  (most readers hold nothing open)
        """Release what the reader holds open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        count = "?" if self.count is None else f"{self.count:,}"
        return f"<{self.format} reader: {self.name}, {count} x {self.dim}>"
