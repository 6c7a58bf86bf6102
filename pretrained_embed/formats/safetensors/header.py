"""The header of a safetensors file: parsed and checked before any data is touched.

See `pretrained_embed.formats.safetensors.reader` for its grammar.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, TruncatedError
from pretrained_embed.formats.local import LocalFile, array_bytes, map_array
from pretrained_embed.formats.marks import SAFETENSORS_HEADER

_METADATA = "__metadata__"


class DType(NamedTuple):
    """A dtype of the format."""

    itemsize: int  # bytes
    numpy: str | None  # the dtype that maps it, if numpy has one


#: All dtypes whose items are whole bytes. BF16 is mapped as the bits it consists of.
DTYPES = {
    "BOOL": DType(1, None),  # a byte beyond 1 is no bool to numpy
    "U8": DType(1, "u1"),
    "I8": DType(1, "i1"),
    "F8_E4M3": DType(1, None),
    "F8_E5M2": DType(1, None),
    "F8_E8M0": DType(1, None),
    "U16": DType(2, "<u2"),
    "I16": DType(2, "<i2"),
    "F16": DType(2, "<f2"),
    "BF16": DType(2, "<u2"),
    "U32": DType(4, "<u4"),
    "I32": DType(4, "<i4"),
    "F32": DType(4, "<f4"),
    "U64": DType(8, "<u8"),
    "I64": DType(8, "<i8"),
    "F64": DType(8, "<f8"),
    "C64": DType(8, None),
}

_NAMES = {
    np.dtype(dtype.numpy).str: name
    for name, dtype in DTYPES.items()
    if dtype.numpy and name != "BF16"
}


class TensorInfo(NamedTuple):
    """What a header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]
    begin: int  # offset of its first byte in the data
    end: int


class SafetensorsHeader(NamedTuple):
    """A checked header: the tensors lie within the file, side by side."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]
    data: int  # offset of the data in the file


def read_header(file: BinaryIO, size: int, where: str) -> SafetensorsHeader:
    """Read and check the header of a file of ``size`` bytes.

    Raises `FormatError`, `TruncatedError` where the file ends too early.
    """
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= SAFETENSORS_HEADER:
        raise FormatError(
            f"{where}: a header of {length:,} bytes; a safetensors file of {size:,} "
            "bytes does not begin like this"
        )
    data = 8 + length
    if data > size:
        raise TruncatedError(
            f"{where}: ends within its header of {length:,} bytes; get the file again"
        )
    content = _parse(file.read(length), where)
    metadata = content.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise FormatError(f"{where}: {_METADATA} is not an object of strings")
    tensors = {name: _tensor(name, entry, where) for name, entry in content.items()}
    _check_layout(tensors, size - data, where)
    return SafetensorsHeader(tensors, metadata, data)


def map_tensor(
    file: LocalFile, header: SafetensorsHeader, name: str, where: str
) -> AnyArray:
    """Map a tensor of an open file, the bits of BF16 as uint16.

    Raises `FormatError` for a dtype that numpy does not have.
    """
    tensor = header.tensors[name]
    dtype = DTYPES[tensor.dtype].numpy
    if dtype is None:
        raise FormatError(
            f"{where}, tensor {name!r}: dtype {tensor.dtype} is not one this package "
            "reads"
        )
    return map_array(file, dtype, tensor.shape, header.data + tensor.begin)


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) != len(pairs):
            raise ValueError("a key stands twice")
        return entries

    with refusing_damage(where, "the header is not JSON"):
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=refuse_duplicates)
    if not raw.startswith(b"{") or not isinstance(content, dict):
        raise FormatError(f"{where}: the header is not a JSON object")
    return content


def _tensor(name: str, entry: object, where: str) -> TensorInfo:
    where = f"{where}, tensor {name!r}"
    match entry:
        case {
            "dtype": str(dtype),
            "shape": [*shape],
            "data_offsets": [begin, end],
            **rest,
        } if not rest and all(map(_is_size, [*shape, begin, end])):
            pass
        case _:
            raise FormatError(
                f"{where}: expected dtype, shape and data_offsets; found {entry!r:.200}"
            )
    if dtype not in DTYPES:
        raise FormatError(f"{where}: dtype {dtype!r} is not known")
    nbytes = array_bytes(tuple(shape), DTYPES[dtype].itemsize, where)
    if end - begin != nbytes:
        raise FormatError(
            f"{where}: {dtype} of shape {shape} takes {nbytes:,} bytes, but its "
            f"offsets span {end - begin:,}"
        )
    return TensorInfo(dtype, tuple(shape), begin, end)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _check_layout(tensors: Mapping[str, TensorInfo], held: int, where: str) -> None:
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1][2:]):
        if tensor.begin != position:
            what = (
                "overlaps the one before"
                if tensor.begin < position
                else "follows a gap"
            )
            raise FormatError(f"{where}, tensor {name!r}: {what}")
        position = tensor.end
    if position > held:
        raise TruncatedError(
            f"{where}: its tensors take {position:,} bytes, but {held:,} follow the "
            "header; get the file again"
        )
    if position < held:
        raise FormatError(
            f"{where}: {held - position:,} bytes follow its tensors; get the file again"
        )


def format_header(
    arrays: Mapping[str, AnyArray],
    metadata: Mapping[str, str],
    multiple: int = 8,
    halves: str | None = None,
) -> bytes:
    """Return the header, with its length, of arrays that follow it in this order.

    All of it takes a multiple of so many bytes. ``halves`` is the name of an array that
    has the bits of bfloat16.
    """
    forms = {
        name: (_NAMES[array.dtype.newbyteorder("<").str], array.shape)
        for name, array in arrays.items()
    }
    if halves is not None:
        forms[halves] = ("BF16", arrays[halves].shape)
    return header_of(forms, metadata, multiple)


def header_of(
    forms: Mapping[str, tuple[str, tuple[int, ...]]],
    metadata: Mapping[str, str] | None,
    multiple: int = 8,
) -> bytes:
    """Return the same, given the dtype and the shape of each tensor."""
    content: dict[str, Any] = {}
    if metadata is not None:
        content[_METADATA] = dict(metadata)
    position = 0
    for name, (dtype, shape) in forms.items():
        begin = position
        position += math.prod(shape) * DTYPES[dtype].itemsize
        content[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [begin, position],
        }
    text = json.dumps(content, separators=(",", ":")).encode("ascii")
    text += b" " * (-(8 + len(text)) % multiple)
    return len(text).to_bytes(8, "little") + text
