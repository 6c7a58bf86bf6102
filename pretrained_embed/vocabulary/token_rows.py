"""`TokenRows`: the token of each row, packed, and as ``str`` on demand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Self, cast

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Int64Array, PackedTokens, UInt8Array, UInt64Array
from pretrained_embed.errors import VocabularyError, brief

#: How many rows are turned into index entries at a time.
_HASHED_BLOCK = 1 << 20


class TokenHashes:
    """The rows of packed tokens in the order of the tokens' hashes.

    An entry takes 8 bytes: the row in the low bits, and as many bits of the hash as fit
    above. Tokens with equal bits are compared by their bytes. Rows in ``holes`` are
    left out.
    """

    __slots__ = ("_entries", "_packed", "_row_bits")

    def __init__(self, packed: PackedTokens, holes: Int64Array) -> None:
        self._packed = packed
        self._row_bits = np.uint64((1 << len(packed).bit_length()) - 1)
        entries = _hashed(packed)
        entries &= ~self._row_bits
        for start in range(0, len(entries), _HASHED_BLOCK):
            block = entries[start : start + _HASHED_BLOCK]
            block |= np.arange(start, start + len(block), dtype=np.uint64)
        self._entries = np.delete(entries, holes) if len(holes) else entries
        self._entries.sort()

    def find(self, token: str) -> int:
        """Return the row of a token, -1 if there is none."""
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
        """Yield rows whose token an earlier row has, after that earlier row.

        Pairs are in the order of the second row.
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
    """Return the bytes of a token; ``None`` if no bytes are read as it."""
    try:
        raw = token.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return None
    return raw if raw.decode(errors="surrogateescape") == token else None


def _hashed(packed: PackedTokens) -> UInt64Array:
    hashes = np.empty(len(packed), np.uint64)
    kernel.hash_tokens(packed.data.data, packed.offsets, hashes)
    return hashes


NO_HOLES: Int64Array = np.empty(0, np.int64)
NO_HOLES.flags.writeable = False

#: With up to this many rows, a ``dict`` of all tokens is made to look one up. It takes
#: some 150 bytes for each token, and is 50 times as fast as `TokenHashes`.
_SMALL = 1 << 20
#: With up to this many rows, it is made to look up several tokens.
_FEW = 1 << 8

#: How many tokens are copied at a time.
_BLOCK = 1 << 16


class TokenRows:
    """The token of each row: all different; some rows may have none.

    ``packed`` has the tokens of all rows in order; ``holes``, int64 and ascending, are
    the rows without a token, whose bytes are empty. The arrays become read-only. The
    caller makes sure that no token is there twice; `checked` tests it. Other memory is
    only used when all tokens are needed as ``str``.
    """

    __slots__ = ("_hashes", "_ids", "_packed", "_tokens", "holes")

    def __init__(self, packed: PackedTokens, holes: Int64Array = NO_HOLES) -> None:
        self._tokens: tuple[str | None, ...] | None = None
        self._ids: dict[str, int] | None = None
        self._hashes: TokenHashes | None = None
        self._packed = packed
        self.holes = holes
        for array in (packed.data, packed.offsets, holes):
            array.flags.writeable = False

    @property
    def packed(self) -> PackedTokens:
        """The tokens of all rows in order."""
        return self._packed

    @classmethod
    def pack(cls, tokens: list[str]) -> Self:
        """Pack tokens in order; few tokens are also kept as ``str``."""
        rows = cls(PackedTokens.pack(tokens))
        if len(tokens) <= _SMALL:
            rows._tokens = tuple(tokens)
        return rows

    def checked(self) -> Self:
        """Return itself, or raise `VocabularyError` for a token that is there twice."""
        for first, second in self.repeats():
            raise VocabularyError(
                f"token {brief(self.packed[first])} stands at two rows, {first} and "
                f"{second}"
            )
        return self

    def first_of_each(self) -> TokenRows:
        """Return the same rows, with holes for those that repeat a token."""
        again = np.array([second for _, second in self.repeats()], np.int64)
        if not len(again):
            return self
        starts, ends = self.packed.offsets[:-1], self.packed.offsets[1:].copy()
        ends[again] = starts[again]
        return TokenRows(
            cut(self.packed.data, starts, ends), np.union1d(self.holes, again)
        )

    def repeats(self) -> Iterator[tuple[int, int]]:
        """Yield pairs of rows with the same token, as `TokenHashes.repeats` does."""
        return self._by_hash().repeats()

    @property
    def tokens(self) -> tuple[str | None, ...]:
        """The token of each row, ``None`` for a hole. Computed once."""
        if self._tokens is None:
            tokens = cast(list[str | None], self.packed.unpack())
            for hole in self.holes.tolist():
                tokens[hole] = None
            self._tokens = tuple(tokens)
        return self._tokens

    @property
    def ids(self) -> dict[str, int]:
        """The row of each token. Computed once."""
        if self._ids is None:
            ids = dict(zip(self.tokens, range(len(self)), strict=True))
            ids.pop(None, None)  # the tokens of holes
            self._ids = cast(dict[str, int], ids)
        return self._ids

    def get(self, token: object) -> int | None:
        """Return the row of a token; ``None`` if there is none."""
        if self._ids is not None or len(self) <= _SMALL:
            return self.ids.get(token)  # type: ignore[call-overload,no-any-return]  # any object
        row = self._by_hash().find(token) if isinstance(token, str) else -1
        return None if row < 0 else row

    def find(self, tokens: Collection[str]) -> dict[str, int]:
        """Return the rows of a few tokens, as far as they have one, in one pass."""
        if self._ids is not None or len(self) < _FEW:
            return {token: self.ids[token] for token in tokens if token in self.ids}
        if self._hashes is not None:
            by_hash = [(token, self._hashes.find(token)) for token in tokens]
            return {token: row for token, row in by_hash if row >= 0}
        known = {raw: token for token in tokens if (raw := raw_of(token)) is not None}
        rows = zip(
            known.values(), self.rows_of(PackedTokens.join([*known])), strict=True
        )
        return {token: int(row) for token, row in rows if row >= 0}

    def rows_of(self, tokens: PackedTokens) -> Int64Array:
        """Return the row of each token, int64 (tokens,), -1 for none.

        It needs one pass over the rows, and an index of ``tokens``.
        """
        count = len(tokens)
        index = kernel.TokenIndex(tokens, np.arange(count), np.zeros(count, np.uint8))
        rows = np.full(count, kernel.UNCLAIMED, np.int64)
        seen = np.zeros(len(index), np.uint8)
        packed = self.packed.without(self.holes) if len(self.holes) else self.packed
        kernel.find_rows(index, packed.data.data, packed.offsets, 0, rows, seen)
        found = rows != kernel.UNCLAIMED
        rows[~found] = -1
        if len(self.holes):  # the results are positions among the tokens
            rows[found] = np.delete(np.arange(len(self)), self.holes)[rows[found]]
        return rows

    def strings(self, rows: Int64Array) -> list[str]:
        """Return the tokens of some rows, none of which is a hole."""
        return self.part(rows).packed.unpack()

    def part(self, rows: Int64Array) -> TokenRows:
        """Return some rows, each at most once, in the given order."""
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            packed = self.packed[int(rows[0]) : int(rows[-1]) + 1]
        else:
            starts = self.packed.offsets[rows]
            packed = cut(self.packed.data, starts, self.packed.offsets[rows + 1])
        if not len(self.holes):
            return TokenRows(packed)
        return TokenRows(packed, np.flatnonzero(np.isin(rows, self.holes)))

    def __iter__(self) -> Iterator[str]:
        """Yield the tokens in the order of their rows."""
        return iter(self.packed.without(self.holes) if len(self.holes) else self.packed)

    def same_as(self, other: TokenRows) -> bool:
        """Return whether another object has the same tokens in the same rows."""
        return (
            np.array_equal(self.packed.offsets, other.packed.offsets)
            and np.array_equal(self.packed.data, other.packed.data)
            and np.array_equal(self.holes, other.holes)
        )

    def __contains__(self, token: object) -> bool:
        return self.get(token) is not None

    def __len__(self) -> int:
        return len(self.packed)

    def __reduce__(self) -> tuple[type[TokenRows], tuple[PackedTokens, Int64Array]]:
        """Return the state for pickles, without computed attributes."""
        return type(self), (self.packed, self.holes)

    def _by_hash(self) -> TokenHashes:
        if self._hashes is None:
            self._hashes = TokenHashes(self.packed, self.holes)
        return self._hashes


def cut(data: UInt8Array, starts: Int64Array, ends: Int64Array) -> PackedTokens:
    """Return parts of ``data``, each from a start to the byte before an end."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    packed = np.empty(offsets[-1], np.uint8)
    hits = np.zeros((min(len(starts), _BLOCK), kernel.HIT_COLUMNS), np.int64)
    for first in range(0, len(starts), _BLOCK):
        chosen = slice(first, first + _BLOCK)
        size = len(starts[chosen])
        hits[:size, 1] = starts[chosen]
        hits[:size, 2] = ends[chosen] - starts[chosen]
        kernel.pack(data.data, hits, size, packed[offsets[first] :])
    return PackedTokens(packed, offsets)
