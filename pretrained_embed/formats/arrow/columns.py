"""Tokens and rows of tables of pyarrow, which are not copied where that can be.

Tokens are strings, binary or whole numbers, of any width and also in a dictionary;
vectors are lists of numbers (also of a fixed size, views, or an extension type of
these), or columns of numbers. A row without a token, a list or a number is malformed.
Of a table in memory all of that is at hand; of a file the columns are chosen by its
schema, and decoded batch by batch.

https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    BoolArray,
    Int64Array,
    PackedTokens,
    joined,
)
from pretrained_embed.errors import FormatError, brief
from pretrained_embed.formats.columns import (
    Chosen,
    Column,
    ColumnRows,
    Holds,
    TokensAndRows,
    choose,
    rows_of_lists,
    with_missing_tokens,
)
from pretrained_embed.formats.findings import Doubt, Note
from pretrained_embed.formats.table import JoinedRows, Rows

if TYPE_CHECKING:
    import pyarrow

    from pretrained_embed.budget import Budget

#: What the column is called, of those of a list of tokens.
_USUAL = ("token", "tokens", "word", "words", "index", "__index_level_0__")

_REMEDY = "name them: SOURCE#token=COLUMN,vector=COLUMN"


def holds(type: pyarrow.DataType) -> Holds:
    """Return what a column of a type of pyarrow holds."""
    from pyarrow import types

    if isinstance(getattr(type, "storage_type", None), _data_type()):
        return holds(type.storage_type)
    if types.is_dictionary(type):
        return holds(type.value_type)
    if _is(type, _TEXT):
        return "text"
    if _is(type, _LISTS):
        inner = holds(type.value_type)
        return "lists" if inner in ("floats", "whole") else "other"
    if types.is_floating(type):
        return "floats"
    return "whole" if types.is_integer(type) else "other"


def columns_of_schema(schema: pyarrow.Schema) -> list[Column]:
    """Return what the columns of a table are called and hold."""
    known: dict[Any, tuple[Holds, str]] = {}  # of types, which may be asked for often
    columns = []
    for name, type in zip(schema.names, schema.types, strict=True):
        if type not in known:
            held = holds(type)
            known[type] = held, str(type) if held == "other" else ""
        columns.append(Column(name, *known[type]))
    return columns


def tokens_and_rows(
    table: pyarrow.Table,
    where: str,
    *,
    token: str | None = None,
    vector: str | None = None,
    remedy: str,
) -> TokensAndRows:
    """Return the tokens and the rows of vectors that a table has.

    ``token`` and ``vector`` name their columns, where the user did; ``remedy`` is the
    sentence on how to do so, for errors. The arrays are those of the table, wherever
    its type lets them be. Raises `FormatError` as `choose` does, and for a table
    without rows.
    """
    chosen = choose(
        columns_of_schema(table.schema),
        where,
        token=token,
        vector=vector,
        remedy=remedy,
    )
    if not table.num_rows:
        raise FormatError(f"{where}: no rows")
    assert chosen.token is not None  # for a table of Arrow has no index
    tokens, missing = packed_tokens(table.column(chosen.token))
    rows, faults = vector_rows(table, chosen, where)
    return TokensAndRows(
        tokens, rows, with_missing_tokens(faults, missing), chosen.notes
    )


def packed_tokens(
    column: pyarrow.ChunkedArray | pyarrow.Array,
) -> tuple[PackedTokens, Int64Array]:
    """Return the tokens of a column, and the rows that have none, int64 rising.

    Numbers are given as their digits.
    """
    import pyarrow
    from pyarrow import compute, types

    if isinstance(column, pyarrow.Array):
        column = pyarrow.chunked_array([column], column.type)
    type = column.type
    if isinstance(getattr(type, "storage_type", None), _data_type()):
        storage = [chunk.storage for chunk in column.chunks]
        column = pyarrow.chunked_array(storage, type.storage_type)
    if types.is_dictionary(column.type):
        column = _decoded(column)
    known = (pyarrow.string(), pyarrow.binary(), pyarrow.large_string())
    if column.type not in (*known, pyarrow.large_binary()):
        is_bytes = _is(column.type, _TEXT) and not types.is_string_view(column.type)
        column = column.cast(pyarrow.large_binary() if is_bytes else known[-1])
    missing = np.flatnonzero(compute.is_null(column).to_numpy()).astype(np.int64)
    parts = [_packed(chunk) for chunk in column.chunks if len(chunk)]
    return joined(parts) if parts else PackedTokens.join([]), missing


def _decoded(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return what the numbers of a column stand for."""
    import pyarrow

    type = column.type.value_type
    if _is(type, ("string_view", "binary_view")):  # which pyarrow takes nothing from
        text = _is(type, ("string_view",))
        type = pyarrow.large_string() if text else pyarrow.large_binary()
    decoded = [
        chunk.dictionary.cast(type).take(chunk.indices) for chunk in column.chunks
    ]
    return pyarrow.chunked_array(decoded, type)


def _packed(chunk: pyarrow.Array) -> PackedTokens:
    """Return the tokens of an array of strings; those that are null are empty."""
    from pyarrow import types

    _, ends, data = chunk.buffers()
    wide = types.is_large_string(chunk.type) or types.is_large_binary(chunk.type)
    dtype = np.dtype(np.int64 if wide else np.int32)
    offsets = np.frombuffer(ends, dtype, len(chunk) + 1, chunk.offset * dtype.itemsize)
    first, last = int(offsets[0]), int(offsets[-1])
    if chunk.null_count:
        # a null may have bytes, which nobody is to see
        lengths = np.where(chunk.is_null().to_numpy(False), 0, np.diff(offsets))
        if lengths.sum() != last - first:
            filled: pyarrow.Array = chunk.fill_null(
                b"" if "binary" in str(chunk.type) else ""
            )
            return _packed(filled)
    raw = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return PackedTokens(raw[first:last], offsets.astype(np.int64) - first)


def vector_rows(
    table: pyarrow.Table, chosen: Chosen, where: str
) -> tuple[Rows, list[Doubt]]:
    """Return the rows of the chosen columns, and those that are malformed."""
    columns = [table.column(place) for place in chosen.vectors]
    if chosen.listed:
        return list_rows(columns[0], where)
    arrays = [column.to_numpy(zero_copy_only=False) for column in columns]
    return ColumnRows(arrays), _without_number(columns, table.num_rows)


def _without_number(columns: Sequence[Any], rows: int) -> list[Doubt]:
    """Return the rows of columns of numbers that lack one."""
    missing = np.zeros(rows, np.bool_)
    for column in columns:
        if column.null_count:
            missing |= column.is_null().to_numpy(zero_copy_only=False)
    return [
        Doubt(row, None, "a number is missing", "table.bad-row")
        for row in np.flatnonzero(missing).tolist()
    ]


class _Lists(NamedTuple):
    """Where the lists of an array lie in its numbers."""

    numbers: AnyArray
    starts: Int64Array
    lengths: Int64Array
    present: BoolArray  # with all their numbers

    @classmethod
    def of(cls, chunk: Any) -> _Lists:
        """Return the lists of an array of a type that holds lists."""
        import pyarrow

        while isinstance(chunk, pyarrow.ExtensionArray):
            chunk = chunk.storage
        if hasattr(chunk, "sizes"):  # views
            starts = chunk.offsets.to_numpy().astype(np.int64)
            lengths = chunk.sizes.to_numpy().astype(np.int64)
        elif hasattr(chunk, "offsets"):
            offsets = chunk.offsets.to_numpy().astype(np.int64)
            starts, lengths = offsets[:-1], np.diff(offsets)
        else:  # of a fixed size
            size = chunk.type.list_size
            starts = (np.arange(len(chunk)) + chunk.offset) * size
            lengths = np.full(len(chunk), size)
        present = np.ones(len(chunk), np.bool_)
        if chunk.null_count:
            present = ~chunk.is_null().to_numpy(False)
            lengths = lengths * present
        # a slice has the numbers of all rows
        first = int(starts.min(initial=len(chunk.values), where=present))
        last = int((starts + lengths).max(initial=first, where=present))
        numbers = chunk.values.slice(first, last - first)
        starts = np.where(present, starts - first, 0)
        if numbers.null_count:
            absent = numbers.is_null().to_numpy(False)
            before = np.concatenate([[0], np.cumsum(absent)])
            present &= before[starts] == before[starts + lengths]
        return cls(numbers.to_numpy(zero_copy_only=False), starts, lengths, present)

    @classmethod
    def join(cls, several: Sequence[_Lists]) -> _Lists:
        """Return the lists of some arrays as those of one."""
        counts = [len(lists.numbers) for lists in several]
        shifts = np.concatenate([[0], np.cumsum(counts)])
        starts = [
            lists.starts + shift for lists, shift in zip(several, shifts, strict=False)
        ]
        return cls(
            np.concatenate([lists.numbers for lists in several]),
            np.concatenate(starts),
            np.concatenate([lists.lengths for lists in several]),
            np.concatenate([lists.present for lists in several]),
        )


def list_rows(
    column: pyarrow.ChunkedArray | pyarrow.Array, where: str
) -> tuple[Rows, list[Doubt]]:
    """Return the rows of a column of lists, and those that are malformed.

    Chunks are joined only where their lists are not all there and all alike.
    """
    given = getattr(column, "chunks", [column])
    chunks = [_Lists.of(chunk) for chunk in given if len(chunk)]
    if len(chunks) > 1 and all(lists.present.all() for lists in chunks):
        dims = np.unique(np.concatenate([lists.lengths for lists in chunks]))
        if len(dims) == 1:
            return JoinedRows([rows_of_lists(*lists, where)[0] for lists in chunks]), []
    lists = chunks[0] if len(chunks) == 1 else _Lists.join(chunks)
    return rows_of_lists(*lists, where)


class Projection(NamedTuple):
    """The columns of a file that are read, and notes on the others."""

    token: str
    vectors: tuple[str, ...]
    lists: bool  # one column of lists, not one column a number
    dim: int | None  # ``None`` where only the rows tell
    notes: tuple[Note, ...]

    @property
    def names(self) -> list[str]:
        """All that are read."""
        return [self.token, *self.vectors]


def project(
    schema: Any, where: str, token: str | None = None, vector: str | None = None
) -> Projection:
    """Return the columns of a schema that have the tokens and the vectors.

    ``token`` and ``vector`` are their names, where the user has told them. Raises
    `FormatError` that lists the columns there are.
    """
    found = choose(
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
    return Projection(names[0], tuple(names[1:]), found.listed, dim, tuple(found.notes))


def project_tokens(schema: Any, where: str, token: str | None = None) -> Projection:
    """Return the column of a schema that has tokens without vectors."""
    if token is not None:
        if schema.names.count(token) != 1:
            raise FormatError(
                f"{where}: no column is called {brief(token)}; it has "
                f"{schema.names[:10]}"
            )
        from pyarrow import types

        type = _plain_type(schema.field(token).type)
        if types.is_nested(type):
            raise FormatError(
                f"{where}: column {brief(token)} holds {type}; tokens are text, or "
                "numbers: name another column, or write one token a row"
            )
        return Projection(token, (), True, None, ())
    texts = [one.name for one in columns_of_schema(schema) if one.holds == "text"]
    usual = [name for name in _USUAL if name in texts]
    chosen = texts if len(texts) == 1 else usual
    if not chosen:
        raise FormatError(
            f"{where}: no column of tokens among {schema.names[:10]}; a column of "
            f"strings named {_USUAL[0]!r} would be one"
        )
    return Projection(chosen[0], (), True, None, ())


def _plain_type(type: Any) -> Any:
    """Return what values of an extension type are stored as; others as they are."""
    return getattr(type, "storage_type", type)


def number_dtype(schema: Any, columns: Projection) -> np.dtype[Any]:
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


def decoded(
    arrays: Sequence[Any], dim: int, dtype: np.dtype[Any], where: str, row: int = 0
) -> tuple[AnyArray, list[Doubt]]:
    """Return the vectors of arrays of their columns, and the malformed rows.

    One array is of lists, or of a number a row, as are several. The vectors are
    (rows, dim), those of malformed rows without a meaning; the first has the number
    ``row``.
    """
    if len(arrays) == 1 and holds(arrays[0].type) == "lists":
        rows, faults = rows_of_lists(*_Lists.of(arrays[0]), where, dim)
        vectors = rows[:]
    else:
        arrays = [getattr(array, "storage", array) for array in arrays]
        vectors = np.empty((len(arrays[0]), len(arrays)), dtype)
        with np.errstate(invalid="ignore"):  # what is missing, among whole numbers
            for place, array in enumerate(arrays):
                vectors[:, place] = array.to_numpy(zero_copy_only=False)
        faults = _without_number(arrays, len(vectors))
    with np.errstate(invalid="ignore"):  # as above
        vectors = vectors.astype(dtype, copy=False)
    return vectors, [fault._replace(row=row + fault.row) for fault in faults]


def usual_length(array: Any) -> int:
    """Return the length that most lists of an array have; 0 where there is none."""
    lists = _Lists.of(array)
    sizes, counts = np.unique(lists.lengths[lists.present], return_counts=True)
    return int(sizes[np.argmax(counts)]) if len(sizes) else 0


def numbers_of(array: Any, where: str) -> AnyArray:
    """Return a column of numbers as it is stored; `FormatError` where one is null."""
    if array.null_count:
        raise FormatError(f"{where}, column of an array: a number is null")
    numbers: AnyArray = array.to_numpy()
    return numbers


#: The tests of `pyarrow.types`, not all of which an older pyarrow has.
_TEXT: tuple[str, ...] = ("string", "large_string", "string_view")
_TEXT += ("binary", "large_binary", "binary_view")
_LISTS = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")


def _is(type: pyarrow.DataType, kinds: Sequence[str]) -> bool:
    from pyarrow import types

    tests = (getattr(types, f"is_{kind}", None) for kind in kinds)
    return any(test is not None and test(type) for test in tests)


def _data_type() -> Any:
    import pyarrow

    return pyarrow.DataType
