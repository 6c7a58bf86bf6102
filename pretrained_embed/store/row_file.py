"""An HDF5 file whose matrix is written row by row, its rows counted at the end.

A contiguous data set gets its size when it is made, before its data. So the data goes
first: to the place that HDF5 gives the first data set of a new file. When all of it is
there, the data set is made around it, without a copy.

HDF5 takes the process down with it where it finds the disk full. So all the room that
it will need is taken first, with writes whose failure is an error like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from pretrained_embed.formats.hdf5_writing import (
    as_oserror,
    empty_file,
    room_for,
    take_room,
)
from pretrained_embed.store.layout import VECTORS, Place

# All things begin on a page: so the first data set begins at the same place whatever
# its size, and is mapped from the start of a page.
_PAGE = 4096
_ALIGNED = {"alignment_threshold": 1, "alignment_interval": _PAGE}


class RowFile:
    """Takes the rows of `VECTORS`, then all other arrays. Raises `OSError`.

    ``start`` is the offset of the first row in the file.
    """

    def __init__(self, path: Path, dim: int, dtype: npt.DTypeLike) -> None:
        self._path = path
        self._dim = dim
        self._dtype = np.dtype(dtype).newbyteorder("<")
        empty = empty_file()
        path.write_bytes(empty + bytes(room_for({})))
        with self._hdf5() as file:
            self.start = self._make_rows(file, 1)
        path.write_bytes(empty)
        self._file: BinaryIO = path.open("r+b")
        self._file.seek(self.start)

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write rows (n, dim) of the file's dtype after those before."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)

    def finish(
        self, count: int, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> dict[str, Place]:
        """Make ``count`` rows a data set, and write the arrays beside it."""
        pages = len(arrays) * _PAGE  # what beginning on a page may cost
        take_room(self._file, room_for(arrays) + pages)
        self._file.close()
        with self._hdf5() as file:
            if self._make_rows(file, count) != self.start:
                raise OSError("HDF5 gives data of another size another place")
            places = {VECTORS: Place(self._dtype.str, (count, self._dim), self.start)}
            for name, array in arrays.items():
                data = array.astype(array.dtype.newbyteorder("<"), copy=False)
                made = file.create_dataset(name, data=data, track_times=False)
                offset = made.id.get_offset() or 0  # None: there are no bytes
                places[name] = Place(data.dtype.str, data.shape, offset)
        return places

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @contextmanager
    def _hdf5(self) -> Iterator[Any]:
        import h5py

        with as_oserror(), h5py.File(self._path, "r+", **_ALIGNED) as file:
            yield file

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
        made = h5d.create(file.id, VECTORS.encode(), stored, space, properties)
        return int(made.get_offset())
