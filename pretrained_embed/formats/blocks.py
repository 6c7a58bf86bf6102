"""Blocks of consecutive rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    joined,
)
from pretrained_embed.bits import Dtype, Stored

if TYPE_CHECKING:
    from pretrained_embed.formats.window import Buffer


class Block(NamedTuple):
    """Some consecutive rows of a file.

    Examples
    --------
    >>> for tokens, vectors in reader.blocks():  # doctest: +SKIP
    ...     print(len(tokens), vectors.shape)
    """

    tokens: list[str]  # invalid UTF-8 becomes surrogate escapes
    vectors: Float32Array  # (len(tokens), dim), owned by the caller


class PackedBlock(NamedTuple):
    """Some consecutive rows of a file, with the tokens as bytes.

    Examples
    --------
    >>> for block in reader.packed_blocks():  # doctest: +SKIP
    ...     print(len(block.tokens), block.vectors.shape)
    """

    tokens: PackedTokens
    vectors: Float32Array  # (len(tokens), dim), owned by the caller

    @property
    def raw(self) -> AnyArray:
        """The bits of the vectors in a file."""
        return self.vectors

    def part(self, rows: slice) -> PackedBlock:
        """Return some consecutive rows.

        Parameters
        ----------
        rows : slice
            The rows.

        Returns
        -------
        PackedBlock
            These rows.
        """
        return PackedBlock(self.tokens[rows], self.vectors[rows])


class StoredBlock(NamedTuple):
    """Some consecutive rows of a file, with the vectors in the bits of the file."""

    tokens: PackedTokens
    vectors: Stored  # (len(tokens), dim)

    @property
    def raw(self) -> AnyArray:
        """The bits of the vectors in a file, without scales: (rows, width)."""
        return self.vectors.values[:]

    def part(self, rows: slice) -> StoredBlock:
        """Return some consecutive rows."""
        return StoredBlock(self.tokens[rows], self.vectors.part(rows))


AnyBlock = PackedBlock | StoredBlock


@dataclass(frozen=True)
class RowStream:
    """Rows to write.

    Parameters
    ----------
    dim : int
        The length of a vector.
    blocks : iterator of PackedBlock
        The rows, which can be read once.
    count : int or None
        The number of rows, if known.
    dtype : str
        The dtype of the vectors in the file.
    tokens : PackedTokens, optional
        All tokens, if known.
    arrays, metadata : mapping
        As in `Table`.

    Examples
    --------
    >>> write_rows("copy.npy", reader.rows())  # doctest: +SKIP
    """

    dim: int
    blocks: Iterable[AnyBlock]
    count: int | None = None
    dtype: Dtype = "float32"
    tokens: PackedTokens | None = None
    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


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
