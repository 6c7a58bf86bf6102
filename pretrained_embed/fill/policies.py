"""The policies, which fill the rows of tokens that the source does not have.

Some make a vector from the spelling of a token and cannot do so for every token; the
others fill any row. They form a chain: each fills the rows that those before it could
not fill, and the last one fills any row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import Int64Array
from pretrained_embed.errors import OptionError, brief, commas, suggestion
from pretrained_embed.formats.reader import Statistics
from pretrained_embed.vocabulary import Vocabulary

#: Policies that fill any row.
Total = Literal["zeros", "normal", "uniform", "mean", "error"]

#: Policies that fill the rows of some tokens, by their spelling.
Spelling = Literal["subword", "parts", "ngram"]

Named = Total | Spelling

#: Given the tokens, the source's statistics and dim, returns float32 (tokens, dim).
Callback = Callable[[Sequence[str], Statistics, int], npt.ArrayLike]

Policy = Named | Callback

#: The values of a chain: names, which a ``str`` separates by commas.
Policies = Policy | str | Iterable[Policy]

PolicyChain = tuple[Policy, ...]

SPELLING: tuple[Spelling, ...] = get_args(Spelling)

POLICIES: tuple[Named, ...] = (*get_args(Total), *SPELLING)

#: Names of policies in other tools.
_OTHER_WORDS = {
    **dict.fromkeys(("random", "randn", "gaussian", "gauss"), "normal"),
    **dict.fromkeys(("random_uniform", "rand"), "uniform"),
    **dict.fromkeys(("zero", "none", "skip"), "zeros"),
    **dict.fromkeys(("average", "avg", "centroid"), "mean"),
    **dict.fromkeys(("raise", "fail"), "error"),
    **dict.fromkeys(("fasttext", "subwords"), "subword"),
    **dict.fromkeys(("char", "ngrams", "trigram"), "ngram"),
}

#: The policy that is added if none in the chain fills every row.
LAST: Total = "normal"


def policy_chain(given: Policies, name: str = "oov") -> PolicyChain:
    """Return the chain of policies.

    Raises `OptionError` for an unknown policy, for one that is named twice, and for one
    after a policy that fills any row.

    >>> policy_chain("parts"), policy_chain("ngram,zeros")
    (('parts', 'normal'), ('ngram', 'zeros'))
    """
    chain = _entries(given)
    for policy in chain:
        if not callable(policy) and policy not in POLICIES:
            near = commas(str(policy), POLICIES)
            near = near or suggestion(str(policy), POLICIES, _OTHER_WORDS)
            raise OptionError(
                f"unknown policy {name}={policy!r}; known: {', '.join(POLICIES)}, or a "
                f"callable{near}"
            )
    for policy, after in pairwise(chain):
        if policy not in SPELLING:
            raise OptionError(
                f"{name} has {policy_name(policy)!r} before {policy_name(after)!r}, "
                "which would have nothing left to fill; only "
                f"{', '.join(SPELLING)} leave rows to the next policy"
            )
    if not chain or len(set(chain)) < len(chain):
        raise OptionError(
            f"{name} is {given!r}; name each policy once, and one at least"
        )
    return chain if chain[-1] not in SPELLING else (*chain, LAST)


def _entries(given: Policies) -> PolicyChain:
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(","))  # type: ignore[misc]  # checked by the caller
    if callable(given) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)


def policy_name(policy: Policy) -> str:
    """Return the name of a policy for the provenance."""
    if isinstance(policy, str):
        return policy
    return f"callable {getattr(policy, '__qualname__', type(policy).__qualname__)}"


def chain_name(chain: PolicyChain) -> str:
    """Return the name of a chain for the provenance."""
    return ",".join(map(policy_name, chain))


def special_chains(
    given: Mapping[str, PolicyChain], vocabulary: Vocabulary
) -> dict[str, PolicyChain]:
    """Return the chains of special tokens, given by role or by token.

    Raises `OptionError` for a token that is not in the vocabulary, for a token with two
    settings, and for a pad row that is not zeros.
    """
    known = vocabulary.special_tokens
    chains: dict[str, PolicyChain] = {}
    for name, chain in given.items():
        token = known.get(name, name)
        if token not in vocabulary:
            raise OptionError(
                f"special_oov has {brief(name)}, which is no token of the vocabulary; "
                "its special tokens are "
                f"{', '.join(known) or 'none'}{suggestion(str(name), known)}"
            )
        if token in chains:
            raise OptionError(
                f"the token {brief(token)} has two settings, one of them "
                f"special_oov[{brief(name)}]"
            )
        chains[token] = chain
        if token == vocabulary.pad_token and chain != ("zeros",):
            raise OptionError(
                f"special_oov has {brief(name)}, but the row of the pad token is "
                "zeros, always; a vocabulary with pad=None has no such row"
            )
    return chains


def by_chain(
    vocabulary: Vocabulary,
    rows: Int64Array,
    chain: PolicyChain,
    special: Mapping[str, PolicyChain],
) -> Iterator[tuple[PolicyChain, Int64Array]]:
    """Yield chains of policies, and the rows that each is to fill.

    The spelling of a special token has no meaning: one without a chain of its own gets
    the last policy of ``chain``, which fills any row.
    """
    chains = dict.fromkeys(vocabulary.special_tokens.values(), chain[-1:])
    chains.update(special)
    common = np.ones(len(rows), np.bool_)
    for token, own in chains.items():
        its_own = rows == vocabulary.get(token, -1)
        if own != chain and its_own.any():
            common &= ~its_own
            yield own, rows[its_own]
    if common.any():
        yield chain, rows[common]
