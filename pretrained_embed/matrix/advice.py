"""Which forms that are not in the chain would find tokens that were not found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pretrained_embed.matrix.match import Chain, Form, match_chain
from pretrained_embed.matrix.wanted import (
    Int64Array,
    Rows,
    differing,
    splits,
    unchanged,
)
from pretrained_embed.vocabulary import Vocabulary

#: The forms that advice is about, the simplest first; no more than 32 of them. What
#: fits a source whose tokens are all in lower case does so in lower case only.
TRIED = (
    *("exact", "lower", "title", "upper", "nfc", "nfkc", "strip-accents", "quotes"),
    *("digits-hash", "digits-zero", "joined", "compound", "unmarked", "conceptnet"),
    *("lower+nfkc", "lower+strip-accents", "lower+quotes", "lower+digits-hash"),
    *("lower+digits-zero", "lower+joined", "lower+compound", "lower+unmarked"),
)


class Advice(NamedTuple):
    """For every row of a vocabulary, the forms that would find it."""

    forms: tuple[str, ...]
    found_by: npt.NDArray[np.uint32]  # (rows,); bit i: forms[i] would; 0 unless OOV

    @classmethod
    def of_rows(
        cls,
        given: Sequence[tuple[Advice | None, Int64Array]],
        oov: npt.NDArray[np.bool_],
    ) -> Advice | None:
        """Return advice on the OOV rows of a vocabulary from that on parts of it.

        Each is given with its rows; what any of them says of a row counts.
        """
        forms: tuple[str, ...] | None = None
        found_by = np.zeros(len(oov), np.uint32)
        for advice, rows in given:
            if advice is not None:
                forms = advice.forms
                found_by[rows] |= advice.found_by
        found_by[~oov] = 0
        return None if forms is None else cls(forms, found_by)

    def forms_for(self, row: int) -> tuple[str, ...]:
        """Return the forms that would find the token of a row."""
        bits = int(self.found_by[row])
        return tuple(form for i, form in enumerate(self.forms) if bits >> i & 1)


class Suggestion(NamedTuple):
    """What a form that is not in the chain would find."""

    form: str
    tokens: int
    occurrences: int | None  # of these tokens, where counts are known
    more: int  # tokens that none of the forms suggested before it would find
    more_occurrences: int | None


def suggestions(
    advice: Advice, oov: Int64Array, counts: Int64Array | None
) -> tuple[Suggestion, ...]:
    """Return the forms that would find OOV tokens, each with what it adds.

    First comes the form that finds most of the text (most tokens, where there are no
    counts), then the one that finds most of what is left, and so on.
    """
    found_by = advice.found_by[oov]
    would = {
        form: (found_by >> np.uint32(i) & 1).astype(np.bool_)
        for i, form in enumerate(advice.forms)
    }
    weights = None if counts is None else counts[oov]
    left = np.ones(len(oov), np.bool_)
    chosen = []
    while would:
        weight = {
            form: (_weight(weights, hits & left) or 0, int(np.sum(hits & left)))
            for form, hits in would.items()
        }
        form = max(weight, key=lambda form: weight[form])  # the first of equals
        hits = would.pop(form)
        if hits.any():
            more = hits & left
            chosen.append(
                Suggestion(
                    form,
                    int(hits.sum()),
                    _weight(weights, hits),
                    int(more.sum()),
                    _weight(weights, more),
                )
            )
        left &= ~hits
    return tuple(chosen)


def _weight(counts: Int64Array | None, chosen: npt.NDArray[np.bool_]) -> int | None:
    return None if counts is None else int(counts[chosen].sum())


class Trial:
    """Forms that are tried beside a chain, on tokens that are to be looked for.

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
        alone = "exact" not in named
        self._forms = [f for f in match_chain(TRIED) if f.name not in named]
        self._splits = [
            splits(ids.tolist(), form.made(vocabulary, tokens), parts)
            if form.splits
            else []
            for form in self._forms
        ]
        self.texts = Rows(parts.stop)
        self._texts = [
            self._wanted(form, vocabulary, tokens, ids, alone) for form in self._forms
        ]

    def _wanted(
        self,
        form: Form,
        vocabulary: Vocabulary,
        tokens: list[str],
        ids: Int64Array,
        alone: bool,
    ) -> tuple[Int64Array, Int64Array]:
        """Return ids, and for each of them the row of a text that would do."""
        if form.splits:
            return ids[:0], ids[:0]
        made = form.made(vocabulary, tokens)
        places, rows = [], []
        for place, _, text in differing(tokens, made):
            places.append(place)
            rows.append(self.texts[text])
        if alone:  # what the form leaves as it is counts, too
            same = unchanged(tokens, made)
            places += same
            rows += [self.texts[tokens[place]] for place in same]
        return ids[np.array(places, np.int64)], np.array(rows, np.int64)

    def advice(
        self, found: npt.NDArray[np.bool_], oov: npt.NDArray[np.bool_]
    ) -> Advice:
        """Return the advice, given which rows were found and which tokens are OOV."""
        found_by = np.zeros(len(oov), np.uint32)
        for i, ((ids, rows), of_form) in enumerate(
            zip(self._texts, self._splits, strict=True)
        ):
            found_by[ids[found[rows]]] |= np.uint32(1 << i)
            for split in of_form:
                found_by[split.ids[split.complete(found)]] |= np.uint32(1 << i)
        found_by[~oov] = 0
        return Advice(tuple(form.name for form in self._forms), found_by)
