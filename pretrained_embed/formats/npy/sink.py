"""Rows into a ``.npy`` matrix, and what belongs to them into the file beside it.

``np.load(path, mmap_mode="r")`` gives the vectors. Each file appears whole or not at
all, the matrix last; what is beside a matrix of other rows is told from its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pretrained_embed.files.replacement import replacing_with_others, reserve
from pretrained_embed.formats.blocks import AnyBlock
from pretrained_embed.formats.format import Announced, Place
from pretrained_embed.formats.npy.header import format_header
from pretrained_embed.formats.npy.rows import Sample, path_of_rows, write_rows_file
from pretrained_embed.formats.table import Annotations, write_array


@contextmanager
def open_sink(path: str | os.PathLike[str], announced: Announced) -> Iterator[NpySink]:
    """Give a sink whose two files take their places at the end.

    Room is taken for the matrix alone: all else is in the other file.
    """
    with replacing_with_others(path, announced.growing) as temporary:
        temporary.touch()
        with temporary.open("r+b") as file:
            sink = NpySink(file, temporary, announced)
            sink.reserved = reserve(file, sink.size, path)
            yield sink


class NpySink:
    """Takes rows behind the header of an open file; see `FormatSink`."""

    def __init__(self, file: BinaryIO, path: Path, announced: Announced) -> None:
        rows, dtype = announced.rows or 0, announced.dtype
        one = np.zeros((), announced.storage.newbyteorder("<"))
        header = format_header(np.broadcast_to(one, (rows, announced.width)))
        file.write(header)
        self.size = len(header) + announced.size
        self.reserved = False
        self._file = file
        self._path = path
        self._begin = len(header)
        self._sample = Sample(rows, announced.width, dtype)
        self._placed = False

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before."""
        write_array(self._file, block.raw)
        self._sample.add(block.raw)

    def place(self) -> Place:
        """Return where the rows lie; see `FormatSink`."""
        self._placed = True
        return Place(self._path, self._begin, self.reserved)

    def finish(self, annotations: Annotations) -> None:
        """Write the file beside the matrix."""
        if self._placed:
            self._sample.read(self._file, self._begin)
        rows = path_of_rows(self._path)
        write_rows_file(rows, annotations, self._sample.digest())
