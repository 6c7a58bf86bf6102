"""Lemmas and stems: forms that other people's word lists and rules give."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pretrained_embed.errors import MissingPackageError, OptionError, suggestion

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
    """Return what gives the lemma of a word, by simplemma.

    Raises `OptionError` for a language that it has not, and `MissingPackageError`.
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
    """Return what gives the stem of a word, by the Snowball algorithms.

    The language is a code or a name, such as ``en`` or ``english``. Raises
    `OptionError` for one that they have not, and `MissingPackageError`.
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
