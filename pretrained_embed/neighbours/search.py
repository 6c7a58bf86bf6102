"""Queries answered from the rows of an open file, a store or a matrix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import Float32Array, Progress
from pretrained_embed.errors import OptionError, UnknownTokenError, brief
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.neighbours.nearest import Nearest, unit_rows
from pretrained_embed.neighbours.terms import Query

#: What an unknown token is looked for as, to say which spelling there is.
_SPELLINGS = (str.lower, str.title, str.upper)


#: Rows that are looked at for a spelling like that of an unknown token.
_LOOKED_AT = 200_000
_SIGN = re.compile(r"[+-]")


class Neighbour(NamedTuple):
    """A token near a query, and how near: the cosine, from -1 to 1."""

    token: str
    cosine: float


class Neighbours(NamedTuple):
    """The answer to one query, the nearest first."""

    query: Query
    nearest: tuple[Neighbour, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON can hold it."""
        return {
            "query": str(self.query),
            "positive": list(self.query.positive),
            "negative": list(self.query.negative),
            "nearest": [neighbour._asdict() for neighbour in self.nearest],
        }


def search(
    reader: Reader,
    queries: Sequence[Query],
    *,
    count: int = 10,
    on_bad_row: OnBadRow = "error",
    progress: Progress | None = None,
) -> list[Neighbours]:
    """Return the ``count`` tokens nearest to each query, by cosine.

    A query's vector is the sum of its tokens' vectors, each made 1 long, those to take
    away taken away (3CosAdd: Mikolov, Yih and Zweig 2013, "Linguistic Regularities in
    Continuous Space Word Representations"). Its own tokens are left out of the answer.
    The search is exact and reads the rows twice, a block at a time, keeping none.

    Raises `UnknownTokenError` for a token that is not there.
    """
    if count < 1:
        raise OptionError(f"count is {count}; ask for one neighbour at least")
    vectors = _vectors(reader, queries, on_bad_row)
    spare = max(len(query.tokens) for query in queries)
    best = Nearest(vectors, count + spare)
    tokens: dict[int, str] = {}
    begun = 0
    for block in reader.packed_blocks(on_bad_row=on_bad_row, progress=progress):
        best.add(block.vectors)
        wanted = np.unique(best.rows)
        for row in wanted[wanted >= begun].tolist():
            tokens[row] = block.tokens[row - begun]
        begun += len(block.tokens)
    return [
        Neighbours(query, _named(query, rows, cosines, tokens)[:count])
        for query, rows, cosines in zip(
            queries, best.rows.tolist(), best.cosines.tolist(), strict=True
        )
    ]


def _named(
    query: Query, rows: list[int], cosines: list[float], tokens: dict[int, str]
) -> tuple[Neighbour, ...]:
    return tuple(
        Neighbour(tokens[row], cosine)
        for row, cosine in zip(rows, cosines, strict=True)
        if row >= 0 and tokens[row] not in query.tokens
    )


def _nearest(reader: Reader, token: str, on_bad_row: OnBadRow) -> str:
    """Return what to say of the tokens spelled most like one that is not there."""
    import difflib

    alike: list[str] = []
    seen = 0
    for block in reader.packed_blocks(on_bad_row=on_bad_row):
        alike += [
            other
            for other in block.tokens.unpack()
            if abs(len(other) - len(token)) <= 2 and other[:1] in token
        ]
        seen += len(block.tokens)
        if seen >= _LOOKED_AT or len(alike) >= _LOOKED_AT // 10:
            break
    near = difflib.get_close_matches(token, alike, 3)
    return f"; did you mean {' or '.join(map(brief, near))}?" if near else ""


def _vectors(
    reader: Reader, queries: Sequence[Query], on_bad_row: OnBadRow
) -> Float32Array:
    """Return the vector of each query, float32 (queries, dim)."""
    tokens = list(dict.fromkeys(token for query in queries for token in query.tokens))
    spelled = [change(token) for change in _SPELLINGS for token in tokens]
    terms = {token: [part for part in _SIGN.split(token) if part] for token in tokens}
    keys = tokens + spelled
    keys += [part for parts in terms.values() for part in parts if len(parts) > 1]
    index = kernel.TokenIndex(keys, np.arange(len(keys)), np.zeros(len(keys), np.uint8))
    found = np.zeros((len(tokens), reader.dim), np.float32)
    rows = reader.select(index, found, on_bad_row=on_bad_row).source_rows
    for i, token in enumerate(tokens):
        if rows[i] < 0:
            pairs = zip(keys, rows.tolist(), strict=True)
            known = {key for key, row in pairs if row >= 0}
            others = [o for change in _SPELLINGS if (o := change(token)) in known]
            hint = f"; it has {brief(others[0])}" if others else ""
            if len(terms[token]) > 1 and known.issuperset(terms[token]):
                apart = _SIGN.sub(" \\g<0> ", token).strip()
                hint = f"; if a sum is meant, write blanks around its signs: {apart!r}"
            hint = hint or _nearest(reader, token, on_bad_row)
            raise UnknownTokenError(f"{reader.name} has no token {brief(token)}{hint}")
    units = dict(zip(tokens, unit_rows(found), strict=True))
    vectors = np.zeros((len(queries), reader.dim), np.float32)
    for i, query in enumerate(queries):
        for token in query.positive:
            vectors[i] += units[token]
        for token in query.negative:
            vectors[i] -= units[token]
    return vectors
