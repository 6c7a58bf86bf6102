"""Digests of runs of rows, so that some rows of a file are checked without the rest.

Rows are taken in blocks of a fixed number, the last may have fewer. The digest of a
block is the SHA-256 of its numbers: float32, or the bits that are kept in place of it,
little-endian, in C order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pretrained_embed import bits
from pretrained_embed.arrays import AnyArray
from pretrained_embed.bits import Dtype
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.parallel import run_in_order, thread_count
from pretrained_embed.formats.safetensors.own_tensors import tensors_of
from pretrained_embed.formats.table import Annotations, Rows, in_pieces

_BLOCK_BYTES = 1 << 24


def block_rows(dim: int, dtype: Dtype = "float32") -> int:
    """Return how many rows to take for a block."""
    return max(1, _BLOCK_BYTES // bits.row_bytes(dtype, dim))


class RowDigests:
    """The digests of rows that come as they are made, in any runs."""

    def __init__(self, block_rows: int) -> None:
        from hashlib import sha256

        self._new = sha256
        self._block_rows = block_rows
        self._done: list[str] = []
        self._state = sha256()
        self._held = 0  # rows of the block that is not full yet

    def update(self, vectors: AnyArray) -> None:
        """Take in the next rows."""
        kind = vectors.dtype.newbyteorder("<")
        start = 0
        while start < len(vectors):
            stop = min(len(vectors), start + self._block_rows - self._held)
            self._state.update(np.ascontiguousarray(vectors[start:stop], kind).data)
            self._held += stop - start
            start = stop
            if self._held == self._block_rows:
                self._close()

    def finish(self) -> tuple[str, ...]:
        """Return the digests of all blocks, in hexadecimal."""
        if self._held:
            self._close()
        return tuple(self._done)

    def _close(self) -> None:
        self._done.append(self._state.hexdigest())
        self._state, self._held = self._new(), 0


class DigestedRows:
    """Stored rows (rows, width), of which a block is checked when asked for.

    `FormatError` says that a block is not what its digest says.
    """

    def __init__(
        self,
        rows: Rows,
        digests: Sequence[str],
        block_rows: int,
        where: str,
    ) -> None:
        self.shape: tuple[int, ...] = rows.shape
        self.dtype: np.dtype[Any] = rows.dtype
        self._rows = rows
        self._digests = digests
        self._block_rows = block_rows
        self._where = where
        self._checked = np.zeros(len(digests), np.bool_)

    def __getitem__(self, rows: slice) -> AnyArray:
        start, stop, _ = rows.indices(self.shape[0])
        if start < stop:
            blocks = slice(start // self._block_rows, -(-stop // self._block_rows))
            self._check(blocks.start + np.flatnonzero(~self._checked[blocks]))
        asked: AnyArray = self._rows[start:stop]
        return asked

    def _check(self, blocks: npt.NDArray[np.intp]) -> None:
        from hashlib import sha256

        def work(place: int) -> bool:
            block = int(blocks[place])
            start = block * self._block_rows
            raw = np.ascontiguousarray(self._rows[start : start + self._block_rows])
            return sha256(raw.data).hexdigest() == self._digests[block]

        threads = thread_count(None)
        for place, right in enumerate(run_in_order(work, len(blocks), threads)):
            block = int(blocks[place])
            if not right:
                start = block * self._block_rows
                stop = min(start + self._block_rows, self.shape[0])
                raise FormatError(
                    f"{self._where}: rows {start:,} to {stop - 1:,} are not those "
                    "that were written; get the file again, or write it again"
                )
            self._checked[block] = True


def digest_of(annotations: Annotations) -> str:
    """Return the SHA-256 of tokens and arrays: of their names, forms and bytes."""
    from hashlib import sha256

    state = sha256()
    for name, tensor in sorted(tensors_of(annotations).items()):
        plain = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        state.update(f"{name} {plain.dtype.str} {plain.shape}\n".encode())
        for piece in in_pieces(plain):
            state.update(piece)
    return state.hexdigest()
