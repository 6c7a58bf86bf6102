"""The matrix aligned to a vocabulary: matching, filling, coverage, the row ledger."""

from pretrained_embed.formats.reader import Statistics
from pretrained_embed.matrix.assembly import OpenSource
from pretrained_embed.matrix.building import build, build_onto
from pretrained_embed.matrix.combine import COMBINATIONS, Combination, How, factors
from pretrained_embed.matrix.embedding_matrix import (
    EmbeddingMatrix,
    EmbeddingShard,
    from_table,
    shard_of,
)
from pretrained_embed.matrix.holders import check_source
from pretrained_embed.matrix.in_ranges import InRanges, check_ledger, wanted_tokens
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
from pretrained_embed.matrix.row_maker import RowMaker
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
    "InRanges",
    "Match",
    "OpenSource",
    "Options",
    "Policies",
    "Policy",
    "RowMaker",
    "Statistics",
    "build",
    "build_onto",
    "chain_names",
    "check_ledger",
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
    "wanted_tokens",
]
