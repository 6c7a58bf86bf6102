"""The files in which a Hugging Face model keeps its tensors.

``model.safetensors`` holds all tensors, or ``model.safetensors.index.json`` names the
file of each: ``{"metadata": {"total_size": bytes}, "weight_map": {NAME: FILE}}``.
``config.json`` says what model it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pretrained_embed.arrays import AnyArray
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.formats.local import file_size
from pretrained_embed.formats.marks import INDEX, SINGLE
from pretrained_embed.formats.safetensors.header import (
    Header,
    map_tensor,
    read_header,
)


class Shard(NamedTuple):
    """One safetensors file of a model, its header read and checked."""

    path: Path
    header: Header

    def load(self, name: str) -> AnyArray:
        """Map a tensor, the bits of BF16 as uint16.

        Raises `FormatError` for a dtype that numpy does not have.
        """
        with self.path.open("rb") as file:
            return map_tensor(file, self.header, name, str(self.path))


def open_shard(path: Path) -> Shard:
    """Read and check a file's header; raises `FormatError` and `SourceError`."""
    try:
        with path.open("rb") as file:
            return Shard(path, read_header(file, file_size(file), str(path)))
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror or error}; a model is read from "
            f"{SINGLE} or the files that {INDEX} names, never from a pickle"
        ) from error


def read_index(path: Path) -> dict[str, Any]:
    """Return a sharded model's index: files beside it, by the names of tensors.

    Raises `FormatError` and `SourceError`.
    """
    index = json_object(path)
    names = index.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise FormatError(f"{path}: no weight_map")
    for name in names.values():
        if not isinstance(name, str) or Path(name).name != name:
            raise FormatError(f"{path}: {name!r} is not the name of a file beside it")
    return index


def json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object; raises `FormatError`, `SourceError`."""
    with refusing_damage(str(path), "not JSON"):
        content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise FormatError(f"{path}: not a JSON object")
    return content
