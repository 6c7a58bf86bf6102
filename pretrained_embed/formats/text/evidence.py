"""What is known of a text file's first lines while its layout is decided."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import BoolArray, Int64Array
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.known_layout import SEPARATORS, KnownLayout
from pretrained_embed.formats.text.shapes import Shapes

#: Digits that a number of a header has at most.
_LONGEST_COUNT = 18
#: Integers of the longest header: deeplearning4j writes three.
_LONGEST_HEADER = 8
#: Errors that are about line 1.
_OF_LINE_1 = (
    *("header.not-borne-out", "header.three-integers", "header.in-words"),
    *("text.column-numbers", "text.comment"),
)


def most(rows: BoolArray) -> bool:
    """Whether something is so of more than half of the rows."""
    return 2 * int(rows.sum()) > len(rows)


def common_number(rows: Shapes) -> int:
    """Return how many numbers most of some rows end in, whatever is between them."""
    return int(np.bincount(rows.numbers).argmax())


def or_tell(layout: str) -> str:
    """Return the end of a remedy: what to tell if the file is right."""
    return f", or pass layout={layout!r} (--layout {layout}) if it is right as it is"


class Style(NamedTuple):
    """Separators, and how many numbers each row ends in, read with them."""

    separator: bytes
    delimiter: bytes
    runs: Int64Array

    @classmethod
    def of(cls, rows: Shapes, name: str) -> Style:
        """Return a style of `SEPARATORS`, as these rows bear it out."""
        separator, delimiter = SEPARATORS[name]
        return cls(separator, delimiter, rows.runs(separator, delimiter))

    @property
    def name(self) -> str:
        """The key of the style in `SEPARATORS`."""
        pair = self.separator, self.delimiter
        return next(name for name, one in SEPARATORS.items() if one == pair)

    def fits(self, dim: int) -> bool:
        """Whether some row has just so many numbers, and half have so many or more."""
        return bool((self.runs == dim).any()) and self.reaches(dim)

    def reaches(self, dim: int) -> bool:
        """Whether half of the rows have so many numbers or more."""
        return dim > 0 and 2 * int((self.runs >= dim).sum()) >= len(self.runs)

    def dim(self) -> int:
        """Return the commonest number of numbers, of two the smaller one; or 0."""
        counts = np.bincount(self.runs)
        common = np.flatnonzero(counts == counts.max())
        if counts.max() == 1 and len(common) > 2:  # no two rows agree
            return 0
        return int(common[common > 0][0]) if common.any() else 0


class FirstLine(NamedTuple):
    """A first line of integers."""

    numbers: list[int]

    @classmethod
    def of(cls, line: bytes) -> FirstLine | None:
        """Return what a line is if it is integers alone."""
        fields = line.split()
        if not 1 <= len(fields) <= _LONGEST_HEADER:
            return None
        if not all(f.isdigit() and len(f) <= _LONGEST_COUNT for f in fields):
            return None
        return cls([int(field) for field in fields])

    def again(self, rows: Shapes) -> list[int]:
        """Return which rows are this header, or one that begins with its numbers."""
        pair = sorted(self.numbers[:2])
        places = np.flatnonzero(rows.integers).tolist() if len(pair) > 1 else []
        return [p for p in places if sorted(map(int, rows.line(p).split()[:2])) == pair]

    def readings(self) -> list[tuple[int, int]]:
        """Return (count, dim) for each way to read two integers side by side."""
        pairs = pairwise(self.numbers)
        return [pair for a, b in pairs for pair in ((a, b), (b, a))]


class Lines(NamedTuple):
    """The first lines of a file, and what is known of it."""

    name: str
    whole: bool  # the lines are all there are
    first: Shapes  # line 1
    rows: Shapes  # lines of rows, without blank ones and without a header
    header: FirstLine | None  # line 1, where it consists of integers
    known: KnownLayout

    def with_first(self) -> Lines:
        """Return the same with line 1 as a row."""
        return self._replace(rows=self.first + self.rows)

    def counted(self, count: int) -> bool:
        """Whether a declared count is true, as far as the lines tell."""
        return count == len(self.rows) if self.whole else count >= len(self.rows)

    def error(self, code: str, what: str, remedy: str) -> FormatError:
        """Return the error for a file that cannot be read as it is."""
        where = f"{self.name}, line 1" if code in _OF_LINE_1 else self.name
        return FormatError(f"{where}: {what}. {remedy}", code=code)


class Found(NamedTuple):
    """What was decided of a file's first lines."""

    text: Lines  # its rows are those of the file
    style: Style
    dim: int
    header: bool
    declared: int | None = None  # rows, as the header says
    notes: tuple[Note, ...] = ()

    @property
    def in_tokens(self) -> bool:
        """Whether all tokens are taken to end in numbers, as the header says it."""
        return any(n.code == "header.tokens-end-in-numbers" for n in self.notes)


class Styles(NamedTuple):
    """The separators that rows may have, the likelier first."""

    ways: tuple[Style, ...]
    doubt: str | None = None  # why the rows alone do not tell
