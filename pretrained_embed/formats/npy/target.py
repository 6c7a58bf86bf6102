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

from pretrained_embed.arrays import Float32Array, PackedTokens, joined
from pretrained_embed.files.replacement import replacing_with_others
from pretrained_embed.files.room import reserve
from pretrained_embed.formats.npy.header import format_header
from pretrained_embed.formats.npy.rows import Sample, path_of_rows, write_rows_file
from pretrained_embed.formats.row_stream import RowStream
from pretrained_embed.formats.table import Annotations, write_array
from pretrained_embed.formats.target import new_target


@contextmanager
def open_sink(
    path: str | os.PathLike[str], rows: int, dim: int, beside: int
) -> Iterator[NpySink]:
    """Give a sink whose two files take their places at the end.

    No room is taken for what is ``beside``: that is in the other file.
    """
    header = format_header(np.broadcast_to(np.zeros((), "<f4"), (rows, dim)))
    size = len(header) + 4 * rows * dim
    with replacing_with_others(path) as temporary, temporary.open("xb") as file:
        reserve(file, size, path)
        file.write(header)
        yield NpySink(file, temporary, Sample(rows, dim))


def write_rows(path: str | os.PathLike[str], rows: RowStream) -> None:
    """Write float32 rows, whose number is known; raises `WriteError`.

    Their tokens are held in memory.
    """
    tokens: list[PackedTokens] = []
    with new_target(path, rows=rows.count or 0, dim=rows.dim, format="npy") as target:
        for block in rows.blocks:
            target.append(block.vectors)
            tokens.append(block.tokens)
        target.finish(joined(tokens), rows.arrays, rows.metadata)


class NpySink:
    """Takes rows behind the header of an open file; see `RowSink`."""

    def __init__(self, file: BinaryIO, path: Path, sample: Sample) -> None:
        self._file = file
        self._path = path
        self._sample = sample

    def append(self, vectors: Float32Array) -> None:
        """Write vectors (k, dim) behind those before."""
        write_array(self._file, vectors)
        self._sample.add(vectors)

    def finish(self, annotations: Annotations) -> None:
        """Write the file beside the matrix."""
        rows = path_of_rows(self._path)
        write_rows_file(rows, annotations, self._sample.digest())
