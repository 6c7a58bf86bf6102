"""The interface of formats: streams go in, readers come out.

A format turns a `ByteStream` into a `Reader`. A reader returns all its rows in order
(`Reader.blocks`) or only the wanted ones (`Reader.select`), and its `Findings`. A
method that a reader does not support returns ``None``. The origin of the bytes is
unknown here.

A split is a range of a file's rows that can be scanned separately: by another thread,
process or machine. Its scan counts rows from the first row of the split; `Reader.total`
combines the reports of splits in order.
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


#: How a reader treats a malformed row: raise an error, or leave it out and count it.
OnBadRow = Literal["error", "skip"]

#: How many bytes at the start of a file are used to recognise format and layout.
HEAD_SIZE = 1 << 20

#: How many rows statistics process at a time.
_STATISTICS_BLOCK = 1024


class ByteStream(Protocol):
    """A range of bytes with a name, as the sources layer passes it on.

    Examples
    --------
    >>> stream.head(4)  # doctest: +SKIP
    b'PK\x03\x04'
    """

    @property
    def name(self) -> str:
        """The name for messages."""

    @property
    def size(self) -> int | None:
        """The number of bytes, if known before reading."""

    @property
    def packed_size(self) -> int | None:
        """The size in bytes before decompression, if known."""

    @property
    def path(self) -> Path | None:
        """The plain local file with exactly these bytes, if there is one."""

    @property
    def tokens_path(self) -> Path | None:
        """A file with the tokens, for formats that hold only vectors."""

    @property
    def fragment(self) -> str | None:
        """The part of the file that is wanted, for formats that hold several tables."""

    @property
    def read_options(self) -> ReadOptions:
        """The options for reading its file, and those beside it."""

    @property
    def provenance(self) -> Mapping[str, object]:
        """Facts about the source for the provenance, as JSON-compatible values."""

    @property
    def parts(self) -> Sequence[ByteStream]:
        """The files, in order, of a source of several files."""

    @property
    def ranges(self) -> bool:
        """Whether the size is known and any range can be opened, several at a time."""

    @property
    def address(self) -> str | None:
        """The source that opens the same bytes in another process."""

    def head(self, size: int) -> bytes:
        """Return the first bytes.

        Parameters
        ----------
        size : int
            How many bytes.

        Returns
        -------
        bytes
            All bytes, if there are fewer.
        """

    def open(self, begin: int = 0, end: int | None = None) -> BinaryIO:
        """Open the bytes for reading.

        Parameters
        ----------
        begin : int, default 0
            Where to begin; 0 without `ranges`.
        end : int, optional
            A hint: little will be read after it.

        Returns
        -------
        BinaryIO
            The open bytes.
        """


class Split(NamedTuple):
    """A byte range of a file; it has the rows that begin in it."""

    begin: int
    end: int
    first: bool
    last: bool
    part: int = 0  # which file, for a source of several


#: A whole file in one split.
WHOLE = Split(0, 0, first=True, last=True)


@dataclass
class SplitReport:
    """The result of scanning a split; rows are counted from its first."""

    findings: Findings = field(default_factory=Findings)
    stopped_by: Fault | None = None  # a bad row that may not be left out
    blank_end: int = 0  # blank lines at the end: bad rows if more rows follow
    skips: bool = True  # whether bad rows may be left out
    read: int = 0  # position in the file up to which was read
    part: int = 0  # which file, for a source of several
    odd_tokens: int = 0  # rows whose token has bytes that are not text
    first_odd: int = 0  # the first of them

    def add_to(self, findings: Findings, first_line: int | None) -> None:
        """Add the results to the findings of the splits before this one.

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
    """Return the row of the source at which each split begins, then the total.

    Blank lines at the end of a file are no rows, in any split; otherwise the rows of
    later files would be counted differently.
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
        """Return the results, after the last of the hits."""


class Selection(NamedTuple):
    """The origin of the rows of a selection."""

    # The arrays are as long as ``out`` or ``index.row_count``, whichever is longer.
    source_rows: Int64Array  # (rows,) 0-based row in the file; -1: not found
    ranks: UInt8Array  # (rows,) rank of the wanted form that was found
    findings: Findings


class Statistics(NamedTuple):
    """Mean and standard deviation of each dimension of the first rows of a file.

    Examples
    --------
    >>> Statistics.of(np.float32([[1, 2], [3, 2]])).mean
    array([2., 2.])
    """

    mean: Float64Array  # (dim,)
    std: Float64Array  # (dim,), of the population
    rows: int  # how many rows there were

    @classmethod
    def of(cls, vectors: FloatArray) -> Statistics:
        """Return the statistics of rows.

        The sums run row by row in binary64, so that they are the same on any machine,
        and over blocks of rows, so that they take little memory.

        Parameters
        ----------
        vectors : array of float, shape (rows, dim)
            The rows. Numbers that are not finite are ignored.

        Returns
        -------
        Statistics
            Mean and standard deviation of each dimension.
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
    """A sum of rows in blocks, with the same bits as one sum of all rows."""

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
    """Yield rows, and a mask of their finite numbers, a block at a time."""
    for start in range(0, len(vectors), _STATISTICS_BLOCK):
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            sample = vectors[start : start + _STATISTICS_BLOCK].astype(np.float64)
        yield sample, np.isfinite(sample)


class Reader(ABC):
    """An open file of vectors, a context manager.

    ``count`` is the declared or known number of rows, or ``None``; a declared count may
    be wrong. ``statistics`` are those saved in the file, or ``None``. ``dtype`` is the
    stored dtype of the numbers, or "text". ``composes`` says whether vectors of other
    tokens can be composed from subword vectors (see `compose`). ``facts`` are other
    facts in the file, for display, as JSON-compatible values.

    Examples
    --------
    >>> with open_vectors("vectors.txt") as reader:  # doctest: +SKIP
    ...     print(reader.format, reader.dim)
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
        """Yield all rows in file order, with a ``str`` for each token.

        Parameters
        ----------
        threads, on_bad_row, progress
            As in `packed_blocks`.

        Yields
        ------
        Block
            Some consecutive rows.
        """
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
        """Yield all rows in file order, duplicates included, with tokens as bytes.

        After the last block `findings` is complete.

        Parameters
        ----------
        threads : int, optional
            How many threads read; by default one for each CPU.
        on_bad_row : "raise" or "skip", default "raise"
            Raise an error for a malformed row, or leave it out and count it.
        progress : callable of (bytes, bytes in all or None), optional
            Called while the file is read.

        Yields
        ------
        PackedBlock
            Some consecutive rows.

        Raises
        ------
        RowError
            At the first malformed row, unless it is skipped.
        TruncatedError
            If the bytes end inside a row.
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

        If several rows of the file fit one row of ``out``, the lowest rank wins, then
        the first in the file, with any number of threads.

        Parameters
        ----------
        index : TokenIndex
            The wanted tokens with their rows and ranks. Rows beyond the end of ``out``
            are located, but not read.
        out : array of float32, shape (rows, dim)
            C-contiguous; rows whose token is not found are not changed.
        threads, on_bad_row, progress
            As in `packed_blocks`.

        Returns
        -------
        Selection
            The row of the file for each row.
        """

    def locate(
        self,
        index: TokenIndex,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Return where `select` would find each wanted token, without reading vectors.

        A file without an index is still read from front to back.

        Parameters
        ----------
        index : TokenIndex
            The wanted tokens.
        threads, on_bad_row, progress
            As in `packed_blocks`.

        Returns
        -------
        Selection
            The row of the file for each row.
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

        Returns
        -------
        Table or None
            ``None`` if the file must be read from front to back: see `blocks`.
        """
        return None

    def unread(self) -> Table | None:
        """Return the same as `table`, with vectors that are read on demand.

        Returns
        -------
        Table or None
            ``None`` if the file has no metadata, or is no table in several files.
        """
        return None

    def find_faults(self) -> None:  # noqa: B027  (most readers need not do anything)
        """Find the malformed rows that are only known from their vectors."""

    def rows(self, progress: Progress | None = None) -> RowStream | None:
        """Return the same as `table`, a block at a time.

        Parameters
        ----------
        progress : callable, optional
            Called while rows are read.

        Returns
        -------
        RowStream or None
            All rows, also those without a token; ``None`` as in `table`.
        """
        return None

    def rows_in(self, span: Span) -> TablePart | None:
        """Return some consecutive rows, with the arrays and metadata of the file.

        Parameters
        ----------
        span : callable
            Takes the number of rows and returns the wanted range.

        Returns
        -------
        TablePart or None
            ``None`` as in `table`.
        """
        return None

    def splits(self, size: int | None = None) -> list[Split] | None:
        """Divide a file that is read from front to back into splits.

        Parameters
        ----------
        size : int, optional
            The size of a split in bytes; by default, and if the format cannot be
            divided, there is one split.

        Returns
        -------
        list of Split or None
            ``None`` if the file has an index of its tokens: use `select`.
        """
        return None

    def scan(
        self, split: Split, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> SplitScan:
        """Return a scan of one of `splits`.

        Parameters
        ----------
        split : Split
            The split.
        index : TokenIndex or None
            The wanted tokens; ``None`` for all rows.
        on_bad_row : "raise" or "skip"
            As in `packed_blocks`.

        Returns
        -------
        SplitScan
            The scan, to be run once.

        Raises
        ------
        OptionError
            If the reader has no splits.
        """
        raise self._without_splits()

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a pass, without the number of duplicates.

        Parameters
        ----------
        reports : sequence of SplitReport
            The reports of all `splits`, in order.

        Returns
        -------
        Findings
            The findings of the whole file.

        Raises
        ------
        RowError
            For the bad row at which a split stopped.
        OptionError
            If the reader has no splits.
        """
        raise self._without_splits()

    def _without_splits(self) -> OptionError:
        return OptionError(
            f"{self.name}: {self.format} has no splits; select from it, or read blocks"
        )

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Compose vectors of tokens from the file's subword vectors.

        Parameters
        ----------
        tokens : sequence of str
            The tokens.
        out : array of float32, shape (len(tokens), dim)
            Gets the vectors; rows of tokens without any subword are not changed.

        Returns
        -------
        bool array (len(tokens),)
            Which vectors were composed; none unless ``composes`` is true.
        """
        return np.zeros(len(tokens), np.bool_)

    @property
    def whole(self) -> Reader:
        """The reader of all tokens, if this one has only some."""
        return self

    @property
    @abstractmethod
    def findings(self) -> Findings:
        """The findings of the last complete pass over the file."""

    def close(self) -> None:  # noqa: B027  (most readers hold nothing open)
        """Close the files that the reader holds open."""

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
