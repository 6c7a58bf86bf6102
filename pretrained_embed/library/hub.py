"""Repositories of the Hugging Face hub: their files of vectors.

::

    place = "hf://" ["datasets/" | "spaces/"] [ORG "/"] NAME ["@" revision]
          | "https://huggingface.co/" ["datasets/" | "spaces/"] [ORG "/"] NAME
            ["/tree/" revision ["/" folder] | "/blob/" revision "/" file]

The list of its files tells whether a repository is a folder in a known format, of which
only the needed files are fetched, or has one file of vectors. ``huggingface_hub``
downloads into its own cache, with its own token, endpoint and offline switch. A named
file, ``hf://ORG/NAME/FILE``, is read remotely.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from pretrained_embed.formats import registry
from pretrained_embed.formats.format import Listing
from pretrained_embed.sources.source import from_path, of_pattern, unpacked
from pretrained_embed.sources.stream import AnyStream, Stream

_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_ENDPOINT = "HF_ENDPOINT"
_KINDS = {"datasets/": "dataset", "spaces/": "space"}
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME = rf"(datasets/|spaces/)?({_PART}(?:/{_PART})?)"
_REPOSITORY = re.compile(rf"{_NAME}(?:@([^@#?]+?))?/?")
_PAGE = re.compile(rf"/{_NAME}(?:/(tree|blob)/([^/]+)(?:/(.+?))?)?/?")
#: First path segments of the hub's own pages.
_OTHER_PAGES = {"docs", "spaces", "datasets", "papers", "blog", "collections", "api"}
_OTHER_PAGES |= {"models", "join", "login", "settings", "tasks", "learn", "pricing"}
#: The names that the hub gives the parts of one table.
_OF_SEVERAL = re.compile(r"(.+)-[0-9]{5}-of-([0-9]{5})(\.[a-z.]+)")
_LISTED, _BASE = 20, "HTTPError"
_LOGIN = "'hf auth login', or HF_TOKEN, says who you are"


class Repository(NamedTuple):
    """A repository, or one folder or file of it."""

    name: str
    kind: str  # "model", "dataset" or "space"
    revision: str
    file: str | None
    fragment: str | None  # what is named behind a #
    words: str  # as it was given
    folder: str = ""  # with a slash at its end

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
    file = folder = None
    if address[:5].lower() == "hf://":
        match = _REPOSITORY.fullmatch(address[5:])
        if match is None:
            return None
        ahead, name, revision = match.groups()
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
        revision = revision and unquote(revision)  # a slash in a revision is quoted
        file = unquote(inside) if inside and page == "blob" else None
        folder = f"{unquote(inside)}/" if inside and page == "tree" else None
    kind = _KINDS.get(ahead or "", "model")
    return Repository(
        name, kind, revision or "main", file, fragment or None, words, folder or ""
    )


class Snapshot(NamedTuple):
    """The files of a repository on this disk."""

    path: Path  # a folder, a file, or a pattern of the names of parts
    facts: dict[str, object]


def open_place(place: Repository, *, offline: bool) -> AnyStream:
    """Fetch the needed files, and return the stream of them.

    Raises `MissingPackageError` without ``huggingface_hub``, `UnknownSourceError` where
    there is no such repository, revision or file, and `SourceError` where the download
    fails or no file of vectors is recognised by its name.
    """
    path, facts = fetch_place(place, offline=offline)
    if "*" in path.name:  # all parts of one source
        part = "" if place.fragment is None else f"#{place.fragment}"
        several = of_pattern(f"{path}{part}", USUAL)
        known = {**several.provenance, "source": place.words, **facts}
        return replace(several, provenance=known)
    stream = from_path(path, place.words)
    if isinstance(stream, Stream):
        stream = replace(stream, provenance={**stream.provenance, **facts})
    return unpacked(stream, place.fragment)


def fetch_place(place: Repository, *, offline: bool) -> Snapshot:
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
        licence = None
        if offline:
            folder = Path(
                huggingface_hub.snapshot_download(local_files_only=True, **named)
            )
            names = [
                path.relative_to(folder).as_posix()
                for path in folder.rglob("*")
                if path.is_file()
            ]
        else:
            info: Any = huggingface_hub.HfApi(endpoint=endpoint).repo_info(**named)
            names = [one.rfilename for one in info.siblings or ()]
            licence = _licence(info)
        unsafe = [name for name in names if ".." in name.split("/") or name[:1] in "/"]
        if unsafe:
            raise SourceError(f"{place.words}: file {unsafe[0]!r} leads elsewhere")
        inside = place.folder
        listing = Listing(
            sorted(n.removeprefix(inside) for n in names if n.startswith(inside)),
            lambda name: get(inside + name),
            place.fragment,
            place.words,
        )
        path = _fetched(place, listing)
    (folder,) = folders
    return Snapshot(
        path,
        {
            "url": place.address,
            "revision": folder.name,
            "licence": licence,
        },
    )


def _fetched(place: Repository, listing: Listing) -> Path:
    """Fetch the needed files of a listing; return what is to be read."""
    if place.file is not None:
        if place.file not in listing.names:
            raise UnknownSourceError(
                f"{place.words}: there is no such file; it holds{_shown(listing.names)}"
            )
        return registry.fetch_file(listing, place.file)
    folder = registry.fetch_folder(listing)
    if folder is not None:
        return folder
    files = registry.files_of_vectors(listing.names)
    if len(files) == 1:
        return registry.fetch_file(listing, files[0])
    numbered = [_OF_SEVERAL.fullmatch(name) for name in files]
    ends = {(m[1], m[2], m[3]) if m else None for m in numbered}
    if len(ends) == 1 and (end := ends.pop()) and int(end[1]) == len(files):
        parts = [listing.get(name) for name in files]
        begin = end[0].rpartition("/")[2]
        pattern = f"{glob.escape(begin)}-*-of-{end[1]}{glob.escape(end[2])}"
        return Path(glob.escape(str(parts[0].parent))) / pattern
    raise SourceError(
        f"{place.words}: {'several files' if files else 'no file'} of vectors in it; "
        f"name one, as {place.address}/FILE:{_shown(files or listing.names)}"
    )


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
            "hf://spaces/ORG/NAME"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        if (status := _status(error)) is not None:
            raise _refused(place, status) from error
        raise SourceError(
            f"{place.words}: is not in the cache of huggingface_hub, and the hub is "
            "not reached, or the network may not be used; run the same command once "
            "with the network, without --offline (offline=False) and HF_HUB_OFFLINE, "
            "or copy the files there and name their folder"
        ) from error
    except kinds as error:
        if (status := _status(error)) is not None:
            raise _refused(place, status) from error
        first = str(error).strip().partition("\n")[0]
        raise SourceError(f"{place.words}: cannot be had: {first}") from error


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
