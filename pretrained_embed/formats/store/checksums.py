"""Checksums of the vectors of a store, one a row, and the vectors that they cover.

A store is hashed whole when it is made, and when its size or time have changed. Damage
that keeps both, such as a disk's, is seen here, in the rows that are used and when they
are: so a look-up pays for what it reads: a tenth more for some 20,000 rows of 300, and
up to a half for 100,000.

The checksum of a row is the sum of its numbers, taken as whole numbers of their bits,
each times an odd weight of its place, modulo 2**32. One number that is another is
always seen; of other damage one case in 2**32 is not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import cast

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    FloatArray,
    Int64Array,
    UInt32Array,
)
from pretrained_embed.bits import FLOATS, Stored
from pretrained_embed.errors import FormatError

#: Rows that are compared while they are still in the processor's cache.
_AT_ONCE = 512


def checksums(rows: AnyArray) -> UInt32Array:
    """Return the checksums of rows (n, dim) of numbers of four bytes or fewer."""
    bits = np.ascontiguousarray(rows)
    words = bits.view(f"u{bits.dtype.itemsize}").astype(np.uint32, copy=False)
    sums: UInt32Array = np.einsum("ij,j->i", words, _weights(rows.shape[1]))
    return sums


@lru_cache(maxsize=4)
def _weights(dim: int) -> UInt32Array:
    """Return an odd weight for each place in a row: numbers that have no order."""
    mixed = np.arange(1, dim + 1, dtype=np.uint32) * np.uint32(0x9E3779B1)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x85EBCA77)
    return mixed | np.uint32(1)


class StoreRows:
    """Vectors (rows, dim), mapped; each row is compared with its checksum when read.

    ``stored`` are their bits; numbers are handed out.

    Without checksums, as in stores of earlier releases, they are taken as they are.
    Raises `FormatError`, which names the file ``where``, for what has changed.
    """

    def __init__(self, stored: Stored, sums: UInt32Array | None, where: str) -> None:
        self.shape = stored.shape
        self.encoding = stored.encoding
        self._stored = stored
        self._vectors = cast(AnyArray, stored.values)
        self._plain = stored.encoding in FLOATS
        self.dtype = self._vectors.dtype if self._plain else stored.dtype
        self._sums = sums
        self._where = where

    def __getitem__(self, rows: slice, /) -> FloatArray:
        """Return some consecutive rows."""
        start, stop, _ = rows.indices(len(self._vectors))
        for first in range(start, stop, _AT_ONCE):
            last = min(first + _AT_ONCE, stop)
            self._compare(self._vectors[first:last], np.arange(first, last))
        return self._vectors[rows] if self._plain else self._stored[rows]

    def take(self, rows: Int64Array, targets: Int64Array, out: Float32Array) -> None:
        """Copy rows into ``out[targets]``."""
        # One buffer for all copies: to get new memory would take longer than to copy.
        wide = self._vectors.shape[1]
        buffer = np.empty((min(_AT_ONCE, len(rows)), wide), self._vectors.dtype)
        for start in range(0, len(rows), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            stored = buffer[: len(rows[some])]
            if self.encoding == "float32":  # the bits that are stored, now near by
                kernel.gather(self._vectors, rows[some], targets[some], out)
                if self._sums is not None:
                    out.take(targets[some], axis=0, out=stored, mode="clip")
            else:
                self._vectors.take(rows[some], axis=0, out=stored, mode="clip")
                out[targets[some]] = self._numbers(stored, rows[some])
            self._compare(stored, rows[some])

    def _numbers(self, values: AnyArray, rows: Int64Array) -> Float32Array:
        """Return what the bits of some rows stand for."""
        scales = self._stored.scales
        if scales is not None:
            scales = scales[rows]
        return replace(self._stored, values=values, scales=scales).numbers()

    def _compare(self, vectors: AnyArray, rows: Int64Array) -> None:
        if self._sums is None:
            return
        wrong = np.flatnonzero(checksums(vectors) != self._sums[rows])
        if len(wrong):
            raise FormatError(
                f"{self._where}: the store is damaged: its row {rows[wrong[0]]:,} is "
                "not what was written; index its source again, or delete this file, "
                "and it is made anew"
            )
