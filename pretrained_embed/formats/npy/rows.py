"""What belongs to the rows of a ``.npy`` matrix, in a file beside it.

``m.npy`` is a plain array, which holds nothing else; ``m.rows.safetensors`` has the
tensors of its tokens and arrays, see `own_tensors`, and in its header the metadata and,
under ``vectors``, which matrix it belongs to: the SHA-256 of the shape and of a sample
of the rows, those of ``sampled``. So a matrix that was written anew is told from the
one that the file was written with, and only a few pages of it are read for that.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pretrained_embed import bits
from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import Dtype
from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.reading import is_file, read_fully
from pretrained_embed.files.replacement import replacing
from pretrained_embed.formats.local import file_size, open_file
from pretrained_embed.formats.safetensors.header import (
    format_header,
    map_tensor,
    read_header,
)
from pretrained_embed.formats.safetensors.own_tensors import (
    header_metadata,
    read_annotations,
    tensors_of,
    widest_first,
)
from pretrained_embed.formats.table import Annotations, write_array

_SAMPLE = 64  # rows
_VECTORS = "vectors"


class Sample:
    """The digest of a sample of the rows of a matrix that comes block by block."""

    def __init__(self, rows: int, width: int, dtype: Dtype = "float32") -> None:
        self._wanted = np.array(sampled(rows), np.int64)
        self._dtype = bits.storage(dtype).newbyteorder("<")
        self._row_bytes = width * self._dtype.itemsize
        self._state = sha256(f"{dtype} {rows} {width}\n".encode())
        self._row = 0

    def add(self, vectors: AnyArray) -> None:
        """Take the rows that follow."""
        end = self._row + len(vectors)
        low, high = np.searchsorted(self._wanted, (self._row, end))
        chosen = vectors[self._wanted[low:high] - self._row]
        self._state.update(chosen.astype(self._dtype).tobytes())
        self._row = end

    def read(self, file: BinaryIO, begin: int) -> None:
        """Take all rows of a file in which they begin at a byte; raises `OSError`."""
        for row in self._wanted.tolist():
            file.seek(begin + row * self._row_bytes)
            self._state.update(read_fully(file, self._row_bytes))

    def digest(self) -> str:
        """Return the digest of all rows so far."""
        return self._state.hexdigest()


def sampled(rows: int) -> list[int]:
    """Return the rows whose bytes the digest covers: first, last, and some between."""
    return sorted({i * (rows - 1) // (_SAMPLE - 1) for i in range(_SAMPLE)})


def path_of_rows(matrix: Path) -> Path:
    """Return the path of the file that belongs to a matrix."""
    return matrix.with_suffix(".rows.safetensors")


def find_rows_file(matrix: Path) -> Path | None:
    """Return the file that belongs to a matrix, or to the one that is linked to."""
    places = (path_of_rows(matrix), path_of_rows(matrix.resolve()))
    return next((place for place in places if is_file(place)), None)


def write_rows_file(path: Path, annotations: Annotations, digest: str) -> None:
    """Write the file for the matrix with this digest; raises `WriteError`."""
    tensors = widest_first(tensors_of(annotations))
    metadata = header_metadata(annotations) | {_VECTORS: digest}
    with replacing(path) as file:
        file.write(format_header(tensors, metadata))
        for tensor in tensors.values():
            write_array(file, tensor)


def read_rows_file(
    path: Path, vectors: AnyArray, where: str, options: ReadOptions
) -> Annotations:
    """Return what belongs to the rows of a matrix called ``where``.

    Raises `FormatError` where the file is damaged or is that of another matrix, and
    `SourceError` where it cannot be read.
    """
    try:
        with open_file(path, options) as file:
            header = read_header(file, file_size(file), str(path))
            annotations = read_annotations(
                header,
                lambda name: map_tensor(file, header, name, str(path)),
                str(path),
                "",
            )
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    dtype: Dtype = "float32"
    if annotations is not None:
        dtype = bits.dtype_told(annotations.metadata, str(path))
    sample = Sample(vectors.shape[0], vectors.shape[1], dtype)
    sample.add(vectors)
    if annotations is None or header.metadata.get(_VECTORS) != sample.digest():
        raise FormatError(
            f"{where} is not the matrix that {path} was written with; the two do not "
            "belong together. Get both again, or move the latter away and name a file "
            "of tokens"
        )
    return annotations
