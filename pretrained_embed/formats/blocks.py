"""From the hits of the kernel to blocks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pretrained_embed.formats.reader import Block, Float32Array
from pretrained_embed.formats.window import Buffer


class Hits(NamedTuple):
    """Some rows of a file, as one call of the kernel found them.

    The arrays are used again for the next rows.
    """

    rows_before: int  # rows of the file, or of its part, before this call
    size: int
    hits: npt.NDArray[np.int64]  # (>= size, kernel.HIT_COLUMNS)
    vectors: Float32Array  # (>= size, dim)
    data: Buffer

    def block(self) -> Block:
        """Return a copy of these rows."""
        data = self.data
        tokens = [
            data[start : start + length].decode("utf-8", "surrogateescape")
            for start, length in self.hits[: self.size, 1:3].tolist()
        ]
        return Block(tokens, self.vectors[: self.size].copy())


def gathered(blocks: Iterable[Block], size: int | None = None) -> Iterator[Block]:
    """Join small blocks into one, or into blocks of about ``size`` bytes."""
    waiting: list[Block] = []
    held = 0
    for block in blocks:
        waiting.append(block)
        held += block.vectors.nbytes
        if size is not None and held >= size:
            yield _joined(waiting)
            waiting, held = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    tokens = [token for block in blocks for token in block.tokens]
    return Block(tokens, np.concatenate([block.vectors for block in blocks]))
