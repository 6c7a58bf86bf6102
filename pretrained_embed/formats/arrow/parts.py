"""A table in parts: row groups of Parquet, record batches of Arrow.

Its tokens are read first, and the vectors of those parts alone that have rows which are
wanted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pretrained_embed.arrays import AnyArray, Int64Array, PackedTokens
from pretrained_embed.formats.arrow.batches import Columns, choose, choose_tokens
from pretrained_embed.formats.arrow.own_columns import KEY, TOKEN, VECTOR, Content

#: Bytes of the vectors that are made at a time, about.
BLOCK_BYTES = 1 << 22

#: Yields the vectors of a part in order, (k, dim) at a time.
Blocks = Callable[[int], Iterator[AnyArray]]


class Parts(ABC):
    """An open table. What its bytes say of themselves is checked."""

    where: str  # the file, for messages
    bounds: Int64Array  # (parts + 1,) the row at which each part begins, and the end
    dim: int
    dtype: np.dtype[Any]  # of the numbers
    columns: Columns
    own: Content | None = None  # where it is one of ours

    @abstractmethod
    def tokens(self) -> tuple[PackedTokens, Int64Array]:
        """Return the tokens of all rows, and the rows that have none, rising."""

    @abstractmethod
    def numbers(self, names: list[str]) -> dict[str, AnyArray]:
        """Return columns of numbers, by name, of all rows."""

    def _choose(
        self, schema: Any, token: str | None, vector: str | None, *, alone: bool
    ) -> Columns:
        """Return the columns to read, and find out whether the table is ours.

        The tokens may be wanted ``alone``.
        """
        if alone:
            return choose_tokens(schema, self.where, token)
        raw = (schema.metadata or {}).get(KEY)
        if raw is not None and token is None and vector is None:
            own = Content(raw, self.where)
            if {TOKEN, VECTOR} <= {*schema.names}:
                self.own = own
                token, vector = TOKEN, VECTOR
                if not {*own.columns} <= {*schema.names}:  # somebody took some out
                    own.forget_arrays()
        columns = choose(schema, self.where, token, vector)
        return columns if self.own is None else columns._replace(notes=())

    @abstractmethod
    def reader(self) -> Blocks:
        """Return what yields vectors; a thread has one for itself."""

    def close(self) -> None:  # noqa: B027  (what is in memory holds nothing open)
        """Release what is held open."""


class PartedRows:
    """The vectors of a table in parts, as rows; see `table.Rows`."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.shape = int(parts.bounds[-1]), parts.dim
        self.dtype = parts.dtype

    def __getitem__(self, rows: slice, /) -> AnyArray:
        """Return some consecutive rows, as a new array."""
        start, stop, _ = rows.indices(self.shape[0])
        out = np.empty((max(0, stop - start), self.shape[1]), self.dtype)
        self.copy(start, out)
        return out

    def copy(self, start: int, out: AnyArray) -> None:
        """Fill ``out`` with the rows from ``start`` on."""
        bounds, stop, blocks = self.parts.bounds, start + len(out), self.parts.reader()
        first = max(0, int(np.searchsorted(bounds, start, "right")) - 1)
        for part in range(first, int(np.searchsorted(bounds, stop, "left"))):
            at = int(bounds[part])
            with np.errstate(over="ignore", invalid="ignore"):
                for block in blocks(part):
                    low, high = max(start, at), min(stop, at + len(block))
                    if low < high:
                        out[low - start : high - start] = block[low - at : high - at]
                    at += len(block)
                    if at >= stop:
                        break
