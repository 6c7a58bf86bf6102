"""Tables whose rows are read by number, a few of them at a time.

A table may be larger than the memory: what is read of a mapped one is let go again, so
that of the file no more is held than `_WINDOW` bytes at a time for each thread.
"""

from __future__ import annotations

import mmap
from typing import NamedTuple, Protocol, cast

import numpy as np

from pretrained_embed.arrays import Float32Array, FloatArray, Int64Array, UInt8Array
from pretrained_embed.formats.parallel import run_in_order

#: Bytes of a file that are mapped at once. The system maps more than what is touched:
#: rows at random soon have it map the whole file.
_WINDOW = 1 << 24


class RowSource(Protocol):
    """A table of vectors."""

    @property
    def dim(self) -> int:
        """Values of a row."""

    @property
    def whole(self) -> Float32Array | None:
        """All rows, where they are at hand as they stand."""

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return the rows of these numbers, which rise: float32 (len(rows), dim)."""


class ArrayRows:
    """Rows of an array (rows, dim) of floating-point numbers."""

    def __init__(self, array: FloatArray) -> None:
        self._array = array
        self.dim: int = array.shape[1]
        flags, plain = array.flags, array.dtype == np.float32
        at_hand = plain and flags.c_contiguous and flags.aligned
        self.whole = cast(Float32Array, array) if at_hand else None

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return some rows. See `RowSource`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._array[rows].astype(np.float32, copy=False)


class MappedRows:
    """Rows of little-endian binary32 that begin anywhere in a mapped file."""

    whole = None

    def __init__(self, file: mmap.mmap, offset: int, count: int, dim: int) -> None:
        self.dim = dim
        self._file = file
        self._offset = offset
        # as opaque rows: numpy would copy an unaligned array of numbers first
        self._rows = np.frombuffer(file, f"V{4 * dim}", count, offset)

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return some rows. See `RowSource`."""
        out = np.empty(len(rows), self._rows.dtype)
        size = len(self._file)
        windows = -(-size // _WINDOW)
        begins = np.arange(windows + 1) * _WINDOW
        cuts = np.searchsorted(rows * (4 * self.dim) + self._offset, begins)
        filled = np.flatnonzero(np.diff(cuts))

        def work(number: int) -> None:
            window = int(filled[number])
            part = slice(cuts[window], cuts[window + 1])
            np.take(self._rows, rows[part], out=out[part], mode="clip")
            if hasattr(self._file, "madvise"):
                begin = window * _WINDOW
                length = min(_WINDOW, size - begin)
                self._file.madvise(mmap.MADV_DONTNEED, begin, length)

        for _ in run_in_order(work, len(filled), threads):
            pass
        numbers = out.view("<f4").reshape(len(rows), self.dim)
        return numbers.astype(np.float32, copy=False)


class Quantiser(NamedTuple):
    """A product quantiser: a vector is cut into parts, each one of 256 centroids."""

    width: int  # values of a part; the last part may have fewer
    centroids: Float32Array  # (dim * 256,), part after part

    def decode(self, codes: UInt8Array, dim: int) -> Float32Array:
        """Return the vectors of codes (rows, parts): float32 (rows, dim)."""
        out = np.empty((len(codes), dim), np.float32)
        for part, begin in enumerate(range(0, dim, self.width)):
            end = min(begin + self.width, dim)
            table = self.centroids[256 * begin : 256 * end].reshape(256, end - begin)
            out[:, begin:end] = table[codes[:, part]]
        return out


class QuantisedRows:
    """Rows that are kept as codes of a product quantiser."""

    whole = None

    def __init__(
        self,
        dim: int,
        codes: UInt8Array,
        quantiser: Quantiser,
        norms: Float32Array | None,
    ) -> None:
        self.dim = dim
        self._codes = codes  # (rows, parts)
        self._quantiser = quantiser
        self._norms = norms  # (rows,), where they are kept apart

    def read(self, rows: Int64Array, threads: int) -> Float32Array:
        """Return some rows. See `RowSource`."""
        vectors = self._quantiser.decode(self._codes[rows], self.dim)
        if self._norms is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                vectors *= self._norms[rows][:, None]
        return vectors
