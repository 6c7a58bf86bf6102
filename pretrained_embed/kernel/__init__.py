"""The hot loops: looking tokens up, reading numbers, scanning buffers.

The functions have two implementations: ``_kernel.c`` (native) and ``_reference.py``,
which is the specification and runs if there was no C compiler.
``PRETRAINED_EMBED_KERNEL=reference`` (or ``native``, which then fails if it is missing)
selects one; `choice` says why one of them runs. Neither uses files, paths, threads or
vocabularies. Callers look up the functions in this module at each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pretrained_embed.kernel import _reference, choice
from pretrained_embed.kernel._reference import (
    BAD_NUMBER,
    EMPTY,
    FAULT_COLUMNS,
    HIT_COLUMNS,
    LONG,
    MIXED_SPACE,
    MIXED_TAB,
    NO_GAP,
    NO_TOKEN,
    ODD_TOKEN,
    RANK_SHIFT,
    SHAPE_COLUMNS,
    SHORT,
    SPACE,
    SPACES,
    TAB,
    TABS,
    UNCLAIMED,
    WIDE,
)

__all__ = [
    "BAD_NUMBER",
    "EMPTY",
    "FAULT_COLUMNS",
    "HIT_COLUMNS",
    "IMPLEMENTATION",
    "LONG",
    "MIXED_SPACE",
    "MIXED_TAB",
    "NO_GAP",
    "NO_TOKEN",
    "ODD_TOKEN",
    "RANK_SHIFT",
    "SHAPE_COLUMNS",
    "SHORT",
    "SPACE",
    "SPACES",
    "TAB",
    "TABS",
    "UNCLAIMED",
    "WIDE",
    "TokenIndex",
    "average",
    "find_rows",
    "gather",
    "hash_tokens",
    "look_up",
    "measure_text",
    "number",
    "pack",
    "place",
    "scan_binary",
    "scan_text",
    "spread",
]

if TYPE_CHECKING:
    from pretrained_embed.kernel import _kernel as implementation
else:
    implementation = _reference
    if choice.ASKED != "reference":
        try:
            from pretrained_embed.kernel import _kernel as implementation
        except ImportError as error:
            if choice.ASKED == "native":
                raise
            choice.missing = error

#: Which of the two is used: "native" or "reference".
IMPLEMENTATION = implementation.IMPLEMENTATION

TokenIndex = implementation.TokenIndex
average = implementation.average
find_rows = implementation.find_rows
gather = implementation.gather
hash_tokens = implementation.hash_tokens
look_up = implementation.look_up
measure_text = implementation.measure_text
number = implementation.number
pack = implementation.pack
place = implementation.place
scan_binary = implementation.scan_binary
scan_text = implementation.scan_text
spread = implementation.spread
