"""Policies that fill any row: from the source's statistics, a seed, or a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.errors import OptionError
from pretrained_embed.fill import draws
from pretrained_embed.fill.policies import Callback, Policy, policy_name
from pretrained_embed.formats.reader import Statistics

_BLOCK_NUMBERS = 1 << 20

_SQRT_12 = 3.4641016151377544


def draw(
    policy: Policy,
    tokens: Sequence[str],
    out: Float32Array,
    rows: Int64Array,
    *,
    seed: int,
    part: int = 0,
    statistics: Callable[[], Statistics],
) -> None:
    """Fill ``out[rows]``, a row for each of ``tokens``, by a policy that fills any row.

    What is drawn for one ``part`` of a row is independent of what is for another.
    ``statistics`` is called where they are needed. Raises `OptionError` if a callable
    returns something of another shape.
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
        else:  # uniform, as wide as makes its deviation the source's
            spread = (draws.uniform(keys, dim) - 0.5) * _SQRT_12
        with np.errstate(over="ignore"):
            out[rows[start : start + step]] = stats.mean + stats.std * spread


def _called(
    policy: Callback, tokens: Sequence[str], stats: Statistics, dim: int
) -> Float32Array:
    given = policy(tokens, stats, dim)
    try:
        filled = np.asarray(given)
    except ValueError as error:  # rows of several lengths
        raise OptionError(f"the oov {policy_name(policy)} returned: {error}") from error
    if filled.shape != (len(tokens), dim) or filled.dtype.kind not in "fiu":
        raise OptionError(
            f"the oov {policy_name(policy)} returned {filled.dtype} of shape "
            f"{filled.shape}; expected numbers of shape {(len(tokens), dim)}"
        )
    return filled.astype(np.float32)
