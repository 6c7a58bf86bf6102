"""The policy "subword": vectors that the source itself makes of a token's pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pretrained_embed.errors import OptionError
from pretrained_embed.fill.lookup import Lookup, Made

_BLOCK_TOKENS = 1 << 14  # as many as a table is gone through once for


def compose(tokens: Sequence[str], lookup: Lookup) -> Made:
    """Yield the vectors of the tokens that the source has pieces of.

    Of the spellings of a token the first is taken. Raises `OptionError` for a source
    that has no pieces.
    """
    reader = lookup.reader
    if not reader.composes:
        raise OptionError(
            f"{reader.name} is {reader.format}, which has no subword pieces to make "
            "vectors of; fastText's .bin models and floret tables have. Take one of "
            "these, or oov='parts' or 'ngram', which work with any source."
            + "".join(f" Of the file: {note}." for note in reader.findings.notes)
        )
    for start in range(0, len(tokens), _BLOCK_TOKENS):
        block = tokens[start : start + _BLOCK_TOKENS]
        vectors = np.zeros((len(block), reader.dim), np.float32)
        spelled = [spellings[0] for spellings in lookup.spellings(block)]
        places = np.flatnonzero(reader.compose(spelled, vectors))
        yield start + places, vectors[places]
