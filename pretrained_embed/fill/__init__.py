"""Fills the rows of tokens that the source does not have (OOV)."""

from pretrained_embed.fill.filling import fill
from pretrained_embed.fill.policies import (
    POLICIES,
    Policies,
    PolicyChain,
    by_chain,
    chain_name,
    policy_chain,
    special_chains,
)
from pretrained_embed.fill.source import Lookup, first_rows, source_statistics

__all__ = [
    "POLICIES",
    "Lookup",
    "Policies",
    "PolicyChain",
    "by_chain",
    "chain_name",
    "fill",
    "first_rows",
    "policy_chain",
    "source_statistics",
    "special_chains",
]
