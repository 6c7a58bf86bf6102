"""Rows into an HDF5 file: the matrix row by row, all else behind it.

A contiguous data set gets its size when it is made, before its data. So the data goes
first: to the place that HDF5 gives the first data set of a new file. When all of it is
there, and its rows are counted, the data set is made around it, without a copy.

HDF5 takes the process down with it where it finds the disk full. So all the room that
it will need is taken first, with writes whose failure is an error like any other.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import name_in_file
from pretrained_embed.errors import needing_package
from pretrained_embed.files.replacement import replacing_path, reserve
from pretrained_embed.formats.blocks import AnyBlock
from pretrained_embed.formats.format import Announced, Place
from pretrained_embed.formats.hdf5.reader import ARRAYS, VECTORS
from pretrained_embed.formats.table import (
    Annotations,
    encode_metadata,
    write_array,
)

# What HDF5 needs beside the data: about 50 kB for the file, four pages for each array,
# one of them for its alignment.
_ROOM = 1 << 18
_ROOM_EACH = 4 << 12
_PIECE = 1 << 20


@contextmanager
def open_sink(path: str | os.PathLike[str], announced: Announced) -> Iterator[Hdf5Sink]:
    """Give a sink whose file takes the place of ``path`` at the end."""
    rows, width = announced.rows, announced.width
    name = name_in_file(VECTORS, announced.dtype)
    with (
        replacing_path(path, announced.growing) as temporary,
        RowFile(temporary, name, width, announced.storage) as file,
    ):
        sink = Hdf5Sink(file, (rows or 0, width))
        if rows is not None:
            sink.reserved = file.reserve(announced.size + announced.beside, path)
        yield sink


class Hdf5Sink:
    """Takes rows into a new file; see `FormatSink`."""

    def __init__(self, file: RowFile, shape: tuple[int, int]) -> None:
        self.reserved = False
        self._file = file
        self._shape = shape
        self._count = 0

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before."""
        self._file.append(block.raw)
        self._count += len(block.raw)

    def place(self) -> Place:
        """Return where the rows lie; see `FormatSink`."""
        self._count = self._shape[0]
        return Place(self._file.path, self._file.skip(self._count), self.reserved)

    def finish(self, annotations: Annotations) -> None:
        """Make the rows a data set, and write all others."""
        tokens, arrays, metadata = annotations
        datasets = {
            "tokens/bytes": tokens.data,
            "tokens/offsets": tokens.offsets,
            "metadata": np.frombuffer(encode_metadata(metadata), np.uint8),
            **{ARRAYS + name: arrays[name] for name in sorted(arrays)},
        }
        self._file.finish(self._count, datasets)


class RowFile:
    """Takes the rows of one data set, then all others. Raises `OSError`.

    ``name`` is that of the data set, ``dtype`` what its rows (n, dim) are stored as.
    All things begin at multiples of ``alignment`` bytes, a page at most. No times are
    stored: equal arrays give equal bytes.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        dim: int,
        dtype: npt.DTypeLike,
        *,
        alignment: int = 64,
    ) -> None:
        self.path = path
        # Of all things: so the first data set has the same place whatever its size.
        self._alignment = {"alignment_threshold": 1, "alignment_interval": alignment}
        self._name = name
        self._dim = dim
        self._dtype = np.dtype(dtype).newbyteorder("<")
        empty = _empty_file()
        # Elsewhere, for the file itself may hold rows already.
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder) / "rows.h5"
            other.write_bytes(empty + bytes(_room_for({})))
            with self._hdf5(other) as file:
                self._start = self._make_rows(file, 1)
        path.touch()
        self._file: BinaryIO = path.open("r+b")
        self._file.write(empty)
        self._file.seek(self._start)

    def reserve(self, size: int, path: str | os.PathLike[str]) -> bool:
        """Take room for ``size`` bytes now, where that is possible; see `room`."""
        return reserve(self._file, self._start + size, path)

    def skip(self, count: int) -> int:
        """Leave so many rows to others to write; return the byte they begin at."""
        size = count * self._dim * self._dtype.itemsize
        self._file.seek(self._start + size)
        return self._start

    def append(self, rows: AnyArray) -> None:
        """Write rows (n, dim) of the file's dtype after those before."""
        write_array(self._file, rows.astype(self._dtype, copy=False))

    def finish(self, count: int, arrays: Mapping[str, AnyArray]) -> dict[str, int]:
        """Make ``count`` rows a data set, and write the arrays beside it.

        Returns the offset in the file of the first byte of each, by name.
        """
        _take_room(self._file, _room_for(arrays))
        self._file.close()
        with self._hdf5(self.path) as file:
            if self._make_rows(file, count) != self._start:
                raise OSError("HDF5 gives data of another size another place")
            offsets = {self._name: self._start}
            for name, array in arrays.items():
                data = array.astype(array.dtype.newbyteorder("<"), copy=False)
                made = file.create_dataset(name, data=data, track_times=False)
                offsets[name] = made.id.get_offset() or 0  # None: there are no bytes
        return offsets

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @contextmanager
    def _hdf5(self, where: Path) -> Iterator[Any]:
        import h5py

        try:
            with h5py.File(where, "r+", **self._alignment) as file:
                yield file
        except (RuntimeError, ValueError) as error:  # such as a full disk, on closing
            raise OSError(f"HDF5: {error}") from error

    def _make_rows(self, file: Any, count: int) -> int:
        """Make the data set without writing to it; return where it begins."""
        from h5py import h5d, h5p, h5s, h5t

        properties = h5p.create(h5p.DATASET_CREATE)
        properties.set_layout(h5d.CONTIGUOUS)
        properties.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5d.FILL_TIME_NEVER)
        properties.set_obj_track_times(False)
        stored = h5t.py_create(self._dtype)
        space = h5s.create_simple((count, self._dim))
        made = h5d.create(file.id, self._name.encode(), stored, space, properties)
        return int(made.get_offset())


def _empty_file() -> bytes:
    """Return a file of HDF5 that holds nothing."""
    with needing_package("writing HDF5"):
        import h5py

    with h5py.File("empty", "w", driver="core", backing_store=False) as file:
        file.flush()
        return bytes(file.id.get_file_image())


def _room_for(arrays: Mapping[str, AnyArray]) -> int:
    """Return the bytes that HDF5 may need for arrays and all about them."""
    return sum(array.nbytes + _ROOM_EACH for array in arrays.values()) + _ROOM


def _take_room(file: BinaryIO, size: int) -> None:
    """Write ``size`` bytes from the file's present position; raises `OSError`."""
    for done in range(0, size, _PIECE):
        file.write(bytes(min(_PIECE, size - done)))
