"""The index of a matrix in several files, and what each of them says of itself.

::

    {"metadata": {
        "total_size": bytes of all tensors,
        "pretrained_embed": {
            "version": 1,
            "shards": [{"file": NAME, "bytes": size of the file, ...}, ...],
            "table": what the matrix says of itself}},
     "weight_map": {"shard_00001.embedding.weight": NAME, ...}}

This is the index that Hugging Face's libraries read, ``model.safetensors.index.json``,
with more metadata. The names of tensors begin with that of their shard, so that there
are no two alike. A shard of the list, and the metadata of its file under ``shard``, is
a `Label`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from pretrained_embed.errors import FormatError
from pretrained_embed.formats.hugging_face.model_folder import read_index
from pretrained_embed.formats.marks import INDEX
from pretrained_embed.formats.safetensors.own_tensors import vectors_among

_VERSION = 1
_OWN = "pretrained_embed"
_HEX = 64  # characters of a SHA-256


def file_name(number: int, shards: int) -> str:
    """Return the name of a shard's file; the first is number 0."""
    return f"model-{number + 1:05}-of-{shards:05}.safetensors"


def tensor_prefix(number: int) -> str:
    """Return what the names of a shard's tensors begin with."""
    return f"shard_{number + 1:05}."


class Label(NamedTuple):
    """Which rows of which matrix a shard holds, and the digests they are known by."""

    job: str  # what made the matrix: shards of another do not go with it
    rows: int  # of the matrix
    dim: int
    start: int  # its first row
    stop: int  # the row after its last
    block_rows: int  # how many rows a digest is of, see `row_digests`
    vectors: tuple[str, ...]  # the digests of its rows
    others: str  # that of its tokens and arrays

    @property
    def row_count(self) -> int:
        """How many rows."""
        return self.stop - self.start

    def to_json(self) -> dict[str, Any]:
        """Return it as `from_json` takes it."""
        return self._asdict() | {"vectors": list(self.vectors)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any], where: str) -> Self:
        """Return what the metadata of an index or a file says, or `FormatError`."""
        try:
            digests = given["vectors"]
            label = cls(**{name: given[name] for name in cls._fields})
            fine = isinstance(digests, list) and label._is_plausible()
        except (KeyError, TypeError):
            fine = False
        if not fine:
            raise FormatError(f"{where}: does not say which rows of which matrix it is")
        return label._replace(vectors=tuple(digests))

    def _is_plausible(self) -> bool:
        sizes = (self.rows, self.dim, self.start, self.stop, self.block_rows)
        return (
            all(type(size) is int and 0 <= size < 1 << 62 for size in sizes)
            and self.start < self.stop <= self.rows
            and self.dim > 0
            and self.block_rows > 0
            and len(self.vectors) == -(-self.row_count // self.block_rows)
            and all(
                isinstance(digest, str) and len(digest) == _HEX
                for digest in (*self.vectors, self.others)
            )
            and isinstance(self.job, str)
        )


class ShardFile(NamedTuple):
    """A shard in its place."""

    path: Path
    size: int  # bytes
    prefix: str  # of the names of its tensors
    label: Label


class Index(NamedTuple):
    """All shards of a matrix in order, and what it says of itself."""

    files: tuple[ShardFile, ...]
    metadata: dict[str, Any]

    @property
    def rows(self) -> int:
        """Rows of the matrix."""
        return self.files[0].label.rows

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.files[0].label.dim


def is_sharded(folder: Path) -> bool:
    """Return whether a folder holds a matrix in shards, and not a model."""
    path = folder / INDEX
    return path.is_file() and _own(read_index(path)) is not None


def load_index(folder: Path) -> Index:
    """Read and check the index of a folder; raises `FormatError`, `SourceError`."""
    path = folder / INDEX
    content = read_index(path)
    match _own(content):
        case {"version": int(version), **_rest} if version != _VERSION:
            raise FormatError(
                f"{path}: shards of version {version}; this release reads version "
                f"{_VERSION}. Upgrade pretrained-embed."
            )
        case {"shards": [_, *_] as shards, "table": dict(metadata), **_rest}:
            pass
        case _:
            raise FormatError(f"{path}: does not list the shards of a matrix")
    files = tuple(
        _shard_file(folder, number, entry, content["weight_map"])
        for number, entry in enumerate(shards)
    )
    _check_order(files, path)
    return Index(files, metadata)


def format_index(
    files: Sequence[ShardFile],
    tensors: Mapping[str, str],
    total_size: int,
    metadata: Mapping[str, Any],
) -> bytes:
    """Return an index: ``tensors`` are the files of all, ``total_size`` their bytes."""
    shards = [
        {"file": file.path.name, "bytes": file.size, **file.label.to_json()}
        for file in files
    ]
    own = {"version": _VERSION, "shards": shards, "table": dict(metadata)}
    content = {
        "metadata": {"total_size": total_size, _OWN: own},
        "weight_map": dict(tensors),
    }
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def _own(index: Mapping[str, Any]) -> dict[str, Any] | None:
    metadata = index.get("metadata")
    own = metadata.get(_OWN) if isinstance(metadata, dict) else None
    return own if isinstance(own, dict) else None


def _shard_file(
    folder: Path, number: int, entry: Any, weight_map: Mapping[str, str]
) -> ShardFile:
    where = f"{folder / INDEX}, shard {number + 1}"
    prefix = tensor_prefix(number)
    match entry:
        case {"file": str(name), "bytes": int(size)}:
            pass
        case _:
            raise FormatError(f"{where}: does not say which file it is")
    # whatever the weight map names was found to be beside the index
    vectors = vectors_among(weight_map, prefix)
    if vectors is None or weight_map[vectors] != name:
        raise FormatError(f"{where}: {name!r} is not the file that has its vectors")
    return ShardFile(folder / name, size, prefix, Label.from_json(entry, where))


def _check_order(files: Sequence[ShardFile], path: Path) -> None:
    """Raise `FormatError` unless the shards are one matrix, row after row."""
    first = files[0].label
    end = 0
    for number, file in enumerate(files):
        label = file.label
        if label[:3] != first[:3]:
            raise FormatError(
                f"{path}: {file.path.name} is a shard of another matrix than "
                f"{files[0].path.name}"
            )
        if label.start != end:
            what = "overlap" if label.start < end else "leave out some of"
            raise FormatError(
                f"{path}: shard {number + 1} begins at row {label.start:,}, the one "
                f"before ends at row {end:,}; they {what} the rows"
            )
        end = label.stop
    if end != first.rows:
        raise FormatError(
            f"{path}: its shards end at row {end:,} of {first.rows:,}; get the whole "
            "folder again"
        )
