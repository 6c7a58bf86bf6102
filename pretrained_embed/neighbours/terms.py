"""From words to queries: ``king - man + woman`` is one, ``cat dog`` are two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pretrained_embed.errors import OptionError, brief

_SIGNS = {"+": 1, "-": -1}


class Query(NamedTuple):
    """Tokens to add, and tokens to take away."""

    positive: tuple[str, ...]
    negative: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """All its tokens."""
        return self.positive + self.negative

    def __str__(self) -> str:
        minus = "".join(f" - {token}" for token in self.negative)
        return " + ".join(self.positive) + minus


def parse_queries(words: Sequence[str]) -> list[Query]:
    """Return the queries that a command line asks.

    A ``+`` or ``-`` that stands alone joins its neighbours into one query, also within
    one word with spaces in it. Any other word is a query of its own. Raises
    `OptionError` where a sign joins nothing.

    >>> [str(query) for query in parse_queries(["cat", "king", "-", "man"])]
    ['cat', 'king - man']
    """
    parts = [
        part
        for word in words
        for part in (word.split() if _is_expression(word) else [word])
    ]
    queries: list[Query] = []
    sign = 0  # of the word to come, if a sign stands before it
    for part in parts:
        if part in _SIGNS:
            if sign or not queries:
                raise OptionError(
                    f"{brief(' '.join(words))}: {brief(part)} joins nothing to a "
                    "token; write as in 'king - man + woman'"
                )
            sign = _SIGNS[part]
        elif sign:
            positive, negative = queries.pop()
            added, taken = ((part,), ()) if sign > 0 else ((), (part,))
            queries.append(Query(positive + added, negative + taken))
            sign = 0
        else:
            queries.append(Query((part,)))
    if sign:
        raise OptionError(
            f"{brief(' '.join(words))} ends in a sign; name a token behind it"
        )
    return queries


def _is_expression(word: str) -> bool:
    return not _SIGNS.keys().isdisjoint(word.split()) and word not in _SIGNS
