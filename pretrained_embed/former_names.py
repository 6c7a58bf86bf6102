"""Where classes are now that pickles of earlier releases look for elsewhere.

A pickle names each class by its module. When a class moves and its old module goes,
its old name stays here, and nowhere else.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

#: Modules that are no more: what pickles look for in them, and where it is now.
FORMER = {
    "pretrained_embed.neighbours.search": {
        "Neighbour": "pretrained_embed.tools.queries",
        "Neighbours": "pretrained_embed.tools.queries",
    },
    "pretrained_embed.neighbours.terms": {"Query": "pretrained_embed.tools.queries"},
    "pretrained_embed.packed_tokens": {"PackedTokens": "pretrained_embed.arrays"},
}


class FormerModule(ModuleType):
    """A module of an earlier release: it hands out the classes that have moved."""

    def __getattr__(self, name: str) -> Any:
        if name not in FORMER[self.__name__]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(FORMER[self.__name__][name]), name)


def register() -> None:
    """Let imports, and so pickles, find the former modules."""
    for name in FORMER:
        sys.modules[name] = FormerModule(name)
