"""What each row of the new table is made of, whatever the numbers in the old one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from pretrained_embed.arrays import UInt8Array
from pretrained_embed.errors import OptionError, brief, suggestion
from pretrained_embed.library import Library
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.transplant import blends
from pretrained_embed.tools.transplant.checkpoint import (
    Stored,
    from_float64,
    to_float64,
)
from pretrained_embed.tools.transplant.tokenizer import ModelTokenizer
from pretrained_embed.vocabulary.markers import marker_of

#: What a token that is not shared can start from, beside the mean.
METHODS = ("pieces", "similarity", "mean")

_ROWS = 4096


class RowStart(IntEnum):
    """What a row of the new table starts from. One code a row."""

    SHARED = 0  # the row of the same token, bit for bit
    SPECIAL = 1  # the row of the token that ``special`` names, bit for bit
    PIECES = 2  # the mean of the old tokens that its text consists of
    SIMILARITY = 3  # a weighted mean of shared tokens near to it in static vectors
    MEAN = 4  # the mean of all old tokens


@dataclass
class NewRows:
    """Which old rows make each new row."""

    start: UInt8Array  # (new rows,), codes of `RowStart`
    copied: dict[int, int] = field(default_factory=dict)  # new id to old id
    blended: dict[int, tuple[Any, Any]] = field(default_factory=dict)  # ids and weights

    def apply(self, table: Stored, dtype: str, old_ids: list[int]) -> Stored:
        """Return the new table (new rows, dim) of an old one (old rows, dim).

        ``old_ids`` are the rows that the mean is of: a table may have more, which no
        token has.
        """
        new = np.empty((len(self.start), table.shape[1]), table.dtype)
        new[list(self.copied)] = table[list(self.copied.values())]
        # Row by row: the number of old rows differs, and encoding took longer.
        for row, (ids, weights) in self.blended.items():
            values = weights @ to_float64(table[ids], dtype)
            new[row] = from_float64(values[None], dtype)[0]
        means = np.flatnonzero(self.start == RowStart.MEAN)
        if len(means):
            total = np.zeros(table.shape[1])
            for begin in range(0, len(old_ids), _ROWS):
                total += to_float64(table[old_ids[begin : begin + _ROWS]], dtype).sum(0)
            new[means] = from_float64(total[None] / len(old_ids), dtype)
        return new


def methods_of(init: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of the methods; raises `OptionError` for an unknown one."""
    chain = (init,) if isinstance(init, str) else tuple(init)
    for method in chain:
        if method not in METHODS:
            raise OptionError(
                f"unknown init {method!r}; known: {', '.join(METHODS)}"
                f"{suggestion(str(method), METHODS)}"
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
    """Decide for every new row what it starts from."""
    made = NewRows(np.full(len(new.vocabulary), RowStart.MEAN, np.uint8))
    _copy(made, old, new, special)
    for method in methods:
        if method == "pieces":
            _from_pieces(made, old, new)
        elif method == "similarity":
            _from_similarity(made, old, new, static, library)
        else:
            break  # the mean serves all that is left
    return made


def _copy(
    made: NewRows, old: ModelTokenizer, new: ModelTokenizer, special: Mapping[str, str]
) -> None:
    """Let tokens keep the rows they have in the old table.

    Two tokenizers that mark words in different ways are compared by what their tokens
    stand for. Special tokens are compared by name.
    """
    for token, other in special.items():
        if token not in new.vocabulary or other not in old.vocabulary:
            raise OptionError(
                f"special names {brief(token)}: {brief(other)}; the first has to be a "
                "token of the new tokenizer, the second of the old one"
            )
    same_custom = old.marker == new.marker
    by_text: dict[Any, int] = {}
    if not same_custom:
        for token in reversed([*old.vocabulary]):  # so that the lowest id stays
            by_text[old.text_of(token)] = old.vocabulary[token]
        by_text.pop(None, None)
    for token, row in new.vocabulary.ids.items():
        named = special.get(token)
        if named is not None:
            made.copied[row] = old.vocabulary[named]
            made.start[row] = RowStart.SPECIAL
            continue
        if same_custom or (token in new.special and token in old.special):
            found = old.vocabulary.get(token)
        else:
            found = by_text.get(new.text_of(token))
        if found is not None:
            made.copied[row] = found
            made.start[row] = RowStart.SHARED


def _left(made: NewRows, new: ModelTokenizer) -> list[tuple[int, str]]:
    """Return the rows, and their tokens, that no method has served yet."""
    rows = np.flatnonzero(made.start == RowStart.MEAN).tolist()
    return [(row, str(new.vocabulary.tokens[row])) for row in rows]


def _from_pieces(made: NewRows, old: ModelTokenizer, new: ModelTokenizer) -> None:
    for row, token in _left(made, new):
        text = new.text_of(token)
        pieces = old.pieces(text) if text is not None and text.text else []
        if pieces:
            made.blended[row] = pieces, np.full(len(pieces), 1 / len(pieces))
            made.start[row] = RowStart.PIECES


def _from_similarity(
    made: NewRows,
    old: ModelTokenizer,
    new: ModelTokenizer,
    static: Any,
    library: Library | None,
) -> None:
    if static is None:
        raise OptionError(
            "init 'similarity' needs static=, the word vectors in which tokens are near"
        )
    marked = isinstance(static, EmbeddingMatrix) and new.marker == marker_of(
        static.vocabulary
    )
    left = _left(made, new)
    shared = np.flatnonzero(made.start == RowStart.SHARED).tolist()
    tokens = new.vocabulary.tokens
    spellings = [_spelling(new, token, marked) for _, token in left]
    anchors = [_spelling(new, str(tokens[row]), marked) for row in shared]
    words = dict.fromkeys(word for word in (*spellings, *anchors) if word is not None)
    if not words:
        return
    matrix = blends.static_matrix(static, list(words), library)
    units, places = blends.unit_vectors(matrix, spellings)
    anchor_units, anchor_places = blends.unit_vectors(matrix, anchors)
    if not len(anchor_places):
        return
    old_ids = np.array([made.copied[shared[place]] for place in anchor_places.tolist()])
    mixed = blends.blends(units, anchor_units)
    for place, (chosen, weights) in zip(places.tolist(), mixed, strict=True):
        row = left[place][0]
        made.blended[row] = old_ids[chosen], weights
        made.start[row] = RowStart.SIMILARITY


def _spelling(tokenizer: ModelTokenizer, token: str, marked: bool) -> str | None:
    """Return how a token is written in static vectors, ``None`` if not at all.

    In vectors of tokens, ``marked`` in the same way, as it stands. In vectors of words,
    without its marker, and only if it begins a word: ``##ing`` is not the word "ing".
    """
    text = tokenizer.text_of(token)
    if text is None or not text.text:
        return None
    if marked:
        return token
    return text.text if text.begins_word else None
