"""The folder of a Hugging Face model: read, and written with other rows."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pretrained_embed.arrays import AnyArray, Float64Array
from pretrained_embed.bits import to_bfloat16
from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import FormatError, OptionError, WriteError
from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.hugging_face.model_folder import (
    PickledShard,
    Shard,
    open_pickled,
    open_shard,
    read_index,
)
from pretrained_embed.formats.local import json_object
from pretrained_embed.formats.marks import (
    CONFIG,
    INDEX,
    PICKLED,
    PICKLED_INDEX,
    SINGLE,
)
from pretrained_embed.formats.safetensors.header import DTYPES, TensorInfo, header_of
from pretrained_embed.formats.table import write_array
from pretrained_embed.formats.tensors import embedding as known
from pretrained_embed.tools.transplant.tokenizer import FILES

#: The dtypes of safetensors for a table, as numpy dtypes. numpy has no bfloat16, the
#: upper half of a float32; its bits are used.
STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

Stored = AnyArray

#: Lists of ids in configs, besides keys that end in ``_token_id``.
_LISTS = ("suppress_tokens", "begin_suppress_tokens")

_PARTS = ("pad", "bos", "eos")

_WEIGHTS = (SINGLE, INDEX, PICKLED, PICKLED_INDEX)


@dataclass(frozen=True)
class NewIds:
    """The new values of token ids in a config."""

    moved: Mapping[int, int]  # from old to new, for tokens that both have
    roles: Mapping[str, int]  # the new token for "eos" and so on

    def renew(self, config: dict[str, Any], *, adding: bool = False) -> None:
        """Update the ids in a config; with ``adding`` also add missing ones.

        The id of a removed token becomes ``None``; no other token replaces it.
        """
        for name, value in config.items():
            if isinstance(value, dict):
                self.renew(value)
            elif name.endswith("_token_id"):
                role = self.roles.get(name.removesuffix("_token_id"))
                config[name] = self._renewed(value, role)
            elif name in _LISTS:
                config[name] = self._renewed(value, None)
        if adding:
            for part in _PARTS:
                if part in self.roles:
                    config[f"{part}_token_id"] = config.get(
                        f"{part}_token_id", self.roles[part]
                    )

    def _renewed(self, value: Any, role: int | None) -> Any:
        if isinstance(value, list):
            kept = [self.moved[id] for id in value if id in self.moved]
            if role is None:
                return kept or None
            # One old token may begin and end texts, where the new tokenizer has two.
            others = self.roles.values()
            return [role, *(id for id in dict.fromkeys(kept) if id not in others)]
        if role is not None:
            return role
        return self.moved.get(value) if type(value) is int and value >= 0 else value


def to_float64(stored: Stored, dtype: str) -> Float64Array:
    """Return the exact values of stored numbers."""
    if dtype == "BF16":
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return stored.astype(np.float64)


def from_float64(values: Float64Array, dtype: str) -> Stored:
    """Return values rounded to the stored dtype."""
    if dtype == "F64":
        return values
    singles = values.astype(np.float32)
    converted = to_bfloat16(singles) if dtype == "BF16" else singles
    return converted.astype(STORED[dtype])


@dataclass(frozen=True)
class SavedModel:
    """A model's folder whose headers are read and checked, but no tensors yet."""

    folder: Path
    config: dict[str, Any]
    index: dict[str, Any] | None  # of a model in several files, as it is written
    shards: dict[str, Shard | PickledShard]  # by the name of the written file

    def tensors(self) -> dict[str, known.Described]:
        """Return the tensors in the headers, by name."""
        return {
            name: tensor
            for shard in self.shards.values()
            for name, tensor in shard.tensors.items()
        }

    def load(self, name: str) -> Stored:
        """Map a tensor; raises `FormatError` if it is no table of floats."""
        shard = next(s for s in self.shards.values() if name in s.tensors)
        dtype = shard.tensors[name].dtype
        if dtype not in STORED:
            raise FormatError(
                f"{shard.path}, tensor {name!r}: {dtype} is not one of "
                f"{', '.join(STORED)}; a quantised model has to be restored first"
            )
        return shard.load(name)

    def input_names(self, chosen: str | None) -> list[str]:
        """Return the name of the input embedding, and those of its copies."""
        tensors = self.tensors()
        if chosen is not None:
            if len(tensors[chosen].shape if chosen in tensors else ()) != 2:
                raise OptionError(f"{self.folder} has no table of the name {chosen!r}")
            return [chosen]
        names = [
            name
            for name, tensor in tensors.items()
            if known.is_input(name) and len(tensor.shape) == 2
        ]
        if not names:
            raise FormatError(
                f"{self.folder}: no tensor has the name of an input embedding, such as "
                f"'model.{known.INPUT[0]}'; name it with tensor=. There are "
                f"{', '.join(list(tensors)[:10])}"
            )
        first = self.load(names[0])
        if any(not same_bits(first, self.load(name)) for name in names[1:]):
            raise FormatError(
                f"{self.folder}: {' and '.join(names)} may all be the input embedding, "
                "and differ; name one with tensor="
            )
        return names

    def output_names(self) -> list[str]:
        """Return the names of the tensors of the output head."""
        return [name for name in self.tensors() if known.is_output(name)]

    @property
    def vocab_size(self) -> int:
        """The number of tokens in the config."""
        size: int = _telling_vocab_size(self.config, self.folder)["vocab_size"]
        return size

    def config_for(self, rows: int, ids: NewIds | None) -> dict[str, Any]:
        """Return the config for another number of tokens and other ids."""
        config = copy.deepcopy(self.config)
        _telling_vocab_size(config, self.folder)["vocab_size"] = rows
        if ids is not None:
            ids.renew(config, adding=True)
        return config


def open_saved_model(folder: Path, options: ReadOptions) -> SavedModel:
    """Read and check all headers; ``options`` say how tensors are read.

    A ``pytorch_model.bin`` is read, as data, if there are no safetensors files. Raises
    `SourceError` if a file cannot be read, `FormatError` if it is damaged.
    """
    config = json_object(folder / CONFIG)
    single, index_name = SINGLE, INDEX
    there = {name for name in _WEIGHTS if (folder / name).is_file()}
    if there and there.isdisjoint((SINGLE, INDEX)):
        single, index_name = PICKLED, PICKLED_INDEX
    at = folder / index_name
    index = read_index(at) if at.is_file() else None
    files = {single} if index is None else set(index["weight_map"].values())
    if single not in files and (folder / single).is_file():
        raise FormatError(
            f"{folder}: there are {single} and {index_name}, which names other files; "
            "which of them is the model cannot be known: take one away"
        )
    shards: dict[str, Shard | PickledShard] = {}
    for name in sorted(files):
        opener = open_shard if single == SINGLE else _open_pickled
        shards[_written_as(name)] = opener(folder / name, options)
    if index is not None:
        names = {key: _written_as(name) for key, name in index["weight_map"].items()}
        for tensor, name in names.items():
            if tensor not in shards[name].tensors:
                path = shards[name].path
                raise FormatError(f"{path}: tensor {tensor!r} is missing")
        index = index | {"weight_map": names}
    return SavedModel(folder, config, index, shards)


def _written_as(name: str) -> str:
    """Return the name of the safetensors file that replaces a file of weights."""
    if not name.endswith(".bin"):
        return name
    return name.removesuffix(".bin").replace("pytorch_model", "model") + ".safetensors"


def _open_pickled(path: Path, options: ReadOptions) -> PickledShard:
    """Read a state dict; raises `FormatError` if it could not be copied completely."""
    shard = open_pickled(path, options)
    root = shard.checkpoint.root
    odd = [name for name, t in shard.tensors.items() if t.dtype not in DTYPES]
    if odd or type(root) is not dict or {*map(str, root)} != {*shard.tensors}:
        raise FormatError(
            f"{path}: is no state dict of plain tensors"
            + (f", {odd[0]!r} is {shard.tensors[odd[0]].dtype}" if odd else "")
            + "; load the model with transformers and save it: save_pretrained(folder)"
        )
    return shard


def _telling_vocab_size(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the part of the config with ``vocab_size``."""
    for part in (config, config.get("text_config")):
        if isinstance(part, dict) and type(part.get("vocab_size")) is int:
            return part
    raise FormatError(f"{folder / CONFIG}: has no vocab_size")


def same_bits(one: Stored, other: Stored) -> bool:
    """Return whether two tensors have the same bits."""
    return (
        one.shape == other.shape
        and one.dtype == other.dtype
        and bool(np.array_equal(one.view(np.uint8), other.view(np.uint8)))
    )


_PIECE = 1 << 22
_GENERATION = "generation_config.json"

#: The same weights in other files, with the old tables: they are not copied.
_OTHER_WEIGHTS = (
    *("pytorch_model*.bin", "pytorch_model.bin.index.json", "tf_model*.h5"),
    *("flax_model*.msgpack", "*.gguf", "*.onnx", "*.onnx_data"),
)


def save(
    checkpoint: SavedModel,
    tables: dict[str, Stored],
    rows: int,
    ids: NewIds | None,
    write_tokenizer: Callable[[Path], None] | None,
    target: Path,
) -> None:
    """Write the folder; after a `WriteError` nothing is left of it."""
    if target.exists():
        raise WriteError(
            f"cannot write {target}: it is there already; name a new folder"
        )
    with new_folder(target) as folder:
        _fill(checkpoint, tables, rows, ids, folder)
        if write_tokenizer is not None:
            write_tokenizer(folder)


def _fill(
    checkpoint: SavedModel,
    tables: dict[str, Stored],
    rows: int,
    ids: NewIds | None,
    folder: Path,
) -> None:
    changed = {
        name
        for name, shard in checkpoint.shards.items()
        if isinstance(shard, PickledShard)
        or not tables.keys().isdisjoint(shard.tensors)
    }
    written = {CONFIG, INDEX, *changed, *FILES}
    written |= {checkpoint.shards[name].path.name for name in changed}
    generation = checkpoint.folder / _GENERATION
    if ids is not None and generation.is_file():
        settings = json_object(generation)
        ids.renew(settings)
        _write_json(settings, folder / _GENERATION)
        written.add(_GENERATION)
    for item in sorted(checkpoint.folder.iterdir()):
        if item.is_dir():
            shutil.copytree(item, folder / item.name)
        elif item.name not in written and not any(map(item.match, _OTHER_WEIGHTS)):
            _copy(item, folder / item.name)
    for name in changed:
        _write_shard(checkpoint.shards[name], tables, folder / name)
    _write_json(checkpoint.config_for(rows, ids), folder / CONFIG)
    if checkpoint.index is not None:
        _write_json(_index(checkpoint, tables), folder / INDEX)


def _index(checkpoint: SavedModel, tables: dict[str, Stored]) -> dict[str, Any]:
    """Return the index with updated totals, if it has them."""
    tensors, index = checkpoint.tensors(), dict(checkpoint.index or {})
    totals = dict(index.get("metadata") or {})
    for name, table in tables.items():
        grown = table.nbytes - math.prod(tensors[name].shape) * table.itemsize
        for total, growth in (
            ("total_size", grown),
            ("total_parameters", grown // table.itemsize),
        ):
            if type(totals.get(total)) is int:
                totals[total] += growth
    return index | {"metadata": totals}


def _write_shard(
    shard: Shard | PickledShard, tables: dict[str, Stored], path: Path
) -> None:
    tensors = shard.tensors
    header = shard.header if isinstance(shard, Shard) else None
    # The widest dtypes first, so that each tensor is aligned, for any number of rows.
    names = sorted(tensors, key=lambda name: -DTYPES[tensors[name].dtype].itemsize)
    with path.open("xb") as file, shard.path.open("rb") as source:
        forms = {
            name: (
                tensors[name].dtype,
                tables[name].shape if name in tables else tensors[name].shape,
            )
            for name in names
        }
        metadata = {"format": "pt"} if header is None else header.metadata or None
        file.write(header_of(forms, metadata))
        for name in names:
            if name in tables:
                write_array(file, tables[name])
            elif isinstance(shard, PickledShard):
                write_array(file, _bits(shard, name))
            else:
                _copy_range(source, shard.header.data, shard.header.tensors[name], file)


def _bits(shard: PickledShard, name: str) -> AnyArray:
    """Return a tensor as integers, of any dtype, also one that numpy lacks."""
    tensor = shard.tensors[name]
    if tensor.array is not None:
        return shard.load(name)
    whole = f"U{8 * DTYPES[tensor.dtype].itemsize}"
    return shard.checkpoint.load(tensor._replace(dtype=whole))


def _copy_range(
    source: BinaryIO, data: int, tensor: TensorInfo, file: BinaryIO
) -> None:
    source.seek(data + tensor.begin)
    left = tensor.end - tensor.begin
    while left:
        piece = source.read(min(left, _PIECE))
        if not piece:
            raise OSError(f"{source.name} became shorter while it was read")
        file.write(piece)
        left -= len(piece)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, target.open("xb") as file:
        shutil.copyfileobj(original, file, _PIECE)


def _write_json(content: dict[str, Any], path: Path) -> None:
    with path.open("xb") as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
