"""The folder in which rows wait until a build has read all of its source.

It stands beside the output, lives until that is written, and outlives a build that was
killed: the next build of the same kind goes on from it. What is found there is used if
its record is whole and of this very job, and the bytes have their checksum. Files of
named arrays are what tasks are given, and what they leave::

    file = arrays directory size crc32

The bytes of the arrays, each from a multiple of 8 on; JSON that says what they are, and
what else there is to say; its size, and the CRC-32 of all before, both uint64, little-
endian. Numbers are those of the machine: such a file lives as long as its build, on
machines of one kind.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, WriteError
from pretrained_embed.files.replacement import reason
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.local import crc32
from pretrained_embed.formats.marks import INDEX
from pretrained_embed.formats.table import in_pieces

#: Of what waits in it. Raised where what an older release left would be misread: from
#: 2 on, rows of several files are counted without the blank lines at their ends.
VERSION = 2

_ALIGNMENT = 8
_END = struct.Struct("<QQ")


def write_arrays(
    path: SafePath, arrays: Iterable[tuple[str, AnyArray]], facts: Any = None
) -> str:
    """Write a file that appears whole, and return its digest; raises `OSError`.

    Arrays come one after the other: no two of them need be in memory.
    """
    directory: dict[str, Any] = {}
    crc, place, digest = 0, 0, blake2b(digest_size=16)
    with path.replacing(durable=False) as file:  # its checksum tells if it is whole

        def put(piece: bytes | memoryview) -> None:
            nonlocal crc, place
            file.write(piece)
            digest.update(piece)
            crc, place = crc32(piece, crc), place + len(piece)

        for name, array in arrays:
            directory[name] = [array.dtype.str, array.shape, place]
            for piece in in_pieces(array):
                put(piece)
            put(bytes(-place % _ALIGNMENT))
        text = json.dumps([facts, directory]).encode("ascii")
        put(text)
        put(len(text).to_bytes(8, "little"))
        file.write(crc.to_bytes(8, "little"))
    return digest.hexdigest()


def read_arrays(
    path: SafePath, *, mapped: bool = False
) -> tuple[Any, dict[str, AnyArray]]:
    """Return the facts and the arrays that `write_arrays` wrote.

    Where the arrays are ``mapped``, their bytes are not compared with the checksum.
    Raises `OSError`, and `FormatError` for other bytes.
    """
    raw: AnyArray
    if mapped:
        raw = np.memmap(path.checked(), np.uint8, "r")
    else:
        raw = np.frombuffer(path.read(), np.uint8)
    with refusing_damage(str(path), "is no file of this build, or damaged"):
        size, crc = _END.unpack(raw[-_END.size :].tobytes())
        if not mapped and crc32(raw[:-8].data) != crc:
            raise FormatError(f"{path}: its checksum is another")
        end = len(raw) - _END.size
        facts, directory = json.loads(raw[end - size : end].tobytes())
        arrays = {}
        for name, (dtype, shape, begin) in directory.items():
            kind = np.dtype(dtype)
            part = raw[begin : begin + math.prod(shape) * kind.itemsize]
            arrays[name] = part.view(kind).reshape(shape)
    return facts, arrays


def chosen(arrays: Mapping[str, AnyArray], prefix: str) -> dict[str, AnyArray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


class WorkFolder:
    """The folder of one build."""

    def __init__(self, path: SafePath) -> None:
        self.path = path

    @property
    def size(self) -> int:
        """The bytes that wait there."""
        extracts = self.path.path.glob("*/*.extract")
        return sum(file.lstat().st_size for file in extracts)

    @property
    def has_placed(self) -> bool:
        """Whether a scan has placed rows in the output that grows there."""
        return any(self.path.path.glob("*/*.placed"))

    def of_job(self, name: str, key: str) -> SafePath:
        """Make the folder of a job, and remove those of others of the name.

        Raises `WriteError`.
        """
        folder = self.path / f"{name}-{key}"
        try:
            for other in self.path.children():
                # In its own folder tasks of the job may still be writing.
                if other.name.startswith(f"{name}-") and other != folder:
                    other.remove_folder()
            return folder.make()
        except OSError as error:
            raise cannot_write(folder, error) from error


@contextmanager
def work_folder(output: Path) -> Iterator[WorkFolder]:
    """Give the work folder of an output, to this build alone; remove it at the end.

    It stays where the build fails, if anything waits there that a later one can use: a
    folder that holds a whole matrix in shards is written to no more. Another build of
    the same output waits. Raises `WriteError` where it cannot be made.
    """
    output = output.absolute()
    remedy = "remove the link, or name another output"
    path = SafePath.at(output.parent, WriteError, remedy) / f"{output.name}.work"
    with _alone(path):
        try:
            yield WorkFolder(path)
            path.remove_folder()
        finally:
            waits = any(folder.children() for folder in path.children())
            if not waits or (output / INDEX).is_file():
                path.remove_folder()


@contextmanager
def _alone(path: SafePath) -> Iterator[None]:
    """Make a folder and hold its lock.

    Whoever held it before may have removed the folder meanwhile, lock and all.
    """
    while True:
        with ExitStack() as held:
            try:
                lock = path.make() / "lock"
            except OSError as error:
                raise cannot_write(path, error) from error
            try:
                descriptor = held.enter_context(lock.locked())
                there = lock.status()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise cannot_write(path, error) from error
            if there and os.path.samestat(os.fstat(descriptor), there):
                yield
                return


def cannot_write(path: SafePath, error: OSError) -> WriteError:
    """Return the error for what the system refuses to write there."""
    return WriteError(
        f"cannot write {path}: {reason(path, error)}; rows wait there until all of the "
        "source is read. What is finished is used when the build is run again."
    )
