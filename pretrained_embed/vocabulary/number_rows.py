"""`NumberRows`: rows whose tokens are integers, such as ids of items or nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Int64Array,
    PackedTokens,
    digits_of,
    numbers_of,
)
from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary.token_rows import NO_HOLES, TokenRows, cut, raw_of

_INT64 = np.iinfo(np.int64)


class NumberRows(TokenRows):
    """The number of each row, int64, 8 bytes for each; a few rows are text or holes.

    The token of a number is its decimal digits: 7 is ``"7"``, and ``"007"`` is another
    token. ``words`` are the rows of text, such as pad and unk; ``numbers`` is 0 there
    and in holes. Bytes and ``str`` of numbers are made on demand, and only `tokens` and
    `ids` keep them.
    """

    __slots__ = ("_indexed", "_order", "numbers", "words")

    def __init__(
        self,
        numbers: Int64Array,
        words: Mapping[int, str] | None = None,
        holes: Int64Array = NO_HOLES,
    ) -> None:
        self._tokens: tuple[str | None, ...] | None = None
        self._ids: dict[str, int] | None = None
        self._order: Int64Array | None = None
        self._indexed = False
        self.numbers = numbers
        self.words = dict(sorted((words or {}).items()))
        self.holes = holes
        for array in (numbers, holes):
            array.flags.writeable = False

    @classmethod
    def of_packed(cls, packed: PackedTokens, holes: Int64Array) -> NumberRows:
        """Return rows for tokens; tokens that write no number are words."""
        numbers, good = numbers_of(packed)
        good[holes] = True
        words = {row: packed[row] for row in np.flatnonzero(~good).tolist()}
        return cls(numbers, words, holes)

    @property
    def packed(self) -> PackedTokens:
        """The tokens of all rows, computed at each use."""
        packed = digits_of(self.numbers)
        if not self.words and not len(self.holes):
            return packed
        # Words come after the digits, and each row takes its bytes from its place.
        words = PackedTokens.pack(self.words.values())
        rows = np.fromiter(self.words, np.int64, len(self.words))
        starts, ends = packed.offsets[:-1].copy(), packed.offsets[1:].copy()
        starts[rows] = len(packed.data) + words.offsets[:-1]
        ends[rows] = len(packed.data) + words.offsets[1:]
        ends[self.holes] = starts[self.holes]
        return cut(np.concatenate([packed.data, words.data]), starts, ends)

    def completed(self, new: Collection[str], *, insert: int | None) -> NumberRows:
        """Return the rows with ``new`` tokens, each at a row, or after the last one."""
        place = len(self) if insert is None else insert
        numbers, good = numbers_of(PackedTokens.pack(new))
        added = {place + i: token for i, token in enumerate(new) if not good[i]}
        moved = {
            row + len(new) * (row >= place): word for row, word in self.words.items()
        }
        holes = self.holes + len(new) * (self.holes >= place)
        all_numbers = np.insert(self.numbers, place, numbers)
        return NumberRows(all_numbers, moved | added, holes)

    def with_row_0(self, token: str) -> NumberRows:
        """Return the rows with a token in row 0, which was a hole."""
        numbers, good = numbers_of(PackedTokens.pack([token]))
        changed = self.numbers.copy()
        changed[0] = numbers[0]
        words = self.words if good[0] else {0: token, **self.words}
        return NumberRows(changed, words, self.holes[1:])

    def rows_of_numbers(self, numbers: AnyArray) -> Int64Array:
        """Return the row of each number, int64, of the same shape; -1 for none.

        It needs an index of 8 bytes for each row, which is kept; none if the numbers
        ascend.
        """
        wanted = numbers
        if wanted.dtype == np.uint64:  # numpy would compare uint64 with int64 as floats
            wanted = np.where(numbers > _INT64.max, np.uint64(0), numbers)
        wanted = wanted.astype(np.int64)
        order = self._sorted()
        places = np.searchsorted(self.numbers, wanted, sorter=order)
        places = np.minimum(places, len(self) - 1)
        found = places if order is None else order[places]
        rows: Int64Array = np.where(self.numbers[found] == wanted, found, -1)
        zeros = wanted == 0  # which words and holes have, too
        if zeros.any():
            rows[zeros] = self._row_of_zero()
        if numbers.dtype == np.uint64:
            rows[numbers > _INT64.max] = -1
        return rows

    def _row_of_zero(self) -> int:
        others = np.union1d(np.fromiter(self.words, np.int64), self.holes)
        zeros = np.setdiff1d(np.flatnonzero(self.numbers == 0), others)
        return int(zeros[0]) if len(zeros) else -1

    def _sorted(self) -> Int64Array | None:
        """Return the rows in the order of their numbers; ``None`` if ascending."""
        if not self._indexed:
            rises = bool((self.numbers[1:] >= self.numbers[:-1]).all())
            self._order = None if rises else np.argsort(self.numbers, kind="stable")
            self._indexed = True
        return self._order

    def rows_of(self, tokens: PackedTokens) -> Int64Array:
        """Return the row of each token, int64 (tokens,), -1 for none."""
        numbers, good = numbers_of(tokens)
        rows = np.full(len(tokens), -1, np.int64)
        rows[good] = self.rows_of_numbers(numbers[good])
        if self.words:
            of_word = {word: row for row, word in self.words.items()}
            for place in np.flatnonzero(~good).tolist():
                rows[place] = of_word.get(tokens[place], -1)
        return rows

    def get(self, token: object) -> int | None:
        """Return the row of a number, of its digits or of a word; ``None`` for none."""
        if isinstance(token, str):
            found = self.find([token])
            return found.get(token)
        if isinstance(token, bool | np.bool) or not isinstance(token, int | np.integer):
            return None
        if not _INT64.min <= token <= _INT64.max:
            return None
        row = int(self.rows_of_numbers(np.array([token], np.int64))[0])
        return None if row < 0 else row

    def find(self, tokens: Collection[str]) -> dict[str, int]:
        """Return the rows of a few tokens, as far as they have one."""
        known = [token for token in tokens if raw_of(token) is not None]
        rows = self.rows_of(PackedTokens.pack(known)).tolist()
        return {token: row for token, row in zip(known, rows, strict=True) if row >= 0}

    def repeats(self) -> Iterator[tuple[int, int]]:
        """Yield rows whose number an earlier row has, after that earlier row."""
        order = self._sorted()
        order = np.arange(len(self)) if order is None else order
        others = np.union1d(np.fromiter(self.words, np.int64), self.holes)
        if len(others):
            order = order[~np.isin(order, others)]
        by_value = self.numbers[order]
        again = np.flatnonzero(by_value[1:] == by_value[:-1]) + 1
        again = again[np.argsort(order[again])]
        for place in again.tolist():
            first = np.searchsorted(by_value, by_value[place])
            yield int(order[first]), int(order[place])

    def part(self, rows: Int64Array) -> NumberRows:
        """Return some rows, each at most once, in order; no copy if consecutive."""
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            numbers = self.numbers[int(rows[0]) : int(rows[-1]) + 1]
        else:
            numbers = self.numbers[rows]
        words = {}
        if self.words:
            here = np.flatnonzero(np.isin(rows, list(self.words)))
            words = {int(place): self.words[int(rows[place])] for place in here}
        holes = NO_HOLES
        if len(self.holes):
            holes = np.flatnonzero(np.isin(rows, self.holes))
        return NumberRows(numbers, words, holes)

    def same_as(self, other: TokenRows) -> bool:
        """Return whether another object has the same tokens in the same rows."""
        if not isinstance(other, NumberRows):
            return super().same_as(other)
        return (
            np.array_equal(self.numbers, other.numbers)
            and self.words == other.words
            and np.array_equal(self.holes, other.holes)
        )

    def __iter__(self) -> Iterator[str]:
        """Yield the tokens in the order of their rows."""
        packed = self.packed
        return iter(packed.without(self.holes) if len(self.holes) else packed)

    def __len__(self) -> int:
        return len(self.numbers)

    def __reduce__(self) -> tuple[type[NumberRows], tuple[Any, ...]]:
        """Return the state for pickles, without computed attributes."""
        return type(self), (self.numbers, self.words, self.holes)


def are_numbers(value: object) -> bool:
    """Return whether an object is an array (n,) of integers, without ``bool``."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu"


def rows_of_array(numbers: AnyArray) -> NumberRows:
    """Return rows for an array (n,) of numbers, which is copied.

    Raises `VocabularyError` for another shape, for an empty array, for a number outside
    int64, and for one that is there twice.
    """
    if numbers.ndim != 1:
        raise VocabularyError(
            f"an array of {numbers.dtype} and shape {numbers.shape} is no list of "
            "whole numbers; give them in one dimension, such as array.ravel()"
        )
    if not len(numbers):
        raise VocabularyError("the vocabulary is empty; it needs at least one token")
    if numbers.dtype == np.uint64 and (beyond := numbers > _INT64.max).any():
        place = int(np.argmax(beyond))
        raise VocabularyError(
            f"the number {numbers[place]} at position {place} is more than int64 "
            "holds; give such ids as str"
        )
    rows = NumberRows(numbers.astype(np.int64))
    for first, second in rows.repeats():
        raise VocabularyError(
            f"the number {numbers[second]} is at position {first} and again at "
            f"position {second}; a token has one id. numpy.unique(array) leaves each "
            "once"
        )
    return rows


def array_of_keys(keys: Collection[object]) -> Int64Array | None:
    """Return the keys of a mapping as an array; ``None`` if some are no integers.

    Raises `VocabularyError` for a number outside int64.
    """
    kinds = {*map(type, keys)}
    if not keys or not all(
        issubclass(kind, int | np.integer) and kind is not bool for kind in kinds
    ):
        return None
    for key in keys:
        if not _INT64.min <= key <= _INT64.max:  # type: ignore[operator]  # integers
            raise VocabularyError(
                f"the number {key} is more than int64 holds; give such ids as str"
            )
    return np.fromiter(keys, np.int64, len(keys))
