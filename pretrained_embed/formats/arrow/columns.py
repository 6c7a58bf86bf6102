"""Tokens and rows of a table of pyarrow, which is not copied where that can be.

Tokens are strings, binary or whole numbers, of any width and also in a dictionary;
vectors are lists of numbers (also of a fixed size, views, or an extension type of
these), or columns of numbers. A row without a token, a list or a number is malformed.

https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

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
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.columns import (
    Chosen,
    ChunkedRows,
    Column,
    ColumnRows,
    Holds,
    TokensAndRows,
    choose,
    rows_of_lists,
    with_missing_tokens,
)
from pretrained_embed.formats.findings import Doubt
from pretrained_embed.formats.table import Rows

if TYPE_CHECKING:
    import pyarrow


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
    return [Column(field.name, holds(field.type)) for field in schema]


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
    arrays, missing = [], np.zeros(table.num_rows, np.bool_)
    for column in columns:
        if column.null_count:
            missing |= column.is_null().to_numpy()
            column = column.fill_null(0)
        arrays.append(column.to_numpy())
    faults = [
        Doubt(row, None, "a number is missing", "table.bad-row")
        for row in np.flatnonzero(missing).tolist()
    ]
    return ColumnRows(arrays), faults


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
        numbers = chunk.values
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
        present = ~chunk.is_null().to_numpy(False)
        if numbers.null_count:
            absent = numbers.is_null().to_numpy(False)
            before = np.concatenate([[0], np.cumsum(absent)])
            present &= before[starts] == before[starts + lengths * present]
            numbers = numbers.fill_null(0)
        return cls(numbers.to_numpy(), starts, lengths, present)

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
            return ChunkedRows(
                [rows_of_lists(*lists, where)[0] for lists in chunks]
            ), []
    lists = chunks[0] if len(chunks) == 1 else _Lists.join(chunks)
    return rows_of_lists(*lists, where)


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
