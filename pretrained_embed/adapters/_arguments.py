"""The arguments of adapter functions: mistakes and their remedies."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import ParamSpec, TypeVar

import numpy as np

from pretrained_embed.errors import MissingPackageError, OptionError, suggestion
from pretrained_embed.formats import objects
from pretrained_embed.formats.objects.classes import is_a
from pretrained_embed.formats.objects.vectors import is_layer
from pretrained_embed.matrix import EmbeddingMatrix, EmbeddingShard
from pretrained_embed.vocabulary import Vocabulary

P = ParamSpec("P")
R = TypeVar("R")

#: The words of the frameworks for which rows train; one is the opposite of the other.
_OPPOSITES = {"freeze": "trainable", "trainable": "freeze"}

_KINDS = {kind.__name__: kind for kind in (EmbeddingMatrix, EmbeddingShard, Vocabulary)}

#: Arguments of layers elsewhere, which are known from the matrix here.
_FROM_THE_MATRIX = {
    **dict.fromkeys(("num_embeddings", "input_dim"), "the number of its rows"),
    **dict.fromkeys(("embedding_dim", "output_dim", "features"), "its dim"),
    **dict.fromkeys(("padding_idx", "pad_id"), "the pad id of its vocabulary"),
    **dict.fromkeys(("weights", "weight", "embeddings_initializer"), "its vectors"),
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Make a public function raise `OptionError` for confused arguments.

    These are unknown keywords, and other types where the signature says
    ``EmbeddingMatrix``, ``EmbeddingShard`` or ``Vocabulary``. Annotations are read as
    text, so the module must postpone their evaluation.
    """
    expected = signature(function)
    name = function.__qualname__.removesuffix(".__init__")
    by_place = _by_place(expected)
    by_name = [name for name in expected.parameters if name not in by_place]

    @wraps(function)
    def checking(*args: P.args, **kwargs: P.kwargs) -> R:
        for word, value in kwargs.items():
            if word not in expected.parameters:
                raise _unknown_keyword(name, word, value, expected)
        if len(args) > len(by_place):
            raise OptionError(
                f"{name} takes {', '.join(by_place)} by place, and the rest by name: "
                f"{', '.join(f'{word}=' for word in by_name)}"
            )
        _check_kinds(name, expected.bind_partial(*args, **kwargs).arguments, expected)
        return function(*args, **kwargs)

    return checking


def _by_place(expected: Signature) -> list[str]:
    return [p.name for p in expected.parameters.values() if p.kind != p.KEYWORD_ONLY]


def _unknown_keyword(
    function: str, word: str, value: object, expected: Signature
) -> OptionError:
    opposite = _OPPOSITES.get(word, "")
    if opposite in expected.parameters:
        return OptionError(
            f"{function} has no {word}=; give {opposite}={_opposite(value)}, the "
            f"opposite: {opposite} are the rows that {_DOES[opposite]}"
        )
    if word in _FROM_THE_MATRIX:
        return OptionError(
            f"{function} has no {word}=: leave it out, the matrix tells "
            f"{_FROM_THE_MATRIX[word]}"
        )
    known = list(expected.parameters)
    near = suggestion(word, known)
    return OptionError(f"{function} has no {word}=; it takes {', '.join(known)}{near}")


_DOES = {"freeze": "do not train", "trainable": "train"}


def _opposite(value: object) -> str:
    """Return the value for the opposite choice of rows."""
    if isinstance(value, bool | np.bool_):
        return repr(not value)
    if isinstance(value, str):
        return repr({"found": "oov", "oov": "found"}.get(value, value))
    if getattr(value, "dtype", None) is not None:
        return "~mask"
    return "[...] with the other tokens"


def _check_kinds(
    function: str, given: Mapping[str, object], expected: Signature
) -> None:
    kinds = {argument: _kind(expected.parameters[argument]) for argument in given}
    for argument, kind in kinds.items():
        value = given[argument]
        if kind is None or isinstance(value, kind):
            continue
        for other, one in given.items():
            if isinstance(one, kind) and kinds[other] is not kind:
                raise OptionError(
                    f"{argument} and {other} are swapped: give "
                    f"{function}({', '.join(_by_place(expected))})"
                )
        if value is None and expected.parameters[argument].default is None:
            continue
        if kind is not Vocabulary:
            raise not_a_matrix(value, argument, f"an {kind.__name__}")
        its = isinstance(value, EmbeddingMatrix)
        raise OptionError(
            f"{argument} is of type {type(value).__name__}, and a Vocabulary is "
            f"needed: give {'its vocabulary, matrix' if its else 'matrix'}.vocabulary"
            f"{'' if its else ', or pe.Vocabulary.of(tokens)'}"
        )


def _kind(parameter: Parameter) -> type | None:
    """Return which of our classes a parameter has, if any."""
    return _KINDS.get(str(parameter.annotation).removesuffix("| None").strip())


def missing(
    package: str, adapter: str, extra: str | None = None
) -> MissingPackageError:
    """Return the error that says how to install the ``package`` of an ``adapter``.

    ``extra`` is named like the adapter unless it is given.
    """
    return MissingPackageError(
        f"pretrained_embed.adapters.{adapter} needs {package}, which is not installed "
        f"or cannot be imported: pip install 'pretrained-embed[{extra or adapter}]'"
    )


def own_dtype(matrix: EmbeddingMatrix | EmbeddingShard) -> str:
    """Return the dtype of a layer of a matrix, if none is given.

    It is that of the matrix if it is a float dtype.
    """
    dtype = matrix.dtype if isinstance(matrix, EmbeddingMatrix) else "float32"
    return dtype if dtype in ("float16", "bfloat16") else "float32"


def check_float16(matrix: EmbeddingMatrix | EmbeddingShard) -> None:
    """Raise `OptionError` if a number of the matrix is too large for float16.

    NaN and infinite values are allowed.
    """
    vectors = matrix.vectors
    largest = np.abs(vectors).max(initial=0, where=np.isfinite(vectors))
    with np.errstate(over="ignore"):
        lost = np.isinf(np.float16(largest))
    if lost:
        raise OptionError(
            f"float16 cannot hold the values of this matrix, which reach {largest:g}: "
            "take bfloat16 or float32"
        )


def not_a_matrix(given: object, argument: str, wanted: str) -> OptionError:
    """Return the error for a value that is no matrix, with a way to make one of it."""
    said = f"{argument} is "
    if isinstance(given, str | os.PathLike):
        file = os.fspath(given)
        return OptionError(
            f"{said}{file!r}, the name of a file or a source: give "
            f"pe.load_matrix({file!r}) if that is a saved matrix, and "
            f"pe.build_matrix(vocabulary, {file!r}) if it is pretrained vectors"
        )
    if isinstance(given, Vocabulary):
        return OptionError(
            f"{said}a Vocabulary, which has no vectors: give "
            "pe.build_matrix(vocabulary, source)"
        )
    if isinstance(given, EmbeddingMatrix):
        return OptionError(
            f"{said}a whole EmbeddingMatrix, and an EmbeddingShard is needed: save it, "
            "and give pe.load_shard(path, rank, world_size)"
        )
    if isinstance(given, EmbeddingShard):
        return OptionError(
            f"{said}an EmbeddingShard, some rows of a matrix: give the whole, "
            "pe.load_matrix(path), or use sharded_embedding(shard) of PyTorch"
        )
    what, lines = f"of type {type(given).__name__}", []
    if objects.find(given) is not None:
        lines = ["matrix = pe.load_matrix(vectors)"]
    elif is_layer(given):
        adapter = "torch" if is_a(given, "torch.Module") else "jax"
        adapter = "keras" if is_a(given, "keras.Layer") else adapter
        lines = [
            f"from pretrained_embed.adapters.{adapter} import from_layer",
            "matrix = from_layer(layer, vocabulary)",
        ]
    elif len(getattr(given, "shape", ())) == 2:
        lines = ["matrix = pe.load_matrix((tokens, array))"]
    if lines:
        code = "".join(f"\n    {line}" for line in lines)
        return OptionError(
            f"{said}{what}. Make an EmbeddingMatrix of it, and give that:{code}"
        )
    return OptionError(
        f"{said}{what}, and {wanted} is needed, as pe.build_matrix(vocabulary, source) "
        "and pe.load_matrix(path) return it"
    )
