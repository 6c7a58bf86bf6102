"""The verbs of the package: the only layer that sees every other but the adapters."""

from pretrained_embed.build import versions
from pretrained_embed.pipeline.building import build_matrix
from pretrained_embed.pipeline.loading import load_matrix, load_shard

__all__ = [
    "build_matrix",
    "load_matrix",
    "load_shard",
    "versions",
]
