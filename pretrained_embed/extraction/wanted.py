"""The tokens that are wanted, and by which ranges of a matrix's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens, joined
from pretrained_embed.files.safe_path import SafePath


@dataclass(frozen=True)
class WantedTokens:
    """What is looked for in one pass over a source.

    ``ranges`` is int64 (len(tokens),), rising: which range wants the token. A token
    that several ranges want stands there once for each.
    """

    tokens: PackedTokens
    ranges: Int64Array

    @classmethod
    def of(cls, by_range: dict[int, PackedTokens]) -> WantedTokens:
        """Return what ranges want, given by their numbers, which rise."""
        counts = [len(tokens) for tokens in by_range.values()]
        numbers = np.fromiter(by_range, np.int64, len(by_range))
        return cls(joined(list(by_range.values())), np.repeat(numbers, counts))

    def index(self) -> kernel.TokenIndex:
        """Return the index whose rows are the ranges."""
        ranks = np.zeros(len(self.ranges), np.uint8)
        return kernel.TokenIndex(self.tokens, self.ranges, ranks)

    def digest(self) -> str:
        """Return what differs where something else is wanted."""
        digest = blake2b(digest_size=16)
        for array in self._arrays():
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def save(self, path: SafePath) -> None:
        """Write to a file that `load` reads; raises `OSError`."""
        with path.replacing() as file:
            for array in self._arrays():
                np.lib.format.write_array(file, array, allow_pickle=False)

    @classmethod
    def load(cls, path: SafePath) -> WantedTokens:
        """Read what `save` wrote; raises `OSError`, `ValueError` for other bytes."""
        with path.open() as file:
            data, offsets, ranges = (
                np.lib.format.read_array(file, allow_pickle=False) for _ in range(3)
            )
        return cls(PackedTokens(data, offsets, where=str(path)), ranges)

    def _arrays(self) -> Iterator[AnyArray]:
        yield from (self.tokens.data, self.tokens.offsets, self.ranges)
