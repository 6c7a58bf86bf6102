"""Some consecutive rows of a matrix, without the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pretrained_embed.arrays import Float32Array, Int16Array, Int64Array, PackedTokens
from pretrained_embed.errors import FormatError, VocabularyError
from pretrained_embed.formats import HOLES, Part
from pretrained_embed.matrix.origin import Origin, OriginArray
from pretrained_embed.matrix.saved_ledger import DEFAULT_PAD, SavedLedger, read_ledger


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingShard:
    """Consecutive rows of a matrix: those of the ids from ``start`` to ``stop`` - 1.

    Ids are those of the whole matrix, which has ``rows``; row ``i`` here is that of id
    ``start + i``. ``vectors`` is float32 (stop - start, dim), read-only, and mapped
    where it lies in one file just so. ``origin``, ``sources`` and ``source_rows``,
    (stop - start,), are the row ledger as in `EmbeddingMatrix`, ``provenance`` that of
    the whole. A shard may have no row.

    It has tokens, and no `Vocabulary`: texts are encoded with that of the whole.
    """

    vectors: Float32Array
    start: int
    rows: int
    packed_tokens: PackedTokens
    holes: Int64Array  # rows here that no token has, rising
    origin: OriginArray
    source_rows: Int64Array
    sources: Int16Array
    provenance: dict[str, Any]

    @property
    def stop(self) -> int:
        """The id after the last."""
        return self.start + len(self)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows here, dim)."""
        return self.vectors.shape[0], self.vectors.shape[1]

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.shape[1]

    @property
    def pad_id(self) -> int | None:
        """The id of the pad token, if its row is here."""
        found = np.flatnonzero(self.origin == Origin.PAD)
        return self.start + int(found[0]) if len(found) else None

    @cached_property
    def tokens(self) -> tuple[str | None, ...]:
        """The tokens of the rows; ``None`` is a hole."""
        tokens: list[str | None] = [*self.packed_tokens.unpack()]
        for hole in self.holes.tolist():
            tokens[hole] = None
        return tuple(tokens)

    def lookup(self, ids: npt.ArrayLike) -> Float32Array:
        """Return the vectors of ids: float32, the shape of ``ids`` plus (dim,).

        Raises `VocabularyError` for an id whose row is not here.
        """
        wanted = np.asarray(ids)
        if wanted.dtype.kind not in "iu" and wanted.size:
            raise VocabularyError(f"ids are {wanted.dtype}; whole numbers are needed")
        wrong = (wanted < self.start) | (wanted >= self.stop)
        if wrong.any():
            raise VocabularyError(
                f"id {int(wanted[wrong][0])} is not in this shard, which has rows "
                f"{self.start}:{self.stop} of {self.rows}"
            )
        found: Float32Array = self.vectors[wanted.astype(np.int64) - self.start]
        return found

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return (
            f"<EmbeddingShard {self.shape[0]:,} x {self.dim}: rows {self.start}:"
            f"{self.stop} of {self.rows}>"
        )


def shard_of(part: Part, name: str) -> EmbeddingShard:
    """Return the shard that is a part of a table; ``name`` is for messages.

    Of a table that another tool wrote every token counts as found, a ``<pad>`` whose
    row is zeros is the pad, and rows stand as they do there. Raises `FormatError` as
    `from_table` does.
    """
    table = part.table
    holes = table.arrays.get(HOLES, np.empty(0, np.int64))
    own = "pretrained_embed" in table.metadata
    ledger = read_ledger(table, name) if own else _found(part, holes, name)
    sources = ledger.sources
    if sources is None:  # one at most
        sources = np.where(ledger.source_rows >= 0, 0, -1).astype(np.int16)
    for array in (ledger.origin, ledger.source_rows, sources):
        if array.shape != (len(table.vectors),):
            raise FormatError(
                f"{name}: the row ledger has shape {array.shape} for "
                f"{len(table.vectors):,} rows"
            )
    if table.vectors[ledger.origin == Origin.PAD].any():
        raise FormatError(f"{name}: the row of the pad token is not zeros")
    vectors = table.vectors[:]
    vectors.flags.writeable = False
    return EmbeddingShard(
        vectors,
        part.start,
        part.rows,
        table.tokens,
        holes,
        ledger.origin,
        ledger.source_rows,
        sources,
        ledger.provenance,
    )


def _found(part: Part, holes: Int64Array, name: str) -> SavedLedger:
    """Return the ledger of rows all of whose tokens count as found."""
    table = part.table
    rows = len(table.tokens)
    origin = np.full(rows, Origin.EXACT, np.uint8)
    origin[holes] = Origin.UNUSED
    source_rows = np.arange(part.start, part.start + rows)
    source_rows[holes] = -1
    tokens = table.tokens.unpack()
    if DEFAULT_PAD in tokens and not table.vectors[tokens.index(DEFAULT_PAD)].any():
        origin[tokens.index(DEFAULT_PAD)] = Origin.PAD
    provenance = {"source": {"name": name}}
    return SavedLedger(origin, source_rows, None, [], provenance)
