"""What an object in memory comes to: a reader of its arrays, and a digest of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.formats.columns import TokensAndRows
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.local import crc32
from pretrained_embed.formats.reader import Reader
from pretrained_embed.formats.table import Rows
from pretrained_embed.formats.table_reader import TableReader

#: How `Held.digest` is made: the value is of this package alone.
ALGORITHM = "blake2b-128-of-crc32"

_PIECE = 1 << 20  # bytes that one CRC is of, or one row that is longer


class Held(NamedTuple):
    """An object that is open. The reader holds the object's arrays, and copies none."""

    reader: Reader
    tokens: PackedTokens
    rows: Sequence[Rows]  # all that vectors are made of: words, and pieces of words

    def digest(self) -> str:
        """Return 32 hexadecimal digits that differ where a byte does.

        BLAKE2b of 16 bytes over shapes, dtypes, tokens and the CRC-32 of each piece of
        about 1 MiB of the rows, little-endian. All is read; it takes about as long as
        reading memory does.
        """
        from hashlib import blake2b

        state = blake2b(digest_size=16)
        for array in (self.tokens.offsets.astype("<i8"), self.tokens.data):
            state.update(array.data)
        for rows in self.rows:
            state.update(f"{rows.shape} {rows.dtype.name}\n".encode())
            width = max(1, rows.shape[1] * rows.dtype.itemsize)
            step = max(1, _PIECE // width)
            for start in range(0, rows.shape[0], step):
                piece = np.ascontiguousarray(_little(rows[start : start + step]))
                state.update(crc32(piece.data.cast("B")).to_bytes(4, "little"))
        return state.hexdigest()


def table(
    format: str, name: str, found: TokensAndRows, notes: Sequence[Note] = ()
) -> Held:
    """Return what a table of tokens and rows comes to."""
    reader = TableReader(
        format,
        name,
        found.tokens,
        found.rows,
        notes=[*found.notes, *notes],
        faults=found.faults,
    )
    return Held(reader, found.tokens, [found.rows])


def _little(array: AnyArray) -> AnyArray:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)
