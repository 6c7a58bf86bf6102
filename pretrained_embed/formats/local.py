"""Local files: mapped, read piece by piece, or one JSON object.

Formats that are not read from front to back need a file that can be mapped.
"""

from __future__ import annotations

import io
import json
import math
import mmap
import os
import struct
import threading
import weakref
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, Self, cast

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import AnyArray
from pretrained_embed.budget import Budget, ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError, TruncatedError
from pretrained_embed.formats.reader import ByteStream

_PIECE = 1 << 20  # bytes that are copied at a time
_MOST_DIMS = 64  # of an array of NumPy


class LocalFile(io.BufferedReader):
    """A local file that is open for reading, and how it is read.

    ``file`` is closed with it.
    """

    def __init__(self, file: BinaryIO | io.FileIO, options: ReadOptions) -> None:
        super().__init__(cast(io.FileIO, file))
        self.options = options


def open_file(path: Path, options: ReadOptions) -> LocalFile:
    """Open a file; raises `OSError`."""
    return LocalFile(path.open("rb", buffering=0), options)


def open_local(stream: ByteStream) -> LocalFile:
    """Open the stream's bytes as a local file.

    Bytes of another kind (compressed, or from a pipe) are copied into a temporary file,
    which is deleted when it is closed and no longer mapped. Raises `SourceError` if the
    system refuses, and `FormatError` if they exceed the budget.
    """
    try:
        if stream.path is not None:
            return open_file(stream.path, stream.read_options)
        return _copy(stream)
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(
            f"cannot read {stream.name}: {error.strerror or error}"
        ) from error


def _copy(stream: ByteStream) -> LocalFile:
    size = stream.packed_size
    budget = None
    if size is not None:
        budget = stream.read_options.budget_of(stream.name, size)
    with stream.open() as file:
        return copied(file, budget, stream.read_options)


def copied(file: IO[bytes], budget: Budget | None, options: ReadOptions) -> LocalFile:
    """Return the bytes of a file as a temporary one; raises `FormatError`, `OSError`.

    It is deleted when it is closed and no longer mapped.
    """
    import tempfile

    copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  (handed on open)
    try:
        while piece := file.read(_PIECE):
            if budget is not None:
                budget.take(len(piece))
            copy.write(piece)
        copy.flush()
    except BaseException:
        copy.close()
        raise
    return LocalFile(copy, options)


def file_size(file: BinaryIO) -> int:
    """Return the number of bytes of an open file."""
    return file.seek(0, 2)


def budget_of(stream: ByteStream, file: BinaryIO) -> Budget:
    """Return the budget for a stream that was opened as a local file."""
    size = stream.packed_size
    size = file_size(file) if size is None else size
    return stream.read_options.budget_of(stream.name, size)


def array_bytes(shape: tuple[int, ...], itemsize: int, where: str) -> int:
    """Return the size of an array in bytes; `FormatError` for an impossible shape."""
    if len(shape) > _MOST_DIMS:
        raise FormatError(
            f"{where}: an array of {len(shape):,} dimensions cannot exist; the file is "
            "damaged"
        )
    # numpy limits the product even of shapes with a zero
    if math.prod(max(size, 1) for size in shape) * itemsize > np.iinfo(np.intp).max:
        raise FormatError(f"{where}: an array of shape {shape} cannot exist")
    return math.prod(shape) * itemsize


def map_file(file: LocalFile) -> mmap.mmap | bytes:
    """Map a whole file for reading, or read it: see `ReadOptions`.

    Raises `OSError`.
    """
    if file.options.mmap:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    file.seek(0)
    return file.read()


def map_array(
    file: LocalFile,
    dtype: npt.DTypeLike,
    shape: tuple[int, ...],
    offset: int,
    *,
    order: str = "C",
) -> AnyArray:
    """Map a part of the file as a read-only array, or read it: see `ReadOptions`.

    The caller has checked that the part lies within the file. The array stays valid
    when the file is closed.
    """
    if not math.prod(shape):  # an empty range cannot be mapped
        return np.empty(shape, dtype)
    try:
        if not file.options.mmap:
            read = _read_array(file, np.dtype(dtype), shape, offset, order)
            return native_integers(read)
        mapped = np.memmap(file, dtype, "r", offset, shape, order)  # type: ignore[call-overload]  # order is "C" or "F"
    except (OSError, MemoryError) as error:  # of a limit of the process, most often
        size = math.prod(shape) * np.dtype(dtype).itemsize
        name = file.name if isinstance(file.name, str) else "a temporary file"
        raise SourceError(
            f"{name}: {size:,} bytes of it cannot be mapped into memory: "
            f"{error}; raise the limit on the memory of this process (ulimit -v)"
        ) from error
    return native_integers(np.asarray(mapped))


class ReadRows:
    """Rows of a file that is not mapped, (rows, dim), read on demand.

    Only the requested rows are in memory. The file stays open as long as this object
    exists, so the checked file is the one that is read. It may be used from any thread.
    """

    def __init__(
        self, file: LocalFile, dtype: npt.DTypeLike, shape: tuple[int, int], offset: int
    ) -> None:
        self.shape: tuple[int, ...] = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._file = file
        self._offset = offset
        self._lock = threading.Lock()
        weakref.finalize(self, file.close)

    def __getitem__(self, rows: slice) -> AnyArray:
        start, stop, _ = rows.indices(self.shape[0])
        shape = max(0, stop - start), self.shape[1]
        place = self._offset + start * self.shape[1] * self.dtype.itemsize
        with self._lock:
            return map_array(self._file, self.dtype, shape, place)

    def __len__(self) -> int:
        return self.shape[0]


def native_integers(array: AnyArray) -> AnyArray:
    """Return integers in the byte order of this machine; other arrays unchanged."""
    if array.dtype.kind not in "iu" or array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="))


def _read_array(
    file: LocalFile,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    offset: int,
    order: str,
) -> AnyArray:
    flat = np.empty(math.prod(shape), dtype)
    file.seek(offset)
    left = flat.view(np.uint8).data.cast("B")
    while left:
        count = file.readinto(left)
        if not count:
            raise OSError("it ended while it was read")
        left = left[count:]
    flat.flags.writeable = False
    return flat.reshape(shape, order="F" if order == "F" else "C")


class Cursor:
    """A position in some bytes; results are views of them, not copies.

    ``what`` names the whole in messages: "the pickle", "chunk 3".
    """

    __slots__ = ("_data", "_what", "at", "where")

    def __init__(self, data: memoryview, where: str, what: str) -> None:
        self._data = data
        self.where = where
        self._what = what
        self.at = 0

    @property
    def left(self) -> int:
        """The number of bytes that follow."""
        return len(self._data) - self.at

    def take(self, count: int) -> memoryview:
        """Return the next ``count`` bytes; raises `TruncatedError`."""
        begin, end = self.at, self.at + count
        if end > len(self._data):
            raise TruncatedError(
                f"{self.where}, offset {begin:,} of {self._what}: {count:,} bytes "
                f"should follow, but {len(self._data) - begin:,} do; get the file again"
            )
        self.at = end
        return self._data[begin:end]

    def part(self, count: int) -> Cursor:
        """Return a cursor over the next ``count`` bytes, and skip them."""
        inner = Cursor(self._data[: self.at + count], self.where, self._what)
        inner.at = self.at
        self.take(count)
        return inner

    def unsigned(self, width: int) -> int:
        """Return the next number of ``width`` bytes, little-endian."""
        return int.from_bytes(self.take(width), "little")

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """Return the next numbers of a layout."""
        return layout.unpack(self.take(layout.size))

    def line(self, longest: int) -> bytes:
        """Return the bytes before the next LF, and skip both."""
        head = bytes(self._data[self.at : self.at + longest])
        line, feed, _ = head.partition(b"\n")
        if not feed:
            raise self.damaged(f"no line of at most {longest} bytes")
        self.at += len(line) + 1
        return line

    def damaged(self, fault: str) -> FormatError:
        """Return the error for a fault at this position."""
        return FormatError(
            f"{self.where}, offset {self.at:,} of {self._what}: {fault}; the file is "
            "damaged, or is none of its format"
        )


def name_beside(name: object, path: Path) -> str:
    """Return the name of another file that a file gives.

    Raises `FormatError` for an invalid name.
    """
    if isinstance(name, str) and Path(name).name == name and "\0" not in name:
        try:
            os.fsencode(name)
        except UnicodeEncodeError:  # half a character
            pass
        else:
            return name
    raise FormatError(f"{path}: {name!r} is not the name of a file beside it")


def crc32(data: bytes | memoryview, before: int = 0) -> int:
    """Return the CRC-32 of some bytes, by the fastest code there is for it.

    ``before`` is that of the bytes before them.
    """
    return _fastest_crc32()(data, before)


@cache
def _fastest_crc32() -> Callable[[bytes | memoryview, int], int]:
    """Return what computes a CRC-32: to look for a package takes long, if it is not."""
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib.crc32
    return cast(Callable[[bytes | memoryview, int], int], isal_zlib.crc32)


def json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object; raises `FormatError`, `SourceError`."""
    with refusing_damage(str(path), "not JSON"):
        content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise FormatError(f"{path}: not a JSON object")
    return content


_LOCAL_HEADER = 30  # bytes, before the name and the extra fields


class Zipped:
    """An open zip archive, whose directory is checked against the file.

    No two members overlap, and no two have the same name.
    """

    def __init__(self, file: LocalFile, where: str) -> None:
        self.file = file
        self.where = where
        self._size = file_size(file)
        with refusing_damage(where, "the zip archive is damaged"):
            self.zip = zipfile.ZipFile(file)
        self.members: dict[str, zipfile.ZipInfo] = {}
        end = 0
        for info in sorted(self.zip.infolist(), key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise self.damaged(f"member {info.filename!r} overlaps the one before")
            end = info.header_offset + _LOCAL_HEADER + info.compress_size
            if info.filename in self.members:
                raise self.damaged(f"there are two members {info.filename!r}")
            self.members[info.filename] = info

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.zip.close()

    def place(self, info: zipfile.ZipInfo) -> int:
        """Return where the bytes of a stored member begin; all of them exist."""
        if info.flag_bits & 1:
            raise self.damaged(f"member {info.filename!r} is encrypted")
        if not 0 <= info.header_offset <= self._size:
            raise self.damaged(f"member {info.filename!r} is not within the file")
        self.file.seek(info.header_offset)
        local = self.file.read(_LOCAL_HEADER)
        if len(local) < _LOCAL_HEADER or not local.startswith(b"PK\x03\x04"):
            raise self.damaged(
                f"member {info.filename!r} is not where the directory says"
            )
        name, extra = struct.unpack("<HH", local[26:30])
        start: int = info.header_offset + _LOCAL_HEADER + name + extra
        if info.file_size != info.compress_size or start + info.file_size > self._size:
            raise self.damaged(f"member {info.filename!r} does not lie within the file")
        return start

    def damaged(self, what: str) -> FormatError:
        """Return the error for a fault of the archive."""
        return FormatError(f"{self.where}: {what}; get the file again")
