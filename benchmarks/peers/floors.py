"""What no loader of a file can be faster than: getting at its bytes."""

from __future__ import annotations

import mmap
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.peers.peer import BINARY, GZIP, SAVED, TEXT, ZIP, Peer

READ, INFLATE = "read alone", "inflate alone"

_CHUNK = 4 << 20


def read(path: Path, wanted: Any = None) -> None:
    """Read a file once from end to end, with one thread, into 4 MB.

    The memory begins at a page. A bytearray does not, and then the system copies each
    page with an offset, which takes up to five times as long on some processors: a
    floor with that in it would flatter everything above it.
    """
    buffer = mmap.mmap(-1, _CHUNK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def inflate(path: Path, wanted: Any = None) -> None:
    """Decompress a gzip file or a zip's one member, and do nothing with it."""
    if zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        with archive, archive.open(archive.namelist()[0]) as member:
            while member.read(_CHUNK):
                pass
        return
    inflater = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        for chunk in iter(_reader(file), b""):
            inflater.decompress(chunk)


def _reader(file: BinaryIO) -> Callable[[], bytes]:
    return lambda: file.read(1 << 18)


PEERS = (
    Peer(READ, read, frozenset({TEXT, GZIP, ZIP, BINARY, SAVED})),
    Peer(INFLATE, inflate, frozenset({GZIP, ZIP})),
)
