"""Queries, such as ``king - man + woman``, and `similar`, which answers them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np

import pretrained_embed as pe
from pretrained_embed import former_names, kernel
from pretrained_embed.arrays import AnyProgress, Float32Array, Progress, listener
from pretrained_embed.errors import (
    BY_LIMITS,
    OptionError,
    UnknownTokenError,
    brief,
    left_out,
)
from pretrained_embed.formats import AnyLayout, Reader
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.tools.nearest_rows import (
    Metric,
    Nearest,
    check_metric,
    unit_rows,
)

_SIGNS = {"+": 1, "-": -1}
_SIGN = re.compile(r"[+-]")

#: The other spellings in which an unknown token is searched, for the message.
_SPELLINGS = (str.lower, str.title, str.upper)

#: How many rows are searched for a spelling similar to an unknown token.
_LOOKED_AT = 200_000


class Query(NamedTuple):
    """Tokens to add, and tokens to subtract.

    Examples
    --------
    >>> str(Query(("king", "woman"), ("man",)))
    'king + woman - man'
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens of the query."""
        return self.positive + self.negative

    def __str__(self) -> str:
        minus = "".join(f" - {token}" for token in self.negative)
        return " + ".join(self.positive) + minus


class SimilarToken(NamedTuple):
    """A token near a query, and its score.

    The score is the cosine, from -1 to 1, the inner product or the Euclidean distance.

    Examples
    --------
    >>> similar("vectors.txt", "cat")[0].nearest[0].score  # doctest: +SKIP
    0.92
    """

    token: str
    score: float

    @property
    def cosine(self) -> float:
        """The score, which is a cosine by default."""
        return self.score


class Similar(NamedTuple):
    """The answer to one query, the nearest tokens first.

    Examples
    --------
    >>> similar("vectors.txt", "cat")[0].nearest[0].token  # doctest: +SKIP
    'dog'
    """

    query: Query
    nearest: tuple[SimilarToken, ...]
    metric: str = "cosine"

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-compatible values.

        Returns
        -------
        dict
            The query and its tokens; scores have the name of the metric.
        """
        return {
            "query": str(self.query),
            "positive": list(self.query.positive),
            "negative": list(self.query.negative),
            "nearest": [
                {"token": near.token, self.metric: near.score} for near in self.nearest
            ],
        }


#: Former keywords of `similar`, and the present ones.
_FORMER = {**former_names.BAD_ROWS, **former_names.LIBRARY}


@left_out(BY_LIMITS)
def similar(
    source: pe.EmbeddingMatrix | Any,
    queries: str | Sequence[str | Query],
    *,
    count: int = 10,
    metric: Metric = "cosine",
    layout: AnyLayout = None,
    limits: pe.Limits | None = None,
    library: pe.Library | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> list[Similar]:
    """Return the tokens nearest to each query, the nearest first.

    Parameters
    ----------
    source : EmbeddingMatrix, Reader, or what `open_vectors` takes
        The vectors; of a matrix all rows, found or filled.
    queries : str, Query, or a list of them
        A token, or tokens added and subtracted: ``"king - man + woman"``. A sum is
        computed from vectors of length 1 (3CosAdd: Mikolov, Yih and Zweig 2013,
        https://aclanthology.org/N13-1090); for a single token, "dot" and "euclidean"
        use the unchanged vector. A query's own tokens are left out of the answer.
    count : int, default 10
        How many tokens are returned for each query.
    metric : "cosine" (default), "dot" or "euclidean"
        The largest cosines, the largest inner products, or the smallest distances.
    limits : Limits, optional
        How many malformed rows may be left out: ``Limits(bad_rows=...)``.
    layout, library
        As in `open_vectors`.
    progress : callable of (bytes, bytes in all), True or ``None``
        Called while the source is read.
    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    list of Similar
        The answer to each query.

    Raises
    ------
    OptionError
        Without a query, and for limits on the coverage.
    UnknownTokenError
        For a token that the source lacks.
    RowError
        For more malformed rows than ``limits`` allow.

    Examples
    --------
    >>> for answer in similar("vectors.txt", "king - man + woman"):  # doctest: +SKIP
    ...     print(answer.query, answer.nearest[0].token)
    """
    former_names.refuse(former, _FORMER, similar)
    limits = pe.Limits.of_rows(limits, "similar")
    progress = listener(progress)
    asked = parse_queries([queries] if isinstance(queries, str | Query) else queries)
    if not asked:
        raise OptionError("there is nothing to look for; name a token")
    if count < 1:
        raise OptionError(f"count is {count}; ask for one neighbour at least")
    check_metric(metric)
    reader = pe.open_vectors(source, layout=layout, library=library, progress=progress)
    try:
        found = _answers(reader, asked, count, metric, limits.on_bad_row, progress)
        limits.check_rows(reader.findings, reader.name)
        return found
    finally:
        if reader is not source:
            reader.close()


def parse_queries(words: Sequence[str | Query]) -> list[Query]:
    """Return the queries in the words of a command line.

    A separate ``+`` or ``-`` joins its neighbours into one query, also within one word
    that has spaces. Any other word is a query. Raises `OptionError` for a sign without
    a neighbour.

    >>> [str(query) for query in parse_queries(["cat", "king", "-", "man"])]
    ['cat', 'king - man']
    """
    parts: list[str | Query] = []
    for word in words:
        parts += word.split() if _is_expression(word) else [word]
    asked = " ".join(map(str, words))
    queries: list[Query] = []
    sign = 0  # of the next word, if a sign comes before it
    for part in parts:
        if isinstance(part, Query):
            queries.append(part)
        elif part in _SIGNS:
            if sign or not queries:
                raise OptionError(
                    f"{brief(asked)}: {brief(part)} joins nothing to a "
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
        raise OptionError(f"{brief(asked)} ends in a sign; name a token behind it")
    return queries


def _is_expression(word: str | Query) -> TypeGuard[str]:
    if isinstance(word, Query):
        return False
    return not _SIGNS.keys().isdisjoint(word.split()) and word not in _SIGNS


def _answers(
    reader: Reader,
    queries: Sequence[Query],
    count: int,
    metric: Metric,
    on_bad_row: OnBadRow,
    progress: Progress | None,
) -> list[Similar]:
    vectors = _vectors(reader, queries, metric, on_bad_row)
    spare = max(len(query.tokens) for query in queries)
    best = Nearest(vectors, count + spare, metric)
    tokens: dict[int, str] = {}
    begun = 0
    for block in reader.packed_blocks(on_bad_row=on_bad_row, progress=progress):
        best.add(block.vectors)
        wanted = np.unique(best.rows)
        for row in wanted[wanted >= begun].tolist():
            tokens[row] = block.tokens[row - begun]
        begun += len(block.tokens)
        if len(tokens) > 2 * best.rows.size:  # remove those that others replaced
            tokens = {row: tokens[row] for row in wanted[wanted >= 0].tolist()}
    return [
        Similar(query, _named(query, rows, scores, tokens)[:count], metric)
        for query, rows, scores in zip(
            queries, best.rows.tolist(), best.scores.tolist(), strict=True
        )
    ]


def _named(
    query: Query, rows: list[int], scores: list[float], tokens: dict[int, str]
) -> tuple[SimilarToken, ...]:
    return tuple(
        SimilarToken(tokens[row], score)
        for row, score in zip(rows, scores, strict=True)
        if row >= 0 and tokens[row] not in query.tokens
    )


def _nearest(reader: Reader, token: str, on_bad_row: OnBadRow) -> str:
    """Return advice: the tokens with a spelling most similar to an unknown one."""
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
    reader: Reader, queries: Sequence[Query], metric: Metric, on_bad_row: OnBadRow
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
            rest = [tokens[j] for j in range(i + 1, len(tokens)) if rows[j] < 0]
            more = f", nor {', '.join(map(brief, rest[:5]))}" if rest else ""
            more += f" and {len(rest) - 5:,} others" if len(rest) > 5 else ""
            raise UnknownTokenError(
                f"{reader.name} has no token {brief(token)}{more}{hint}"
            )
    places = {token: i for i, token in enumerate(tokens)}
    units = dict(zip(tokens, unit_rows(found), strict=True))
    vectors = np.zeros((len(queries), reader.dim), np.float32)
    for i, query in enumerate(queries):
        if len(query.tokens) == 1 and metric != "cosine":
            vectors[i] = found[places[query.positive[0]]]
            continue
        for token in query.positive:
            vectors[i] += units[token]
        for token in query.negative:
            vectors[i] -= units[token]
    return vectors
