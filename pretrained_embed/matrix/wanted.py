"""What the forms of a chain make of tokens, and rows for what is wanted besides.

A pass over a source may look for more than a vocabulary's tokens: parts of compounds,
whose vectors are averaged later, and forms that advice is about, which are only
located. They get rows beyond those of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pretrained_embed import kernel
from pretrained_embed.errors import OptionError
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.matrix.match import several
from pretrained_embed.matrix.match_text import Variants, parts

Int64Array = npt.NDArray[np.int64]

#: How many ranks an index tells apart.
RANKS = 128


class Rows(dict[str, int]):
    """Gives every new token the next row."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __missing__(self, token: str) -> int:
        row = self[token] = self.stop
        return row

    def rows(self) -> Int64Array:
        """Return the rows in order."""
        return np.arange(self._first, self.stop)

    @property
    def stop(self) -> int:
        """The row that the next new token gets."""
        return self._first + len(self)


class Variant(NamedTuple):
    """What a form made of a token."""

    place: int  # of the token
    order: int  # of the variant, where the form makes several
    text: str


def differing(tokens: Sequence[str], made: Sequence[Variants]) -> Iterator[Variant]:
    """Yield what differs from its token; nothing at all is no form of a token."""
    for place, (token, variants) in enumerate(zip(tokens, made, strict=True)):
        if variants != token:
            for order, text in enumerate(several(variants)):
                if text and text != token:
                    yield Variant(place, order, text)


def unchanged(tokens: Sequence[str], made: Sequence[Variants]) -> list[int]:
    """Return the places of the tokens that a form leaves as they are."""
    return [
        place
        for place, (token, variants) in enumerate(zip(tokens, made, strict=True))
        if variants == token or token in several(variants)
    ]


class Wanted:
    """Collects what goes into the index of one pass."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._rows: list[Int64Array] = []
        self._ranks: list[npt.NDArray[np.uint8]] = []

    def add(self, texts: Iterable[str], rows: Int64Array, rank: int) -> None:
        """Want each text for its row."""
        self._add(texts, rows, np.full(len(rows), rank))

    def add_variants(
        self, variants: Iterable[Variant], rows: Int64Array, rank: int
    ) -> int:
        """Want variants for the rows of their tokens; return how many ranks they take.

        Raises `OptionError` if there are not so many.
        """
        found = list(variants)
        places = np.array([place for place, _, _ in found], np.int64)
        ranks = rank + np.array([order for _, order, _ in found], np.int64)
        self._add([text for _, _, text in found], rows[places], ranks)
        return int(ranks.max(initial=rank)) + 1 - rank

    def _add(self, texts: Iterable[str], rows: Int64Array, ranks: Int64Array) -> None:
        if ranks.max(initial=0) >= RANKS:
            raise OptionError(
                f"match gives one token more than {RANKS} forms; name fewer, or return "
                "fewer from a callable"
            )
        self._texts += texts
        self._rows.append(rows)
        self._ranks.append(ranks.astype(np.uint8))

    def index(self) -> TokenIndex:
        """Return the index of everything that is wanted."""
        return kernel.TokenIndex(
            self._texts, np.concatenate(self._rows), np.concatenate(self._ranks)
        )


class Split(NamedTuple):
    """Tokens that consist of as many parts, and the rows of these."""

    ids: Int64Array  # (tokens,)
    parts: Int64Array  # (tokens, parts of each)

    def complete(self, found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which tokens have all their parts among the rows that were found."""
        there: npt.NDArray[np.bool_] = np.logical_and.reduce(found[self.parts], axis=1)
        return there


def splits(ids: Iterable[int], made: Iterable[Variants], rows: Rows) -> list[Split]:
    """Return the tokens that have parts, which get their rows from ``rows``."""
    groups: dict[tuple[int, int], tuple[list[int], list[list[int]]]] = {}
    for id, variants in zip(ids, made, strict=True):
        for order, variant in enumerate(several(variants)):
            if words := parts(variant):
                chosen, of_each = groups.setdefault((order, len(words)), ([], []))
                chosen.append(id)
                of_each.append([rows[word] for word in words])
    return [
        Split(np.array(chosen, np.int64), np.array(of_each, np.int64))
        for _, (chosen, of_each) in sorted(groups.items())
    ]
