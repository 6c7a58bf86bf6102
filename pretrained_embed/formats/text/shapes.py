"""The shapes of the first lines of a text: what their fields are and what is between.

The kernel measures the lines (see `measure_text` in its reference). Here are the
columns by name, and what a separator makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import BoolArray, Int64Array

#: Lines that are measured: as many as take a millisecond, where rows have one number.
_MOST_LINES = 1 << 14
#: Of how many lines, evenly spread, the bytes are looked at where some are enough.
SAMPLE = 400

#: Whether a gap of each kind ends in a tab.
ENDS_IN_TAB = np.isin(range(7), (kernel.TAB, kernel.TABS, kernel.MIXED_TAB))
_GAP_OF = {b" ": kernel.SPACE, b"\t": kernel.TAB}


class Shapes:
    """The shapes of some lines of ``head``; all columns are int64 (lines,)."""

    def __init__(self, head: bytes, columns: Int64Array) -> None:
        self.head = head
        self.columns = columns
        (
            self.begin,
            self.end,
            self.numbers,  # at the end, whatever blanks are between
            self.alike,  # of these, with the same gap between them
            self.between,  # that gap
            self.before,  # the gap before those alike
            self.near,  # places from the end of the last number that is not whole,
            self.far,  # and of the first; 0 if all are
            self.front,  # where the field before the numbers begins
            self.front_end,
            self.lead,  # first field of the line: 0 no number, 1 a whole one, 2 another
            both,
        ) = columns
        self.outer = both >> 32  # the gap before all numbers
        self.odd = both & 0xFFFFFFFF  # gaps between numbers of more than one byte

    @classmethod
    def measure(cls, head: bytes, begin: int, *, final: bool) -> tuple[Self, bool]:
        """Measure lines of ``head`` from ``begin`` on; ``final``: it is all.

        Returns the lines, and whether these are all of a file.
        """
        feeds = np.frombuffer(head, np.uint8) == 0x0A  # sooner counted than by bytes
        room = min(int(np.count_nonzero(feeds)) + final, _MOST_LINES)
        shapes = np.empty((room, kernel.SHAPE_COLUMNS), np.int64)
        end, rows = kernel.measure_text(head, begin, len(head), final, shapes)
        lines = cls(head, np.ascontiguousarray(shapes[:rows].T))
        return lines, final and end == len(head)

    def __len__(self) -> int:
        return len(self.begin)

    def __getitem__(self, chosen: slice | BoolArray) -> Shapes:
        """Return some of the lines."""
        if not isinstance(chosen, slice) and chosen.all():
            return self  # sooner than a copy
        return Shapes(self.head, self.columns[:, chosen])

    def __add__(self, more: Shapes) -> Shapes:
        """Return these lines and then others of the same head."""
        return Shapes(self.head, np.hstack([self.columns, more.columns]))

    def line(self, number: int) -> bytes:
        """Return the bytes of a line, without blanks at its end."""
        return self.head[self.begin[number] : self.end[number]]

    def sample(self, most: int = SAMPLE) -> range:
        """Return the numbers of some lines, of all where they are few."""
        return range(0, len(self), max(1, -(-len(self) // most)))

    def fronts(self) -> Iterator[bytes]:
        """Yield the field before the numbers of each line of the sample.

        Nothing stands for that with which a line begins: it is the token's.
        """
        spans = (self.begin, self.front, self.front_end)
        for line, begin, end in np.column_stack([s[self.sample()] for s in spans]):
            yield self.head[begin:end] if begin > line else b""

    def filled(self) -> Shapes:
        """Return the lines that are not blank."""
        return self[self.end > self.begin]

    def without(self, lines: list[int]) -> Shapes:
        """Return all but these lines."""
        return self[~np.isin(np.arange(len(self)), lines)] if lines else self

    @property
    def integers(self) -> BoolArray:
        """Whether each line is two whole numbers, or three."""
        few = (self.numbers > 0) & (self.numbers < 3)
        lines: BoolArray = few & (self.near == 0) & (self.lead == 1) & self.all_numbers
        return lines

    @property
    def all_numbers(self) -> BoolArray:
        """Whether each line is numbers from its first field on."""
        lines: BoolArray = (self.lead > 0) & (self.front == self.begin)
        return lines

    def runs(self, separator: bytes, delimiter: bytes) -> Int64Array:
        """Return how many numbers each line ends in, read with these separators.

        They have one ``separator`` between them and a ``delimiter`` before the first.
        """
        gap = _GAP_OF[separator]
        fits = (self.between == gap) | (self.numbers == 1)
        parted = ENDS_IN_TAB[self.before] == (delimiter == b"\t")
        # what another gap is before is no field of its own, but the end of the token
        apart = self.alike - 1 if separator == delimiter else 0
        last = ENDS_IN_TAB[self.between] == (delimiter == b"\t")
        return np.where(
            fits,
            np.where(parted, self.alike, apart),
            (self.numbers > 0) & last,
        )
