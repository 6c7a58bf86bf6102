"""The files of a folder, or those that a pattern matches, as one source in parts.

Parts stand in the natural order of their names: where names have a number, by the
number, so that ``part-2`` comes before ``part-10``, with zeros in front of it or not.
Names that begin with ``.`` or ``_``, and those that end in ``.crc``, are those of files
that Hadoop and Spark write beside the data, and are no parts, unless a pattern asks for
such names: its last name begins with ``.`` or ``_``. So are the two files that
``datasets`` writes beside a data set that it saves in a folder.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import SourceError, UnknownSourceError, brief
from pretrained_embed.files.digests import json_digest
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.stream import Stream
from pretrained_embed.sources.url import with_member

_NUMBER = re.compile(r"([0-9]+)")
_BESIDE = (".", "_")
_CHECKSUMS = ".crc"
#: What `datasets` writes beside the data into a folder: both, where it has saved one.
_SAVED_BESIDE = {"dataset_info.json", "state.json"}


class Matched(NamedTuple):
    """What a pattern of names stands for."""

    pattern: str
    paths: list[Path]  # in the order of their names
    member: str | None  # what is wanted of each file, named behind a ``#``


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are parts, in the order of their names.

    Raises `UnknownSourceError` where there is no file, and `SourceError` where a folder
    is among them.
    """
    try:
        found = [one for one in folder.iterdir() if is_data(one.name)]
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror or error}") from error
    names = {one.name for one in found}
    if names >= _SAVED_BESIDE and len(names) > len(_SAVED_BESIDE):
        found = [one for one in found if one.name not in _SAVED_BESIDE]
    for one in found:
        if one.is_dir():
            raise SourceError(
                f"{folder}: a folder; name the file of vectors in it, or where all of "
                f"them are parts of one, a pattern of their names: {one.name!r} in it "
                "is a folder, too"
            )
    if not found:
        raise UnknownSourceError(
            f"{folder}: a folder without a file of vectors; name another one"
        )
    return sorted(found, key=lambda path: natural(path.parts))


def files_matching(words: str) -> Matched:
    """Return the files that a pattern of names matches.

    The pattern is one of `glob`: ``*``, ``?``, ``[a-c]``, and ``**`` for folders in
    folders. Raises `UnknownSourceError` where it matches no file, and `SourceError`
    where it matches a folder.
    """
    pattern, member = words, None
    found = _matching(pattern)
    if not found and "#" in words:
        pattern, _, member = words.partition("#")
        found = _matching(pattern)
    if not found:
        raise UnknownSourceError(
            f"{brief(words)}: no such file, and as a pattern of names it matches none; "
            "see which files there are: a pattern without a folder looks in the "
            "working folder, * does not stand for a folder, and names that begin with "
            ". or _ are left out"
        )
    ordered = sorted(found, key=lambda path: natural(path.parts))
    return Matched(pattern, ordered, member)


def _matching(pattern: str) -> list[Path]:
    full = os.path.expanduser(pattern)  # noqa: PTH111  (Path would change a pattern)
    try:
        matched = {Path(one) for one in glob.glob(full, recursive=True)}  # noqa: PTH207  (see above)
    except (OSError, ValueError, re.error):  # of a name that no file can have
        return []
    found = [one for one in matched if is_data(one.name, full)]
    folders = [one for one in found if one.is_dir()]
    if folders and "**" not in full:
        raise SourceError(
            f"{pattern!r} matches {str(min(folders))!r}, which is a folder; let the "
            f"pattern go on to the files in it: {pattern.rstrip('/') + '/*'!r}"
        )
    return [one for one in found if one not in folders]


def is_data(name: str, pattern: str = "") -> bool:
    """Whether a file of this name is a part, where a pattern has matched it."""
    asked = pattern.rpartition("/")[2].startswith(_BESIDE)
    return asked or not (name.startswith(_BESIDE) or name.endswith(_CHECKSUMS))


def natural(names: Sequence[str]) -> list[tuple[list[str | int], str]]:
    """Return what sorts paths, given as names, by these, and by the numbers in them."""
    pieces = [(_NUMBER.split(name), name) for name in names]
    return [
        ([int(one) if i % 2 else one for i, one in enumerate(split)], name)
        for split, name in pieces
    ]


def joined(
    words: str,
    place: str | Path,
    parts: Sequence[Stream],
    member: str | None,
    read_options: ReadOptions,
    files: Sequence[Path] = (),
) -> Stream:
    """Return open parts, in order, as one stream; ``words`` are the user's for it.

    ``place`` is the folder or the pattern, and each part that ``member`` of its file.
    ``files`` are those of the parts, where they are on this machine.
    """
    facts = [
        {name: value for name, value in part.provenance.items() if name != "source"}
        for part in parts
    ]
    known = "fingerprint" if files else "version"
    names = [file.name for file in files] or [part.name for part in parts]
    listed = zip(names, facts, strict=True)
    told = f"parts:{json_digest([[name, one.get(known)] for name, one in listed])}"
    size = sum(part.packed_size or 0 for part in parts)
    name = str(place) if member is None else f"{place}#{member}"
    address = str(place.absolute()) if isinstance(place, Path) else place

    def opened() -> BinaryIO:
        raise SourceError(
            f"{name}: {len(parts):,} files that are read as the parts of one source; "
            "name a single one here"
        )

    return Stream(
        name,
        opened,
        {"source": words, "name": name, "size": size, known: told, "parts": facts},
        size=size,
        address=address if member is None else with_member(address, member),
        identity=Identity(
            words,
            size,
            fingerprint=told if files else None,
            version=None if files else told,
            files=tuple(files),
            member=member,
            in_parts=bool(files),
        ),
        read_options=read_options,
        parts=tuple(parts),
    )
