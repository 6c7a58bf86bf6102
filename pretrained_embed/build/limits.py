"""The limits of a build: the least coverage, and the most malformed rows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from pretrained_embed.errors import CoverageError, OptionError, brief, given
from pretrained_embed.formats import Findings, Reader
from pretrained_embed.formats.findings import check_bad_rows
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.ledger.coverage import Coverage, percent
from pretrained_embed.lookup.match import Chain, chain_names
from pretrained_embed.vocabulary import Vocabulary


@dataclass(frozen=True)
class Limits:
    """The conditions under which a build fails. They never change the matrix.

    Parameters
    ----------
    coverage : float, default 0.0
        The least share of the tokens to be found, 0 to 1.
    text_coverage : float, default 0.0
        The least share of the text that the found tokens make up, 0 to 1, by the counts
        of the vocabulary.
    bad_rows : int or float, default 0
        How many malformed rows of a source may be left out: a number of rows, or a
        share of its rows as a ``float`` from 0.0 to 1.0. ``1.0`` is any number. They
        are counted, and the findings name the first of them.

    Raises
    ------
    OptionError
        For an invalid value.

    Examples
    --------
    >>> Limits(coverage=0.8, bad_rows=0.001)
    Limits(coverage=0.8, text_coverage=0.0, bad_rows=0.001)
    """

    __module__ = "pretrained_embed"  # pickles use this name, so it stays

    coverage: float = 0.0
    text_coverage: float = 0.0
    bad_rows: int | float = 0
    _share: bool = field(init=False, repr=False)  # 1 is one row, and 1.0 any number

    def __post_init__(self) -> None:
        for name in ("coverage", "text_coverage"):
            least = getattr(self, name)
            if not _is_number(least) or not 0 <= least <= 1:
                raise OptionError(f"{name} is {brief(least)}; it goes from 0 to 1")
        most = self.bad_rows
        share = isinstance(most, float)
        if not _is_number(most) or most < 0 or (share and not most <= 1):
            raise OptionError(
                f"bad_rows is {brief(most)}; it is a number of rows, or a share from "
                "0.0 to 1.0"
            )
        object.__setattr__(self, "_share", share and most > 0)

    @classmethod
    def of_rows(cls, limits: Limits | None, verb: str) -> Limits:
        """Return the limits of a function that reads rows and has no coverage.

        Parameters
        ----------
        limits : Limits or None
            A ``limits=`` argument.
        verb : str
            The name of the function, for the message.

        Returns
        -------
        Limits
            The limits; by default no malformed row.

        Raises
        ------
        OptionError
            For a value that is no `Limits`, and for limits on the coverage.
        """
        limits = given("limits", limits, cls)
        for name in ("coverage", "text_coverage"):
            if getattr(limits, name):
                raise OptionError(
                    f"{verb} does not fail for too little {name}: of limits it has "
                    "bad_rows alone"
                )
        return limits

    @property
    def on_bad_row(self) -> OnBadRow:
        """The treatment of a malformed row by a reader."""
        return "skip" if self.bad_rows else "error"

    def check_rows(self, findings: Findings, name: str) -> None:
        """Raise an error if a source has too many malformed rows.

        Parameters
        ----------
        findings : Findings
            The findings of the source.
        name : str
            The name of the source.

        Raises
        ------
        RowError
            If it has too many.
        """
        if not (self._share and self.bad_rows == 1):
            check_bad_rows(findings, self.bad_rows, name)

    def check(self, coverage: Coverage) -> None:
        """Raise an error if too little was found.

        Parameters
        ----------
        coverage : Coverage
            What was found.

        Raises
        ------
        CoverageError
            If it is less than the limits require.
        """
        if coverage.ratio < self.coverage:
            raise CoverageError(
                f"{percent(coverage.ratio)} of the tokens were found, "
                f"{percent(self.coverage)} are asked for. {coverage}"
            )
        share = coverage.occurrences_ratio
        if share is not None and share < self.text_coverage:
            raise CoverageError(
                f"the tokens found make up {percent(share)} of the text, "
                f"{percent(self.text_coverage)} are asked for. {coverage}"
            )


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


# If nothing was found

#: How many tokens of each side are compared, and how many are shown.
_SAMPLE, _SHOWN = 200, 5

_NUMBER = re.compile(r"-?\d+").fullmatch
_SPELLED = re.compile(r" ?\+?(-?)0*(\d+)(?:\.0*)?").fullmatch
_MARKED = re.compile(r"##|\u2581|\u0120|.*(?:@@|</w>)$").match
_SEPARATED = re.compile(r"[\t,;]|\s\S*\d$").search

#: Forms of `match`, the tokens of a source that need them, and a test for those.
_FORMS: tuple[tuple[str, str, Callable[[str], object]], ...] = (
    ("conceptnet", "keys of ConceptNet", re.compile(r"/c/[a-z]+/").match),
    ("lower", "in lower case", lambda token: token == token.lower()),
    ("upper", "in upper case", lambda token: token == token.upper()),
)


def nothing_found(
    vocabulary: Vocabulary,
    readers: Sequence[Reader],
    match: Chain,
    on_bad_row: OnBadRow,
    coverage: Coverage,
) -> CoverageError:
    """Return the error that shows tokens of both sides, with suitable advice."""
    block = next(iter(readers[0].blocks(on_bad_row=on_bad_row)), None)
    theirs = [] if block is None else block.tokens[:_SAMPLE]
    special = set(vocabulary.special_tokens.values())
    ours = list(
        islice((token for token in vocabulary if token not in special), _SAMPLE)
    )
    names = " or ".join(reader.name for reader in readers)
    chain = ",".join(chain_names(match))
    composing = next((reader.name for reader in readers if reader.composes), None)
    subword = composing and (
        f"oov='subword' makes vectors of the subword pieces that {composing} has."
    )
    advice = coverage.advice_text() or _advice(ours, theirs, chain)
    return CoverageError(
        f"no token of the vocabulary is in {names}. The vocabulary begins "
        f"{', '.join(map(brief, ours[:_SHOWN]))}; the source begins "
        f"{', '.join(map(brief, theirs[:_SHOWN])) or 'with no row'} (match was "
        f"{chain}). {' '.join(filter(None, (advice, subword)))}".rstrip()
    )


def _advice(ours: list[str], theirs: list[str], chain: str) -> str:
    """Return the advice for two samples of tokens that have none in common."""
    if not theirs:
        return "Is it the right file?"
    if all(map(_NUMBER, ours)) and (other := _other_spelling(theirs)):
        return (
            f"The source writes numbers in another way, such as {other!r}, and tokens "
            "are compared as they are written; a form of one's own makes that of them, "
            "such as match=lambda token: token.zfill(8)."
        )
    if all(map(_NUMBER, ours)) and not all(map(_NUMBER, theirs)):
        return (
            "Those of the vocabulary are numbers: give it the tokens, not their ids or "
            "counts."
        )
    if all(map(_NUMBER, theirs)) and not all(map(_NUMBER, ours)):
        return (
            "Those of the source are numbers: it names its rows by ids, so give the "
            "ids as vocabulary, or a file that has the tokens."
        )
    for form, kind, test in _FORMS:
        if _most(theirs, test) and not _most(ours, test) and form not in chain:
            return (
                f"Those of the source are {kind}: match='{chain},{form}' may find them."
            )
    marked = any(map(_MARKED, ours)) and not any(map(_MARKED, theirs))
    if marked and "unmarked" not in chain:
        return (
            "Those of the vocabulary have the marks of a subword tokenizer: "
            f"match='{chain},unmarked' looks for them without."
        )
    if any(map(_SEPARATED, ours)):
        return (
            "Those of the vocabulary have separators in them: give a file of one token "
            "a line, the first column of a table alone."
        )
    if not (_scripts(ours) & _scripts(theirs)):
        return "The two are not in the same script: take vectors of the language."
    return "Is it the right language, and the same kind of token?"


def _other_spelling(tokens: list[str]) -> str | None:
    """Return the first number that Python writes differently: ``007``, ``7.0``."""
    for token in tokens:
        if (parts := _SPELLED(token)) and token != f"{parts[1]}{parts[2]}":
            return token
    return None


def _most(tokens: list[str], test: Callable[[str], object]) -> bool:
    return 2 * sum(bool(test(token)) for token in tokens) > len(tokens)


def _scripts(tokens: list[str]) -> set[str]:
    """Return the first words of the Unicode names of all letters: LATIN, GREEK, ..."""
    letters = set("".join(tokens))
    names = (unicodedata.name(one, "") for one in letters if one.isalpha())
    return {name.partition(" ")[0] for name in names}
