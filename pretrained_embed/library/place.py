"""Which name a published file has in the cache, and where it is found there.

::

    downloads/LABEL-HASH/       one for each file, and for each member of an archive
        LABEL                   whole and verified, or not there
        LABEL.json              its record: digest, size, who vouches for it, of what
        LABEL.part              an unfinished download, and what it is part of
        .lock                   held by the process that downloads

The label is for people: the last step of the name that the file has, cut and escaped
for any disk. HASH is 128 bits of what the file *is*, as 32 small hexadecimal digits:
its published checksum, or else its URL, and the member of the archive there. So two
files never share a folder, and a file is found again from any host and by any name.

Earlier releases named folders ``LABEL-`` and 8 digits of a URL or a checksum, and let
all members of an archive lie in one, under names that were cut. What lies there is
compared by its record, and moved to where it belongs; where that may not be written, it
is read in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import json_digest
from pretrained_embed.files.safe_path import SafePath, is_temporary
from pretrained_embed.library import record
from pretrained_embed.library.cache_folder import DOWNLOADS, LOCK, STORES, inside
from pretrained_embed.library.entry import Download, entry_of_url, published
from pretrained_embed.sources.url import canonical

#: What follows the name of a file in those of its unfinished parts.
PART = ".part"
ZIPPED = ".zipped"

_LONGEST_LABEL = 100  # bytes, so that a name has fewer than 200 with all that follows
_FOLDER = re.compile(r"(.+)-[0-9a-f]{32}")
_FORMER_FOLDER = re.compile(r"(.+)-[0-9a-f]{8}")
_STORE_FOLDER = re.compile(r"[0-9a-f]{32}")
_ORIGIN = re.compile(r"[0-9a-f]{32}\.origin")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)
_BESIDE = tuple(
    kind + suffix
    for kind in ("", PART, ZIPPED, ZIPPED + PART)
    for suffix in ("", record.SUFFIX)
)


def identity(download: Download, member: str | None = None) -> record.FileIdentity:
    """Return what a published file is, or a member of it: never who asks, or how."""
    checksum = member and published(download.checksums, "member")
    checksum = checksum or published(download.checksums, "file")
    return (checksum.words if checksum else canonical(download.urls[0]), member)


def label(name: str) -> str:
    """Return a name for a file that people read, from its URL or its path.

    >>> label("https://host.example/a/glove.6B.zip?download=1")
    'glove.6B.zip'
    >>> label("in/v 1%.txt")
    'v 1%25.txt'
    """
    last = name.rstrip("/").rpartition("/")[2]
    if "://" in name:
        last = unquote(urlsplit(name).path.rstrip("/").rpartition("/")[2]) or "download"
    last = last[-_LONGEST_LABEL:]
    while len(_escaped(last)) > _LONGEST_LABEL:
        last = last[1:]
    safe = _escaped(last).lstrip(". ").rstrip(". ") or "_"
    return f"_{safe}" if _DEVICE.match(safe) else safe


def _escaped(name: str) -> str:
    return quote(name, safe=" +,@()")  # what no system forbids in a name


def place(root: Path, download: Download, member: str | None = None) -> SafePath:
    """Return where a published file belongs, or a member of it; it need not exist."""
    name = label(member or download.urls[0])
    folder = f"{name}-{json_digest(identity(download, member))}"
    return inside(root) / DOWNLOADS / folder / name


def find(root: Path, download: Download, member: str | None, source: str) -> SafePath:
    """Return where a file lies: where it belongs, or where a release before put it.

    ``source`` is what it is asked for by. Where there is none, where it belongs.
    """
    here = place(root, download, member)
    if here.status() is not None or here.beside(PART).status() is not None:
        return here
    return _former(root, download, member, source) or here


def settle(former: SafePath, here: SafePath, what: record.FileIdentity) -> None:
    """Move a file from where an earlier release put it to where it belongs.

    For who holds the lock of ``here``. Raises `OSError` where that may not be written.
    Killed at any step, it is gone on with.
    """
    with (former.parent / LOCK).locked():
        if (known := record.read(former)) is not None:
            record.put(here, replace(known, identity=what))
            former.beside(record.SUFFIX).remove()
        for suffix in (*reversed(_BESIDE[2:]), ""):  # what a part is of comes first
            if former.beside(suffix).status() is not None:
                former.beside(suffix).replace(here.beside(suffix))
    if [left.name for left in former.parent.children()] == [LOCK]:
        former.parent.remove_folder()


def own_names(folder: SafePath) -> Iterator[SafePath]:
    """Yield what lies in a folder of the cache and has a name that the cache gives."""
    children = folder.children()
    names = {child.name for child in children}
    if folder.parent.name == STORES:
        bases = {"store.h5"}
    elif match := _FOLDER.fullmatch(folder.name):
        bases = {match[1]}
    else:
        bases = {folder.name[:-9]}
        for name in names:
            if name.endswith(record.SUFFIX):
                base = name.removesuffix(record.SUFFIX)
                if record.read(folder / base) or base.endswith(PART):
                    bases |= {base, base.removesuffix(PART)}
    given = {base + suffix for base in bases for suffix in _BESIDE}
    for child in children:
        is_origin = folder.parent.name == STORES and _ORIGIN.fullmatch(child.name)
        if child.name in given or is_origin or is_temporary(child.name):
            yield child


def is_own_folder(folder: SafePath) -> bool:
    """Whether a folder in the cache has a name that the cache gives."""
    if folder.parent.name == STORES:
        return _STORE_FOLDER.fullmatch(folder.name) is not None
    return any(form.fullmatch(folder.name) for form in (_FOLDER, _FORMER_FOLDER))


def _former(
    root: Path, download: Download, member: str | None, source: str
) -> SafePath | None:
    """Return where an earlier release put a file, if what lies there is this one."""
    url = download.urls[0]
    name, start = _former_name(member or url), _former_name(url)
    checksum = published(download.checksums, "file")
    downloads = inside(root) / DOWNLOADS
    for text in (checksum.value,) if checksum else (str(url), url.whole):
        mark = blake2b(text.encode(), digest_size=4).hexdigest()
        file = downloads / f"{start}-{mark}" / name
        if _is_meant(file, download, member, source) or _is_unrecorded(
            file, place(root, download, member), member or url
        ):
            return file
    if checksum is not None:
        return None
    found = []  # URLs that differ in what signs them, or in how they are written
    for folder in downloads.children():
        if _FORMER_FOLDER.fullmatch(folder.name) and folder.name[:-9] == start:
            file = folder / name
            if _is_meant(file, download, member, source):
                status = file.status()
                found.append((status.st_mtime_ns if status else 0, file))
    return max(found, key=lambda one: one[0])[1] if found else None


def _former_name(name: str) -> str:
    """Return what a file of this URL, or of this path, was called."""
    if "://" in name:
        name = unquote(urlsplit(name).path.rstrip("/").rpartition("/")[2]) or "download"
    return _escaped(name)[-150:].lstrip(".") or "_"


def _is_meant(
    file: SafePath, download: Download, member: str | None, source: str
) -> bool:
    """Whether a file in a former place is recorded as the one that is asked for."""
    known = record.read(file)
    if known is None or file.status() is None:
        return False
    checksum = published(download.checksums, "file" if member is None else "member")
    if checksum is not None and known.published is not None:
        return known.published == checksum.words
    if known.source == source:
        return True
    return any(
        (member is None or inner == member)
        and identity(other, member) == identity(download, member)
        for other, inner in _meant_by(known.source)
    )


def _meant_by(source: str) -> list[tuple[Download, str | None]]:
    """Return the files that a name or a URL, which is in a record, stands for."""
    from pretrained_embed.library.catalog import load

    try:
        entry = entry_of_url(source) if "://" in source else load().get_entry(source)
    except SourceError:
        return []
    if entry is None:
        return []
    tokens = [] if entry.tokens is None else [(entry.tokens, None)]
    return [(entry.download(), entry.member), *tokens]


def _is_unrecorded(file: SafePath, here: SafePath, name: str) -> bool:
    """Whether a file in a former place, without a record, is the one of this name.

    It was placed by hand, is unfinished, or was being moved from there.
    """
    status = file.status()
    if status is None:
        return file.beside(PART).status() is not None
    if record.read(file) is not None:
        return False
    waiting = record.read(here)
    if waiting is not None:
        return (waiting.size, waiting.mtime_ns) == (status.st_size, status.st_mtime_ns)
    last = unquote(urlsplit(name).path.rpartition("/")[2]) if "://" in name else name
    is_whole = _escaped(last) == file.name
    return is_whole and not file.name.endswith((record.SUFFIX, PART, ZIPPED))
