"""Tables in the safetensors form.

::

    file   = length header data
    length = uint64, little-endian, at most 100,000,000
    header = JSON object, padded with spaces to a multiple of 8 bytes:
             {"__metadata__": {"pretrained_embed": "{...}"},
              NAME: {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}}
    data   = the tensors, little-endian, in C order, without gaps or overlaps

https://github.com/huggingface/safetensors

The vectors are tensor ``embedding.weight``, the name that sentence-transformers'
``StaticEmbedding`` looks for, the tokens ``token_bytes`` and ``token_offsets``, other
arrays ``array_NAME``. Files of other writers are read where they hold one matrix of
floats (F64, F32, F16 or BF16); its tokens come from the file that the source names,
else from a ``vocab.txt`` or ``tokenizer.json`` beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pretrained_embed.errors import FormatError
from pretrained_embed.formats.atomic import replacing
from pretrained_embed.formats.local import file_size, map_array, open_local
from pretrained_embed.formats.reader import ByteStream, Float32Array
from pretrained_embed.formats.safetensors_header import (
    DTYPES,
    HEADER_LIMIT,
    Header,
    Tensor,
    format_header,
    read_header,
)
from pretrained_embed.formats.table import (
    PackedTokens,
    Rows,
    Table,
    check_table,
    decode_metadata,
    encode_metadata,
    in_pieces,
)
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.formats.token_file import find_tokens, read_tokens

NAME = "safetensors"

_VECTORS, _BYTES, _OFFSETS = "embedding.weight", "token_bytes", "token_offsets"
_EXTRA = "array_"
_METADATA = "pretrained_embed"
_FOREIGN = (_VECTORS, "embeddings", "embeddings.weight", "weight")
_FLOATS = ("F64", "F32", "F16", "BF16")
_SIBLINGS = ("tokenizer.json", "vocab.txt")


class _BFloat16Rows:
    """Rows of bfloat16, the upper halves of float32 numbers, given as float32."""

    dtype = np.dtype(np.float32)

    def __init__(self, halves: npt.NDArray[np.uint16]) -> None:
        self._halves = halves
        self.shape = halves.shape

    def __getitem__(self, rows: slice) -> Float32Array:
        return (self._halves[rows].astype(np.uint32) << 16).view(np.float32)


def recognise(head: bytes, stream: ByteStream) -> bool:
    """Return whether a JSON object follows a plausible length."""
    length = int.from_bytes(head[:8], "little")
    known = stream.size is None or 8 + length <= stream.size
    return 2 <= length <= HEADER_LIMIT and head[8:9] == b"{" and known


def open_reader(stream: ByteStream) -> TableReader:
    """Open a file for reading.

    Raises `FormatError` where it is damaged, holds no matrix of floats, or where no
    tokens are found.
    """
    with open_local(stream) as file:
        header = read_header(file, file_size(file), stream.name)

        def load(name: str) -> npt.NDArray[Any]:
            tensor = header.tensors[name]
            dtype = DTYPES[tensor.dtype].numpy
            if dtype is None:
                raise FormatError(
                    f"{stream.name}, tensor {name!r}: dtype {tensor.dtype} is not one "
                    "this package reads"
                )
            return map_array(file, dtype, tensor.shape, header.data + tensor.begin)

        if {_VECTORS, _BYTES, _OFFSETS} <= header.tensors.keys():
            tokens = PackedTokens(load(_BYTES), load(_OFFSETS), where=stream.name)
            arrays = {
                name.removeprefix(_EXTRA): load(name)
                for name in sorted(header.tensors)
                if name.startswith(_EXTRA)
            }
            metadata = _metadata(header, stream.name)
            return TableReader(
                NAME,
                stream.name,
                tokens,
                load(_VECTORS),
                arrays=arrays,
                metadata=metadata,
            )
        name = _pick(header.tensors, stream.name)
        vectors: Rows = load(name)
        notes = [f"vectors from tensor {name}"]
        if header.tensors[name].dtype == "BF16":
            vectors = _BFloat16Rows(load(name))
            notes.append("stored as bfloat16")
    path = find_tokens(stream, _SIBLINGS)
    notes.append(f"tokens from {path.name}")
    return TableReader(NAME, stream.name, read_tokens(path), vectors, notes=notes)


def read_table(stream: ByteStream) -> Table:
    """Read the whole table; raises `FormatError` where it is damaged."""
    with open_reader(stream) as reader:
        return reader.table()


def write_table(path: str | os.PathLike[str], table: Table) -> None:
    """Write a table that `read_table` gives back; raises `WriteError`.

    Equal tables give equal bytes.
    """
    check_table(table)
    metadata = {_METADATA: encode_metadata(table.metadata).decode("ascii")}
    arrays: dict[str, npt.NDArray[Any]] = {
        _VECTORS: table.vectors,
        _BYTES: table.tokens.data,
        _OFFSETS: table.tokens.offsets,
        **{_EXTRA + name: array for name, array in table.arrays.items()},
    }
    # The widest numbers first, so that each tensor begins at a multiple of its own.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    arrays = {name: arrays[name] for name in names}
    with replacing(path) as file:
        file.write(format_header(arrays, metadata))
        for array in arrays.values():
            for piece in in_pieces(
                array.astype(array.dtype.newbyteorder("<"), copy=False)
            ):
                file.write(piece)


def _metadata(header: Header, where: str) -> dict[str, Any]:
    text = header.metadata.get(_METADATA)
    if text is None:
        return {}
    return decode_metadata(text.encode("utf-8", "surrogatepass"), where)


def _pick(tensors: Mapping[str, Tensor], where: str) -> str:
    """Return the name of the tensor that holds the vectors."""
    matrices = [
        name
        for name, tensor in tensors.items()
        if len(tensor.shape) == 2 and tensor.dtype in _FLOATS
    ]
    named = [name for name in _FOREIGN if name in matrices]
    if named:
        return named[0]
    if len(matrices) == 1:
        return matrices[0]
    raise FormatError(
        f"{where}: expected one matrix of floats or one named {_VECTORS!r}; found "
        f"{matrices[:10] or 'none'}"
    )
