"""What every format gives and takes: the border between files and matrices.

A format turns a `ByteStream` into a `Reader`. A reader gives all its rows in order
(`Reader.blocks`) or only the wanted ones (`Reader.select`), and tells what it saw
on the way (`Findings`). Nothing here knows where the bytes came from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Protocol, Self

import numpy as np

from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatArray,
    Int64Array,
    PackedTokens,
    Progress,
    UInt8Array,
)
from pretrained_embed.kernel import TokenIndex

if TYPE_CHECKING:
    from pathlib import Path


#: What a reader does with a malformed row: raise, or leave it out and count it.
OnBadRow = Literal["error", "skip"]

#: Bytes at the start of a file by which its format and layout are found out.
HEAD_SIZE = 1 << 20

#: Rows that statistics are taken of at a time.
_STATISTICS_BLOCK = 1024

#: How many malformed or suspicious rows are described; all of them are counted.
EXAMPLES = 10


class ByteStream(Protocol):
    """A run of bytes with a name, as the sources layer hands it over."""

    @property
    def name(self) -> str:
        """The name to use in messages."""

    @property
    def size(self) -> int | None:
        """Number of bytes, where that is known before reading."""

    @property
    def packed_size(self) -> int | None:
        """Number of bytes of the file they were unpacked from, where that is known."""

    @property
    def path(self) -> Path | None:
        """The plain local file that holds exactly these bytes, if there is one."""

    @property
    def tokens_path(self) -> Path | None:
        """A file that lists the tokens, for formats that hold vectors alone."""

    @property
    def provenance(self) -> Mapping[str, object]:
        """Facts about the source that go with its vectors; JSON holds them all."""

    @property
    def ranges(self) -> bool:
        """Whether the size is known and any range can be opened, by several at once."""

    @property
    def address(self) -> str | None:
        """The source to name in another process to open the same bytes there."""

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""

    def open(self, begin: int = 0, end: int | None = None) -> BinaryIO:
        """Open the bytes for reading from ``begin`` on, which is 0 without `ranges`.

        Behind ``end`` little will be read. That is a hint, and no end of the file.
        """


class Block(NamedTuple):
    """Some consecutive rows of a file."""

    tokens: list[str]  # bytes that are not UTF-8 are kept as surrogate escapes
    vectors: Float32Array  # (len(tokens), dim), the caller's to keep


class PackedBlock(NamedTuple):
    """The same, with the tokens as bytes."""

    tokens: PackedTokens
    vectors: Float32Array  # (len(tokens), dim), the caller's to keep


class Doubt(NamedTuple):
    """A row worth a word: malformed and left out, or read but suspicious."""

    row: int  # 0-based, in file order, malformed rows included
    line: int | None  # 1-based; None in a binary file
    what: str
    code: str | None = None  # of `findings.CODES`


@dataclass
class Findings:
    """What reading a file found beside its vectors. Nothing is lost in silence."""

    rows: int = 0  # rows in the file, malformed ones included
    bad_rows: int = 0  # malformed rows that were left out
    suspicious_rows: int = 0  # rows that were read but look one value too long
    duplicates: int = 0  # later occurrences of a token whose first one was taken
    doubts: list[Doubt] = field(default_factory=list)  # the first few of these rows
    notes: list[str] = field(default_factory=list)  # remarks on the file as a whole

    @property
    def codes(self) -> dict[str, int]:
        """What was found, by its code, and in how many rows; a note counts once."""
        counts = {
            "text.bad-row": self.bad_rows,
            "text.surplus-number": self.suspicious_rows,
            "text.repeated-tokens": self.duplicates,
        }
        noted = (getattr(note, "code", None) for note in self.notes)
        found = {code: count for code, count in counts.items() if count}
        return found | {code: 1 for code in noted if code is not None}


class Selection(NamedTuple):
    """Where the rows of a selection came from."""

    # As many rows as ``out`` or ``index.row_count`` has, whichever is more.
    source_rows: Int64Array  # (rows,) 0-based row in the file; -1: not found
    ranks: UInt8Array  # (rows,) rank of the wanted form that was found
    findings: Findings


class Statistics(NamedTuple):
    """Of the first rows of a file, dimension by dimension."""

    mean: Float64Array  # (dim,)
    std: Float64Array  # (dim,), of the population
    rows: int  # how many rows there were

    @classmethod
    def of(cls, vectors: FloatArray) -> Statistics:
        """Return the statistics of rows, (rows, dim).

        The sums run row by row in binary64, so that they are the same on any machine,
        over a block of rows at a time, so that they take little memory.
        Numbers that are not finite are left out of them.
        """
        dim = vectors.shape[1]
        count = np.zeros(dim, np.int64)
        total = _Sum(dim)
        for sample, finite in _in_binary64(vectors):
            count += finite.sum(axis=0)
            total.add(np.where(finite, sample, 0.0))
        count = np.maximum(count, 1)
        mean = total.of_rows / count
        squares = _Sum(dim)
        for sample, finite in _in_binary64(vectors):
            apart = np.where(finite, sample - mean, 0.0)
            squares.add(apart * apart)
        return cls(mean, np.sqrt(squares.of_rows / count), len(vectors))


class _Sum:
    """A sum of rows, block by block, with the bits of one over all of them."""

    def __init__(self, dim: int) -> None:
        self.of_rows = np.zeros(dim)
        self._begun = False

    def add(self, rows: Float64Array) -> None:
        """Add rows, one after the other."""
        if self._begun:
            rows = np.vstack([self.of_rows, rows])
        self.of_rows = np.add.reduce(rows, axis=0)
        self._begun = True


def _in_binary64(
    vectors: FloatArray,
) -> Iterator[tuple[Float64Array, BoolArray]]:
    """Yield rows, and which of their numbers are finite, a block at a time."""
    for start in range(0, len(vectors), _STATISTICS_BLOCK):
        with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
            sample = vectors[start : start + _STATISTICS_BLOCK].astype(np.float64)
        yield sample, np.isfinite(sample)


class Reader(ABC):
    """An open file of vectors.

    ``count`` is the number of rows the file declares or is known to have, or
    ``None``; a declared count is a hint and may be false. ``statistics`` are those that
    the file holds itself, or ``None``. ``dtype`` is what the numbers are stored as: the
    name of a dtype, or "text". ``composes`` says that tokens which the file
    does not hold can have vectors made of its subword pieces (see `compose`). ``facts``
    is what else the file tells of itself, for people to read; JSON holds it all.
    """

    format: str
    name: str
    dim: int
    count: int | None = None
    statistics: Statistics | None = None
    dtype: str = "float32"
    composes: bool = False
    facts: Mapping[str, object] = MappingProxyType({})

    @abstractmethod
    def blocks(
        self, *, on_bad_row: OnBadRow = "error", progress: Progress | None = None
    ) -> Iterator[Block]:
        """Yield all rows in file order, duplicates included.

        Raises `RowError` at the first malformed row unless ``on_bad_row="skip"``,
        and `TruncatedError` where the bytes end inside a row. After the last block
        `findings` is complete.
        """

    def packed_blocks(
        self, *, on_bad_row: OnBadRow = "error", progress: Progress | None = None
    ) -> Iterator[PackedBlock]:
        """Yield all rows as `blocks` does, without making a ``str`` of each token."""
        for tokens, vectors in self.blocks(on_bad_row=on_bad_row, progress=progress):
            yield PackedBlock(PackedTokens.pack(tokens), vectors)

    @abstractmethod
    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Write the vector of each wanted token into its row of ``out``.

        ``out`` is float32 (rows, dim), C-contiguous; rows whose token is not in the
        file keep what they hold. Where several rows of the file serve one row of
        ``out``, the lowest rank wins, then the first in the file, whatever the
        number of threads. Rows that ``index`` wants beyond the end of ``out`` are
        looked for as the others are, but their vectors are not read.
        """

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Write vectors made of the file's subword pieces; return which could be.

        ``out`` is float32 (len(tokens), dim). What is returned is bool (len(tokens),);
        rows of tokens that no piece of the file is in keep what they hold. Only where
        `composes` is true can there be any.
        """
        return np.zeros(len(tokens), np.bool_)

    @property
    def whole(self) -> Reader:
        """The reader of all tokens, where this one is of some."""
        return self

    @property
    @abstractmethod
    def findings(self) -> Findings:
        """What the last complete pass over the file found."""

    def close(self) -> None:  # noqa: B027  (most readers hold nothing open)
        """Release what the reader holds open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        count = "?" if self.count is None else f"{self.count:,}"
        return f"<{self.format} reader: {self.name}, {count} x {self.dim}>"
