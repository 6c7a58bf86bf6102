"""The matrix aligned to a vocabulary: matching and filling."""

from pretrained_embed.formats.reader import Statistics
from pretrained_embed.matrix.combine import COMBINATIONS, Combination, How, factors
from pretrained_embed.matrix.embedding_matrix import (
    EmbeddingMatrix,
    EmbeddingShard,
    from_table,
    shard_of,
)
from pretrained_embed.matrix.holders import check_source
from pretrained_embed.matrix.match import Match, chain_names, match_chain
from pretrained_embed.matrix.match_forms import FORMS
from pretrained_embed.matrix.oov import (
    POLICIES,
    Policies,
    Policy,
    policy_chain,
    source_statistics,
    special_chains,
)
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.postprocess import STEPS, parse_steps
from pretrained_embed.matrix.search import locate

__all__ = [
    "COMBINATIONS",
    "FORMS",
    "POLICIES",
    "STEPS",
    "Combination",
    "EmbeddingMatrix",
    "EmbeddingShard",
    "How",
    "Match",
    "Options",
    "Policies",
    "Policy",
    "Statistics",
    "chain_names",
    "check_source",
    "factors",
    "from_table",
    "locate",
    "match_chain",
    "parse_steps",
    "policy_chain",
    "shard_of",
    "source_statistics",
    "special_chains",
]
