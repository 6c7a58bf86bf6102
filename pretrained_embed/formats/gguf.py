"""The token embedding of a model of llama.cpp, with the tokens of its tokenizer.

::

    file   = "GGUF" version:uint32 tensors:uint64 entries:uint64
             *entry *info padding data
    entry  = string kind:uint32 value          kinds 0-7, 10-12 are numbers, 8 a string
    value  = number | string | kind:uint32 count:uint64 *value          9 is an array
    string = size:uint64 UTF-8
    info   = string dims:uint32 *(size:uint64) type:uint32 offset:uint64

Numbers are little-endian, sizes have the length of a row first, and the data begins at
a multiple of ``general.alignment``, by default 32. Read is ``token_embd.weight``, or
the tensor that the source names; its tokens are ``tokenizer.ggml.tokens``. F32, F16 and
BF16 are mapped; what is quantised is restored by the package ``gguf``, row by row.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import AnyArray, PackedTokens
from pretrained_embed.bits import Stored
from pretrained_embed.budget import OBJECT
from pretrained_embed.errors import FormatError, needing_package
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.local import (
    Cursor,
    array_bytes,
    budget_of,
    file_size,
    map_array,
    open_local,
)
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.table import HOLES, Rows
from pretrained_embed.formats.table_reader import TableReader

NAME = "gguf"

_VERSIONS, _ALIGNMENT = (2, 3), 32
_EMBEDDING, _TOKENS = "token_embd.weight", "tokenizer.ggml.tokens"
_KEPT = ("general.alignment", "general.architecture", "general.name", _TOKENS)
_STRING, _ARRAY = 8, 9
#: The size of a number of each kind in bytes.
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_DEEPEST, _LISTED = 4, 10
#: Types of tensors that numpy can hold, BF16 as its bits.
_PLAIN = {0: "<f4", 1: "<f2", 28: "<f8", 30: "<u2"}
_BF16 = 30


class _Tensor(NamedTuple):
    shape: tuple[int, ...]  # the last is the length of a row
    type: int
    offset: int  # in the data


def open_reader(stream: ByteStream) -> TableReader:
    """Open a model for reading.

    Raises `FormatError` if it is damaged or lacks the tensor or the tokens, and
    `MissingPackageError` if a tensor is quantised and ``gguf`` is not installed.
    """
    where = stream.name
    with open_local(stream) as file:
        size, budget = file_size(file), budget_of(stream, file)
        cursor = Cursor(map_array(file, np.uint8, (size,), 0).data, where, "the header")
        cursor.take(4)
        version = cursor.unsigned(4)
        if version not in _VERSIONS:
            raise cursor.damaged(f"version {version} is none that is read")
        tensors, entries = cursor.unsigned(8), cursor.unsigned(8)
        known: dict[str, Any] = {}
        for _ in range(entries):
            name, kind = _text(cursor), cursor.unsigned(4)
            value = _value(cursor, kind, _DEEPEST, keep=name in _KEPT)
            if name in _KEPT:
                known[name] = value
        found: dict[str, _Tensor] = {}
        for _ in range(tensors):
            budget.take(8 * OBJECT)
            name, dims = _text(cursor), cursor.unsigned(4)
            shape = tuple(cursor.unsigned(8) for _ in range(min(dims, 9)))
            found[name] = _Tensor(shape[::-1], cursor.unsigned(4), cursor.unsigned(8))
        alignment = known.get("general.alignment", _ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            raise cursor.damaged(f"an alignment of {alignment!r}")
        begin = cursor.at + -cursor.at % alignment
        asked = stream.fragment or _EMBEDDING
        if asked not in found or len(found[asked].shape) != 2:
            raise FormatError(
                f"{where}: no matrix {asked!r}; it holds "
                f"{', '.join([*found][:_LISTED]) or 'none'}"
            )
        tensor = found[asked]
        place = begin + tensor.offset
        rows, told = _rows(tensor, file, place, size, f"{where}, tensor {asked!r}")
    texts = known.get(_TOKENS)
    count = tensor.shape[0]
    if not isinstance(texts, list) or not 0 < len(texts) <= count:
        held = len(texts) if isinstance(texts, list) else 0
        raise FormatError(
            f"{where}: {held:,} tokens for the {count:,} rows of {asked!r}; of a model "
            "without its tokenizer take the folder that it was made of"
        )
    budget.take(count * OBJECT // 2)
    packed = PackedTokens.join([*texts, *[b""] * (count - len(texts))])
    holes = {HOLES: np.arange(len(texts), count)} if len(texts) < count else {}
    reader = TableReader(
        NAME,
        where,
        packed,
        rows,
        arrays=holes,
        notes=[Note("vectors.from", f"vectors from tensor {asked}"), *told],
    )
    facts = (("general.architecture", "model"), ("general.name", "title"))
    reader.facts = {
        name: known[key].decode("utf-8", "replace")
        for key, name in facts
        if isinstance(known.get(key), bytes)
    }
    return reader


def _rows(
    tensor: _Tensor, file: Any, place: int, size: int, where: str
) -> tuple[Rows, list[Note]]:
    """Return the rows of a tensor that begins at a position, and their facts."""
    count, dim = tensor.shape
    plain = _PLAIN.get(tensor.type)
    if plain is not None:
        width, dtype, shape = np.dtype(plain).itemsize, plain, tensor.shape
    else:
        with needing_package(f"{where}: a quantised tensor"):
            import gguf

        sizes = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
        if tensor.type not in sizes:
            raise FormatError(f"{where}: type {tensor.type} is not known")
        block, packed = sizes[tensor.type]
        if dim % block:
            raise FormatError(f"{where}: rows of {dim:,}, which {block} do not divide")
        width, dtype, shape = 1, "u1", (count, dim // block * packed)
        kind = gguf.GGMLQuantizationType(tensor.type)
        try:
            gguf.quants.dequantize(np.zeros((1, packed), np.uint8), kind)
        except NotImplementedError as error:
            raise FormatError(
                f"{where}: stored as {kind.name}, which the package gguf does not "
                "restore; make a file of it that is read: llama-quantize "
                "--allow-requantize MODEL.gguf NEW.gguf F16"
            ) from error
    if place + array_bytes(shape, width, where) > size:
        raise FormatError(f"{where}: it does not lie within the file; get it again")
    array = map_array(file, dtype, shape, place)
    if plain is None:
        note = Note("vectors.stored-as", f"stored as {kind.name}, restored")
        return _Quantised(array, kind, dim), [note]
    if tensor.type == _BF16:
        note = Note("vectors.stored-as", "stored as bfloat16")
        return Stored("bfloat16", array, None, dim, where), [note]
    return array, []


class _Quantised:
    """Rows that are dequantised on demand."""

    dtype = np.dtype(np.float32)

    def __init__(self, packed: AnyArray, kind: Any, dim: int) -> None:
        self._packed, self._kind = packed, kind
        self.shape = (len(packed), dim)

    def __getitem__(self, rows: slice) -> AnyArray:
        from gguf import quants

        with np.errstate(all="ignore"):
            restored: AnyArray = quants.dequantize(self._packed[rows], self._kind)
        return restored.astype(np.float32, copy=False).reshape(-1, self.shape[1])


def _text(cursor: Cursor) -> str:
    return bytes(cursor.take(cursor.unsigned(8))).decode("utf-8", "surrogateescape")


def _value(cursor: Cursor, kind: int, depth: int, *, keep: bool) -> Any:
    """Skip a value; return it if ``keep``: bytes, a number, or a list."""
    if kind == _STRING:
        held = cursor.take(cursor.unsigned(8))
        return bytes(held) if keep else None
    if kind in _WIDTHS:
        return cursor.unsigned(_WIDTHS[kind])
    if kind != _ARRAY or not depth:
        raise cursor.damaged(f"a value of kind {kind}")
    inner, count = cursor.unsigned(4), cursor.unsigned(8)
    if inner in _WIDTHS:
        cursor.take(_WIDTHS[inner] * count)
        return None
    if count > cursor.left:  # each takes eight bytes or more
        raise cursor.damaged(f"{count:,} values in {cursor.left:,} bytes")
    values: list[Any] | None = [] if keep else None
    for _ in range(count):
        value = _value(cursor, inner, depth - 1, keep=keep)
        if values is not None:
            values.append(value)
    return values
