"""The hot loops: looking tokens up, reading numbers, scanning buffers.

Two implementations of the same functions: ``_kernel.c`` (native) and
``_reference.py``, which defines what each function means and runs where no C
compiler was at hand. ``PRETRAINED_EMBED_KERNEL=reference`` (or ``native``, which
then fails if it is missing) chooses by hand. Neither knows files, paths, threads or
vocabularies.
"""

from __future__ import annotations

import os

from pretrained_embed.errors import OptionError
from pretrained_embed.kernel import _reference

_CHOICE = os.environ.get("PRETRAINED_EMBED_KERNEL", "")

if _CHOICE not in ("", "native", "reference"):
    raise OptionError(
        f"PRETRAINED_EMBED_KERNEL is {_CHOICE!r}; it can be 'native' or 'reference'"
    )

implementation = _reference
if _CHOICE != "reference":
    try:
        from pretrained_embed.kernel import _kernel as implementation
    except ImportError:
        if _CHOICE == "native":
            raise

#: Which of the two is running: "native" or "reference".
IMPLEMENTATION: str = implementation.IMPLEMENTATION

# One set of names for both; a caller reaches them through this module at call time.
UNCLAIMED = _reference.UNCLAIMED
RANK_SHIFT = _reference.RANK_SHIFT
HIT_COLUMNS = _reference.HIT_COLUMNS
FAULT_COLUMNS = _reference.FAULT_COLUMNS
EMPTY = _reference.EMPTY
SHORT = _reference.SHORT
NO_TOKEN = _reference.NO_TOKEN
BAD_NUMBER = _reference.BAD_NUMBER
WIDE = _reference.WIDE

TokenIndex = implementation.TokenIndex
scan_text = implementation.scan_text
scan_binary = implementation.scan_binary
find_rows = implementation.find_rows
place = implementation.place
number = implementation.number
