"""What the named forms of a token look like, where no word list is needed.

Each function takes a token and returns the form; or several, the likelier first, where
sources differ in what they do. A token to which a form does nothing comes back as it
is.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial

#: A form of a token, or several of them in the order in which they are tried.
Variants = str | tuple[str, ...]

_DIGIT = re.compile(r"\d")
_DIGITS_IN_A_ROW = re.compile(r"\d(?=\d)|(?<=\d)\d")
_JOINT = re.compile("[ _-]")
_DIVIDERS = re.compile(r"[\s_/\-‐‑‒–—]+")

#: Typographic quotes and dashes, and what a keyboard has for them.
_KEYBOARD = str.maketrans(
    dict.fromkeys("‘’‚‛′´`ʼ＇", "'")
    | dict.fromkeys("“”„‟″«»＂", '"')
    | dict.fromkeys("‐‑‒–—―−－", "-")
)

nfc = partial(unicodedata.normalize, "NFC")
nfkc = partial(unicodedata.normalize, "NFKC")


def title(token: str) -> Variants:
    """Return the token with a capital letter before each word, or just the first.

    >>> title("paris"), title("o'neill")
    ('Paris', ("O'Neill", "O'neill"))
    """
    each, first = token.title(), token.capitalize()
    return each if each == first else (each, first)


def strip_accents(token: str) -> str:
    """Return the token without the marks that NFD takes off its letters.

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
    return unicodedata.normalize("NFC", bare)  # else Hangul would stay in pieces


def digits_hash(token: str) -> Variants:
    """Return the token with ``#`` for every digit, or just for digits in a row.

    Sources have both: a digit that stands alone may have been kept.

    >>> digits_hash("1984"), digits_hash("3.14"), digits_hash("b2b")
    ('####', ('#.##', '3.##'), 'b#b')
    """
    every = _DIGIT.sub("#", token)
    if every == token:
        return token
    some = _DIGITS_IN_A_ROW.sub("#", token)
    return every if some in (every, token) else (every, some)


def digits_zero(token: str) -> str:
    """Return the token with ``0`` for every digit, as BPEmb has it."""
    return _DIGIT.sub("0", token)


def quotes(token: str) -> str:
    """Return the token with the quotes and dashes of a keyboard.

    Where it has them already, its apostrophes become typographic ones.

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
    """Return the words that hyphens and other dividers part, if there are several.

    >>> parts("state-of-the-art"), parts("cat"), parts("-s")
    (('state', 'of', 'the', 'art'), (), ())
    """
    if token.isalnum():  # as most are
        return ()
    words = tuple(filter(None, _DIVIDERS.split(token)))
    return words if len(words) > 1 else ()
