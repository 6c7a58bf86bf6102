"""What the writer and the reader of a store agree on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

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
HASHES, ROWS = "index/hashes", "index/rows"
STATISTICS = "statistics"
METADATA = "metadata"
DIGEST = "digest"

#: What the digest covers. The vectors are not read when a store is opened.
COVERED = (METADATA, STATISTICS, TOKEN_BYTES, TOKEN_OFFSETS, HASHES, ROWS)


def digest(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """Return the SHA-256 of the covered data sets, their dtypes and shapes."""
    from hashlib import sha256

    state = sha256()
    for name in COVERED:
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(array.data)
    return np.frombuffer(state.digest(), np.uint8)
