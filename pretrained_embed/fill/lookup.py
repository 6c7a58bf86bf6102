"""What the policies that go by spelling need to know, and what they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array, Progress
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow, Selection
from pretrained_embed.lookup.match import Chain, several
from pretrained_embed.vocabulary import Vocabulary

#: Some of the tokens that were given, by place, and float32 (places, dim) for them.
Made = Iterator[tuple[Int64Array, Float32Array]]


class Lookup(NamedTuple):
    """A source, and how tokens are looked for in it."""

    reader: Reader
    vocabulary: Vocabulary
    match: Chain
    on_bad_row: OnBadRow
    threads: int | None
    progress: Progress | None

    def spellings(self, tokens: Sequence[str]) -> list[list[str]]:
        """Return the forms in which each token may stand in the source, in order."""
        found: list[dict[str, None]] = [{} for _ in tokens]
        for form in self.match:
            made = form.made(self.vocabulary, list(tokens))
            for forms, variants in zip(found, made, strict=True):
                forms |= dict.fromkeys(several(variants))
        return [
            [text for text in forms if text] or [token]
            for forms, token in zip(found, tokens, strict=True)
        ]

    def select(self, tokens: Sequence[str], out: Float32Array) -> Selection:
        """Look tokens up as they stand; ``out`` gets the vectors it has rows for."""
        index = kernel.TokenIndex(
            tokens, np.arange(len(tokens)), np.zeros(len(tokens), np.uint8)
        )
        return self.reader.select(
            index,
            out,
            threads=self.threads,
            on_bad_row=self.on_bad_row,
            progress=self.progress,
        )
