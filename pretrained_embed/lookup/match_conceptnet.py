"""Keys of ConceptNet Numberbatch: ``/c/en/new_york``, or just ``new_york``.

A key is a language and the words of a term, standardised as ConceptNet does it:
https://github.com/commonsense/conceptnet-numberbatch/blob/master/text_to_uri.py. Words
are runs of letters, digits and marks; ``'``, ``.`` and ``:`` may stand between letters,
``'``, ``.`` and ``,`` between digits. ``l'`` and the like are words of their own before
a vowel. Words are case-folded and joined by ``_``; in English the articles go, and "to"
at the beginning. Where two digits follow each other, every digit is a ``#``. The files
that are English alone leave ``/c/en/`` out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from pretrained_embed.errors import OptionError
from pretrained_embed.lookup.match_text import Variants

_ARTICLES = {"a", "an", "the"}
_ELISION = re.compile(
    r"\b(\w\w?)'(?=[aehiouyáéíóúàèìòùâêîôûåïöœ])", re.IGNORECASE
)  # before a vowel or h, as in "l'arc" and "d'heure"
_LANGUAGE = re.compile("[a-z]{2,3}([_-][a-z]+)*")
_LAST_PLANE_WITH_MARKS = 0x1FFFF  # variation selectors beyond it are in no key


def conceptnet(language: str) -> Callable[[str], Variants]:
    """Return what gives the keys of a token in a language, the whole key first.

    A token that is such a key already keeps its words. Raises `OptionError` for what
    is no code of a language.

    >>> conceptnet("en")("The 24-hour Test"), conceptnet("de")("Straße")
    (('/c/en/##_hour_test', '##_hour_test'), ('/c/de/strasse', 'strasse'))
    """
    if not _LANGUAGE.fullmatch(language):
        raise OptionError(f"conceptnet:{language}: a code of a language goes here: en")

    def keys(token: str) -> Variants:
        if token.isascii() and token.isalpha():  # as most are, and one word as it is
            term = token.lower()
            return f"/c/{language}/{term}", term
        if token.startswith("/c/"):
            return _without_numbers(token)
        words = _words(token)
        if language == "en":
            words = _english(words)
        term = _without_numbers("_".join(words))
        return (f"/c/{language}/{term}", term) if term else ()

    return keys


def _words(token: str) -> list[str]:
    text = unicodedata.normalize("NFC", token.replace("_", " "))
    text = _ELISION.sub(r"\1 ", text)
    return [word.casefold() for word in _word_pattern().findall(text)]


@cache
def _word_pattern() -> re.Pattern[str]:
    marks = "".join(
        character
        for character in map(chr, range(0x300, _LAST_PLANE_WITH_MARKS))
        if unicodedata.category(character).startswith("M")
    )
    letter, run = rf"[^\W\d_]|[{marks}]", rf"(?:[^\W_]|[{marks}])+"
    between = rf"(?<=[^\W\d_])['’.:·](?={letter})|(?<=\d)['.,;](?=\d)"
    return re.compile(rf"{run}(?:(?:{between}){run})*")


def _english(words: list[str]) -> list[str]:
    kept = [word for word in words if word not in _ARTICLES]
    while kept and kept[0] == "to":
        del kept[0]
    return kept or words


def _without_numbers(term: str) -> str:
    if re.search("[0-9]{2}", term):
        return re.sub("[0-9]", "#", term)
    return term
