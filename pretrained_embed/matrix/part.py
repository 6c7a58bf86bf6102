"""A part of a vocabulary, as a vocabulary of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pretrained_embed.vocabulary import Vocabulary


def part_of(vocabulary: Vocabulary, ids: npt.NDArray[np.int64]) -> Vocabulary:
    """Return the tokens of ``ids``, none of them a hole, numbered from 0 in that order.

    What is special stays so, but for pad: a part has no padding row. Raises
    `VocabularyError` if there are no ids.
    """
    tokens = {str(vocabulary.tokens[id]): row for row, id in enumerate(ids.tolist())}
    special = {
        name: token
        for name, token in vocabulary.special_tokens.items()
        if token in tokens and name != "pad"
    }
    counts = vocabulary.counts
    return Vocabulary(
        tokens,
        pad=None,
        unk=special.get("unk"),
        counts=None
        if counts is None
        else dict(zip(tokens, counts[ids].tolist(), strict=True)),
        special_tokens=special,
        marks=vocabulary.marks,
    )
