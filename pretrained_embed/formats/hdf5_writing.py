"""Data sets of a new HDF5 file, written where the disk may be full.

HDF5 takes the process down with it where it finds no room. So all the room that it will
need is taken first, with writes whose failure is an error like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pretrained_embed.formats.table import in_pieces

# What HDF5 needs beside the data: about 50 kB for the file, three pages for each array.
_ROOM = 1 << 18
_ROOM_EACH = 3 << 12
_PIECE = 1 << 20


def empty_file() -> bytes:
    """Return a file of HDF5 that holds nothing."""
    import h5py

    with h5py.File("empty", "w", driver="core", backing_store=False) as file:
        file.flush()
        return bytes(file.id.get_file_image())


def room_for(arrays: Mapping[str, npt.NDArray[Any]]) -> int:
    """Return the bytes that HDF5 may need for arrays and all about them."""
    return sum(array.nbytes + _ROOM_EACH for array in arrays.values()) + _ROOM


def take_room(file: BinaryIO, size: int) -> None:
    """Write ``size`` bytes from the file's present position; raises `OSError`."""
    for done in range(0, size, _PIECE):
        file.write(bytes(min(_PIECE, size - done)))


@contextmanager
def as_oserror() -> Iterator[None]:
    """Turn what h5py raises where it cannot write into `OSError`."""
    try:
        yield
    except (RuntimeError, ValueError) as error:  # such as a full disk, on closing
        raise OSError(f"HDF5: {error}") from error


def write_datasets(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays as contiguous data sets without times; raises `OSError`."""
    import h5py

    with path.open("wb") as empty:
        empty.write(empty_file())
        take_room(empty, room_for(arrays))
    aligned = {"alignment_threshold": 8, "alignment_interval": 64}
    with as_oserror(), h5py.File(path, "r+", **aligned) as file:
        for name, array in arrays.items():
            dtype = array.dtype.newbyteorder("<")
            dataset = file.create_dataset(name, array.shape, dtype, track_times=False)
            position = 0
            for piece in in_pieces(array):
                flat = np.frombuffer(piece, array.dtype)
                if not array.ndim:
                    dataset[()] = flat[0]
                    continue
                rows = flat.reshape(-1, *array.shape[1:])
                dataset[position : position + len(rows)] = rows
                position += len(rows)
