"""Files of the cache as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pretrained_embed.cli.output import plural, size, table
from pretrained_embed.library.cache import Cached


def vouched(file: Cached) -> str:
    """Say how far the content of a file is known to be right."""
    if file.is_store and file.sha256 is not None:
        return "indexed"
    if file.sha256 is None:
        return "unfinished"
    return "known from its first use" if file.published is None else "as published"


def files_table(files: Sequence[Cached]) -> str:
    """Return one line a file."""
    return table(
        ("NAME", "SIZE", "CONTENT", "FILE"),
        [
            (file.source, size(file.size), vouched(file), file.path.name)
            for file in files
        ],
        right=(1,),
    )


def total(files: Sequence[Cached]) -> str:
    """Say how many files there are and how much room they take.

    >>> total([])
    '0 files, 0 B'
    """
    return f"{plural(len(files), 'file')}, {size(sum(file.size for file in files))}"


def file_facts(file: Cached) -> dict[str, Any]:
    """Return what is known of a file as JSON can hold it."""
    return file._asdict() | {"path": str(file.path)}
