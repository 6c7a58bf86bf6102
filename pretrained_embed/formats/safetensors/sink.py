"""Rows into a safetensors file.

The header comes first in such a file. Where all that belongs to the rows is known
before them, so is the header; the metadata is in it, and the tensors of the widest
numbers come first. Else room for the header is left: it holds the names and sizes of
tensors alone, and may end in spaces. The vectors follow; then, known by now, the
metadata, as a tensor, and the other tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pretrained_embed import bits
from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import Dtype
from pretrained_embed.errors import WriteError
from pretrained_embed.files.replacement import Output, replacing, reserve
from pretrained_embed.formats.blocks import AnyBlock
from pretrained_embed.formats.format import Announced, Place
from pretrained_embed.formats.safetensors.header import format_header
from pretrained_embed.formats.safetensors.own_tensors import (
    METADATA,
    ROWS,
    Tensors,
    header_metadata,
    metadata_tensor,
    tensors_of,
    vectors_name,
    widest_first,
)
from pretrained_embed.formats.table import Annotations, write_array

#: Bytes of the header: some 500 tensors. The vectors begin on a page.
HEADER = 1 << 16


@contextmanager
def open_sink(
    path: str | os.PathLike[str], announced: Announced
) -> Iterator[SafetensorsSink]:
    """Give a sink whose file takes the place of ``path`` at the end."""
    shape = announced.rows or 0, announced.dim
    with replacing(path, announced.growing) as file:
        # Scales are known at the end, and the header names them.
        late = bits.has_scales(announced.dtype)
        if announced.annotations is not None and not late:
            yield SafetensorsSink(
                file, shape, announced.dtype, known=announced.annotations
            )
            return
        with reserved(file, shape, announced.dtype, path, announced.beside) as sink:
            yield sink


@contextmanager
def reserved(
    file: BinaryIO,
    shape: tuple[int, int],
    dtype: Dtype,
    path: Output,
    beside: int = 0,
    prefix: str = "",
) -> Iterator[SafetensorsSink]:
    """Give a sink into an open file, for which room on the disk is taken first.

    ``path`` is that of the file in the end, ``beside`` what follows the vectors, and
    ``prefix`` what the names of all tensors begin with.
    """
    sink = SafetensorsSink(file, shape, dtype, prefix=prefix)
    sink.reserved = reserve(file, HEADER + sink.size + beside, path)
    file.seek(HEADER)
    yield sink


class SafetensorsSink:
    """Takes rows into an open file, from its start; see `FormatSink`.

    ``prefix`` is put before the names of all tensors, which `own_tensors` lists.
    ``known`` is what belongs to the rows, where that is known, and ``own`` how many of
    the rows that is: what follows them is there for others.
    """

    def __init__(
        self,
        file: BinaryIO,
        shape: tuple[int, int],
        dtype: Dtype = "float32",
        *,
        prefix: str = "",
        known: Annotations | None = None,
        own: int | None = None,
    ) -> None:
        # An array of this shape that takes no memory: the header asks for no more.
        stored = np.zeros((), bits.storage(dtype).newbyteorder("<"))
        self._vectors = np.broadcast_to(stored, (shape[0], bits.width(dtype, shape[1])))
        self._name = vectors_name(dtype)
        self._halves = prefix + self._name if dtype == "bfloat16" else None
        self.size = self._vectors.nbytes
        self.reserved = False
        self._prefix = prefix
        self._file = file
        self._after: Tensors | None = None  # what is still to be written
        if known is not None:
            metadata = header_metadata(known)
            if own is not None:
                metadata[ROWS] = str(own)
            self._begin(known, metadata)

    def _begin(self, known: Annotations, metadata: Mapping[str, str]) -> None:
        """Write the header, and what comes before the vectors."""
        tensors = widest_first({**tensors_of(known), self._name: self._vectors})
        self._file.write(self._header(tensors, metadata))
        names = list(tensors)
        place = names.index(self._name)
        self._write({name: tensors[name] for name in names[:place]})
        self._after = {name: tensors[name] for name in names[place + 1 :]}

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before."""
        write_array(self._file, block.raw)

    def place(self) -> Place | None:
        """Return where the rows lie; see `FormatSink`."""
        if self._after is not None:
            return None
        self._file.seek(HEADER + self.size)
        return Place(Path(self._file.name), HEADER, self.reserved)

    def finish(self, annotations: Annotations) -> None:
        """Write all other tensors, and the header that names them."""
        if self._after is not None:
            self._write(self._after)
            return
        following: Tensors = {
            METADATA: metadata_tensor(annotations, self.size),
            **widest_first(tensors_of(annotations)),
        }
        header = self._header({self._name: self._vectors, **following}, {}, HEADER)
        if len(header) > HEADER:
            raise WriteError(
                f"the names of {len(following):,} tensors do not fit into the "
                f"{HEADER:,} bytes of the header; use fewer arrays, or shorter names"
            )
        self._write(following)
        self._file.truncate()  # more may have been reserved
        self._file.seek(0)
        self._file.write(header)

    def _header(
        self, tensors: Tensors, metadata: Mapping[str, str], multiple: int = 8
    ) -> bytes:
        named = {self._prefix + name: tensor for name, tensor in tensors.items()}
        return format_header(named, metadata, multiple, self._halves)

    def _write(self, tensors: Mapping[str, AnyArray]) -> None:
        for tensor in tensors.values():
            write_array(self._file, tensor)
