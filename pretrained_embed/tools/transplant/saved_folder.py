"""Writing a model's folder in which some tensors have other rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from pretrained_embed.errors import WriteError
from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.hugging_face.model_folder import Shard
from pretrained_embed.formats.local import json_object
from pretrained_embed.formats.marks import CONFIG, INDEX
from pretrained_embed.formats.safetensors.header import DTYPES, Tensor, header_of
from pretrained_embed.formats.table import write_array
from pretrained_embed.tools.transplant.checkpoint import Checkpoint, NewIds, Stored
from pretrained_embed.tools.transplant.tokenizer import FILES

_PIECE = 1 << 24
_GENERATION = "generation_config.json"

#: The same weights in other files, which would have the old tables: they are left out.
_OTHER_WEIGHTS = (
    *("pytorch_model*.bin", "pytorch_model.bin.index.json", "tf_model*.h5"),
    *("flax_model*.msgpack", "*.gguf", "*.onnx", "*.onnx_data"),
)


def save(
    checkpoint: Checkpoint,
    tables: dict[str, Stored],
    rows: int,
    ids: NewIds | None,
    write_tokenizer: Callable[[Path], None] | None,
    target: Path,
) -> None:
    """Write the folder; raises `WriteError`, and leaves nothing behind then."""
    if target.exists():
        raise WriteError(
            f"cannot write {target}: it is there already; name a new folder"
        )
    with new_folder(target) as folder:
        _fill(checkpoint, tables, rows, ids, folder)
        if write_tokenizer is not None:
            write_tokenizer(folder)


def _fill(
    checkpoint: Checkpoint,
    tables: dict[str, Stored],
    rows: int,
    ids: NewIds | None,
    folder: Path,
) -> None:
    changed = {
        name
        for name, shard in checkpoint.shards.items()
        if not tables.keys().isdisjoint(shard.header.tensors)
    }
    written = {CONFIG, INDEX, *changed, *FILES}
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


def _index(checkpoint: Checkpoint, tables: dict[str, Stored]) -> dict[str, Any]:
    """Return the index with its totals, where it has them, brought up to date."""
    tensors, index = checkpoint.tensors(), dict(checkpoint.index or {})
    totals = dict(index.get("metadata") or {})
    for name, table in tables.items():
        grown = table.nbytes - (tensors[name].end - tensors[name].begin)
        for total, growth in (
            ("total_size", grown),
            ("total_parameters", grown // table.itemsize),
        ):
            if type(totals.get(total)) is int:
                totals[total] += growth
    return index | {"metadata": totals}


def _write_shard(shard: Shard, tables: dict[str, Stored], path: Path) -> None:
    tensors = shard.header.tensors
    # The widest numbers first, so that each tensor begins at a multiple of its own,
    # however many rows there are now.
    names = sorted(
        tensors,
        key=lambda name: (-DTYPES[tensors[name].dtype].itemsize, tensors[name].begin),
    )
    with path.open("xb") as file, shard.path.open("rb") as source:
        forms = {
            name: (
                tensors[name].dtype,
                tables[name].shape if name in tables else tensors[name].shape,
            )
            for name in names
        }
        file.write(header_of(forms, shard.header.metadata or None))
        for name in names:
            if name in tables:
                write_array(file, tables[name])
            else:
                _copy_range(source, shard.header.data, tensors[name], file)


def _copy_range(source: BinaryIO, data: int, tensor: Tensor, file: BinaryIO) -> None:
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
