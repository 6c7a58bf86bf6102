"""The named forms of a token.

Each function takes a token and returns its form, or several where sources differ, the
more likely one first. A token that a form does not change is returned unchanged.

Keys of ConceptNet Numberbatch: ``/c/en/new_york``, or just ``new_york``.

A key is a language and the words of a term, as ConceptNet standardises them:
https://github.com/commonsense/conceptnet-numberbatch/blob/master/text_to_uri.py. Words
are runs of letters, digits and marks; ``'``, ``.`` and ``:`` may stand between letters,
``'``, ``.`` and ``,`` between digits. ``l'`` and the like are words of their own before
a vowel. Words are case-folded and joined by ``_``; in English the articles go, and "to"
at the beginning. If two digits follow each other, every digit becomes ``#``.
English-only files leave ``/c/en/`` out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache, partial

from pretrained_embed.errors import MissingPackageError, OptionError, suggestion

#: A form of a token, or several of them in the order in which they are tried.
Variants = str | tuple[str, ...]

_DIGIT = re.compile(r"\d")
_DIGITS_IN_A_ROW = re.compile(r"\d(?=\d)|(?<=\d)\d")
_JOINT = re.compile("[ _-]")
_DIVIDERS = re.compile(r"[\s_/\-‐‑‒–—]+")

#: Typographic quotes and dashes, and those of a keyboard.
_KEYBOARD = str.maketrans(
    dict.fromkeys("‘’‚‛′´`ʼ＇", "'")
    | dict.fromkeys("“”„‟″«»＂", '"')
    | dict.fromkeys("‐‑‒–—―−－", "-")
)

nfc = partial(unicodedata.normalize, "NFC")
nfkc = partial(unicodedata.normalize, "NFKC")


def title(token: str) -> Variants:
    """Return the token with each word capitalised, and with only the first one.

    >>> title("paris"), title("o'neill")
    ('Paris', ("O'Neill", "O'neill"))
    """
    each, first = token.title(), token.capitalize()
    return each if each == first else (each, first)


def strip_accents(token: str) -> str:
    """Return the token without accents: the marks that NFD separates from letters.

    >>> strip_accents("Café"), strip_accents("한글")
    ('Cafe', '한글')
    """
    if token.isascii():
        return token
    bare = "".join(
        character
        for character in unicodedata.normalize("NFD", token)
        if unicodedata.category(character) != "Mn"
    )
    return unicodedata.normalize("NFC", bare)  # else Hangul would stay decomposed


def digits_hash(token: str) -> Variants:
    """Return the token with ``#`` for every digit, and only for digits in a row.

    Sources have both: some keep a single digit.

    >>> digits_hash("1984"), digits_hash("3.14"), digits_hash("b2b")
    ('####', ('#.##', '3.##'), 'b#b')
    """
    every = _DIGIT.sub("#", token)
    if every == token:
        return token
    some = _DIGITS_IN_A_ROW.sub("#", token)
    return every if some in (every, token) else (every, some)


def digits_zero(token: str) -> str:
    """Return the token with ``0`` for every digit, as in BPEmb."""
    return _DIGIT.sub("0", token)


def quotes(token: str) -> str:
    """Return the token with the quotes and dashes of a keyboard.

    If it has them already, its apostrophes become typographic ones.

    >>> quotes("don’t"), quotes("1990–95"), quotes("don't")
    ("don't", '1990-95', 'don’t')
    """
    if token.isalnum():
        return token
    plain = token.translate(_KEYBOARD)
    return plain if plain != token else token.replace("'", "’")


def joined(token: str) -> Variants:
    """Return the token with its words joined by ``_``, a space and ``-``.

    >>> joined("new york"), joined("cat")
    (('new_york', 'new-york'), 'cat')
    """
    words = _JOINT.split(token)
    if len(words) == 1 or "" in words:
        return token
    ways = (joint.join(words) for joint in "_ -")
    return tuple(way for way in ways if way != token)


def parts(token: str) -> tuple[str, ...]:
    """Return the words between hyphens and other separators, if there are several.

    >>> parts("state-of-the-art"), parts("cat"), parts("-s")
    (('state', 'of', 'the', 'art'), (), ())
    """
    if token.isalnum():  # most tokens have none
        return ()
    words = tuple(filter(None, _DIVIDERS.split(token)))
    return words if len(words) > 1 else ()


#: Languages of Snowball's stemmers by their ISO 639-1 codes.
#: https://snowballstem.org/algorithms/
_SNOWBALL = {
    **{"ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german"},
    **{"el": "greek", "en": "english", "eo": "esperanto", "es": "spanish"},
    **{"et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish"},
    **{"fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian"},
    **{"hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian"},
    **{"ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish"},
    **{"pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian"},
    **{"st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish"},
    **{"yi": "yiddish"},
}


def lemmatizer(language: str) -> Callable[[str], str]:
    """Return the function for the lemma of a word, by simplemma.

    Raises `OptionError` for a language that it lacks, and `MissingPackageError`.
    """
    try:
        import simplemma
    except ImportError as error:
        raise _missing("lemma", "simplemma") from error
    lemma = partial(simplemma.lemmatize, lang=language)
    try:
        lemma("a")
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"lemma:{language}: simplemma has no such language; use a code such as en"
        ) from error
    return lemma


def stemmer(language: str) -> Callable[[str], str]:
    """Return the function for the stem of a word, by the Snowball algorithms.

    The language is a code or a name, such as ``en`` or ``english``. Raises
    `OptionError` for an unknown one, and `MissingPackageError`.
    """
    try:
        import snowballstemmer
    except ImportError as error:
        raise _missing("stem", "snowballstemmer") from error
    name = _SNOWBALL.get(language, language)
    known = snowballstemmer.algorithms()
    if name not in known:
        raise OptionError(
            f"stem:{language}: there is no such stemmer; known: {', '.join(known)}"
            f"{suggestion(language, known)}"
        )
    stem: Callable[[str], str] = snowballstemmer.stemmer(name).stemWord
    return stem


def _missing(form: str, package: str) -> MissingPackageError:
    return MissingPackageError(
        f"the form {form} needs the package {package}: pip install {package}"
    )


_ARTICLES = {"a", "an", "the"}
_ELISION = re.compile(
    r"\b(\w\w?)'(?=[aehiouyáéíóúàèìòùâêîôûåïöœ])", re.IGNORECASE
)  # before a vowel or h, as in "l'arc" and "d'heure"
_LANGUAGE = re.compile("[a-z]{2,3}([_-][a-z]+)*")
_LAST_PLANE_WITH_MARKS = 0x1FFFF  # variation selectors beyond it are in no key


def conceptnet(language: str) -> Callable[[str], Variants]:
    """Return the function for the keys of a token in a language, full key first.

    A token that is already a key keeps its words. Raises `OptionError` for an invalid
    language code.

    >>> conceptnet("en")("The 24-hour Test"), conceptnet("de")("Straße")
    (('/c/en/##_hour_test', '##_hour_test'), ('/c/de/strasse', 'strasse'))
    """
    if not _LANGUAGE.fullmatch(language):
        raise OptionError(f"conceptnet:{language}: a code of a language goes here: en")

    def keys(token: str) -> Variants:
        # most are not keys, and one word is unchanged
        if token.isascii() and token.isalpha():
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
