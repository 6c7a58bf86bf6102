"""Rows of binary32 numbers as the shortest decimals that read back as the same bits.

A number is read as ``float32(float(text))``. With at most 15 digits and a power of ten
within 22 that is ``float32(digits / 10**places)``, so whether a decimal reads back is
seen without writing it. Six digits tell any two decimals of so many apart; where they
do not give the number back, seven, eight or nine do. Whole arrays are tried at once,
which is several times as fast as to write number by number. Numbers that are very large
or very small, or not finite, numpy writes in the same form: ``0.1``, ``1e-09``,
``nan``. Whole numbers have no point. All this is as GloVe's own program has it, so that
its files come out byte for byte.
"""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Int64Array, UInt8Array

#: Numbers to give to `rows_of_decimals` at once: few enough to stay in a cache.
NUMBERS = 1 << 15

_LEAST, _MOST = 1e-4, 1e4  # written digit by digit from the one up to the other
_DIGITS = (6, 7, 8, 9)  # of a number; 9 are always enough
_PLACES = 12  # behind the point: 9 digits of the smallest number
_GROUP = 10_000  # digits are looked up four at a time
_FOUR = np.array([b"%04d" % number for number in range(_GROUP)], "S4").view(np.uint32)
_POWERS = 10 ** np.arange(_PLACES + 1, dtype=np.int64)
_BORDERS = 10.0 ** np.arange(-3, 4)  # between the numbers of digits before the point

# A number in bytes: sign, four digits, point, twelve digits, separator. Bytes that a
# number does not have are left out at the end.
_SIGN, _POINT, _END = 0, 5, 18
_WIDTH = 19


def rows_of_decimals(vectors: Float32Array, separator: bytes) -> list[bytes]:
    """Return the text of each row: its numbers with ``separator`` between them.

    ``vectors`` is float32 (rows, dim), with one dim at least; ``separator`` is a byte.
    """
    rows, dim = vectors.shape
    numbers = np.ascontiguousarray(vectors).reshape(-1)
    text = np.empty((rows * dim, _WIDTH), np.uint8)
    shown = np.zeros(text.shape, np.bool_)
    text[:, _END] = ord(separator)
    text[dim - 1 :: dim, _END] = ord("\n")
    shown[:, _END] = True

    digits, places, known = _shortest(numbers)
    _lay_out(text, shown, numbers, digits, places)
    for number in np.flatnonzero(~known).tolist():
        _write_apart(text[number], shown[number], numbers[number])
    return text[shown].tobytes().split(b"\n")[:-1]


def _shortest(
    numbers: Float32Array,
) -> tuple[Int64Array, Int64Array, BoolArray]:
    """Return digits and places: a number is digits / 10**places, where it is known."""
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        size = np.abs(numbers.astype(np.float64))
    digits = np.zeros(len(numbers), np.int64)
    places = np.zeros(len(numbers), np.int64)
    left = np.flatnonzero((size >= _LEAST) & (size < _MOST))
    # How many places behind the point the first digit has, at most 4, at least -3.
    first = 4 - np.searchsorted(_BORDERS, size, "right")
    for count in _DIGITS:
        power = first[left] + (count - 1)
        scale = _POWERS[power].astype(np.float64)
        tried = np.rint(size[left] * scale)
        fits = (tried / scale).astype(np.float32) == size[left]
        digits[left[fits]] = tried[fits].astype(np.int64)
        places[left[fits]] = power[fits]
        left = left[~fits]
    known = (size == 0) | (digits > 0)
    return digits, places, known


def _lay_out(
    text: UInt8Array,
    shown: BoolArray,
    numbers: Float32Array,
    digits: Int64Array,
    places: Int64Array,
) -> None:
    """Write every number with all digits of the layout, and mark those it needs."""
    whole, rest = np.divmod(digits, _POWERS[places])
    rest *= _POWERS[_PLACES - places]
    groups = np.empty((len(numbers), 4), np.uint32)
    groups[:, 0] = _FOUR[whole]
    for group in (3, 2, 1):
        rest, four = np.divmod(rest, _GROUP)
        groups[:, group] = _FOUR[four]
    figures = groups.view(np.uint8).reshape(-1, 16)

    text[:, _SIGN] = ord("-")
    shown[:, _SIGN] = np.signbit(numbers)
    text[:, _SIGN + 1 : _POINT] = figures[:, :4]
    for place in range(4):
        shown[:, _SIGN + 1 + place] = whole >= 10 ** (3 - place)
    shown[:, _POINT - 1] = True  # one digit before the point, even 0
    text[:, _POINT] = ord(".")
    text[:, _POINT + 1 : _END] = figures[:, 4:]
    needed = np.zeros(len(numbers), np.bool_)
    for place in range(_PLACES - 1, -1, -1):  # all but the zeros at the end
        needed |= figures[:, 4 + place] != ord("0")
        shown[:, _POINT + 1 + place] = needed
    shown[:, _POINT] = needed


def _write_apart(text: UInt8Array, shown: BoolArray, number: np.float32) -> None:
    """Write one number with numpy's digits."""
    written = str(number).removesuffix(".0").encode("ascii")
    # Reading goes through binary64, so the shortest might round the other way. None is
    # known to; one that did would be written as the binary64 it is.
    if np.float32(float(written)) != number and number == number:
        written = repr(float(number)).encode("ascii")
    text[: len(written)] = np.frombuffer(written, np.uint8)
    shown[:_END] = False
    shown[: len(written)] = True
