"""Which forms that are not in the chain would find tokens that were not found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import BoolArray, Int64Array, UInt32Array

#: How many forms advice can be about.
BITS = 32


class Advice(NamedTuple):
    """For every row of a vocabulary, the forms that would find it."""

    forms: tuple[str, ...]
    found_by: UInt32Array  # (rows,); bit i: forms[i] would; 0 unless OOV

    @classmethod
    def of_rows(
        cls,
        given: Sequence[tuple[Advice | None, Int64Array]],
        oov: BoolArray,
    ) -> Advice | None:
        """Return advice on the OOV rows of a vocabulary from that on parts of it.

        Each is given with its rows; what any of them says of a row counts. Of forms
        beyond those that there are bits for nothing is said.
        """
        known = [(advice, rows) for advice, rows in given if advice is not None]
        distinct = dict.fromkeys(form for advice, _ in known for form in advice.forms)
        forms = tuple(distinct)[:BITS]
        found_by = np.zeros(len(oov), np.uint32)
        for advice, rows in known:
            found_by[rows] |= advice._in_terms_of(forms)
        found_by[~oov] = 0
        return cls(forms, found_by) if known else None

    def _in_terms_of(self, forms: tuple[str, ...]) -> UInt32Array:
        """Return ``found_by`` with the bits that these forms have."""
        if self.forms == forms:
            return self.found_by
        turned = np.zeros_like(self.found_by)
        for bit, form in enumerate(self.forms):
            if form in forms:
                said = self.found_by >> np.uint32(bit) & np.uint32(1)
                turned |= said << np.uint32(forms.index(form))
        return turned

    def of(self, rows: Int64Array) -> Advice:
        """Return the advice on some of the rows."""
        return self._replace(found_by=self.found_by[rows])

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
    # by pattern of bits, of which there are few
    patterns, places = np.unique(advice.found_by[oov], return_inverse=True)
    tokens = np.bincount(places, minlength=len(patterns))
    occurrences = np.zeros(len(patterns), np.int64)
    if counts is not None:
        np.add.at(occurrences, places, counts[oov])
    would = {
        form: hits
        for i, form in enumerate(advice.forms)
        if (hits := (patterns >> np.uint32(i) & 1).astype(np.bool_)).any()
    }
    left = np.ones(len(patterns), np.bool_)
    chosen = []
    while would:
        more = {
            form: (int(occurrences[hits & left].sum()), int(tokens[hits & left].sum()))
            for form, hits in would.items()
        }
        form = max(more, key=lambda form: more[form])  # the first of equals
        hits = would.pop(form)
        left &= ~hits
        chosen.append(
            Suggestion(
                form,
                int(tokens[hits].sum()),
                None if counts is None else int(occurrences[hits].sum()),
                more[form][1],
                None if counts is None else more[form][0],
            )
        )
    return tuple(chosen)
