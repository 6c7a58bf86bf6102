"""Batches of a table of Arrow: some rows of its columns, as tokens and as vectors.

`formats.columns` says which columns have them. A row with a null, or with a list of
another length, is an error that names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens
from pretrained_embed.errors import FormatError, brief
from pretrained_embed.formats import columns
from pretrained_embed.formats.arrow.columns import (
    columns_of_schema,
    holds,
    packed_tokens,
)

if TYPE_CHECKING:
    from pretrained_embed.budget import Budget

#: What the column is called, of those of a list of tokens.
_USUAL = ("token", "tokens", "word", "words", "index", "__index_level_0__")

_REMEDY = "name them: SOURCE#token=COLUMN,vector=COLUMN"


class Columns(NamedTuple):
    """The columns that are read, and notes on the others."""

    token: str
    vectors: tuple[str, ...]
    lists: bool  # one column of lists, not one column a number
    dim: int | None  # ``None`` where only the rows tell
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All that are read."""
        return [self.token, *self.vectors]


def choose(
    schema: Any, where: str, token: str | None = None, vector: str | None = None
) -> Columns:
    """Return the columns of a schema that have the tokens and the vectors.

    ``token`` and ``vector`` are their names, where the user has told them. Raises
    `FormatError` that lists the columns there are.
    """
    found = columns.choose(
        columns_of_schema(schema), where, token=token, vector=vector, remedy=_REMEDY
    )
    assert found.token is not None  # for a table of Arrow has no index
    called = schema.names
    names = [called[place] for place in (found.token, *found.vectors)]
    often = Counter(called)
    for name in names:
        if often[name] > 1:
            raise FormatError(f"{where}: two columns are called {name!r}; rename one")
    dim: int | None = len(found.vectors)
    if found.listed:
        listed = _plain_type(schema.field(found.vectors[0]).type)
        dim = getattr(listed, "list_size", None) or None
    return Columns(names[0], tuple(names[1:]), found.listed, dim, tuple(found.notes))


def choose_tokens(schema: Any, where: str, token: str | None = None) -> Columns:
    """Return the column of a schema that has tokens without vectors."""
    if token is not None:
        if schema.names.count(token) != 1:
            raise FormatError(
                f"{where}: no column is called {brief(token)}; it has "
                f"{schema.names[:10]}"
            )
        return Columns(token, (), True, None, ())
    texts = [name for name, holds in columns_of_schema(schema) if holds == "text"]
    usual = [name for name in _USUAL if name in texts]
    chosen = texts if len(texts) == 1 else usual
    if not chosen:
        raise FormatError(
            f"{where}: no column of tokens among {schema.names[:10]}; a column of "
            f"strings named {_USUAL[0]!r} would be one"
        )
    return Columns(chosen[0], (), True, None, ())


def _plain_type(type: Any) -> Any:
    """Return what values of an extension type are stored as; others as they are."""
    return getattr(type, "storage_type", type)


def number_dtype(schema: Any, columns: Columns) -> np.dtype[Any]:
    """Return the dtype that holds all numbers of the columns of vectors."""
    import pyarrow

    types = [_plain_type(schema.field(name).type) for name in columns.vectors]
    if columns.lists:
        types = [type.value_type for type in types]
    return np.result_type(*(_dtype(type) for type in types or [pyarrow.float32()]))


def _dtype(type: Any) -> np.dtype[Any]:
    """Return what numbers of a type are read as: whole ones of 32 bits as float64."""
    dtype = np.dtype(type.to_pandas_dtype())
    return dtype if dtype.kind == "f" or dtype.itemsize < 4 else np.dtype(np.float64)


def tokens_of(array: Any, budget: Budget) -> tuple[PackedTokens, Int64Array]:
    """Return the tokens of an array of a column, and the rows of it that have none.

    What is made of one that is dictionary-encoded is taken from the ``budget``.
    """
    if hasattr(array, "dictionary"):
        words, _ = packed_tokens(array.dictionary)
        used = array.indices.drop_null().to_numpy()
        # one word of a megabyte can stand a million times
        budget.take(int(np.diff(words.offsets)[used].sum()))
    return packed_tokens(array)


def vectors_of(arrays: Sequence[Any], dim: int, where: str, row: int = 0) -> AnyArray:
    """Return the vectors of arrays of the columns that have them, (rows, dim).

    One array is of lists, or of a number a row, as are several. The first row has the
    number ``row``. Raises `FormatError` that names a row with a null, or of another
    dim.
    """
    arrays = [_storage(array) for array in arrays]
    if len(arrays) == 1 and holds(arrays[0].type) == "lists":
        return _of_lists(arrays[0], dim, where, row)
    numbers = [_numbers(array, 1, where, row) for array in arrays]
    if len(numbers) == 1:
        return numbers[0][:, None]
    out = np.empty((len(numbers[0]), len(numbers)), np.result_type(*numbers))
    for place, column in enumerate(numbers):
        out[:, place] = column
    return out


def _of_lists(array: Any, dim: int, where: str, row: int) -> AnyArray:
    if array.null_count:
        raise FormatError(
            f"{where}, row {row + _first_null(array):,}: the vector is null"
        )
    size = getattr(array.type, "list_size", None)
    if size is None:
        import pyarrow.compute as pc

        lengths = pc.list_value_length(array).to_numpy()
        bad = np.flatnonzero(lengths != dim)
        if len(bad):
            raise _ragged(lengths, int(bad[0]), dim, where, row)
    elif size != dim:
        raise FormatError(f"{where}: lists of {size} numbers; expected {dim}")
    return _numbers(array.flatten(), dim, where, row).reshape(len(array), dim)


def _ragged(
    lengths: AnyArray, place: int, dim: int, where: str, row: int
) -> FormatError:
    others = np.flatnonzero(lengths != lengths[place])
    told = f"and dim is {dim:,}"
    if len(others):
        other = int(others[0])
        told = f"and that of row {row + other:,} {lengths[other]:,}"
    return FormatError(
        f"{where}, row {row + place:,}: the vector has {lengths[place]:,} numbers, "
        f"{told}; all vectors have to be of one length"
    )


def _numbers(array: Any, dim: int, where: str, row: int) -> AnyArray:
    """Return flat numbers, ``dim`` a row, none of which is null."""
    if array.null_count:
        bad = row + _first_null(array) // dim
        raise FormatError(f"{where}, row {bad:,}: a number of the vector is null")
    numbers: AnyArray = array.to_numpy(zero_copy_only=False)
    return numbers.astype(_dtype(array.type), copy=False)


def numbers_of(array: Any, where: str) -> AnyArray:
    """Return a column of numbers as it is stored; `FormatError` where one is null."""
    if array.null_count:
        raise FormatError(f"{where}, column of an array: a number is null")
    numbers: AnyArray = array.to_numpy()
    return numbers


def _first_null(array: Any) -> int:
    return int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])


def _storage(array: Any) -> Any:
    """Return what an array of an extension type is stored as; others as they are."""
    return getattr(array, "storage", array)
