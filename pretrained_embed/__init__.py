"""Pretrained word vectors, aligned to your vocabulary.

>>> import pretrained_embed as pe
>>> vocab = pe.Vocabulary(["the", "cat"])
>>> matrix = pe.build_matrix(vocab, "vectors.txt")  # doctest: +SKIP
>>> matrix.save("matrix.npz")  # doctest: +SKIP

The adapters for frameworks are imported by name, for example
``from pretrained_embed.adapters import torch``. The names below are loaded when they
are first used, so that importing the package takes no time.
"""

from typing import TYPE_CHECKING, Any

from pretrained_embed import former_names

if TYPE_CHECKING:
    from pretrained_embed.build.limits import Limits
    from pretrained_embed.errors import (
        CoverageError,
        FormatError,
        MissingPackageError,
        OOVError,
        OptionError,
        PretrainedEmbedError,
        RowError,
        ShapeError,
        SourceError,
        TruncatedError,
        UnknownFormatError,
        UnknownSourceError,
        UnknownTokenError,
        VocabularyError,
        WorkerError,
        WriteError,
    )
    from pretrained_embed.formats import (
        TARGET_SUFFIXES,
        WRITABLE_FORMATS,
        WRITABLE_SUFFIXES,
        Block,
        Findings,
        Reader,
    )
    from pretrained_embed.formats.reader import Statistics
    from pretrained_embed.ledger import (
        REPORT_SUFFIXES,
        Comparison,
        Coverage,
        Ledger,
        Origin,
        RowStory,
        write_report,
    )
    from pretrained_embed.matrix import EmbeddingMatrix, EmbeddingShard
    from pretrained_embed.pipeline import (
        DEFAULT_SOURCE,
        build_matrix,
        index,
        load_matrix,
        load_shard,
        open_vectors,
        versions,
    )
    from pretrained_embed.recipe import Recipe
    from pretrained_embed.sources import fetch
    from pretrained_embed.tools.alignment import align
    from pretrained_embed.tools.conversion import Conversion, convert
    from pretrained_embed.tools.drift import compare
    from pretrained_embed.tools.evaluation import evaluate
    from pretrained_embed.tools.examination import Checkup, Problem
    from pretrained_embed.tools.examination.source import examine
    from pretrained_embed.tools.page.report import report
    from pretrained_embed.tools.plot import METHODS as PROJECTIONS
    from pretrained_embed.tools.plot import SUFFIXES as PICTURE_SUFFIXES
    from pretrained_embed.tools.plot import save_picture
    from pretrained_embed.tools.similar_tokens import (
        Neighbour,
        Neighbours,
        Query,
        similar,
    )
    from pretrained_embed.tools.source_coverage import coverage
    from pretrained_embed.tools.transplant import RowStart, Transplanted, transplant
    from pretrained_embed.vocabulary import KINDS as VOCAB_KINDS
    from pretrained_embed.vocabulary import Vocabulary

__all__ = [
    "DEFAULT_SOURCE",
    "PICTURE_SUFFIXES",
    "PROJECTIONS",
    "REPORT_SUFFIXES",
    "TARGET_SUFFIXES",
    "VOCAB_KINDS",
    "WRITABLE_FORMATS",
    "WRITABLE_SUFFIXES",
    "Block",
    "Checkup",
    "Comparison",
    "Conversion",
    "Coverage",
    "CoverageError",
    "EmbeddingMatrix",
    "EmbeddingShard",
    "Findings",
    "FormatError",
    "Ledger",
    "Limits",
    "MissingPackageError",
    "Neighbour",
    "Neighbours",
    "OOVError",
    "OptionError",
    "Origin",
    "PretrainedEmbedError",
    "Problem",
    "Query",
    "Reader",
    "Recipe",
    "RowError",
    "RowStart",
    "RowStory",
    "ShapeError",
    "SourceError",
    "Statistics",
    "Transplanted",
    "TruncatedError",
    "UnknownFormatError",
    "UnknownSourceError",
    "UnknownTokenError",
    "Vocabulary",
    "VocabularyError",
    "WorkerError",
    "WriteError",
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
    "report",
    "save_picture",
    "similar",
    "transplant",
    "versions",
    "write_report",
]

__version__ = "0.1.0"

former_names.register()

# Where the names live that are not an error's, and what they are called there.
_HOMES = {
    "DEFAULT_SOURCE": ("pipeline", "DEFAULT_SOURCE"),
    "PICTURE_SUFFIXES": ("tools.plot", "SUFFIXES"),
    "PROJECTIONS": ("tools.plot", "METHODS"),
    "REPORT_SUFFIXES": ("ledger", "REPORT_SUFFIXES"),
    "VOCAB_KINDS": ("vocabulary", "KINDS"),
    "TARGET_SUFFIXES": ("formats", "TARGET_SUFFIXES"),
    "WRITABLE_FORMATS": ("formats", "WRITABLE_FORMATS"),
    "WRITABLE_SUFFIXES": ("formats", "WRITABLE_SUFFIXES"),
    "Block": ("formats", "Block"),
    "Checkup": ("tools.examination", "Checkup"),
    "Comparison": ("ledger", "Comparison"),
    "Conversion": ("tools.conversion", "Conversion"),
    "Coverage": ("ledger", "Coverage"),
    "EmbeddingMatrix": ("matrix", "EmbeddingMatrix"),
    "EmbeddingShard": ("matrix", "EmbeddingShard"),
    "Findings": ("formats", "Findings"),
    "Ledger": ("ledger", "Ledger"),
    "Limits": ("build.limits", "Limits"),
    "Neighbour": ("tools.similar_tokens", "Neighbour"),
    "Neighbours": ("tools.similar_tokens", "Neighbours"),
    "Origin": ("ledger", "Origin"),
    "Problem": ("tools.examination", "Problem"),
    "Query": ("tools.similar_tokens", "Query"),
    "Reader": ("formats", "Reader"),
    "Recipe": ("recipe", "Recipe"),
    "RowStart": ("tools.transplant", "RowStart"),
    "RowStory": ("ledger", "RowStory"),
    "Statistics": ("formats.reader", "Statistics"),
    "Transplanted": ("tools.transplant", "Transplanted"),
    "Vocabulary": ("vocabulary", "Vocabulary"),
    "align": ("tools.alignment", "align"),
    "build_matrix": ("pipeline", "build_matrix"),
    "compare": ("tools.drift", "compare"),
    "convert": ("tools.conversion", "convert"),
    "coverage": ("tools.source_coverage", "coverage"),
    "evaluate": ("tools.evaluation", "evaluate"),
    "examine": ("tools.examination.source", "examine"),
    "fetch": ("sources", "fetch"),
    "index": ("pipeline", "index"),
    "load_matrix": ("pipeline", "load_matrix"),
    "load_shard": ("pipeline", "load_shard"),
    "open_vectors": ("pipeline", "open_vectors"),
    "report": ("tools.page.report", "report"),
    "save_picture": ("tools.plot", "save_picture"),
    "similar": ("tools.similar_tokens", "similar"),
    "transplant": ("tools.transplant", "transplant"),
    "versions": ("pipeline", "versions"),
    "write_report": ("ledger", "write_report"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, own_name = _HOMES.get(name, ("errors", name))
    value = getattr(import_module(f"{__name__}.{module}"), own_name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
