"""The directory of a store: where its arrays lie, as writer and reader agree.

The directory at the end of a store is a JSON object of its ``version``, of ``arrays``,
which gives dtype, shape and offset of each, and of their ``digest``. It is followed by
its length, 8 bytes little-endian, and `MARK`.

The checksum of a row is the sum of its numbers, taken as whole numbers of their bits,
each times an odd weight of its place, modulo 2**32. One number that is another is
always seen; of other damage one case in 2**32 is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, Self, get_args

import numpy as np

from pretrained_embed import bits
from pretrained_embed.arrays import AnyArray, Int64Array, UInt32Array, UInt64Array

#: What the vectors of a store may be kept as.
Dtype = Literal["float32", "float16", "bfloat16", "int8"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

#: Version of the layout and of what the readers make of a source's bytes. To be raised
#: when either changes: stores of other versions are then made anew.
VERSION = 1

#: All arrays begin at multiples of so many bytes: they are mapped from whole pages.
PAGE = 4096

VECTORS = "vectors"
TOKEN_BYTES, TOKEN_OFFSETS = "tokens/bytes", "tokens/offsets"
BUCKETS = ("index/starts", "index/hashes", "index/rows")
STATISTICS = "statistics"
METADATA = "metadata"
CHECKSUMS = "checksums"  # not in stores of release 0.1
SCALES = "arrays/scales"  # of rows of int8

#: What the digest covers, and its dtypes; checksums and scales, too, where there are
#: any. The vectors are not read when a store is opened: of them it covers dtype, shape
#: and offset, and checksums cover the rest.
COVERED = {
    METADATA: "|u1",
    STATISTICS: "<f8",
    TOKEN_BYTES: "|u1",
    TOKEN_OFFSETS: "<i8",
    **dict(zip(BUCKETS, ("<i8", "<u8", "<i8"), strict=True)),
}

#: The last bytes of a store.
MARK = b"\x89PESTORE"


class Buckets(NamedTuple):
    """An index of tokens by the highest bits of their hashes: see `kernel.look_up`."""

    starts: Int64Array  # (2**bits + 1,)
    hashes: UInt64Array  # (tokens,) ascending
    rows: Int64Array  # (tokens,)

    @classmethod
    def of(cls, hashes: UInt64Array) -> Self:
        """Return the index of tokens with these hashes, in the order of the rows."""
        bits = max(1, len(hashes).bit_length() - 1)  # a bucket holds one or two
        rows = np.argsort(hashes, kind="stable").astype(np.int64)
        numbers = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        starts = np.zeros(2**bits + 1, np.int64)
        np.cumsum(
            np.bincount(numbers.astype(np.intp), minlength=2**bits), out=starts[1:]
        )
        return cls(starts, hashes[rows], rows)


class DirectoryEntry(NamedTuple):
    """Where an array lies in the file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


def places(
    offsets: Mapping[str, int],
    arrays: Mapping[str, AnyArray],
    shape: tuple[int, int],
    dtype: Dtype,
) -> dict[str, DirectoryEntry]:
    """Return where the vectors, of this shape and dtype, and all arrays lie."""
    stored = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    stored[VECTORS] = (bits.storage(dtype), (shape[0], bits.width(dtype, shape[1])))
    return {
        name: DirectoryEntry(kind.newbyteorder("<").str, size, offsets[name])
        for name, (kind, size) in stored.items()
    }


def digest(places: Mapping[str, DirectoryEntry], arrays: Mapping[str, AnyArray]) -> str:
    """Return the SHA-256 of all places and of the arrays that are covered."""
    from hashlib import sha256

    state = sha256(json.dumps(sorted(places.items())).encode())
    more = (name for name in (CHECKSUMS, SCALES) if name in places)
    for name in (*COVERED, *more):
        state.update(np.ascontiguousarray(arrays[name]).data)
    return state.hexdigest()


def as_bytes(
    places: Mapping[str, DirectoryEntry], arrays: Mapping[str, AnyArray]
) -> bytes:
    """Return the directory as it follows the arrays in the file."""
    known = {"version": VERSION, "arrays": places, "digest": digest(places, arrays)}
    text = json.dumps(known).encode()
    return text + len(text).to_bytes(8, "little") + MARK


def checksums(rows: AnyArray) -> UInt32Array:
    """Return the checksums of rows (n, dim) of numbers of four bytes or fewer."""
    kept = np.ascontiguousarray(rows)
    words = kept.view(f"u{kept.dtype.itemsize}").astype(np.uint32, copy=False)
    sums: UInt32Array = np.einsum("ij,j->i", words, weights(rows.shape[1]))
    return sums


@lru_cache(maxsize=4)
def weights(dim: int) -> UInt32Array:
    """Return an odd weight for each place in a row: numbers that have no order."""
    mixed = np.arange(1, dim + 1, dtype=np.uint32) * np.uint32(0x9E3779B1)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x85EBCA77)
    return mixed | np.uint32(1)
