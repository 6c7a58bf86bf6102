"""The binary files of word2vec.c and gensim.

::

    file   = header LF row row ...
    header = count SP dim
    row    = token SP dim x binary32 (little-endian) [LF]

word2vec.c writes the LF after each vector, gensim and GoogleNews have none; the first
rows tell. A token holds no space. Defined by word2vec.c,
https://code.google.com/archive/p/word2vec/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.errors import (
    FormatError,
    TruncatedError,
    UnknownFormatError,
)
from pretrained_embed.formats.blocks import Hits, gathered, unpacked
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.reader import (
    HEAD_SIZE,
    Block,
    ByteStream,
    Doubt,
    Findings,
    Float32Array,
    OnBadRow,
    PackedBlock,
    Progress,
    Reader,
    Selection,
)
from pretrained_embed.formats.window import READ_SIZE, Window
from pretrained_embed.kernel import TokenIndex

NAME = "word2vec-binary"

#: Rows looked at to find out whether an LF follows each vector.
_SAMPLE_ROWS = 64
_LONGEST_HEADER = 64
#: Bytes looked at to tell numbers from text, and how few of them tell nothing.
_TELLING, _TOO_FEW = 4096, 128
_TEXT = bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100)) + b"\t\n\r"
_BLOCK_SIZE = 1 << 22
_LF, _SPACE = b"\n", b" "


class Layout(NamedTuple):
    """How the rows of one binary file are built."""

    rows: int  # as the header declares
    dim: int
    skip: int  # bytes of the header
    newline: bool  # an LF follows each vector


def recognise(head: bytes, stream: ByteStream) -> bool:
    """Whether a header is followed by bytes that are not text.

    Text files of vectors share the header. They are asked first, but not every text
    below such a line holds vectors that can be read.
    """
    return is_binary(head)


def is_binary(head: bytes) -> bool:
    """Whether the first bytes are those of a binary file, given that it is no text."""
    layout = _layout(head)
    if layout is None:
        return False
    rows = head[layout.skip : layout.skip + _TELLING]
    return len(rows) < _TOO_FEW or rows.translate(None, _TEXT) != b""


def open_reader(stream: ByteStream) -> Word2VecBinaryReader:
    """Return a reader for a word2vec binary file.

    Raises `UnknownFormatError` if the first line is no header, `TruncatedError` if the
    file ends before one row of the declared dim, and `FormatError` if a row of that
    dim would be absurdly long. Nothing is allocated before.
    """
    head = stream.head(HEAD_SIZE)
    layout = _layout(head)
    if layout is None:
        raise UnknownFormatError(
            f"{stream.name}: the first line is not 'count dim', so this is no word2vec "
            "binary file"
        )
    behind = len(head) - layout.skip
    if behind < 1 + 4 * layout.dim:
        what = f"{stream.name}: the header declares rows of {layout.dim:,} values"
        if len(head) < HEAD_SIZE:
            raise TruncatedError(
                f"{what}, {behind:,} bytes follow it. Probably a cut download: fetch "
                "it again."
            )
        raise FormatError(f"{what}. No embedding has so many: this is another format.")
    return Word2VecBinaryReader(stream, layout)


def _layout(head: bytes) -> Layout | None:
    line, lf, _ = head[:_LONGEST_HEADER].partition(_LF)
    fields = line.removesuffix(b"\r").split()
    if not lf or len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    count, dim = int(fields[0]), int(fields[1])
    if dim < 1:
        return None
    skip = len(line) + 1
    return Layout(count, dim, skip, _has_newlines(head, skip, dim))


def _has_newlines(head: bytes, position: int, dim: int) -> bool:
    """Whether an LF follows every vector in the head."""
    after = []
    for _ in range(_SAMPLE_ROWS):
        space = head.find(_SPACE, position)
        end = space + 1 + 4 * dim
        if space < 0 or end >= len(head):
            break
        after.append(head[end : end + 1] == _LF)
        position = end + after[-1]
    return bool(after) and all(after)


class Word2VecBinaryReader(Reader):
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
        hits = self._scan(None, on_bad_row, progress)
        yield from gathered((hit.block() for hit in hits), _BLOCK_SIZE)

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
        for found in self._scan(index, on_bad_row, progress):
            claims.place(found.hits, found.size, found.vectors, found.rows_before, out)
        self._findings.duplicates = claims.duplicates
        return Selection(claims.positions(), claims.ranks(), self._findings)

    def _scan(
        self,
        index: TokenIndex | None,
        on_bad_row: OnBadRow,
        progress: Progress | None,
    ) -> Iterator[Hits]:
        layout = self.layout
        room = max(16, READ_SIZE // (4 * layout.dim))
        hits = np.empty((room, kernel.HIT_COLUMNS), np.int64)
        vectors = np.empty((room, layout.dim), np.float32)
        findings = Findings()
        with (
            self._stream.open() as file,
            Window(file, name=self.name) as window,
        ):
            more = window.discard(layout.skip)
            while more:
                count = room
                while count == room:
                    before = findings.rows
                    window.start, rows, count = kernel.scan_binary(
                        index,
                        window.data,
                        window.start,
                        window.stop,
                        layout.dim,
                        layout.newline,
                        hits,
                        vectors,
                    )
                    findings.rows += rows
                    if count:
                        yield Hits(before, count, hits, vectors, window.data)
                if progress is not None:
                    progress(window.read, self._stream.size)
                more = window.fill()
            rest = bytes(window.data[window.start : window.stop])
            self._end(findings, rest, window.read - len(rest), on_bad_row)

    def _end(
        self, findings: Findings, rest: bytes, offset: int, on_bad_row: OnBadRow
    ) -> None:
        """Account for the bytes behind the last whole row."""
        if rest not in (b"", _LF):
            what = (
                f"offset {offset:,}: {len(rest):,} bytes that are no whole row of "
                f"{self.dim} values, after {findings.rows:,} rows of {self.count:,}"
            )
            if on_bad_row != "skip":
                raise TruncatedError(
                    f"{self.name}, {what}. Probably a cut download: fetch it again, or "
                    "pass on_bad_row='skip' to keep the whole rows."
                )
            findings.doubts.append(Doubt(findings.rows, None, what))
            findings.bad_rows = 1
            findings.rows += 1
        if findings.rows != self.count:
            findings.notes.append(
                f"the header declares {self.count:,} rows, there are {findings.rows:,}"
            )
        self._findings = findings
