"""How much of a vocabulary was found in a source, and which forms would find more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pretrained_embed import markup
from pretrained_embed.arrays import BoolArray, Int64Array, UInt32Array
from pretrained_embed.errors import brief
from pretrained_embed.ledger.origin import Origin, OriginArray
from pretrained_embed.vocabulary import Vocabulary

#: How many forms an advice can have.
BITS = 32


class Advice(NamedTuple):
    """For every row of a vocabulary, the forms that would find it.

    Examples
    --------
    >>> matrix.advice.forms_for(7)  # doctest: +SKIP
    ('lower',)
    """

    forms: tuple[str, ...]
    found_by: UInt32Array  # (rows,); bit i: forms[i] would find it; 0 unless OOV

    @classmethod
    def of_rows(
        cls,
        given: Sequence[tuple[Advice | None, Int64Array]],
        oov: BoolArray,
    ) -> Advice | None:
        """Return the advice on the OOV rows of a vocabulary from that on parts of it.

        If several parts have advice on a row, all of it is used. Forms beyond the
        number of bits are left out.

        Parameters
        ----------
        given : iterable of (rows, Advice)
            The advice on each part, with its rows.
        oov : bool array (rows,)
            The rows that were not found.

        Returns
        -------
        Advice
            The advice on all rows.
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
        """Return ``found_by`` with the bits of the given forms."""
        if self.forms == forms:
            return self.found_by
        turned = np.zeros_like(self.found_by)
        for bit, form in enumerate(self.forms):
            if form in forms:
                said = self.found_by >> np.uint32(bit) & np.uint32(1)
                turned |= said << np.uint32(forms.index(form))
        return turned

    def of(self, rows: Int64Array) -> Advice:
        """Return the advice on some of the rows.

        Parameters
        ----------
        rows : slice or array of int
            The rows.

        Returns
        -------
        Advice
            The advice on these rows.
        """
        return self._replace(found_by=self.found_by[rows])

    def forms_for(self, row: int) -> tuple[str, ...]:
        """Return the forms that would find the token of a row.

        Parameters
        ----------
        row : int
            The row.

        Returns
        -------
        tuple of str
            The names of the forms.
        """
        bits = int(self.found_by[row])
        return tuple(form for i, form in enumerate(self.forms) if bits >> i & 1)


class Suggestion(NamedTuple):
    """How many tokens a form that is not in the chain would find."""

    form: str
    tokens: int
    occurrences: int | None  # of these tokens, if counts are known
    more: int  # tokens that none of the forms suggested before would find
    more_occurrences: int | None


def suggestions(
    advice: Advice, oov: Int64Array, counts: Int64Array | None
) -> tuple[Suggestion, ...]:
    """Return the forms that would find OOV tokens, each with what it adds.

    First comes the form that finds most of the text (most tokens, without counts), then
    the one that finds most of the remaining tokens, and so on.
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


#: How many OOV tokens a coverage lists, and how many its paragraph names.
LISTED = 100
EXAMPLES = 10

#: The lowest count of each frequency band.
_LOWS = (0, 1, 2, *(10**digits for digits in range(1, 19)), 2**63)

#: How many forms the paragraph suggests.
_SUGGESTED = 3

#: How OOV rows can be composed, and how that is written.
_PIECES = {
    Origin.SUBWORD: "subwords",
    Origin.PARTS: "parts",
    Origin.NGRAM: "n-grams",
}


class Missing(NamedTuple):
    """A token that was not found."""

    token: str
    occurrences: int | None
    found_by: tuple[str, ...]  # forms that are not in the chain and would find it


class Band(NamedTuple):
    """The tokens that occur from ``low`` to ``high`` times."""

    low: int
    high: int
    tokens: int
    found: int


@dataclass(frozen=True)
class Coverage:
    """How many of a vocabulary's tokens were found; special tokens are not counted.

    ``occurrences`` and ``occurrences_found`` weight each token by its count in the
    vocabulary; without counts they are ``None`` and there are no ``bands``. ``advice``
    is there if it was asked for, and ``made_of`` once OOV rows are filled.
    ``str(coverage)`` is a paragraph.

    Parameters
    ----------
    tokens : int
        How many tokens were looked up.
    by_origin : dict of str to int
        The tokens found by each form.
    missing : tuple of Missing
        OOV tokens, the most frequent first if counts are known.
    occurrences, occurrences_found : int or None
        The counts of all tokens, and of the found ones.
    bands : tuple of Band
        The tokens by frequency.
    advice : tuple of Suggestion
        Forms that would find more.
    made_of : dict of str to int
        OOV tokens composed of each kind of pieces.

    Examples
    --------
    >>> print(matrix.coverage)  # doctest: +SKIP
    Found 1 of 2 tokens (50.0 %). 1 is OOV. First of them: 'cat'.
    """

    #: The suffixes of a report: see `EmbeddingMatrix.save_report`.
    REPORT_SUFFIXES: ClassVar[tuple[str, ...]] = (".md", ".json", ".csv")

    tokens: int
    by_origin: dict[str, int]  # name of a form: tokens found by it
    missing: tuple[Missing, ...]  # the most frequent first, if counts are known
    occurrences: int | None = None
    occurrences_found: int | None = None
    bands: tuple[Band, ...] = ()
    advice: tuple[Suggestion, ...] = ()
    made_of: dict[str, int] = field(default_factory=dict)  # name of pieces: OOV tokens

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
        """Share of the tokens that were found, 0 to 1; 1 if none was looked up."""
        return self.found / self.tokens if self.tokens else 1.0

    @property
    def occurrences_ratio(self) -> float | None:
        """Share of the text that its found tokens make up, 0 to 1."""
        if self.occurrences is None or self.occurrences_found is None:
            return None
        return self.occurrences_found / self.occurrences if self.occurrences else 1.0

    @property
    def percentages(self) -> tuple[str, str]:
        """Both shares as text, of the tokens and of the text; "" if unknown."""
        text = self.occurrences_ratio
        return percent(self.ratio), "" if text is None else percent(text)

    @property
    def oov_examples(self) -> tuple[str, ...]:
        """The first of the tokens that were not found."""
        return tuple(each.token for each in self.missing[:EXAMPLES])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values.

        Returns
        -------
        dict
            The fields and shares.
        """
        return {
            "tokens": self.tokens,
            "found": self.found,
            "oov": self.oov,
            "ratio": self.ratio,
            "by_origin": dict(self.by_origin),
            "made_of": dict(self.made_of),
            "occurrences": self.occurrences,
            "occurrences_found": self.occurrences_found,
            "occurrences_ratio": self.occurrences_ratio,
            "bands": [band._asdict() for band in self.bands],
            "missing": [
                each._asdict() | {"found_by": list(each.found_by)}
                for each in self.missing
            ],
            "advice": [suggestion._asdict() for suggestion in self.advice],
        }

    def _repr_html_(self) -> str:
        rows = [(name, f"{n:,}") for name, n in self.by_origin.items() if n]
        rows.append(("not found", f"{self.oov:,}"))
        caption = f"Coverage of {self.tokens:,} tokens"
        return markup.table(caption, ("form", "tokens"), rows) + markup.paragraph(self)

    def __str__(self) -> str:
        forms = [f"{n:,} {name}" for name, n in self.by_origin.items() if n]
        text = f"Found {self.found:,} of {self.tokens:,} tokens ({percent(self.ratio)})"
        if len(forms) > 1:
            text += f": {', '.join(forms)}"
        if (ratio := self.occurrences_ratio) is not None:
            text += f", which make up {percent(ratio)} of the text"
        text += "."
        if self.oov:
            verb = "is" if self.oov == 1 else "are"
            most = "Most frequent" if self.occurrences is not None else "First"
            made = ", ".join(f"{n:,} from {name}" for name, n in self.made_of.items())
            filled = f" (filled {made})" if made else ""
            text += (
                f" {self.oov:,} {verb} OOV{filled}. {most} of them: "
                f"{', '.join(map(brief, self.oov_examples))}"
                f"{', ...' if self.oov > len(self.oov_examples) else '.'}"
            )
        if advice := self.advice_text():
            text += f" {advice}"
        return text

    def advice_text(self) -> str:
        """Return the forms to add to the chain, as a sentence.

        Returns
        -------
        str
            "" if no form helps.
        """
        found: list[str] = []
        for suggestion in self.advice[:_SUGGESTED]:
            if suggestion.more and self.occurrences:
                share = (suggestion.more_occurrences or 0) / self.occurrences
                text = f"{suggestion.more:,} more ({percent(share)} of the text)"
            elif suggestion.more:
                share = suggestion.more / self.tokens
                text = f"{suggestion.more:,} more ({percent(share)} of the tokens)"
            else:
                break
            would = "after it" if found else "would find"
            found.append(f"`{suggestion.form}` {would} {text}")
        return f"{', '.join(found)}." if found else ""


def percent(ratio: float) -> str:
    """Return a share as text, with 100 % and 0 % only if that is exact."""
    if 0.9995 <= ratio < 1:
        return "over 99.9 %"
    if 0 < ratio < 0.0005:
        return "under 0.1 %"
    return f"{100 * ratio:.1f} %"


def by_form(found: OriginArray, match: Sequence[str]) -> dict[str, int]:
    """Return how many tokens each form found, given their codes.

    ``match`` are the names of the chain.
    """
    counted: dict[str, int] = {}
    codes = np.bincount(found, minlength=256)
    for code in np.flatnonzero(codes).tolist():
        label = Origin(code).label(match)
        counted[label] = counted.get(label, 0) + int(codes[code])
    return counted


def made_of(oov: OriginArray) -> dict[str, int]:
    """Return how many OOV tokens are composed of each kind of pieces."""
    codes = np.bincount(oov, minlength=256)
    return {name: int(n) for code, name in _PIECES.items() if (n := codes[code])}


def missing(
    vocabulary: Vocabulary, oov: Int64Array, advice: Advice | None
) -> tuple[Missing, ...]:
    """Return the first of the tokens that were not found, given their rows."""
    counts, rows = vocabulary.counts, oov[:LISTED]
    return tuple(
        Missing(
            token,
            None if counts is None else int(counts[row]),
            () if advice is None else advice.forms_for(row),
        )
        for row, token in zip(rows.tolist(), vocabulary.strings(rows), strict=True)
    )


def bands(counts: Int64Array, found: BoolArray) -> tuple[Band, ...]:
    """Return tokens by how often they occur, given whether they were found."""
    band = np.searchsorted(_LOWS, counts, side="right") - 1
    tokens = np.bincount(band, minlength=len(_LOWS))
    found_in = np.bincount(band[found], minlength=len(_LOWS))
    return tuple(
        Band(_LOWS[i], _LOWS[i + 1] - 1, int(tokens[i]), int(found_in[i]))
        for i in np.flatnonzero(tokens).tolist()
    )
