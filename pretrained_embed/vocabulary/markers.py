"""The text of a token without the marks of its tokenizer.

Subword tokenizers mark which tokens begin a word. There are three conventions:

- ``Ġ``, byte-level BPE (GPT-2): each byte is a printable character, the space is ``Ġ``,
  and a token that begins a word begins with the space before it;
- ``▁``, SentencePiece: the same with U+2581, other characters unchanged; a single byte
  is written ``<0x0A>``;
- ``##``, WordPiece (BERT): a token that does not begin a word begins with ``##``.

In a vocabulary without any of them every token is a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal, NamedTuple, get_args

from pretrained_embed.errors import OptionError

#: How subword tokens show whether they begin a word: ``##`` before those that do not
#: (``wordpiece``, BERT), ``▁`` before those that do (``sentencepiece``), or ``Ġ``
#: before those that do, with each byte written as a printable character
#: (``byte-level``, GPT-2).
Marks = Literal["wordpiece", "sentencepiece", "byte-level"]

Marker = Literal["Ġ", "▁", "##", ""]

#: The marker of each convention.
MARKERS: dict[str, Marker] = {
    "wordpiece": "##",
    "sentencepiece": "▁",
    "byte-level": "Ġ",
}

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def check_marks(marks: Marks | None) -> None:
    """Raise `OptionError` for unknown marks."""
    if marks is not None and marks not in get_args(Marks):
        raise OptionError(f"marks is {marks!r}; it can be {', '.join(get_args(Marks))}")


class TokenText(NamedTuple):
    """The text of a token."""

    begins_word: bool
    text: str  # without marker


def marker_of(tokens: Iterable[str]) -> Marker:
    """Return the marker of most tokens; ``""`` if there is none."""
    counts: dict[Marker, int] = {"Ġ": 0, "▁": 0, "##": 0}
    for token in tokens:
        for marker in counts:
            if token.startswith(marker) and token != marker:
                counts[marker] += 1
    most = max(counts, key=lambda marker: counts[marker])
    return most if counts[most] else ""


def text_of(token: str, marker: Marker) -> TokenText | None:
    """Return the text of a token; ``None`` if it is part of a character.

    >>> text_of("ĠcafÃ©", "Ġ"), text_of("##ing", "##")
    (TokenText(begins_word=True, text='café'), TokenText(begins_word=False, text='ing'))
    """
    if marker == "##":
        return TokenText(not token.startswith("##"), token.removeprefix("##"))
    if marker == "":
        return TokenText(True, token)
    raw = bytes_of(token, marker)
    if raw is not None:
        spaced = _decoded(raw)
    else:  # added tokens outside the byte-level alphabet
        spaced = token.replace("▁", " ") if marker == "▁" else token
    if spaced is None:
        return None
    return TokenText(spaced.startswith(" "), spaced.removeprefix(" "))


def bytes_of(token: str, marker: Marker) -> bytes | None:
    """Return the single bytes that a token writes, if it does.

    >>> bytes_of("<0xC3>", "▁"), bytes_of("Ã", "Ġ"), bytes_of("the", "▁")
    (b'\\xc3', b'\\xc3', None)
    """
    if marker == "▁":
        byte = _BYTE.fullmatch(token)
        return bytes.fromhex(byte[1]) if byte else None
    if marker == "Ġ":
        table = _bytes_of_characters()
        if all(character in table for character in token):
            return bytes(map(table.__getitem__, token))
    return None


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


@cache
def _bytes_of_characters() -> dict[str, int]:
    """Return the byte of each character of the byte-level alphabet.

    Printable bytes of Latin-1 stay themselves; the others are, in order, the characters
    from U+0100 on. https://github.com/openai/gpt-2/blob/master/src/encoder.py
    """
    printing = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(0x100) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }
