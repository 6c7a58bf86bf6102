"""Which forms of tokens are looked up in a source, and the results."""

from pretrained_embed.lookup.match import FORMS, Chain, Match, chain_names, match_chain
from pretrained_embed.lookup.search import Search

__all__ = ["FORMS", "Chain", "Match", "Search", "chain_names", "match_chain"]
