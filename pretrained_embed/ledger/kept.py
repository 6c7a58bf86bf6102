"""Rows of an earlier matrix, kept for another vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Int64Array
from pretrained_embed.bits import Stored, replaced
from pretrained_embed.errors import OptionError
from pretrained_embed.ledger.coverage import Advice
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import OWN_CODES, OWN_FORMS, Origin, OriginArray
from pretrained_embed.vocabulary import Vocabulary


def kept_ids(old: Vocabulary, vocabulary: Vocabulary) -> Int64Array:
    """Return the row that each token has in an old vocabulary, int64 (rows,).

    -1 for a token without one. A pad token of one vocabulary matches only the pad of
    the other.
    """
    ids = old.token_rows.rows_of(vocabulary.packed)
    ids[vocabulary.holes] = -1
    asked = [pad for pad in (old.pad_token, vocabulary.pad_token) if pad is not None]
    ids[list(vocabulary.token_rows.find(asked).values())] = -1
    return ids


def missing(old: Vocabulary, vocabulary: Vocabulary) -> Vocabulary | None:
    """Return the tokens that an old vocabulary lacks; ``None`` if there are none."""
    needed = Ledger.blank(vocabulary).missing
    ids = needed[kept_ids(old, vocabulary)[needed] < 0]
    return vocabulary.part(ids) if len(ids) else None


@dataclass(frozen=True)
class Onto:
    """A source in front of all others, which has tokens unchanged.

    Its rows are never scaled, combined or changed. ``ledger`` has the kept rows of the
    new vocabulary; all others are UNUSED there.
    """

    vectors: Stored  # (rows of the matrix, dim)
    ledger: Ledger
    missing: BoolArray  # (rows,), tokens that it does not have
    more_forms: tuple[str, ...]  # that found kept rows and are not in the match chain
    source: dict[str, Any]  # its facts in the provenance

    @classmethod
    def of(
        cls,
        vectors: Stored,
        old: Ledger,
        name: str,
        vocabulary: Vocabulary,
        chain: Sequence[str],
        sources: int,
    ) -> Self:
        """Return the kept rows of a matrix called ``name`` for a vocabulary.

        ``chain`` are the names of the forms, and ``sources`` the number of sources for
        the other tokens. Raises `OptionError` for more forms than the ledger has codes.
        """
        blank = Ledger.blank(vocabulary).origin
        rows = kept_ids(old.vocabulary, vocabulary)
        kept = rows >= 0
        origin = np.where(blank == Origin.PAD, blank, np.uint8(Origin.UNUSED))
        origin[kept], more = _renumbered(old.origin[rows[kept]], old.match, chain)
        advice = None
        if old.advice is not None:
            found_by = np.zeros(len(vocabulary), np.uint32)
            found_by[kept] = old.advice.found_by[rows[kept]]
            advice = Advice(old.advice.forms, found_by)
        ledger = Ledger(
            vocabulary,
            origin,
            source_rows=rows,
            sources=np.where(kept, sources, -1),
            advice=advice,
        )
        source = {
            "name": name,
            "format": "matrix",
            "rows": len(old),
            "dim": vectors.shape[1],
            "digests": [
                {
                    "algorithm": "sha256",
                    "of": "its vectors",
                    "value": _digest(vectors),
                }
            ],
            "provenance": old.provenance,
        }
        return cls(vectors, ledger, (blank == Origin.OOV) & ~kept, tuple(more), source)

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.vectors.dim

    def put(self, rows: range, out: Float32Array) -> None:
        """Write the kept rows of a range into their places in ``out``."""
        theirs = self.ledger.source_rows[rows.start : rows.stop]
        kept = np.flatnonzero(theirs >= 0)
        out[kept] = self.vectors.take(theirs[kept]).numbers()

    def put_bits(self, rows: range, made: Stored) -> Stored:
        """Return the rows of a range, with the old bits of kept rows.

        Kept rows of another dtype are rounded like all others.
        """
        if made.encoding != self.vectors.encoding:
            return made
        theirs = self.ledger.source_rows[rows.start : rows.stop]
        kept = np.flatnonzero(theirs >= 0)
        return replaced(made, kept, self.vectors.take(theirs[kept]))

    def with_rest(
        self, rows: range, added: Int64Array, rest: Ledger | None, sources: int
    ) -> Ledger:
        """Return the ledger of a range, in which sources gave the rows ``added``.

        ``rest`` is the ledger of the added rows, if there are any; if rows are combined
        from ``sources``, each has a part.
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
        self, rest: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return the provenance of all rows, given the facts about the other rows."""
        forms = [*rest.get("kept_forms", ()), *self.more_forms]
        kept = {"kept_forms": forms} if forms else {}
        return {**rest, **kept, "sources": [*sources, self.source]}


def _digest(vectors: Stored) -> str:
    """Return the SHA-256 of the bits of vectors, then of their scales."""
    state = sha256()
    for array in (vectors.values[:], vectors.scales):
        if array is not None:
            state.update(np.ascontiguousarray(array).data.cast("B"))
    return state.hexdigest()


def _renumbered(
    codes: OriginArray, names: Sequence[str], known: Sequence[str]
) -> tuple[OriginArray, list[str]]:
    """Return codes of one ledger as codes of another, and the forms that it lacks.

    ``names`` are the forms of the first, ``known`` those of the other. Raises
    `OptionError` if together they have more forms than there are codes.
    """
    own = np.unique(codes[codes >= OWN_FORMS]).tolist()
    named = {code: Origin(code).label(names) for code in own}
    more = list(dict.fromkeys(name for name in named.values() if name not in known))
    forms = [*known, *more]
    if len(forms) > len(OWN_CODES):
        raise OptionError(
            f"the rows to keep and those to add are of {len(forms)} forms; the ledger "
            f"tells {len(OWN_CODES)} apart. Name fewer in match."
        )
    turned = np.arange(256, dtype=np.uint8)
    for code, name in named.items():
        turned[code] = OWN_FORMS + forms.index(name)
    return turned[codes], more
