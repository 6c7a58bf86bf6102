"""The rows that post-processing learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array
from pretrained_embed.build.combine import Combination
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow

#: Rows of the first source that are learned from: as for the statistics of OOV rows,
#: its first ones, which in the usual files are its most frequent tokens.
ROWS = 10_000


def sample(
    readers: Sequence[Reader], combination: Combination, on_bad_row: OnBadRow
) -> Float32Array:
    """Return what the combination makes of the first tokens of the first source.

    Float32 (rows, dim). Where vectors are put together of several sources, these are
    the tokens that all sources have, as they stand. They depend on the sources alone.
    """
    tokens: list[str] = []
    blocks: list[Float32Array] = []
    for block in readers[0].blocks(on_bad_row=on_bad_row):
        room = ROWS - len(tokens)
        tokens += block.tokens[:room]
        blocks.append(block.vectors[:room])
        if len(tokens) == ROWS:
            break
    first = np.concatenate(blocks)
    each, shared = [first], np.ones(len(tokens), np.bool_)
    if combination.how != "fill":
        index = kernel.TokenIndex(
            tokens, np.arange(len(tokens)), np.zeros(len(tokens), np.uint8)
        )
        for reader in readers[1:]:
            vectors = np.zeros((len(tokens), reader.dim), np.float32)
            selection = reader.select(index, vectors, on_bad_row=on_bad_row)
            shared &= selection.source_rows >= 0
            each.append(vectors)
    chosen = np.flatnonzero(shared)
    for number, vectors in enumerate(each):
        combination.prepare(vectors, chosen, number)
    if combination.how == "fill":
        return first
    return combination.put_together(
        [v[chosen] for v in each], [shared[chosen]] * len(each)
    )
