"""The storages of finalfusion's files: a matrix, or product-quantised rows.

::

    array     = rows:uint64 dim:uint32 type padding *float32
    quantised = projected:uint32 normed:uint32 parts:uint32 dim:uint32
                centroids:uint32 rows:uint64 code-type type padding
                [projection] codebook [norms] codes
    projection = float32 (dim, dim)
    codebook  = float32 (parts, centroids, dim / parts)
    norms     = float32 (rows,)          codes = uint8 (rows, parts)
    type      = uint32: 1 is uint8, 10 is float32

A quantised row is the centroids that its codes name, one after the other, times the
transposed projection, times its norm.

https://github.com/finalfusion/finalfusion-rust/tree/main/src/chunks/storage
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, Float32Array, Int64Array, UInt8Array
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.local import Cursor, array_bytes
from pretrained_embed.formats.subwords.readers import ComputedRows

_FLOAT32, _UINT8 = 10, 1
_ALIGNMENT = 4
_ARRAY = struct.Struct("<QII")
_QUANTISED = struct.Struct("<IIIIIQII")


class CodebookRows(ComputedRows):
    """Rows that are put together from a codebook."""

    def __init__(
        self,
        codes: UInt8Array,
        codebook: Float32Array,
        projection: Float32Array | None,
        norms: Float32Array | None,
        where: str,
    ) -> None:
        parts, self._centroids, width = codebook.shape
        self.shape = (len(codes), parts * width)
        self._codes = codes
        self._codebook = codebook
        self._projection = projection
        self._norms = norms
        self._where = where

    def first(self, count: int) -> CodebookRows:
        """Return the first rows alone."""
        norms = None if self._norms is None else self._norms[:count]
        return CodebookRows(
            self._codes[:count], self._codebook, self._projection, norms, self._where
        )

    def __getitem__(self, rows: slice | Int64Array) -> Float32Array:
        """Return some rows; raises `FormatError` where a code names no centroid."""
        codes = self._codes[rows]
        if codes.max(initial=0) >= self._centroids:
            raise FormatError(
                f"{self._where}: a vector is made of centroid {codes.max():,}, but "
                f"there are {self._centroids:,}; the file is damaged"
            )
        parts = np.arange(codes.shape[1])
        vectors = self._codebook[parts, codes].reshape(len(codes), self.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            if self._projection is not None:
                vectors = _projected(vectors, self._projection)
            if self._norms is not None:
                vectors *= self._norms[rows][:, None]
        return vectors


def _projected(vectors: Float32Array, projection: Float32Array) -> Float32Array:
    """Return the vectors times the transposed projection.

    Column by column, as the bits of a BLAS product depend on the machine and on how
    many rows there are.
    """
    out = np.zeros_like(vectors)
    for column in range(len(projection)):
        out += vectors[:, column, None] * projection[:, column]
    return out


def _read_array(cursor: Cursor) -> AnyArray:
    """Return a matrix, mapped."""
    rows, dim, kind = cursor.unpack(_ARRAY)
    return floats(cursor, (rows, dim), kind)


def _read_quantised(cursor: Cursor) -> CodebookRows:
    """Return quantised rows, their codes mapped."""
    projected, normed, parts, dim, centroids, rows, codes, kind = cursor.unpack(
        _QUANTISED
    )
    if codes != _UINT8:
        raise cursor.damaged(f"codes of type {codes}; only uint8 (1) is known")
    if not parts or dim % parts or not 0 < centroids <= 256:
        raise cursor.damaged(
            f"{dim:,} dimensions in {parts:,} parts of {centroids:,} centroids"
        )
    projection = floats(cursor, (dim, dim) if projected else (0,), kind)  # or none
    codebook = _floats(cursor, (parts, centroids, dim // parts))
    norms = _floats(cursor, (rows,)) if normed else None
    view = cursor.take(array_bytes((rows, parts), 1, cursor.where))
    return CodebookRows(
        np.frombuffer(view, np.uint8).reshape(rows, parts),
        codebook,
        projection if projected else None,
        norms,
        cursor.where,
    )


def floats(cursor: Cursor, shape: tuple[int, ...], kind: int) -> AnyArray:
    """Return an array that follows its type, aligned."""
    if kind != _FLOAT32:
        raise cursor.damaged(f"numbers of type {kind}; only float32 (10) is known")
    cursor.take(_ALIGNMENT - cursor.at % _ALIGNMENT)
    return _floats(cursor, shape)


def _floats(cursor: Cursor, shape: tuple[int, ...]) -> AnyArray:
    view = cursor.take(array_bytes(shape, 4, cursor.where))
    return np.frombuffer(view, "<f4").reshape(shape)


#: What each kind of chunk is called, and what reads it.
READERS: dict[int, tuple[str, Callable[[Cursor], Any]]] = {
    2: ("array", _read_array),
    4: ("quantised", _read_quantised),
}
