"""Vectors of spaCy's default mode: a row for each key, which several may share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Int64Array,
    PackedTokens,
    Progress,
)
from pretrained_embed.budget import OBJECT, Budget
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.spacy.keys import KeyRows, keys_of
from pretrained_embed.formats.spacy.symbols import NAMES
from pretrained_embed.formats.table_reader import TableReader

_ROWS_AT_ONCE = 4096


def table_reader(
    format: str,
    name: str,
    matrix: AnyArray,
    key_rows: KeyRows,
    strings: Sequence[str],
    budget: Budget,
) -> TableReader:
    """Return a reader of the tokens whose keys are those of known strings.

    Raises `FormatError` where a key has a row that is none of the matrix, and where
    the tokens are more than the ``budget`` allows.
    """
    keys, rows = key_rows
    if rows.max(initial=0) >= len(matrix):
        raise FormatError(
            f"{name}: a key has row {rows.max():,}, the matrix has {len(matrix):,}; "
            "the files do not belong together"
        )
    known = [text.encode("utf-8", "surrogatepass") for text in (*NAMES, *strings)]
    their_keys = keys_of(known)
    order = np.argsort(their_keys, kind="stable")
    places = np.searchsorted(their_keys, keys, sorter=order)
    places[places == len(order)] = 0
    names = order[places]
    named = np.flatnonzero(their_keys[names] == keys)
    lengths = np.array([len(string) for string in known], np.int64)
    budget.take(int(lengths[names[named]].sum()) + len(named) * OBJECT)
    tokens = PackedTokens.join([known[place] for place in names[named].tolist()])
    shared = rows[named].astype(np.int64)
    notes = []
    if len(named) < len(keys):
        notes.append(
            f"{len(keys) - len(named):,} of {len(keys):,} keys belong to no known "
            "string and were left out"
        )
    unused = len(matrix) - len(np.unique(shared))
    if unused:
        notes.append(f"{unused:,} of {len(matrix):,} rows have no token")
    return SharingReader(format, name, tokens, SharedRows(matrix, shared), notes)


class SharedRows:
    """Rows of a matrix, some of them several times. See `Rows`."""

    def __init__(self, matrix: AnyArray, rows: Int64Array) -> None:
        self.matrix = matrix
        self.rows = rows
        self.shape = len(rows), matrix.shape[1]
        self.dtype = matrix.dtype

    def __getitem__(self, rows: slice) -> AnyArray:
        """Return some consecutive rows."""
        chosen: AnyArray = self.matrix[self.rows[rows]]
        return chosen


class SharingReader(TableReader):
    """Reads tokens of which several may share a row."""

    def __init__(
        self,
        format: str,
        name: str,
        tokens: PackedTokens,
        vectors: SharedRows,
        notes: Sequence[str],
    ) -> None:
        super().__init__(format, name, tokens, vectors, notes=notes)
        self.facts = {"mode": "default", "distinct_rows": len(vectors.matrix)}
        self._shared = vectors

    def _gather(
        self, source_rows: Int64Array, out: Float32Array, progress: Progress | None
    ) -> None:
        """Copy the rows found, and no others."""
        targets = np.flatnonzero(source_rows >= 0)
        rows = self._shared.rows[source_rows[targets]]
        for start in range(0, len(targets), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            with np.errstate(over="ignore", invalid="ignore"):
                out[targets[part]] = self._shared.matrix[rows[part]]
            if progress is not None:
                progress(min(part.stop, len(targets)), len(targets))
