"""The reader of all formats that hold a whole table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pretrained_embed import bits
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    Progress,
)
from pretrained_embed.bits import Stored
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.blocks import (
    AnyBlock,
    PackedBlock,
    RowStream,
    StoredBlock,
)
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.columns import refuse_rows
from pretrained_embed.formats.findings import (
    EXAMPLES,
    Doubt,
    Findings,
    Note,
    gathered_notes,
)
from pretrained_embed.formats.reader import OnBadRow, Reader, Selection
from pretrained_embed.formats.table import (
    HOLES,
    SHARD,
    Annotations,
    JoinedRows,
    Rows,
    Span,
    Table,
    TablePart,
    check_holes,
    cut_arrays,
    join_annotations,
)
from pretrained_embed.kernel import TokenIndex

_BLOCK_ROWS = 4096
_BLOCK_BYTES = 1 << 24


class TableReader(Reader):
    """Reads rows from packed tokens and vectors of any dtype that float32 can hold.

    Vectors are returned as float32; the notes of the findings have the stored dtype.
    float64 is rounded; integers of at most 16 bits are converted, unless the metadata
    say that they are encoded: see `bits`. Rows without a token (`HOLES`) match nothing
    and are left out of `blocks`, and so are malformed rows, ``faults``, if they are
    skipped. ``threads`` decode rows if needed. Raises `FormatError` if tokens and
    vectors do not belong together.
    """

    def __init__(
        self,
        format: str,
        name: str,
        tokens: PackedTokens,
        vectors: Rows,
        *,
        arrays: dict[str, AnyArray] | None = None,
        metadata: dict[str, Any] | None = None,
        notes: Sequence[Note] = (),
        faults: Sequence[Doubt] = (),
        release: Callable[[], None] | None = None,
    ) -> None:
        given = vectors
        vectors, arrays, metadata = bits.of_file(
            vectors, arrays or {}, metadata or {}, name
        )
        self._keeps_bits = vectors is not given
        if len(vectors.shape) != 2 or 0 in vectors.shape:
            raise FormatError(
                f"{name}: vectors of shape {vectors.shape}; expected (rows, dim), at "
                "least one of each",
                code="table.no-rows" if vectors.shape[:1] == (0,) else None,
            )
        if vectors.dtype.itemsize > {"f": 8, "i": 2, "u": 2}.get(vectors.dtype.kind, 0):
            raise FormatError(
                f"{name}: vectors are {vectors.dtype}; expected float16, float32 or "
                "float64, or integers of 8 or 16 bits"
            )
        if len(tokens) != vectors.shape[0]:
            raise FormatError(
                f"{name}: {len(tokens):,} tokens for {vectors.shape[0]:,} vectors; the "
                "two do not belong together"
            )
        self.format = format
        self.name = name
        self.count, self.dim = vectors.shape
        self.dtype = _dtype_name(vectors)
        self._tokens = tokens
        self._vectors = vectors
        self._arrays = arrays
        self._metadata = metadata
        self._holes = check_holes(tokens, self._arrays, name)
        self._notes = [*notes, *_storage_note(vectors)]
        if len(self._holes):
            what = f"{len(self._holes):,} rows without a token"
            self._notes.append(Note("rows.without-token", what))
        self._leave_out(faults)
        self._release = release
        self._findings = Findings()

    @property
    def findings(self) -> Findings:
        """The findings of the last complete pass over the table."""
        return self._findings

    @property
    def tokens(self) -> PackedTokens:
        """The tokens of all rows, in order."""
        return self._tokens

    @property
    def stored(self) -> Rows:
        """The vectors as they are stored, read on demand."""
        return self._vectors

    @property
    def annotations(self) -> Annotations:
        """Everything besides the vectors."""
        return Annotations(self._tokens, self._arrays, self._metadata)

    def table(self) -> Table | None:
        """Return the whole table, its vectors as float32 (rows, dim) in C order.

        They stay mapped if they are stored as they are needed. If this package wrote
        them in another dtype, they are a `Stored`. ``None`` if rows are malformed.
        """
        if self._faults:
            return None
        rows = len(self._tokens)
        return Table(self._tokens, self._whole(0, rows), self._arrays, self._metadata)

    def rows_in(self, span: Span) -> TablePart:
        """Return the consecutive rows that ``span`` wants. See `Reader`."""
        self.check_rows("error")
        rows = len(self._tokens)
        wanted = span(rows)
        start, stop = wanted.start, wanted.stop
        arrays = cut_arrays(self._arrays, rows, start, stop)
        table = Table(
            self._tokens[start:stop], self._whole(start, stop), arrays, self._metadata
        )
        return TablePart(table, start, rows)

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows that have a token, in order, duplicates included."""
        self.check_rows(on_bad_row)
        for start, stored in self._stored_slabs(progress):
            tokens, vectors = self._block(start, stored)
            low, high = np.searchsorted(self._holes, (start, start + len(stored)))
            if high > low:
                holes = self._holes[low:high] - start
                vectors = np.delete(vectors, holes, axis=0)
                tokens = tokens.without(holes)
            if len(tokens):
                yield PackedBlock(tokens, vectors)
        self._findings = self._found(0)

    def rows(self, progress: Progress | None = None) -> RowStream | None:
        """Return everything, to be written again: also rows without a token.

        ``None`` if rows are malformed.
        """
        if self._faults:
            return None

        def blocks() -> Iterator[AnyBlock]:
            if self._keeps_bits and isinstance(self._vectors, Stored):
                for start, stop in self._slabs(progress):
                    vectors = self._vectors.part(slice(start, stop))
                    yield StoredBlock(self._tokens[start:stop], vectors)
            else:
                yield from (self._block(*slab) for slab in self._stored_slabs(progress))
            self._findings = self._found(0)

        return RowStream(
            self.dim,
            blocks(),
            len(self._tokens),
            tokens=self._tokens,
            arrays=self._arrays,
            metadata=self._metadata,
        )

    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row of ``out``."""
        self.check_rows(on_bad_row)
        claims = Claims(index, len(out))
        source_rows = self._looked_up(claims)
        self._gather(source_rows[: len(out)], out, progress, threads)
        self._findings = self._found(claims.duplicates)
        return Selection(source_rows, claims.ranks(), self._findings)

    def locate(
        self,
        index: TokenIndex,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Return the row of each wanted token, without reading vectors."""
        self.check_rows(on_bad_row)
        claims = Claims(index, 0)
        source_rows = self._looked_up(claims)
        self._findings = self._found(claims.duplicates)
        return Selection(source_rows, claims.ranks(), self._findings)

    def close(self) -> None:
        """Release the file, if it is held open."""
        if self._release is not None:
            self._release()
            self._release = None

    def check_rows(self, on_bad_row: OnBadRow) -> None:
        """Raise `RowError` for the first malformed row, unless they are skipped.

        If they are skipped, they are known from then on.
        """
        if on_bad_row == "skip":
            self.find_faults()
        elif self._faults:
            refuse_rows(self._faults, self.name)

    def unread(self) -> Table | None:
        """Return the table of joined files. See `Reader`."""
        tokens, arrays, metadata = self.annotations
        if not (metadata and isinstance(self.stored, JoinedRows)):
            return None  # files that are joined without an index have no metadata
        vectors: Any = self.stored
        return Table(tokens, vectors, dict(arrays), dict(metadata))

    def _leave_out(self, faults: Sequence[Doubt]) -> None:
        """Treat rows, which ascend, as malformed: like holes in all results.

        `HOLES`, which lists the rows without a token, stays as it is.
        """
        self._faults = faults
        if faults:
            bad = np.array([fault.row for fault in faults], np.int64)
            self._tokens = _emptied(self._tokens, bad)
            self._holes = np.union1d(self._holes, bad)

    def find(self, claims: Claims, before: int = 0) -> Int64Array | None:
        """Claim rows for all tokens, by their positions, counted from ``before`` on.

        Returns the row of the table at each position; ``None`` if they are equal. Rows
        that are left out have no position.
        """
        if not len(self._holes):
            claims.find(self._tokens.data, self._tokens.offsets, before)
            return None
        tokens = self._tokens.without(self._holes)
        claims.find(tokens.data, tokens.offsets, before)
        return np.delete(np.arange(len(self._tokens)), self._holes)

    def take(
        self,
        source_rows: Int64Array,
        out: Float32Array,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Write rows, by their numbers in the table, into those of ``out``.

        ``source_rows`` is int64, as long as ``out``; a row with -1 is not changed.
        Tokens need no second look-up after `select` or `locate` of the same table. Of a
        file in parts, only those with wanted rows are read.
        """
        self._gather(source_rows, out, progress, threads)

    def found(self, duplicates: int) -> Findings:
        """Return the findings of a pass with this number of duplicates."""
        return self._found(duplicates)

    def _looked_up(self, claims: Claims) -> Int64Array:
        """Return the row of the table for each wanted row, -1 for none."""
        rows = self.find(claims)
        places = claims.positions()
        return places if rows is None else np.append(rows, -1)[places]

    def _whole(self, start: int, stop: int) -> Float32Array | Stored:
        if self._keeps_bits and isinstance(self._vectors, Stored):
            if stop - start == len(self._vectors):
                return self._vectors  # nothing of it has been read yet
            return self._vectors.part(slice(start, stop))
        return self._plain(start, stop)

    def _plain(self, start: int, stop: int) -> Float32Array:
        with np.errstate(over="ignore", invalid="ignore"):
            plain: Float32Array = np.require(
                self._vectors[start:stop], np.float32, ["C", "A"]
            )
        return plain

    def _stored_slabs(
        self, progress: Progress | None
    ) -> Iterator[tuple[int, AnyArray]]:
        """Yield all rows, some at a time: the number of the first, and the rows."""
        for start, stop in self._slabs(progress):
            yield start, self._vectors[start:stop]

    def _block(self, start: int, stored: AnyArray) -> PackedBlock:
        with np.errstate(over="ignore", invalid="ignore"):
            vectors = np.array(stored, np.float32, order="C")
        return PackedBlock(self._tokens[start : start + len(stored)], vectors)

    def _gather(
        self,
        source_rows: Int64Array,
        out: Float32Array,
        progress: Progress | None,
        threads: int | None,
    ) -> None:
        """Copy the found rows, in the order of the file, some at a time.

        A slice of an array is a view, so only its wanted rows are read.
        """
        targets = np.argsort(source_rows, kind="stable")
        wanted = source_rows[targets]
        for start, stop in self._slabs(progress):
            low, high = np.searchsorted(wanted, (start, stop))
            if high > low and isinstance(self._vectors, Stored):
                some = self._vectors.part(slice(start, stop))
                some = some.take(wanted[low:high] - start)
                out[targets[low:high]] = some.numbers()
            elif high > low:
                slab = self._vectors[start:stop]
                with np.errstate(over="ignore", invalid="ignore"):
                    out[targets[low:high]] = slab[wanted[low:high] - start]

    def _slabs(self, progress: Progress | None) -> Iterator[tuple[int, int]]:
        count, dim = self._vectors.shape
        row_bytes = dim * self._vectors.dtype.itemsize
        rows = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // row_bytes))
        for start in range(0, count, rows):
            stop = min(start + rows, count)
            yield start, stop
            if progress is not None:
                progress(stop * row_bytes, count * row_bytes)

    def _found(self, duplicates: int) -> Findings:
        rows = self._vectors.shape[0]
        return Findings(
            rows=rows,
            bad_rows=len(self._faults),
            duplicates=duplicates,
            doubts=list(self._faults[:EXAMPLES]),
            notes=list(self._notes),
        )


def _emptied(tokens: PackedTokens, rows: Int64Array) -> PackedTokens:
    """Return the tokens, with empty ones for some rows."""
    lengths = np.diff(tokens.offsets)
    kept = np.ones(len(tokens), np.bool_)
    kept[rows] = False
    data = tokens.data[np.repeat(kept, lengths)]
    return PackedTokens(data, np.concatenate([[0], np.cumsum(lengths * kept)]))


def join_tables(
    name: str, tables: Sequence[TableReader], notes: Sequence[Note]
) -> TableReader:
    """Return a reader of the rows of several files of one format, file after file.

    ``notes`` are added to the findings. Of the arrays of the files only the rows
    without a token are kept.
    """
    labels = [one._metadata.get(SHARD) for one in tables]
    wanted = [label.get("rows") for label in labels if isinstance(label, dict)]
    if wanted and wanted != [sum(len(one._tokens) for one in tables)] * len(tables):
        raise FormatError(
            f"{name}: these are shards of a matrix, but not all of them, and there is "
            "no index: it was never finished, or not all files were copied; get the "
            "folder again, or write it again"
        )
    told = gathered_notes((one.name, one._notes) for one in tables)
    if any(one._metadata or one._arrays.keys() - {HOLES} for one in tables):
        what = "tokens and vectors were taken; what else they say of rows was left out"
        told.append(Note("file.left-out", f"{name}: {what}"))
    holes = [
        {HOLES: one._arrays[HOLES]} if HOLES in one._arrays else {} for one in tables
    ]
    parts = [
        Annotations(one._tokens, its, {})
        for one, its in zip(tables, holes, strict=True)
    ]
    tokens, arrays = join_annotations(parts, name)
    starts = np.cumsum([0, *(len(one._tokens) for one in tables)]).tolist()
    faults = [
        fault._replace(row=start + fault.row, what=f"{one.name}: {fault.what}")
        for one, start in zip(tables, starts, strict=False)
        for fault in one._faults
    ]
    rows = JoinedRows([one._vectors for one in tables])

    def release() -> None:
        for one in tables:
            one.close()

    joined = TableReader(
        tables[0].format,
        name,
        tokens,
        rows,
        arrays=arrays,
        faults=faults,
        release=release,
    )
    joined.facts = {**tables[0].facts, "parts": len(tables)}
    joined._notes = [*told, *notes]
    return joined


def _dtype_name(vectors: Rows) -> str:
    return vectors.encoding if isinstance(vectors, Stored) else vectors.dtype.name


def _storage_note(vectors: Rows) -> list[Note]:
    more = ""
    if isinstance(vectors, Stored):
        more = ", with a scale a row" if bits.has_scales(vectors.encoding) else ""
    elif vectors.dtype.kind != "f":
        more = ", without a scale: whole numbers as they are"
    elif vectors.dtype.itemsize > 4:
        more = "; rounded to float32"
    elif vectors.dtype.itemsize == 4:
        return []
    return [Note("vectors.stored-as", f"stored as {_dtype_name(vectors)}{more}")]
