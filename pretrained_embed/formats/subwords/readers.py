"""Readers that compose vectors: of tables with computed rows, and of buckets alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    BoolArray,
    Float32Array,
    FloatArray,
    Int64Array,
    PackedTokens,
    Progress,
)
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Findings, Note
from pretrained_embed.formats.parallel import thread_count
from pretrained_embed.formats.reader import OnBadRow, Reader, Selection, Statistics
from pretrained_embed.formats.subwords.sums import (
    FloretCutting,
    Pieces,
    RowSource,
    composed,
)
from pretrained_embed.formats.table import Rows
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.kernel import TokenIndex

_STATISTICS_ROWS = 10_000


class BucketReader(Reader):
    """Composes tokens of the buckets of a floret table. See `Reader`.

    There are no tokens, so `blocks` yields nothing and `select` finds nothing. The
    statistics are those of the first buckets.
    """

    count = 0
    composes = True

    def __init__(
        self,
        format: str,
        name: str,
        cutting: FloretCutting,
        source: RowSource,
        first: FloatArray,
    ) -> None:
        self.format = format
        self.name = name
        self.dim = source.dim
        self.statistics = Statistics.of(first[:_STATISTICS_ROWS])
        self.facts = {
            "model": "floret",
            "bucket": cutting.bucket,
            "min_n": cutting.min_n,
            "max_n": cutting.max_n,
            "hash_count": cutting.hash_count,
        }
        self._cutting = cutting
        self._source = source
        self._findings = Findings()

    @property
    def findings(self) -> Findings:
        """Return that there are no rows."""
        return self._findings

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield nothing."""
        yield from ()

    def select(
        self,
        index: TokenIndex,
        out: Float32Array,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Selection:
        """Find nothing."""
        claims = Claims(index, len(out))
        return Selection(claims.positions(), claims.ranks(), self._findings)

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Write the vectors of any tokens. See `Reader`."""
        packed = PackedTokens.pack(tokens)
        threads = thread_count(None)
        return composed(packed, self._cutting, self._source, out, threads=threads)


_AT_ONCE = 1024  # tokens


class ComputedRows(ABC):
    """Rows that cost something each: those asked for are computed, and no others."""

    dtype = np.dtype(np.float32)
    shape: tuple[int, ...]  # (rows, dim)

    @abstractmethod
    def __getitem__(self, rows: slice | Int64Array, /) -> Float32Array:
        """Return some rows, as a new array."""


class Picked(Protocol):
    """Rows of which any may be taken: an array, or rows that are computed."""

    def __getitem__(self, rows: Int64Array, /) -> AnyArray:
        """Return the rows of these numbers."""


def add_pieces(out: Float32Array, pieces: Pieces, rows: Picked) -> None:
    """Add to each row of ``out`` the rows of its pieces, one after the other.

    A sum of float32 depends on its order; this is that of gensim and finalfusion.
    """
    firsts = np.cumsum(pieces.counts) - pieces.counts
    for piece in range(int(pieces.counts.max(initial=0))):
        live = np.flatnonzero(pieces.counts > piece)
        with np.errstate(over="ignore", invalid="ignore"):
            out[live] += rows[pieces.rows[firsts[live] + piece]]


#: Writes the vectors that pieces of tokens make into an array, float32 (tokens, dim),
#: and returns which tokens have any pieces.
Compose = Callable[[Sequence[str], Float32Array], BoolArray]


class SubwordTableReader(TableReader):
    """A `TableReader` that may compose vectors, and may compute the rows it holds."""

    def __init__(
        self,
        format: str,
        name: str,
        tokens: PackedTokens,
        vectors: Rows | ComputedRows,
        *,
        compose: Compose | None = None,
        facts: Mapping[str, object],
        arrays: dict[str, AnyArray] | None = None,
        notes: Sequence[Note] = (),
        release: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            format, name, tokens, vectors, arrays=arrays, notes=notes, release=release
        )
        self.facts = facts
        self.composes = compose is not None
        self._compose = compose

    def compose(self, tokens: Sequence[str], out: Float32Array) -> BoolArray:
        """Write vectors made of the file's subword pieces; return which could be."""
        if self._compose is None:
            return super().compose(tokens, out)
        made = np.zeros(len(tokens), np.bool_)
        for start in range(0, len(tokens), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            vectors = np.zeros((len(tokens[part]), self.dim), np.float32)
            made[part] = self._compose(tokens[part], vectors)
            out[part][made[part]] = vectors[made[part]]
        return made

    def _gather(
        self,
        source_rows: Int64Array,
        out: Float32Array,
        progress: Progress | None,
        threads: int | None,
    ) -> None:
        vectors = self._vectors
        if not isinstance(vectors, ComputedRows):
            super()._gather(source_rows, out, progress, threads)
            return
        targets = np.flatnonzero(source_rows >= 0)
        for start in range(0, len(targets), _AT_ONCE):
            part = targets[start : start + _AT_ONCE]
            out[part] = vectors[source_rows[part]]
            if progress is not None:
                progress(start + len(part), len(targets))
