"""Models that Keras 3 saved: ``.keras`` and ``.weights.h5``.

::

    MODEL.keras                       a zip of
      config.json                     the layers, an object each
      model.weights.h5                what .weights.h5 is alone
      assets/LAYER/vocabulary.txt     tokens of StringLookup and TextVectorization
    PATH/vars/0, PATH/vars/1, ...     in HDF5: the variables of a layer
    PATH/vars, attribute "name"       the name of the layer

A layer is known by its name, ``FILE#NAME``, or its path where two have one name. A
vocabulary has the mask and the OOV tokens first, as ``get_vocabulary`` has them; of
several OOV tokens, all alike, those behind the first are told apart by a number. One
that was given to its layer, not adapted, is in the config. A `SplitEmbedding` of this
package has two tables and a mask. Nothing is imported from Keras, and nothing run.

https://keras.io/guides/serialization_and_saving/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.hdf5.data import DataFile
from pretrained_embed.formats.hugging_face.embedding_tensor import (
    EmbeddingTensor,
    choose,
)
from pretrained_embed.formats.hugging_face.model_tokens import tokens_beside
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import (
    LocalFile,
    Zipped,
    budget_of,
    copied,
    open_local,
)
from pretrained_embed.formats.marks import KERAS_CONFIG, KERAS_WEIGHTS
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import HOLES
from pretrained_embed.formats.table_reader import TableReader

NAME = "keras"

_VARS, _FIRST = "vars", "/vars/0"
_DEPTH = 24  # of layers in layers
_VOCABULARY = "/vocabulary.txt"
_LOOKUPS = ("StringLookup", "TextVectorization")
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16"}


class _Layer(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    path: str


def open_reader(
    stream: ByteStream, layout: KnownLayout | None = None
) -> TableReader | None:
    """Open a model for reading; ``None`` for HDF5 that Keras did not write.

    Raises `FormatError` where it is damaged, where several layers could be meant, or
    none, and where no tokens are found.
    """
    where = stream.name
    with ExitStack() as held:
        file = held.enter_context(open_local(stream))
        budget = budget_of(stream, file)
        vocabularies: dict[str, list[str]] = {}
        file.seek(0)
        if file.read(2) == b"PK":
            file, vocabularies = _unpacked(file, where, budget)
            held.callback(file.close)
        data = held.enter_context(DataFile(file, where, budget, _DEPTH))
        layers = _layers(data)
        if not layers:
            if not vocabularies and stream.fragment is None:
                return None
            raise FormatError(f"{where}: a model of Keras without a layer of weights")
        asked = stream.fragment
        by_path = {layer.path: name for name, layer in layers.items()}
        name = choose(layers, where, by_path.get(asked or "", asked))
        rows = _table(data, layers[name], f"{where}, layer {name!r}", budget)
        told = EmbeddingTensor(rows, [f"vectors from layer {name}"])
        if stream.tokens_path is None and vocabularies:
            reader = _with_tokens(stream, told, vocabularies, budget)
        else:
            reader = tokens_beside(NAME, stream, told, layout)
        reader.facts = {"layer": name}
        return reader


def _unpacked(
    file: LocalFile, where: str, budget: Budget
) -> tuple[LocalFile, dict[str, list[str]]]:
    """Return the weights of a zip as a file, and its vocabularies by their layers."""
    found: dict[str, list[str]] = {}
    with Zipped(file, where) as archive:
        for name in (KERAS_CONFIG, KERAS_WEIGHTS):
            if name not in archive.members:
                raise archive.damaged(f"there is no member {name!r}")
        with refusing_damage(where, f"cannot read its {KERAS_CONFIG}"):
            raw = _member(archive, KERAS_CONFIG, budget)
            budget.take(len(raw) * 8)
            config = json.loads(raw)
            for layer, tokens in _of_config(config):
                found[layer] = tokens
        for name in archive.members:
            if name.endswith(_VOCABULARY):
                with refusing_damage(where, f"cannot read its {name}"):
                    text = _member(archive, name, budget).decode()
                budget.take(len(text) + OBJECT * text.count("\n"))
                layer = name.removesuffix(_VOCABULARY).removesuffix("/_lookup_layer")
                found[layer.rpartition("/")[2]] = text.split("\n")
        with (
            refusing_damage(where, f"cannot read its {KERAS_WEIGHTS}"),
            archive.zip.open(KERAS_WEIGHTS) as weights,
        ):
            return copied(weights, budget, file.options), found


def _member(archive: Zipped, name: str, budget: Budget) -> bytes:
    budget.take(archive.members[name].file_size)
    with archive.zip.open(name) as member:
        return member.read(archive.members[name].file_size)


def _of_config(config: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the vocabularies that layers were given, with what is put in front."""
    left = [config]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
            continue
        if not isinstance(value, dict):
            continue
        left += value.values()
        inner = value.get("config")
        if value.get("class_name") not in _LOOKUPS or not isinstance(inner, dict):
            continue
        tokens = inner.get("vocabulary")
        if not isinstance(tokens, list) or not all(type(t) is str for t in tokens):
            continue
        oov, count = inner.get("oov_token", "[UNK]"), inner.get("num_oov_indices", 1)
        mask = inner.get("mask_token")
        if value["class_name"] == "TextVectorization":
            mask = ""
        if not isinstance(oov, str) or type(count) is not int or count > len(tokens):
            continue
        first = [oov] * count if mask is None else [str(mask), *[oov] * count]
        if tokens[: len(first)] != first:
            tokens = [*first, *tokens]
        yield str(inner.get("name")), tokens


def _layers(data: DataFile) -> dict[str, _Layer]:
    """Return the layers whose first variable is a matrix, by their names."""
    found: dict[str, _Layer] = {}
    for name in data.names:
        if not f"/{name}".endswith(_FIRST):
            continue
        path = name.removesuffix("0").removesuffix(f"{_VARS}/").rstrip("/")
        shape, dtype = data.form(name).shape, data.dtype(name)
        own = data.label(name.removesuffix("/0")) or path
        layer = _Layer(_DTYPES.get(dtype, dtype), shape, path)
        found[path if own in found else own] = layer
    return found


def _table(data: DataFile, layer: _Layer, where: str, budget: Budget) -> AnyArray:
    """Return the rows of a layer: those of both tables, where it has two.

    The mask is bool, or int32 of an earlier release of this package, ``j >= 0`` for row
    ``j`` of the first table and ``~k < 0`` for row ``k`` of the second.
    """
    path = f"{layer.path}/{_VARS}/".lstrip("/")
    mask = f"{path}2"
    if mask not in data.names or data.dtype(mask) not in ("bool", "int32"):
        return data.read(f"{path}0")
    parts = [data.read(f"{path}{number}") for number in (0, 1)]
    trains = data.read(mask, kinds="bi")
    both = sum(map(len, parts))
    shapes = [part.shape for part in parts]
    fits = all(shape[1:] == layer.shape[1:] for shape in shapes)
    places = np.flatnonzero(trains if trains.dtype == np.bool_ else trains >= 0)
    if not fits or trains.shape != (both,) or len(places) != len(parts[0]):
        raise FormatError(
            f"{where}: tables of shape {shapes[0]} and {shapes[1]} do not fit a mask "
            f"of shape {trains.shape}; get the file again"
        )
    budget.take(sum(part.nbytes for part in parts))
    table: AnyArray = np.empty((both, *layer.shape[1:]), parts[0].dtype)
    others = np.delete(np.arange(both), places)
    if trains.dtype == np.bool_:
        table[places], table[others] = parts
        return table
    with refusing_damage(where):
        table[places] = parts[0][trains[places]]
        table[others] = parts[1][~trains[others]]
    return table


def _with_tokens(
    stream: ByteStream,
    table: EmbeddingTensor,
    vocabularies: dict[str, list[str]],
    budget: Budget,
) -> TableReader:
    """Return a reader with the one vocabulary that fits the rows."""
    rows = table.rows.shape[0]
    equal = {name for name, tokens in vocabularies.items() if len(tokens) == rows}
    fitting = equal or {n for n, tokens in vocabularies.items() if len(tokens) < rows}
    texts = {"\n".join(vocabularies[name]): name for name in sorted(fitting)}
    if len(texts) != 1:
        shown = ", ".join(f"{n} {len(t):,}" for n, t in vocabularies.items())
        raise FormatError(
            f"{stream.name}: {rows:,} rows, and {'several' if texts else 'none'} of "
            f"its vocabularies could be theirs ({shown}); give the list of tokens, one "
            "a line, as tokens= (--tokens)"
        )
    (name,) = texts.values()
    tokens = vocabularies[name]
    budget.take(rows * OBJECT)
    with refusing_damage(stream.name, f"half a character in the tokens of {name}"):
        raw = [t.encode("utf-8", "surrogateescape") for t in _apart(tokens)]
    holes = {HOLES: np.arange(len(raw), rows)} if len(raw) < rows else {}
    return TableReader(
        NAME,
        stream.name,
        PackedTokens.join([*raw, *[b""] * (rows - len(raw))]),
        table.rows,
        arrays=holes,
        notes=[*table.notes, f"tokens from layer {name}"],
    )


def _apart(tokens: list[str]) -> list[str]:
    """Return tokens, of equal ones at the front or behind the mask one as it is."""
    for start, first in enumerate(tokens[:2]):
        end = start + 1
        while end < len(tokens) and tokens[end] == first:
            end += 1
        if end > start + 1:
            others = [f"{first}:{number}" for number in range(1, end - start)]
            return [*tokens[: start + 1], *others, *tokens[end:]]
    return tokens
