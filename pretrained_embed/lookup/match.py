"""The match chain: the forms in which a token is looked up, in order.

A form is named (``lower``), named with a language (``conceptnet:de``, ``lemma:en``), a
composition (``lower+strip-accents``, from left to right), or a callable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from pretrained_embed.errors import OptionError, brief, commas, suggestion
from pretrained_embed.ledger.origin import OWN_FORMS, Origin
from pretrained_embed.lookup import match_text as text
from pretrained_embed.lookup.match_text import Variants, conceptnet, lemmatizer, stemmer
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.markers import text_of

Change = Callable[[str], Variants]

#: Given the vocabulary, returns the function that changes a token.
Step = Callable[[Vocabulary], Change]


def always(change: Change) -> Step:
    """Return a step that is the same for any vocabulary."""
    return lambda _: change


def _unmarked(vocabulary: Vocabulary) -> Change:
    marker = vocabulary.marker
    if not marker:
        return str

    def change(token: str) -> Variants:
        known = text_of(token, marker)
        return () if known is None else known.text

    return change


_PLAIN: Mapping[str, Step | None] = {
    "exact": None,
    "lower": always(str.lower),
    "title": always(text.title),
    "upper": always(str.upper),
    "nfc": always(text.nfc),
    "nfkc": always(text.nfkc),
    "strip-accents": always(text.strip_accents),
    "digits-hash": always(text.digits_hash),
    "digits-zero": always(text.digits_zero),
    "quotes": always(text.quotes),
    "joined": always(text.joined),
    "compound": None,
    "unmarked": _unmarked,
}

_OF_A_LANGUAGE: Mapping[str, Callable[[str], Change]] = {
    "conceptnet": conceptnet,
    "lemma": lemmatizer,
    "stem": stemmer,
}

_DEFAULT_LANGUAGE = {"conceptnet": "en"}

#: The names of the forms; "lemma" and "stem" need a language: "lemma:en".
FORMS = (*_PLAIN, *_OF_A_LANGUAGE)


def named_step(name: str) -> Step | None:
    """Return the function of a named form; ``None`` for exact and compound.

    Raises `OptionError` for an unknown form or language.
    """
    base, colon, language = name.partition(":")
    if name in _PLAIN:
        return _PLAIN[name]
    if base in _OF_A_LANGUAGE:
        language = language or _DEFAULT_LANGUAGE.get(base, "")
        if not language:
            raise OptionError(f"match has {name!r}; it needs a language: '{base}:en'")
        return always(_OF_A_LANGUAGE[base](language))
    if base in _PLAIN and colon:
        raise OptionError(f"match has {name!r}; {base!r} has no languages")
    near = commas(name, FORMS) or suggestion(base, FORMS)
    raise OptionError(
        f"unknown form {name!r} in match; known: {', '.join(FORMS)}{near}"
    )


#: A user's own form: returns the form of a token, several in the order in which they
#: are tried, or ``None``.
Callback = Callable[[str], str | Iterable[str] | None]

#: The values of ``match``: names, which a ``str`` separates by commas.
Match = str | Callback | Iterable[str | Callback]


class MatchForm(NamedTuple):
    """One form of a chain."""

    name: str
    code: int  # in the row ledger
    steps: tuple[Step, ...]  # one after the other
    splits: bool = False  # what comes out is split into parts, whose mean is taken
    calls: bool = False  # it is a function of the caller's

    def made(self, vocabulary: Vocabulary, tokens: Sequence[str]) -> Sequence[Variants]:
        """Return the forms of each token, before compounds are split."""
        made: Sequence[Variants] = tokens
        for step in self.steps:
            change = step(vocabulary)
            made = [
                change(variants)
                if isinstance(variants, str)
                else tuple(dict.fromkeys(chain(*map(several, map(change, variants)))))
                for variants in made
            ]
        return made


Chain = tuple[MatchForm, ...]

EXACT = MatchForm("exact", Origin.EXACT, ())

#: How many forms a chain may have: the ledger has no more codes.
_LONGEST = 64


def match_chain(match: Match) -> Chain:
    """Return the forms of a match chain.

    Raises `OptionError` for an unknown form or language, for a form that is named twice
    and for an empty chain, and `MissingPackageError` if a form needs a package that is
    not installed.
    """
    if isinstance(match, str):
        entries: list[str | Callback] = [name.strip() for name in match.split(",")]
    elif callable(match) or not isinstance(match, Iterable):
        entries = [match]  # `_called` refuses those that are no functions
    else:
        entries = list(match)
    if len(entries) > _LONGEST:
        raise OptionError(f"match names {len(entries)} forms; {_LONGEST} are the most")
    forms = tuple(_form(entry, place) for place, entry in enumerate(entries))
    distinct = {entry if isinstance(entry, str) else id(entry) for entry in entries}
    if not forms or len(distinct) < len(forms):
        names = ", ".join(chain_names(forms))
        raise OptionError(
            f"match is {names or 'empty'}; name each form once, and one at least"
        )
    return forms


def chain_names(forms: Chain) -> tuple[str, ...]:
    """Return the names of a chain for the provenance."""
    return tuple(form.name for form in forms)


def _form(entry: str | Callback, place: int) -> MatchForm:
    """Return a form; all but the plain named ones have a code by their position."""
    if not isinstance(entry, str):
        return _called(entry, place)
    names = entry.split("+")
    steps = tuple(step for name in names if (step := named_step(name)) is not None)
    splits = names[-1] == "compound"
    if len(names) == 1:
        code = OWN_FORMS + place if ":" in entry else Origin.of_form(entry)
        return MatchForm(entry, code, steps, splits)
    if len(steps) < len(names) - splits or len(set(names)) < len(names):
        raise OptionError(
            f"match has {entry!r}; a composition names each form once, 'compound' at "
            "its end only, and 'exact' nowhere"
        )
    return MatchForm(entry, OWN_FORMS + place, steps, splits)


def several(variants: Variants) -> tuple[str, ...]:
    """Return variants as a tuple of them."""
    return (variants,) if isinstance(variants, str) else variants


def _called(function: Callback, place: int) -> MatchForm:
    if not callable(function):
        raise OptionError(
            f"match has {function!r}; a form is a name or a callable; known: "
            f"{', '.join(FORMS)}"
        )
    name = getattr(function, "__qualname__", type(function).__qualname__)

    def change(token: str) -> Variants:
        given = function(token)
        if given is None:
            return ()
        try:
            variants = (given,) if isinstance(given, str) else tuple(given)
            "".join(variants).encode("utf-8", "surrogateescape")
        except (TypeError, UnicodeEncodeError) as error:
            raise OptionError(
                f"the form {name} of match returned {brief(given)} for {brief(token)}; "
                "expected a str that UTF-8 can hold, several of them, or None"
            ) from error
        return variants

    return MatchForm(
        f"callable {name}", OWN_FORMS + place, (always(change),), calls=True
    )
