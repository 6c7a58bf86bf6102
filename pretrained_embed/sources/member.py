"""A file in an archive.

It is never written to disk under its own name, so none can land outside a folder; a
name that tries to (absolute, or with ``..``) is refused all the same, for it means a
forged archive.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pretrained_embed.sources.stream import Opener

_UNSAFE = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:|\x00")


class Member(NamedTuple):
    """What an archive says of one of its files, and how to open it."""

    name: str
    size: int
    fault: str  # why it cannot be read; "" if it can
    opener: Opener


def name_fault(name: str) -> str:
    """Say why a member of this name is refused; "" if it is not."""
    if _UNSAFE.search(name):
        return "has an unsafe name (absolute, or with '..'); the archive is refused"
    return ""
