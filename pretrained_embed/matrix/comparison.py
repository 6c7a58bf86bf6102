"""How much of a vocabulary each of several sources has, side by side.

Nothing is built: tokens are located in the sources, and no vector is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import BoolArray, Int64Array
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.coverage import EXAMPLES, Coverage, measure, percent
from pretrained_embed.matrix.match import chain_names
from pretrained_embed.matrix.options import Options
from pretrained_embed.matrix.origin import Origin, OriginArray
from pretrained_embed.matrix.search import Search, own_findings
from pretrained_embed.vocabulary import Vocabulary


class Located(NamedTuple):
    """Where a source has the tokens of a vocabulary."""

    name: str
    format: str
    dim: int
    origin: OriginArray  # (rows,)
    source_rows: Int64Array  # (rows,), -1 for none
    advice: Advice | None
    findings: Findings


def locate(vocabulary: Vocabulary, reader: Reader, options: Options) -> Located:
    """Return where ``reader`` has the tokens in a form asked for."""
    search = Search(vocabulary, options.match, advise=options.advise)
    selection = reader.select(
        search.index,
        np.zeros((0, reader.dim), np.float32),
        threads=options.threads,
        on_bad_row=options.on_bad_row,
        progress=options.progress,
    )
    hits = search.hits(selection)
    return Located(
        reader.name,
        reader.format,
        reader.dim,
        hits.origin,
        hits.source_rows,
        hits.advice,
        own_findings(selection.findings, vocabulary, reader, options),
    )


class SourceCoverage(NamedTuple):
    """How one of several sources covers a vocabulary."""

    source: str
    format: str
    dim: int
    rows: int
    coverage: Coverage
    only_here: tuple[str, ...]  # the most frequent tokens that no other source has
    only_not_here: tuple[str, ...]  # those that all other sources have

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return self._asdict() | {
            "coverage": self.coverage.to_dict(),
            "only_here": list(self.only_here),
            "only_not_here": list(self.only_not_here),
        }


@dataclass(frozen=True)
class Comparison:
    """How sources cover a vocabulary, each by itself and all ``together``.

    ``str(comparison)`` has a paragraph on each.
    """

    vocabulary: Vocabulary
    match: tuple[str, ...]
    located: tuple[Located, ...]  # by source, with the code and row of each token
    sources: tuple[SourceCoverage, ...]
    together: Coverage  # of each token its first source counts

    def to_dict(self) -> dict[str, Any]:
        """Return all but the ledgers as JSON can hold it."""
        return {
            "match": list(self.match),
            "sources": [source.to_dict() for source in self.sources],
            "together": self.together.to_dict(),
        }

    def __str__(self) -> str:
        lines = [f"{source.source}: {source.coverage}" for source in self.sources]
        if len(self.sources) > 1:
            lines.append(
                f"Together: {self.together.found:,} of {self.together.tokens:,} tokens "
                f"({percent(self.together.ratio)})."
            )
        return "\n".join(lines)


def compare(
    vocabulary: Vocabulary, located: Sequence[Located], options: Options
) -> Comparison:
    """Return how the sources that a vocabulary was located in cover it."""
    match = chain_names(options.match)
    codes = np.stack([each.origin for each in located])  # (sources, rows)
    has = codes >= Origin.EXACT
    sources = tuple(
        SourceCoverage(
            each.name,
            each.format,
            each.dim,
            each.findings.rows,
            measure(vocabulary, each.origin, match, each.advice),
            _frequent(vocabulary, has[number] & (has.sum(axis=0) == 1)),
            _frequent(vocabulary, ~has[number] & (has.sum(axis=0) == len(located) - 1)),
        )
        for number, each in enumerate(located)
    )
    first = np.argmax(has, axis=0)
    together = codes[first, np.arange(len(vocabulary))]
    return Comparison(
        vocabulary, match, tuple(located), sources, measure(vocabulary, together, match)
    )


def _frequent(vocabulary: Vocabulary, chosen: BoolArray) -> tuple[str, ...]:
    """Return the first of the chosen tokens, the most frequent if counts are known."""
    ids = np.flatnonzero(chosen)
    if vocabulary.counts is not None:
        ids = ids[np.argsort(-vocabulary.counts[ids], kind="stable")]
    return tuple(vocabulary.strings(ids[:EXAMPLES]))
