"""A source with subword pieces that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from vectors import Rows

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.formats.table_reader import TableReader


class ComposingReader(TableReader):
    """A table that composes: as many as a token has of the letters in ``pieces``."""

    composes = True

    def __init__(self, rows: Rows, *, pieces: str) -> None:
        tokens, vectors = zip(*rows, strict=True)
        table = np.array(vectors, np.float32)
        super().__init__("table", "memory", PackedTokens.pack(tokens), table)
        self._pieces = pieces

    def compose(self, tokens: Sequence[str], out: np.ndarray) -> np.ndarray:
        counts = [sum(map(token.count, self._pieces)) for token in tokens]
        made = np.array(counts) > 0
        out[made] = np.array(counts)[made, None]
        return made
