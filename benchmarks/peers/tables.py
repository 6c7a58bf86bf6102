"""Readers of tables of any kind, told that the separator is a space.

They parse with all cores (pandas: one) and by columns. A quote is an ordinary
character to them, and no word stands for a missing value.
"""

from __future__ import annotations

from csv import QUOTE_NONE
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import (
    GZIP,
    TEXT,
    ZIP,
    Float32Array,
    Peer,
    text_shape,
)

POLARS_SCAN, POLARS_READ = "polars, filtered scan", "polars, read_csv"
PYARROW, PANDAS = "pyarrow", "pandas"


def polars_frame(tokens: list[str]) -> Any:
    """Return the wanted tokens as a column of polars."""
    import polars

    return polars.DataFrame({"token": tokens})


def polars_scan(path: Path, wanted: Any) -> Float32Array:
    """Keep wanted rows while scanning, then put them in order."""
    import polars

    wanted_here = polars.col("token").is_in(wanted["token"].implode())
    rows = polars.scan_csv(path, **_polars_options(path))
    return _polars_joined(wanted, rows.filter(wanted_here).collect())


def polars_read(path: Path, wanted: Any) -> Float32Array:
    """Read all rows, then take the wanted ones in order."""
    import polars

    return _polars_joined(wanted, polars.read_csv(path, **_polars_options(path)))


def _polars_options(path: Path) -> dict[str, Any]:
    import polars

    header, dim = text_shape(path)
    numbers = dict.fromkeys(_columns(dim), polars.Float32)
    return {
        "separator": " ",
        "has_header": False,
        "skip_rows": header,
        "quote_char": None,
        "schema": {"token": polars.String, **numbers},
    }


def _polars_joined(wanted: Any, rows: Any) -> Float32Array:
    joined = wanted.join(rows, on="token", how="left", maintain_order="left")
    return np.ascontiguousarray(joined.drop("token").fill_null(0).to_numpy())


def pyarrow_array(tokens: list[str]) -> Any:
    """Return the wanted tokens as an array of Arrow."""
    import pyarrow

    return pyarrow.array(tokens)


def pyarrow(path: Path, wanted: Any) -> Float32Array:
    """Read all rows, drop those not wanted, copy the others column by column."""
    from pyarrow import compute, csv, float32, string

    header, dim = text_shape(path)
    types = {"token": string()} | dict.fromkeys(_columns(dim), float32())
    table = csv.read_csv(
        path,
        csv.ReadOptions(column_names=list(types), skip_rows=header),
        csv.ParseOptions(delimiter=" ", quote_char=False),
        csv.ConvertOptions(column_types=types),
    )
    rows = compute.index_in(table["token"], value_set=wanted)
    table = table.filter(rows.is_valid())
    places = rows.drop_null().to_numpy()
    matrix = np.zeros((len(wanted), dim), np.float32)
    for number, column in enumerate(_columns(dim)):
        matrix[places, number] = table[column].to_numpy()
    return matrix


def pandas(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Read all rows with the C engine, then take the wanted ones in order."""
    import pandas

    header, dim = text_shape(path)
    table = pandas.read_csv(
        path,
        sep=" ",
        header=None,
        skiprows=header,
        index_col=0,
        quoting=QUOTE_NONE,
        na_filter=False,
        dtype={0: str} | dict.fromkeys(range(1, dim + 1), np.float32),
        engine="c",
    )
    return np.ascontiguousarray(table.reindex(list(wanted), fill_value=0).to_numpy())


def _columns(dim: int) -> list[str]:
    return [str(number) for number in range(dim)]


_TEXTS = frozenset({TEXT, GZIP})
_ARROW = ("pyarrow.csv", "pyarrow.compute")

PEERS = (
    Peer(POLARS_SCAN, polars_scan, _TEXTS, ("polars",), polars_frame),
    Peer(POLARS_READ, polars_read, _TEXTS, ("polars",), polars_frame),
    Peer(PYARROW, pyarrow, _TEXTS, _ARROW, pyarrow_array),
    Peer(PANDAS, pandas, _TEXTS | {ZIP}, ("pandas",)),
)
