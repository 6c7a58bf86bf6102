"""Data frames: of pandas, and of whatever gives its columns to Arrow."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens
from pretrained_embed.errors import FormatError, needing_package
from pretrained_embed.formats.arrow import columns as arrow
from pretrained_embed.formats.columns import (
    Chosen,
    Column,
    ColumnRows,
    Holds,
    TokensAndRows,
    choose,
    with_missing_tokens,
)
from pretrained_embed.formats.findings import Doubt, Note
from pretrained_embed.formats.objects.classes import is_a
from pretrained_embed.formats.objects.held import Held, table
from pretrained_embed.formats.objects.tokens import is_missing, packed_list
from pretrained_embed.formats.objects.vectors import of_array, rows_of_vectors
from pretrained_embed.formats.table import Rows

_REMEDY = "give only the columns that are meant, such as table[['word', 'vector']]"


def gives_arrow(value: object) -> bool:
    """Tell whether an object gives its columns to Arrow, as polars' and DuckDB's do."""
    return hasattr(type(value), "__arrow_c_stream__")


def of_arrow(value: Any, name: str) -> Held:
    """Open a table of Arrow, or what gives one: polars, DuckDB, ``datasets``."""
    with needing_package(name):
        import pyarrow
    if is_a(value, "datasets.Dataset"):
        value = value.with_format("arrow")[:]
    given = value if isinstance(value, pyarrow.Table) else pyarrow.table(value)
    return table("arrow", name, arrow.tokens_and_rows(given, name, remedy=_REMEDY))


def of_series(value: Any, name: str) -> Held:
    """Open a ``Series`` of vectors by token."""
    return of_pandas(value.to_frame(), name)


def of_pandas(value: Any, name: str) -> Held:
    """Open a ``DataFrame``; its tokens are in a column of text, or else its index."""
    if not len(value):
        raise FormatError(f"{name}: no rows")
    columns = _columns(value)
    # The index of a frame that was given none numbers the rows. One that was made of a
    # column has its name, and may be a range all the same.
    numbers_rows = is_a(value.index, "pandas.RangeIndex") and value.index.name is None
    plain = numbers_rows or is_a(value.index, "pandas.MultiIndex")
    chosen = choose(
        columns,
        name,
        index="other" if plain else _holds(value.index.to_series()),
        remedy=_REMEDY,
    )
    place = chosen.token
    labels = value.index.to_series() if place is None else value.iloc[:, place]
    tokens, missing, notes = _tokens(labels, name)
    rows, faults, more = _rows(value, chosen, name)
    faults = with_missing_tokens(faults, missing)
    notes = [*chosen.notes, *notes, *more]
    return table("pandas", name, TokensAndRows(tokens, rows, faults, notes))


def _columns(frame: Any) -> list[Column]:
    """Return what the columns of a frame are called and hold."""
    known: dict[Any, Holds] = {}  # of dtypes; of objects each column tells
    columns = []
    for number, (label, dtype) in enumerate(frame.dtypes.items()):
        if dtype not in known or dtype.kind == "O":
            known[dtype] = _holds(frame.iloc[:, number])
        columns.append(Column(str(label), known[dtype]))
    return columns


def _holds(series: Any) -> Holds:
    """Return what a column of pandas holds; of objects the first tells."""
    dtype = series.dtype
    if is_a(dtype, "pandas.ArrowDtype"):
        return arrow.holds(dtype.pyarrow_dtype)
    if is_a(dtype, "pandas.CategoricalDtype"):
        return _holds(dtype.categories.to_series())
    if is_a(dtype, "pandas.StringDtype"):
        return "text"
    if dtype.kind == "O":
        first = next((one for one in series if not is_missing(one)), None)
        if isinstance(first, str | bytes):
            return "text"
        return "lists" if hasattr(first, "__len__") else "other"
    return {"f": "floats", "i": "whole", "u": "whole"}.get(dtype.kind, "other")  # type: ignore[return-value]  # mypy makes str of the values


def _tokens(series: Any, name: str) -> tuple[PackedTokens, Int64Array, list[Note]]:
    dtype = series.dtype
    given = getattr(series.array, "__arrow_array__", None)
    if given is not None and "pyarrow" in sys.modules and _is_extension(dtype):
        return *arrow.packed_tokens(given()), []
    return packed_list(series.tolist(), name)


def _rows(
    frame: Any, chosen: Chosen, name: str
) -> tuple[Rows, list[Doubt], list[Note]]:
    places = chosen.vectors
    if chosen.listed:
        column = frame.iloc[:, places[0]]
        if is_a(column.dtype, "pandas.ArrowDtype"):
            return *arrow.list_rows(column.array.__arrow_array__(), name), []
        return rows_of_vectors(column.tolist(), name)
    whole = places == list(range(places[0], places[-1] + 1))
    dtypes = set(frame.dtypes.iloc[places])
    if whole and len(dtypes) == 1 and not _is_extension(next(iter(dtypes))):
        return of_array(frame.iloc[:, places[0] : places[-1] + 1].to_numpy(), name)
    arrays, absent = [], np.zeros(len(frame), np.bool_)
    for place in places:
        column = frame.iloc[:, place]
        if _is_extension(column.dtype):
            absent |= column.isna().to_numpy()
            kind = getattr(column.dtype, "numpy_dtype", np.dtype(np.float64))
            arrays.append(column.to_numpy(kind, na_value=0))
        else:
            arrays.append(column.to_numpy())
    of_array(arrays[0][:, None], name)
    faults = [
        Doubt(row, None, "a number is missing", "table.bad-row")
        for row in np.flatnonzero(absent).tolist()
    ]
    return ColumnRows(arrays), faults, []


def _is_extension(dtype: Any) -> bool:
    return not isinstance(dtype, np.dtype)
