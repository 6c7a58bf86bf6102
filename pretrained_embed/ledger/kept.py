"""Rows of a matrix that are kept for another vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Int64Array
from pretrained_embed.errors import OptionError, VocabularyError, brief
from pretrained_embed.ledger.coverage import Advice
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.ledger.origin import OWN_CODES, OWN_FORMS, Origin, OriginArray
from pretrained_embed.vocabulary import Vocabulary


def kept_ids(old: Vocabulary, vocabulary: Vocabulary) -> Int64Array:
    """Return the row that each token has in an old vocabulary, int64 (rows,).

    -1 where it has none. What is padding in one of the two only is no token of the
    other.
    """
    ids = old.token_rows.rows_of(vocabulary.packed)
    ids[vocabulary.holes] = -1
    asked = [pad for pad in (old.pad_token, vocabulary.pad_token) if pad is not None]
    ids[list(vocabulary.token_rows.find(asked).values())] = -1
    return ids


def needed(vocabulary: Vocabulary) -> BoolArray:
    """Return which rows are not zeros for being pad or holes, bool (rows,)."""
    rows = np.ones(len(vocabulary), np.bool_)
    rows[vocabulary.holes] = False
    if vocabulary.pad_id is not None:
        rows[vocabulary.pad_id] = False
    return rows


def missing(old: Vocabulary, vocabulary: Vocabulary) -> Vocabulary | None:
    """Return the tokens that an old vocabulary does not have, ``None`` for none."""
    ids = np.flatnonzero(needed(vocabulary) & (kept_ids(old, vocabulary) < 0))
    return vocabulary.part(ids) if len(ids) else None


def _check_there(vocabulary: Vocabulary, added: Int64Array, ids: Int64Array) -> None:
    """Raise `VocabularyError` naming a token to be added whose row is not there."""
    if (ids < 0).any():
        token = vocabulary.packed[int(added[ids < 0][0])]
        raise VocabularyError(
            f"no row for the token {brief(token)}: neither the matrix to extend has "
            "one nor what is to be added; build_matrix(..., onto=...) reads it from "
            "a source"
        )


def extended(
    vocabulary: Vocabulary,
    old: Ledger,
    rest: Ledger | None,
    source: dict[str, Any],
) -> tuple[Ledger, Int64Array, Int64Array]:
    """Return the ledger of rows that are in ``old`` and, else, in ``rest``.

    And the row that each is of ``old``, and of ``rest``, both int64 (rows,), -1 for
    none. ``source`` is what the provenance says of ``old``, see `as_source`; it comes
    after the sources of ``rest``. Raises `VocabularyError` naming a token that neither
    has, and `OptionError` for forms that the codes do not tell apart.
    """
    theirs = kept_ids(old.vocabulary, vocabulary)
    kept = np.flatnonzero(theirs >= 0)
    added = np.flatnonzero(needed(vocabulary) & (theirs < 0))
    giver = old if rest is None else rest  # the old one has none of these tokens
    ids = kept_ids(giver.vocabulary, vocabulary)[added]
    _check_there(vocabulary, added, ids)
    others = np.full(len(vocabulary), -1)
    others[added] = ids
    known = [] if rest is None else rest.source_facts
    provenance: dict[str, Any] = {}
    if rest is not None:
        provenance = {k: v for k, v in rest.provenance.items() if k != "source"}
    chain = () if rest is None else rest.match
    codes, more = renumbered(old.origin[theirs[kept]], old.match, chain)
    if more:
        provenance["kept_forms"] = [*provenance.get("kept_forms", ()), *more]

    whole = _without(vocabulary).with_rows(added, giver, ids)
    parts = () if rest is None else rest.parts
    origin, sources = whole.origin.copy(), whole.sources.copy()
    source_rows = whole.source_rows.copy()
    origin[kept], sources[kept], source_rows[kept] = codes, len(known), theirs[kept]
    advised = [(old.advice and old.advice.of(theirs[kept]), kept)]
    if rest is not None:
        advised.append((rest.advice and rest.advice.of(ids), added))
    ledger = Ledger(
        vocabulary,
        origin,
        {**provenance, "sources": [*known, source]},
        None if rest is None else rest.findings,
        source_rows,
        sources,
        [_without(vocabulary, pad=False).with_rows(added, part, ids) for part in parts],
        Advice.of_rows(advised, origin == Origin.OOV),
    )
    return ledger, theirs, others


def _without(vocabulary: Vocabulary, *, pad: bool = True) -> Ledger:
    """Return the ledger of rows that nothing is known of, not even of the pad."""
    origin = np.full(len(vocabulary), Origin.UNUSED, np.uint8)
    if pad and vocabulary.pad_id is not None:
        origin[vocabulary.pad_id] = Origin.PAD
    return Ledger(vocabulary, origin)


def renumbered(
    codes: OriginArray, names: Sequence[str], known: Sequence[str]
) -> tuple[OriginArray, list[str]]:
    """Return codes of one ledger as codes of another, and what forms that one lacks.

    ``names`` are the forms of the one, ``known`` those of the other. Raises
    `OptionError` if together there are more of them than codes.
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


def as_source(ledger: Ledger, vectors: Float32Array, name: str) -> dict[str, Any]:
    """Return what a provenance says of a matrix whose rows were kept."""
    digest = sha256(vectors.data.cast("B")).hexdigest()
    return {
        "name": name,
        "format": "matrix",
        "rows": len(ledger),
        "dim": vectors.shape[1],
        "digests": [{"algorithm": "sha256", "of": "its vectors", "value": digest}],
        "provenance": ledger.provenance,
    }
