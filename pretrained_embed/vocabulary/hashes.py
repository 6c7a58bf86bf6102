"""`TokenHashes`: the rows of packed tokens in the order of the tokens' hashes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Int64Array, PackedTokens, UInt64Array

#: How many rows are put into entries at a time.
_BLOCK = 1 << 20


class TokenHashes:
    """The rows of packed tokens in the order of the tokens' hashes.

    It takes 8 bytes a token: the row in the low bits, and in those above it as much of
    the hash as fits. Tokens whose bits are alike are told apart by their bytes. Rows
    that are ``holes`` are left out.
    """

    __slots__ = ("_entries", "_packed", "_row_bits")

    def __init__(self, packed: PackedTokens, holes: Int64Array) -> None:
        self._packed = packed
        self._row_bits = np.uint64((1 << len(packed).bit_length()) - 1)
        entries = _hashed(packed)
        entries &= ~self._row_bits
        for start in range(0, len(entries), _BLOCK):
            block = entries[start : start + _BLOCK]
            block |= np.arange(start, start + len(block), dtype=np.uint64)
        self._entries = np.delete(entries, holes) if len(holes) else entries
        self._entries.sort()

    def find(self, token: str) -> int:
        """Return the row of a token, -1 where none has it."""
        raw = raw_of(token)
        if raw is None:
            return -1
        hash = _hashed(PackedTokens.join([raw]))[0] & ~self._row_bits
        first = int(np.searchsorted(self._entries, hash))
        for entry in self._entries[first:]:
            if entry & ~self._row_bits != hash:
                break
            row = int(entry & self._row_bits)
            if self._packed.raw(row) == raw:
                return row
        return -1

    def repeats(self) -> Iterator[tuple[int, int]]:
        """Yield the rows whose token an earlier row has, after the first that has it.

        Both rows of a pair; by rising second row.
        """
        unlike = self._entries[1:] ^ self._entries[:-1]
        places = np.flatnonzero(unlike <= self._row_bits)
        if not len(places):
            return
        doubtful = self._entries[np.union1d(places, places + 1)] & self._row_bits
        first: dict[bytes, int] = {}
        for row in np.sort(doubtful).tolist():
            begun = first.setdefault(self._packed.raw(row), row)
            if begun != row:
                yield begun, row


def raw_of(token: str) -> bytes | None:
    """Return the bytes that a token stands for, ``None`` if none are read as it."""
    try:
        raw = token.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return None
    return raw if raw.decode(errors="surrogateescape") == token else None


def _hashed(packed: PackedTokens) -> UInt64Array:
    hashes = np.empty(len(packed), np.uint64)
    kernel.hash_tokens(packed.data.data, packed.offsets, hashes)
    return hashes
