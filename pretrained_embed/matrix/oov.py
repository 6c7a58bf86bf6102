"""What fills the rows of tokens that the source does not have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import OOVError, OptionError, suggestion
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import Float32Array, OnBadRow, Statistics
from pretrained_embed.matrix import draws

#: Rows of the source that the statistics are taken from: its first ones, which in the
#: usual files are its most frequent tokens.
STATISTICS_ROWS = 10_000

_BLOCK_NUMBERS = 1 << 20


Named = Literal["zeros", "normal", "uniform", "mean", "error"]

#: Given the tokens, the source's statistics and dim, returns float32 (tokens, dim).
Callback = Callable[[Sequence[str], Statistics, int], npt.ArrayLike]

Policy = Named | Callback

POLICIES: tuple[Named, ...] = ("zeros", "normal", "uniform", "mean", "error")


def check_policy(policy: Policy, name: str = "oov") -> None:
    """Raise `OptionError` for what is no policy."""
    if callable(policy) or policy in POLICIES:
        return
    raise OptionError(
        f"unknown policy {name}={policy!r}; known: {', '.join(POLICIES)}, or a "
        f"callable{suggestion(str(policy), POLICIES)}"
    )


def policy_name(policy: Policy) -> str:
    """Return what the provenance says of a policy."""
    if isinstance(policy, str):
        return policy
    return f"callable {getattr(policy, '__qualname__', type(policy).__qualname__)}"


def source_statistics(reader: Reader, on_bad_row: OnBadRow) -> Statistics:
    """Return mean and standard deviation of each dimension of the first rows.

    The sums run row by row in binary64, so that they are the same on any machine.
    Numbers that are not finite are left out of them. A reader that knows them already
    is not asked for rows.
    """
    if reader.statistics is not None:
        return reader.statistics
    parts: list[Float32Array] = []
    rows = 0
    for block in reader.blocks(on_bad_row=on_bad_row):
        parts.append(block.vectors[: STATISTICS_ROWS - rows])
        rows += len(parts[-1])
        if rows == STATISTICS_ROWS:
            break
    sample = np.concatenate(parts).astype(np.float64)
    finite = np.isfinite(sample)
    sample[~finite] = 0.0
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.add.reduce(sample, axis=0) / count
    apart = np.where(finite, sample - mean, 0.0)
    std = np.sqrt(np.add.reduce(apart * apart, axis=0) / count)
    return Statistics(mean, std, rows)


def fill(
    policy: Policy,
    tokens: Sequence[str],
    out: Float32Array,
    rows: npt.NDArray[np.int64],
    *,
    seed: int,
    statistics: Callable[[], Statistics],
) -> None:
    """Fill ``out[rows]`` for tokens that were not found, one for each of ``rows``.

    A row depends on the policy, the statistics, the seed and its token alone.
    ``statistics`` is called where they are needed. Raises `OOVError` for the policy
    "error", and `OptionError` if a callable returns something of another shape.
    """
    if policy == "error":
        shown = ", ".join(map(repr, tokens[:5])) + (", ..." if len(tokens) > 5 else "")
        raise OOVError(
            f"{len(tokens):,} tokens are not in the source, and oov='error' leaves no "
            f"way to fill their rows: {shown}. Add forms to match, choose another oov, "
            "or take them out of the vocabulary."
        )
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
        keys = draws.token_keys(tokens[start : start + step], seed)
        if policy == "normal":
            spread = draws.normal(keys, dim)
        else:  # uniform, as wide as makes its deviation the source's
            spread = (draws.uniform(keys, dim) - 0.5) * _SQRT_12
        with np.errstate(over="ignore"):
            out[rows[start : start + step]] = stats.mean + stats.std * spread


_SQRT_12 = 3.4641016151377544


def _called(
    policy: Callback, tokens: Sequence[str], stats: Statistics, dim: int
) -> npt.NDArray[np.float32]:
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
