"""New files of vectors: blocks of rows one after the other, then all else.

Every format is written so, whoever writes: a matrix that is saved, a source that is
converted, a build whose rows are more than memory holds. What a format has to know
before its first byte, and does not know yet, waits in a temporary file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    PackedTokens,
    Progress,
    joined,
)
from pretrained_embed.errors import OptionError, WriteError, suggestion
from pretrained_embed.files.replacement import folder_for
from pretrained_embed.files.room import check_room
from pretrained_embed.formats.blocks import DTYPES, Dtype, PackedBlock, RowStream
from pretrained_embed.formats.row_stream import check_count, rounded, spooled, stream_of
from pretrained_embed.formats.table import (
    Annotations,
    Table,
    check_annotations,
    check_table,
    refuse_holes,
)


class Format(NamedTuple):
    """How one format is written.

    The module, below this package, has ``open_sink(path, announced)``, which gives a
    `RowSink` and puts what it wrote in its place at the end.
    """

    module: str
    suffixes: tuple[str, ...] = ()
    dtypes: tuple[Dtype, ...] = DTYPES
    #: What has to be known before the first row.
    knows: Literal["nothing", "count", "all"] = "nothing"
    whole: bool = False  # holds all of a table: arrays and metadata, too
    mapped: bool = False  # its vectors lie in the file just as they are in memory


#: What systems say whose disks map no file that is written to, or where a process may
#: have no more addresses.
_CANNOT_MAP = (
    *(errno.ENODEV, errno.EINVAL, errno.EACCES, errno.ENOSYS, errno.ENOTSUP),
    errno.ENOMEM,
)

_FLOAT32 = DTYPES[:1]
_SHARDED = "sharded"
_FORMATS = {
    "npz": Format("npz.sink", (".npz",), knows="count", whole=True, mapped=True),
    "npy": Format(
        "npy.sink", (".npy",), _FLOAT32, knows="count", whole=True, mapped=True
    ),
    "hdf5": Format("hdf5.sink", (".h5", ".hdf5"), whole=True, mapped=True),
    "safetensors": Format(
        "safetensors.sink", (".safetensors",), knows="all", whole=True, mapped=True
    ),
    "word2vec": Format("text.sink", (".txt", ".vec"), _FLOAT32, knows="count"),
    "glove": Format("text.sink", (), _FLOAT32),
    "word2vec-binary": Format("word2vec.sink", (".bin",), _FLOAT32, knows="count"),
    "gensim": Format("gensim.sink", (".kv",)),
    "sentence-transformers": Format("hugging_face.sink", whole=True),
    "projector": Format("projector", (), _FLOAT32),
    _SHARDED: Format("sharded.sink", (), _FLOAT32, knows="all", whole=True),
}
_BY_SUFFIX = {
    suffix: name for name, format in _FORMATS.items() for suffix in format.suffixes
}

#: Names of the formats that `write_table` and `write_rows` write.
WRITABLE_FORMATS = tuple(_FORMATS)

#: Suffixes by which they choose the format where none is named.
WRITABLE_SUFFIXES = tuple(_BY_SUFFIX)

#: Those of files that a reader maps: `new_sink` writes them before all is known.
TARGET_SUFFIXES = tuple(s for s, name in _BY_SUFFIX.items() if _FORMATS[name].mapped)


class Announced(NamedTuple):
    """What is known of rows before the first of them comes."""

    rows: int | None  # how many, or ``None``: only the end will tell
    dim: int
    dtype: Dtype = "float32"  # what the vectors become in the file
    tokens: PackedTokens | None = None  # of all rows, where they are at hand
    annotations: Annotations | None = None  # all that belongs to the rows, likewise
    beside: int = 0  # about how many bytes that takes, where it is not
    format: str = ""  # the name of the format
    shards: int | None = None  # how many files, where one is not enough


class RowSink(Protocol):
    """How one format takes rows. What it is given is checked; raises `OSError`."""

    def append(self, block: PackedBlock) -> None:
        """Write rows of the announced dtype and dim behind those before."""

    def finish(self, annotations: Annotations) -> None:
        """Write what belongs to all rows, which are there."""


class Sink:
    """Takes the rows of a new file in order, then what belongs to them."""

    def __init__(self, inner: RowSink, announced: Announced, *, whole: bool) -> None:
        self.written = 0  # rows
        self.finished = False
        self._inner = inner
        self._announced = announced
        self._whole = whole
        self._tokens: list[PackedTokens] = []  # where nobody else keeps them

    def append(self, block: PackedBlock) -> None:
        """Write rows behind those before; their vectors are float32 (k, dim).

        Raises `WriteError` for another dtype or dim, for more rows than announced, and
        naming the token whose number, or which itself, the format cannot hold.
        """
        announced, (tokens, vectors) = self._announced, block
        if vectors.dtype not in (np.float32, announced.dtype) or (
            vectors.shape[1:] != (announced.dim,)
        ):
            raise WriteError(
                f"vectors are {vectors.dtype} of shape {vectors.shape}; expected "
                f"float32 (rows, {announced.dim})"
            )
        rows, came = announced.rows, self.written + len(vectors)
        if rows is not None and came > rows:
            check_count(rows, came)
        if vectors.dtype != announced.dtype:
            vectors = rounded(vectors, announced.dtype, tokens)
        self._inner.append(PackedBlock(tokens, vectors))
        if self._whole and announced.tokens is None:
            self._tokens.append(tokens)
        self.written += len(vectors)

    def map(self) -> Float32Array | None:
        """Return all rows of the new file, (rows, dim), to be filled in any order.

        Takes the place of `append`. They are zeros so far. ``None`` where the format or
        the disk cannot do that, or a limit of the process does not let it.
        """
        get = getattr(self._inner, "map", None)
        try:
            mapped: Float32Array | None = get() if get is not None else None
        except OSError as error:
            if error.errno not in _CANNOT_MAP:
                raise
            return None
        if mapped is not None:
            self.written = len(mapped)
        return mapped

    def finish(
        self, arrays: Mapping[str, AnyArray], metadata: Mapping[str, Any]
    ) -> None:
        """Write what belongs to all rows, as in `Table`.

        Raises `WriteError` for fewer rows than announced, and where tokens and arrays
        would not read back as they are.
        """
        check_count(self._announced.rows, self.written)
        tokens = self._announced.tokens
        if tokens is None:
            tokens = joined(self._tokens)
        annotations = Annotations(tokens, arrays, metadata)
        if self._whole:
            check_annotations(annotations, self.written)
        self._inner.finish(annotations)
        self.finished = True


@contextmanager
def new_sink(
    path: str | os.PathLike[str], announced: Announced, format: str | None = None
) -> Iterator[Sink]:
    """Give a sink for rows; put what it wrote in the place of ``path`` at the end.

    The suffix chooses the format, if ``format`` does not. Room on the disk for all that
    is announced is taken first. Raises `WriteError` where the system refuses, where
    there is too little room on the disk, and where the block ends and the sink is not
    finished; `OptionError` for a format or a dtype that there is none of.
    """
    format = choose(path, format)
    check_dtype(announced.dtype, format)
    announced = announced._replace(format=format)
    rows, dim = announced.rows, announced.dim
    if rows == 0 or dim < 1:
        raise WriteError(
            f"vectors of shape ({rows}, {dim}); a table has at least one of each"
        )
    if announced.annotations is not None:
        announced = announced._replace(tokens=announced.annotations.tokens)
    if rows is not None and _FORMATS[format].mapped:
        size = rows * dim * np.dtype(announced.dtype).itemsize
        check_room(path, size + announced.beside)
    module: Any = import_module(f"pretrained_embed.formats.{_FORMATS[format].module}")
    with module.open_sink(path, announced) as inner:
        sink = Sink(inner, announced, whole=_FORMATS[format].whole)
        yield sink
        if not sink.finished:
            raise WriteError(f"{os.fspath(path)}: the rows were never finished")


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
    if shards is not None and format not in (None, _SHARDED):
        raise OptionError(f"shards is {shards}, but {format} has none")
    format = _SHARDED if shards is not None else choose(path, format)
    check_table(table)
    if (stored := table.vectors.dtype.name) not in _FORMATS[format].dtypes:
        raise WriteError(f"vectors are {stored}; {format} holds float32")
    _write(path, stream_of(table), format, shards)


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
    known = {"nothing": True, "count": rows.count, "all": rows.tokens is not None}
    if not known[_FORMATS[format].knows]:
        rows = stream_of(spooled(rows, folder_for(path)), progress)
    _write(path, rows, format)


def _write(
    path: str | os.PathLike[str],
    rows: RowStream,
    format: str,
    shards: int | None = None,
) -> None:
    if not _FORMATS[format].whole:
        refuse_holes(rows.arrays, format)
    annotations = None
    if rows.tokens is not None:
        annotations = Annotations(rows.tokens, rows.arrays, rows.metadata)
    announced = Announced(
        rows.count, rows.dim, rows.dtype, annotations=annotations, shards=shards
    )
    with new_sink(path, announced, format) as sink:
        for block in rows.blocks:
            sink.append(block)
        sink.finish(rows.arrays, rows.metadata)


def choose(path: str | os.PathLike[str], format: str | None) -> str:
    """Return the format of a new file; raises `OptionError`, `WriteError`."""
    if format is not None:
        if format not in _FORMATS:
            near = suggestion(format, _FORMATS)
            raise OptionError(
                f"format is {format!r}; it can be {', '.join(_FORMATS)}{near}"
            )
        return format
    suffix = Path(path).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise WriteError(
            f"cannot tell the format of {os.fspath(path)!r} by its suffix; use one of "
            f"{' '.join(_BY_SUFFIX)}, or name the format: {', '.join(_FORMATS)}"
        )
    return _BY_SUFFIX[suffix]


def holds_all(format: str) -> bool:
    """Whether a format holds what a table has beside tokens and vectors."""
    return _FORMATS[format].whole


def check_dtype(dtype: Dtype, format: str) -> None:
    """Raise `OptionError` for vectors that a format cannot hold."""
    held = _FORMATS[format].dtypes
    if dtype not in held:
        raise OptionError(f"dtype is {dtype!r}; {format} holds {' or '.join(held)}")
