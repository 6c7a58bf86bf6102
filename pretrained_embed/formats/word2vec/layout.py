"""Finding out how a word2vec binary file is laid out, from its first rows.

Its header says no more than ``count dim``. How wide its numbers are, and which of their
bytes comes first, is seen by taking rows apart: with the right width tokens come out,
with a wrong one bytes of numbers. All but a few files have single precision, which is
assumed where nothing tells.
"""

from __future__ import annotations

import heapq
import re
from functools import cache
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, Float64Array, Int64Array

#: What numbers can be, in the order of likelihood.
DTYPES = ("<f4", "<f8", "<f2")

#: Rows looked at to find out what the numbers are, how few of them tell nothing of
#: that, and what part of their tokens may be odd: those with a blank are read wrongly.
_SAMPLE_ROWS, _TELLING_ROWS, _ODD_TOKENS = 64, 2, 0.1
_SENSELESS = 4
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_ESCAPED = re.compile("[\udc80-\udcff]")
_NO_TEXT = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")
#: Bytes that a token may have, of those that are looked at, and blanks tried; how many
#: ways of rows are gone at most.
LONGEST_TOKEN, MOST_BLANKS = 1024, 64
_TRIED = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]{0,%d}" % LONGEST_TOKEN)
_MOST_WAYS = 512
#: How often bytes stand in tokens: a control hardly ever, a blank seldom.
_OFTEN = (
    *((b"abcdefghijklmnopqrstuvwxyz", 0.5), (b"0123456789", 0.1)),
    *((b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 0.1), (bytes(range(0xC0, 0x100)), 0.2)),
    (b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 0.099),
    *((b" ", 1e-6), (bytes(range(0x20)) + b"\x7f", 1e-4)),
    (bytes(range(0x80, 0xC0)), 0.9),  # behind another of UTF-8
)
#: How many times less likely is a token that is no UTF-8, and one without a byte.
UNLIKELY = 1e-4
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


class Sample(NamedTuple):
    """The first rows of a file, taken apart."""

    tokens: list[bytes]
    vectors: bytes  # of those whose token can end at one blank alone, if there are any
    doubtful: bool  # not all of them are such
    end: int  # of the last of them
    line_ends: int  # rows that an LF stands before


class Layout(NamedTuple):
    """How the rows of one binary file are built."""

    rows: int  # as the header declares
    dim: int
    skip: int  # bytes of the header
    dtype: str  # of the numbers; nothing in the file tells
    usual: Usual | None  # sizes of the numbers; None: they have any
    sample: Sample
    unsure: bool = False  # the numbers may have their highest byte first
    widths: int = 1  # that numbers may have, by the count of rows and the end

    @property
    def slots(self) -> int:
        """Bytes of a vector, counted in those of a float32."""
        return self.dim * int(self.dtype[-1]) // 4

    @property
    def is_odd(self) -> bool:
        """Whether a vector is no whole number of float32, as of halves it may be."""
        return bool(self.dim * int(self.dtype[-1]) % 4)

    @property
    def is_senseless(self) -> bool:
        """Whether most tokens hold bytes of numbers, whatever these are taken for."""
        tokens = self.sample.tokens
        odd = sum(_NO_TEXT.search(token) is not None for token in tokens)
        return len(tokens) >= _SENSELESS and 2 * odd > len(tokens)


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
    found, samples = [], []
    for dtype in DTYPES:
        size = dim * int(dtype[-1])
        sample = _sample(head, skip, size, count if whole else 0)
        samples.append(sample)
        exact = whole and len(sample.tokens) == count
        exact = exact and not head[sample.end :].strip(_LF)
        if _are_tokens(sample.tokens, 1 if exact else _TELLING_ROWS):
            odd = size % 4 > 0  # which is no way to write them, but one to say so
            told = sum(map(gain_of, sample.tokens)) / max(1, sample.end - skip)
            found.append(((odd, not exact, -told), dtype, sample))
    widths = sum(not inexact for (_, inexact, _), _, _ in found)
    found.append(((True, True, 0.0), DTYPES[0], samples[0]))
    _, dtype, sample = min(found, key=lambda each: each[0])
    layout = _with_numbers(Layout(count, dim, skip, dtype, None, sample))
    return layout._replace(widths=widths)


def _header(head: bytes) -> tuple[int, int, int] | None:
    """Return count, dim and length of the header, ``None`` if there is none."""
    line, lf, _ = head[:_LONGEST_HEADER].partition(_LF)
    fields = line.rstrip(b"\r").split()
    if not lf or len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    count, dim = int(fields[0]), int(fields[1])
    return (count, dim, len(line) + 1) if dim >= 1 else None


def _sample(head: bytes, position: int, size: int, count: int) -> Sample:
    """Return the first rows, if their vectors have ``size`` bytes.

    Each token ends at its first blank, unless there may be others, or some look like
    none: then at those blanks that make the likeliest tokens of all rows. ``count`` is
    how many rows there are, if this is all of the file, or else 0.
    """
    plain = _taken_apart(head, position, size, None)
    if not plain.doubtful and all(map(is_token, plain.tokens)):
        return plain
    return _taken_apart(
        head, position, size, _likeliest_ends(head, position, size, count)
    )


def _taken_apart(
    head: bytes, position: int, size: int, ends: dict[int, int] | None
) -> Sample:
    """Return rows whose tokens end at ``ends``, by where the rows begin."""
    tokens, vectors, sure, line_ends = [], [], [], 0
    for _ in range(_SAMPLE_ROWS):
        space = head.find(_SPACE, position) if ends is None else ends.get(position, -1)
        end = space + 1 + size
        if space < 0 or end > len(head):
            break
        raw = head[position:space]
        tokens.append(token := raw.lstrip(_LF))
        line_ends += len(token) < len(raw)
        vectors.append(head[space + 1 : end])
        if len(blanks_of(head, position)) == 1:
            sure.append(vectors[-1])
        position = end
    doubtful = len(sure) < len(tokens)
    return Sample(tokens, b"".join(sure or vectors), doubtful, position, line_ends)


def blanks_of(raw: bytes, begin: int) -> list[int]:
    """Return where the token at ``begin`` may end: at blanks with text before them."""
    first = raw.find(_SPACE, begin)
    if first < 0:
        return []
    text = _TRIED.match(raw, first + 1)
    behind = b"" if text is None else text[0]
    more = [first + 1 + m.start() for m in re.finditer(rb" ", behind)]
    return [first, *more[:MOST_BLANKS]]


def _likeliest_ends(
    head: bytes, position: int, size: int, count: int
) -> dict[int, int]:
    """Return where tokens end in the likeliest way to take rows apart.

    Of all ways the one counts whose tokens are, in all, the likeliest as text, beside
    bytes of any kind.
    """
    ways = {position: (0.0, 0, -1, -1)}  # by where a row begins
    waiting, seen, last = [position], 0, position
    while waiting and seen < _MOST_WAYS:
        here = heapq.heappop(waiting)
        seen += 1
        gain, rows, _, _ = ways[here]
        if rows == count and not head[here:].strip(_LF):  # as the header says
            last = here
            break
        if gain > ways[last][0]:
            last = here
        if rows == _SAMPLE_ROWS:
            continue
        for space in blanks_of(head, here):
            behind = space + 1 + size
            if behind > len(head):
                break
            more = gain + gain_of(head[here:space].lstrip(_LF))
            if behind not in ways:
                heapq.heappush(waiting, behind)
            if behind not in ways or more > ways[behind][0]:
                ways[behind] = more, rows + 1, here, space
    ends = {}
    while last != position:
        _, _, before, space = ways[last]
        ends[before] = space
        last = before
    return ends


@cache
def byte_chances() -> Float64Array:
    """Return how likely each byte is in a token, float64 (256,)."""
    chances = np.empty(256)
    for some, share in _OFTEN:
        chances[[*some]] = share / len(some)
    return chances


def gain_of(token: bytes) -> float:
    """Return how much likelier bytes are as a token than as any, as a logarithm."""
    token = token[:LONGEST_TOKEN]
    found = np.frombuffer(token + b"e", np.uint8)  # e: as often as tokens end
    odd = no_utf_8(token) if token else 1
    return float(np.log(256 * byte_chances()[found]).sum() + odd * np.log(UNLIKELY))


def no_utf_8(token: bytes) -> int:
    """Return how many bytes of a token are no UTF-8."""
    text = token.decode("utf-8", "surrogateescape")
    return 0 if text.isascii() else len(_ESCAPED.findall(text))


def _are_tokens(sample: list[bytes], least: int) -> bool:
    """Whether these are tokens: bytes of numbers are seldom UTF-8 twice in a row."""
    odd = sum(not token or not is_token(token) for token in sample)
    return len(sample) >= least and odd <= _ODD_TOKENS * len(sample)


def is_token(raw: bytes) -> bool:
    """Whether bytes look like a token: UTF-8 without control characters."""
    try:
        return not _CONTROLS.search(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _with_numbers(layout: Layout) -> Layout:
    """Return the layout with what the numbers of the sample tell of all of them."""
    numbers = np.frombuffer(layout.sample.vectors, layout.dtype)
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
