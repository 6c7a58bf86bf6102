"""How much of a vocabulary each of several sources has, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pretrained_embed.arrays import BoolArray
from pretrained_embed.ledger.coverage import EXAMPLES, Coverage, percent
from pretrained_embed.ledger.ledger import Ledger
from pretrained_embed.vocabulary import Vocabulary


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
    located: tuple[Ledger, ...]  # by source, with the code and row of each token
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
    vocabulary: Vocabulary, located: Sequence[Ledger], match: tuple[str, ...]
) -> Comparison:
    """Return how sources cover a vocabulary, each of which has located it.

    Each ledger is of one source, which its provenance tells the name, format and dim
    of. ``match`` are the names of the chain.
    """
    has = np.stack([each.found for each in located])
    sources = tuple(
        _source_coverage(
            each,
            match,
            has[number] & (has.sum(axis=0) == 1),
            ~has[number] & (has.sum(axis=0) == len(located) - 1),
        )
        for number, each in enumerate(located)
    )
    codes = np.stack([each.origin for each in located])  # (sources, rows)
    first = codes[np.argmax(has, axis=0), np.arange(len(vocabulary))]
    together = Ledger(vocabulary, first).covered(match)
    return Comparison(vocabulary, match, tuple(located), sources, together)


def _source_coverage(
    ledger: Ledger,
    match: tuple[str, ...],
    only_here: BoolArray,
    only_not_here: BoolArray,
) -> SourceCoverage:
    (source,) = ledger.source_facts
    return SourceCoverage(
        source["name"],
        source["format"],
        source["dim"],
        ledger.findings.rows,
        ledger.covered(match),
        _frequent(ledger.vocabulary, only_here),
        _frequent(ledger.vocabulary, only_not_here),
    )


def _frequent(vocabulary: Vocabulary, chosen: BoolArray) -> tuple[str, ...]:
    """Return the first of the chosen tokens, the most frequent if counts are known."""
    ids = np.flatnonzero(chosen)
    if vocabulary.counts is not None:
        ids = ids[np.argsort(-vocabulary.counts[ids], kind="stable")]
    return tuple(vocabulary.strings(ids[:EXAMPLES]))
