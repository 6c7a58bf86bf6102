"""Shared by all layers: array types, arithmetic on rows, packed tokens, progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import chain, pairwise
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import FormatError, OptionError

AnyArray = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt32Array = npt.NDArray[np.uint32]
UInt64Array = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.floating]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

#: Called with (bytes done so far, total bytes or ``None`` if the total is unknown).
Progress = Callable[[int, int | None], None]

_LF = b"\n"
#: With at least this many tokens, they are packed and unpacked in one operation.
_MANY = 64
#: How many tokens are unpacked at a time; how many bytes are searched for line ends.
_BLOCK, _BLOCK_BYTES = 1 << 16, 1 << 22


class PackedTokens:
    """Tokens in one array of bytes, without a Python object for each.

    Token ``i`` is ``data[offsets[i]:offsets[i + 1]]``, in UTF-8; invalid bytes are
    kept. ``data`` is uint8. ``offsets`` is int64 (tokens + 1,), ascending from 0 to
    ``len(data)``. Other arrays raise `FormatError`, which names the file, ``where``.
    """

    __slots__ = ("data", "offsets")

    def __init__(
        self, data: UInt8Array, offsets: Int64Array, *, where: str = "tokens"
    ) -> None:
        for array, dtype, name in (
            (data, np.uint8, "bytes"),
            (offsets, np.int64, "offsets"),
        ):
            if array.ndim != 1 or array.dtype != dtype:
                raise FormatError(
                    f"{where}: the tokens' {name} are {array.dtype} of shape "
                    f"{array.shape}, not a row of {np.dtype(dtype)}"
                )
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(data):
            raise FormatError(
                f"{where}: the tokens' offsets do not run from 0 to {len(data)}, the "
                "number of their bytes; the file is damaged"
            )
        if (offsets[1:] < offsets[:-1]).any():
            raise FormatError(
                f"{where}: the tokens' offsets do not ascend; the file is damaged"
            )
        self.data = np.ascontiguousarray(data)
        # The kernel reads these as plain C arrays; mapped ones may be unaligned.
        self.offsets = np.require(offsets, np.int64, ["C", "A"])

    @classmethod
    def pack(cls, tokens: Iterable[str]) -> Self:
        """Pack tokens; surrogate escapes become the bytes that they stand for."""
        given = list(tokens)
        if len(given) >= _MANY:
            lines = "\n".join([*given, ""]).encode(errors="surrogateescape")
            if lines.count(_LF) == len(given):  # and no token contains one
                return cls.of_lines(lines)
        return cls.join([token.encode(errors="surrogateescape") for token in given])

    @classmethod
    def of_lines(cls, lines: bytes) -> Self:
        """Pack lines, without the line feed at the end of each."""
        offsets = np.zeros(lines.count(_LF) + 1, np.int64)
        row = 1
        for start in range(0, len(lines), _BLOCK_BYTES):
            block = np.frombuffer(lines[start : start + _BLOCK_BYTES], np.uint8)
            ends = np.flatnonzero(block == _LF[0])
            # offsets without the line feeds
            before = np.arange(row - 1, row - 1 + len(ends))
            offsets[row : row + len(ends)] = start + ends - before
            row += len(ends)
        return cls(np.frombuffer(lines.translate(None, _LF), np.uint8), offsets)

    @classmethod
    def join(cls, tokens: list[bytes]) -> Self:
        """Pack tokens that are already bytes."""
        offsets = np.zeros(len(tokens) + 1, np.int64)
        np.cumsum([len(token) for token in tokens], out=offsets[1:])
        return cls(np.frombuffer(b"".join(tokens), np.uint8), offsets)

    def unpack(self) -> list[str]:
        """Return the tokens; bytes that are no valid UTF-8 become surrogate escapes."""
        return list(self)

    def __iter__(self) -> Iterator[str]:
        """Yield what `unpack` returns, with only some tokens in memory at a time."""
        starts = range(0, len(self), _BLOCK)
        blocks = (self[start : start + _BLOCK] for start in starts)
        return chain.from_iterable(block._unpack() for block in blocks)

    def _unpack(self) -> list[str]:
        """Decode many tokens in one operation, with line feeds between them."""
        if len(self) < _MANY or np.any(self.data == _LF[0]):
            return [token.decode(errors="surrogateescape") for token in self.split()]
        lines = np.full(len(self.data) + len(self), _LF[0], np.uint8)
        inside = np.ones(len(lines), np.bool_)
        inside[self.offsets[1:] + np.arange(len(self))] = False
        lines[inside] = self.data
        return lines[:-1].tobytes().decode(errors="surrogateescape").split("\n")

    def split(self) -> list[bytes]:
        """Return the tokens as bytes."""
        raw, ends = self.data.tobytes(), self.offsets.tolist()
        return [raw[begin:end] for begin, end in pairwise(ends)]

    def raw(self, row: int) -> bytes:
        """Return the bytes of one token."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def without(self, holes: Int64Array) -> Self:
        """Return the tokens without those at ``holes``, all of which are empty."""
        # An empty token has no bytes, so the data stay and one offset is removed.
        return type(self)(self.data, np.delete(self.offsets, holes))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: slice) -> Self: ...
    def __getitem__(self, rows: int | slice) -> Self | str:
        """Return the tokens of consecutive rows, packed, or the token of one row."""
        if isinstance(rows, int):
            if not 0 <= rows < len(self):
                raise IndexError(f"row {rows} of {len(self)} tokens")
            return self.raw(rows).decode(errors="surrogateescape")
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError("packed tokens are sliced in steps of 1")
        offsets = self.offsets[start : max(start, stop) + 1]
        data = self.data[offsets[0] : offsets[-1]]
        return type(self)(data, offsets - offsets[0] if offsets[0] else offsets)

    def __repr__(self) -> str:
        return f"<{len(self):,} packed tokens, {len(self.data):,} bytes>"


def joined(parts: Sequence[PackedTokens]) -> PackedTokens:
    """Return the tokens of all parts as one object."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.zeros(sum(map(len, parts)) + 1, np.int64)
    row = 0
    for part in parts:
        begun, row = row, row + len(part)
        np.add(part.offsets, offsets[begun], out=offsets[begun : row + 1])
    data = [np.empty(0, np.uint8), *(part.data for part in parts)]
    return PackedTokens(np.concatenate(data), offsets)


#: The values of a ``progress`` argument: a function to call, True for lines on standard
#: error, False or ``None`` for no report.
AnyProgress = Progress | bool | None

#: Seconds between two lines.
_PERIOD = 1.0


def listener(progress: AnyProgress) -> Progress | None:
    """Return the function to call, if any; raises `OptionError` for any other value."""
    if progress is None or progress is False:
        return None
    if progress is True:
        return _NotebookBar() if _in_a_notebook() else _ProgressLines()
    if callable(progress):
        return progress
    raise OptionError(
        f"progress is {progress!r}; give True for lines on standard error, or a "
        "function of (bytes done, bytes in all or None)"
    )


def _in_a_notebook() -> bool:
    """Return whether this is a notebook in which tqdm and its widgets are installed."""
    return "ipykernel" in sys.modules and all(map(find_spec, ("tqdm", "ipywidgets")))


class _NotebookBar:
    """A progress bar of tqdm, and a new one for each part of the work."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        from tqdm.auto import tqdm

        if self._bar is None or done < self._bar.n:
            self._bar = tqdm(total=total, unit="B", unit_scale=True)
        self._bar.update(done - self._bar.n)
        if total is not None and done >= total:
            self._bar.close()


class _ProgressLines:
    """Prints one line a second, and one when a part of the work is finished."""

    def __init__(self) -> None:
        self._next = 0.0
        self._last = ""

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        finished = total is not None and done >= total
        if now < self._next and not finished:
            return
        self._next = now + _PERIOD
        line = f"{done:,} bytes"
        if total:
            line = f"{min(done / total, 1):4.0%}  {done:,} of {total:,} bytes"
        # under pythonw there is no standard error
        if line != self._last and sys.stderr is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
            self._last = line


_BLOCK_NUMBERS = 1 << 18


def blocks(rows: int, dim: int) -> Iterator[slice]:
    """Yield slices of rows, each small enough for a float64 copy."""
    step = max(1, _BLOCK_NUMBERS // dim)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def norms(vectors: Float64Array) -> Float64Array:
    """Return the length of each row, (rows,); squares are added from left to right."""
    total = np.zeros(len(vectors))
    for column in vectors.T:
        total += column * column
    lengths: Float64Array = np.sqrt(total)
    return lengths


def unit(vectors: Float64Array) -> Float64Array:
    """Return the rows scaled to length 1; a row of zeros stays zeros."""
    lengths = norms(vectors)
    scaled: Float64Array = vectors / np.where(lengths == 0.0, 1.0, lengths)[:, None]
    return scaled


def product(rows: Float64Array, factors: Float64Array) -> Float64Array:
    """Return ``rows @ factors``; each row of the result depends on one row only.

    With BLAS the last bit of a row may depend on the number of rows.
    """
    out = np.zeros((factors.shape[1], len(rows)))  # transposed: long runs are faster
    term = np.empty_like(out)
    for column, factor in zip(np.ascontiguousarray(rows.T), factors, strict=True):
        out += np.multiply(factor[:, None], column, out=term)
    return np.ascontiguousarray(out.T)


#: Powers of 10 that fit in a uint64, and how many numbers are written at a time.
_POWERS = np.array([10**place for place in range(20)], np.uint64)
_NUMBERS = 1 << 16
_ZERO, _MINUS = ord("0"), ord("-")


def digits_of(numbers: AnyArray) -> PackedTokens:
    """Return integers (n,) as tokens: decimal digits, after ``-`` if negative.

    >>> digits_of(np.array([0, 12, -7])).unpack()
    ['0', '12', '-7']
    """
    lengths = np.empty(len(numbers), np.int64)
    for start in range(0, len(numbers), _NUMBERS):
        size, negative = _magnitude(numbers[start : start + _NUMBERS])
        lengths[start : start + _NUMBERS] = (
            np.searchsorted(_POWERS[1:], size, side="right") + 1 + negative
        )
    offsets = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = np.full(offsets[-1], _MINUS, np.uint8)
    for start in range(0, len(numbers), _NUMBERS):
        size, negative = _magnitude(numbers[start : start + _NUMBERS])
        ends = offsets[start + 1 : start + 1 + len(size)]
        width = lengths[start : start + len(size)] - negative
        for place in range(int(width.max(initial=0))):
            if place:
                longer = width > place
                size, ends, width = size[longer] // 10, ends[longer], width[longer]
            data[ends - 1 - place] = size % 10 + _ZERO
    return PackedTokens(data, offsets)


def _magnitude(numbers: AnyArray) -> tuple[UInt64Array, BoolArray]:
    """Return the absolute values of numbers, and which numbers are negative."""
    negative: BoolArray = numbers < 0
    size = numbers.astype(np.uint64)
    return np.where(negative, ~size + np.uint64(1), size), negative


def numbers_of(tokens: PackedTokens) -> tuple[Int64Array, BoolArray]:
    """Return the int64 numbers that tokens write, and a mask of the tokens that do.

    A token writes a number if `digits_of` returns that token for it. ``007``, ``+7``,
    ``7.0`` and ``-0`` do not; their number is 0.

    >>> numbers_of(PackedTokens.pack(["7", "007", "-12"]))
    (array([  7,   0, -12]), array([ True, False,  True]))
    """
    numbers = np.zeros(len(tokens), np.int64)
    good = np.zeros(len(tokens), np.bool_)
    for start in range(0, len(tokens), _NUMBERS):
        block = slice(start, start + _NUMBERS)
        numbers[block], good[block] = _parsed(tokens[block])
    return numbers, good


def _parsed(tokens: PackedTokens) -> tuple[Int64Array, BoolArray]:
    data, ends = tokens.data, tokens.offsets[1:]
    lengths = np.diff(tokens.offsets)
    # the first byte of each token, 0 for an empty one
    first = np.zeros(len(tokens), np.uint8)
    there = lengths > 0
    first[there] = data[tokens.offsets[:-1][there]]
    negative = first == _MINUS
    width = lengths - negative
    good: BoolArray = (width > 0) & (width < 20)
    size = np.zeros(len(tokens), np.uint64)
    digit = np.zeros(len(tokens), np.uint8)  # at the end the first byte of each
    for place in range(int(width[good].max(initial=0))):
        rows = np.flatnonzero(good & (width > place))
        # larger numbers would wrap
        digit[rows] = data[ends[rows] - 1 - place] - np.uint8(_ZERO)
        good[rows] = digit[rows] < 10
        size[rows] += digit[rows].astype(np.uint64) * _POWERS[place]
    good &= (digit > 0) | ((width == 1) & ~negative)
    good &= size <= np.uint64(2**63 - 1) + negative.astype(np.uint64)
    size[~good] = 0
    return np.where(negative, ~size + np.uint64(1), size).astype(np.int64), good
