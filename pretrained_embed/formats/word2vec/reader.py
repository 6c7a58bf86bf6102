"""The binary files of word2vec.c and gensim.

::

    file   = header LF row row ...
    header = count SP dim
    row    = token SP dim x number [LF]
    number = binary32 (little-endian), seldom binary64 or binary16

word2vec.c writes the LF after each vector, gensim and GoogleNews have none. Some tools
write the numbers as they have them in memory, doubles or halves. `layout`
finds out. A token holds no space. Defined by word2vec.c,
https://code.google.com/archive/p/word2vec/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Progress
from pretrained_embed.errors import FormatError, TruncatedError, UnknownFormatError
from pretrained_embed.formats.blocks import Hits, gathered, unpacked
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.reader import (
    HEAD_SIZE,
    Block,
    ByteStream,
    Doubt,
    Findings,
    OnBadRow,
    PackedBlock,
    Selection,
)
from pretrained_embed.formats.scanned import ScannedReader, Split, SplitReport
from pretrained_embed.formats.window import READ_SIZE, Window
from pretrained_embed.formats.word2vec.layout import (
    DTYPES,
    Layout,
    find_layout,
    is_binary,
)
from pretrained_embed.kernel import TokenIndex, choice

NAME = "word2vec-binary"

_BLOCK_SIZE = 1 << 22
_LF = b"\n"
_WHOLE = Split(0, 0, first=True, last=True)
_STORAGE_NOTES = {
    "<f8": "stored as float64; rounded to float32",
    "<f2": "stored as float16",
}


def recognise(head: bytes, stream: ByteStream) -> bool:
    """Whether a header is followed by bytes that are not text.

    Text files of vectors share the header. They are asked first, but not every text
    below such a line holds vectors that can be read.
    """
    return is_binary(head)


def open_reader(stream: ByteStream) -> Word2VecBinaryReader:
    """Return a reader for a word2vec binary file.

    Raises `UnknownFormatError` if the first line is no header, `TruncatedError` if the
    file ends before one row of the declared dim, and `FormatError` if a row of that
    dim would be absurdly long. Nothing is allocated before.
    """
    head = stream.head(HEAD_SIZE)
    layout = find_layout(head)
    if layout is None:
        raise UnknownFormatError(
            f"{stream.name}: the first line is not 'count dim', so this is no word2vec "
            "binary file"
        )
    behind = len(head) - layout.skip
    if behind < 1 + 4 * layout.slots:
        what = f"{stream.name}: the header declares rows of {layout.dim:,} values"
        if len(head) < HEAD_SIZE:
            raise TruncatedError(
                f"{what}, {behind:,} bytes follow it. Probably a cut download: fetch "
                "it again."
            )
        raise FormatError(f"{what}. No embedding has so many: this is another format.")
    return Word2VecBinaryReader(stream, layout)


class Word2VecBinaryReader(ScannedReader):
    """Reads the rows of one word2vec binary file. See `Reader`.

    Rows have no borders of their own, so one thread finds them while another reads;
    vectors that are not wanted are stepped over.
    """

    format = NAME

    def __init__(self, stream: ByteStream, layout: Layout) -> None:
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
        self, *, on_bad_row: OnBadRow = "error", progress: Progress | None = None
    ) -> Iterator[Block]:
        """Yield all rows in file order. See `Reader`."""
        yield from unpacked(
            self.packed_blocks(on_bad_row=on_bad_row, progress=progress)
        )

    def packed_blocks(
        self, *, on_bad_row: OnBadRow = "error", progress: Progress | None = None
    ) -> Iterator[PackedBlock]:
        """Yield the same with packed tokens. See `Reader`."""
        scan = self.scan(_WHOLE, None, on_bad_row)
        yield from gathered((hit.block() for hit in scan.run(progress)), _BLOCK_SIZE)
        self._findings = self.total([scan.report()])

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
        claims = Claims(index, len(out))
        scan = self.scan(_WHOLE, index, on_bad_row)
        for found in scan.run(progress):
            claims.place(found.hits, found.size, found.vectors, found.rows_before, out)
        findings = self.total([scan.report()])
        findings.duplicates = claims.duplicates
        self._findings = findings
        return Selection(claims.positions(), claims.ranks(), findings)

    def splits(self, size: int) -> list[Split]:
        """Return one: no byte tells where a row begins. See `ScannedReader`."""
        return [_WHOLE]

    def scan(
        self, split: Split, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> BinaryScan:
        """Return a scan of the file. See `ScannedReader`."""
        return BinaryScan(self._stream, self.layout, index, on_bad_row)

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a whole pass. See `ScannedReader`."""
        findings = Findings()
        for report in reports:
            report.add_to(findings, None)
        if self.layout.dtype != DTYPES[0]:
            findings.notes.append(_STORAGE_NOTES[self.layout.dtype])
        if findings.rows != self.count:
            what = (
                f"the header declares {self.count:,} rows, there are {findings.rows:,}"
            )
            findings.notes.append(Note("header.count-differs", what))
        return findings


class BinaryScan:
    """One pass over the rows of a file. See `SplitScan`."""

    def __init__(
        self,
        stream: ByteStream,
        layout: Layout,
        index: TokenIndex | None,
        on_bad_row: OnBadRow,
    ) -> None:
        self._stream = stream
        self._layout = layout
        self._index = index
        self._on_bad_row = on_bad_row
        self._findings = Findings()
        self._read = 0

    def run(self, progress: Progress | None = None) -> Iterator[Hits]:
        """Yield the hits in order.

        Raises `TruncatedError` where the file ends inside a row, unless bad rows are
        skipped.
        """
        layout, findings = self._layout, self._findings
        room = max(16, READ_SIZE // (4 * layout.slots))
        hits = np.empty((room, kernel.HIT_COLUMNS), np.int64)
        bits = np.empty((room, layout.slots), np.float32)
        with (
            self._stream.open() as file,
            Window(file, name=self._stream.name) as window,
        ):
            more = window.discard(layout.skip)
            while more:
                choice.about_to_read(window.stop - window.start)
                count = room
                while count == room:
                    before = findings.rows
                    window.start, rows, count = kernel.scan_binary(
                        self._index,
                        window.data,
                        window.start,
                        window.stop,
                        layout.slots,
                        layout.newline,
                        hits,
                        bits,
                    )
                    findings.rows += rows
                    if count:
                        vectors = _numbers(bits[:count], layout.dtype)
                        yield Hits(before, count, hits, vectors, window.data)
                if progress is not None:
                    progress(window.read, self._stream.size)
                more = window.fill()
            self._read = window.read
            self._end(bytes(window.data[window.start : window.stop]))

    def report(self) -> SplitReport:
        """Return what was found, after the last of the hits."""
        return SplitReport(self._findings, read=self._read)

    def _end(self, rest: bytes) -> None:
        """Account for the bytes behind the last whole row."""
        if rest in (b"", _LF):
            return
        findings, layout = self._findings, self._layout
        what = (
            f"offset {self._read - len(rest):,}: {len(rest):,} bytes that are no whole "
            f"row of {layout.dim} values, after {findings.rows:,} rows of "
            f"{layout.rows:,}"
        )
        if self._on_bad_row != "skip":
            raise TruncatedError(
                f"{self._stream.name}, {what}. Probably a cut download: fetch it "
                "again, or pass on_bad_row='skip' to keep the whole rows."
            )
        findings.doubts.append(Doubt(findings.rows, None, what))
        findings.bad_rows = 1
        findings.rows += 1


def _numbers(bits: Float32Array, dtype: str) -> Float32Array:
    """Return the numbers that rows consist of, as float32."""
    if dtype == DTYPES[0]:
        return bits
    with np.errstate(over="ignore", invalid="ignore"):
        return bits.view(dtype).astype(np.float32)
