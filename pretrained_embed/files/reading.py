"""Reading as many bytes as were asked for."""

from __future__ import annotations

from typing import BinaryIO


def read_fully(file: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, fewer only where the file ends."""
    parts = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
