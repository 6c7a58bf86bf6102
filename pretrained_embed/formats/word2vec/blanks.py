"""Where a token ends that may hold a blank.

A blank ends a token, so `new york` reads as `new`, with a vector that begins with
``york`` and ends too early; the next token begins with what is left of the vector. The
kernel finds the rows that may be such: their vector begins with text. Each blank of
that text can be the end of the token. All bytes up to the end of the next token are
either of the two tokens or of the vector; how likely they are as these, by the bytes
that tokens and numbers of the first rows have, tells the readings apart.
"""

from __future__ import annotations

import numpy as np

from pretrained_embed.arrays import Float64Array
from pretrained_embed.formats.word2vec.layout import (
    LONGEST_TOKEN,
    UNLIKELY,
    Layout,
    blanks_of,
    byte_chances,
    no_utf_8,
)

_LF, _SPACE = b"\n", b" "
#: How many times likelier than any other a reading has to be: for one with a blank in
#: the token, for one without, and for that to need no note.
_SURE, _LIKELY, _PLAIN = 100, 8, 1e5
#: How many bytes of numbers, of each value, and of tokens are taken for seen before any
#: is; and the part of rows whose token holds a blank, where no row has told of one.
_NUMBERS, _TEXT, _BLANKS = 0.25, 16, 0.02
#: The same of bytes that are no UTF-8, of those that are no ASCII.
_ODD = 0.02


def bytes_needed(layout: Layout) -> int:
    """Return how many bytes from the start of a row tell where its token ends."""
    return 4 * layout.slots + 3 * LONGEST_TOKEN


class TokenEnds:
    """Where tokens of one file end, by what its first rows are like."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        sample, width = layout.sample, int(layout.dtype[-1])
        numbers = np.frombuffer(sample.vectors, np.uint8).reshape(-1, width)
        places = [np.bincount(place, minlength=256) for place in numbers.T]
        self._numbers = _logarithms(np.array(places, np.float64) + _NUMBERS)
        expected = _TEXT * byte_chances()
        tokens = [token for token in sample.tokens if token]
        firsts = np.array([token[0] for token in tokens], np.int64)
        self._first = _logarithms(np.bincount(firsts, minlength=256) + expected)
        others = np.frombuffer(b"".join(token[1:] for token in tokens), np.uint8)
        self._text = _logarithms(np.bincount(others, minlength=256) + expected)
        invalid = sum(map(no_utf_8, tokens))
        high = sum(byte > 0x7F for token in tokens for byte in token)
        self._invalid = float(np.log((invalid + _ODD) / (high + 1)))
        rows = len(sample.tokens)
        blanks = sum(_SPACE in token for token in tokens)
        self._text[ord(" ")] = np.log((blanks + _BLANKS) / (rows + 1))
        ended = (sample.line_ends + 0.5) / (rows + 1)
        self._line_end = float(np.log(ended)), float(np.log(1 - ended))

    def find(
        self, raw: bytes, *, whole: bool, rows_after: int
    ) -> tuple[int | None, bool]:
        """Return where the token at the start ends, and whether that is sure.

        ``None`` if nothing tells.

        ``raw`` begins with a row that is whole, and has `bytes_needed` of the file or,
        if ``whole``, all the rest. The header declares ``rows_after`` rows behind it.
        """
        vector = 4 * self._layout.slots
        behind = rows_after * (vector + len(_SPACE)) if whole else 0  # they need it
        begin = len(raw) - len(raw.lstrip(_LF))
        first, *others = blanks_of(raw, begin)
        ends = [end for end in others if end + 1 + vector + behind <= len(raw)]
        if not ends:
            return first, True
        ends = [first, *ends]
        until = raw.find(_SPACE, ends[-1] + 1 + vector)
        if not 0 <= until <= ends[-1] + 1 + vector + LONGEST_TOKEN:
            until = min(len(raw), ends[-1] + 1 + vector + LONGEST_TOKEN)
        readings = [(self._likelihood(raw, begin, end, until), end) for end in ends]
        (best, end), (second, _), *_ = sorted(readings, reverse=True)
        times = float(np.exp(min(best - second, 99)))
        if end == first:
            return (end if times > _LIKELY else None), times > _PLAIN
        return (end if times > _SURE else None), True

    def _likelihood(self, raw: bytes, begin: int, end: int, until: int) -> float:
        """Return the logarithm of how likely bytes are, if a token ends there."""
        after = end + 1 + 4 * self._layout.slots
        found = np.frombuffer(raw[end + 1 : after], np.uint8)
        numbers = self._numbers[np.arange(len(found)) % len(self._numbers), found]
        token = self._of_token(raw[begin:end])
        return token + float(numbers.sum()) + self._of_rest(raw, after, until)

    def _of_rest(self, raw: bytes, after: int, until: int) -> float:
        """Return the same of what follows a row: a token, or more rows and a token."""
        if after >= until:
            return 0.0 if after == len(raw) else self._of_token(b"")
        rest = raw[after:until]
        token = rest.lstrip(_LF)
        ended = self._line_end[len(token) == len(rest)]
        begin = until - len(token)
        found = ended + self._of_token(token)
        space = token.find(_SPACE)
        if space < 0 or begin + space + 1 + 4 * self._layout.slots > until:
            return found
        return max(found, ended + self._likelihood(raw, begin, begin + space, until))

    def _of_token(self, token: bytes) -> float:
        if not token:
            return float(np.log(UNLIKELY))
        found = np.frombuffer(token, np.uint8)
        text = float(self._first[found[0]] + self._text[found[1:]].sum())
        return text + no_utf_8(token) * self._invalid


def _logarithms(counts: Float64Array) -> Float64Array:
    """Return the logarithms of shares, float64 as counts are."""
    shares: Float64Array = np.log(counts / counts.sum(-1, keepdims=True))
    return shares
