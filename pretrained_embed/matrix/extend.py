"""A matrix for another vocabulary that keeps the rows of tokens it has."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from pretrained_embed.arrays import AnyArray, BoolArray, Int64Array
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError, brief
from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.origin import (
    OWN_CODES,
    OWN_FORMS,
    Origin,
    OriginArray,
    Part,
)
from pretrained_embed.matrix.part import part_of
from pretrained_embed.matrix.provenance import sources_of
from pretrained_embed.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pretrained_embed.matrix.embedding_matrix import EmbeddingMatrix


def missing(old: EmbeddingMatrix, vocabulary: Vocabulary) -> Vocabulary | None:
    """Return the tokens whose rows ``old`` does not have, if there are any."""
    ids = np.flatnonzero(_needed(vocabulary) & (_ids_in(old, vocabulary) < 0))
    return part_of(vocabulary, ids) if len(ids) else None


def extended(
    old: EmbeddingMatrix,
    vocabulary: Vocabulary,
    rest: EmbeddingMatrix | None,
    name: str,
) -> EmbeddingMatrix:
    """Return the matrix that `EmbeddingMatrix.extend` describes."""
    if rest is not None and rest.dim != old.dim:
        raise ShapeError(
            f"the rows to add have {rest.dim} dimensions, those to be kept {old.dim}"
        )
    theirs = _ids_in(old, vocabulary)
    kept = np.flatnonzero(theirs >= 0)
    added = np.flatnonzero(_needed(vocabulary) & (theirs < 0))
    giver = old if rest is None else rest  # the old one has none of these tokens
    ids = _ids_of(giver, vocabulary, added)

    def moved(array: AnyArray, otherwise: int = 0) -> AnyArray:
        """Return the rows to add at their places."""
        shape = (len(vocabulary), *array.shape[1:])
        there = np.full(shape, otherwise, array.dtype)
        there[added] = array[ids]
        return there

    vectors, origin = moved(giver.vectors), moved(giver.origin, Origin.UNUSED)
    source_rows, sources = moved(giver.source_rows, -1), moved(giver.sources, -1)
    provenance, known, parts = {}, [], []
    advised = [(old.advice and old.advice.of(theirs[kept]), kept)]
    if rest is not None:
        known = sources_of(rest.provenance)
        provenance = {k: v for k, v in rest.provenance.items() if k != "source"}
        parts = [
            Part(moved(part.origin, Origin.UNUSED), moved(part.source_rows, -1))
            for part in rest.parts
        ]
        advised.append((rest.advice and rest.advice.of(ids), added))
    chain = () if rest is None else rest.match
    codes, more = _renumbered(old.origin[theirs[kept]], old.match, chain)
    if more:
        provenance["kept_forms"] = [*provenance.get("kept_forms", ()), *more]
    vectors[kept], origin[kept] = old.vectors[theirs[kept]], codes
    source_rows[kept], sources[kept] = theirs[kept], len(known)
    if vocabulary.pad_id is not None:
        origin[vocabulary.pad_id] = Origin.PAD

    vectors.flags.writeable = False  # and so need not be copied
    return type(old)(
        vectors,
        vocabulary,
        origin,
        {**provenance, "sources": [*known, _as_source(old, name)]},
        None if rest is None else rest.findings,
        source_rows,
        sources,
        parts,
        Advice.of_rows(advised, origin == Origin.OOV),
    )


def _renumbered(
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


def _needed(vocabulary: Vocabulary) -> BoolArray:
    """Return which rows are not zeros for being pad or holes."""
    needed = np.ones(len(vocabulary), np.bool_)
    needed[vocabulary.holes] = False
    if vocabulary.pad_id is not None:
        needed[vocabulary.pad_id] = False
    return needed


def _ids_in(matrix: EmbeddingMatrix, vocabulary: Vocabulary) -> Int64Array:
    """Return the row of ``matrix`` for each row, -1 for none.

    What is padding in one of the two only is no token of the other.
    """
    ids = matrix.vocabulary.token_rows.rows_of(vocabulary.packed)
    ids[vocabulary.holes] = -1
    pads = (matrix.vocabulary.pad_token, vocabulary.pad_token)
    asked = [pad for pad in pads if pad is not None]
    ids[list(vocabulary.token_rows.find(asked).values())] = -1
    return ids


def _ids_of(
    rest: EmbeddingMatrix, vocabulary: Vocabulary, added: Int64Array
) -> Int64Array:
    ids = _ids_in(rest, vocabulary)[added]
    if (ids < 0).any():
        token = vocabulary.packed[int(added[ids < 0][0])]
        raise VocabularyError(
            f"no row for the token {brief(token)}: neither the matrix to extend has "
            "one nor what is to be added; build_matrix(..., extend=...) reads it from "
            "a source"
        )
    return ids


def _as_source(old: EmbeddingMatrix, name: str) -> dict[str, Any]:
    """Return what the provenance says of a matrix whose rows were kept."""
    digest = sha256(old.vectors.data.cast("B")).hexdigest()
    return {
        "name": name,
        "format": "matrix",
        "rows": len(old),
        "dim": old.dim,
        "digests": [{"algorithm": "sha256", "of": "its vectors", "value": digest}],
        "provenance": old.provenance,
    }
