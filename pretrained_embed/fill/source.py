"""A source as the policies use it: its first rows and its spellings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Int64Array, Progress
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow, Selection, Statistics
from pretrained_embed.lookup.match import Chain, several
from pretrained_embed.vocabulary import Vocabulary

#: How many of the first rows of a source are used for statistics and for
#: post-processing. In most files they are the most frequent tokens.
FIRST_ROWS = 10_000

#: Positions of some of the given tokens, and float32 (positions, dim) for them.
Spelled = Iterator[tuple[Int64Array, Float32Array]]


def first_rows(
    reader: Reader, on_bad_row: OnBadRow, count: int
) -> tuple[list[str], Float32Array]:
    """Return the tokens and vectors, float32 (rows, dim), of the first ``count`` rows.

    Fewer, if the source has no more.
    """
    tokens: list[str] = []
    vectors = [np.empty((0, reader.dim), np.float32)]
    for block in reader.blocks(on_bad_row=on_bad_row):
        room = count - len(tokens)
        tokens += block.tokens[:room]
        vectors.append(block.vectors[:room])
        if len(tokens) == count:
            break
    return tokens, np.concatenate(vectors)


def source_statistics(reader: Reader, on_bad_row: OnBadRow) -> Statistics:
    """Return mean and standard deviation of each dimension of the first rows.

    See `Statistics.of`. If the reader has them already, no rows are read.
    """
    if reader.statistics is not None:
        return reader.statistics
    return Statistics.of(first_rows(reader, on_bad_row, FIRST_ROWS)[1])


class Lookup(NamedTuple):
    """A source, and how tokens are looked up in it."""

    reader: Reader
    vocabulary: Vocabulary
    match: Chain
    on_bad_row: OnBadRow
    threads: int | None
    progress: Progress | None

    def spellings(self, tokens: Sequence[str]) -> list[list[str]]:
        """Return the forms of each token in the source, in order."""
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
        """Look tokens up unchanged; ``out`` gets the vectors it has rows for."""
        count = len(tokens)
        index = kernel.TokenIndex(tokens, np.arange(count), np.zeros(count, np.uint8))
        return self.reader.select(
            index,
            out,
            threads=self.threads,
            on_bad_row=self.on_bad_row,
            progress=self.progress,
        )
