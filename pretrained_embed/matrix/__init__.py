"""The matrix aligned to a vocabulary: matching, filling, coverage, the row ledger."""

from pretrained_embed.formats.reader import Statistics
from pretrained_embed.matrix.assembly import OpenSource, build
from pretrained_embed.matrix.coverage import Coverage
from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix
from pretrained_embed.matrix.match import FORMS, match_chain
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
from pretrained_embed.matrix.saved import from_table

__all__ = [
    "FORMS",
    "POLICIES",
    "Coverage",
    "EmbeddingMatrix",
    "OpenSource",
    "Options",
    "Origin",
    "Policies",
    "Policy",
    "Statistics",
    "build",
    "from_table",
    "match_chain",
    "policy_chain",
    "source_statistics",
    "special_chains",
]
