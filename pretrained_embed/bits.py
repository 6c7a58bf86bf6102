"""Vectors in the bits of a dtype: how they are stored, and which numbers they mean.

::

    float32   the numbers
    float16   binary16, rounded to nearest even
    bfloat16  the upper half of a float32, rounded to nearest even; its bits as uint16
    int8      integers q from -127 to 127, and one scale for each row: x = scale * q
    int4      the same from -7 to 7, two in a byte
    binary    signs, eight in a byte, one scale for each row: x = scale or -scale

A scale is a float32. For int8 and int4 it is the largest absolute value of the row
divided by 127 or 7, and ``q`` is ``x / scale`` rounded to nearest even. For binary it
is the mean of the absolute values, which gives the smallest error; a sign bit is 1 for
a number above 0. A row of zeros has the scale 0, and all its bits are 0.

Every row takes the same number of bytes. int4 numbers are in two's complement; in a
byte, the lower column has the lower four bits. Of eight signs the lowest column has the
highest bit, as with `numpy.packbits`. The unused bits in the last byte of a row are 0.

Each row is rounded once, and does not depend on other rows.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Float64Array,
    Int64Array,
    PackedTokens,
    blocks,
    norms,
)
from pretrained_embed.errors import FormatError, OptionError, WriteError, brief
from pretrained_embed.errors import suggestion as near

#: The dtypes in which vectors can be written. float64 holds float32 numbers, for other
#: programs that need it.
Dtype = Literal["float32", "float16", "float64", "bfloat16", "int8", "int4", "binary"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

#: The dtypes of plain numbers, which any array can have.
FLOATS = DTYPES[:3]

#: The dtypes that cannot be recognised from the dtype of an array.
CODED: tuple[Dtype, ...] = DTYPES[3:]

#: The dtypes of a matrix.
MATRIX: tuple[Dtype, ...] = ("float32", "float16", *DTYPES[3:])

#: The largest integer of the dtypes that have a scale for each row.
_LIMITS: dict[str, int] = {"int8": 127, "int4": 7, "binary": 1}

_STORAGE = {
    "bfloat16": np.uint16,
    "int8": np.int8,
    "int4": np.uint8,
    "binary": np.uint8,
}
_PER_BYTE = {"int4": 2, "binary": 8}

_LEAST = np.float32(2.0**-149)  # above zero
_BINARY = "binary"


def check_dtype(given: object, allowed: Sequence[Dtype] = MATRIX) -> Dtype:
    """Return the dtype; raises `OptionError` for one that is not allowed."""
    try:
        named = given if given is None else np.dtype(cast(Any, given)).name
    except TypeError:
        named = given  # it may be a dtype that numpy does not know
    if named not in allowed:
        raise OptionError(
            f"dtype is {brief(given)}; it can be {', '.join(allowed)}"
            f"{near(str(given), allowed)}"
        )
    return cast(Dtype, named)


def storage(dtype: Dtype) -> np.dtype[Any]:
    """Return the dtype of the array that holds the bits."""
    return np.dtype(_STORAGE.get(dtype, dtype))


def width(dtype: Dtype, dim: int) -> int:
    """Return how many elements of `storage` a row takes."""
    return -(-dim // _PER_BYTE.get(dtype, 1))


def row_bytes(dtype: Dtype, dim: int) -> int:
    """Return the size of a row in bytes, without its scale."""
    return width(dtype, dim) * storage(dtype).itemsize


def has_scales(dtype: Dtype) -> bool:
    """Return whether each row has a scale."""
    return dtype in _LIMITS


class Values(Protocol):
    """An array of bits, or an object that reads rows of it on demand."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, elements in a row)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that `storage` returns."""

    def __getitem__(self, rows: slice, /) -> AnyArray:
        """Return some consecutive rows."""


def _is_kept_as(values: Values, kind: npt.DTypeLike) -> bool:
    """Return whether an array has a dtype, in the byte order of machine or files."""
    return values.dtype in (np.dtype(kind), np.dtype(kind).newbyteorder("<"))


@dataclass(frozen=True, eq=False, repr=False)
class Stored:
    """Rows of vectors in the bits of a dtype. Slices of it are float32 numbers.

    Parameters
    ----------
    encoding
        The name of the dtype, one of `DTYPES`.
    values
        The bits: (rows, width), of the dtype that `storage` returns. They may be
        mapped, or read on demand.
    scales
        float32 (rows,), finite and not negative, if the dtype has a scale for each row;
        else ``None``.
    dim
        Length of a vector.
    where
        The name of the file, for messages.
    first
        The number of the first row in that file.

    Raises `FormatError` where these do not fit each other. Bits that are no number of
    the dtype raise it when their row is read.
    """

    encoding: Dtype
    values: Values
    scales: Float32Array | None
    dim: int
    where: str = "vectors"
    first: int = 0

    def __post_init__(self) -> None:
        kind, wide = storage(self.encoding), width(self.encoding, self.dim)
        shape = self.values.shape
        if len(shape) != 2 or shape[1] != wide or not _is_kept_as(self.values, kind):
            raise FormatError(
                f"{self.where}: vectors of dtype {self.encoding} and {self.dim:,} "
                f"dimensions are kept as {kind} (rows, {wide}), not as "
                f"{self.values.dtype} of shape {shape}; get the file again"
            )
        scales = self.scales
        if scales is None and not has_scales(self.encoding):
            return
        if (
            scales is None
            or not has_scales(self.encoding)
            or not _is_kept_as(scales, np.float32)
            or scales.shape != shape[:1]
        ):
            what = "none" if scales is None else f"{scales.dtype} {scales.shape}"
            wanted = f"float32 ({shape[0]},)" if has_scales(self.encoding) else "none"
            raise FormatError(
                f"{self.where}: the scales of its rows are {what}; expected {wanted}; "
                "get the file again"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            most = scales * np.float32(_LIMITS[self.encoding])
        wrong = np.flatnonzero(~(np.isfinite(most) & (scales >= 0)))
        if len(wrong):
            raise FormatError(
                f"{self.where}: the scale of row {self.first + wrong[0]:,} is "
                f"{scales[wrong[0]]}; a "
                "scale is finite and not negative; get the file again"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, dim)."""
        return self.values.shape[0], self.dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the numbers that slices give: float32."""
        return np.dtype(np.float32)

    @property
    def nbytes(self) -> int:
        """The size of values and scales in bytes."""
        rows = self.values.shape[0]
        scales = 4 * rows if has_scales(self.encoding) else 0
        return rows * row_bytes(self.encoding, self.dim) + scales

    def __len__(self) -> int:
        return self.values.shape[0]

    def __getitem__(self, rows: slice) -> Float32Array:
        """Return the numbers of some consecutive rows, float32 (k, dim)."""
        return self.part(rows).numbers()

    def part(self, rows: slice) -> Stored:
        """Return some consecutive rows as bits."""
        start, stop, _ = rows.indices(len(self))
        here = slice(start, max(start, stop))
        scales = None if self.scales is None else self.scales[here]
        return replace(
            self, values=self.values[here], scales=scales, first=self.first + start
        )

    def take(self, rows: npt.ArrayLike) -> Stored:
        """Return the rows with the given numbers as bits."""
        wanted = np.asarray(rows, np.int64)
        values = self.values if isinstance(self.values, np.ndarray) else self.values[:]
        scales = None if self.scales is None else self.scales[wanted]
        return Stored(self.encoding, values[wanted], scales, self.dim, self.where)

    def numbers(self) -> Float32Array:
        """Return the numbers of all rows, float32 (rows, dim), C-contiguous.

        For float32 this is the array itself. Raises `FormatError` for bits that are no
        number of the dtype.
        """
        values = self.checked()
        if self.encoding == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        if self.scales is None:
            with np.errstate(invalid="ignore"):  # a signalling NaN
                return np.require(values, np.float32, ["C", "A"])
        out = np.empty((len(values), self.dim), np.float32)
        for rows in blocks(len(values), self.dim):
            whole = _unpacked(values[rows], self.encoding, self.dim)
            np.multiply(whole, self.scales[rows, None], out=out[rows], dtype=np.float32)
        out += np.float32(0)  # the zeros of a row with scale 0 are not negative
        return out

    def whole_numbers(self) -> AnyArray:
        """Return the integers of all rows, int8 (rows, dim), without their scales.

        A row of zeros has zeros. Raises `FormatError` as `numbers` does.
        """
        whole = _unpacked(self.checked(), self.encoding, self.dim)
        if self.scales is not None and self.encoding == _BINARY:
            whole = np.where(self.scales[:, None] > 0, whole, np.int8(0))
        return whole

    def numbers_of(self, first: int, values: AnyArray) -> Float32Array:
        """Return the numbers of consecutive rows from bits that were read elsewhere."""
        scales = self.scales
        if scales is not None:
            scales = scales[first : first + len(values)]
        return replace(self, values=values, scales=scales, first=first).numbers()

    def checked(self) -> AnyArray:
        """Return the bits of all rows, (rows, width); see `numbers` for its errors.

        They are C-contiguous, in the byte order of this machine.
        """
        kind = storage(self.encoding)
        values: AnyArray = np.require(self.values[:], kind, ["C", "A"])
        if self.scales is None:
            return values  # all bits are valid numbers
        for rows in blocks(len(values), max(1, values.shape[1])):
            wrong = _no_number(values[rows], self.encoding, self.dim)
            if wrong is not None and wrong.any():
                row = self.first + rows.start + int(np.flatnonzero(wrong)[0])
                raise FormatError(
                    f"{self.where}: row {row:,} has bits that no {self.encoding} row "
                    f"of {self.dim:,} dimensions has; get the file again"
                )
        return values

    def without(self, rows: Int64Array) -> Stored:
        """Return a copy with rows of zeros at the given places."""
        values, scales = self.values[:].copy(), self.scales
        values[rows] = 0
        if scales is not None:
            scales = scales.copy()
            scales[rows] = 0
        return Stored(self.encoding, values, scales, self.dim, self.where)

    def same_as(self, other: Stored) -> bool:
        """Return whether both have the same bits and scales."""
        return (
            self.encoding == other.encoding
            and self.shape == other.shape
            and np.array_equal(_plain(self.values[:]), _plain(other.values[:]))
            and (
                self.scales is None
                or np.array_equal(self.scales, cast(Float32Array, other.scales))
            )
        )

    def __repr__(self) -> str:
        return f"<{self.encoding} vectors, {len(self):,} x {self.dim:,}>"


def _plain(values: AnyArray) -> AnyArray:
    """Return the bytes of an array, so that NaNs compare as equal."""
    return np.ascontiguousarray(values).view(np.uint8)


def _unpacked(values: AnyArray, dtype: Dtype, dim: int) -> AnyArray:
    """Return the integers in packed bits, int8 (rows, dim)."""
    if dtype == "int8":
        return values
    if dtype == "binary":
        signs = np.unpackbits(values, axis=1, count=dim).view(np.int8)
        return np.where(signs == 1, np.int8(1), np.int8(-1))
    both = np.empty((len(values), values.shape[1], 2), np.int8)
    # Shifting left and back as int8 copies the sign of four bits.
    both[:, :, 0] = (values << 4).view(np.int8) >> 4
    both[:, :, 1] = values.view(np.int8) >> 4
    return both.reshape(len(values), -1)[:, :dim]


def _no_number(values: AnyArray, dtype: Dtype, dim: int) -> AnyArray | None:
    """Return which rows have bits that are no number; ``None`` if that cannot be."""
    if dtype == "int8":
        wrong: AnyArray = (values == -128).any(axis=1)
        return wrong
    if dtype not in _PER_BYTE:
        return None
    last = np.uint8(0)  # the unused bits of the last byte
    if rest := dim % _PER_BYTE[dtype]:
        last = np.uint8(0xF0 if dtype == "int4" else 0xFF >> rest)
    wrong = (values[:, -1] & last) != 0
    if dtype == "int4":
        eights = (values & 0x0F == 0x08) | (values & 0xF0 == 0x80)
        wrong |= eights.any(axis=1)
    return wrong


# Encoding


def encode(
    vectors: Float32Array, dtype: Dtype, tokens: PackedTokens | None = None
) -> Stored:
    """Return vectors, float32 (rows, dim), as the bits of a dtype.

    Raises `WriteError` for a number that the dtype cannot hold: one that becomes
    infinite, or, in a dtype with scales, one that is not finite. It names the token if
    ``tokens`` are given, else the row.
    """
    rows, dim = vectors.shape
    if dtype == "float32":
        return Stored(dtype, vectors, None, dim)
    values = np.empty((rows, width(dtype, dim)), storage(dtype))
    scales = np.zeros(rows, np.float32) if has_scales(dtype) else None
    for some in blocks(rows, max(dim, 1)):
        block = vectors[some]
        if scales is None:
            values[some], lost = _rounded(block, dtype)
        else:
            lost = ~np.isfinite(block)
            if not lost.any():
                values[some], scales[some] = _scaled(block.astype(np.float64), dtype)
        if lost.any():
            row, column = np.argwhere(lost)[0].tolist()
            row += some.start
            whose = f"row {row:,}" if tokens is None else brief(tokens[row])
            raise WriteError(
                f"the vector of {whose} holds the number "
                f"{vectors[row, column]!s}, which {dtype} cannot hold; use float32"
            )
    for array in (values, scales):
        if array is not None:
            array.flags.writeable = False
    return Stored(dtype, values, scales, dim)


def _rounded(vectors: Float32Array, dtype: Dtype) -> tuple[AnyArray, AnyArray]:
    """Return floats as the bits of another dtype, and which numbers became infinite."""
    if dtype == "bfloat16":
        halves = to_bfloat16(vectors)
        became = (halves & 0x7FFF) == 0x7F80
        return halves, became & np.isfinite(vectors)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = vectors.astype(dtype)
    return converted, np.isinf(converted) & np.isfinite(vectors)


def to_bfloat16(vectors: Float32Array) -> npt.NDArray[np.uint16]:
    """Return the bits of bfloat16 numbers, rounded to nearest even, as uint16."""
    bits = np.ascontiguousarray(vectors, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16
    # Rounding could carry a NaN over to infinity or beyond.
    quiet = bits >> 16 | 0x40
    return np.where(np.isnan(vectors), quiet, rounded).astype(np.uint16)


def _scaled(vectors: Float64Array, dtype: Dtype) -> tuple[AnyArray, Float32Array]:
    """Return finite vectors as packed integers, and their scales."""
    limit = _LIMITS[dtype]
    most = np.abs(vectors).max(axis=1)
    if dtype == _BINARY:
        total = np.zeros(len(vectors))
        for column in vectors.T:  # from left to right: the same bits on any machine
            total += np.abs(column)
        scales = (total / vectors.shape[1]).astype(np.float32)
        scales = np.where(most > 0, np.maximum(scales, _LEAST), np.float32(0))
        return np.packbits(vectors > 0, axis=1), scales
    scales = np.maximum((most / limit).astype(np.float32), _LEAST)
    # For very small numbers a scale has few bits, and may be too small for the largest.
    up = np.nextafter(scales, np.float32(np.inf))
    scales = np.where(np.rint(most / scales) > limit, up, scales)
    with np.errstate(over="ignore"):
        over = np.isinf(scales * np.float32(limit))
    scales = np.where(over, np.nextafter(scales, np.float32(0)), scales)
    whole = np.rint(vectors / scales[:, None]).astype(np.int8)
    scales = np.where(most > 0, scales, np.float32(0))
    if dtype == "int8":
        return whole, scales
    if whole.shape[1] % 2:
        whole = np.pad(whole, ((0, 0), (0, 1)))
    nibbles = whole.view(np.uint8) & np.uint8(0x0F)
    return nibbles[:, 0::2] | nibbles[:, 1::2] << 4, scales


def joined(parts: Sequence[Stored]) -> Stored:
    """Return the rows of all parts, which have one dtype and one dim, as one object."""
    first = parts[0]
    if len(parts) == 1:
        return first
    values = np.concatenate([part.values[:] for part in parts])
    scales = None
    if first.scales is not None:
        scales = np.concatenate([cast(Float32Array, part.scales) for part in parts])
    return Stored(first.encoding, values, scales, first.dim, first.where)


def replaced(stored: Stored, rows: Int64Array, other: Stored) -> Stored:
    """Return rows in which those at ``rows``, (k,), are the rows of another object."""
    values = stored.values[:].copy()
    values[rows] = other.values[:]
    scales = stored.scales
    if scales is not None:
        scales = scales.copy()
        scales[rows] = cast(Float32Array, other.scales)
    return Stored(stored.encoding, values, scales, stored.dim, stored.where)


# Encoded vectors in files

#: The metadata key for the dtype of vectors that are not float32.
METADATA = "vectors"

#: The name of the array of scales, float32 (rows,).
SCALES = "scales"


def facts(dtype: Dtype, dim: int) -> dict[str, Any]:
    """Return the metadata that describe the vectors; for float32 there are none."""
    if dtype not in MATRIX or dtype == "float32":
        return {}
    return {METADATA: {"dtype": dtype, "dim": dim}}


def name_in_file(name: str, dtype: Dtype) -> str:
    """Return the name of the array of vectors in a file: ``name``, where possible.

    If earlier releases would read the array as plain numbers, it has a name that they
    do not know.
    """
    return f"{name}_{dtype}" if dtype in CODED else name


def found_in_file(names: Container[str], name: str) -> str | None:
    """Return the name of the array of vectors in a file, if the file has one."""
    known = dict.fromkeys(name_in_file(name, dtype) for dtype in DTYPES)
    return next((each for each in known if each in names), None)


def dtype_told(metadata: Mapping[str, Any], where: str) -> Dtype:
    """Return the dtype that metadata give for the vectors; raises `FormatError`."""
    match metadata.get(METADATA):
        case None:
            return "float32"
        case {"dtype": str(dtype), "dim": int(dim)} if dtype in MATRIX and dim > 0:
            return dtype
        case unknown:
            raise FormatError(
                f"{where}: its vectors are {str(unknown)[:100]}, which this release "
                "does not know. Upgrade pretrained-embed."
            )


def check_told(found: str, name: str, metadata: Mapping[str, Any], where: str) -> None:
    """Raise `FormatError` for an encoded array that the metadata do not describe."""
    if found != name and METADATA not in metadata:
        raise FormatError(
            f"{where}: nothing tells what the numbers of {found!r} stand for; write "
            "the file again"
        )


def of_file(
    values: Values,
    arrays: Mapping[str, AnyArray],
    metadata: Mapping[str, Any],
    where: str,
) -> tuple[Values, dict[str, AnyArray], dict[str, Any]]:
    """Return the vectors of a file, and its arrays and metadata without theirs.

    The vectors are a `Stored` if the metadata say so. Raises `FormatError` where the
    arrays do not fit the metadata.
    """
    rest, told = dict(arrays), dict(metadata)
    dtype, known = dtype_told(metadata, where), told.pop(METADATA, None)
    if known is None:
        return values, rest, told
    scales = rest.pop(SCALES, None)
    return Stored(dtype, values, scales, known["dim"], where), rest, told


# Rounding errors

#: Errors are summed as integer multiples of this, so that the order does not matter.
_STEP = 2.0**-40

#: A larger error counts as this much in a mean.
_MOST = 8.0


def _steps(errors: Float64Array) -> int:
    return int(np.rint(errors / _STEP).astype(np.int64).sum())


class Loss(NamedTuple):
    """How far rows moved when they were rounded; rows of zeros are not counted."""

    rows: int = 0
    cosine: int = 0  # the sum of 1 - cosine, in steps
    least: float = 1.0  # the lowest cosine
    norm: int = 0  # the sum of the relative errors of the length, in steps
    most: float = 0.0  # the largest of these

    @classmethod
    def of(cls, vectors: Float32Array, stored: Stored) -> Loss:
        """Return how far vectors, (rows, dim), are from their rounded values."""
        each = blocks(len(vectors), max(1, vectors.shape[1]))
        return cls.sum(cls._of(vectors[some], stored[some]) for some in each)

    @staticmethod
    def _of(given: Float32Array, kept: Float32Array) -> Loss:
        counted = given.any(axis=1) & np.isfinite(given).all(axis=1)
        old = given[counted].astype(np.float64)
        new = kept[counted].astype(np.float64)
        if not len(old):
            return Loss()
        long, now = norms(old), norms(new)
        product = np.zeros(len(old))
        for one, other in zip(old.T, new.T, strict=True):
            product += one * other
        both = long * now
        cosine = np.divide(product, both, out=np.zeros(len(old)), where=both > 0)
        cosine = np.clip(cosine, -1.0, 1.0)
        moved = np.abs(now - long) / long
        return Loss(
            len(old),
            _steps(1.0 - cosine),
            float(cosine.min()),
            _steps(np.minimum(moved, _MOST)),
            float(moved.max()),
        )

    def plus(self, other: Loss) -> Loss:
        """Return the loss of the rows of both."""
        return Loss(
            self.rows + other.rows,
            self.cosine + other.cosine,
            min(self.least, other.least),
            self.norm + other.norm,
            max(self.most, other.most),
        )

    @classmethod
    def sum(cls, losses: Iterable[Loss]) -> Loss:
        """Return the loss of all rows together."""
        total = Loss()
        for loss in losses:
            total = total.plus(loss)
        return total

    def facts(self, dtype: Dtype) -> dict[str, Any]:
        """Return the facts about it for a provenance."""
        rows = max(1, self.rows)
        return {
            "dtype": dtype,
            "rows": self.rows,
            "cosine": {"mean": 1.0 - self.cosine * _STEP / rows, "worst": self.least},
            "norm_error": {"mean": self.norm * _STEP / rows, "worst": self.most},
        }
