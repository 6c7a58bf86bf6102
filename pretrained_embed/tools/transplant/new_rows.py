"""How each row of the new table is made, independent of the values of the old one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

import pretrained_embed as pe
from pretrained_embed.arrays import Float64Array, Int64Array, UInt8Array
from pretrained_embed.errors import OptionError, ShapeError, brief, commas, suggestion
from pretrained_embed.library import Library
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.transplant import blends
from pretrained_embed.tools.transplant.saved_model import (
    Stored,
    from_float64,
    to_float64,
)
from pretrained_embed.tools.transplant.tokenizer import ModelTokenizer
from pretrained_embed.vocabulary.markers import TokenText, marker_of

#: The methods for a token that is not shared, besides the mean.
METHODS = ("pieces", "omp", "similarity", "mean")

_ROWS = 4096


class RowStart(IntEnum):
    """How a row of the new table was made; one code for each row.

    Examples
    --------
    >>> made.start == RowStart.COPIED  # doctest: +SKIP
    """

    SHARED = 0  # the row of the same token, bit for bit
    SPECIAL = 1  # the row of the token that ``special`` names, or has the same part
    PIECES = 2  # the mean of the old tokens that its text consists of
    SIMILARITY = 3  # a weighted mean of shared tokens near to it in static vectors
    MEAN = 4  # the mean of all old tokens
    OMP = 5  # a sum of shared tokens, by orthogonal matching pursuit
    OWN = 6  # the vector that ``override`` has
    PADDING = 7  # no token has this row, which makes the table a round number of rows


@dataclass
class NewRows:
    """Which old rows make each new row."""

    start: UInt8Array  # (new rows,), codes of `RowStart`
    copied: dict[int, int] = field(default_factory=dict)  # new id to old id
    blended: dict[int, tuple[Int64Array, Float64Array]] = field(default_factory=dict)
    own: dict[int, Float64Array] = field(default_factory=dict)  # of the input table
    match_norms: bool = False

    def apply(
        self, table: Stored, dtype: str, old_ids: list[int], *, own: bool = False
    ) -> Stored:
        """Return the new table (new rows, dim) of an old one (old rows, dim).

        ``old_ids`` are the rows for the mean, since a table may have rows without
        tokens. With ``own`` the user's own rows go into this table.
        """
        new = np.empty((len(self.start), table.shape[1]), table.dtype)
        new[list(self.copied)] = table[list(self.copied.values())]
        # Row by row: the number of old rows differs, and vectorising it was slower.
        for row, (ids, weights) in self.blended.items():
            new[row] = self._blend(to_float64(table[ids], dtype), weights, dtype)
        made = [*self.copied, *self.blended]
        means = np.setdiff1d(np.arange(len(new)), np.array(made, np.int64))
        if len(means):
            total, norms = np.zeros(table.shape[1]), 0.0
            for begin in range(0, len(old_ids), _ROWS):
                rows = to_float64(table[old_ids[begin : begin + _ROWS]], dtype)
                total += rows.sum(0)
                norms += float(np.linalg.norm(rows, axis=1).sum())
            mean = total / len(old_ids)
            if self.match_norms and table.shape[1] > 1:
                mean = _of_norm(mean, norms / len(old_ids))
            new[means] = from_float64(mean[None], dtype)
        if own:
            for row, vector in self.own.items():
                new[row] = from_float64(vector[None], dtype)[0]
        return new

    def _blend(self, rows: Float64Array, weights: Float64Array, dtype: str) -> Stored:
        value = weights @ rows
        if self.match_norms and rows.shape[1] > 1:  # a bias has no norm
            shares = np.abs(weights) / np.abs(weights).sum()
            value = _of_norm(value, float(shares @ np.linalg.norm(rows, axis=1)))
        made: Stored = from_float64(value[None], dtype)[0]
        return made


def _of_norm(vector: Float64Array, norm: float) -> Float64Array:
    """Return a vector scaled to a norm; one of zeros or not finite is unchanged."""
    own = float(np.linalg.norm(vector))
    return vector * (norm / own) if own > 0 and np.isfinite(own) else vector


def methods_of(init: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of the methods; raises `OptionError` for an unknown one."""
    listed = init.split(",") if isinstance(init, str) else [*init]
    chain = tuple(one.strip() if isinstance(one, str) else one for one in listed)
    for method in chain:
        if method not in METHODS:
            near = commas(str(method), METHODS) or suggestion(str(method), METHODS)
            raise OptionError(
                f"unknown init {method!r}; known: {', '.join(METHODS)}{near}"
            )
    if not chain:
        raise OptionError(f"init is empty; name some of {', '.join(METHODS)}")
    return chain


def new_rows(
    old: ModelTokenizer,
    new: ModelTokenizer,
    methods: tuple[str, ...],
    special: Mapping[str, str],
    static: Any,
    library: Library | None,
) -> NewRows:
    """Decide for every new row how it is made."""
    made = NewRows(np.full(len(new.vocabulary), RowStart.MEAN, np.uint8))
    _copy(made, old, new, special)
    for row in new.vocabulary.holes.tolist():  # of the old tokenizer with more tokens
        made.copied[row] = row
        made.start[row] = RowStart.PADDING
    for method in methods:
        if method == "pieces":
            _from_pieces(made, old, new)
        elif method == "mean":
            break  # the mean is used for all other rows
        else:
            _from_vectors(made, new, static, library, method)
    return made


def _copy(
    made: NewRows, old: ModelTokenizer, new: ModelTokenizer, special: Mapping[str, str]
) -> None:
    """Keep the rows of tokens that the old table has.

    Tokens of tokenizers with different marks are compared by their text or byte.
    Special tokens are compared by name, then by role.
    """
    for token, other in special.items():
        if token not in new.vocabulary or other not in old.vocabulary:
            raise OptionError(
                f"special names {brief(token)}: {brief(other)}; the first has to be a "
                "token of the new tokenizer, the second of the old one"
            )
    same_custom = old.marker == new.marker
    by_meaning: dict[TokenText | bytes | None, int] = {}
    if not same_custom:
        for token in reversed([*old.vocabulary]):  # so that the lowest id is used
            by_meaning[old.meaning(token)] = old.vocabulary[token]
        by_meaning.pop(None, None)
    parts = {token: part for part, token in reversed([*new.roles.items()])}
    for token, row in new.vocabulary.ids.items():
        named = special.get(token)
        if named is not None:
            made.copied[row] = old.vocabulary[named]
            made.start[row] = RowStart.SPECIAL
            continue
        if same_custom or (token in new.special and token in old.special):
            found = old.vocabulary.get(token)
        else:
            found = by_meaning.get(new.meaning(token))
        if found is not None:
            made.copied[row] = found
            made.start[row] = RowStart.SHARED
        elif token in parts and (other_id := old.role(parts[token])) is not None:
            made.copied[row] = other_id
            made.start[row] = RowStart.SPECIAL


def _left(made: NewRows, new: ModelTokenizer) -> list[tuple[int, str]]:
    """Return the rows, and their tokens, that no method has made yet."""
    rows = np.flatnonzero(made.start == RowStart.MEAN).tolist()
    return [(row, str(new.vocabulary.tokens[row])) for row in rows]


def _from_pieces(made: NewRows, old: ModelTokenizer, new: ModelTokenizer) -> None:
    for row, token in _left(made, new):
        text = new.text_of(token)
        pieces = old.pieces(text) if text is not None and text.text else []
        if pieces:
            weights = np.full(len(pieces), 1 / len(pieces))
            made.blended[row] = np.array(pieces, np.int64), weights
            made.start[row] = RowStart.PIECES


def _from_vectors(
    made: NewRows,
    new: ModelTokenizer,
    static: Any,
    library: Library | None,
    method: str,
) -> None:
    """Combine shared rows by a space in which both kinds of tokens have vectors."""
    if static is None:
        raise OptionError(
            f"init {method!r} needs static=, vectors of words or of the new tokens, in "
            "which tokens are near"
        )
    left = _left(made, new)
    shared = np.flatnonzero(made.start == RowStart.SHARED).tolist()
    tokens = new.vocabulary.tokens
    asked = [token for _, token in left]
    anchors = [str(tokens[row]) for row in shared]
    words = dict.fromkeys(
        word
        for token in (*asked, *anchors)
        for word in (token, _word(new, token))
        if word
    )
    if not words:
        return
    matrix = blends.static_matrix(static, list(words), library)
    marked = _is_marked(matrix, new)
    spellings, anchored = (
        [
            (None if token in new.special else token) if marked else _word(new, token)
            for token in listed
        ]
        for listed in (asked, anchors)
    )
    vectors, places = blends.vectors_of(matrix, spellings)
    others, anchor_places = blends.vectors_of(matrix, anchored)
    if not len(anchor_places):
        return
    old_ids = np.array([made.copied[shared[place]] for place in anchor_places.tolist()])
    blend = blends.pursued if method == "omp" else blends.similar
    code = RowStart.OMP if method == "omp" else RowStart.SIMILARITY
    mixed = blend(vectors, others)
    for place, (chosen, weights) in zip(places.tolist(), mixed, strict=True):
        row = left[place][0]
        made.blended[row] = old_ids[chosen], weights
        made.start[row] = code


def _is_marked(matrix: EmbeddingMatrix, new: ModelTokenizer) -> bool:
    """Return whether these are vectors of tokens marked as in the new tokenizer."""
    if new.marker == "":
        return False
    found = matrix.origin >= pe.ledger.Origin.EXACT
    tokens = (str(matrix.vocabulary.tokens[row]) for row in np.flatnonzero(found))
    return marker_of(tokens) == new.marker


def _word(tokenizer: ModelTokenizer, token: str) -> str | None:
    """Return the word of a token in word vectors; ``None`` if it is no word.

    The marker is removed, and the token must begin a word: ``##ing`` is not "ing".
    """
    text = tokenizer.text_of(token)
    if text is None or not text.text or not text.begins_word:
        return None
    return text.text


def own_rows(
    override: Any, new: ModelTokenizer, dim: int, library: Library | None
) -> dict[int, Float64Array]:
    """Return the user's own vectors by the id of their token.

    ``override`` is a mapping from token to vector (dim,), a matrix or a source of
    vectors. Raises `OptionError` for tokens that the new tokenizer does not have.
    """
    if isinstance(override, Mapping):
        given = {token: np.asarray(value) for token, value in override.items()}
    else:
        matrix = (
            override
            if isinstance(override, EmbeddingMatrix)
            else pe.load_matrix(pe.open_vectors(override, library=library))
        )
        used = np.flatnonzero(matrix.origin >= pe.ledger.Origin.OOV).tolist()
        tokens = matrix.vocabulary.tokens
        given = {str(tokens[row]): matrix.vectors[row] for row in used}
    rows = {}
    for token, vector in given.items():
        if token not in new.vocabulary:
            raise OptionError(
                f"override has {brief(token)}, which is no token of the new tokenizer"
            )
        if vector.shape != (dim,) or vector.dtype.kind not in "fiu":
            raise ShapeError(
                f"override has for {brief(token)} an array of {vector.dtype} of shape "
                f"{vector.shape}; the table of the model has rows of {dim} numbers"
            )
        if not np.isfinite(vector).all():
            raise OptionError(
                f"override has for {brief(token)} numbers that are not finite; leave "
                "the token out, or give it another row"
            )
        rows[new.vocabulary[token]] = vector.astype(np.float64)
    return rows
