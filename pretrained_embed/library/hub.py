"""Repositories of the Hugging Face hub: what of one holds vectors, and that alone.

::

    place = "hf://" ["datasets/" | "spaces/"] [ORG "/"] NAME ["@" revision]
            ["/" (file | folder | pattern)]
          | "https://huggingface.co/" ["datasets/" | "spaces/"] [ORG "/"] NAME
            ["/tree/" revision ["/" folder] | "/blob/" revision "/" file]

The list of its files tells the table of formats what a repository is: a folder that one
of them reads, of which only what the reader needs is fetched, or one file of vectors,
with what lies beside it, or the parts of one source. ``huggingface_hub`` fetches them
into its own cache, with its own token, endpoint and offline switch. The list is kept in
the cache of the library: without the network nothing else says whether all parts that
a pattern matches are there.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from pretrained_embed.budget import USUAL
from pretrained_embed.errors import (
    MissingPackageError,
    PretrainedEmbedError,
    SourceError,
    UnknownSourceError,
)
from pretrained_embed.files.digests import json_digest
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats import registry
from pretrained_embed.formats.format import Listing
from pretrained_embed.library import cache_folder, record
from pretrained_embed.sources.folder import is_data
from pretrained_embed.sources.source import from_path, of_pattern, unpacked
from pretrained_embed.sources.stream import AnyStream, Stream

_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_ENDPOINT = "HF_ENDPOINT"
_KINDS = {"datasets/": "dataset", "spaces/": "space"}
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = rf"(datasets/|spaces/)?({_PART}(?:/{_PART})?)"
_REVISION = r"refs/(?:convert|pr)/[^/@]+|[^/@]+"
_REPOSITORY = re.compile(rf"{_NAME}(?:@({_REVISION}))?(?:/(.*))?", re.DOTALL)
#: What else the package of fsspec for the hub has, which is no repository.
_BUCKETS = "hf://buckets/"
_MAGIC = re.compile(r"[*?\[]")
_PAGE = re.compile(rf"/{_NAME}(?:/(tree|blob)/([^/]+)(?:/(.+?))?)?/?")
#: First path segments of the hub's own pages.
_OTHER_PAGES = {"docs", "spaces", "datasets", "papers", "blog", "collections", "api"}
_OTHER_PAGES |= {"models", "join", "login", "settings", "tasks", "learn", "pricing"}
#: The names that the hub gives the parts of one table.
_OF_SEVERAL = re.compile(r"(.+)-[0-9]{5}-of-([0-9]{5})(\.[a-z.]+)")
_LISTED, _BASE = 20, "HTTPError"
_LOGIN = "'hf auth login', or HF_TOKEN, says who you are"


class Repository(NamedTuple):
    """A repository, or what is named in it."""

    name: str
    kind: str  # "model", "dataset" or "space"
    revision: str
    inside: str  # a file, a pattern of names, a folder with a slash or none, or nothing
    fragment: str | None  # what is named behind a #
    words: str  # as it was given

    @property
    def address(self) -> str:
        """The repository as an ``hf://`` address."""
        ahead = next((path for path, kind in _KINDS.items() if kind == self.kind), "")
        return f"hf://{ahead}{self.name}"


def place_of(words: str) -> Repository | None:
    """Return the repository that a text names; ``None`` if it names none.

    >>> place_of("hf://minishlab/potion-base-2M@main").name
    'minishlab/potion-base-2M'
    """
    address, _, fragment = words.partition("#")
    if address[:5].lower() == "hf://" and address[:13].lower() != _BUCKETS:
        match = _REPOSITORY.fullmatch(address[5:])
        if match is None:
            raise UnknownSourceError(
                f"{words}: names no repository of the hub: that is hf://ORG/NAME, "
                "hf://datasets/ORG/NAME or hf://spaces/ORG/NAME, with @REVISION and "
                "/FILE behind it where they are wanted"
            )
        ahead, name, revision, inside = match.groups()
    else:
        parts = urlsplit(address)
        own = urlsplit(os.environ.get(_ENDPOINT, "")).netloc.lower()
        if parts.scheme not in ("http", "https"):
            return None
        if parts.netloc.lower() not in {*_HOSTS, own} - {""}:
            return None
        match = _PAGE.fullmatch(parts.path)
        if match is None:
            return None
        ahead, name, page, revision, inside = match.groups()
        if not ahead and name.partition("/")[0] in _OTHER_PAGES:
            return None
        inside = inside and unquote(inside)
        if inside and page == "tree":
            inside += "/"
    kind = _KINDS.get(ahead or "", "model")
    revision = unquote(revision or "main")  # a slash in one is quoted
    return Repository(name, kind, revision, inside or "", fragment or None, words)


class Snapshot(NamedTuple):
    """The files of a repository on this disk."""

    path: Path  # a folder, a file, or a pattern of the names of parts
    facts: dict[str, object]


def open_place(place: Repository, root: Path, *, offline: bool) -> AnyStream:
    """Fetch what is needed, and return the stream of it.

    ``root`` is the cache of the library. Raises `MissingPackageError` without
    ``huggingface_hub``, `UnknownSourceError` where there is no such repository,
    revision or file, `SourceError` where it cannot be had or holds no vectors that are
    recognised by their names.
    """
    path, facts = fetch_place(place, root, offline=offline)
    if path.exists():
        stream = from_path(path, place.words)
        if isinstance(stream, Stream):
            stream = replace(stream, provenance={**stream.provenance, **facts})
        return unpacked(stream, place.fragment)
    part = "" if place.fragment is None else f"#{place.fragment}"
    several = of_pattern(f"{path}{part}", USUAL)
    known = {**several.provenance, "source": place.words, **facts}
    return replace(several, provenance=known)


def fetch_place(place: Repository, root: Path, *, offline: bool) -> Snapshot:
    """Fetch the needed files into the cache of ``huggingface_hub``; raises as above."""
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError as error:
        raise MissingPackageError(
            f"{place.words}: repositories of the hub need huggingface_hub: "
            "pip install 'pretrained-embed[hub]'"
        ) from error
    offline = offline or bool(constants.HF_HUB_OFFLINE)
    endpoint = os.environ.get(_ENDPOINT) or None
    named: dict[str, Any] = {
        "repo_id": place.name,
        "repo_type": place.kind,
        "revision": place.revision,
    }
    folders: set[Path] = set()

    def get(name: str) -> Path:
        path = Path(
            huggingface_hub.hf_hub_download(
                filename=name, endpoint=endpoint, local_files_only=offline, **named
            )
        )
        folders.add(path.parents[len(PurePosixPath(name).parts) - 1])
        if len(folders) > 1:
            raise SourceError(
                f"{place.words}: has changed while it was fetched; fetch it again"
            )
        return path

    with _translated(place):
        if offline:
            folder = Path(
                huggingface_hub.snapshot_download(local_files_only=True, **named)
            )
            held = _Contents.recalled(_record(place, folder.name, endpoint, root))
            contents = held or _Contents(_files_below(folder), None, folder)
        else:
            info: Any = huggingface_hub.HfApi(endpoint=endpoint).repo_info(**named)
            names = [one.rfilename for one in info.siblings or ()]
            contents = _Contents(names, _licence(info))
        unsafe = [n for n in contents.names if ".." in n.split("/") or n[:1] in "/"]
        if unsafe:
            raise SourceError(f"{place.words}: file {unsafe[0]!r} leads elsewhere")
        listing = Listing(sorted(contents.names), get, place.fragment, place.words)
        path = _fetched(place, listing, contents)
    (folder,) = folders
    if not offline:
        contents.keep(_record(place, folder.name, endpoint, root), place)
    facts: dict[str, object] = {
        "url": place.address,
        "revision": folder.name,
        "licence": contents.licence,
    }
    return Snapshot(path, facts)


class _Contents(NamedTuple):
    """What is known of a repository at one revision."""

    names: list[str]  # of its files
    licence: str | None
    held: Path | None = None  # the folder, where only what is in it is known

    @classmethod
    def recalled(cls, path: SafePath) -> _Contents | None:
        """Return what was kept; ``None`` where nothing was."""
        with suppress(OSError, ValueError, SourceError):
            known = json.loads(path.read())
            names, licence = known["names"], known["licence"]
            if all(isinstance(name, str) for name in names):
                return cls(names, licence if isinstance(licence, str) else None)
        return None

    def keep(self, path: SafePath, place: Repository) -> None:
        """Keep it in the cache, if that can be written to."""
        raw = json.dumps({"names": self.names, "licence": self.licence}).encode()
        with suppress(OSError, SourceError):
            if path.status() is not None and path.read() == raw:
                return
            cache_folder.prepare(path.parent.parent.parent.path)
            path.parent.make(parents=True)
            path.write(raw)
            record.write(path, place.address, hashlib.sha256(raw).hexdigest(), None)


def _record(
    place: Repository, revision: str, endpoint: str | None, root: Path
) -> SafePath:
    """Return where the list of the files of a repository is kept."""
    name = cache_folder.label(f"{place.name}.files")
    what = json_digest([endpoint, place.kind, place.name, revision])
    folder = cache_folder.inside(root) / cache_folder.DOWNLOADS / f"{name}-{what}"
    return folder / name


def _files_below(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.relative_to(folder).as_posix() for path in files]


def _fetched(place: Repository, listing: Listing, contents: _Contents) -> Path:
    """Fetch what is needed of the files that are listed; return what is to be read."""
    inside = place.inside
    if inside in listing.names:
        return registry.fetch_file(listing, inside)
    if _MAGIC.search(inside):
        return _parts(inside, listing, contents)
    folder = f"{inside.rstrip('/')}/" if inside else ""
    names = [name[len(folder) :] for name in listing.names if name.startswith(folder)]
    below = listing._replace(names=names, get=lambda name: listing.get(folder + name))
    if not names:
        if contents.held is not None:
            raise _not_held(place.words)
        raise UnknownSourceError(
            f"{place.words}: there is no such file; it holds{_shown(listing.names)}"
        )
    path = registry.fetch_folder(below)
    if path is not None:
        return path
    files = registry.files_of_vectors(names)
    sure = contents.held is None or not (folder or any(map(_OF_SEVERAL.match, files)))
    if len(files) == 1 and sure:
        return registry.fetch_file(below, files[0])
    if pattern := _pattern_of(files, named=bool(folder)):
        return _parts(glob.escape(folder) + pattern, listing, contents)
    raise SourceError(
        f"{place.words}: {'several files' if files else 'no file'} of vectors in it; "
        f"name one, as {place.address}/{folder}FILE:{_shown(files or names)}"
    )


def _pattern_of(files: Sequence[str], *, named: bool) -> str | None:
    """Return the pattern of files that are the parts of one source, if they are.

    They are where the hub has numbered all of them, and where they have one ending and
    it is their folder that is ``named``.
    """
    numbered = [_OF_SEVERAL.fullmatch(name) for name in files]
    ends = {(m[1], m[2], m[3]) if m else None for m in numbered}
    if len(ends) == 1 and (end := ends.pop()) and int(end[1]) == len(files):
        return f"{glob.escape(end[0])}-*-of-{end[1]}{glob.escape(end[2])}"
    endings = {PurePosixPath(name).suffix for name in files}
    if named and len(endings) == 1 and not any("/" in name for name in files):
        return f"*{endings.pop()}"
    return None


def _parts(pattern: str, listing: Listing, contents: _Contents) -> Path:
    """Fetch all files that a pattern matches; return it with the folder before it."""
    steps = pattern.split("/")
    names = [
        name
        for name in listing.names
        if is_data(name.rpartition("/")[2], pattern) and _fits(name.split("/"), steps)
    ]
    if not names:
        if contents.held is not None:
            raise _not_held(listing.where)
        raise UnknownSourceError(
            f"{listing.where}: no file matches it; * does not stand for a folder, and "
            f"** does; there{_shown(listing.names)}"
        )
    numbered = [_OF_SEVERAL.fullmatch(name) for name in names]
    if contents.held is not None and not all(
        one and int(one[2]) == len(names) for one in numbered
    ):
        raise SourceError(
            f"{listing.where}: without the network it is not known whether all files "
            "that match are in the cache of huggingface_hub; open it once with the "
            "network, or name those that are here: "
            f"{Path(glob.escape(str(contents.held))) / pattern}"
        )
    paths = [listing.get(name) for name in names]
    folder = paths[0].parents[len(PurePosixPath(names[0]).parts) - 1]
    return Path(glob.escape(str(folder))) / pattern


def _fits(names: Sequence[str], steps: Sequence[str]) -> bool:
    """Whether the names of a path match the steps of a pattern, as `glob` has it."""
    if not steps or not names:
        return not steps and not names
    first, rest = steps[0], steps[1:]
    if first == "**":
        here = not names[0].startswith(".") and _fits(names[1:], steps)
        return here or (_fits(names, rest) if rest else len(names) == 1)
    hidden = names[0].startswith(".") and not first.startswith(".")
    return not hidden and fnmatchcase(names[0], first) and _fits(names[1:], rest)


def _shown(names: Sequence[str]) -> str:
    shown = [f"\n  {name}" for name in names]
    if len(shown) > _LISTED:
        shown[_LISTED:] = [f"\n  and {len(shown) - _LISTED:,} more"]
    return "".join(shown) or " nothing"


def _licence(info: Any) -> str | None:
    """Return the licence that the card of a repository, or a tag, names."""
    licence = getattr(getattr(info, "card_data", None), "license", None)
    tags = getattr(info, "tags", None) or ()
    tagged = (tag[8:] for tag in tags if str(tag).startswith("license:"))
    return licence if isinstance(licence, str) else next(tagged, None)


@contextmanager
def _translated(place: Repository) -> Iterator[None]:
    """Turn exceptions of ``huggingface_hub`` into errors of this package."""
    from huggingface_hub import errors

    # its HTTP client has its own base class of errors, which is not in huggingface_hub
    bases = errors.HfHubHTTPError.__mro__
    own = [kind for kind in bases if kind.__name__ == _BASE]
    kinds = cast(tuple[type[Exception], ...], (OSError, ValueError, *own))
    try:
        yield
    except PretrainedEmbedError:
        raise
    except errors.GatedRepoError as error:
        raise SourceError(
            f"{place.words}: who wants it has to accept its terms first, on its page; "
            f"then {_LOGIN}"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise UnknownSourceError(
            f"{place.words}: the hub has no such repository or revision, or it is "
            f"private; {_LOGIN}. A dataset is hf://datasets/ORG/NAME, a space "
            "hf://spaces/ORG/NAME; a file of a repository without an organisation is "
            "hf://NAME@main/FILE, and a slash in the name of a revision is %2F"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        if (status := _status(error)) is not None:
            raise _refused(place, status) from error
        raise _not_held(place.words) from error
    except kinds as error:
        if (status := _status(error)) is not None:
            raise _refused(place, status) from error
        first = str(error).strip().partition("\n")[0]
        raise SourceError(f"{place.words}: cannot be had: {first}") from error


def _not_held(words: str) -> SourceError:
    """Return the error for what cannot be fetched and is not there."""
    return SourceError(
        f"{words}: is not in the cache of huggingface_hub, and the hub is not reached, "
        "or the network may not be used; run the same command once with the network, "
        "without --offline (offline=False) and HF_HUB_OFFLINE, or copy the files there "
        "and name their folder"
    )


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status of the hub's answer, if there was one."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def _refused(place: Repository, status: int) -> SourceError:
    """Return the error for an HTTP status of the hub."""
    if status in (401, 403):
        what = (
            f"the hub does not let you have it; {_LOGIN}, and its page may have terms"
        )
    elif status == 429:
        what = "the hub is asked too often; wait some minutes. Who is known may ask "
        what += f"more often: {_LOGIN}"
    elif status >= 500:
        what = "the hub is out of order; try again later"
    else:
        what = "get its files with a browser, and name their folder"
    return SourceError(f"{place.words}: the hub answers {status}: {what}")
