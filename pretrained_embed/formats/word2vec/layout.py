"""Finding out how a word2vec binary file is laid out, from its first rows.

Its header says no more than ``count dim``. How wide its numbers are, and which of their
bytes comes first, is seen by taking rows apart: with the right width tokens come out,
with a wrong one bytes of numbers. All but a few files have single precision, which is
assumed where nothing tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, BoolArray, Float64Array, Int64Array

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

#: Magnitudes that numbers of vectors have: of big-endian ones that are read as
#: little-endian ones a good part is elsewhere.
_SMALLEST, _LARGEST = 1e-25, 1e25
#: The part of the numbers that has to be elsewhere as they are, and that among those
#: sizes once swapped: all of few, of many not quite (a token with a blank makes some of
#: them odd); how few different ones tell nothing, and how few that are elsewhere.
_ELSEWHERE, _MANY, _SWAPPED, _FEW, _ODD = 0.1, 64, 0.9, 4, 3
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


def find_layout(head: bytes) -> Layout | None:
    """Return the layout of a file that begins with ``head``, ``None`` if no header."""
    header = _header(head)
    if header is None:
        return None
    count, dim, skip = header
    for dtype in DTYPES:
        size = dim * int(dtype[-1])
        tokens, vectors = _sample(head, skip, size)
        if size % 4 == 0 and _are_tokens(tokens):
            return _with_numbers(Layout(count, dim, skip, dtype, None), vectors)
    single = Layout(count, dim, skip, DTYPES[0], None)
    return _with_numbers(single, _sample(head, skip, 4 * dim)[1])


def _header(head: bytes) -> tuple[int, int, int] | None:
    """Return count, dim and length of the header, ``None`` if there is none."""
    line, lf, _ = head[:_LONGEST_HEADER].partition(_LF)
    fields = line.rstrip(b"\r").split()
    if not lf or len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    count, dim = int(fields[0]), int(fields[1])
    return (count, dim, len(line) + 1) if dim >= 1 else None


def _sample(head: bytes, position: int, size: int) -> tuple[list[bytes], bytes]:
    """Return the first tokens and their vectors, if these have ``size`` bytes."""
    tokens, vectors = [], []
    for _ in range(_SAMPLE_ROWS):
        space = head.find(_SPACE, position)
        end = space + 1 + size
        if space < 0 or end > len(head):
            break
        tokens.append(head[position:space].lstrip(_LF))
        vectors.append(head[space + 1 : end])
        position = end
    return tokens, b"".join(vectors)


def _are_tokens(sample: list[bytes]) -> bool:
    """Whether these are tokens: bytes of numbers are seldom UTF-8 twice in a row."""
    odd = sum(not is_token(token) for token in sample)
    return len(sample) >= _TELLING_ROWS and odd <= _ODD_TOKENS * len(sample)


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
    if is_swapped(numbers, swapped):
        layout, numbers = layout._replace(dtype=swapped.dtype.str), swapped
    exponents = _exponents(numbers)
    if not len(exponents):
        return layout
    median = int(np.median(exponents))
    usual = Usual(median - _BELOW, median + _ABOVE)
    if usual.odd(numbers) > _USUAL * len(exponents):
        return layout
    return layout._replace(usual=usual)


def _is_swapped(numbers: AnyArray, swapped: AnyArray) -> bool:
    """Whether numbers are of sizes that those of vectors have only once swapped."""
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        sizes, once_swapped = (
            np.abs(given[numbers != 0].astype(np.float64))
            for given in (numbers, swapped)
        )
    if len(np.unique(sizes)) < _FEW:
        return False

    def part(sizes: Float64Array, test: Callable[[Float64Array], BoolArray]) -> float:
        return float(np.count_nonzero(test(sizes))) / len(sizes)

    inside = part(once_swapped, _has_usual_size)
    elsewhere = 1 - part(sizes, _has_usual_size)
    if len(sizes) >= _MANY:
        return inside > _SWAPPED and elsewhere > _ELSEWHERE
    return inside == 1 and elsewhere > _ELSEWHERE and elsewhere * len(sizes) >= _ODD


def _are_halves_swapped(numbers: AnyArray, swapped: AnyArray) -> bool:
    """Whether halves, which have few sizes, have all of them, and swapped only some."""
    given, once_swapped = _exponents(numbers), _exponents(swapped)
    if len(given) < _MANY or not np.isfinite(swapped).all():
        return False
    given = np.minimum(given, _ALL_SIZES)  # not finite: larger than any
    sizes_fit = np.median(once_swapped) > _SUBNORMAL
    return bool(sizes_fit and given.std() > _WIDE and once_swapped.std() < _NARROW)


def _has_usual_size(sizes: Float64Array) -> BoolArray:
    usual: BoolArray = (sizes >= _SMALLEST) & (sizes <= _LARGEST)
    return usual


def _exponents(numbers: AnyArray) -> Int64Array:
    """Return the binary exponents of those that are not zero; large if not finite."""
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        numbers = numbers[numbers != 0].astype(np.float64)
        exponents = np.frexp(numbers)[1].astype(np.int64)
    exponents[~np.isfinite(numbers)] = 1 << 20
    return exponents
