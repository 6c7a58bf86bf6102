"""The tensors that make a table of this package in a safetensors file.

::

    embedding.weight  floats  (rows, dim)  the vectors
    token_bytes       uint8                all tokens, UTF-8, one after the other
    token_offsets     int64   (rows + 1,)  where each begins and the last ends
    array_NAME        numbers              any other array that belongs to the table
    metadata          uint8                a JSON object, spaces behind it

The metadata is in the header instead, under the key ``pretrained_embed``, where it was
known before the vectors were. All names may have one prefix. ``embedding.weight`` is
the name that sentence-transformers' ``StaticEmbedding`` looks for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens, UInt8Array
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

_BYTES, _OFFSETS, _EXTRA = "token_bytes", "token_offsets", "array_"


def prefix_of(header: SafetensorsHeader) -> str:
    """Return the prefix of the one table that a file holds; ``""`` if it has none."""
    found = [name for name in header.tensors if name.endswith(_OFFSETS)]
    return found[0].removesuffix(_OFFSETS) if len(found) == 1 else ""


def tensors_of(annotations: Annotations) -> Tensors:
    """Return the tensors of tokens and arrays, in no order that would matter."""
    tokens, arrays, _ = annotations
    extra = {_EXTRA + name: array for name, array in arrays.items()}
    return {_BYTES: tokens.data, _OFFSETS: tokens.offsets, **extra}


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
    if not {_BYTES, _OFFSETS} <= names:
        return None
    tokens = PackedTokens(load(prefix + _BYTES), load(prefix + _OFFSETS), where=where)
    arrays = {
        name.removeprefix(_EXTRA): load(prefix + name)
        for name in sorted(names)
        if name.startswith(_EXTRA)
    }
    text = header.metadata.get(HEADER_METADATA, "{}").encode("utf-8", "surrogatepass")
    if METADATA in names:
        text = load(prefix + METADATA).tobytes()
    return Annotations(tokens, arrays, decode_metadata(text, where))
