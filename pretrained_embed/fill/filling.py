"""Fills rows by a chain of policies, and records each in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.errors import OptionError
from pretrained_embed.fill import draws
from pretrained_embed.fill.policies import Callback, Policy, PolicyChain, policy_name
from pretrained_embed.fill.source import Lookup, Spelled
from pretrained_embed.formats.reader import Statistics
from pretrained_embed.ledger.origin import Origin, OriginArray

#: How many numbers are drawn, and how many tokens are composed, at a time.
_BLOCK_NUMBERS = 1 << 20
_BLOCK_TOKENS = 1 << 14

_SQRT_12 = 3.4641016151377544


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

    ``origin`` gets the code of the policy that filled a row. A row depends only on the
    source, the chain, the seed, the part and its token. ``statistics`` is called if
    they are needed. Returns the rows that "error" leaves unfilled. Raises the errors of
    the other policies.
    """
    left = np.arange(len(tokens))
    for policy in chain:
        if not len(left) or policy == "error":
            break
        asked = [tokens[place] for place in left.tolist()]
        if policy not in _MAKERS:
            _draw(policy, asked, out, rows[left], seed, part, statistics)
            return rows[:0]
        make, code = _MAKERS[policy]
        filled = np.zeros(len(left), np.bool_)
        for places, vectors in make(asked, lookup):
            out[rows[left[places]]] = vectors
            filled[places] = True
        origin[rows[left[filled]]] = code
        left = left[~filled]
    return rows[left]


def _draw(
    policy: Policy,
    tokens: Sequence[str],
    out: Float32Array,
    rows: Int64Array,
    seed: int,
    part: int,
    statistics: Callable[[], Statistics],
) -> None:
    """Fill ``out[rows]``, a row for each of ``tokens``, by a policy that fills any row.

    The numbers of different ``part`` are independent. Raises `OptionError` if a
    callable returns a wrong shape.
    """
    if policy == "zeros":
        out[rows] = 0.0
        return
    stats, dim = statistics(), out.shape[1]
    if policy == "mean":
        out[rows] = stats.mean
        return
    if callable(policy):
        out[rows] = _called(policy, tokens, stats, dim)
        return
    step = max(1, _BLOCK_NUMBERS // dim)
    for start in range(0, len(tokens), step):
        keys = draws.token_keys(tokens[start : start + step], seed, part)
        if policy == "normal":
            spread = draws.normal(keys, dim)
        else:  # uniform, with the standard deviation of the source
            spread = (draws.uniform(keys, dim) - 0.5) * _SQRT_12
        with np.errstate(over="ignore"):
            out[rows[start : start + step]] = stats.mean + stats.std * spread


def _called(
    policy: Callback, tokens: Sequence[str], stats: Statistics, dim: int
) -> Float32Array:
    given = policy(tokens, stats, dim)
    try:
        filled = np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise OptionError(f"the oov {policy_name(policy)} returned: {error}") from error
    if filled.shape != (len(tokens), dim) or filled.dtype.kind not in "fiu":
        raise OptionError(
            f"the oov {policy_name(policy)} returned {filled.dtype} of shape "
            f"{filled.shape}; expected numbers of shape {(len(tokens), dim)}"
        )
    return filled.astype(np.float32)


def compose(tokens: Sequence[str], lookup: Lookup) -> Spelled:
    """Yield the vectors that the source composes from subwords of the tokens.

    The first spelling of a token is used. Raises `OptionError` for a source without
    subword vectors.
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


def _average_parts(tokens: Sequence[str], lookup: Lookup) -> Spelled:
    from pretrained_embed.fill.parts import average_parts

    return average_parts(tokens, lookup)


def _predict(tokens: Sequence[str], lookup: Lookup) -> Spelled:
    from pretrained_embed.fill.prediction import predict

    return predict(tokens, lookup)


#: The policies by spelling: the function that makes the vectors, and the code in the
#: ledger.
_MAKERS: dict[Policy, tuple[Callable[[Sequence[str], Lookup], Spelled], Origin]] = {
    "subword": (compose, Origin.SUBWORD),
    "parts": (_average_parts, Origin.PARTS),
    "ngram": (_predict, Origin.NGRAM),
}
