"""Files into which finished rows go in order, whatever their number.

Memory holds the rows that are just being written. The number of rows and their dim are
known first; tokens, arrays and metadata come last. What was written is a table: the
file's reader gives it back, its vectors mapped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pretrained_embed.arrays import AnyArray, Float32Array, PackedTokens
from pretrained_embed.errors import WriteError
from pretrained_embed.files.room import check_room
from pretrained_embed.formats.table import Annotations, check_annotations

_FORMATS = {
    ".npy": "npy",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".safetensors": "safetensors",
}

#: Suffixes that `new_target` knows.
TARGET_SUFFIXES = tuple(_FORMATS)


class RowSink(Protocol):
    """How one format takes rows. What it is given is checked; raises `OSError`."""

    def append(self, vectors: Float32Array) -> None:
        """Write vectors (k, dim) behind those before."""

    def finish(self, annotations: Annotations) -> None:
        """Write what belongs to all rows, which are there."""


class Target:
    """Takes the rows of a new file in order, then what belongs to them.

    ``rows`` and ``dim`` are those announced.
    """

    def __init__(self, sink: RowSink, rows: int, dim: int) -> None:
        self.rows = rows
        self.dim = dim
        self.written = 0  # rows
        self.finished = False
        self._sink = sink

    def append(self, vectors: Float32Array) -> None:
        """Write vectors, float32 (k, dim), behind those before.

        Raises `WriteError` for another dtype or dim, and for more rows than announced.
        """
        if vectors.dtype != np.float32 or vectors.shape[1:] != (self.dim,):
            raise WriteError(
                f"vectors are {vectors.dtype} of shape {vectors.shape}; expected "
                f"float32 (rows, {self.dim})"
            )
        if self.written + len(vectors) > self.rows:
            raise WriteError(
                f"{self.rows:,} rows were announced, {self.written + len(vectors):,} "
                "came"
            )
        self._sink.append(vectors)
        self.written += len(vectors)

    def finish(
        self,
        tokens: PackedTokens,
        arrays: Mapping[str, AnyArray],
        metadata: Mapping[str, Any],
    ) -> None:
        """Write what belongs to all rows: as in `Table`.

        Raises `WriteError` for fewer rows than announced, and where tokens and arrays
        would not read back as they are.
        """
        if self.written != self.rows:
            raise WriteError(
                f"{self.rows:,} rows were announced, {self.written:,} came"
            )
        annotations = Annotations(tokens, arrays, metadata)
        check_annotations(annotations, self.rows)
        self._sink.finish(annotations)
        self.finished = True


@contextmanager
def new_target(
    path: str | os.PathLike[str],
    *,
    rows: int,
    dim: int,
    format: str | None = None,
    beside: int = 0,
) -> Iterator[Target]:
    """Give a target for float32 rows; put it in the place of ``path`` at the end.

    The suffix, one of `TARGET_SUFFIXES`, chooses the format, if ``format`` does not:
    "npy", "hdf5" or "safetensors". ``beside`` is how many bytes tokens, arrays and
    metadata will take, as far as that is known: the room on the disk for all that is
    announced is taken first. A ``.npy`` matrix has a second file beside it, see
    `npy.rows`. Raises `WriteError` as `replacing` does, for another suffix,
    where there is too little room on the disk, and where the block ends and the target
    is not finished.
    """
    format = format or _FORMATS.get(Path(path).suffix.lower())
    if format is None:
        raise WriteError(
            f"cannot write rows one after the other into {os.fspath(path)!r}; its "
            f"suffix can be {' '.join(TARGET_SUFFIXES)}"
        )
    if rows < 1 or dim < 1:
        raise WriteError(
            f"vectors of shape ({rows}, {dim}); a table has at least one of each"
        )
    check_room(path, 4 * rows * dim + beside)
    module: Any = import_module(f"pretrained_embed.formats.{format}.target")
    with module.open_sink(path, rows, dim, beside) as sink:
        target = Target(sink, rows, dim)
        yield target
        if not target.finished:
            raise WriteError(f"{os.fspath(path)}: the rows were never finished")
