"""Files of named arrays in a work folder: what tasks are given, and what they leave.

::

    file = arrays directory size crc32

The bytes of the arrays, each from a multiple of 8 on; JSON that says what they are, and
what else there is to say; its size, and the CRC-32 of all before, both uint64, little-
endian. Numbers are those of the machine: such a file lives as long as its build, on
machines of one kind.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.table import in_pieces

_ALIGNMENT = 8
_END = struct.Struct("<QQ")


class Columns(NamedTuple):
    """What such a file holds."""

    facts: Any  # what JSON can hold
    arrays: dict[str, AnyArray]


def write(
    path: SafePath, arrays: Iterable[tuple[str, AnyArray]], facts: Any = None
) -> str:
    """Write a file that appears whole, and return its digest; raises `OSError`.

    Arrays come one after the other: no two of them need be in memory.
    """
    directory: dict[str, Any] = {}
    crc, place, digest = 0, 0, blake2b(digest_size=16)
    with path.replacing() as file:

        def put(piece: bytes | memoryview) -> None:
            nonlocal crc, place
            file.write(piece)
            digest.update(piece)
            crc, place = zlib.crc32(piece, crc), place + len(piece)

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


def read(path: SafePath, *, mapped: bool = False) -> Columns:
    """Read what `write` wrote; raises `OSError`, and `FormatError` for other bytes.

    Where the arrays are ``mapped``, their bytes are not compared with the checksum.
    """
    raw: AnyArray
    if mapped:
        raw = np.memmap(path.checked(), np.uint8, "r")
    else:
        raw = np.frombuffer(path.read(), np.uint8)
    with refusing_damage(str(path), "is no file of this build, or damaged"):
        size, crc = _END.unpack(raw[-_END.size :].tobytes())
        if not mapped and zlib.crc32(raw[:-8].data) != crc:
            raise FormatError(f"{path}: its checksum is another")
        end = len(raw) - _END.size
        facts, directory = json.loads(raw[end - size : end].tobytes())
        arrays = {}
        for name, (dtype, shape, begin) in directory.items():
            kind = np.dtype(dtype)
            part = raw[begin : begin + math.prod(shape) * kind.itemsize]
            arrays[name] = part.view(kind).reshape(shape)
    return Columns(facts, arrays)


def chosen(arrays: Mapping[str, AnyArray], prefix: str) -> dict[str, AnyArray]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
