"""What fills the rows of tokens that the source does not have."""

from pretrained_embed.fill.filling import fill
from pretrained_embed.fill.lookup import Lookup
from pretrained_embed.fill.policies import (
    POLICIES,
    Policies,
    Policy,
    PolicyChain,
    chain_name,
    policy_chain,
)
from pretrained_embed.fill.special import by_chain, special_chains
from pretrained_embed.fill.statistics import source_statistics

__all__ = [
    "POLICIES",
    "Lookup",
    "Policies",
    "Policy",
    "PolicyChain",
    "by_chain",
    "chain_name",
    "fill",
    "policy_chain",
    "source_statistics",
    "special_chains",
]
