"""How much of a vocabulary was found in a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pretrained_embed.matrix.origin import Origin, OriginArray
from pretrained_embed.vocabulary import Vocabulary

#: How many OOV tokens a coverage names.
EXAMPLES = 10


@dataclass(frozen=True)
class Coverage:
    """Counts of the tokens looked for: all but pad and unk.

    ``occurrences`` and ``occurrences_found`` weigh each token by its count in the
    vocabulary, and are ``None`` where it has no counts. ``str(coverage)`` is a
    paragraph.
    """

    tokens: int
    by_origin: dict[str, int]  # name of a form: tokens found by it
    oov_examples: tuple[str, ...]  # the most frequent first, where counts are known
    occurrences: int | None = None
    occurrences_found: int | None = None

    @property
    def found(self) -> int:
        """How many tokens were found, by any form."""
        return sum(self.by_origin.values())

    @property
    def oov(self) -> int:
        """How many tokens were not found."""
        return self.tokens - self.found

    @property
    def ratio(self) -> float:
        """Share of the tokens that were found, 0 to 1; 1 where none was looked for."""
        return self.found / self.tokens if self.tokens else 1.0

    @property
    def occurrences_ratio(self) -> float | None:
        """Share of the text that its found tokens make up, 0 to 1."""
        if self.occurrences is None or self.occurrences_found is None:
            return None
        return self.occurrences_found / self.occurrences if self.occurrences else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "tokens": self.tokens,
            "found": self.found,
            "oov": self.oov,
            "ratio": self.ratio,
            "by_origin": dict(self.by_origin),
            "occurrences": self.occurrences,
            "occurrences_found": self.occurrences_found,
            "occurrences_ratio": self.occurrences_ratio,
            "oov_examples": list(self.oov_examples),
        }

    def __str__(self) -> str:
        forms = [f"{n:,} {name}" for name, n in self.by_origin.items() if n]
        text = f"Found {self.found:,} of {self.tokens:,} tokens ({percent(self.ratio)})"
        if len(forms) > 1:
            text += f": {', '.join(forms)}"
        if (ratio := self.occurrences_ratio) is not None:
            text += f", which make up {percent(ratio)} of the text"
        text += "."
        if self.oov:
            most = "Most frequent" if self.occurrences is not None else "First"
            text += (
                f" {self.oov:,} are OOV. {most} of them: "
                f"{', '.join(map(repr, self.oov_examples))}"
                f"{', ...' if self.oov > len(self.oov_examples) else '.'}"
            )
        return text


def percent(ratio: float) -> str:
    """Return a share as text that says 100 % or 0 % only where that is exact."""
    if 0.9995 <= ratio < 1:
        return "over 99.9 %"
    if 0 < ratio < 0.0005:
        return "under 0.1 %"
    return f"{100 * ratio:.1f} %"


def measure(
    vocabulary: Vocabulary, origin: OriginArray, match: Sequence[str] = ()
) -> Coverage:
    """Return the coverage that a row ledger shows, given the names of the chain."""
    looked_for = origin >= Origin.OOV
    if vocabulary.unk_id is not None:
        looked_for[vocabulary.unk_id] = False
    found = looked_for & (origin >= Origin.EXACT)
    codes = np.bincount(origin[found], minlength=256)
    by_origin: dict[str, int] = {}
    for code in np.flatnonzero(codes).tolist():
        label = Origin(code).label(match)
        by_origin[label] = by_origin.get(label, 0) + int(codes[code])
    oov = np.flatnonzero(looked_for & ~found)
    counts = vocabulary.counts
    if counts is not None:
        oov = oov[np.argsort(-counts[oov], kind="stable")]
    return Coverage(
        tokens=int(np.count_nonzero(looked_for)),
        by_origin=by_origin,
        oov_examples=tuple(str(vocabulary.tokens[i]) for i in oov[:EXAMPLES].tolist()),
        occurrences=None if counts is None else int(counts[looked_for].sum()),
        occurrences_found=None if counts is None else int(counts[found].sum()),
    )
