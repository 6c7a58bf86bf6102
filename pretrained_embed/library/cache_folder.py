"""The cache folder: where it is, whether it is safe to use, and the names in it.

::

    CACHEDIR.TAG                the standard tag of caches; backup programs skip them
    downloads/LABEL-HASH/       one for each file, and for each member of an archive
        LABEL                   whole and verified, or not there
        LABEL.json              its record: digest, size, how it was verified, source
        LABEL.part              an unfinished download, and its origin
        .lock                   held by the process that downloads
    stores/                     indexed copies: see `pretrained_embed.library.stores`

A file in the cache is found by its name, so only a folder that nobody else can write to
is used by default. A user may name any folder.

The label is for people: the last part of the file's name, shortened and escaped for any
disk. HASH is 128 bits of the identity of the file, as 32 lower-case hexadecimal digits:
of its published checksum, or else its URL, and of the archive member. So two files
never share a folder, and a file is found again under any host and any name.

Earlier releases named folders ``LABEL-`` and 8 digits of a URL or a checksum, with all
members of an archive in one folder, under shortened names. Such a file is checked by
its record and moved to its new place; if that cannot be written, it is read where it
is.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import json_digest
from pretrained_embed.files.safe_path import SafePath, is_temporary
from pretrained_embed.library import record
from pretrained_embed.sources.url import canonical

if TYPE_CHECKING:
    from pretrained_embed.library.catalog import Download

ENVIRONMENT = "PRETRAINED_EMBED_CACHE"
DOWNLOADS = "downloads"
STORES = "stores"
LOCK = ".lock"

_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
_OURS = "pretrained_embed"
_PACKAGE = Path(__file__).parents[1]
_SHOWN = 80  # letters that a folder name cannot have
_EVERYBODY, _GROUP = 0o002, 0o020  # may write


def locate(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the cache folder, which need not exist yet.

    It is ``cache_dir``, or the folder that ``PRETRAINED_EMBED_CACHE`` names, or
    ``cache`` beside this package if it is a checkout, or the user's own cache folder.
    Raises `SourceError` if there is no home folder, and if a default folder belongs to
    another user or is writable by everybody.
    """
    named = cache_dir or os.environ.get(ENVIRONMENT)
    try:
        if named:
            return _nameable(Path(named).expanduser().absolute())
        beside = _of_checkout()
        if beside is None:
            return _trusted(_of_user(), set())
        return _trusted(beside, {_PACKAGE.stat().st_uid})
    except (RuntimeError, FileNotFoundError) as error:
        raise SourceError(
            f"no folder for the cache can be found ({error}); "
            f"name one with {ENVIRONMENT}"
        ) from error


def _nameable(root: Path) -> Path:
    """Return a folder with a name that the system allows, else raise `SourceError`."""
    try:
        root.lstat()
    except (ValueError, OSError) as error:
        never = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
        if isinstance(error, OSError) and error.errno not in never:
            return root  # it need not exist, and another step may report the error
        why = getattr(error, "strerror", None) or str(error)
        shown = str(root) if len(str(root)) <= _SHOWN else f"{str(root)[:_SHOWN]}..."
        raise SourceError(
            f"no folder for the cache can have the name {shown!r} ({why}); "
            f"name another with cache_dir or {ENVIRONMENT}"
        ) from error
    return root


def remarks(cache_dir: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Yield the remarks on the cache that is used, a line each."""
    root = locate(cache_dir)
    if cache_dir or os.environ.get(ENVIRONMENT):
        return
    for part in _parts(root):
        if part.stat().st_mode & _GROUP and _has_modes(root):
            yield (
                f"the cache {root} may be written to by its group, and is believed; "
                f"'chmod -R g-w {root}' ends that"
            )
            break
    here = _here()
    if here is not None and here != root.resolve():
        yield (
            f"the cache in {here} is not used by itself, for it may have come with "
            f"somebody else's files; --cache-dir {here.name} uses it"
        )


def _of_checkout() -> Path | None:
    """Return ``cache`` beside this package, if the package is a checkout."""
    root = _PACKAGE.parent
    is_checkout = (root / "pyproject.toml").is_file() and _is_ours(root / "cache")
    return root / "cache" if is_checkout else None


def _here() -> Path | None:
    """Return ``cache`` in the working folder, if it is a cache and not empty."""
    with suppress(OSError):
        here = Path.cwd() / "cache"
        if _is_ours(here) and any(
            any((here / kind).iterdir())
            for kind in (DOWNLOADS, STORES)
            if (here / kind).is_dir()
        ):
            return here.resolve()
    return None


def _is_ours(folder: Path) -> bool:
    try:
        text = (folder / _TAG).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return text.startswith(_SIGNATURE) and _OURS in text


def _of_user() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base or Path.home() / "AppData/Local") / "pretrained-embed/Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/pretrained-embed"
    base = os.environ.get("XDG_CACHE_HOME")
    # the standard says that other files are ignored
    if base and Path(base).is_absolute():
        return Path(base) / "pretrained-embed"
    return Path.home() / ".cache/pretrained-embed"


def inside(root: Path) -> SafePath:
    """Return the cache folder as a path below which no link is followed."""
    return SafePath.at(
        root,
        SourceError,
        "remove the link, or name the folder that it leads to: --cache-dir TARGET, or "
        f"{ENVIRONMENT}",
    )


def _trusted(root: Path, owners: set[int]) -> Path:
    """Return a folder that no other user can write to, else raise `SourceError`.

    ``owners`` may write there, besides this user and root.
    """
    if not hasattr(os, "geteuid"):  # the mode has no meaning here
        return root
    for part in _parts(root):
        status = part.stat()
        if status.st_uid not in {os.geteuid(), 0, *owners}:
            fault, remedy = "belongs to another user", f"'chown -R \"$USER\" {root}'"
        elif status.st_mode & _EVERYBODY and _has_modes(part):
            fault, remedy = "may be written to by everybody", f"'chmod -R o-w {root}'"
        else:
            continue
        raise SourceError(
            f"{part} {fault}, so what lies there could be anybody's, and is not used; "
            f"{remedy} mends that if you know what is in it; --cache-dir {root}, or "
            f"{ENVIRONMENT}, uses it as it is"
        )
    return root


def _parts(root: Path) -> Iterator[Path]:
    """Yield the cache folder and its two parts, if they exist."""
    for part in (root, root / DOWNLOADS, root / STORES):
        if part.is_dir() and (part == root or not part.is_symlink()):
            yield part


def _has_modes(folder: Path) -> bool:
    """Return whether the disk of a folder keeps file permissions."""
    name = folder / f".{os.urandom(6).hex()}.part"
    try:
        file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError:
        return True
    try:
        return os.fstat(file).st_mode & 0o077 == 0
    finally:
        os.close(file)
        name.unlink()


def prepare(root: Path) -> None:
    """Make the cache folder and its tag; only the user can read a default one.

    Raises `SourceError` if that fails.
    """
    try:
        private = 0o700 if root == _of_user() else 0o777
        tag = inside(root).make(parents=True, mode=private) / _TAG
        if tag.status() is None:
            tag.write(
                f"{_SIGNATURE}\n# This folder is a cache of {_OURS}.\n"
                "# For information about cache directory tags see "
                "https://bford.info/cachedir/\n".encode()
            )
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(
            f"the cache folder {root} cannot be written to ({error.strerror}); "
            f"name another one with {ENVIRONMENT}"
        ) from error


#: What follows the name of a file in the names of its unfinished parts.
PART = ".part"
ZIPPED = ".zipped"

# in bytes, so that a name with all its suffixes has fewer than 200
_LONGEST_LABEL = 100
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
    """Return the identity of a published file, or of a member of it."""
    checksum = member and download.published("member")
    checksum = checksum or download.published("file")
    return (checksum.words if checksum else canonical(download.urls[0]), member)


def label(name: str) -> str:
    """Return a readable name for a file, from its URL or its path.

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
    return quote(name, safe=" +,@()")  # characters that every system allows in a name


def place(root: Path, download: Download, member: str | None = None) -> SafePath:
    """Return the path for a published file or a member of it; it need not exist."""
    name = label(member or download.urls[0])
    folder = f"{name}-{json_digest(identity(download, member))}"
    return inside(root) / DOWNLOADS / folder / name


def find(root: Path, download: Download, member: str | None, source: str) -> SafePath:
    """Return the path of a file, which may be where an earlier release put it.

    ``source`` is the name with which it was requested. Without a file, the path is its
    proper place.
    """
    here = place(root, download, member)
    if here.status() is not None or here.beside(PART).status() is not None:
        return here
    return _former(root, download, member, source) or here


def settle(former: SafePath, here: SafePath, what: record.FileIdentity) -> None:
    """Move a file from where an earlier release put it to its place.

    The caller holds the lock of ``here``. Raises `OSError` if that cannot be written.
    After a kill at any step the next call completes the move.
    """
    with (former.parent / LOCK).locked():
        if (known := record.read(former)) is not None:
            record.put(here, replace(known, identity=what))
            former.beside(record.SUFFIX).remove()
        for suffix in (*reversed(_BESIDE[2:]), ""):  # the origin of a part comes first
            if former.beside(suffix).status() is not None:
                former.beside(suffix).replace(here.beside(suffix))
    if [left.name for left in former.parent.children()] == [LOCK]:
        former.parent.remove_folder()


def own_names(folder: SafePath) -> Iterator[SafePath]:
    """Yield the entries of a cache folder whose names the cache gives."""
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
    """Return whether the cache gives this name to a folder."""
    if folder.parent.name == STORES:
        return _STORE_FOLDER.fullmatch(folder.name) is not None
    return any(form.fullmatch(folder.name) for form in (_FOLDER, _FORMER_FOLDER))


def _former(
    root: Path, download: Download, member: str | None, source: str
) -> SafePath | None:
    """Return where an earlier release put a file, if it is this file."""
    url = download.urls[0]
    name, start = _former_name(member or url), _former_name(url)
    checksum = download.published("file")
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
    found = []  # URLs that differ in their signature or their spelling
    for folder in downloads.children():
        if _FORMER_FOLDER.fullmatch(folder.name) and folder.name[:-9] == start:
            file = folder / name
            if _is_meant(file, download, member, source):
                status = file.status()
                found.append((status.st_mtime_ns if status else 0, file))
    return max(found, key=lambda one: one[0])[1] if found else None


def _former_name(name: str) -> str:
    """Return the former name of the file of a URL or a path."""
    if "://" in name:
        name = unquote(urlsplit(name).path.rstrip("/").rpartition("/")[2]) or "download"
    return _escaped(name)[-150:].lstrip(".") or "_"


def _is_meant(
    file: SafePath, download: Download, member: str | None, source: str
) -> bool:
    """Return whether a file in a former place is recorded as the requested one."""
    known = record.read(file)
    if known is None or file.status() is None:
        return False
    checksum = download.published("file" if member is None else "member")
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
    """Return the files that a name or a URL in a record means."""
    from pretrained_embed.library.catalog import entry_of_url, load

    try:
        entry = entry_of_url(source) if "://" in source else load().get_entry(source)
    except SourceError:
        return []
    if entry is None:
        return []
    tokens = [] if entry.tokens is None else [(entry.tokens, None)]
    return [(entry.download(), entry.member), *tokens]


def _is_unrecorded(file: SafePath, here: SafePath, name: str) -> bool:
    """Return whether a file without a record, in a former place, has this name.

    It was placed by hand, is unfinished, or its move was interrupted.
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
