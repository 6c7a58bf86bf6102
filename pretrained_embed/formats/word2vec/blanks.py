"""Where a token ends that may hold a blank.

A blank ends a token, so `new york` reads as `new`, with a vector that begins with
``york`` and ends too early; the next token begins with what is left of the vector. The
kernel finds the rows that may be such: their vector begins with text, and has numbers
of a size that is not usual in the file. Each blank of that text can be the end of the
token. A reading fits if its numbers are usual and if what follows it looks like a
token, and is taken only where it is the one that does.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from pretrained_embed.formats.word2vec.layout import Layout, is_token

#: Bytes that a token may have, of those that are looked at, and blanks tried.
_LONGEST_TOKEN, _MOST_BLANKS = 1024, 64
_TEXT = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]{0,%d}" % _LONGEST_TOKEN)
_LF, _SPACE = b"\n", b" "
#: How many times fewer numbers of unusual size tell that they are others, and how many
#: such numbers need no other sign.
_FEWER, _PLAIN = 4, 3


class _TokenEnd(NamedTuple):
    """One place where a token may end."""

    end: int
    odd: int  # numbers of unusual size
    token: bool  # what ends there looks like a token
    clean: bool  # what follows does

    def fits(self, here: _TokenEnd) -> bool:
        """Whether far fewer of the numbers are odd than at the first blank."""
        return _FEWER * self.odd <= here.odd


def bytes_needed(layout: Layout) -> int:
    """Return how many bytes from the start of a row tell where its token ends."""
    return 4 * layout.slots + 3 * _LONGEST_TOKEN


def find_end(raw: bytes, layout: Layout, *, whole: bool, rows_after: int) -> int | None:
    """Return where the token at the start ends, ``None`` if nothing tells.

    ``raw`` begins with a row that is whole, and has `bytes_needed` of the file or,
    if ``whole``, all the rest. The header declares ``rows_after`` rows behind it.
    """
    vector = 4 * layout.slots
    behind = rows_after * (vector + len(_SPACE)) if whole else 0  # they need so much
    begin = len(raw) - len(raw.lstrip(_LF))
    first = raw.index(_SPACE, begin)
    match = _TEXT.match(raw, first + 1)
    text = b"" if match is None else match[0]
    blanks = [first + 1 + m.start() for m in re.finditer(rb" ", text)][:_MOST_BLANKS]
    here = _read(raw, first, layout, whole)
    others = [
        _read(raw, blank, layout, whole)
        for blank in blanks
        if blank + 1 + vector + behind <= len(raw)
    ]
    if not others:
        return first
    best = min(others, key=lambda r: (not r.fits(here), not r.token, r.odd))
    if here.odd and best.fits(here):
        rivals = [
            r
            for r in others
            if r is not best and r.fits(here) and r.clean and r.token >= best.token
        ]
        # Numbers moved by whole ones are as usual as before, but for those of text.
        whole_numbers = (best.end - first) % int(layout.dtype[-1]) == 0
        sure = whole_numbers or here.odd >= _PLAIN or not here.clean
        return best.end if best.clean and sure and not rivals else None
    tempting = not here.clean and any(r.clean and r.odd <= here.odd for r in others)
    return None if tempting else first


def _read(raw: bytes, end: int, layout: Layout, whole: bool) -> _TokenEnd:
    after = end + 1 + 4 * layout.slots
    numbers = np.frombuffer(raw[end + 1 : after], layout.dtype)
    odd = 0 if layout.usual is None else layout.usual.odd(numbers)
    rest = raw[after:].lstrip(_LF)
    space = rest.find(_SPACE, 0, _LONGEST_TOKEN)
    clean = is_token(rest[:space]) if space > 0 else whole and not rest
    return _TokenEnd(end, odd, is_token(raw[:end].lstrip(_LF)), clean)
