"""What the forms of a chain make of tokens, and rows for what is wanted besides.

A pass over a source may look for more than a vocabulary's tokens: parts of compounds,
whose vectors are averaged later, and forms that advice is about, which are only
located. They get rows beyond those of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import ne
from typing import NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    AnyArray,
    BoolArray,
    Int64Array,
    PackedTokens,
    UInt8Array,
    joined,
)
from pretrained_embed.errors import OptionError
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.lookup.match import several
from pretrained_embed.lookup.match_text import Variants, parts

#: How many ranks an index tells apart.
RANKS = 128


class Rows(dict[str, int]):
    """Gives each new token the next row."""

    def __init__(self, first: int) -> None:
        self._first = first

    def of(self, tokens: Iterable[str]) -> list[int]:
        """Return the rows of tokens, in order."""
        first = self._first
        return [self.setdefault(token, first + len(self)) for token in tokens]

    def rows(self) -> Int64Array:
        """Return the rows in order."""
        return np.arange(self._first, self.stop)

    @property
    def stop(self) -> int:
        """The row that the next new token gets."""
        return self._first + len(self)


class Texts(NamedTuple):
    """What a form has looked for, entry by entry."""

    places: list[int]  # of the tokens
    orders: list[int]  # of the texts among those that one token is changed to
    texts: list[str]


def texts_of(
    tokens: Sequence[str], made: Sequence[Variants], *, same: bool = False
) -> Texts:
    """Return what a form made of tokens; nothing at all is no form of a token.

    What is the token itself is left out, unless ``same``.
    """
    places, orders, texts = [], [], []
    all_places = range(len(tokens))
    for place in all_places if same else compress(all_places, map(ne, made, tokens)):
        for order, text in enumerate(several(made[place])):
            if text and (same or text != tokens[place]):
                places.append(place)
                orders.append(order)
                texts.append(text)
    return Texts(places, orders, texts)


class Wanted:
    """Collects what goes into the index of one pass."""

    def __init__(self) -> None:
        self._texts: list[PackedTokens] = []
        self._rows: list[Int64Array] = []
        self._ranks: list[UInt8Array] = []

    def add(self, texts: PackedTokens, rows: Int64Array, rank: int) -> None:
        """Want each text for its row."""
        self._add(texts, rows, np.full(len(rows), rank, np.uint8))

    def add_texts(self, texts: Texts, rows: Int64Array, rank: int) -> int:
        """Want texts for the rows of their tokens; return how many ranks they take.

        Raises `OptionError` if there are not so many.
        """
        ranks = rank + np.array(texts.orders, np.int64)
        packed = PackedTokens.pack(texts.texts)
        self._add(packed, rows[np.array(texts.places, np.int64)], ranks)
        return int(ranks.max(initial=rank)) + 1 - rank

    def _add(self, texts: PackedTokens, rows: Int64Array, ranks: AnyArray) -> None:
        if ranks.max(initial=0) >= RANKS:
            raise OptionError(
                f"match gives one token more than {RANKS} forms; name fewer, or return "
                "fewer from a callable"
            )
        self._texts.append(texts)
        self._rows.append(rows)
        self._ranks.append(ranks.astype(np.uint8, copy=False))

    def texts(self) -> PackedTokens:
        """Return everything that is wanted, some of it perhaps more than once.

        What was added is put together when it is first asked for.
        """
        if len(self._texts) > 1:
            self._texts = [joined(self._texts)]
            self._rows = [np.concatenate(self._rows)]
            self._ranks = [np.concatenate(self._ranks)]
        return self._texts[0]

    def index(self) -> TokenIndex:
        """Return the index of everything that is wanted."""
        return kernel.TokenIndex(self.texts(), self._rows[0], self._ranks[0])


class Split(NamedTuple):
    """Tokens that consist of as many parts, and the rows of these."""

    ids: Int64Array  # (tokens,)
    parts: Int64Array  # (tokens, parts of each)

    def complete(self, found: BoolArray) -> BoolArray:
        """Return which tokens have all their parts among the rows that were found."""
        there: BoolArray = np.logical_and.reduce(found[self.parts], axis=1)
        return there


def splits(ids: Iterable[int], made: Iterable[Variants], rows: Rows) -> list[Split]:
    """Return the tokens that have parts, which get their rows from ``rows``."""
    groups: dict[tuple[int, int], tuple[list[int], list[list[int]]]] = {}
    for id, variants in zip(ids, made, strict=True):
        for order, variant in enumerate(several(variants)):
            if words := parts(variant):
                chosen, of_each = groups.setdefault((order, len(words)), ([], []))
                chosen.append(id)
                of_each.append(rows.of(words))
    return [
        Split(np.array(chosen, np.int64), np.array(of_each, np.int64))
        for _, (chosen, of_each) in sorted(groups.items())
    ]
