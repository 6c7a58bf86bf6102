"""The forms that have names, and what each makes of a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pretrained_embed.errors import OptionError, commas, suggestion
from pretrained_embed.lookup import match_text as text
from pretrained_embed.lookup.match_conceptnet import conceptnet
from pretrained_embed.lookup.match_text import Variants
from pretrained_embed.lookup.match_words import lemmatizer, stemmer
from pretrained_embed.vocabulary import Vocabulary
from pretrained_embed.vocabulary.markers import text_of

Change = Callable[[str], Variants]

#: Given the vocabulary, returns what changes a token.
Step = Callable[[Vocabulary], Change]


def always(change: Change) -> Step:
    """Return the step that is the same for any vocabulary."""
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
    """Return what a named form does; ``None`` for exact and compound.

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
