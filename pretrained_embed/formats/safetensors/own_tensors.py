"""The tensors that make a table of this package in a safetensors file.

::

    embedding.weight  floats  (rows, dim)  the vectors
    token_bytes       uint8                all tokens, UTF-8, one after the other
    token_offsets     int64   (rows + 1,)  where each begins and the last ends
    array_NAME        numbers              any other array that belongs to the table
    metadata          uint8                a JSON object, spaces behind it
    embedding.int8    in place of embedding.weight, likewise int4 and binary: see `bits`
    token_bounds      in place of token_offsets, where the vectors are BF16

The metadata is in the header instead, under the key ``pretrained_embed``, where it was
known before the vectors were. All names may have one prefix. ``embedding.weight`` is
the name that sentence-transformers' ``StaticEmbedding`` looks for. Releases that would
take other bits for the numbers themselves do not know the names of the last two lines.
"""

from __future__ import annotations

from collections.abc import Callable, Container

import numpy as np

from pretrained_embed import bits
from pretrained_embed.arrays import AnyArray, PackedTokens, UInt8Array
from pretrained_embed.bits import Dtype
from pretrained_embed.formats.safetensors.header import SafetensorsHeader
from pretrained_embed.formats.table import (
    Annotations,
    decode_metadata,
    encode_metadata,
)

Tensors = dict[str, AnyArray]

VECTORS = "embedding.weight"

#: The key of the header, and of the tensor, of the metadata.
HEADER_METADATA, METADATA = "pretrained_embed", "metadata"

#: The key of the header that says how many of the vectors are the table's.
ROWS = "rows"

_BYTES, _EXTRA = "token_bytes", "array_"
_OFFSETS, _BOUNDS = "token_offsets", "token_bounds"


def vectors_name(dtype: Dtype) -> str:
    """Return the name of the tensor of vectors."""
    return f"embedding.{dtype}" if bits.has_scales(dtype) else VECTORS


def vectors_among(names: Container[str], prefix: str = "") -> str | None:
    """Return the name of the tensor of vectors, with its prefix, if it is there."""
    known = dict.fromkeys(prefix + vectors_name(dtype) for dtype in bits.DTYPES)
    return next((name for name in known if name in names), None)


def prefix_of(header: SafetensorsHeader) -> str:
    """Return the prefix of the one table that a file holds; ``""`` if it has none."""
    found = [
        name.removesuffix(end)
        for name in header.tensors
        for end in (_OFFSETS, _BOUNDS)
        if name.endswith(end)
    ]
    return found[0] if len(found) == 1 else ""


def tensors_of(annotations: Annotations) -> Tensors:
    """Return the tensors of tokens and arrays, in no order that would matter."""
    tokens, arrays, metadata = annotations
    extra = {_EXTRA + name: array for name, array in arrays.items()}
    halves = bits.dtype_told(metadata, "a table to be written") == "bfloat16"
    offsets = _BOUNDS if halves else _OFFSETS
    return {_BYTES: tokens.data, offsets: tokens.offsets, **extra}


def widest_first(tensors: Tensors) -> Tensors:
    """Return them in an order in which each begins at a multiple of its item's size."""
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    return {name: tensors[name] for name in names}


def header_metadata(annotations: Annotations) -> dict[str, str]:
    """Return the entry of a header that holds the metadata."""
    return {HEADER_METADATA: encode_metadata(annotations.metadata).decode("ascii")}


def metadata_tensor(annotations: Annotations, begin: int) -> UInt8Array:
    """Return the metadata as a tensor that, from byte ``begin``, ends at an 8th."""
    text = encode_metadata(annotations.metadata)
    return np.frombuffer(text + b" " * (-(begin + len(text)) % 8), np.uint8)


def read_annotations(
    header: SafetensorsHeader, load: Callable[[str], AnyArray], where: str, prefix: str
) -> Annotations | None:
    """Return what the tensors with this prefix hold; ``None`` if they are another's.

    ``load`` maps a tensor. Raises `FormatError` where they are damaged.
    """
    names = {
        name.removeprefix(prefix) for name in header.tensors if name.startswith(prefix)
    }
    offsets = _BOUNDS if _BOUNDS in names else _OFFSETS
    if not {_BYTES, offsets} <= names:
        return None
    tokens = PackedTokens(load(prefix + _BYTES), load(prefix + offsets), where=where)
    arrays = {
        name.removeprefix(_EXTRA): load(prefix + name)
        for name in sorted(names)
        if name.startswith(_EXTRA)
    }
    text = header.metadata.get(HEADER_METADATA, "{}").encode("utf-8", "surrogatepass")
    if METADATA in names:
        text = load(prefix + METADATA).tobytes()
    return Annotations(tokens, arrays, decode_metadata(text, where))
