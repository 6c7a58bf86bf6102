"""Text files of vectors: GloVe, word2vec text, fastText ``.vec`` and their like.

The grammar is in `text_layout`, the meaning of a line and of a number in
`pretrained_embed.kernel._reference`. A plain file is cut into byte ranges that threads
take in turn; anything else is read by one thread while another parses. The result is
the same whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pretrained_embed.errors import UnknownFormatError
from pretrained_embed.formats.blocks import gathered, unpacked
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.faults import row_error
from pretrained_embed.formats.parallel import per_thread, run_in_order, thread_count
from pretrained_embed.formats.reader import (
    HEAD_SIZE,
    Block,
    ByteStream,
    Findings,
    Float32Array,
    OnBadRow,
    PackedBlock,
    Progress,
    Reader,
    Selection,
)
from pretrained_embed.formats.text_layout import TextLayout, find_layout
from pretrained_embed.formats.text_scan import Part, PartScan, Scratch
from pretrained_embed.formats.window import ALIGNMENT
from pretrained_embed.kernel import TokenIndex

NAME = "text"

#: Bytes of a part: small enough to load threads evenly, and no tiny ones.
_SMALLEST_PART, _LARGEST_PART = 1 << 20, 1 << 25
#: Bytes of text, or of vectors, behind one block: some thousand rows.
_BLOCK_PART = _BLOCK_SIZE = 1 << 22
#: A position is ``part << _PART_SHIFT | row within the part``.
_PART_SHIFT = 36


def recognise(head: bytes, stream: ByteStream) -> bool:
    """Whether the first lines are rows of a text file of vectors."""
    return _layout(head, stream.name) is not None


def open_reader(stream: ByteStream) -> TextReader:
    """Return a reader for a text file of vectors.

    Raises `UnknownFormatError` if the first lines do not end in numbers, and
    `FormatError` if they contradict the header.
    """
    layout = _layout(stream.head(HEAD_SIZE), stream.name)
    if layout is None:
        raise UnknownFormatError(
            f"{stream.name}: the first lines do not end in numbers, so this is no text "
            "file of vectors"
        )
    return TextReader(stream, layout)


def _layout(head: bytes, name: str) -> TextLayout | None:
    return find_layout(head, whole=len(head) < HEAD_SIZE, name=name)


class TextReader(Reader):
    """Reads the rows of one text file. See `Reader`."""

    format = NAME
    dtype = "text"

    def __init__(self, stream: ByteStream, layout: TextLayout) -> None:
        self.name = stream.name
        self.dim = layout.dim
        self.count = layout.rows
        self.layout = layout
        self._stream = stream
        self._findings = Findings()

    @property
    def findings(self) -> Findings:
        """What the last complete pass over the file found."""
        return self._findings

    def blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[Block]:
        """Yield all rows in file order; several threads work ahead. See `Reader`."""
        packed = self.packed_blocks(
            threads=threads, on_bad_row=on_bad_row, progress=progress
        )
        yield from unpacked(packed)

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield the same with packed tokens. See `Reader`."""
        parts = self._parts(_BLOCK_PART)
        findings = Findings()
        if len(parts) == 1:
            scan = PartScan(
                self._stream, self.layout, parts[0], None, on_bad_row, Scratch(self.dim)
            )
            hits = scan.run(progress)
            yield from gathered((hit.block() for hit in hits), _BLOCK_SIZE)
            self._account(scan, findings)
        else:
            scratch = per_thread(lambda: Scratch(self.dim))

            def work(number: int) -> tuple[list[PackedBlock], PartScan]:
                part = parts[number]
                scan = PartScan(
                    self._stream, self.layout, part, None, on_bad_row, scratch()
                )
                return list(gathered(hits.block() for hits in scan.run())), scan

            for blocks, scan in run_in_order(work, len(parts), thread_count(threads)):
                yield from blocks
                self._account(scan, findings)
                if progress is not None:
                    progress(scan.read, self._stream.size)
        self._finish(findings)

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
        parts = self._parts((self._stream.size or 0) // (8 * threads))
        claims = Claims(index, len(out))
        live = progress if len(parts) == 1 else None
        scratch = per_thread(lambda: Scratch(self.dim))

        def work(number: int) -> PartScan:
            part = parts[number]
            scan = PartScan(
                self._stream, self.layout, part, index, on_bad_row, scratch()
            )
            for found in scan.run(live):
                base = number << _PART_SHIFT | found.rows_before
                claims.place(found.hits, found.size, found.vectors, base, out)
            return scan

        findings = Findings()
        rows_before = []
        for scan in run_in_order(work, len(parts), threads):
            rows_before.append(findings.rows)
            self._account(scan, findings)
            if progress is not None:
                progress(scan.read, self._stream.size)
        findings.duplicates = claims.duplicates
        self._finish(findings)

        positions = claims.positions()
        starts = np.array(rows_before, np.int64)[positions >> _PART_SHIFT]
        in_file = starts + (positions & ((1 << _PART_SHIFT) - 1))
        return Selection(np.where(positions < 0, -1, in_file), claims.ranks(), findings)

    def _parts(self, length: int) -> list[Part]:
        size = self._stream.size
        if self._stream.path is None or size is None:
            return [Part(0, 0, first=True, last=True)]
        length = max(_SMALLEST_PART, min(_LARGEST_PART, length))
        length -= length % ALIGNMENT
        starts = list(range(0, size, length)) or [0]
        ends = [*starts[1:], size]
        return [
            Part(*border, first=i == 0, last=i == len(starts) - 1)
            for i, border in enumerate(zip(starts, ends, strict=True))
        ]

    def _account(self, scan: PartScan, findings: Findings) -> None:
        """Add what the next part in order has found; raise for a bad row."""
        line = findings.rows + 1 + (self.layout.header is not None)
        if scan.stopped_by is not None:
            fault = scan.stopped_by
            raise row_error(fault, self.name, line + fault.row, self.dim)
        scan.faults.report(findings, findings.rows, line, self.dim)
        findings.rows += scan.rows
        if scan.unterminated:
            findings.notes.append("the last line has no line end; it may be cut short")

    def _finish(self, findings: Findings) -> None:
        findings.notes.extend(self.layout.notes)
        if self.count is not None and self.count != findings.rows:
            findings.notes.append(
                f"the header declares {self.count:,} rows, there are {findings.rows:,}"
            )
        self._findings = findings
