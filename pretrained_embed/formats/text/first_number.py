"""Whose the first number of the rows is: the vector's, or the end of the token's.

``Route 66 0.1 0.2`` and ``route 0.66 0.1 0.2`` have one shape. What tells them apart is
how the first numbers are written, beside the others, and what stands before them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from enum import Enum

from pretrained_embed import kernel
from pretrained_embed.formats.text.shapes import Shapes

#: Rows that are looked at, and how many numbers of each the first one is compared with.
_ROWS, _BESIDE = 32, 8
#: Digits behind the point: of a number that people write, and of one of a vector.
_FEW_PLACES, _MANY_PLACES = 2, 4
#: How many rows are not sorted by chance.
_SORTED = 7
#: How likely the first numbers of a vector are as these, where they are surely not,
#: and where they may be not.
_SURELY, _PERHAPS = 0.005, 0.03
#: By chance, a column of whole numbers is seldom without a minus sign: not so seldom.
_NEVER = 1e-4
#: A number with which no vector's begins.
_ZEROS = re.compile(rb"[-+]?0\d")


class Owner(Enum):
    """Whose a number is."""

    TOKEN = "token"
    VECTOR = "vector"
    TOKEN_PERHAPS = "token, perhaps"
    UNKNOWN = "unknown"


def owner(rows: Shapes, dim: int) -> Owner:
    """Return whose the first is of the ``dim`` numbers that rows end in."""
    names, numbers = set(), []
    sample = rows.sample(_ROWS)
    for place in sample:
        line, more = rows.line(place), int(rows.numbers[place]) - dim
        if more < 0:
            continue
        begin = int(rows.front_end[place] - rows.begin[place])
        fields = line[begin:].split(None, more + 1 + _BESIDE)
        names.add((line[:begin], *fields[:more]))
        numbers.append(fields[more : more + min(dim, 1 + _BESIDE)])
    if len(sample) > 1 and len(names) <= max(1, len(sample) // 3):
        return Owner.TOKEN  # what is before them would be one token of many rows
    first, *others = zip(*numbers, strict=True)
    of_vector = any(n.startswith(b"-") or not _is_short(n) for n in first)
    if of_vector and _are_alike(first, others):
        return Owner.VECTOR  # as in most files, without a look at each number
    chance = _chance(first, others)
    if chance < _SURELY:
        return Owner.TOKEN
    if of_vector:
        return Owner.VECTOR
    return Owner.TOKEN_PERHAPS if chance <= _PERHAPS else Owner.UNKNOWN


def _are_alike(first: Sequence[bytes], others: Sequence[Sequence[bytes]]) -> bool:
    """Whether all numbers have a point, and nothing tells the first ones apart."""
    if not all(b"." in number for column in (first, *others) for number in column):
        return False
    if all(map(_is_short, first)) or any(map(_ZEROS.match, first)):
        return False
    return len(first) < _SORTED or not _is_sorted(list(map(_value, first)))


def _chance(first: Sequence[bytes], others: Sequence[Sequence[bytes]]) -> float:
    """Return how likely the first numbers of a vector are as these are."""
    count, rest = len(first), list(itertools.chain(*others))
    if not rest:
        return 1
    if 2 * sum(_ZEROS.match(number) is not None for number in first) > count:
        return 0
    if all(map(_is_long, rest)) and all(map(_is_short, first)):
        return 0
    chances = [_share(has, first, others) for has in (_is_whole, _is_broken, _is_short)]
    values = list(map(_value, first))
    if count >= _SORTED and _is_sorted(values):
        columns = ([_value(number) for number in column] for column in others)
        chances.append(1 if any(map(_is_sorted, columns)) else 0)
    if all(map(_is_whole, itertools.chain(first, rest))):
        numbers = list(map(_value, rest))
        low, high = min(values), max(map(abs, numbers)) + 1
        if low > high or max(values) < -high:
            chances.append(_PERHAPS if count < _SORTED else 0)
        if low >= 0:
            positive = (sum(number >= 0 for number in numbers) + 1) / (len(numbers) + 2)
            never = positive**count
            chances.append(never if never < _NEVER else max(never, _SURELY))
    return min(chances)


def _share(
    has: Callable[[bytes], bool],
    first: Sequence[bytes],
    others: Sequence[Sequence[bytes]],
) -> float:
    """Return how likely all first numbers have what some of the others have."""
    if not all(map(has, first)):
        return 1
    some = [sum(map(has, column)) for column in others]
    if not any(some):
        return min(_PERHAPS, (1 / (2 + len(first) * len(others))) ** len(first))
    chance = float((sum(some) + 1) / (len(first) * len(others) + 2)) ** len(first)
    return max(chance, some.count(len(first)) / (1 + len(others)))


def _places(number: bytes) -> bytes:
    """Return what stands behind the point; of an exponent, all of the number."""
    return number if _has_exponent(number) else number.partition(b".")[2]


def _has_exponent(number: bytes) -> bool:
    return b"e" in number.lower()


def _is_whole(number: bytes) -> bool:
    return number.lstrip(b"-+").isdigit()


def _is_broken(number: bytes) -> bool:
    return not _is_whole(number)


def _is_short(number: bytes) -> bool:
    return len(_places(number)) <= _FEW_PLACES


def _is_long(number: bytes) -> bool:
    return len(_places(number)) >= _MANY_PLACES


def _is_sorted(values: Sequence[float]) -> bool:
    up = all(a < b for a, b in itertools.pairwise(values))
    return up or all(a > b for a, b in itertools.pairwise(values))


def _value(field: bytes) -> float:
    return kernel.number(field) or 0.0
