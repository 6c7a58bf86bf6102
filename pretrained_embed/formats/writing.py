"""Which format a new file gets, and how rows come into it.

A format is written row by row, or from a table where it has to know all sizes before
its first byte. Both kinds take both: a table gives its rows, and rows make a table.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pretrained_embed.arrays import Progress
from pretrained_embed.errors import OptionError, WriteError, suggestion
from pretrained_embed.files.replacement import folder_for
from pretrained_embed.formats.row_stream import (
    DTYPES,
    Dtype,
    RowStream,
    checked,
    spooled,
    stream_of,
)
from pretrained_embed.formats.table import Table, check_table


class Writer(NamedTuple):
    """How one format is written."""

    module: str
    function: str
    takes: Literal["rows", "counted rows", "table"]
    suffixes: tuple[str, ...] = ()
    dtypes: tuple[Dtype, ...] = DTYPES
    whole: bool = False  # holds all of a table: arrays and metadata, too


_FLOAT32 = DTYPES[:1]
_SHARDED = "sharded"
_WRITERS = {
    "npz": Writer("npz.reader", "write_table", "table", (".npz",), whole=True),
    "npy": Writer(
        "npy.target", "write_rows", "counted rows", (".npy",), _FLOAT32, whole=True
    ),
    "hdf5": Writer("hdf5.reader", "write_table", "table", (".h5", ".hdf5"), whole=True),
    "safetensors": Writer(
        "safetensors.reader", "write_table", "table", (".safetensors",), whole=True
    ),
    "word2vec": Writer(
        "text.writer", "write_word2vec", "counted rows", (".txt", ".vec"), _FLOAT32
    ),
    "glove": Writer("text.writer", "write_glove", "rows", (), _FLOAT32),
    "word2vec-binary": Writer(
        "word2vec.writer", "write_rows", "counted rows", (".bin",), _FLOAT32
    ),
    "gensim": Writer("gensim.writer", "write_table", "table", (".kv",)),
    "sentence-transformers": Writer(
        "hugging_face.writer", "write_rows", "rows", whole=True
    ),
    "projector": Writer("projector_writer", "write_rows", "rows", (), _FLOAT32),
    _SHARDED: Writer(
        "sharded.writer", "write_table", "table", (), _FLOAT32, whole=True
    ),
}
_BY_SUFFIX = {
    suffix: name for name, writer in _WRITERS.items() for suffix in writer.suffixes
}

#: Names of the formats that `write_table` and `write_rows` write.
WRITABLE_FORMATS = tuple(_WRITERS)

#: Suffixes by which they choose the format where none is named.
WRITABLE_SUFFIXES = tuple(_BY_SUFFIX)


def write_table(
    path: str | os.PathLike[str],
    table: Table,
    *,
    format: str | None = None,
    shards: int | None = None,
) -> None:
    """Write a table in a format of `WRITABLE_FORMATS`, by default as the suffix says.

    ``shards`` is in how many files, for the format ``"sharded"``, and means it where
    none is named. What is written appears whole or not at all. Raises `OptionError` for
    a format that there is none of, and for shards of another, and `WriteError` for a
    suffix that names none, where the format cannot hold the table, and where the system
    refuses.
    """
    if shards is not None:
        if format not in (None, _SHARDED):
            raise OptionError(f"shards is {shards}, but {format} has none")
        from pretrained_embed.formats.sharded import writer as sharded_writer

        sharded_writer.write_table(path, table, shards)
        return
    writer = _WRITERS[choose(path, format)]
    check_table(table)
    _write(writer, path, table if writer.takes == "table" else stream_of(table))


def write_rows(
    path: str | os.PathLike[str],
    rows: RowStream,
    *,
    format: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write rows as `write_table` does a table.

    Memory holds a block of vectors at a time. Where a format has to know the number of
    rows first, the vectors wait in a temporary file beside ``path`` and the tokens in
    memory; ``progress`` is called while they come from there. Raises also `OptionError`
    for a dtype that the format has not.
    """
    format = choose(path, format)
    check_dtype(rows.dtype, format)
    writer = _WRITERS[format]
    if writer.takes == "rows" or (writer.takes == "counted rows" and rows.count):
        _write(writer, path, checked(rows))
        return
    table = spooled(rows, folder_for(path))
    waiting = table if writer.takes == "table" else stream_of(table, progress)
    _write(writer, path, waiting)


def choose(path: str | os.PathLike[str], format: str | None) -> str:
    """Return the format of a new file; raises `OptionError`, `WriteError`."""
    if format is not None:
        if format not in _WRITERS:
            near = suggestion(format, _WRITERS)
            raise OptionError(
                f"format is {format!r}; it can be {', '.join(_WRITERS)}{near}"
            )
        return format
    suffix = Path(path).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise WriteError(
            f"cannot tell the format of {os.fspath(path)!r} by its suffix; use one of "
            f"{' '.join(_BY_SUFFIX)}, or name the format: {', '.join(_WRITERS)}"
        )
    return _BY_SUFFIX[suffix]


def holds_all(format: str) -> bool:
    """Whether a format holds what a table has beside tokens and vectors."""
    return _WRITERS[format].whole


def check_dtype(dtype: Dtype, format: str) -> None:
    """Raise `OptionError` for vectors that a format cannot hold."""
    held = _WRITERS[format].dtypes
    if dtype not in held:
        raise OptionError(f"dtype is {dtype!r}; {format} holds {' or '.join(held)}")


def _write(
    writer: Writer, path: str | os.PathLike[str], content: Table | RowStream
) -> None:
    module: Any = import_module(f"pretrained_embed.formats.{writer.module}")
    getattr(module, writer.function)(path, content)
