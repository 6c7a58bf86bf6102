"""Where in the folder of a Hugging Face model its tensors are.

``model.safetensors`` holds all tensors, or ``model.safetensors.index.json`` names the
file of each: ``{"metadata": {"total_size": bytes}, "weight_map": {NAME: FILE}}``.
``pytorch_model.bin`` and its index are the same, of ``torch.save``, and are read where
there is none of these. ``config.json`` says what model it is. The folder may be that of
the hub's cache, or of sentence-transformers. Weights in other files are not read, but
named in an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pretrained_embed.arrays import AnyArray
from pretrained_embed.budget import ReadOptions
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats.format import Listing
from pretrained_embed.formats.local import (
    ReadRows,
    file_size,
    json_object,
    name_beside,
    open_file,
)
from pretrained_embed.formats.marks import (
    CONFIG,
    INDEX,
    MODULES,
    PICKLED,
    PICKLED_INDEX,
    SINGLE,
    TOKENIZER_FILES,
)
from pretrained_embed.formats.safetensors.header import (
    DTYPES,
    SafetensorsHeader,
    map_tensor,
    read_header,
)
from pretrained_embed.formats.table import Rows
from pretrained_embed.formats.tensors.embedding import Described, pick

if TYPE_CHECKING:
    from pretrained_embed.formats.torch_file import StoredTensor, TorchFile

#: Parts of a sentence-transformers model that have an embedding.
_WITH_EMBEDDING = ("StaticEmbedding", "WordEmbeddings", "Transformer")
_GET_IT = "Get the model's safetensors files"
#: Weights in files that are not read with the folder, by the ends of their names.
OTHER_WEIGHTS = {
    ".pt": "a file of torch.save. Name the file itself",
    ".pth": "a file of torch.save. Name the file itself",
    ".gguf": "a file of llama.cpp. Name the file itself",
    ".onnx": f"a computation graph. {_GET_IT}",
    "tf_model.h5": f"a file of TensorFlow. {_GET_IT}",
    "flax_model.msgpack": f"a file of Flax. {_GET_IT}",
    "adapter_model.safetensors": "an adapter, which has no embedding of its own; name "
    "the folder of the model that it was made for",
}


def module_folder(folder: Path) -> Path:
    """Return the folder of the part that has the embedding, or the model's own.

    Raises `FormatError` where ``modules.json`` is damaged or leads elsewhere.
    """
    path = folder / MODULES
    if not path.is_file():
        return folder
    with refusing_damage(str(path), "not a list of modules"):
        modules = json.loads(path.read_bytes())
        parts = {str(m["type"]).rpartition(".")[2]: str(m["path"]) for m in modules}
        inside = [parts[name] for name in _WITH_EMBEDDING if name in parts]
        safe = all(len(Path(part).parts) <= 1 and ".." not in part for part in inside)
    if not inside:
        raise FormatError(
            f"{path}: none of {', '.join(parts)} has an embedding that can be read; "
            f"{', '.join(_WITH_EMBEDDING)} would"
        )
    if not safe:
        raise FormatError(f"{path}: {inside[0]!r} is not a folder beside it")
    return folder / inside[0]


def fetch(listing: Listing) -> Path | None:
    """Fetch what a model's embedding needs; ``None`` where no model is listed.

    Of weights in several files that is the one with the embedding. Raises
    `FormatError` where none has it, `SourceError` where there are no such weights.
    """
    names = listing.names
    pairs = ((SINGLE, INDEX), (PICKLED, PICKLED_INDEX))
    weights = [name for pair in pairs for name in pair]
    if not any(name.rpartition("/")[2] in weights for name in names):
        return None
    first = next((name for name in (MODULES, CONFIG) if name in names), None)
    if first is None:
        return None
    folder = listing.get(first).parent
    inside = module_folder(folder).relative_to(folder).as_posix()
    prefix = "" if inside == "." else f"{inside}/"
    for name in (CONFIG, INDEX, PICKLED_INDEX, *TOKENIZER_FILES):
        if prefix + name in names:
            listing.get(prefix + name)
    for single, index in pairs:
        if prefix + index in names:
            path = folder / prefix / index
            files = read_index(path)["weight_map"]
            table = listing.asked or pick(list(files), str(path))
            if table not in files:
                raise FormatError(f"{path}: names no tensor {table!r}")
            listing.get(prefix + files[table])
            return folder
        if prefix + single in names:
            listing.get(prefix + single)
            return folder
    raise SourceError(
        f"{listing.where}: the part of the model that has an embedding has no weights "
        f"that can be read: none of {', '.join(weights)} is in {inside!r}"
    )


def other_weights(folder: Path) -> dict[str, str]:
    """Return what is to be said of files of weights that are not read.

    Raises `SourceError` where the folder cannot be listed.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror or error}") from error
    return {
        name: what
        for end, what in OTHER_WEIGHTS.items()
        for name in names
        if name.endswith(end)
    }


class TensorFile(Protocol):
    """A file of tensors, of whatever format."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def tensors(self) -> Mapping[str, Described]:
        """What is known of each tensor."""

    def load(self, name: str) -> AnyArray:
        """Return a tensor, the bits of BF16 as uint16."""


class Shard(NamedTuple):
    """One safetensors file of a model, its header read and checked."""

    path: Path
    header: SafetensorsHeader
    options: ReadOptions  # how the file is read

    @property
    def tensors(self) -> Mapping[str, Described]:
        """What is known of each tensor."""
        return self.header.tensors

    def load(self, name: str) -> AnyArray:
        """Map a tensor, the bits of BF16 as uint16.

        Raises `FormatError` for a dtype that numpy does not have.
        """
        with open_file(self.path, self.options) as file:
            return map_tensor(file, self.header, name, str(self.path))

    def rows(self, name: str) -> Rows:
        """Map a tensor (rows, dim) as `load` does, or read it when it is asked for."""
        tensor = self.header.tensors[name]
        dtype = DTYPES[tensor.dtype].numpy
        if self.options.mmap or len(tensor.shape) != 2 or dtype is None:
            return self.load(name)
        rows, dim = tensor.shape
        file = open_file(self.path, self.options)
        return ReadRows(file, dtype, (rows, dim), self.header.data + tensor.begin)


def open_shard(path: Path, options: ReadOptions) -> Shard:
    """Read and check a file's header; raises `FormatError` and `SourceError`."""
    try:
        with path.open("rb") as file:
            header = read_header(file, file_size(file), str(path))
            return Shard(path, header, options)
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror or error}; a model is read from "
            f"{SINGLE} or the files that {INDEX} names, never from a pickle"
        ) from error


class PickledShard(NamedTuple):
    """One file of ``torch.save`` of a model."""

    path: Path
    tensors: Mapping[str, StoredTensor]
    checkpoint: TorchFile

    def load(self, name: str) -> AnyArray:
        """Return a tensor, the bits of BF16 as uint16. Raises `FormatError`."""
        return self.checkpoint.load(self.tensors[name])


def open_pickled(path: Path, options: ReadOptions) -> PickledShard:
    """Read what a file says of its tensors; nothing of its pickle is run.

    Raises `FormatError` and `SourceError`.
    """
    from pretrained_embed.formats.pickles.holdings import find
    from pretrained_embed.formats.torch_file import TorchFile

    where = str(path)
    try:
        with open_file(path, options) as file:
            budget = options.budget_of(where, file_size(file))
            checkpoint = TorchFile(file, where, budget)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    found = find(checkpoint.root, checkpoint.describe, where, budget)
    return PickledShard(path, found.tensors, checkpoint)


def read_index(path: Path) -> dict[str, Any]:
    """Return a sharded model's index: files beside it, by the names of tensors.

    Raises `FormatError` and `SourceError`.
    """
    index = json_object(path)
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise FormatError(f"{path}: no weight_map")
    for name in names.values():
        name_beside(name, path)
    return index
