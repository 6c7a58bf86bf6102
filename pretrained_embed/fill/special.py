"""Special tokens: each may have policies of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pretrained_embed.arrays import Int64Array
from pretrained_embed.errors import OptionError, brief, suggestion
from pretrained_embed.fill.policies import Policies, PolicyChain, policy_chain
from pretrained_embed.vocabulary import Vocabulary


def special_chains(
    given: Mapping[str, Policies] | None, unk: Policies | None, vocabulary: Vocabulary
) -> dict[str, PolicyChain]:
    """Return the chains of special tokens, which go by their names or by themselves.

    ``unk`` is that of the unk token, if the vocabulary has one. Raises `OptionError` as
    `policy_chain` does, for what is not in the vocabulary, for a token with two
    settings, and for a pad row that is not zeros.
    """
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise OptionError(
            f"special_oov is {brief(given)}; it goes from special tokens to policies, "
            "as {'mask': 'zeros'} does"
        )
    known = vocabulary.special_tokens
    chains: dict[str, PolicyChain] = {}
    if unk is not None:
        own = policy_chain(unk, "unk")
        if vocabulary.unk_token is not None:
            chains[vocabulary.unk_token] = own
    for name, policies in given.items():
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
        chains[token] = policy_chain(policies, f"special_oov[{brief(name)}]")
        if token == vocabulary.pad_token and chains[token] != ("zeros",):
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
    """Yield chains of policies, and which of the rows each is to fill.

    The spelling of what stands for no text tells nothing: a special token without a
    chain of its own has the last policy of ``chain``, which fills any row.
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
