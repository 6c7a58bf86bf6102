"""Names of files that are being written, and making a new name last."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

#: Characters of a name that a temporary file beside it has in its own.
_LONGEST_NAME = 32


def temporary_name(name: str) -> str:
    """Return a new name for the bytes of a file until they are all there."""
    # Not tempfile: its files are private (0600), and asking for the umask sets it.
    return f"{_stem(name)}.{os.urandom(6).hex()}.part"


def is_leftover(found: str, name: str) -> bool:
    """Whether a name is one that `temporary_name` gives for a file."""
    pattern = re.escape(_stem(name)) + r"\.[0-9a-f]{12}\.part"
    return re.fullmatch(pattern, found) is not None


def is_temporary(found: str) -> bool:
    """Whether a name is one that `temporary_name` gives for some file."""
    return re.fullmatch(r"\..+\.[0-9a-f]{12}\.part", found) is not None


def _stem(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return f".{name}"
    told = blake2b(name.encode(errors="surrogateescape"), digest_size=4)
    return f".{name[: _LONGEST_NAME - 8]}{told.hexdigest()}"


def sync_folder(folder: Path | int) -> None:
    """Make new names in a folder last through a power cut, where the system can.

    ``folder`` is its path, or its descriptor.
    """
    # Some systems open no folders and some file systems sync none. The file is in
    # place and whole either way.
    with suppress(OSError):
        if isinstance(folder, int):
            os.fsync(folder)
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
