"""Tables of Arrow as files of vectors: Parquet, Arrow IPC.

Ours, which `sink` describes, and those of other writers, of which `columns` finds out
the columns. A column of tokens without vectors is read, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    Progress,
)
from pretrained_embed.bits import Stored
from pretrained_embed.budget import USUAL, ReadOptions
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.arrow.parts import (
    Blocks,
    PartedRows,
    PartedTable,
    TableFile,
)
from pretrained_embed.formats.columns import with_missing_tokens
from pretrained_embed.formats.findings import Doubt
from pretrained_embed.formats.known_layout import KnownLayout, with_columns
from pretrained_embed.formats.marks import PARQUET
from pretrained_embed.formats.parallel import per_thread, run_in_order, thread_count
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import HOLES
from pretrained_embed.formats.table_reader import TableReader


def open_parquet(stream: ByteStream, layout: KnownLayout | None = None) -> ArrowReader:
    """Open a Parquet file for reading.

    ``layout`` may name the columns. Raises `FormatError` where it is damaged, or has no
    such columns, and `MissingPackageError` where pyarrow is not installed.
    """
    from pretrained_embed.formats.arrow.parquet import ParquetTable

    known = with_columns(layout, stream)
    return _opened(
        "parquet", ParquetTable(TableFile(stream), known.token, known.vector)
    )


def open_ipc(stream: ByteStream, layout: KnownLayout | None = None) -> ArrowReader:
    """Open a file or a stream of Arrow IPC for reading; see `open_parquet`."""
    from pretrained_embed.formats.arrow.ipc import IpcTable

    known = with_columns(layout, stream)
    return _opened("arrow", IpcTable(TableFile(stream), known.token, known.vector))


def _opened(format: str, parts: PartedTable) -> ArrowReader:
    try:
        return ArrowReader(format, parts)
    except BaseException:
        parts.close()
        raise


def read_column(
    path: Path, column: str | None = None, options: ReadOptions = USUAL
) -> PackedTokens:
    """Return the tokens of a column, by default of the only one that has some.

    Raises `FormatError` where there is none, or it has a row without a token, and
    `MissingPackageError` where pyarrow is not installed.
    """
    parts = _of_path(TableFile(path, options), column)
    try:
        tokens, missing = parts.tokens()
    finally:
        parts.close()
    if len(missing):
        raise FormatError(f"{path}, row {missing[0]:,}: the token is null")
    return tokens


def _of_path(source: TableFile, column: str | None) -> PartedTable:
    with open(source.name, "rb") as file:  # noqa: PTH123  (it is the name of the path)
        is_parquet = file.read(len(PARQUET)) == PARQUET
    if is_parquet:
        from pretrained_embed.formats.arrow.parquet import ParquetTable

        return ParquetTable(source, column, tokens_alone=True)
    from pretrained_embed.formats.arrow.ipc import IpcTable

    return IpcTable(source, column, tokens_alone=True)


class ArrowReader(TableReader):
    """Reads a table in parts; of vectors, those parts that have wanted rows."""

    def __init__(self, format: str, parts: PartedTable) -> None:
        tokens, missing = parts.tokens()
        arrays, own, faults = {}, parts.own, []
        if own is not None:
            arrays = own.arrays(parts.numbers(own.columns), len(tokens))
        if own is not None and own.has_holes:
            arrays[HOLES] = missing
        else:
            faults = with_missing_tokens([], missing)
        super().__init__(
            format,
            parts.where,
            tokens,
            PartedRows(parts),
            arrays=arrays,
            metadata=None if own is None else own.metadata,
            notes=parts.columns.notes,
            faults=faults,
            release=parts.close,
        )
        self._parts = parts
        self._searched = False

    def find_faults(self) -> None:
        """Read all vectors, once: only so it is known which rows are malformed."""
        if self._searched:
            return
        decoder_of = per_thread(lambda: self._parts.decoder(shares=True))

        def work(part: int) -> list[Doubt]:
            with closing(decoder_of()(part)) as found:
                return [one for _, faults in found for one in faults]

        parts = len(self._parts.bounds) - 1
        found = {fault.row: fault for fault in self._faults}
        for faults in run_in_order(work, parts, thread_count(None)):
            found |= {fault.row: fault for fault in faults}
        self._leave_out([found[row] for row in sorted(found)])
        self._searched = True

    def _reader(self, *, shares: bool = False) -> Blocks:
        return self._parts.reader(skips=self._searched, shares=shares)

    def _stored_slabs(
        self, progress: Progress | None
    ) -> Iterator[tuple[int, AnyArray]]:
        if isinstance(self._vectors, Stored):  # of ours, whose row groups are small
            yield from super()._stored_slabs(progress)
            return
        blocks, bounds = self._reader(), self._parts.bounds
        total = int(bounds[-1])
        for part, at in enumerate(bounds[:-1].tolist()):
            for block in blocks(part):
                yield at, self._numbers(at, block)
                at += len(block)
                if progress is not None:
                    progress(at, total)

    def _numbers(self, first: int, block: AnyArray) -> AnyArray:
        """Return what the numbers of consecutive rows stand for."""
        if isinstance(self._vectors, Stored):
            return self._vectors.numbers_of(first, block)
        return block

    def _plain(self, start: int, stop: int) -> Float32Array:
        if isinstance(self._vectors, Stored):
            return super()._plain(start, stop)
        out = np.empty((stop - start, self.dim), np.float32)
        PartedRows(self._parts).copy(start, out)
        return out

    def _gather(
        self,
        source_rows: Int64Array,
        out: Float32Array,
        progress: Progress | None,
        threads: int | None,
    ) -> None:
        """Copy the rows found, of the parts that have some, by several threads."""
        if isinstance(self._vectors, Stored):
            super()._gather(source_rows, out, progress, threads)
            return
        targets = np.argsort(source_rows, kind="stable")
        wanted = source_rows[targets]
        bounds = self._parts.bounds
        cuts = np.searchsorted(wanted, bounds)
        needed = np.flatnonzero(np.diff(cuts)).tolist()
        blocks_of = per_thread(lambda: self._reader(shares=True))

        def work(number: int) -> None:
            part = needed[number]
            at = int(bounds[part])
            ignored = np.errstate(over="ignore", invalid="ignore")
            with closing(blocks_of()(part)) as blocks, ignored:
                for block in blocks:
                    low, high = np.searchsorted(wanted, (at, at + len(block)))
                    if high > low:
                        numbers = self._numbers(at, block)
                        out[targets[low:high]] = numbers[wanted[low:high] - at]
                    at += len(block)
                    if high == cuts[part + 1]:
                        break

        if needed:
            done = 0
            for done, _ in enumerate(
                run_in_order(work, len(needed), thread_count(threads)), 1
            ):
                if progress is not None:
                    progress(done, len(needed))
        elif progress is not None:
            progress(1, 1)
