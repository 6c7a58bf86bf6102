"""From a chain of policies to filled rows, with a note in the ledger of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.fill.drawing import draw
from pretrained_embed.fill.lookup import Lookup, Made
from pretrained_embed.fill.parts import average_parts
from pretrained_embed.fill.policies import Policy, PolicyChain
from pretrained_embed.fill.prediction import predict
from pretrained_embed.fill.subword import compose
from pretrained_embed.formats.reader import Statistics
from pretrained_embed.ledger.origin import Origin, OriginArray

#: The policies that go by spelling: what makes the vectors, and how the ledger has it.
_MAKERS: dict[Policy, tuple[Callable[[Sequence[str], Lookup], Made], Origin]] = {
    "subword": (compose, Origin.SUBWORD),
    "parts": (average_parts, Origin.PARTS),
    "ngram": (predict, Origin.NGRAM),
}


def fill(
    chain: PolicyChain,
    tokens: Sequence[str],
    rows: Int64Array,
    out: Float32Array,
    origin: OriginArray,
    *,
    lookup: Lookup,
    seed: int,
    part: int = 0,
    statistics: Callable[[], Statistics],
) -> Int64Array:
    """Fill ``out[rows]`` for tokens that were not found, one for each of ``rows``.

    ``origin`` gets the code of what filled a row. A row depends on the source, the
    chain, the seed, the part and its token alone. ``statistics`` is called where they
    are needed. Returns the rows that "error" leaves as they are. Raises what the other
    policies do.
    """
    left = np.arange(len(tokens))
    for policy in chain:
        if not len(left) or policy == "error":
            break
        asked = [tokens[place] for place in left.tolist()]
        if policy not in _MAKERS:
            draw(
                policy,
                asked,
                out,
                rows[left],
                seed=seed,
                part=part,
                statistics=statistics,
            )
            return rows[:0]
        make, code = _MAKERS[policy]
        filled = np.zeros(len(left), np.bool_)
        for places, vectors in make(asked, lookup):
            out[rows[left[places]]] = vectors
            filled[places] = True
        origin[rows[left[filled]]] = code
        left = left[~filled]
    return rows[left]
