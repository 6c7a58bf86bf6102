"""Names of earlier releases: of classes in pickles, public names, and keywords.

A pickle names each class by its module. When a class moves and its old module is
deleted, its old name stays here, and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from pretrained_embed.errors import OptionError, suggestion

#: Former modules: the names that pickles look up in them, and the module that has each
#: now, followed by ``:`` and the new name if that differs.
FORMER = {
    "pretrained_embed.adapters.evaluation": {
        "Evaluation": "pretrained_embed.tools.evaluation",
        "evaluate": "pretrained_embed.tools.evaluation",
    },
    "pretrained_embed.adapters._torch_quantized": {
        "QuantizedEmbedding": "pretrained_embed.adapters.torch",
    },
    "pretrained_embed.checkup.examination": {
        "Checkup": "pretrained_embed.tools.examination:Examination",
    },
    "pretrained_embed.checkup.problems": {
        "Problem": "pretrained_embed.tools.examination",
    },
    "pretrained_embed.language_model.recipe": {
        "RowStart": "pretrained_embed.tools.transplant.new_rows",
    },
    "pretrained_embed.language_model.tokenizer": {
        "Tokenizer": "pretrained_embed.tools.transplant.tokenizer:ModelTokenizer",
    },
    "pretrained_embed.language_model.transplanting": {
        "Transplanted": "pretrained_embed.tools.transplant.transplanted",
    },
    "pretrained_embed.neighbours.keyed": {
        "KeyedRows": "pretrained_embed.tools.keyed_rows",
    },
    "pretrained_embed.neighbours.search": {
        "Neighbour": "pretrained_embed.tools.similar_tokens:SimilarToken",
        "Neighbours": "pretrained_embed.tools.similar_tokens:Similar",
    },
    "pretrained_embed.neighbours.terms": {
        "Query": "pretrained_embed.tools.similar_tokens",
    },
    "pretrained_embed.library.entry": dict.fromkeys(
        ("Checksum", "Download", "Entry"), "pretrained_embed.library.catalog"
    ),
    "pretrained_embed.sources.retry": dict.fromkeys(
        ("Failure", "Retry"), "pretrained_embed.sources.http"
    ),
    "pretrained_embed.packed_tokens": {"PackedTokens": "pretrained_embed.arrays"},
    "pretrained_embed.ledger.advice": {"Advice": "pretrained_embed.ledger.coverage"},
    "pretrained_embed.matrix.advice": {"Advice": "pretrained_embed.ledger.coverage"},
    "pretrained_embed.ledger.comparison": {
        "Comparison": "pretrained_embed.tools.source_coverage",
        "SourceCoverage": "pretrained_embed.tools.source_coverage",
    },
    "pretrained_embed.pipeline.building": {
        "build_matrix": "pretrained_embed.build.call",
    },
    "pretrained_embed.pipeline.loading": {
        "load_matrix": "pretrained_embed.saved",
        "load_shard": "pretrained_embed.saved",
    },
    "pretrained_embed.pipeline.converting": {
        "Conversion": "pretrained_embed.tools.conversion",
    },
    "pretrained_embed.tools.examination.examination": {
        "Examination": "pretrained_embed.tools.examination",
    },
    "pretrained_embed.tools.examination.problems": {
        "Problem": "pretrained_embed.tools.examination",
    },
    "pretrained_embed.tools.plot.scatter": {"Point": "pretrained_embed.tools.plot"},
    "pretrained_embed.tools.queries": {
        "Neighbour": "pretrained_embed.tools.similar_tokens:SimilarToken",
        "Neighbours": "pretrained_embed.tools.similar_tokens:Similar",
        "Query": "pretrained_embed.tools.similar_tokens",
    },
    "pretrained_embed.matrix.origin": {
        "Origin": "pretrained_embed.ledger.origin",
        "Part": "pretrained_embed.former_names:FormerPart",
    },
    "pretrained_embed.vocabulary.tokens": {
        "OwnTokenizer": "pretrained_embed.vocabulary.encoding",
        "Tokenizer": "pretrained_embed.vocabulary.encoding",
    },
    "pretrained_embed.matrix.embedding_matrix": {"EmbeddingMatrix": "pretrained_embed"},
    "pretrained_embed.matrix.shard": {"EmbeddingShard": "pretrained_embed"},
}


#: Former public names of the package, and the present ones.
FORMER_PUBLIC = {
    **dict.fromkeys(
        (
            *("CoverageError", "FormatError", "MissingPackageError", "OOVError"),
            *("OptionError", "RowError", "ShapeError", "SourceError"),
            *("TruncatedError", "UnknownFormatError", "UnknownSourceError"),
            *("UnknownTokenError", "VocabularyError", "WorkerError", "WriteError"),
        ),
        "pretrained_embed.errors",
    ),
    **dict.fromkeys(
        (
            *("Block", "Findings", "Reader", "Statistics"),
            *("TARGET_SUFFIXES", "WRITABLE_FORMATS", "WRITABLE_SUFFIXES"),
        ),
        "pretrained_embed.formats",
    ),
    "COMBINATIONS": "pretrained_embed.Recipe.choices()['combine']",
    "Origin": "pretrained_embed.ledger",
    "Checkup": "pretrained_embed.Examination",
    "MATCH_FORMS": "pretrained_embed.Recipe.choices()['match']",
    "Neighbour": "pretrained_embed.SimilarToken",
    "Neighbours": "pretrained_embed.Similar",
    "OOV_POLICIES": "pretrained_embed.Recipe.choices()['oov']",
    "PICTURE_SUFFIXES": "pretrained_embed.EmbeddingMatrix.PICTURE_SUFFIXES",
    "POSTPROCESS_STEPS": "pretrained_embed.Recipe.choices()['postprocess']",
    "PROJECTIONS": "pretrained_embed.EmbeddingMatrix.PROJECTIONS",
    "REPORT_SUFFIXES": "pretrained_embed.Coverage.REPORT_SUFFIXES",
    "VOCAB_KINDS": "pretrained_embed.Vocabulary.KINDS",
    "report": "pretrained_embed.page",
    "write_report": "matrix.save_report(path), or comparison.save_report(path)",
}


def error(package: str, name: str) -> Exception:
    """Return the error for a name that the package does not have.

    ``from package import name`` hides the text of an `AttributeError`: there it is an
    `ImportError`.
    """
    said = f"module {package!r} has no attribute {name!r}"
    now = FORMER_PUBLIC.get(name)
    if now is None:
        return AttributeError(said)
    now = f"{now}.{name}" if now.endswith((".errors", ".formats", ".ledger")) else now
    said = f"{said}; it is {now} now"
    asks = sys._getframe(2).f_globals.get("__name__")
    return (ImportError if asks == "importlib._bootstrap" else AttributeError)(said)


class FormerModule(ModuleType):
    """A module of an earlier release, which returns the classes that have moved."""

    def __getattr__(self, name: str) -> Any:
        if name not in FORMER[self.__name__]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module, _, new_name = FORMER[self.__name__][name].partition(":")
        return getattr(import_module(module), new_name or name)


class FormerPart:
    """The former class of the ledger of one of several sources, now a `Ledger`."""

    def __new__(cls, *arrays: Any) -> Any:
        """Return the two arrays."""
        return arrays


def with_ledger(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a pickled matrix or shard in its present form.

    In release 0.1 the state had the arrays of the ledger, and a shard had its tokens.
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
    """Make the former modules importable, and so known to pickles."""
    for name in FORMER:
        sys.modules[name] = FormerModule(name)


#: Former keywords that are fields of a `Library` now.
LIBRARY = {
    "cache_dir": "library=pe.Library(cache_dir)",
    "offline": "library=pe.Library(offline=...)",
    "catalog": "library=pe.Library(catalog=...)",
    "use_store": "library=pe.Library(stores=...)",
    "mmap": "library=pe.Library(mmap=...)",
}

#: Former keywords that are fields of a `Recipe` now.
RECIPE = {
    name: f"recipe=pe.Recipe({name}=...)"
    for name in (
        *("special_oov", "combine", "scale", "normalize_each", "postprocess"),
        "layout",
    )
}

#: Former keywords that are the field ``bad_rows`` of `Limits` now.
BAD_ROWS = {
    "on_bad_row": "limits=pe.Limits(bad_rows=1.0)",
    "max_bad_rows": "limits=pe.Limits(bad_rows=...)",
}

#: Former keywords that are fields of `Limits` now.
LIMITS = {
    "min_coverage": "limits=pe.Limits(coverage=...)",
    "min_token_coverage": "limits=pe.Limits(text_coverage=...)",
    **BAD_ROWS,
}

#: Former keywords that are fields of `Work` now.
WORK = {
    name: f"work=pe.Work({name}=...)"
    for name in ("threads", "executor", "memory", "advise")
}


def refuse(
    former: Mapping[str, object], table: Mapping[str, str], function: Callable[..., Any]
) -> None:
    """Raise `OptionError` for keywords that a function does not have.

    ``former`` has the given keywords and their values. ``table`` maps each old name to
    its replacement. For any other name the message suggests the nearest parameter of
    ``function``, if one is near.

    >>> def build(*, onto=None): ...
    >>> refuse({"extend": "m.npz"}, {"extend": "onto="}, build)
    Traceback (most recent call last):
    pretrained_embed.errors.OptionError: extend= is onto= now: give it as that
    >>> refuse({"ontoo": "m.npz"}, {}, build)
    Traceback (most recent call last):
    pretrained_embed.errors.OptionError: build has no ontoo=; did you mean 'onto'?
    >>> refuse({"colour": "red"}, {}, build)
    Traceback (most recent call last):
    pretrained_embed.errors.OptionError: build has no colour=; help(build) tells all
    """
    import inspect

    for name in former:
        if name in table:
            raise OptionError(f"{name}= is {table[name]} now: give it as that")
        known = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        told = suggestion(name, known) or f"; help({function.__qualname__}) tells all"
        raise OptionError(f"{function.__name__} has no {name}={told}")
