"""A folder of files, or the files that a pattern matches, as one source in parts.

Parts stand in the natural order of their names: where names have a number, by the
number, so that ``part-2`` comes before ``part-10``, with zeros in front of it or not.
Names that begin with ``.`` or ``_``, and those that end in ``.crc``, are those of files
that Hadoop and Spark write beside the data, and are no parts, unless a pattern asks for
such names: its last name begins with ``.`` or ``_``.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from pretrained_embed.budget import ReadOptions
from pretrained_embed.errors import SourceError, UnknownSourceError, brief
from pretrained_embed.files.digests import json_digest
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.source import from_path, unpacked
from pretrained_embed.sources.stream import Stream, rereadable, with_options
from pretrained_embed.sources.url import with_member

_NUMBER = re.compile(r"([0-9]+)")
_BESIDE = (".", "_")
_CHECKSUMS = ".crc"


def of_folder(stream: Stream) -> Stream:
    """Return the files of a folder as one stream in parts.

    Raises `UnknownSourceError` where there is no file, and `SourceError` where a folder
    is among them.
    """
    folder = cast(Path, stream.path)
    try:
        found = [one for one in folder.iterdir() if _is_data(one.name)]
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror or error}") from error
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
    words = str(stream.provenance["source"])
    return _joined(words, folder, found, stream.fragment, stream.read_options)


def of_pattern(words: str, read_options: ReadOptions) -> Stream:
    """Return the files that a pattern of names matches as one stream in parts.

    The pattern is one of `glob`: ``*``, ``?``, ``[a-c]``, and ``**`` for folders in
    folders. What stands behind a ``#`` is wanted of each file. Raises
    `UnknownSourceError` where it matches no file, and `SourceError` where it matches a
    folder.
    """
    pattern, member = words, None
    found = _matched(pattern)
    if not found and "#" in words:
        pattern, _, member = words.partition("#")
        found = _matched(pattern)
    if not found:
        raise UnknownSourceError(
            f"{brief(words)}: no such file, and as a pattern of names it matches none; "
            "see which files there are: a pattern without a folder looks in the "
            "working folder, * does not stand for a folder, and names that begin with "
            ". or _ are left out"
        )
    return _joined(words, Path(pattern).expanduser(), found, member, read_options)


def _matched(pattern: str) -> list[Path]:
    full = os.path.expanduser(pattern)  # noqa: PTH111  (Path would change a pattern)
    asked = os.path.basename(full).startswith(_BESIDE)  # noqa: PTH119  (see above)
    try:
        matched = {Path(one) for one in glob.glob(full, recursive=True)}  # noqa: PTH207  (see above)
    except (OSError, ValueError, re.error):  # of a name that no file can have
        return []
    found = [one for one in matched if asked or _is_data(one.name)]
    folders = [one for one in found if one.is_dir()]
    if folders and "**" not in full:
        raise SourceError(
            f"{pattern!r} matches {str(min(folders))!r}, which is a folder; let the "
            f"pattern go on to the files in it: {pattern.rstrip('/') + '/*'!r}"
        )
    return [one for one in found if one not in folders]


def _is_data(name: str) -> bool:
    return not (name.startswith(_BESIDE) or name.endswith(_CHECKSUMS))


def _natural(path: Path) -> list[tuple[list[str | int], str]]:
    """Return what sorts paths by their names, and these by the numbers in them."""
    pieces = [(_NUMBER.split(name), name) for name in path.parts]
    return [
        ([int(one) if i % 2 else one for i, one in enumerate(split)], name)
        for split, name in pieces
    ]


def _joined(
    words: str,
    place: Path,
    paths: Sequence[Path],
    member: str | None,
    read_options: ReadOptions,
) -> Stream:
    """Return files as one stream; ``place`` is the folder or the pattern."""
    ordered = sorted(paths, key=_natural)
    parts = [_part(path, member, read_options) for path in ordered]
    facts = [
        {name: value for name, value in part.provenance.items() if name != "source"}
        for part in parts
    ]
    known = zip(ordered, facts, strict=True)
    digest = json_digest([[path.name, one.get("fingerprint")] for path, one in known])
    fingerprint = f"parts:{digest}"
    size = sum(part.packed_size or 0 for part in parts)
    name = str(place) if member is None else f"{place}#{member}"
    address = str(place.absolute())
    told: dict[str, object] = {"source": words, "name": name, "size": size}

    def opened() -> BinaryIO:
        raise SourceError(
            f"{name}: {len(parts):,} files that are read as the parts of one source; "
            "name a single one here"
        )

    return Stream(
        name,
        opened,
        told | {"fingerprint": fingerprint, "parts": facts},
        size=size,
        address=address if member is None else with_member(address, member),
        identity=Identity(
            words,
            size,
            fingerprint,
            files=tuple(ordered),
            member=member,
            in_parts=True,
        ),
        read_options=read_options,
        parts=tuple(parts),
    )


def _part(path: Path, member: str | None, read_options: ReadOptions) -> Stream:
    stream = with_options(from_path(path, str(path)), read_options)
    return rereadable(unpacked(stream, member))
