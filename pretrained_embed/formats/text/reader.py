"""Text files of vectors: GloVe, word2vec text, fastText ``.vec`` and their like.

The grammar is in `layout`, the meaning of a line and of a number in
`pretrained_embed.kernel._reference`. A plain file is cut into splits that threads
take in turn; anything else is read by one thread while another parses. The result is
the same whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from pretrained_embed.arrays import Float32Array, Progress
from pretrained_embed.errors import FormatError, UnknownFormatError
from pretrained_embed.formats.blocks import PackedBlock, gathered
from pretrained_embed.formats.claims import Claims, position_of
from pretrained_embed.formats.faults import blank_lines, row_error
from pretrained_embed.formats.findings import EXAMPLES, Findings, Note
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.parallel import per_thread, run_in_order, thread_count
from pretrained_embed.formats.reader import (
    HEAD_SIZE,
    WHOLE,
    ByteStream,
    OnBadRow,
    Reader,
    Selection,
    Split,
    SplitReport,
)
from pretrained_embed.formats.text.layout import TextLayout, find_layout
from pretrained_embed.formats.text.scan import Scratch, TextPass
from pretrained_embed.formats.window import ALIGNMENT
from pretrained_embed.kernel import TokenIndex

if TYPE_CHECKING:
    from pathlib import Path

NAME = "text"

#: Bytes of a split: small enough to load threads evenly, and no tiny ones.
_SMALLEST_SPLIT, _LARGEST_SPLIT = 1 << 20, 1 << 25
#: Bytes of text, or of vectors, behind one block: some thousand rows.
_BLOCK_SPLIT = _BLOCK_SIZE = 1 << 22
#: Threads that scan a file which is not on this machine, by default at least.
_AFAR = 8


def recognise(
    head: bytes, stream: ByteStream, layout: KnownLayout | None = None
) -> TextLayout | None:
    """Return the layout if the first lines are rows of a text file of vectors.

    Raises `FormatError` if they are, and cannot be read as they are.
    """
    return find_layout(
        head,
        whole=len(head) < HEAD_SIZE,
        name=stream.name,
        known=layout,
        tokens_apart=tokens_beside(stream) is not None,
    )


def open_text(stream: ByteStream, layout: KnownLayout | None = None) -> Reader | None:
    """Return a reader as `open_reader` does, or ``None`` where `recognise` says no."""
    found = recognise(stream.head(HEAD_SIZE), stream, layout)
    return None if found is None else open_reader(stream, layout, found=found)


def open_reader(
    stream: ByteStream,
    layout: KnownLayout | None = None,
    *,
    found: TextLayout | None = None,
) -> Reader:
    """Return a reader for a text file of vectors.

    Beside ``vectors.tsv`` its ``metadata.tsv`` gives the tokens, where it has none.

    ``layout`` is what is known of its layout, ``found`` what `recognise` returned.
    Raises `UnknownFormatError` if the first lines do not end in numbers, and
    `FormatError` if they contradict the header or what is known.
    """
    found = found or recognise(stream.head(HEAD_SIZE), stream, layout)
    if found is None:
        raise UnknownFormatError(
            f"{stream.name}: the first lines do not end in numbers, so this is no text "
            "file of vectors"
        )
    reader = TextReader(stream, found)
    if found.base64:
        from pretrained_embed.formats.text.base64_tokens import Base64Reader

        return Base64Reader(reader)
    if not found.apart:
        return reader
    beside = tokens_beside(stream)
    if beside is None:  # it was there when the layout was found
        raise FormatError(
            f"{stream.name}: the metadata.tsv with its tokens is gone; put it back"
        )
    from pretrained_embed.formats import projector  # most files need none of it

    return projector.joined(reader, beside, stream.read_options)


def tokens_beside(stream: ByteStream) -> Path | None:
    """Return the file of tokens that the Embedding Projector has beside the vectors."""
    path = stream.path
    if path is None or not path.name.endswith("vectors.tsv"):
        return None
    beside = path.with_name(path.name.removesuffix("vectors.tsv") + "metadata.tsv")
    return beside if beside.is_file() else None


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

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows in file order; several threads work ahead. See `Reader`."""
        # Who stops early, after the first rows, should not have asked for many more.
        splits = [WHOLE] if self._is_afar() else self.splits(_BLOCK_SPLIT)
        reports: list[SplitReport] = []
        if len(splits) == 1:
            scan = self.scan(splits[0], None, on_bad_row)
            hits = scan.run(progress)
            yield from gathered((hit.block() for hit in hits), _BLOCK_SIZE)
            reports.append(scan.report())
        else:
            scratch = per_thread(lambda: Scratch(self.dim))

            def work(number: int) -> tuple[list[PackedBlock], SplitReport]:
                scan = self.scan(splits[number], None, on_bad_row, scratch())
                return list(
                    gathered(hits.block() for hits in scan.run())
                ), scan.report()

            for blocks, report in run_in_order(
                work, len(splits), self._thread_count(threads)
            ):
                yield from blocks
                reports.append(report)
                if report.stopped_by is not None:
                    break
                if progress is not None:
                    progress(report.read, self._stream.size)
        self._findings = self.total(reports)

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
        threads = self._thread_count(threads)
        splits = self.splits(
            min(_LARGEST_SPLIT, (self._stream.size or 0) // (8 * threads))
        )
        claims = Claims(index, len(out))
        live = progress if len(splits) == 1 else None
        scratch = per_thread(lambda: Scratch(self.dim))

        def work(number: int) -> SplitReport:
            scan = self.scan(splits[number], index, on_bad_row, scratch())
            for found in scan.run(live):
                base = position_of(number, found.rows_before)
                claims.place(found.hits, found.size, found.vectors, base, out)
            return scan.report()

        reports: list[SplitReport] = []
        for report in run_in_order(work, len(splits), threads):
            reports.append(report)
            if report.stopped_by is not None:
                break
            if progress is not None:
                progress(report.read, self._stream.size)
        findings = self.total(reports)
        findings.duplicates = claims.duplicates
        self._findings = findings

        rows = np.cumsum([0, *(report.findings.rows for report in reports)])
        return Selection(claims.rows(rows), claims.ranks(), findings)

    def splits(self, size: int | None = None) -> list[Split]:
        """Cut a file that has ranges; any other is one split. See `Reader`."""
        held = self._stream.size
        if size is None or held is None or not self._stream.ranges:
            return [WHOLE]
        size = max(_SMALLEST_SPLIT, size)
        size -= size % ALIGNMENT
        starts = list(range(0, held, size)) or [0]
        ends = [*starts[1:], held]
        return [
            Split(*border, first=i == 0, last=i == len(starts) - 1)
            for i, border in enumerate(zip(starts, ends, strict=True))
        ]

    def _thread_count(self, threads: int | None) -> int:
        """Return how many threads scan: where bytes come from afar, most of them wait.

        As the answer to a request takes some 50 ms on its way and the CPU some 5 ms to
        scan, eight keep a CPU or two, and most networks, busy.
        """
        return thread_count(threads, least=_AFAR if self._is_afar() else 1)

    def _is_afar(self) -> bool:
        return self._stream.ranges and self._stream.path is None

    def scan(
        self,
        split: Split,
        index: TokenIndex | None,
        on_bad_row: OnBadRow,
        scratch: Scratch | None = None,
    ) -> TextPass:
        """Return a scan of a split, in memory of one's own. See `Reader`."""
        return TextPass(
            self._stream,
            self.layout,
            split,
            index,
            on_bad_row,
            scratch or Scratch(self.dim),
        )

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a whole pass. See `Reader`."""
        findings = Findings()
        first_line = 1 + (self.layout.header is not None)
        blank = 0  # lines before this split
        odd, first_odd = 0, 0  # tokens, and the line of the first
        for report in reports:
            if report.findings.rows > report.blank_end:
                self._add_blank(blank, findings, first_line, skips=report.skips)
                blank = 0
            if report.stopped_by is not None:
                line = first_line + findings.rows + report.stopped_by.row
                raise row_error(report.stopped_by, self.name, line, self.dim)
            if report.odd_tokens and not odd:
                first_odd = first_line + findings.rows + report.first_odd
            odd += report.odd_tokens
            report.add_to(findings, first_line)
            blank += report.blank_end
        if blank:
            findings.rows -= blank
            lines = "1 blank line" if blank == 1 else f"{blank:,} blank lines"
            what = f"{lines} behind the last row: no row"
            findings.notes.append(Note("text.blank-end", what))
        if odd:
            tokens = "1 token" if odd == 1 else f"{odd:,} tokens"
            what = (
                f"a byte order mark stands before {tokens}, the first in line "
                f"{first_odd:,}, as where files were joined: it is taken for a part of "
                "the token"
            )
            findings.notes.append(Note("text.odd-token", what))
        findings.notes.extend(self.layout.notes)
        if self.count is not None and self.count != findings.rows:
            self._check_count(self.count, findings)
            what = (
                f"the header declares {self.count:,} rows, there are {findings.rows:,}"
            )
            findings.notes.append(Note("header.count-differs", what))
        return findings

    def _add_blank(
        self, count: int, findings: Findings, first_line: int, *, skips: bool
    ) -> None:
        """Count blank lines as malformed rows, now that a row has followed."""
        for fault in blank_lines(range(findings.rows - count, findings.rows)):
            if not skips:
                raise row_error(fault, self.name, first_line + fault.row, self.dim)
            findings.bad_rows += 1
            if len(findings.doubts) < EXAMPLES:
                findings.doubts.append(fault.doubt(self.dim, first_line))

    def _check_count(self, count: int, findings: Findings) -> None:
        """Raise `FormatError` where a false header gave a dim that no row has."""
        good = findings.rows - findings.bad_rows
        if self.layout.told or not good or findings.suspicious_rows < good:
            return
        raise FormatError(
            f"{self.name}, line 1: the header declares {count:,} rows of {self.dim:,} "
            f"values, but there are {findings.rows:,}, and all have more numbers: it "
            f"is not their header. If all tokens end in a number, pass layout="
            f"'dim={self.dim},header=yes' (--layout); else give the dim that they have",
            code="header.count-differs",
        )
