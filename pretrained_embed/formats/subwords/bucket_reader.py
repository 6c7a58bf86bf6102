"""The reader of tables that have no tokens: buckets alone, which make any token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    FloatArray,
    PackedTokens,
    Progress,
)
from pretrained_embed.formats.blocks import PackedBlock
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.parallel import thread_count
from pretrained_embed.formats.reader import OnBadRow, Reader, Selection, Statistics
from pretrained_embed.formats.row_sources import RowSource
from pretrained_embed.formats.subwords.sums import FloretCutting, composed
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
