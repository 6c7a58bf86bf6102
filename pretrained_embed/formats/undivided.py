"""Readers of files that are read in one piece, since rows have no delimiter."""

from __future__ import annotations

from collections.abc import Iterator

from pretrained_embed.arrays import Float32Array, Progress
from pretrained_embed.formats.blocks import PackedBlock, gathered
from pretrained_embed.formats.claims import Claims
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.reader import (
    WHOLE,
    OnBadRow,
    Reader,
    Selection,
    Split,
)
from pretrained_embed.kernel import TokenIndex

#: The approximate size of a block's vectors in bytes.
BLOCK_BYTES = 1 << 22


class UndividedReader(Reader):
    """Reads all rows by one scan, which `scan` returns. See `Reader`."""

    _findings: Findings

    @property
    def findings(self) -> Findings:
        """The findings of the last complete pass over the file."""
        return self._findings

    def packed_blocks(
        self,
        *,
        threads: int | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Progress | None = None,
    ) -> Iterator[PackedBlock]:
        """Yield all rows in file order. See `Reader`."""
        scan = self.scan(WHOLE, None, on_bad_row)
        yield from gathered((hits.block() for hits in scan.run(progress)), BLOCK_BYTES)
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
        scan = self.scan(WHOLE, index, on_bad_row)
        for found in scan.run(progress):
            claims.place(found.hits, found.size, found.vectors, found.rows_before, out)
        findings = self.total([scan.report()])
        findings.duplicates = claims.duplicates
        self._findings = findings
        return Selection(claims.positions(), claims.ranks(), findings)

    def splits(self, size: int | None = None) -> list[Split]:
        """Return one split. See `Reader`."""
        return [WHOLE]
