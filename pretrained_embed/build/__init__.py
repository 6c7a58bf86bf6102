"""From a vocabulary and sources to a matrix, in memory or larger.

`build_matrix` opens the sources. `Plan` describes the matrix, `make` makes the rows of
one of its ranges, and `build` makes all ranges and writes them to its `Output`.
"""

from pretrained_embed.build.loop import build
from pretrained_embed.build.plan import Plan, versions
from pretrained_embed.build.work import Output, Work

__all__ = ["Output", "Plan", "Work", "build", "versions"]
