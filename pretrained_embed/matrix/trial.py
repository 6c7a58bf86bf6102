"""Forms that are tried beside a match chain, for advice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pretrained_embed.matrix.advice import Advice
from pretrained_embed.matrix.match import Chain, Form, match_chain, several
from pretrained_embed.matrix.match_text import Variants
from pretrained_embed.matrix.wanted import (
    Int64Array,
    Rows,
    differing,
    splits,
    unchanged,
)
from pretrained_embed.vocabulary import Vocabulary

#: The forms that advice is about, the simplest first; no more than 32 of them. Where a
#: source has lower case alone, the others help in lower case only.
TRIED = (
    *("exact", "lower", "title", "upper", "nfc", "nfkc", "strip-accents", "quotes"),
    *("digits-hash", "digits-zero", "joined", "compound", "unmarked", "conceptnet"),
    *("lower+nfkc", "lower+strip-accents", "lower+quotes", "lower+digits-hash"),
    *("lower+digits-zero", "lower+joined", "lower+compound", "lower+unmarked"),
)


class Trial:
    """Forms that are tried beside a chain, on tokens that are to be looked for.

    A composition is credited only with what none of its steps makes by itself.
    ``parts`` gives rows to the parts of compounds. After that `texts` has what is to
    be looked for as it stands, with a row for each.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        chain: Chain,
        tokens: list[str],
        ids: Int64Array,
        parts: Rows,
    ) -> None:
        named = {form.name for form in chain}
        self._alone = "exact" not in named
        self._tokens, self._ids = tokens, ids
        self._forms = [f for f in match_chain(TRIED) if f.name not in named]
        made = {f.name: f.made(vocabulary, tokens) for f in match_chain(TRIED)}
        own = [_own(form, tokens, made) for form in self._forms]
        self._splits = [
            splits(ids.tolist(), variants, parts) if form.splits else []
            for form, variants in zip(self._forms, own, strict=True)
        ]
        self.texts = Rows(parts.stop)
        self._wanted = [
            (ids[:0], ids[:0]) if form.splits else self._want(variants)
            for form, variants in zip(self._forms, own, strict=True)
        ]

    def _want(self, made: Sequence[Variants]) -> tuple[Int64Array, Int64Array]:
        """Return ids, and for each of them the row of a text that would do."""
        places, rows = [], []
        for place, _, text in differing(self._tokens, made):
            places.append(place)
            rows.append(self.texts[text])
        if self._alone:  # what the form leaves as it is counts, too
            same = unchanged(self._tokens, made)
            places += same
            rows += [self.texts[self._tokens[place]] for place in same]
        return self._ids[np.array(places, np.int64)], np.array(rows, np.int64)

    def advice(
        self, found: npt.NDArray[np.bool_], oov: npt.NDArray[np.bool_]
    ) -> Advice:
        """Return the advice, given which rows were found and which tokens are OOV."""
        found_by = np.zeros(len(oov), np.uint32)
        for i, ((ids, rows), of_form) in enumerate(
            zip(self._wanted, self._splits, strict=True)
        ):
            bit = np.uint32(1 << i)
            found_by[ids[found[rows]]] |= bit
            for split in of_form:
                found_by[split.ids[split.complete(found)]] |= bit
        found_by[~oov] = 0
        return Advice(tuple(form.name for form in self._forms), found_by)


def _own(
    form: Form, tokens: list[str], made: dict[str, Sequence[Variants]]
) -> Sequence[Variants]:
    """Return what a form makes of tokens, and none of its steps makes by itself."""
    steps = form.name.split("+")
    if len(steps) == 1:
        return made[form.name]
    alone = [tokens] if form.splits else [made[step] for step in steps]
    return [
        tuple(
            variant
            for variant in several(variants)
            if not any(variant in several(other) for other in others)
        )
        for variants, *others in zip(made[form.name], *alone, strict=True)
    ]
