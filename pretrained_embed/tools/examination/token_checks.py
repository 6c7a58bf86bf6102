"""Tokens of a file that are there twice, are not UTF-8, or cannot be seen.

All of them are looked at as one run of bytes. Only those that hold a byte beyond ASCII,
white space or a control character become a ``str``, since the others are what they
seem.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import PackedTokens, UInt64Array, joined

#: Control characters, and those that are drawn as nothing.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]"
)


@dataclass
class TokenChecks:
    """Rows (0-based, rising) whose token is remarkable, by what it is."""

    rows: int
    repeated: list[int] = field(default_factory=list)  # as bytes, of an earlier row
    repeated_after_nfc: list[int] = field(default_factory=list)
    repeated_after_trimming: list[int] = field(default_factory=list)
    not_utf8: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    white_space: list[int] = field(default_factory=list)  # some, or nothing else
    invisible: list[int] = field(default_factory=list)  # control and format characters


def check_tokens(parts: list[PackedTokens]) -> tuple[PackedTokens, TokenChecks]:
    """Return all tokens as one, and what is remarkable about them."""
    tokens = joined(parts)
    found = TokenChecks(len(tokens))
    found.empty = np.flatnonzero(np.diff(tokens.offsets) == 0).tolist()
    lookup = _Lookup(tokens)
    found.repeated = lookup.repeated()
    nfc, trimmed = _Variants(), _Variants()
    for row in _worth_a_look(tokens):
        raw = tokens.raw(row)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            found.not_utf8.append(row)
            continue
        if any(map(str.isspace, text)):
            found.white_space.append(row)
        if _INVISIBLE.search(text):
            found.invisible.append(row)
        nfc.add(row, text, unicodedata.normalize("NFC", text))
        trimmed.add(row, text, text.strip())
    found.repeated_after_nfc = nfc.met(lookup)
    found.repeated_after_trimming = trimmed.met(lookup)
    return tokens, found


def _worth_a_look(tokens: PackedTokens) -> Iterator[int]:
    """Yield the rows of tokens that are not printable ASCII alone."""
    data = tokens.data
    odd = np.flatnonzero((data <= 0x20) | (data >= 0x7F))
    rows = np.searchsorted(tokens.offsets, odd, "right") - 1
    yield from np.unique(rows).tolist()


class _Lookup:
    """Which rows hold a token, by their hashes."""

    def __init__(self, tokens: PackedTokens) -> None:
        self._tokens = tokens
        hashes = _hashes(tokens)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def repeated(self) -> list[int]:
        """Return the rows whose token an earlier row has."""
        equal = self._hashes[1:] == self._hashes[:-1]
        together = np.zeros(len(self._hashes), np.bool_)
        together[1:] = equal
        together[:-1] |= equal
        seen: set[bytes] = set()
        again = []
        for row in np.sort(self._order[together]).tolist():
            raw = self._tokens.raw(row)
            if raw in seen:
                again.append(row)
            seen.add(raw)
        return again

    def present(self, wanted: PackedTokens) -> list[bool]:
        """Return whether some row holds each of the wanted tokens."""
        hashes = _hashes(wanted)
        starts = np.searchsorted(self._hashes, hashes, "left")
        stops = np.searchsorted(self._hashes, hashes, "right")
        return [
            any(
                self._tokens.raw(int(row)) == wanted.raw(i)
                for row in self._order[start:stop]
            )
            for i, (start, stop) in enumerate(
                zip(starts.tolist(), stops.tolist(), strict=True)
            )
        ]


class _Variants:
    """Tokens that some rule changes, and what it changes them to."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._changed: list[bytes] = []

    def add(self, row: int, text: str, changed: str) -> None:
        if changed != text:
            self._rows.append(row)
            self._changed.append(changed.encode())

    def met(self, lookup: _Lookup) -> list[int]:
        """Return the rows that the rule makes equal to another row."""
        present = lookup.present(PackedTokens.join(self._changed))
        seen: set[bytes] = set()
        met = []
        for row, changed, there in zip(self._rows, self._changed, present, strict=True):
            if there or changed in seen:
                met.append(row)
            seen.add(changed)
        return met


def _hashes(tokens: PackedTokens) -> UInt64Array:
    hashes = np.empty(len(tokens), np.uint64)
    kernel.hash_tokens(tokens.data.data, tokens.offsets, hashes)
    return hashes
