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
    "pretrained_embed.adapters.evaluation": {
        "Evaluation": "pretrained_embed.tools.evaluation",
        "evaluate": "pretrained_embed.tools.evaluation",
    },
    "pretrained_embed.checkup.examination": {
        "Checkup": "pretrained_embed.tools.examination.examination",
    },
    "pretrained_embed.checkup.problems": {
        "Problem": "pretrained_embed.tools.examination.problems",
    },
    "pretrained_embed.language_model.recipe": {
        "RowStart": "pretrained_embed.tools.transplant.new_rows",
    },
    "pretrained_embed.language_model.transplanting": {
        "Transplanted": "pretrained_embed.tools.transplant.transplanted",
    },
    "pretrained_embed.neighbours.keyed": {
        "KeyedRows": "pretrained_embed.tools.keyed_rows",
    },
    "pretrained_embed.neighbours.search": {
        "Neighbour": "pretrained_embed.tools.similar_tokens",
        "Neighbours": "pretrained_embed.tools.similar_tokens",
    },
    "pretrained_embed.neighbours.terms": {
        "Query": "pretrained_embed.tools.similar_tokens",
    },
    "pretrained_embed.packed_tokens": {"PackedTokens": "pretrained_embed.arrays"},
    "pretrained_embed.ledger.advice": {"Advice": "pretrained_embed.ledger.coverage"},
    "pretrained_embed.matrix.advice": {"Advice": "pretrained_embed.ledger.coverage"},
    "pretrained_embed.pipeline.converting": {
        "Conversion": "pretrained_embed.tools.conversion",
    },
    "pretrained_embed.tools.queries": {
        "Neighbour": "pretrained_embed.tools.similar_tokens",
        "Neighbours": "pretrained_embed.tools.similar_tokens",
        "Query": "pretrained_embed.tools.similar_tokens",
    },
    "pretrained_embed.matrix.origin": {
        "Origin": "pretrained_embed.ledger.origin",
        "Part": "pretrained_embed.former_names",
    },
    "pretrained_embed.matrix.embedding_matrix": {"EmbeddingMatrix": "pretrained_embed"},
    "pretrained_embed.matrix.shard": {"EmbeddingShard": "pretrained_embed"},
}


class FormerModule(ModuleType):
    """A module of an earlier release: it hands out the classes that have moved."""

    def __getattr__(self, name: str) -> Any:
        if name not in FORMER[self.__name__]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(import_module(FORMER[self.__name__][name]), name)


class Part:
    """The ledger of one of several sources, now a `Ledger`: its two arrays."""

    def __new__(cls, *arrays: Any) -> Any:
        """Return the arrays."""
        return arrays


def with_ledger(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a pickled matrix, or of a shard, as it is now.

    In release 0.1 they had the arrays of a ledger themselves, and a shard its tokens.
    """
    if "ledger" in state:
        return state
    from pretrained_embed.ledger import Ledger, Origin
    from pretrained_embed.vocabulary import TokenRows, some_rows

    def taken(*names: str) -> dict[str, Any]:
        return {name: state[name] for name in names if name in state}

    vocabulary = state.get("vocabulary")
    if vocabulary is None:
        rows = TokenRows(state["packed_tokens"], state["holes"])
        pads = (state["origin"] == Origin.PAD).nonzero()[0]
        pad = dict(zip(["pad"], rows.strings(pads), strict=False))
        vocabulary = some_rows(rows, special_tokens=pad)
    parts = [
        Ledger(vocabulary, origin, source_rows=source_rows)
        for origin, source_rows in state.get("parts", ())
    ]
    arrays = taken("origin", "source_rows", "sources")
    others = taken("provenance", "findings", "advice")
    ledger = Ledger(vocabulary, **arrays, **others, parts=parts)
    return {**taken("vectors", "_stored", "start", "rows"), "ledger": ledger}


def register() -> None:
    """Let imports, and so pickles, find the former modules."""
    for name in FORMER:
        sys.modules[name] = FormerModule(name)
