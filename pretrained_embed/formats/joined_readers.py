"""Readers of several files, joined into one of all their rows.

All files have the same format and dim. Rows are in the order of the files, and the
first of duplicates in all files is used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from pretrained_embed.arrays import (
    Float32Array,
    Int64Array,
    Progress,
)
from pretrained_embed.errors import FormatError, UnknownFormatError
from pretrained_embed.formats.blocks import Hits, PackedBlock
from pretrained_embed.formats.claims import MOST_SPLITS, Claims, position_of
from pretrained_embed.formats.findings import EXAMPLES, Findings, Note, gathered_notes
from pretrained_embed.formats.parallel import run_in_order, thread_count
from pretrained_embed.formats.reader import (
    WHOLE,
    ByteStream,
    OnBadRow,
    Reader,
    Selection,
    Split,
    SplitReport,
    SplitScan,
    first_rows,
)
from pretrained_embed.formats.table_reader import TableReader, join_tables
from pretrained_embed.kernel import TokenIndex

#: Formats that hold only vectors, and the endings of files with their tokens.
_ALONE = (".npy", ".safetensors")
_BESIDE = (".rows.safetensors", ".tokens", ".vocab", ".parquet", ".json", ".txt")

#: The longest header of a part without rows, in bytes.
_FIRST_LINE = 1 << 12
_LF, _BLANKS = b"\n", b" \t\r\n"
#: The header of word2vec's text and binary for a file without rows.
_NO_ROWS = re.compile(rb"0[ \t]+[0-9]+")

_LARGEST_SPLIT = 1 << 25


def open_parts(stream: ByteStream, open_part: Callable[[ByteStream], Reader]) -> Reader:
    """Open the parts of a source, each by ``open_part``, as one reader.

    Parts without rows are left out, with a note: empty files, files with only a header,
    and tables without rows. Raises `FormatError`, which names two parts, if parts
    differ in format or dim; `FormatError` if all are empty; and the errors of opening a
    part.
    """
    readers: list[Reader] = []
    sizes: list[int] = []
    empty: list[str] = []
    parts = _without_lists(stream.parts)
    heads = [part.head(_FIRST_LINE) for part in parts]
    firsts = Counter(head.partition(_LF)[0] for head in heads)
    try:
        for part, head in zip(parts, heads, strict=True):
            shared = firsts[head.partition(_LF)[0]] > 1
            reader = _opened(part, head, stream, open_part, shared=shared)
            if reader is None:
                empty.append(part.name)
                continue
            readers.append(reader)
            sizes.append(part.packed_size or 0)
            _check_alike(readers[0], readers[-1], stream)
        if not readers:
            raise FormatError(
                f"{stream.name}: no rows in {_counted(len(empty), 'file')}, the first "
                f"is {empty[0]}; name the files that have some"
            )
    except BaseException:
        for reader in readers:
            reader.close()
        raise
    notes: list[Note] = []
    if empty:
        more = f" and {len(empty) - 1:,} more" if len(empty) > 1 else ""
        notes = [Note("file.empty", f"{empty[0]}{more}: empty, and left out")]
    return _joined(stream.name, readers, sizes, notes)


def _joined(
    name: str, readers: Sequence[Reader], sizes: Sequence[int], notes: Sequence[Note]
) -> Reader:
    """Return one reader of all rows, of the type that suits its files."""
    tables = [reader for reader in readers if isinstance(reader, TableReader)]
    if len(tables) == len(readers):
        if all(type(table) is TableReader for table in tables):
            return join_tables(name, tables, notes)
        return LookedUpReader(name, tables, sizes, notes)
    scanned = all(reader.splits() is not None for reader in readers)
    kind = ScannedReader if scanned else JoinedReader
    return kind(name, readers, sizes, notes)


def _without_lists(parts: Sequence[ByteStream]) -> list[ByteStream]:
    """Return parts without the files that have the tokens of other parts."""
    paths = [part.path for part in parts if part.path is not None]
    lists = {
        path.with_name(path.stem + end)
        for path in paths
        if path.suffix in _ALONE and not path.name.endswith(_BESIDE[0])
        for end in _BESIDE
    }
    lists |= {path.with_name(_metadata(path)) for path in paths if _metadata(path)}
    return [part for part in parts if part.path not in lists]


def _metadata(path: Path) -> str:
    """Return the name of the tokens of the Embedding Projector's vectors, or none."""
    stem = path.name.removesuffix("vectors.tsv")
    return "" if stem == path.name else f"{stem}metadata.tsv"


def _opened(
    part: ByteStream,
    head: bytes,
    stream: ByteStream,
    open_part: Callable[[ByteStream], Reader],
    *,
    shared: bool,
) -> Reader | None:
    """Open a part that begins with ``head``; ``None`` for one without rows.

    ``shared`` says whether other parts have the same first line.
    """
    one_line = len(head) < _FIRST_LINE and _LF not in head.strip(_BLANKS)
    line = head.strip(_BLANKS)
    if one_line and (not line or _NO_ROWS.fullmatch(line)):
        return None
    try:
        return open_part(part)
    except UnknownFormatError as error:
        if one_line and shared:  # a header, such as that of a CSV file
            return None
        raise UnknownFormatError(
            f"{error}. It is one of {_counted(len(stream.parts), 'file')} of "
            f"{stream.name}; {_PATTERN}"
        ) from error
    except FormatError as error:
        if error.code == "table.no-rows":
            return None
        raise


_PATTERN = (
    "if it is no part of the vectors, name those that are by a pattern such as "
    "'folder/part-*.txt'"
)


def _check_alike(first: Reader, other: Reader, stream: ByteStream) -> None:
    """Raise `FormatError` unless two parts fit together."""
    if first.format != other.format:
        what = f"{other.name} is {other.format}, {first.name} is {first.format}"
    elif first.dim != other.dim:
        what = (
            f"{other.name} has vectors of {other.dim:,} dimensions, {first.name} of "
            f"{first.dim:,}"
        )
    else:
        return
    raise FormatError(
        f"{stream.name}: {what}: they are no parts of one source; name those that are "
        "by a pattern such as 'folder/part-*.txt', or one file alone"
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


class JoinedReader(Reader):
    """Rows of several files of any format. See `Reader`."""

    def __init__(
        self,
        name: str,
        readers: Sequence[Reader],
        sizes: Sequence[int],
        notes: Sequence[Note],
    ) -> None:
        first = readers[0]
        self.name, self.format, self.dim = name, first.format, first.dim
        self.dtype = first.dtype
        if self.dtype != "text":
            dtypes = [np.dtype(reader.dtype) for reader in readers]
            self.dtype = np.result_type(*dtypes).name
        counts = [reader.count for reader in readers]
        self.count = None if None in counts else sum(c or 0 for c in counts)
        self.facts = {**first.facts, "parts": len(readers)}
        self._readers = readers
        self._sizes = sizes
        self._starts = np.cumsum([0, *sizes]).tolist()
        self._notes = notes
        self._findings = Findings()

    @property
    def findings(self) -> Findings:
        """The findings of the last complete pass over all files."""
        return self._findings

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows, those of a file before those of the next. See `Reader`."""
        found = []
        for part, reader in enumerate(self._readers):
            yield from reader.packed_blocks(
                threads=threads,
                on_bad_row=on_bad_row,
                progress=self._told(part, progress),
            )
            found.append(reader.findings)
        self._findings = self._joined(found)

    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row. See `Reader`.

        All rows are read, since the index of a file does not show which of its tokens
        are also in another file.
        """
        claims = Claims(index, len(out))
        read = 0
        for tokens, vectors in self.packed_blocks(
            threads=threads, on_bad_row=on_bad_row, progress=progress
        ):
            claims.find(tokens.data, tokens.offsets, read)
            place = claims.positions()[: len(out)] - read
            won = np.flatnonzero(place >= 0)
            out[won] = vectors[place[won]]
            read += len(tokens)
        self._findings = replace(self._findings, duplicates=claims.duplicates)
        return Selection(claims.positions(), claims.ranks(), self._findings)

    def close(self) -> None:
        """Close the readers."""
        for reader in self._readers:
            reader.close()

    def _told(self, part: int, progress: Progress | None) -> Progress | None:
        """Return the progress function for a part."""
        if progress is None:
            return None
        listener, start, size = progress, self._starts[part], self._sizes[part]

        def told(done: int, total: int | None) -> None:
            share = done if total is None else size * done // max(total, 1)
            listener(start + min(share, size), self._starts[-1])

        return told

    def _joined(self, found: Sequence[Findings]) -> Findings:
        """Return the findings of all parts as those of one source.

        Rows are counted from the first of the first file, lines in each.
        """
        total = Findings()
        rows = sum(one.rows for one in found)
        noted: list[tuple[str, Sequence[Note]]] = []
        for reader, one in zip(self._readers, found, strict=True):
            for doubt in one.doubts[: EXAMPLES - len(total.doubts)]:
                what = f"{reader.name}: {doubt.what}"
                row = total.rows + doubt.row
                total.doubts.append(doubt._replace(row=row, what=what))
            total.rows += one.rows
            total.bad_rows += one.bad_rows
            total.suspicious_rows += one.suspicious_rows
            total.duplicates += one.duplicates
            notes = one.notes
            # one file was divided, and this part has its header
            if reader.count == rows:
                notes = [note for note in notes if note.code != _OTHER_COUNT]
            noted.append((reader.name, notes))
        total.notes = [*gathered_notes(noted), *self._notes]
        return total


_OTHER_COUNT = "header.count-differs"


class LookedUpReader(JoinedReader):
    """Tables with known tokens, of which any rows can be read. See `Reader`."""

    def __init__(
        self,
        name: str,
        tables: Sequence[TableReader],
        sizes: Sequence[int],
        notes: Sequence[Note],
    ) -> None:
        super().__init__(name, tables, sizes, notes)
        self._tables = tables

    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row. See `Reader`.

        The tokens of all files are looked up first, so that only the winning rows of
        each file are read.
        """
        claims = Claims(index, len(out))
        positions, start, before = list[Int64Array](), 0, 0
        for table in self._tables:
            table.check_rows(on_bad_row)
            rows = table.find(claims, before)
            rows = np.arange(len(table.tokens)) if rows is None else rows
            positions.append(start + rows)
            before += len(rows)
            start += len(table.tokens)
        source_rows = np.concatenate([*positions, [-1]])[claims.positions()]
        wanted, start = source_rows[: len(out)], 0
        for part, table in enumerate(self._tables):
            stop = start + len(table.tokens)
            here = (wanted >= start) & (wanted < stop)
            if here.any():
                table.take(
                    np.where(here, wanted - start, -1),
                    out,
                    threads=threads,
                    progress=self._told(part, progress),
                )
            if progress is not None:
                progress(self._starts[part + 1], self._starts[-1])
            start = stop
        found = self._joined([table.found(0) for table in self._tables])
        self._findings = replace(found, duplicates=claims.duplicates)
        return Selection(source_rows, claims.ranks(), self._findings)


class ScannedReader(JoinedReader):
    """Files that are read from front to back, several at a time. See `Reader`."""

    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row. See `Reader`."""
        threads = thread_count(threads)
        size = min(_LARGEST_SPLIT, self._starts[-1] // (8 * threads))
        splits = self.splits(max(size, self._starts[-1] // (MOST_SPLITS // 2)))
        claims = Claims(index, len(out))

        def work(number: int) -> SplitReport:
            scan = self.scan(splits[number], index, on_bad_row)
            for found in scan.run():
                base = position_of(number, found.rows_before)
                claims.place(found.hits, found.size, found.vectors, base, out)
            return scan.report()

        reports: list[SplitReport] = []
        for report in run_in_order(work, len(splits), threads):
            reports.append(report)
            if report.stopped_by is not None:
                break
            if progress is not None:
                done = splits[len(reports) - 1]
                progress(self._starts[done.part] + done.end, self._starts[-1])
        findings = self.total(reports)
        self._findings = replace(findings, duplicates=claims.duplicates)
        rows = claims.rows(np.array(first_rows(reports)))
        return Selection(rows, claims.ranks(), self._findings)

    def splits(self, size: int | None = None) -> list[Split]:
        """Return the splits of all files; an indivisible file is one split."""
        return [
            split._replace(end=split.end or self._sizes[part], part=part)
            for part, reader in enumerate(self._readers)
            for split in reader.splits(size) or [WHOLE]
        ]

    def scan(
        self, split: Split, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> SplitScan:
        """Return a scan of a split of one file. See `Reader`."""
        reader = self._readers[split.part]
        inner = WHOLE if split.first and split.last else split._replace(part=0)
        return _PartScan(reader.scan(inner, index, on_bad_row), split.part)

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a whole pass. See `Reader`."""
        found = [Findings() for _ in self._readers]
        for part, its in groupby(reports, lambda report: report.part):
            found[part] = self._readers[part].total(its)
        return self._joined(found)


class _PartScan:
    """A scan of a split of one file, which its report names."""

    def __init__(self, scan: SplitScan, part: int) -> None:
        self._scan = scan
        self._part = part

    def run(self, progress: Progress | None = None) -> Iterator[Hits]:
        """Yield the hits of the split in order."""
        return self._scan.run(progress)

    def report(self) -> SplitReport:
        """Return the results, after the last of the hits."""
        return replace(self._scan.report(), part=self._part)
