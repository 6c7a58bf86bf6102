"""Rows into a ``.npz`` archive, all else behind them."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import name_in_file
from pretrained_embed.files.digests import crc32_joined
from pretrained_embed.files.replacement import replacing, reserve
from pretrained_embed.formats.blocks import AnyBlock
from pretrained_embed.formats.format import Announced, Place
from pretrained_embed.formats.local import crc32
from pretrained_embed.formats.npy.header import format_header
from pretrained_embed.formats.npz import ARRAYS
from pretrained_embed.formats.table import (
    Annotations,
    encode_metadata,
    write_array,
)

_ALIGNMENT = 64
_LOCAL_HEADER = 30  # bytes, before the name and the extra fields
_ZIP64_FIELD = 20  # bytes, which zipfile puts behind our extra field
_PIECE = 1 << 20
_PADDING_FIELD = 0xD935  # the id that Android's zipalign uses for the same purpose


@contextmanager
def open_sink(path: str | os.PathLike[str], announced: Announced) -> Iterator[NpzSink]:
    """Give a sink whose file takes the place of ``path`` at the end."""
    with replacing(path, announced.growing) as file:
        with ExitStack() as held:
            yield NpzSink(file, held, path, announced)
        file.truncate()  # more may have been reserved


class NpzSink:
    """Takes rows into a new archive, uncompressed and aligned; see `FormatSink`.

    Equal rows give equal bytes. ``held`` closes what is open.
    """

    def __init__(
        self,
        file: BinaryIO,
        held: ExitStack,
        path: str | os.PathLike[str],
        announced: Announced,
    ) -> None:
        self._file = file
        shape, dtype = (announced.rows or 0, announced.width), announced.storage
        one = np.zeros((), dtype.newbyteorder("<"))
        self._place: Place | None = None
        self._archive = held.enter_context(zipfile.ZipFile(file, "w"))
        self._rows = held.enter_context(ExitStack())
        header = format_header(np.broadcast_to(one, shape))
        name = name_in_file("vectors", announced.dtype)
        self._member: Any = self._rows.enter_context(self._open(name))
        self._member.write(header)
        self._begin = file.tell()
        self._size = announced.size
        end = self._begin + self._size + announced.beside
        self._reserved = reserve(file, end, path)

    def append(self, block: AnyBlock) -> None:
        """Write rows behind those before."""
        write_array(self._member, block.raw)

    def place(self) -> Place:
        """Return where the rows lie; see `FormatSink`."""
        self._file.seek(self._begin + self._size)  # what follows may be written early
        self._place = Place(Path(self._file.name), self._begin, self._reserved)
        return self._place

    def finish(self, annotations: Annotations) -> None:
        """Write what belongs to the rows."""
        if self._place is not None:
            self._take(self._place)
        self._rows.close()
        tokens, arrays, metadata = annotations
        members: dict[str, AnyArray] = {
            "token_bytes": tokens.data,
            "token_offsets": tokens.offsets,
            "metadata": np.frombuffer(encode_metadata(metadata), np.uint8),
            **{ARRAYS + name: arrays[name] for name in sorted(arrays)},
        }
        for name, array in members.items():
            plain = array.astype(array.dtype.newbyteorder("<"), copy=False)
            with self._open(name) as member:
                member.write(format_header(plain))
                write_array(member, plain)

    def _take(self, place: Place) -> None:
        """Make rows that others wrote a part of the archive, without a copy.

        Only what makes members in zipfile knows the checksum and size of one: they are
        put there, as if all had been written by it.
        """
        crc = place.crc32
        if crc is None:
            crc, left = 0, self._size
            self._file.seek(self._begin)
            while left:
                piece = self._file.read(min(_PIECE, left))
                crc, left = crc32(piece, crc), left - len(piece)
        self._member._crc = crc32_joined(self._member._crc, crc, self._size)
        self._member._file_size += self._size
        self._file.seek(self._begin + self._size)

    def _open(self, name: str) -> BinaryIO:
        info = member_of(name, self._file.tell())
        return cast(BinaryIO, self._archive.open(info, "w", force_zip64=True))


def member_of(name: str, offset: int) -> zipfile.ZipInfo:
    """Return what is to be said of a new array that begins at ``offset`` in the file.

    Its data is aligned, and nothing tells when or where it was written.
    """
    info = zipfile.ZipInfo(f"{name}.npy")  # dated 1980-01-01
    info.create_system = 3  # Unix, wherever this runs
    info.external_attr = 0o644 << 16
    info.extra = _padding(offset, len(info.filename))
    return info


def _padding(offset: int, name_length: int) -> bytes:
    """Return an extra field that puts the member's data at a multiple of 64 bytes."""
    field = struct.Struct("<HHH")
    before = offset + _LOCAL_HEADER + name_length + field.size + _ZIP64_FIELD
    padding = -before % _ALIGNMENT
    return field.pack(_PADDING_FIELD, 2 + padding, _ALIGNMENT) + bytes(padding)
