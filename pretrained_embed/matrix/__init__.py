"""The matrix aligned to a vocabulary: matching, filling, coverage, the row ledger."""

from pretrained_embed.formats.reader import Statistics
from pretrained_embed.matrix.assembly import OpenSource
from pretrained_embed.matrix.building import build, build_onto
from pretrained_embed.matrix.combine import COMBINATIONS, Combination, How, factors
from pretrained_embed.matrix.comparison import Comparison, compare, locate
from pretrained_embed.matrix.coverage import Coverage
from pretrained_embed.matrix.coverage_report import REPORT_SUFFIXES, write_report
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.explain import RowStory
from pretrained_embed.matrix.holders import check_source
from pretrained_embed.matrix.in_ranges import InRanges, check_ledger, wanted_tokens
from pretrained_embed.matrix.ledger import Ledger
from pretrained_embed.matrix.match import Match, match_chain
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
from pretrained_embed.matrix.origin import Origin
from pretrained_embed.matrix.postprocess import STEPS, parse_steps
from pretrained_embed.matrix.row_maker import RowMaker
from pretrained_embed.matrix.saved import from_table
from pretrained_embed.matrix.saving import (
    arrays_of,
    check_place,
    metadata_of,
    tokens_of,
)
from pretrained_embed.matrix.shard import EmbeddingShard, shard_of

__all__ = [
    "COMBINATIONS",
    "FORMS",
    "POLICIES",
    "REPORT_SUFFIXES",
    "STEPS",
    "Combination",
    "Comparison",
    "Coverage",
    "EmbeddingMatrix",
    "EmbeddingShard",
    "How",
    "InRanges",
    "Ledger",
    "Match",
    "OpenSource",
    "Options",
    "Origin",
    "Policies",
    "Policy",
    "RowMaker",
    "RowStory",
    "Statistics",
    "arrays_of",
    "build",
    "build_onto",
    "check_ledger",
    "check_place",
    "check_source",
    "compare",
    "factors",
    "from_table",
    "locate",
    "match_chain",
    "metadata_of",
    "parse_steps",
    "policy_chain",
    "shard_of",
    "source_statistics",
    "special_chains",
    "tokens_of",
    "wanted_tokens",
    "write_report",
]
