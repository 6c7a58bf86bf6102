"""From the hits of the kernel to blocks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array, PackedTokens, joined
from pretrained_embed.formats.reader import Block, PackedBlock
from pretrained_embed.formats.window import Buffer


class Hits(NamedTuple):
    """Some rows of a file, as one call of the kernel found them.

    The arrays are used again for the next rows.
    """

    rows_before: int  # rows of the file, or of its part, before this call
    size: int
    hits: Int64Array  # (>= size, kernel.HIT_COLUMNS)
    vectors: Float32Array  # (>= size, dim)
    data: Buffer

    def block(self) -> PackedBlock:
        """Return a copy of these rows."""
        offsets = np.zeros(self.size + 1, np.int64)
        np.cumsum(self.hits[: self.size, 2], out=offsets[1:])
        tokens = np.empty(offsets[-1], np.uint8)
        kernel.pack(self.data, self.hits, self.size, tokens)
        vectors = self.vectors[: self.size].copy()
        return PackedBlock(PackedTokens(tokens, offsets), vectors)


def unpacked(blocks: Iterable[PackedBlock]) -> Iterator[Block]:
    """Return the same blocks with a ``str`` for each token."""
    return (Block(tokens.unpack(), vectors) for tokens, vectors in blocks)


def gathered(
    blocks: Iterable[PackedBlock], size: int | None = None
) -> Iterator[PackedBlock]:
    """Join small blocks into one, or into blocks of about ``size`` bytes."""
    waiting: list[PackedBlock] = []
    held = 0
    for block in blocks:
        waiting.append(block)
        held += block.vectors.nbytes
        if size is not None and held >= size:
            yield _joined(waiting)
            waiting, held = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[PackedBlock]) -> PackedBlock:
    if len(blocks) == 1:
        return blocks[0]
    tokens = joined([block.tokens for block in blocks])
    return PackedBlock(tokens, np.concatenate([block.vectors for block in blocks]))
