"""Data sets of HDF5 files, read without trusting the file.

None of h5py's errors gets past this module.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, needing_package
from pretrained_embed.formats.foreign import ArrayForm
from pretrained_embed.formats.local import LocalFile, file_size, map_array, map_file
from pretrained_embed.formats.table import Rows

_DAMAGED = "the HDF5 file is damaged"
_CHUNK_CACHE = 1 << 26  # bytes; h5py's own 1 MiB unpacks wide chunks once a slab
_HEAP = b"GCOL\x01\0\0\0"
_CHUNK_SLOTS = 10_007  # a prime, as HDF5 wants it
_PACKING_RATIO = 1100  # deflate cannot pack better than about 1032 to 1
_ENTRY = 1 << 10  # bytes that a data set takes that was looked at
_STRINGS = 1 << 16  # of variable length, that are read at a time


class DataFile:
    """The data sets of an open file, by path: ``depth`` levels below its root, too.

    Only what lies in the file itself counts: no link is followed, no data in other
    files is read. Sizes are checked against what is stored, and taken from the
    ``budget``, before anything is allocated: a few bytes can declare a data set of any
    size, and any number of strings can be the same bytes.
    """

    def __init__(
        self, file: LocalFile, where: str, budget: Budget, depth: int = 1
    ) -> None:
        with needing_package(f"{where}: HDF5"):
            import h5py

        self._file = file
        self._size = file_size(file)
        self._where = where
        self._budget = budget
        self._heaps_are_right = False  # until they are looked at
        self._sets: dict[str, Any] = {}
        with refusing_damage(where, _DAMAGED):
            self._root = h5py.File(file, "r", rdcc_nbytes=_CHUNK_CACHE)
            self._list(self._root, "", h5py, depth)
        self.names = self._sets.keys()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._sets.clear()
        with refusing_damage(self._where, _DAMAGED):
            self._root.close()

    def read(self, name: str, kinds: str = "iuf") -> AnyArray:
        """Return a data set of numbers, mapped where that is possible."""
        with refusing_damage(self._where, _DAMAGED):
            dataset = self._checked(name)
            if dataset.dtype.kind not in kinds:
                raise FormatError(
                    f"{self._where}, data set {name!r}: {dataset.dtype} is not a "
                    "dtype of plain numbers"
                )
            mapped = self._map(dataset)
            if mapped is None:
                self._budget.take(dataset.nbytes)
            return dataset[()] if mapped is None else mapped

    def rows(self, name: str) -> Rows:
        """Return a matrix, mapped where that is possible, else read as it is asked."""
        with refusing_damage(self._where, _DAMAGED):
            dataset = self._checked(name)
            mapped = self._map(dataset)
            if mapped is not None:
                return mapped
            if dataset.chunks:
                del dataset
                self._keep_chunks(name)
            return _StoredRows(self._sets[name], self._where)

    def form(self, name: str) -> ArrayForm:
        """Return the shape of a data set, and whether it holds strings."""
        import h5py

        with refusing_damage(self._where, _DAMAGED):
            dataset = self._sets[name]
            strings = h5py.check_string_dtype(dataset.dtype) is not None
            return ArrayForm(dataset.shape or (), strings)

    def dtype(self, name: str) -> str:
        """Return the name of the dtype of a data set."""
        with refusing_damage(self._where, _DAMAGED):
            return str(self._sets[name].dtype.name)

    def label(self, group: str, name: str) -> str | None:
        """Return an attribute of a group that is text, ``None`` where it has none."""
        with refusing_damage(self._where, _DAMAGED):
            if name not in self._root[group].attrs:
                return None
            self._check_heaps()
            label = self._root[group].attrs[name]
        if isinstance(label, bytes):
            return label.decode("utf-8", "surrogateescape")
        return label if isinstance(label, str) else None

    def has_label(self, group: str, name: str) -> bool:
        """Return whether a group has an attribute."""
        with refusing_damage(self._where, _DAMAGED):
            return name in self._root[group].attrs

    def read_strings(self, name: str) -> list[bytes]:
        """Return a row of strings, of fixed or of variable length, as their bytes."""
        import h5py

        with refusing_damage(self._where, _DAMAGED):
            dataset = self._checked(name)
            kind = h5py.check_string_dtype(dataset.dtype)
            if kind is None or len(dataset.shape) != 1:
                raise FormatError(
                    f"{self._where}, data set {name!r}: {dataset.dtype} of shape "
                    f"{dataset.shape}; tokens have to be a row of strings"
                )
            if kind.length is not None:
                self._budget.take(dataset.nbytes + dataset.size * OBJECT)
                return [bytes(string) for string in dataset[()].tolist()]
            return self._read_long_strings(dataset)

    def _read_long_strings(self, dataset: Any) -> list[bytes]:
        """Return strings of variable length, each of which may be the whole file."""
        self._check_heaps()
        strings: list[bytes] = []
        while len(strings) < dataset.size:
            start = len(strings)
            most = max(1, min(_STRINGS, self._budget.left // self._size))
            strings += map(bytes, dataset[start : start + most].tolist())
            self._budget.take(sum(map(len, strings[start:])) + most * OBJECT)
        return strings

    def _check_heaps(self) -> None:
        """Refuse a heap of strings whose objects do not follow each other.

        The library goes round in circles in a heap that has one of no bytes. ::

            heap   = "GCOL" version reserved:3 size:uint64 *object
            object = index:uint16 references:uint16 reserved:4 size:uint64 *byte
        """
        if self._heaps_are_right:
            return
        data = map_file(self._file)
        at = data.find(_HEAP)
        while at >= 0:
            size = int.from_bytes(data[at + 8 : at + 16], "little")
            place, end = at + 16, min(at + size, self._size)
            while place + 16 <= end:
                index = int.from_bytes(data[place : place + 2], "little")
                length = int.from_bytes(data[place + 8 : place + 16], "little")
                step = length if index == 0 else 16 + length + -length % 8
                if step < 16 or place + step > end:
                    raise FormatError(
                        f"{self._where}: {_DAMAGED} (a heap of strings at byte "
                        f"{at:,}); copy or download the file again"
                    )
                place += step
            at = data.find(_HEAP, max(place, at + 1))
        self._heaps_are_right = True

    def _list(self, group: Any, prefix: str, h5py: Any, depth: int) -> None:
        for name in group:
            self._budget.take(_ENTRY)  # a group may be in itself
            # Soft links count as links too: they may lead through external ones.
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            entry = group[name]
            if isinstance(entry, h5py.Dataset):
                self._sets[prefix + name] = entry
            elif isinstance(entry, h5py.Group) and depth:
                self._list(entry, f"{prefix}{name}/", h5py, depth - 1)

    def _checked(self, name: str) -> Any:
        """Return the data set if all of it is stored in this file."""
        import h5py

        dataset = self._sets[name]
        if dataset.external or dataset.is_virtual:
            raise FormatError(
                f"{self._where}, data set {name!r}: its data is in other files, which "
                "are not read; copy it into one file"
            )
        filters = dataset.id.get_create_plist()
        for place in range(filters.get_nfilters()):
            code, _, _, packing = filters.get_filter(place)
            if not h5py.h5z.filter_avail(code):
                raise FormatError(
                    f"{self._where}, data set {name!r}: packed with "
                    f"{packing.decode(errors='replace')} (filter {code}), which h5py "
                    "alone cannot unpack; repack the file: h5repack -f GZIP=4 IN OUT"
                )
        if dataset.shape is None:
            raise FormatError(f"{self._where}, data set {name!r}: it is empty")
        stored, declared = dataset.id.get_storage_size(), dataset.nbytes
        if dataset.chunks:
            grid = [
                -(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)
            ]
            chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
            declared = max(declared, math.prod(grid) * chunk)
            whole = declared <= stored * _PACKING_RATIO
            whole = whole and dataset.id.get_num_chunks() == math.prod(grid)
        else:
            whole = declared <= stored
        if (declared and not whole) or stored > self._size:
            raise FormatError(
                f"{self._where}, data set {name!r}: {dataset.dtype} of shape "
                f"{dataset.shape} is not all there; get the file again"
            )
        return dataset

    def _keep_chunks(self, name: str) -> None:
        """Give a data set a cache that holds all chunks that one row lies in.

        A chunk is unpacked whole, and again for each slab of rows unless it is kept.
        """
        import h5py

        dataset = self._sets[name]
        across = zip(dataset.shape[1:], dataset.chunks[1:], strict=True)
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        needed = chunk * math.prod(-(-size // width) for size, width in across)
        self._budget.take(chunk + max(0, needed - _CHUNK_CACHE))
        if needed <= _CHUNK_CACHE:
            return
        del dataset, self._sets[name]  # the cache is that of the first opening
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        access.set_chunk_cache(_CHUNK_SLOTS, needed, 1.0)
        place = name.encode("utf-8", "surrogateescape")
        self._sets[name] = h5py.Dataset(h5py.h5d.open(self._root.id, place, access))

    def _map(self, dataset: Any) -> AnyArray | None:
        """Map a data set that lies in the file just as numpy would have it."""
        import h5py

        offset = dataset.id.get_offset()  # None unless contiguous
        stored = dataset.id.get_type()
        if offset is None or not stored.equal(h5py.h5t.py_create(dataset.dtype)):
            return None
        if offset + dataset.nbytes > self._size:
            raise FormatError(f"{self._where}: ends too early; get the file again")
        return map_array(self._file, dataset.dtype, dataset.shape, offset)


class _StoredRows:
    """A matrix that is packed or scattered, read as it is asked for."""

    def __init__(self, dataset: Any, where: str) -> None:
        self._dataset = dataset
        self._where = where
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype

    def __getitem__(self, rows: slice) -> AnyArray:
        with refusing_damage(self._where, _DAMAGED):
            block: AnyArray = self._dataset[rows]
        return block
