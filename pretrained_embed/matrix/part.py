"""A part of a vocabulary, as a vocabulary of its own."""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import Int64Array
from pretrained_embed.vocabulary import Vocabulary


def part_of(vocabulary: Vocabulary, ids: Int64Array) -> Vocabulary:
    """Return the tokens of ``ids``, int64 (n,), as rows from 0 in that order.

    Holes stay holes, and what is special stays so. No ``str`` is made of the tokens,
    and of consecutive rows no copy. Raises `VocabularyError` if there are no ids.
    """
    named = vocabulary.special_tokens.items()
    here = np.isin([vocabulary[token] for _, token in named], ids)
    special = {
        name: token
        for (name, token), is_here in zip(named, here, strict=True)
        if is_here
    }
    counts = vocabulary.counts
    part = Vocabulary(
        vocabulary.token_rows.part(ids),
        pad=special.get("pad"),
        unk=special.get("unk"),
        counts=None if counts is None else counts[ids],
        special_tokens=special,
        marks=vocabulary.marks,
    )
    part.belong_to(vocabulary)
    return part
