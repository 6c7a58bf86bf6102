"""Rows of an earlier matrix, kept for another vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Int64Array
from pretrained_embed.ledger import Advice, Ledger, Origin
from pretrained_embed.ledger.kept import as_source, kept_ids, needed, renumbered
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary


@dataclass(frozen=True)
class Onto:
    """A source in front of all others, which has tokens as they stand.

    It gives whole rows: nothing scales them, puts them together or changes them.
    ``ledger`` tells of the rows of the new vocabulary that are kept; all others are
    UNUSED there.
    """

    vectors: Float32Array  # (rows of the matrix, dim)
    ledger: Ledger
    missing: BoolArray  # (rows,), tokens that it does not have
    more_forms: tuple[str, ...]  # which found kept rows and are not in the match chain
    source: dict[str, Any]  # what the provenance says of it

    @classmethod
    def of(
        cls,
        matrix: EmbeddingMatrix,
        name: str,
        vocabulary: Vocabulary,
        chain: Sequence[str],
        sources: int,
    ) -> Self:
        """Return the rows that a matrix called ``name`` has for a vocabulary.

        ``chain`` are the names of the forms, and ``sources`` the number of the sources,
        which are asked for other tokens; if there are such. Raises `OptionError` for
        more forms than the ledger has codes.
        """
        rows = kept_ids(matrix.vocabulary, vocabulary)
        kept = rows >= 0
        missing = needed(vocabulary) & ~kept
        if not missing.any():
            chain, sources = (), 0
        old = matrix.ledger
        origin = np.full(len(vocabulary), Origin.UNUSED, np.uint8)
        origin[kept], more = renumbered(old.origin[rows[kept]], old.match, chain)
        advice = None
        if old.advice is not None:
            found_by = np.zeros(len(vocabulary), np.uint32)
            found_by[kept] = old.advice.found_by[rows[kept]]
            advice = Advice(old.advice.forms, found_by)
        if vocabulary.pad_id is not None:
            origin[vocabulary.pad_id] = Origin.PAD
        ledger = Ledger(
            vocabulary,
            origin,
            source_rows=rows,
            sources=np.where(kept, sources, -1),
            advice=advice,
        )
        source = as_source(old, matrix.vectors, name)
        return cls(matrix.vectors, ledger, missing, tuple(more), source)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self.vectors.shape[1])

    def put(self, rows: range, out: Float32Array) -> None:
        """Write the rows of a range that are kept, each at its place in ``out``."""
        theirs = self.ledger.source_rows[rows.start : rows.stop]
        kept = np.flatnonzero(theirs >= 0)
        out[kept] = self.vectors[theirs[kept]]

    def with_rest(
        self, rows: range, added: Int64Array, rest: Ledger | None, sources: int
    ) -> Ledger:
        """Return the ledger of a range, of which sources gave ``added``.

        ``rest`` is the ledger of those, if there are any; where rows are put together
        of ``sources``, each has a part.
        """
        mine = self.ledger[rows.start : rows.stop]
        advised = [(mine.advice, np.arange(len(rows)))]
        nothing = Ledger(mine.vocabulary, np.full(len(rows), Origin.UNUSED, np.uint8))
        parts = [nothing] * sources
        whole = mine
        if rest is not None:
            every = np.arange(len(added))
            whole = mine.with_rows(added, rest, every)
            advised.append((rest.advice, added))
            parts = [nothing.with_rows(added, part, every) for part in rest.parts]
        return Ledger(
            whole.vocabulary,
            whole.origin,
            source_rows=whole.source_rows,
            sources=whole.sources,
            parts=parts,
            advice=Advice.of_rows(advised, whole.origin == Origin.OOV),
        )

    def provenance(
        self, rest: Mapping[str, Any], sources: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """Return how to make all rows again, given what there is to say of the rest."""
        forms = {"kept_forms": [*self.more_forms]} if self.more_forms else {}
        return {**rest, **forms, "sources": [*sources, self.source]}
