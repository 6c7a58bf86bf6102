"""What the writer and the reader of a store agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt

#: What the vectors of a store may be kept as.
Dtype = Literal["float32", "float16"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

#: Version of the layout and of what the readers make of a source's bytes. To be raised
#: when either changes: stores of other versions are then made anew.
VERSION = 1

VECTORS = "vectors"
TOKEN_BYTES, TOKEN_OFFSETS = "tokens/bytes", "tokens/offsets"
BUCKETS = ("index/starts", "index/hashes", "index/rows")
STATISTICS = "statistics"
METADATA = "metadata"
DIGEST = "digest"

#: What the digest covers. The vectors are not read when a store is opened.
COVERED = (METADATA, STATISTICS, TOKEN_BYTES, TOKEN_OFFSETS, *BUCKETS)


class Buckets(NamedTuple):
    """An index of tokens by the highest bits of their hashes: see `kernel.look_up`."""

    starts: npt.NDArray[np.int64]  # (2**bits + 1,)
    hashes: npt.NDArray[np.uint64]  # (tokens,) ascending
    rows: npt.NDArray[np.int64]  # (tokens,)

    @classmethod
    def of(cls, hashes: npt.NDArray[np.uint64]) -> Self:
        """Return the index of tokens with these hashes, in the order of the rows."""
        bits = max(1, len(hashes).bit_length() - 1)  # a bucket holds one or two
        rows = np.argsort(hashes, kind="stable").astype(np.int64)
        numbers = (hashes >> np.uint64(64 - bits)).astype(np.int64)
        starts = np.zeros(2**bits + 1, np.int64)
        np.cumsum(np.bincount(numbers, minlength=2**bits), out=starts[1:])
        return cls(starts, hashes[rows], rows)


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """Return the SHA-256 of the covered data sets, their dtypes and shapes."""
    from hashlib import sha256

    state = sha256()
    for name in COVERED:
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(array.data)
    return np.frombuffer(state.digest(), np.uint8)
