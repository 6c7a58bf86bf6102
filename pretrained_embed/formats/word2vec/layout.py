"""Finding out how a word2vec binary file is laid out, from its first rows.

Its header says no more than ``count dim``. How wide its numbers are, and which of their
bytes comes first, is seen by taking rows apart: with the right width tokens come out,
with a wrong one bytes of numbers. All but a few files have single precision, which is
assumed where nothing tells.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array

#: What numbers can be, in the order of likelihood.
DTYPES = ("<f4", "<f8", "<f2")

#: Rows looked at to find out what the numbers are, how few of them tell nothing of
#: that, and what part of their tokens may be odd: those with a blank are read wrongly.
_SAMPLE_ROWS, _TELLING_ROWS, _ODD_TOKENS = 64, 2, 0.1
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_LONGEST_HEADER = 64
#: Bytes looked at to tell numbers from text; how few of them tell nothing, of those
#: that could be text of any encoding and of those that are UTF-8.
_TELLING, _TOO_FEW, _TOO_FEW_UTF_8 = 4096, 128, 16
#: Sizes of the numbers of a vector that are all in ASCII by chance.
_LEAST, _MOST = 1e-4, 1e4
_TEXT = bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100)) + b"\t\n\v\f\r"
_NUMBER = re.compile(rb"[\[(]*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?[\])]*")
_FIELDS, _LINES = re.compile(rb"[ \t,;|]+"), re.compile(rb"[\r\n]+")
_LF, _SPACE = b"\n", b" "

#: Binary exponents that numbers of vectors have, all (1e-25 to 1e25) and most of them:
#: of big-endian ones that are read as little-endian ones a good part is elsewhere.
_OF_VECTORS = ((-83, 83), (-30, 14))
#: The part of many numbers that has to be elsewhere as they are, and that among those
#: sizes once swapped: not all, for a token with a blank makes some of them odd. Of few
#: numbers, the part that is elsewhere. How likely they are there by chance.
_ELSEWHERE, _MANY, _SWAPPED, _OF_FEW, _SURE = 0.1, 64, 0.9, 0.25, 0.001
#: Binary exponents of halves: those that have all their digits are between, and how
#: they spread where bytes of all values are taken for them, and in vectors.
_SUBNORMAL, _ALL_SIZES, _WIDE, _NARROW = -14, 16, 6, 3
#: Binary exponents below and above the median that are usual, and the part of them that
#: has to be so for this to tell anything.
_BELOW, _ABOVE, _USUAL = 20, 10, 0.5


class Usual(NamedTuple):
    """The binary exponents that a file's numbers usually have, as `numpy.frexp`."""

    low: int
    high: int

    def odd(self, numbers: AnyArray) -> int:
        """Return how many of the numbers are not zero and of another size."""
        exponents = _exponents(numbers)
        return int(np.count_nonzero((exponents < self.low) | (exponents > self.high)))


class Layout(NamedTuple):
    """How the rows of one binary file are built."""

    rows: int  # as the header declares
    dim: int
    skip: int  # bytes of the header
    dtype: str  # of the numbers; nothing in the file tells
    usual: Usual | None  # sizes of the numbers; None: they have any
    unsure: bool = False  # the numbers may have their highest byte first

    @property
    def slots(self) -> int:
        """Bytes of a vector, counted in those of a float32."""
        return self.dim * int(self.dtype[-1]) // 4


def is_binary(head: bytes) -> bool:
    """Whether the first bytes are those of a binary file, given that it is no text."""
    header = _header(head)
    if header is None:
        return False
    _, dim, skip = header
    body = head[skip : skip + _TELLING]
    return not _is_text(body) and not (body.isascii() and _is_small_text(body, dim))


def _is_small_text(body: bytes, dim: int) -> bool:
    """Whether ASCII is text, as its bytes make no numbers of a size that is usual."""
    if not body or body.translate(None, _TEXT):
        return False
    begin = body.find(_SPACE) + 1
    numbers = body[begin : begin + 4 * dim]
    sizes = np.abs(np.frombuffer(numbers[: len(numbers) // 4 * 4], "<f4"))
    return bool(((sizes < _LEAST) | (sizes > _MOST)).any()) or not len(sizes)


def _is_text(body: bytes) -> bool:
    """Whether this is text: by its bytes, or as most of its fields are numbers."""
    if not body.translate(None, _TEXT):
        if len(body) >= _TOO_FEW:
            return True
        if len(body) >= _TOO_FEW_UTF_8 and _is_utf_8(body):
            return True
    fields = [f for line in _LINES.split(body) for f in _FIELDS.split(line)[1:] if f]
    numbers = sum(_NUMBER.fullmatch(field) is not None for field in fields)
    return 2 * numbers > len(fields)


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start + 4 > len(body)  # cut within a character
    return True


def find_layout(head: bytes, *, whole: bool = False) -> Layout | None:
    """Return the layout of a file that begins with ``head``, ``None`` if no header.

    ``whole`` says that ``head`` is all of it.
    """
    header = _header(head)
    if header is None:
        return None
    count, dim, skip = header
    found = []
    for dtype in DTYPES:
        size = dim * int(dtype[-1])
        tokens, vectors, end = _sample(head, skip, size)
        exact = whole and len(tokens) == count and not head[end:].strip(_LF)
        if size % 4 == 0 and _are_tokens(tokens, 1 if exact else _TELLING_ROWS):
            found.append((not exact, dtype, vectors))
    found.append((True, DTYPES[0], _sample(head, skip, 4 * dim)[1]))
    _, dtype, vectors = min(found, key=lambda each: each[0])
    return _with_numbers(Layout(count, dim, skip, dtype, None), vectors)


def _header(head: bytes) -> tuple[int, int, int] | None:
    """Return count, dim and length of the header, ``None`` if there is none."""
    line, lf, _ = head[:_LONGEST_HEADER].partition(_LF)
    fields = line.rstrip(b"\r").split()
    if not lf or len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    count, dim = int(fields[0]), int(fields[1])
    return (count, dim, len(line) + 1) if dim >= 1 else None


def _sample(head: bytes, position: int, size: int) -> tuple[list[bytes], bytes, int]:
    """Return the first tokens and their vectors, if these have ``size`` bytes.

    And where they end.
    """
    tokens, vectors = [], []
    for _ in range(_SAMPLE_ROWS):
        space = head.find(_SPACE, position)
        end = space + 1 + size
        if space < 0 or end > len(head):
            break
        tokens.append(head[position:space].lstrip(_LF))
        vectors.append(head[space + 1 : end])
        position = end
    return tokens, b"".join(vectors), position


def _are_tokens(sample: list[bytes], least: int) -> bool:
    """Whether these are tokens: bytes of numbers are seldom UTF-8 twice in a row."""
    odd = sum(not is_token(token) for token in sample)
    return len(sample) >= least and odd <= _ODD_TOKENS * len(sample)


def is_token(raw: bytes) -> bool:
    """Whether bytes look like a token: UTF-8 without control characters."""
    try:
        return not _CONTROLS.search(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _with_numbers(layout: Layout, vectors: bytes) -> Layout:
    """Return the layout with what the numbers of a sample tell of all of them."""
    numbers = np.frombuffer(vectors, layout.dtype)
    swapped = numbers.view(layout.dtype.replace("<", ">"))
    is_swapped = _are_halves_swapped if layout.dtype == "<f2" else _is_swapped
    first = is_swapped(numbers, swapped)
    if first:
        layout, numbers = layout._replace(dtype=swapped.dtype.str), swapped
    layout = layout._replace(unsure=first is None)
    exponents = _exponents(numbers)
    if not len(exponents):
        return layout
    median = int(np.median(exponents))
    usual = Usual(median - _BELOW, median + _ABOVE)
    if usual.odd(numbers) > _USUAL * len(exponents):
        return layout
    return layout._replace(usual=usual)


def _is_swapped(numbers: AnyArray, swapped: AnyArray) -> bool | None:
    """Whether numbers are of sizes that those of vectors have only once swapped.

    ``None``: they seem to be, and are too few to tell.
    """
    some = (numbers != 0) & (swapped != 0)  # -0.0 is a number once it is swapped
    given, once = _exponents(numbers[some]), _exponents(swapped[some])
    verdict: bool | None = False
    exponents = 1 << (8 if numbers.itemsize == 4 else 11)
    for low, high in _OF_VECTORS:
        odd = (given < low) | (given > high)
        inside = (once >= low) & (once <= high)
        most = (_SWAPPED, _ELSEWHERE) if len(given) >= _MANY else (1, _OF_FEW)
        if odd.any() and np.mean(inside) >= most[0] and np.mean(odd) > most[1]:
            different = len(np.unique(np.abs(swapped[some][inside])))
            if ((high - low) / exponents) ** different < _SURE:
                return True
            verdict = None
    return verdict


def _are_halves_swapped(numbers: AnyArray, swapped: AnyArray) -> bool:
    """Whether halves, which have few sizes, have all of them, and swapped only some."""
    given, once_swapped = _exponents(numbers), _exponents(swapped)
    if len(given) < _MANY or not np.isfinite(swapped).all():
        return False
    given = np.minimum(given, _ALL_SIZES)  # not finite: larger than any
    sizes_fit = np.median(once_swapped) > _SUBNORMAL
    return bool(sizes_fit and given.std() > _WIDE and once_swapped.std() < _NARROW)


def _exponents(numbers: AnyArray) -> Int64Array:
    """Return the binary exponents of those that are not zero; large if not finite."""
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        numbers = numbers[numbers != 0].astype(np.float64)
        exponents = np.frexp(numbers)[1].astype(np.int64)
    exponents[~np.isfinite(numbers)] = 1 << 20
    return exponents
