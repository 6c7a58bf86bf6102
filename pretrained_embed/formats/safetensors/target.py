"""Rows into a safetensors file.

The header comes first in such a file, so room for it is left: it holds the names and
sizes of tensors alone, and may end in spaces. The vectors follow; then, known by now,
the metadata, as a tensor, and the other tensors, the widest numbers first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from pretrained_embed.arrays import AnyArray, Float32Array
from pretrained_embed.errors import WriteError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.files.room import reserve
from pretrained_embed.formats.safetensors.header import format_header
from pretrained_embed.formats.safetensors.own_tensors import (
    METADATA,
    VECTORS,
    metadata_tensor,
    tensors_of,
    widest_first,
)
from pretrained_embed.formats.table import Annotations, write_array

# Bytes of the header: some 500 tensors. The vectors begin on a page.
_HEADER = 1 << 16


@contextmanager
def open_sink(
    path: str | os.PathLike[str], rows: int, dim: int, beside: int
) -> Iterator[SafetensorsSink]:
    """Give a sink whose file takes the place of ``path`` at the end."""
    with replacing(path) as file:
        reserve(file, bytes_needed(rows, dim) + beside, path)
        yield SafetensorsSink(file, rows, dim)


def bytes_needed(rows: int, dim: int) -> int:
    """Return the bytes that header and vectors take in the file."""
    return _HEADER + 4 * rows * dim


class SafetensorsSink:
    """Takes rows into an open file, from its start; see `RowSink`.

    ``prefix`` is put before the names of all tensors, which `own_tensors` lists.
    """

    def __init__(
        self, file: BinaryIO, rows: int, dim: int, *, prefix: str = ""
    ) -> None:
        # An array of this shape that takes no memory: the header asks for no more.
        self._vectors = np.broadcast_to(np.zeros((), "<f4"), (rows, dim))
        self._prefix = prefix
        self._file = file
        self._file.seek(_HEADER)

    def append(self, vectors: Float32Array) -> None:
        """Write vectors (k, dim) behind those before."""
        write_array(self._file, vectors)

    def finish(self, annotations: Annotations) -> None:
        """Write all other tensors, and the header that names them."""
        following: dict[str, AnyArray] = {
            METADATA: metadata_tensor(annotations, self._vectors.nbytes),
            **widest_first(tensors_of(annotations)),
        }
        header = self._header({VECTORS: self._vectors, **following})
        for tensor in following.values():
            write_array(self._file, tensor)
        self._file.truncate()  # more may have been reserved
        self._file.seek(0)
        self._file.write(header)

    def _header(self, tensors: dict[str, AnyArray]) -> bytes:
        named = {self._prefix + name: tensor for name, tensor in tensors.items()}
        header = format_header(named, {}, _HEADER)
        if len(header) > _HEADER:
            raise WriteError(
                f"the names of {len(named):,} tensors do not fit into the {_HEADER:,} "
                "bytes of the header; use fewer arrays, or shorter names"
            )
        return header
