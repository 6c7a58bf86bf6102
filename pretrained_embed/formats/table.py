"""A table: all tokens and vectors in matching order, and parts of it.

An array of a table has one entry for each row if its last axis is as long as the table;
`HOLES` lists rows, counted from the table's first. Any other array is not changed when
rows are cut from the table.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple, NoReturn, Protocol

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    joined,
)
from pretrained_embed.bits import Stored
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, WriteError

#: The name of the extra array (int64, ascending) of the rows without a token, which
#: differ from the row of the empty token.
HOLES = "holes"

#: The metadata key for the part of a matrix that is in a shard's file.
SHARD = "shard"

_PIECE_BYTES = 1 << 24
_JOINED_BYTES = 1 << 26  # that are copied at a time when files are joined
_FLOATS = (np.float16, np.float32, np.float64)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Rows(Protocol):
    """Vectors as they are stored: an array, which may be mapped, or a data set."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, dim)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The stored dtype of the numbers."""

    def __getitem__(self, rows: slice, /) -> AnyArray:
        """Return some consecutive rows."""


class JoinedRows:
    """Rows of several files in order, as `Rows`."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(part.shape[0] for part in parts)]).tolist()
        self.shape: tuple[int, ...] = (self._starts[-1], *parts[0].shape[1:])
        self.dtype: np.dtype[Any] = np.result_type(*(part.dtype for part in parts))

    def __getitem__(self, rows: slice) -> AnyArray:
        """Return some consecutive rows, mapped if one file has them."""
        start, stop, _ = rows.indices(self.shape[0])
        place = max(0, bisect_right(self._starts, start, hi=len(self._parts)) - 1)
        if stop <= self._starts[place + 1]:
            begin = self._starts[place]
            return self._parts[place][start - begin : max(start, stop) - begin]
        joined = np.empty((stop - start, *self.shape[1:]), self.dtype)
        row_bytes = max(1, joined.nbytes // len(joined))
        step = max(1, _JOINED_BYTES // row_bytes)
        at = start
        while at < stop:  # piece by piece: reading may be needed
            begin = self._starts[place]
            end = min(at + step, stop, self._starts[place + 1])
            joined[at - start : end - start] = self._parts[place][
                at - begin : end - begin
            ]
            at = end
            place += at == self._starts[place + 1]
        joined.flags.writeable = False  # it is not shared, so it need not be copied
        return joined


class Table(NamedTuple):
    """All tokens and vectors, with arrays and metadata.

    Examples
    --------
    >>> table = read_table(stream)  # doctest: +SKIP
    >>> table.vectors.shape == (len(table.tokens), 50)  # doctest: +SKIP
    True
    """

    tokens: PackedTokens
    # (rows, dim); may be mapped from a file, read-only. Vectors to be written may also
    # be float16 or float64. If the file keeps another dtype, they are a `Stored`.
    vectors: Float32Array | Stored
    arrays: dict[str, AnyArray]  # numbers only; see HOLES
    metadata: dict[str, Any]  # JSON-compatible values


class Annotations(NamedTuple):
    """The content of a table besides its vectors, which may come later.

    As in `Table`.
    """

    tokens: PackedTokens
    arrays: Mapping[str, AnyArray]
    metadata: Mapping[str, Any]


def check_table(table: Table) -> None:
    """Raise `WriteError` if the table would not read back unchanged."""
    vectors = table.vectors
    shape = vectors.shape
    if len(shape) != 2 or vectors.dtype not in _FLOATS or 0 in shape:
        raise WriteError(
            f"vectors are {vectors.dtype} of shape {vectors.shape}; a table holds "
            "floats (rows, dim) of 16, 32 or 64 bits, at least one of each"
        )
    check_annotations(
        Annotations(table.tokens, table.arrays, table.metadata), len(vectors)
    )


def check_annotations(annotations: Annotations, rows: int) -> None:
    """Raise `WriteError` if they would not read back unchanged for these rows."""
    tokens, arrays, _ = annotations
    if len(tokens) != rows:
        raise WriteError(
            f"{len(tokens):,} tokens for {rows:,} vectors; a table holds one token "
            "for each vector"
        )
    for name, array in arrays.items():
        if not _NAME.fullmatch(name):
            raise WriteError(
                f"array name {name!r}: use ASCII letters, digits and _, a letter first"
            )
        if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
            raise WriteError(
                f"array {name!r} is {array.dtype}; a table holds arrays of plain "
                "numbers only"
            )
    try:
        check_holes(tokens, arrays, "table")
    except FormatError as error:
        raise WriteError(str(error)) from error


def check_holes(
    tokens: PackedTokens, arrays: Mapping[str, AnyArray], where: str
) -> Int64Array:
    """Return the rows without a token, or raise `FormatError`."""
    holes = arrays.get(HOLES, np.empty(0, np.int64))
    fine = holes.ndim == 1 and holes.dtype == np.int64
    if fine and len(holes):
        fine = bool(
            holes[0] >= 0
            and holes[-1] < len(tokens)
            and np.all(holes[1:] > holes[:-1])
            and np.all(tokens.offsets[holes] == tokens.offsets[holes + 1])
        )
    if not fine:
        raise FormatError(
            f"{where}: array {HOLES!r} does not list, in ascending order, rows whose "
            "token is empty"
        )
    return holes


def refuse_holes(arrays: Mapping[str, AnyArray], format: str) -> None:
    """Raise `WriteError` if a row has no token, for formats that require one."""
    holes = arrays.get(HOLES)
    if holes is not None and len(holes):
        raise WriteError(
            f"row {holes[0]:,} has no token, and {format} has no row without one: all "
            "rows after it would move. Write .npz, .h5 or .safetensors instead."
        )


def encode_metadata(metadata: Mapping[str, Any]) -> bytes:
    """Return the metadata as JSON: ASCII, sorted, the same bytes for equal ones."""
    import json

    try:
        text = json.dumps(
            metadata, sort_keys=True, allow_nan=False, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise WriteError(f"the metadata does not fit into JSON: {error}") from error
    return text.encode("ascii")


def decode_metadata(raw: bytes, where: str) -> dict[str, Any]:
    """Return the metadata written by `encode_metadata`, or raise `FormatError`."""
    import json

    with refusing_damage(where, "the metadata is not JSON"):
        metadata = json.loads(raw, parse_constant=_refuse_constant)
    if not isinstance(metadata, dict):
        raise FormatError(f"{where}: the metadata is not a JSON object")
    return metadata


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def in_pieces(array: AnyArray) -> Iterator[memoryview]:
    """Yield the bytes of an array in C order, without a copy of all."""
    if not array.size:
        return
    rows = array.reshape(1) if not array.ndim else array
    step = max(1, _PIECE_BYTES * len(rows) // array.nbytes)
    for start in range(0, len(rows), step):
        yield np.ascontiguousarray(rows[start : start + step]).data.cast("B")


def write_array(file: BinaryIO, array: AnyArray) -> None:
    """Write the bytes of an array, little-endian, in C order; raises `OSError`."""
    for piece in in_pieces(array.astype(array.dtype.newbyteorder("<"), copy=False)):
        file.write(piece)


Arrays = Mapping[str, AnyArray]

#: Returns the wanted consecutive rows for a number of rows.
Span = Callable[[int], range]


class TablePart(NamedTuple):
    """Some consecutive rows of a table.

    Examples
    --------
    >>> part = read_part(stream, lambda rows: range(10))  # doctest: +SKIP
    >>> part.start, len(part.table.tokens)  # doctest: +SKIP
    (0, 10)
    """

    table: Table  # of these rows only, which may be none
    start: int  # the row of the whole table that is the first of them
    rows: int  # of the whole table


def bounds(rows: int, parts: int) -> list[tuple[int, int]]:
    """Return where each part begins and ends; their lengths differ by at most 1.

    >>> bounds(8, 3)
    [(0, 2), (2, 5), (5, 8)]
    """
    cuts = [rows * part // parts for part in range(parts + 1)]
    return list(pairwise(cuts))


def cut_arrays(arrays: Arrays, rows: int, start: int, stop: int) -> dict[str, Any]:
    """Return the arrays of a table for some of its rows."""
    cut = dict(arrays)
    for name, array in arrays.items():
        if name == HOLES:
            low, high = np.searchsorted(array, (start, stop))
            cut[name] = array[low:high] - start
        elif array.ndim and array.shape[-1] == rows:
            cut[name] = array[..., start:stop]
    return cut


def check_cuttable(arrays: Arrays, rows: int) -> None:
    """Raise `WriteError` for an array that cannot be cut together with the rows."""
    for name, array in arrays.items():
        if name != HOLES and not (array.ndim and array.shape[-1] == rows):
            raise WriteError(
                f"array {name!r} has shape {array.shape}, not one entry for each of "
                f"{rows:,} rows, and cannot be cut with them; write one file instead"
            )


def join_annotations(
    parts: Sequence[Annotations], where: str
) -> tuple[PackedTokens, dict[str, AnyArray]]:
    """Return tokens and arrays of consecutive parts as those of one.

    Raises `FormatError` if the parts have different arrays.
    """
    if len(parts) == 1:
        return parts[0].tokens, dict(parts[0].arrays)
    starts = np.cumsum([0, *(len(part.tokens) for part in parts)])
    whole = {}
    for name in sorted({name for part in parts for name in part.arrays}):
        if name == HOLES:
            held = [part.arrays.get(HOLES, np.empty(0, np.int64)) for part in parts]
            pieces = [h + start for h, start in zip(held, starts, strict=False)]
        else:
            try:
                pieces = [part.arrays[name] for part in parts]
            except KeyError as error:
                raise FormatError(
                    f"{where}: array {name!r} is there for some rows only"
                ) from error
        shapes = {(piece.dtype.str, piece.shape[:-1]) for piece in pieces}
        if len(shapes) != 1:
            raise FormatError(
                f"{where}: array {name!r} is not of one kind in all its shards"
            )
        whole[name] = np.concatenate(pieces, axis=-1)
    return joined([part.tokens for part in parts]), whole
