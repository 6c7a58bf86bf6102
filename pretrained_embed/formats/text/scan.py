"""Scanning one split of a text file.

A line belongs to the split in which it begins. So splits can be scanned apart, by
several threads, and together they see every line once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Progress
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.blocks import Hits
from pretrained_embed.formats.faults import Fault, Faults, blank_lines
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.reader import ByteStream, OnBadRow, Split, SplitReport
from pretrained_embed.formats.text.layout import TextLayout
from pretrained_embed.formats.window import ALIGNMENT, READ_SIZE, Window, new_buffer
from pretrained_embed.kernel import TokenIndex, choice

_FAULTS_AT_ONCE = 64
_EXCERPT = 80
_LF = b"\n"
_BLANKS = b" \t\r"


class Scratch:
    """Memory for the scans of one thread, one after the other."""

    def __init__(self, dim: int) -> None:
        room = max(16, READ_SIZE // (4 * dim))
        self.buffer = new_buffer()
        self.hits = np.empty((room, kernel.HIT_COLUMNS), np.int64)
        self.vectors = np.empty((room, dim), np.float32)
        self.faults = np.empty((_FAULTS_AT_ONCE, kernel.FAULT_COLUMNS), np.int64)


class TextPass:
    """One pass over the rows of a split.

    `run` yields the hits; when it has ended the attributes tell the rest. Where bad
    rows are errors it ends at the first one, ``stopped_by``.
    """

    def __init__(
        self,
        stream: ByteStream,
        layout: TextLayout,
        split: Split,
        index: TokenIndex | None,
        on_bad_row: OnBadRow,
        scratch: Scratch,
    ) -> None:
        self.rows = 0
        self.faults = Faults()
        self.stopped_by: Fault | None = None
        self.blank_end = range(0)  # the blank lines behind the last row
        self.unterminated = False  # the file ends without an LF
        self.read = split.begin  # place in the file up to which was read
        self._stream = stream
        self._layout = layout
        self._split = split
        self._index = index
        self._skip_bad = on_bad_row == "skip"
        self._scratch = scratch

    def run(self, progress: Progress | None = None) -> Iterator[Hits]:
        """Yield the hits of the split in order."""
        split = self._split
        ranges = self._stream.ranges
        begin = 0 if split.first else split.begin - ALIGNMENT
        with (
            self._stream.open(begin, split.end or None) as file,
            Window(
                file,
                name=self._stream.name,
                begin=begin,
                end=None if split.last else split.end,
                buffer=self._scratch.buffer if ranges else None,
            ) as window,
        ):
            if self._find_first(window):
                yield from self._rows(window, progress)
            self.read = window.read
            size = self._stream.size
            if window.final and ranges and size is not None and self.read < size:
                raise FormatError(
                    f"{self._stream.name}: {size:,} bytes when opened, ends before "
                    f"byte {self.read + 1:,} now; it was changed while it was read"
                )

    def report(self) -> SplitReport:
        """Return what was found, after the last of the hits."""
        findings = self.faults.findings(self.rows, self._layout.dim)
        if self.unterminated:
            what = "the last line has no line end; it may be cut short"
            findings.notes.append(Note("text.no-final-line-end", what))
        return SplitReport(
            findings,
            self.stopped_by,
            read=self.read,
            blank_end=len(self.blank_end),
            skips=self._skip_bad,
            odd_tokens=self.faults.odd_tokens,
            first_odd=self.faults.first_odd,
        )

    def _rows(self, window: Window, progress: Progress | None) -> Iterator[Hits]:
        more = True
        while more:
            self.unterminated = window.final and window.start < window.stop
            choice.about_to_read(window.stop - window.start)
            ended = self._clip(window)
            yield from self._scan(window)
            if ended or self.stopped_by:
                return
            if progress is not None:
                progress(window.read, self._stream.size)
            more = window.fill()

    def _find_first(self, window: Window) -> bool:
        """Move to the first row of the split; False if it has none of its own."""
        if self._split.first:
            return window.discard(self._layout.skip)
        # an LF in the byte before the split means that a row begins with the split
        if not window.discard(ALIGNMENT - 1):
            return False
        while (lf := window.data.find(_LF, window.start, window.stop)) < 0:
            if window.offset + window.stop >= self._split.end:
                return False
            window.start = window.stop
            if not window.fill():
                return False
        window.start = lf + 1
        return window.offset + window.start < self._split.end

    def _clip(self, window: Window) -> bool:
        """Cut off what belongs to the next split; True if this was the last of ours."""
        if self._split.last or window.offset + window.stop < self._split.end:
            return False
        from_ = max(window.start, self._split.end - 1 - window.offset)
        lf = window.data.find(_LF, from_, window.stop)
        if lf < 0:
            return False
        window.stop = lf + 1
        return True

    def _scan(self, window: Window) -> Iterator[Hits]:
        layout, scratch = self._layout, self._scratch
        room = len(scratch.hits)
        while True:
            before = self.rows
            window.start, rows, count, faults = kernel.scan_text(
                self._index,
                window.data,
                window.start,
                window.stop,
                window.final,
                layout.dim,
                layout.separator[0],
                layout.delimiter[0],
                scratch.hits,
                scratch.vectors,
                scratch.faults,
            )
            self.rows += rows
            if faults:
                self._note(window, before, faults)
            if self.blank_end and self.blank_end.stop < self.rows:
                self._end_blank_lines()
            if count and not self.stopped_by:
                yield Hits(before, count, scratch.hits, scratch.vectors, window.data)
            if self.stopped_by or (count < room and faults < _FAULTS_AT_ONCE):
                return

    def _note(self, window: Window, before: int, count: int) -> None:
        data = window.data
        for row, kind, found, start in self._scratch.faults[:count].tolist():
            end = data.find(_LF, start, window.stop)
            cut = end < 0
            excerpt = bytes(data[start : window.stop if cut else end][:_EXCERPT])
            if len(excerpt) < _EXCERPT and not excerpt.strip(
                _BLANKS
            ):  # a tab where spaces separate, or the like
                kind = kernel.EMPTY
            fault = Fault(
                before + row, kind, found, excerpt, cut, self._layout.separator
            )
            if kind == kernel.EMPTY and self.blank_end.stop == fault.row:
                self.blank_end = range(self.blank_end.start, fault.row + 1)
                continue
            self._end_blank_lines()
            if kind == kernel.EMPTY:  # no row, unless one follows
                self.blank_end = range(fault.row, fault.row + 1)
            else:
                self._add(fault)
            if self.stopped_by is not None:
                return

    def _end_blank_lines(self) -> None:
        """Count the blank lines as malformed rows: a row has followed."""
        for fault in blank_lines(self.blank_end):
            self._add(fault)
        self.blank_end = range(0)

    def _add(self, fault: Fault) -> None:
        if self.stopped_by is not None:
            return
        self.faults.add(fault)
        if fault.kind not in (kernel.WIDE, kernel.ODD_TOKEN) and not self._skip_bad:
            self.stopped_by = fault
