"""Tables of columns: which columns have tokens and vectors, and their rows.

The tokens are in the only column of text. Else, beside a column of lists, they may be
the only column of integers. Vectors are a column of lists, or all columns of numbers,
or those with numbered names. The reader says what each column has; no library is used
here. A row whose vector is missing, or has another length than most, is malformed: see
`TableReader`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np

from pretrained_embed.arrays import AnyArray, BoolArray, Int64Array, PackedTokens
from pretrained_embed.errors import BY_READER, FormatError, RowError, brief
from pretrained_embed.formats.findings import Doubt, Note
from pretrained_embed.formats.table import Rows

#: The content of a column: text, one list of numbers for each row, fractional numbers,
#: integers, or other values.
Holds = Literal["text", "lists", "floats", "whole", "other"]

#: The name of one of many columns: ``0``, ``d0``, ``dim_0``, ``emb.0``.
_NUMBER_AT_THE_END = re.compile(r"(.*?)([0-9]{1,7})", re.DOTALL)
#: The names of pandas for row numbers in a file.
_INDEX = ("", "Unnamed: 0", "__index_level_0__")
_SHOWN = 10  # how many columns a message names
_ROWS_AT_ONCE = 4096


class Column(NamedTuple):
    """A column of a table, before it is read."""

    name: str
    holds: Holds
    type: str = ""  # the writer's name for a type that is not used


class Chosen(NamedTuple):
    """Which columns are read, by position."""

    token: int | None  # None: the index of the table
    vectors: list[int]
    listed: bool  # whether it is one column of lists, and not columns of numbers
    notes: list[Note]  # the columns that are left out


class TokensAndRows(NamedTuple):
    """The content of a table of columns, for a `TableReader`."""

    tokens: PackedTokens
    rows: Rows
    faults: list[Doubt]  # malformed rows, ascending
    notes: list[Note]


def choose(
    columns: Sequence[Column],
    where: str,
    *,
    token: str | None = None,
    vector: str | None = None,
    index: Holds = "other",
    remedy: str,
) -> Chosen:
    """Return which columns have the tokens and the vectors.

    ``token`` and ``vector`` are the names that the user gave, ``index`` is the index of
    the table. Raises `FormatError`, with the columns and the ``remedy``, a sentence on
    how to name them, if the choice is unclear.
    """
    place: int | None = None
    if token is not None:
        place = _named(columns, token, ("text", "whole"), where)
    lists = _places(columns, "lists")
    if vector is not None:
        vectors = [_named(columns, vector, ("lists", "floats", "whole"), where)]
        listed = vectors[0] in lists
    elif len(lists) > 1:
        names = _names(columns[place] for place in lists)
        raise FormatError(f"{where}: {names} all hold lists of numbers; {remedy}")
    else:
        listed, vectors = bool(lists), lists
    if token is None:
        numbers = _places(columns, "whole") if listed else []
        place = _token_column(columns, numbers, index, where, remedy)
    if not vectors:
        vectors = _number_columns(columns, place, where, remedy)
    left = [
        column.name
        for number, column in enumerate(columns)
        if number != place and number not in vectors
    ]
    what = f"other columns were left behind: {_names_of(left)}"
    notes = [Note("file.left-out", what)] if left else []
    return Chosen(place, vectors, listed, notes)


def _token_column(
    columns: Sequence[Column],
    numbers: list[int],
    index: Holds,
    where: str,
    remedy: str,
) -> int | None:
    """Return the column of the tokens; ``numbers`` are those that may have ids."""
    texts = _places(columns, "text")
    if len(texts) > 1:
        names = _names(columns[place] for place in texts)
        raise FormatError(f"{where}: {names} all hold text; {remedy}")
    if texts and index == "text":
        raise FormatError(
            f"{where}: both the index and {columns[texts[0]].name!r} hold text; "
            f"{remedy}"
        )
    if texts:
        return texts[0]
    if index in ("text", "whole"):
        return None
    if len(numbers) == 1:
        return numbers[0]
    raise FormatError(
        f"{where}: no column holds text that could be the tokens; there are "
        f"{_names(columns)}; {remedy}"
    )


def _number_columns(
    columns: Sequence[Column], token: int | None, where: str, remedy: str
) -> list[int]:
    """Return the columns of numbers; integers among others are ids or counts."""
    floats = [place for place in _places(columns, "floats") if place != token]
    if numbered := _numbered(columns, floats):
        return numbered
    whole = [place for place in _places(columns, "whole") if place != token]
    whole = [place for place in whole if columns[place].name not in _INDEX] or whole
    if floats and all(columns[place].name in _INDEX for place in whole):
        return floats
    if whole and floats:
        names = _names(columns[place] for place in whole)
        raise FormatError(
            f"{where}: {names} {'hold' if len(whole) > 1 else 'holds'} whole numbers "
            "between columns of others, as counts and ids do; leave such columns out, "
            f"or make them floats; {remedy}"
        )
    if not floats and not whole:
        raise FormatError(
            f"{where}: no column holds vectors, lists of numbers or numbers; there are "
            f"{_names(columns)}; write decimals, texts and bytes as floats, what is "
            f"nested as one list a row; {remedy}"
        )
    return floats or whole


def _numbered(columns: Sequence[Column], places: list[int]) -> list[int]:
    """Return the columns with numbered names, such as ``d0``, in that order.

    None if they are not most of the columns, or a number is missing.
    """
    groups: dict[str, dict[int, int]] = {}
    for place in places:
        if match := _NUMBER_AT_THE_END.fullmatch(columns[place].name):
            groups.setdefault(match[1], {})[int(match[2])] = place
    largest = max(groups.values(), key=len, default={})
    numbers = sorted(largest)
    if len(numbers) < 2 or 2 * len(numbers) <= len(places):
        return []
    if numbers[0] > 1 or numbers[-1] - numbers[0] != len(numbers) - 1:
        return []
    return [largest[number] for number in numbers]


def _places(columns: Sequence[Column], holds: Holds) -> list[int]:
    return [place for place, column in enumerate(columns) if column.holds == holds]


def _named(
    columns: Sequence[Column], name: str, allowed: tuple[Holds, ...], where: str
) -> int:
    found = [place for place, column in enumerate(columns) if column.name == name]
    if len(found) != 1:
        raise FormatError(
            f"{where}: {len(found) or 'no'} columns are called {brief(name)}; there "
            f"are {_names(columns)}"
        )
    if columns[found[0]].holds not in allowed:
        raise FormatError(
            f"{where}: column {brief(name)} holds {columns[found[0]].holds}, and "
            f"{' or '.join(allowed)} is needed"
        )
    return found[0]


def _names(columns: Any) -> str:
    return _names_of(
        [f"{column.name} ({column.type or column.holds})" for column in columns]
    )


def _names_of(names: Sequence[str]) -> str:
    shown = ", ".join(brief(name)[1:-1] for name in names[:_SHOWN]) or "none"
    more = len(names) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


class ColumnRows:
    """Rows whose numbers are in columns, each an array (rows,). See `Rows`."""

    def __init__(self, columns: Sequence[AnyArray]) -> None:
        self._columns = columns
        self.shape = len(columns[0]), len(columns)
        self.dtype = np.result_type(*{column.dtype for column in columns})

    def __getitem__(self, rows: slice) -> AnyArray:
        """Return some consecutive rows, as a new array."""
        start, stop, _ = rows.indices(self.shape[0])
        taken = np.empty((max(0, stop - start), len(self._columns)), self.dtype)
        for place, column in enumerate(self._columns):
            taken[:, place] = column[start:stop]
        return taken


class ListRows:
    """Rows that begin anywhere in one array of numbers. See `Rows`.

    ``sound`` is the mask of valid rows; the others are zeros.
    """

    def __init__(
        self, numbers: AnyArray, starts: Int64Array, dim: int, sound: BoolArray
    ) -> None:
        self._numbers = numbers
        self._starts = starts
        self._sound = sound
        self.shape = len(starts), dim
        self.dtype = numbers.dtype

    def __getitem__(self, rows: slice) -> AnyArray:
        """Return some consecutive rows, as a new array."""
        sound = self._sound[rows]
        taken = np.zeros((len(sound), self.shape[1]), self.dtype)
        starts = self._starts[rows][sound]
        taken[sound] = self._numbers[starts[:, None] + np.arange(self.shape[1])]
        return taken


def rows_of_lists(
    numbers: AnyArray,
    starts: Int64Array,
    lengths: Int64Array,
    present: BoolArray | None,
    where: str,
    dim: int | None = None,
) -> tuple[Rows, list[Doubt]]:
    """Return the rows made from lists, and the faults of malformed ones.

    List ``i`` is ``numbers[starts[i] : starts[i] + lengths[i]]``. ``present``, bool
    (rows,), is the mask of complete lists. The default of ``dim`` is the most common
    length. If all are valid and contiguous, the result is a view. Raises `FormatError`
    if no row has a dim.
    """
    sound = np.ones(len(starts), np.bool_) if present is None else present
    if dim is None:
        if not sound.any():
            raise FormatError(f"{where}: not a single row has a vector")
        sizes, counts = np.unique(lengths[sound], return_counts=True)
        dim = int(sizes[np.argmax(counts)])
        if not dim:
            raise FormatError(f"{where}: most lists of numbers are empty")
    fitting = sound & (lengths == dim)
    if len(starts) and fitting.all():
        first = int(starts[0])
        if np.array_equal(starts, np.arange(first, first + dim * len(starts), dim)):
            return numbers[first : first + dim * len(starts)].reshape(-1, dim), []
    faults = []
    for row in np.flatnonzero(~fitting).tolist():
        what = (
            f"{lengths[row]:,} numbers, {dim:,} expected"
            if sound[row]
            else "no vector, or one with a number missing"
        )
        faults.append(Doubt(row, None, what, "table.bad-row"))
    return ListRows(numbers, starts, dim, fitting), faults


def refuse_rows(faults: Sequence[Doubt], where: str) -> NoReturn:
    """Raise `RowError` for the first of the malformed rows of a table."""
    first = faults[0]
    raise RowError(
        f"{where}, row {first.row:,}: {first.what}. Mend it",
        found=first.what,
        code=first.code,
        way=BY_READER,
    )


def with_missing_tokens(faults: list[Doubt], missing: Int64Array) -> list[Doubt]:
    """Return the malformed rows, with those that have no token."""
    absent = {
        row: Doubt(row, None, "no token", "table.bad-row") for row in missing.tolist()
    }
    both = absent | {doubt.row: doubt for doubt in faults}
    return [both[row] for row in sorted(both)]
