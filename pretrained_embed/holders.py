"""Objects that hold vectors and are no source: what to write to make one of each.

Objects of other libraries are told by what their class can do; none is imported.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from pretrained_embed.errors import OptionError
from pretrained_embed.matrix import EmbeddingMatrix, EmbeddingShard
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.objects.interface import offers


class Holder(NamedTuple):
    """What an object is, and the code that makes a matrix of it.

    In the code ``pe`` is this package, and the object has the ``name``.
    """

    what: str
    name: str
    matrix: str  # an expression
    adapter: str = ""  # "torch.from_layer": a function that the expression calls
    own_file: bool = False  # whether its own file has more than the matrix has

    def matrix_lines(self) -> str:
        """Return the statements that make ``matrix`` of the object."""
        return _block(*self._imports(), f"matrix = {self.matrix}")

    def source_lines(self) -> str:
        """Return the statements that make a file of it, and ``source`` its name."""
        if self.own_file:
            name, saving = "vectors.model", f'{self.name}.save("vectors.model")'
        else:
            name, saving = "vectors.npz", f'{self.matrix}.save("vectors.npz")'
        imports = [] if self.own_file else self._imports()
        return _block(*imports, saving, f'source = "{name}"')

    def _imports(self) -> list[str]:
        module, _, function = self.adapter.partition(".")
        package = "pretrained_embed.adapters"
        return [f"from {package}.{module} import {function}"] if module else []


def _block(*lines: str) -> str:
    return "".join(f"\n    {line}" for line in lines)


def check_source(source: object) -> None:
    """Raise `OptionError` for an object that holds vectors and is no source.

    The message has the lines of code that make a source of it.
    """
    if isinstance(source, str | bytes | os.PathLike) or hasattr(source, "read"):
        return
    if isinstance(source, EmbeddingMatrix):
        raise OptionError(
            "a matrix is no source yet. Make a file of it, and give the name of that "
            "(to keep its rows in a larger matrix, give onto=matrix instead):"
            + _block('matrix.save("vectors.npz")', 'source = "vectors.npz"')
        )
    if (holder := holder_of(source)) is not None:
        raise OptionError(
            f"{holder.what} is no source yet. Make a file of it, and give the name of "
            f"that:{holder.source_lines()}"
        )


def not_a_matrix(given: object, argument: str, wanted: str) -> OptionError:
    """Return the error for what is given as a matrix, and how to make one of it."""
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
    if (holder := holder_of(given)) is not None:
        return OptionError(
            f"{said}{holder.what}. Make an EmbeddingMatrix of it, and give that:"
            f"{holder.matrix_lines()}"
        )
    return OptionError(
        f"{said}of type {type(given).__name__}, and {wanted} is needed, as "
        "pe.build_matrix(vocabulary, source) and pe.load_matrix(path) return it"
    )


def holder_of(value: Any) -> Holder | None:
    """Return what is known of an object that holds vectors, ``None`` for another."""
    for family in (_of_python, _of_gensim, _of_pandas, _of_layers, _of_arrays):
        if (holder := family(value)) is not None:
            return holder
    return None


_OF_ARRAY = "pe.EmbeddingMatrix({vectors}, pe.Vocabulary({tokens}, pad=None))"


def _of_python(value: Any) -> Holder | None:
    if isinstance(value, dict) and value:
        first = next(iter(value.values()))
        if _dimensions(first) == 1 or isinstance(first, list | tuple):
            code = _OF_ARRAY.format(
                vectors="list(vectors.values())", tokens="list(vectors)"
            )
            return Holder("a dict from token to vector", "vectors", code)
    if isinstance(value, tuple | list) and len(value) == 2:
        places = [place for place in (0, 1) if _dimensions(value[place]) == 2]
        if len(places) == 1:
            (place,) = places
            code = _OF_ARRAY.format(
                vectors=f"pair[{place}]", tokens=f"pair[{1 - place}]"
            )
            return Holder("a pair of tokens and vectors", "pair", code)
    return None


def _of_gensim(value: Any) -> Holder | None:
    vectors = getattr(value, "wv", value)
    if not offers(vectors, "most_similar", "similar_by_vector"):
        return None
    name = "vectors" if vectors is value else "model"
    return Holder(
        f"a {type(value).__name__} of gensim",
        name,
        f"from_keyed_vectors({name})",
        adapter="gensim.from_keyed_vectors",
        own_file=True,  # with counts, and with subwords
    )


def _of_pandas(value: Any) -> Holder | None:
    if not offers(value, "iterrows", "set_index", "to_numpy"):
        return None
    if isinstance(next(iter(value.index), None), str):
        code = _OF_ARRAY.format(vectors="table.to_numpy()", tokens="list(table.index)")
    else:  # the tokens are in a column
        first = str(next(iter(value.columns), "token"))
        code = _OF_ARRAY.format(
            vectors=f"table.drop(columns={first!r}).to_numpy()",
            tokens=f"list(table[{first!r}])",
        )
    return Holder("a DataFrame", "table", code)


def _of_layers(value: Any) -> Holder | None:
    module = type(value).__module__.partition(".")[0]
    if offers(value, "get_weights", "set_weights", "build"):
        adapter = "keras"  # first: on PyTorch, its layers are modules of that, too
    elif offers(value, "forward", "state_dict", "named_parameters"):
        adapter = "torch"
    elif module in ("flax", "equinox"):
        adapter = "jax"
    else:
        return None
    return Holder(
        f"a layer of type {type(value).__name__}",
        "layer",
        "from_layer(layer, vocabulary)",
        adapter=f"{adapter}.from_layer",
    )


def _of_arrays(value: Any) -> Holder | None:
    if _dimensions(value) != 2 or hasattr(value, "columns"):
        return None
    own = ".detach().cpu().numpy()" if offers(value, "detach", "cpu", "numpy") else ""
    code = _OF_ARRAY.format(vectors=f"array{own}", tokens="tokens")
    return Holder("an array without tokens", "array", code)


def _dimensions(value: Any) -> int | None:
    shape = getattr(value, "shape", None)
    return len(shape) if isinstance(shape, tuple) else None
