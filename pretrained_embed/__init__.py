"""Pretrained word vectors, aligned to your vocabulary.

>>> import pretrained_embed as pe
>>> vocab = pe.Vocabulary(["the", "cat"])
>>> matrix = pe.build_matrix(vocab, "vectors.txt")  # doctest: +SKIP
>>> matrix.save("matrix.npz")  # doctest: +SKIP

The public API is the names below and the modules ``pretrained_embed.errors``,
``.formats`` (`Reader`, `Findings`, the writable formats) and ``.ledger`` (`Ledger`,
`Origin`). The adapters for frameworks are imported by name, for example ``from
pretrained_embed.adapters import torch``. Each module is loaded at its first use, so
that importing the package is fast.
"""

from typing import TYPE_CHECKING, Any

from pretrained_embed import former_names

if TYPE_CHECKING:
    from pretrained_embed import errors as errors
    from pretrained_embed import formats as formats
    from pretrained_embed import ledger as ledger
    from pretrained_embed.build import versions
    from pretrained_embed.build.call import build_matrix
    from pretrained_embed.build.limits import Limits
    from pretrained_embed.build.work import Shards, Work
    from pretrained_embed.errors import PretrainedEmbedError
    from pretrained_embed.ledger import Coverage, RowStory
    from pretrained_embed.library import (
        DEFAULT_SOURCE,
        Library,
        fetch,
        index,
        open_vectors,
    )
    from pretrained_embed.matrix import EmbeddingMatrix, EmbeddingShard
    from pretrained_embed.recipe import Recipe
    from pretrained_embed.saved import load_matrix, load_shard
    from pretrained_embed.tools.alignment import align
    from pretrained_embed.tools.conversion import Conversion, convert
    from pretrained_embed.tools.drift import compare
    from pretrained_embed.tools.evaluation import evaluate
    from pretrained_embed.tools.examination import Examination, Problem, examine
    from pretrained_embed.tools.page import page
    from pretrained_embed.tools.plot import save_picture
    from pretrained_embed.tools.similar_tokens import (
        Query,
        Similar,
        SimilarToken,
        similar,
    )
    from pretrained_embed.tools.source_coverage import Comparison, coverage
    from pretrained_embed.tools.transplant import RowStart, Transplanted, transplant
    from pretrained_embed.vocabulary import Vocabulary

__all__ = [
    "DEFAULT_SOURCE",
    "Comparison",
    "Conversion",
    "Coverage",
    "EmbeddingMatrix",
    "EmbeddingShard",
    "Examination",
    "Library",
    "Limits",
    "PretrainedEmbedError",
    "Problem",
    "Query",
    "Recipe",
    "RowStart",
    "RowStory",
    "Shards",
    "Similar",
    "SimilarToken",
    "Transplanted",
    "Vocabulary",
    "Work",
    "align",
    "build_matrix",
    "compare",
    "convert",
    "coverage",
    "evaluate",
    "examine",
    "fetch",
    "index",
    "load_matrix",
    "load_shard",
    "open_vectors",
    "page",
    "save_picture",
    "similar",
    "transplant",
    "versions",
]

__version__ = "0.1.0"

former_names.register()

#: Public modules: ``pe.errors`` works without an import of its own.
_MODULES = ("adapters", "errors", "formats", "ledger")

#: The module that defines each public name.
_HOMES = {
    "Ledger": "ledger",  # not public: pickles refer to it by this name
    "DEFAULT_SOURCE": "library",
    "Comparison": "tools.source_coverage",
    "Conversion": "tools.conversion",
    "Coverage": "ledger",
    "EmbeddingMatrix": "matrix",
    "EmbeddingShard": "matrix",
    "Examination": "tools.examination",
    "Library": "library",
    "Limits": "build.limits",
    "PretrainedEmbedError": "errors",
    "Problem": "tools.examination",
    "Query": "tools.similar_tokens",
    "Recipe": "recipe",
    "RowStart": "tools.transplant",
    "RowStory": "ledger",
    "Shards": "build.work",
    "Similar": "tools.similar_tokens",
    "SimilarToken": "tools.similar_tokens",
    "Transplanted": "tools.transplant",
    "Vocabulary": "vocabulary",
    "Work": "build.work",
    "align": "tools.alignment",
    "build_matrix": "build.call",
    "compare": "tools.drift",
    "convert": "tools.conversion",
    "coverage": "tools.source_coverage",
    "evaluate": "tools.evaluation",
    "examine": "tools.examination",
    "fetch": "library",
    "index": "library",
    "load_matrix": "saved",
    "load_shard": "saved",
    "open_vectors": "library",
    "page": "tools.page",
    "save_picture": "tools.plot",
    "similar": "tools.similar_tokens",
    "transplant": "tools.transplant",
    "versions": "build",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise former_names.error(__name__, name)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
