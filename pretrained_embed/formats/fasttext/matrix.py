"""The matrices of a fastText model, plain and quantised.

::

    matrices  = [quantised] matrix [quantised] matrix         input, then output
    plain     = rows dim rows*dim*binary32                    int64 both
    quantised = norms rows dim size size*code quantiser
                [rows*code quantiser]                         if norms are kept apart
    quantiser = dim parts width last dim*256*binary32         int32 all four

``quantised`` and ``norms`` are one byte each, 0 or 1; the first is missing in models
without a magic number, none of which is quantised. Defined by ``DenseMatrix::load``,
``QuantMatrix::load`` and ``ProductQuantizer::load``,
https://github.com/facebookresearch/fastText
"""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import Float32Array, UInt8Array
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.subwords.sums import (
    MappedRows,
    QuantisedRows,
    Quantiser,
    RowSource,
)

_CENTROIDS = 256


class Matrices(NamedTuple):
    """The input matrix, whether it is quantised, and what there is to say."""

    source: RowSource
    rows: int
    quantised: bool
    notes: tuple[Note, ...]


def read_matrices(
    file: mmap.mmap, start: int, where: str, *, flags: bool, dim: int
) -> Matrices:
    """Map the input matrix, and check that what the model says follows it.

    Raises `TruncatedError` where the file ends within a matrix, `FormatError` where it
    is none of ``dim`` values a row. Nothing is allocated before.
    """
    cut = _Cut(file, start, where)
    quantised = flags and cut.flag("a matrix is quantised")
    rows, source = cut.matrix(quantised, dim)
    notes = []
    if cut.left == 0:
        what = "ends behind its input matrix; the output matrix was left out"
        notes.append(Note("file.cut", what))
    else:
        cut.matrix((flags and cut.flag("a matrix is quantised")) and quantised, dim)
        if cut.left:
            what = f"{cut.left:,} bytes behind its last matrix were not read"
            notes.append(Note("file.left-out", what))
    return Matrices(source, rows, quantised, tuple(notes))


class _Cut:
    """Takes one part after another off a file, each checked against what is left."""

    def __init__(self, file: mmap.mmap, start: int, where: str) -> None:
        self._file = file
        self._at = start
        self._where = where

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._file) - self._at

    def flag(self, what: str) -> bool:
        (byte,) = self._take("<B")
        if byte > 1:
            raise self._damaged(f"whether {what} is {byte}, not 0 or 1")
        return bool(byte)

    def matrix(self, quantised: bool, dim: int) -> tuple[int, RowSource]:
        """Return the number of rows of a matrix, and the rows."""
        return self._quantised(dim) if quantised else self._plain(dim)

    def _plain(self, dim: int) -> tuple[int, RowSource]:
        rows = self._shape(dim)
        start = self._skip(4 * rows * dim, f"{rows:,} rows")
        return rows, MappedRows(self._file, start, rows, dim)

    def _quantised(self, dim: int) -> tuple[int, RowSource]:
        apart = self.flag("norms are kept apart")
        rows = self._shape(dim)
        (size,) = self._take("<i")
        parts = size // rows if rows else 0
        if parts < 1 or parts * rows != size:
            raise self._damaged(f"{size:,} codes are no whole number for each row")
        codes = self._bytes(size, "codes").reshape(rows, parts)
        quantiser = self._quantiser(dim, parts)
        norms = None
        if apart:
            norm_codes = self._bytes(rows, "norms")
            norms = self._quantiser(1, 1).centroids[norm_codes]
        return rows, QuantisedRows(dim, codes, quantiser, norms)

    def _quantiser(self, dim: int, parts: int) -> Quantiser:
        of, count, width, last = self._take("<4i")
        fits = width > 0 and count == parts == -(-dim // width)
        if of != dim or not fits or last != dim - width * (parts - 1):
            raise self._damaged(
                f"a quantiser of {of} values in {count} parts of {width}, the last of "
                f"{last}, does not fit {dim} values in {parts} parts"
            )
        numbers = self._bytes(4 * _CENTROIDS * dim, "centroids")
        centroids: Float32Array = numbers.view("<f4").astype(np.float32)
        return Quantiser(width, centroids)

    def _shape(self, dim: int) -> int:
        rows, columns = self._take("<2q")
        if columns != dim or rows < 0:
            raise self._damaged(
                f"a matrix of shape ({rows:,}, {columns:,}); vectors have {dim} values"
            )
        return int(rows)

    def _take(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        return struct.unpack_from(layout, self._file, self._skip(size, "a matrix"))

    def _bytes(self, size: int, what: str) -> UInt8Array:
        """Return a copy: these parts are small, and lie at odd addresses."""
        start = self._skip(size, f"{size:,} {what}")
        return np.frombuffer(self._file, np.uint8, size, start).copy()

    def _skip(self, size: int, what: str) -> int:
        """Pass over bytes, and return where they begin."""
        start = self._at
        if size < 0 or size > self.left:
            raise TruncatedError(
                f"{self._where}, offset {start:,}: {what} of {size:,} bytes do not fit "
                f"into the {self.left:,} that are left; probably a cut download, get "
                "the file again"
            )
        self._at += size
        return start

    def _damaged(self, what: str) -> FormatError:
        return FormatError(
            f"{self._where}, before offset {self._at:,}: {what}; the file is damaged, "
            "get it again"
        )
