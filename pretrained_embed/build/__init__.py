"""From a vocabulary and sources to a matrix, in memory or beyond it.

`build_matrix` opens the sources. `Plan` says what is to be built, `make` makes the rows
of one of its ranges, `build` does so for all of them and writes them where its `Output`
says.
"""

from pretrained_embed.build.loop import build
from pretrained_embed.build.plan import Plan, versions
from pretrained_embed.build.work import Output, Work

__all__ = ["Output", "Plan", "Work", "build", "versions"]
