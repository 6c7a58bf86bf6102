"""From a vocabulary and open sources to a matrix, in memory or beyond it.

`Plan` says what is to be built, `make` makes the rows of one of its ranges, `build`
does so for all of them and writes them where `Work` says.
"""

from pretrained_embed.build.loop import build
from pretrained_embed.build.plan import Plan, versions
from pretrained_embed.build.work import Work

__all__ = ["Plan", "Work", "build", "versions"]
