"""The binary files of word2vec.c and gensim.

::

    file   = header LF row row ...
    header = count SP dim
    row    = {LF} token SP dim x number
    number = binary32 (little-endian), seldom big-endian, binary64 or binary16

word2vec.c writes an LF after each vector, gensim and GoogleNews have none; both leave
LFs before a token out when they read. Some tools write the numbers as they have them
in memory, doubles or halves. `layout` finds out. A token should hold no blank; gensim
and finalfusion write those that do, and `blanks` finds out where they end. Defined by
word2vec.c, https://code.google.com/archive/p/word2vec/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Progress
from pretrained_embed.errors import (
    BY_READER,
    FormatError,
    TruncatedError,
    UnknownFormatError,
    brief,
)
from pretrained_embed.formats.blocks import Hits
from pretrained_embed.formats.findings import Doubt, Findings, Note
from pretrained_embed.formats.reader import (
    HEAD_SIZE,
    ByteStream,
    OnBadRow,
    Split,
    SplitReport,
)
from pretrained_embed.formats.undivided import UndividedReader
from pretrained_embed.formats.window import READ_SIZE, Window
from pretrained_embed.formats.word2vec.blanks import bytes_needed, find_end
from pretrained_embed.formats.word2vec.layout import (
    DTYPES,
    Layout,
    find_layout,
    is_binary,
)
from pretrained_embed.kernel import TokenIndex, choice

NAME = "word2vec-binary"

_LF, _SPACE = b"\n", b" "
#: Biased exponents as `kernel.scan_binary` takes them, of which none is usual, and what
#: the exponents of `numpy.frexp` are less. Of few numbers none is so odd that it tells.
_NONE_USUAL, _BIAS, _FEW = (1, 0), 126, 8
_CUT = "binary.cut-row"
_STORAGE_NOTES = {
    ">f2": Note("binary.big-endian", "stored as big-endian float16"),
    ">f4": Note("binary.big-endian", "stored as big-endian float32"),
    ">f8": Note(
        "binary.big-endian", "stored as big-endian float64; rounded to float32"
    ),
    "<f8": Note("vectors.stored-as", "stored as float64; rounded to float32"),
    "<f2": Note("vectors.stored-as", "stored as float16"),
}


def open_binary(stream: ByteStream) -> Word2VecBinaryReader | None:
    """Return a reader if a header is followed by bytes that are not text, or ``None``.

    Text files of vectors share the header. They are asked first, but not every text
    below such a line holds vectors that can be read.
    """
    return open_reader(stream) if is_binary(stream.head(HEAD_SIZE)) else None


def open_reader(stream: ByteStream) -> Word2VecBinaryReader:
    """Return a reader for a word2vec binary file.

    Raises `UnknownFormatError` if the first line is no header, `TruncatedError` if the
    file ends before one row of the declared dim, and `FormatError` if a row of that
    dim would be absurdly long. Nothing is allocated before.
    """
    head = stream.head(HEAD_SIZE)
    layout = find_layout(head, whole=len(head) < HEAD_SIZE)
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


class Word2VecBinaryReader(UndividedReader):
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

    def scan(
        self, split: Split, index: TokenIndex | None, on_bad_row: OnBadRow
    ) -> BinaryPass:
        """Return a scan of the file. See `Reader`."""
        return BinaryPass(self._stream, self.layout, index, on_bad_row)

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        """Return the findings of a whole pass. See `Reader`."""
        findings = Findings()
        for report in reports:
            report.add_to(findings, None)
        if self.layout.dtype != DTYPES[0]:
            findings.notes.append(_STORAGE_NOTES[self.layout.dtype])
        if self.layout.unsure:
            what = (
                "the numbers are of sizes that vectors hardly have, and would be usual "
                "with their bytes in the other order; they are too few to tell: if "
                "another program shows others, write the file again in another format"
            )
            findings.notes.append(Note("binary.byte-order-unknown", what))
        if findings.rows != self.count:
            what = (
                f"the header declares {self.count:,} rows, there are {findings.rows:,}"
            )
            findings.notes.append(Note("header.count-differs", what))
        return findings


class BinaryPass:
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
        self._blanks = 0
        self._first_blank = ""

    def run(self, progress: Progress | None = None) -> Iterator[Hits]:
        """Yield the hits in order.

        Raises `TruncatedError` where the file ends inside a row, unless bad rows are
        skipped, and `FormatError` where nothing tells which of several blanks ends a
        token.
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
                count, doubtful, end = room, 0, -1
                while count == room or doubtful:
                    if doubtful:
                        if not self._may_judge(window):
                            break
                        end = self._end_of_token(window)
                    before = findings.rows
                    window.start, rows, count, doubtful = kernel.scan_binary(
                        self._index,
                        window.data,
                        window.start,
                        window.stop,
                        layout.slots,
                        end,
                        *_usual(layout),
                        hits,
                        bits,
                    )
                    end = -1
                    findings.rows += rows
                    if count:
                        vectors = _numbers(bits[:count], layout.dtype)
                        yield Hits(before, count, hits, vectors, window.data)
                if progress is not None:
                    progress(window.read, self._stream.size)
                more = window.fill()
            self._read = window.read
            self._end(bytes(window.data[window.start : window.stop]))

    def _may_judge(self, window: Window) -> bool:
        """Whether enough follows the start to see where the token there ends."""
        return window.final or window.stop - window.start >= bytes_needed(self._layout)

    def _end_of_token(self, window: Window) -> int:
        """Return where the token of the doubtful row at the start ends.

        Raises `FormatError` where nothing tells.
        """
        needed = bytes_needed(self._layout)
        raw = bytes(window.data[window.start : min(window.stop, window.start + needed)])
        whole = window.final and window.stop - window.start <= needed
        row = self._findings.rows
        after = max(0, self._layout.rows - row - 1)
        end = find_end(raw, self._layout, whole=whole, rows_after=after)
        if end is None:
            start = raw.lstrip(_LF).partition(_SPACE)[0]
            raise FormatError(
                f"{self._stream.name}, row {row:,} (the first is row 0), offset "
                f"{window.offset + window.start:,}: the token that begins "
                f"{brief(start)} seems to hold a blank, which this format cannot, and "
                "nothing tells where it ends. Write the file again with '_' for the "
                "blanks in its tokens, or in another format.",
                code="binary.blank-in-token",
            )
        token = raw[:end].lstrip(_LF)
        if _SPACE in token:
            self._blanks += 1
            if self._blanks == 1:
                self._first_blank = f"{brief(token)} in row {row:,} (of rows from 0 on)"
        return window.start + end

    def report(self) -> SplitReport:
        """Return what was found, after the last of the hits."""
        if self._blanks:
            what = (
                f"tokens that hold a blank: {self._blanks:,}, the first "
                f"{self._first_blank}; where each ends was seen by its vector"
            )
            self._findings.notes = [Note("binary.blank-in-token", what)]
        return SplitReport(self._findings, read=self._read)

    def _end(self, rest: bytes) -> None:
        """Account for the bytes behind the last whole row."""
        if not rest.strip(_LF):
            return
        findings, layout = self._findings, self._layout
        what = (
            f"offset {self._read - len(rest):,}: {len(rest):,} bytes that are no whole "
            f"row of {layout.dim} values, after {findings.rows:,} rows of "
            f"{layout.rows:,}"
        )
        if self._on_bad_row != "skip":
            raise TruncatedError(
                f"{self._stream.name}, {what}. Probably a cut download: fetch it again",
                code=_CUT,
                way=BY_READER,
            )
        findings.doubts.append(Doubt(findings.rows, None, what, _CUT))
        findings.bad_rows = 1
        findings.rows += 1


def _usual(layout: Layout) -> tuple[int, int]:
    """Return the biased exponents that do not make a row doubtful."""
    if layout.usual is None or layout.dtype != DTYPES[0] or layout.dim < _FEW:
        return _NONE_USUAL
    return layout.usual.low + _BIAS, layout.usual.high + _BIAS


def _numbers(bits: Float32Array, dtype: str) -> Float32Array:
    """Return the numbers that rows consist of, as float32."""
    if dtype == DTYPES[0]:
        return bits
    stored = bits.view(np.uint32).astype("<u4", copy=False)  # as the file has them
    with np.errstate(over="ignore", invalid="ignore"):
        return stored.view(dtype).astype(np.float32)
