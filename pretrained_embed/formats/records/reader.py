"""The reader of records: files that Python parses, a record after the other.

A record is a token and its numbers. Who parses a format yields them; here they become
rows, for those that want them. A malformed record is an error that names its line, or
is left out and counted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float64Array, Progress
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import BY_READER, OptionError, RowError
from pretrained_embed.formats.blocks import Hits
from pretrained_embed.formats.findings import EXAMPLES, Doubt, Findings, Note
from pretrained_embed.formats.reader import (
    ByteStream,
    OnBadRow,
    Split,
    SplitReport,
)
from pretrained_embed.formats.undivided import BLOCK_BYTES, UndividedReader
from pretrained_embed.kernel import TokenIndex

_ROWS_AT_ONCE = 1024


class BadRecordError(Exception):
    """A record that is malformed: what is wrong with it. Stays within these modules.

    It is raised by who parses numbers, and yielded where not even a token can be had.
    """

    def __init__(
        self, what: str, code: str = "text.bad-number", line: int | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.code = code
        self.line = line  # where the record begins, 1-based


def check_count(count: int, dim: int) -> None:
    """Raise `BadRecordError` where a vector has not as many numbers as the others."""
    if count != dim:
        code = "text.short-row" if count < dim else "text.long-row"
        raise BadRecordError(f"{count:,} numbers, {dim:,} expected", code)


class Record(NamedTuple):
    """A record that was read. What ``numbers`` raises is `BadRecordError`."""

    line: int | None  # where it begins, 1-based
    token: bytes
    numbers: Callable[[], Sequence[float] | Float64Array]  # of the vector


class RecordReader(UndividedReader):
    """Reads records: what stands in quotes or brackets may go over lines."""

    def __init__(
        self, stream: ByteStream, format: str, dim: int, notes: Sequence[Note]
    ) -> None:
        self.format = format
        self.name = stream.name
        self.dim = dim
        self.dtype = "text"
        self._stream = stream
        self._notes = notes
        self._findings = Findings()

    @abstractmethod
    def records(self, progress: Progress | None) -> Iterator[Record | BadRecordError]:
        """Yield all records of the file in order."""

    def scan(
        self, split: Split, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> RecordScan:
        """Return a scan of all records. See `Reader`."""
        if not split.first:
            raise OptionError(f"{self.name}: {self.format} is read in one split")
        return RecordScan(self, index, on_bad_row)

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a pass. See `Reader`."""
        (report,) = reports
        findings = report.findings
        findings.notes[:0] = self._notes
        return findings


class RecordScan:
    """One pass over the records. See `SplitScan`."""

    def __init__(
        self, reader: RecordReader, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> None:
        self._reader = reader
        self._index = index
        self._skip = on_bad_row == "skip"
        self._found = Findings()

    def run(self, progress: Progress | None = None) -> Iterator[Hits]:
        """Yield the rows that are wanted, in order."""
        reader, found = self._reader, self._found
        waiting = _Waiting(reader.dim)
        with refusing_damage(reader.name, f"cannot be read as {reader.format}"):
            for record in reader.records(progress):
                row = found.rows
                found.rows += 1
                if isinstance(record, BadRecordError):
                    self._add(record, record.line, row)
                    continue
                key = 0 if self._index is None else self._index.key(record.token)
                if key >= 0:
                    try:
                        numbers = record.numbers()
                    except BadRecordError as bad:
                        self._add(bad, record.line, row)
                        continue
                    waiting.add(row, record.token, key, numbers)
                    if waiting.count == _ROWS_AT_ONCE:
                        yield waiting.hits()
            if waiting.count:
                yield waiting.hits()

    def report(self) -> SplitReport:
        """Return what was found, after the last of the rows."""
        return SplitReport(self._found, skips=self._skip)

    def _add(self, bad: BadRecordError, line: int | None, row: int) -> None:
        """Count a malformed record, unless it has to be an error."""
        if not self._skip:
            place = f"line {line:,}" if line else f"row {row:,}"
            raise RowError(
                f"{self._reader.name}, {place}: {bad.what}. Mend the row",
                line=line,
                found=bad.what,
                code=bad.code,
                way=BY_READER,
            )
        self._found.bad_rows += 1
        if len(self._found.doubts) < EXAMPLES:
            self._found.doubts.append(Doubt(row, line, bad.what, bad.code))


class _Waiting:
    """Rows that are handed on together."""

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._size = 0  # bytes of their tokens
        self._hits = np.zeros((_ROWS_AT_ONCE, kernel.HIT_COLUMNS), np.int64)
        rows = max(1, min(_ROWS_AT_ONCE, BLOCK_BYTES // (4 * dim)))
        self._vectors = np.empty((rows, dim), np.float32)
        self._tokens: list[bytes] = []

    def add(
        self, row: int, token: bytes, key: int, numbers: Sequence[float] | Float64Array
    ) -> None:
        """Take a row, whose number is that in the file."""
        if self.count == len(self._vectors):  # as many as there are rows in a few MB
            more = min(len(self._vectors), _ROWS_AT_ONCE - self.count)
            room = np.empty((more, self._vectors.shape[1]), np.float32)
            self._vectors = np.concatenate([self._vectors, room])
        with np.errstate(over="ignore"):
            self._vectors[self.count] = numbers
        self._hits[self.count] = row, self._size, len(token), key
        self._tokens.append(token)
        self._size += len(token)
        self.count += 1

    def hits(self) -> Hits:
        """Return the rows, and forget them."""
        count, data = self.count, bytearray().join(self._tokens)
        self.count, self._size, self._tokens = 0, 0, []
        return Hits(0, count, self._hits, self._vectors, data)
