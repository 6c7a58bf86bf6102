"""The cache folder: where it is, and whether what lies in it may be believed.

::

    CACHEDIR.TAG         says what this is; programs that make backups pass over it
    downloads/           published files: see `pretrained_embed.library.place`
    stores/              indexed copies: see `pretrained_embed.library.stores`

What lies in the cache answers for a name, so only a folder that nobody else can put
something into is used by itself. Any folder may be named.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pretrained_embed.errors import SourceError
from pretrained_embed.files.safe_path import SafePath

ENVIRONMENT = "PRETRAINED_EMBED_CACHE"
DOWNLOADS = "downloads"
STORES = "stores"
LOCK = ".lock"

_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55"
_OURS = "pretrained_embed"
_PACKAGE = Path(__file__).parents[1]
_SHOWN = 80  # letters of a name that no folder can have
_EVERYBODY, _GROUP = 0o002, 0o020  # may write


def locate(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the cache folder, which need not exist yet.

    That is ``cache_dir``, or what ``PRETRAINED_EMBED_CACHE`` names, or ``cache`` beside
    this package where that is a checkout, or the user's own cache folder. Raises
    `SourceError` where there is no home folder to put that in, and where one that is
    not named belongs to somebody else or may be written to by everybody.
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
    """Return a folder that a system can have; raises `SourceError` for others."""
    try:
        root.lstat()
    except (ValueError, OSError) as error:
        never = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
        if isinstance(error, OSError) and error.errno not in never:
            return root  # it need not exist, and what forbids it may be told later
        why = getattr(error, "strerror", None) or str(error)
        shown = str(root) if len(str(root)) <= _SHOWN else f"{str(root)[:_SHOWN]}..."
        raise SourceError(
            f"no folder for the cache can have the name {shown!r} ({why}); "
            f"name another with cache_dir or {ENVIRONMENT}"
        ) from error
    return root


def remarks(cache_dir: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Yield what a user should know of the cache that is used, a line each."""
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
    """Return ``cache`` beside this package, where that is a checkout."""
    root = _PACKAGE.parent
    is_checkout = (root / "pyproject.toml").is_file() and _is_ours(root / "cache")
    return root / "cache" if is_checkout else None


def _here() -> Path | None:
    """Return ``cache`` in the working folder, if it is a cache with something in it."""
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
    if base and Path(base).is_absolute():  # others are to be ignored, says the standard
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
    """Return a folder into which nobody else can put something.

    ``owners`` may put something there, beside this user and root.
    """
    if not hasattr(os, "geteuid"):  # modes say nothing here
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
    """Yield the cache folder and its two parts, as far as they are there."""
    for part in (root, root / DOWNLOADS, root / STORES):
        if part.is_dir() and (part == root or not part.is_symlink()):
            yield part


def _has_modes(folder: Path) -> bool:
    """Return whether the disk of a folder knows who may write to what."""
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
    """Make the cache folder and tag it. The user's own is private.

    Raises `SourceError` where that is not possible.
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
