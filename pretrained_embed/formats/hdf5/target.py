"""Rows into an HDF5 file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pretrained_embed.arrays import Float32Array
from pretrained_embed.files.replacement import replacing_path
from pretrained_embed.formats.hdf5.reader import VECTORS, datasets_of
from pretrained_embed.formats.hdf5.writing import RowFile
from pretrained_embed.formats.table import Annotations


@contextmanager
def open_sink(
    path: str | os.PathLike[str], rows: int, dim: int, beside: int
) -> Iterator[Hdf5Sink]:
    """Give a sink whose file takes the place of ``path`` at the end."""
    with (
        replacing_path(path) as temporary,
        RowFile(temporary, VECTORS, dim, "float32") as file,
    ):
        file.reserve(4 * rows * dim + beside, path)
        yield Hdf5Sink(file, rows)


class Hdf5Sink:
    """Takes rows into a new file; see `RowSink`."""

    def __init__(self, file: RowFile, rows: int) -> None:
        self._file = file
        self._rows = rows

    def append(self, vectors: Float32Array) -> None:
        """Write vectors (k, dim) behind those before."""
        self._file.append(vectors)

    def finish(self, annotations: Annotations) -> None:
        """Make the rows a data set, and write all others."""
        self._file.finish(self._rows, datasets_of(annotations))
