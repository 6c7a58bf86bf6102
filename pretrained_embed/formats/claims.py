"""Which row of a file is used for each wanted row."""

from __future__ import annotations

import threading

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array, UInt8Array, UInt64Array
from pretrained_embed.kernel import TokenIndex

_POSITION_MASK = (1 << kernel.RANK_SHIFT) - 1

#: In a file that is scanned in splits a position is ``split << _SPLIT_SHIFT | row``.
#: The rank of a claim stands above it, which leaves 20 bits for the number of a split.
_SPLIT_SHIFT = 36
MOST_SPLITS = 1 << (kernel.RANK_SHIFT - _SPLIT_SHIFT)


def position_of(split: int, row: int) -> int:
    """Return the position of a row that is counted from the beginning of its split."""
    assert 0 <= split < MOST_SPLITS, "the number of a split would reach the rank"
    assert 0 <= row < 1 << _SPLIT_SHIFT, "the row would reach the number of the split"
    return split << _SPLIT_SHIFT | row


class Claims:
    """Collects the hits of one pass over a file, from any number of threads.

    For each row that the index wants, and for each of ``rows`` at least, the lowest
    rank wins, then the lowest position, in whatever order the hits come in.
    """

    def __init__(self, index: TokenIndex, rows: int) -> None:
        self.index = index
        self.hits = 0
        rows = max(rows, index.row_count)
        self._best = np.full(rows, kernel.UNCLAIMED, np.int64)
        self._seen = np.zeros(len(index), np.uint8)
        self._lock = threading.Lock()

    def place(
        self,
        hits: Int64Array,
        count: int,
        vectors: Float32Array,
        base: int,
        out: Float32Array,
    ) -> None:
        """Write hits into the rows they win; positions are counted from ``base``."""
        with self._lock:
            kernel.place(
                self.index, hits, count, vectors, base, self._best, self._seen, out
            )
            self.hits += count

    def find(
        self,
        data: UInt8Array,
        offsets: Int64Array,
        base: int = 0,
    ) -> None:
        """Claim rows for packed tokens, which stand at positions from ``base`` on."""
        with self._lock:
            self.hits += kernel.find_rows(
                self.index, data.data, offsets, base, self._best, self._seen
            )

    def look_up(
        self,
        starts: Int64Array,
        hashes: UInt64Array,
        rows: Int64Array,
        data: UInt8Array,
        offsets: Int64Array,
    ) -> None:
        """Claim rows as `find` does, by an index of the tokens' hashes."""
        with self._lock:
            self.hits += kernel.look_up(
                self.index,
                starts,
                hashes,
                rows,
                data.data,
                offsets,
                self._best,
                self._seen,
            )

    @property
    def duplicates(self) -> int:
        """Return how many hits were later occurrences of a token."""
        return self.hits - int(np.count_nonzero(self._seen))

    def positions(self) -> Int64Array:
        """Return the position of each row's winner, -1 for none."""
        return np.where(self._best == kernel.UNCLAIMED, -1, self._best & _POSITION_MASK)

    def rows(self, starts: Int64Array) -> Int64Array:
        """Return the row of each winner, -1 for none, from positions in splits.

        ``starts`` has the first row of each split, int64 (splits,).
        """
        positions = self.positions()
        rows = starts[positions >> _SPLIT_SHIFT]
        rows += positions & ((1 << _SPLIT_SHIFT) - 1)
        return np.where(positions < 0, -1, rows)

    def ranks(self) -> UInt8Array:
        """Return the rank of each row's winner, 0 for none."""
        unclaimed = self._best == kernel.UNCLAIMED
        return np.where(unclaimed, 0, self._best >> kernel.RANK_SHIFT).astype(np.uint8)
