"""Models saved by Keras 3 and earlier: files, folders, and weights alone.

::

    MODEL.keras                       a zip of, or with zipped=False a folder with
      config.json                     the layers, see `keras_config`
      model.weights.h5                what .weights.h5 is alone
      assets/PATH/vocabulary.txt      tokens of StringLookup and TextVectorization
    MODEL.weights.json                names shards of weights, which lie beside it:
                                      {"weight_map": {"/PATH/vars": NAME, ...}}
    PATH/vars/0, PATH/vars/1, ...     in HDF5: the variables of a layer
    PATH/vars, attribute "name"       the name of the layer

    MODEL.h5                          before Keras 3, in HDF5:
      attribute "model_config"        as config.json, where the model was saved
      [model_weights/]LAYER/.../NAME  variables, of an embedding "embeddings"

A layer is named by its name, ``FILE#NAME``, or by its path if two have one name. Its
tokens are those of the vocabulary at its input, else of the only one that fits the
rows. A vocabulary begins with the mask and the OOV tokens, as in ``get_vocabulary``; of
several equal OOV tokens, those after the first get a number. A vocabulary that was
given to its layer, not adapted, is in the config. A `SplitEmbedding` of this package
has two tables and a mask. Keras is not imported, and no code is run.

https://keras.io/guides/serialization_and_saving/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.hdf5.data import DataFile
from pretrained_embed.formats.keras_config import KerasConfig, read_config
from pretrained_embed.formats.known_layout import KnownLayout
from pretrained_embed.formats.local import (
    LocalFile,
    Zipped,
    budget_of,
    copied,
    file_size,
    json_object,
    name_beside,
    open_file,
    open_local,
)
from pretrained_embed.formats.marks import KERAS_CONFIG, KERAS_WEIGHTS
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import HOLES
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.tensors.embedding import EmbeddingTensor, choose
from pretrained_embed.formats.tensors.tokens import tokens_beside

NAME = "keras"

_VARS, _FIRST = "vars", "/vars/0"
_DEPTH = 24  # of layers in layers
_TOKENS = ".tokens"  # of the name of a list before vocabularies
_ASSETS, _VOCABULARY = "assets/", "/vocabulary.txt"
_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16"}
_BEFORE = "model_weights"  # the group of the weights in a model in one HDF5 file


class _Layer(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    path: str
    data: DataFile  # the file with it
    variables: bool = True  # whether the path has these below it, else it is one


class _Saved(NamedTuple):
    """The parts of a saved model."""

    weights: list[LocalFile]
    config: Any = None
    assets: Mapping[str, str] = {}


def open_reader(
    stream: ByteStream, layout: KnownLayout | None = None
) -> TableReader | None:
    """Open a model for reading; ``None`` for HDF5 that Keras did not write.

    Raises `FormatError` if it is damaged, if several layers could be meant or none, and
    if no tokens are found.
    """
    where = stream.name
    with ExitStack() as held:
        saved, budget = _saved(stream, held)
        layers: dict[str, _Layer] = {}
        config = saved.config
        for file in saved.weights:
            data = held.enter_context(DataFile(file, where, budget, _DEPTH))
            layers |= _layers(data)
            config = config or _old_config(data, where, budget)
        if not layers:
            if config is None and stream.fragment is None:
                return None
            raise FormatError(f"{where}: a model of Keras without a layer of weights")
        said = read_config(config if isinstance(config, dict) else {})
        asked = stream.fragment
        by_path = {layer.path: name for name, layer in layers.items()}
        name = choose(layers, where, by_path.get(asked or "", asked))
        rows = _table(layers[name], f"{where}, layer {name!r}", budget)
        told = EmbeddingTensor(
            rows, [Note("vectors.from", f"vectors from layer {name}")]
        )
        vocabularies = {**said.vocabularies, **_adapted(saved.assets, said)}
        if vocabularies and not _has_list(stream):
            reader = _with_tokens(stream, name, told, vocabularies, said, budget)
        else:
            reader = tokens_beside(NAME, stream, told, layout)
        reader.facts = {"layer": name}
        return reader


def _has_list(stream: ByteStream) -> bool:
    """Return whether a list of tokens was named, or lies beside a model."""
    if stream.path is None or stream.tokens_path is not None:
        return stream.tokens_path is not None
    return stream.path.with_suffix(_TOKENS).is_file()


def _saved(stream: ByteStream, held: ExitStack) -> tuple[_Saved, Budget]:
    """Open the parts of a model, with one budget for all."""
    where = stream.name
    if stream.path is not None and stream.path.is_dir():
        return _of_folder(stream, stream.path, held)
    file = held.enter_context(open_local(stream))
    budget = budget_of(stream, file)
    file.seek(0)
    first = file.read(2)
    if first == b"PK":
        saved = _unpacked(file, where, budget)
        held.callback(saved.weights[0].close)
        return saved, budget
    if first[:1] == b"{" and stream.path is not None:
        return _sharded(stream, stream.path, held)
    return _Saved([file]), budget


def _unpacked(file: LocalFile, where: str, budget: Budget) -> _Saved:
    """Return the parts of a zip, its weights as a file."""
    assets: dict[str, str] = {}
    with Zipped(file, where) as archive:
        for name in (KERAS_CONFIG, KERAS_WEIGHTS):
            if name not in archive.members:
                raise archive.damaged(f"there is no member {name!r}")
        with refusing_damage(where, f"cannot read its {KERAS_CONFIG}"):
            config = _config(_member(archive, KERAS_CONFIG, budget), budget)
        for name in archive.members:
            if name.startswith(_ASSETS) and name.endswith(_VOCABULARY):
                with refusing_damage(where, f"cannot read its {name}"):
                    assets[name] = _member(archive, name, budget).decode()
                budget.take(OBJECT * assets[name].count("\n"))
        with (
            refusing_damage(where, f"cannot read its {KERAS_WEIGHTS}"),
            archive.zip.open(KERAS_WEIGHTS) as weights,
        ):
            return _Saved([copied(weights, budget, file.options)], config, assets)


def _member(archive: Zipped, name: str, budget: Budget) -> bytes:
    budget.take(archive.members[name].file_size)
    with archive.zip.open(name) as member:
        return member.read(archive.members[name].file_size)


def _config(raw: bytes, budget: Budget) -> Any:
    budget.take(len(raw) * 8)
    return json.loads(raw)


def _of_folder(
    stream: ByteStream, folder: Path, held: ExitStack
) -> tuple[_Saved, Budget]:
    """Open the parts of a model that was saved as a folder."""
    where = stream.name
    try:
        file = held.enter_context(
            open_file(folder / KERAS_WEIGHTS, stream.read_options)
        )
        paths = sorted((folder / _ASSETS).rglob(_VOCABULARY[1:]))
        raw = (folder / KERAS_CONFIG).read_bytes()
        texts = {path: path.read_bytes() for path in paths if path.is_file()}
    except OSError as error:
        raise SourceError(f"cannot read {where}: {error.strerror or error}") from error
    size = file_size(file) + len(raw) + sum(map(len, texts.values()))
    budget = stream.read_options.budget_of(where, size)
    with refusing_damage(where, f"cannot read its {KERAS_CONFIG}"):
        config = _config(raw, budget)
    assets: dict[str, str] = {}
    for path, text in texts.items():
        name = path.relative_to(folder).as_posix()
        budget.take(len(text) + OBJECT * text.count(b"\n"))
        with refusing_damage(where, f"cannot read its {name}"):
            assets[name] = text.decode()
    return _Saved([file], config, assets), budget


def _sharded(stream: ByteStream, path: Path, held: ExitStack) -> tuple[_Saved, Budget]:
    """Open all shards in the index, which are files beside it."""
    shards = json_object(path).get("weight_map")
    names: set[str] = set()
    for held_in in shards.values() if isinstance(shards, dict) else ():
        for name in held_in if isinstance(held_in, list) else [held_in]:
            names.add(name_beside(name, path))
    if not names:
        raise FormatError(f"{path}: names no shards of weights; get it again")
    files = []
    for name in sorted(names):
        try:
            shard = open_file(path.with_name(name), stream.read_options)
        except OSError as error:
            raise SourceError(
                f"{path}: cannot read its shard {name}: {error.strerror or error}; all "
                "shards have to lie beside it"
            ) from error
        files.append(held.enter_context(shard))
    size = sum(map(file_size, files))
    return _Saved(files), stream.read_options.budget_of(stream.name, size)


def _old_config(data: DataFile, where: str, budget: Budget) -> Any:
    text = data.label("/", "model_config")
    if text is None:
        return None
    with refusing_damage(where, "cannot read its model_config"):
        return _config(text.encode("utf-8", "surrogateescape"), budget)


def _adapted(assets: Mapping[str, str], said: KerasConfig) -> dict[str, list[str]]:
    """Return the vocabularies that layers were adapted to, by name."""
    found = {}
    for name, text in assets.items():
        path = name.removeprefix(_ASSETS).removesuffix(_VOCABULARY)
        path = path.removesuffix("/_lookup_layer")
        found[said.paths.get(path, path.rpartition("/")[2])] = text.split("\n")
    return found


def _layers(data: DataFile) -> dict[str, _Layer]:
    """Return the layers whose first variable is a matrix, by name."""
    found: dict[str, _Layer] = {}
    for name in data.names:
        variables = f"/{name}".endswith(_FIRST)
        path = name.removesuffix("0").removesuffix(f"{_VARS}/").rstrip("/")
        shape, dtype = data.form(name).shape, data.dtype(name)
        if variables:
            own = data.label(name.removesuffix("/0"), "name") or path
        elif (before := _before(name, data)) is not None:
            own, path = before, name
        else:
            continue
        layer = _Layer(_DTYPES.get(dtype, dtype), shape, path, data, variables)
        found[path if own in found else own] = layer
    return found


def _before(name: str, data: DataFile) -> str | None:
    """Return the name of a variable in a file of Keras before version 3.

    An embedding has the name of its layer, other variables both names.
    """
    steps = name.removesuffix(":0").split("/")
    if steps[0] == _BEFORE:
        del steps[0]
    elif not data.has_label("/", "layer_names"):
        return None
    if len(steps) < 2:
        return None
    return steps[-2] if steps[-1] == "embeddings" else ".".join(steps[-2:])


def _table(layer: _Layer, where: str, budget: Budget) -> AnyArray:
    """Return the rows of a layer: those of both tables, if it has two.

    The mask is bool, or int32 of an earlier release of this package, ``j >= 0`` for row
    ``j`` of the first table and ``~k < 0`` for row ``k`` of the second.
    """
    data = layer.data
    if not layer.variables:
        return data.read(layer.path)
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
    layer: str,
    table: EmbeddingTensor,
    vocabularies: dict[str, list[str]],
    said: KerasConfig,
    budget: Budget,
) -> TableReader:
    """Return a reader with the vocabulary at a layer's input, or the one that fits."""
    rows = table.rows.shape[0]
    feeding = said.lookups_before(layer)
    possible = {n: t for n, t in vocabularies.items() if n in feeding or not feeding}
    equal = {name for name, tokens in possible.items() if len(tokens) == rows}
    fitting = equal or {n for n, tokens in possible.items() if len(tokens) < rows}
    texts = {"\n".join(possible[name]): name for name in sorted(fitting)}
    if len(texts) != 1:
        shown = ", ".join(f"{n} {len(t):,}" for n, t in vocabularies.items())
        fed = f", fed by {', '.join(sorted(feeding))}" if feeding else ""
        if lost := sorted(feeding - vocabularies.keys()):
            fed += (
                f" (the vocabulary that {', '.join(lost)} was adapted to is not in the "
                "file: only .keras has such)"
            )
        raise FormatError(
            f"{stream.name}: {rows:,} rows in layer {layer!r}{fed}, and "
            f"{'several' if texts else 'none'} of its vocabularies could be theirs "
            f"({shown}); name another layer, as FILE#LAYER, or put the list of its "
            f"tokens, one a line, beside the model with the ending {_TOKENS}"
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
        notes=[*table.notes, Note("tokens.from", f"tokens from layer {name}")],
    )


def _apart(tokens: list[str]) -> list[str]:
    """Return tokens in which equal ones at the front get a number."""
    for start, first in enumerate(tokens[:2]):
        end = start + 1
        while end < len(tokens) and tokens[end] == first:
            end += 1
        if end > start + 1:
            others = [f"{first}:{number}" for number in range(1, end - start)]
            return [*tokens[: start + 1], *others, *tokens[end:]]
    return tokens
