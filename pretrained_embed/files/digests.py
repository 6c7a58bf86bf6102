"""Digests of files, cheap ones and of all bytes, and of JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


_SAMPLES = 64
_SAMPLE = 4096
_CHUNK = 1 << 20
_POLYNOMIAL = 0xEDB88320  # of CRC-32, without x ** 32


def fingerprint(path: Path) -> str:
    """Return a cheap fingerprint of a file, which is no proof of its content.

    BLAKE2b of 16 bytes, in hexadecimal, over the size (8 bytes, little-endian) and 64
    samples of 4 KiB: sample ``i`` begins at ``i * (size - 4096) // 63``. A file of up
    to 256 KiB is hashed completely instead. A change between two samples is not
    noticed; if that matters, use `sha256`. Raises `OSError` if the file cannot be read.
    """
    from hashlib import blake2b

    size = path.stat().st_size
    state = blake2b(size.to_bytes(8, "little"), digest_size=16)
    with path.open("rb", buffering=0) as file:
        if size <= _SAMPLES * _SAMPLE:
            state.update(file.read())
        else:
            for i in range(_SAMPLES):
                file.seek(i * (size - _SAMPLE) // (_SAMPLES - 1))
                state.update(file.read(_SAMPLE))
    return state.hexdigest()


def crc32_joined(first: int, second: int, size: int) -> int:
    """Return the CRC-32 of two byte strings together, given that of each.

    ``size`` is the length of the second in bytes. The first CRC is shifted by this many
    zero bytes, and the second is added: polynomials over GF(2), the lowest power in the
    highest bit, modulo that of zlib. The power of x for the shift is computed by
    squaring.
    """
    shift, square, bits = 1 << 31, 1 << 30, 8 * size  # 1, and x
    while bits:
        if bits & 1:
            shift = _times(shift, square)
        square, bits = _times(square, square), bits >> 1
    return _times(first, shift) ^ second


def _times(one: int, other: int) -> int:
    """Return the product of two polynomials; see `crc32_joined`."""
    product = 0
    for place in range(31, -1, -1):
        if one >> place & 1:
            product ^= other
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)  # times x
    return product


class Hashes:
    """Several digests of the same bytes, computed in one pass."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        import hashlib

        # Some publishers only give MD5 or SHA-1, which still detect accidents.
        self._states: dict[str, Any] = {
            name: hashlib.new(name, usedforsecurity=False)
            for name in dict.fromkeys(("sha256", *algorithms))
        }

    def update(self, data: bytes) -> None:
        """Hash the next bytes."""
        for state in self._states.values():
            state.update(data)

    def __getitem__(self, algorithm: str) -> str:
        """Return a digest in hexadecimal."""
        return str(self._states[algorithm].hexdigest())


def hashed(
    path: Path, algorithms: Iterable[str] = (), *, progress: Progress | None = None
) -> Hashes:
    """Return SHA-256 and other digests of a file's bytes.

    ``progress`` is called while the file is read. Raises `OSError` if it cannot be
    read.
    """
    hashes = Hashes(algorithms)
    size = path.stat().st_size
    done = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            hashes.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, size)
    return hashes


def sha256(path: Path, *, progress: Progress | None = None) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; see `hashed`."""
    return hashed(path, progress=progress)["sha256"]


def json_digest(value: object) -> str:
    """Return 32 hexadecimal digits for a value, different for different values.

    BLAKE2b of 16 bytes over ``json.dumps(value)``. It is used for keys and names, some
    of which are on users' disks, so it must not change.
    """
    from hashlib import blake2b

    return blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()
