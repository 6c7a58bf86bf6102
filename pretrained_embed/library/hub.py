"""Repositories of the Hugging Face hub: what of one holds vectors, and that alone.

::

    place = "hf://" ["datasets/"] [ORG "/"] NAME ["@" revision]
          | "https://huggingface.co/" ["datasets/"] [ORG "/"] NAME
            ["/tree/" revision | "/blob/" revision "/" file]

The list of its files tells what a repository is: the folder of a model (transformers,
model2vec, sentence-transformers), of a spaCy pipeline, or one file of vectors. Fetched
is what a reader of that needs: of a model in several files the one with the embedding.
``huggingface_hub`` does it, into its own cache, with its own token, endpoint and
offline switch. A file that is named, ``hf://ORG/NAME/FILE``, is read where it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from pretrained_embed.errors import (
    FormatError,
    MissingPackageError,
    PretrainedEmbedError,
    SourceError,
    UnknownSourceError,
)
from pretrained_embed.formats import marks
from pretrained_embed.formats.hugging_face import model_folder, model_tokens
from pretrained_embed.formats.hugging_face.embedding_tensor import pick
from pretrained_embed.sources.source import from_path, unpacked
from pretrained_embed.sources.stream import AnyStream, Stream

_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_ENDPOINT = "HF_ENDPOINT"
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REPOSITORY = re.compile(rf"(datasets/)?({_PART}(?:/{_PART})?)(?:@([^@#?]+?))?/?")
_PAGE = re.compile(
    rf"/(datasets/)?({_PART}(?:/{_PART})?)(?:/(tree|blob)/([^/]+)(?:/(.+))?)?/?"
)
#: First steps of the hub's own pages.
_OTHER_PAGES = {"docs", "spaces", "papers", "blog", "collections", "api", "models"}

#: Small files of a model that say what it is and which tokens it has.
_SMALL = (
    *(marks.CONFIG, marks.MODULES, marks.INDEX, marks.PICKLED_INDEX),
    *model_tokens.FILES,
    *("added_tokens.json", "tokenizer_config.json"),
)
_WEIGHTS = ((marks.SINGLE, marks.INDEX), (marks.PICKLED, marks.PICKLED_INDEX))
_OWN_WEIGHTS = tuple(name for names in _WEIGHTS for name in names)
_SPACY = {marks.SPACY_VECTORS, marks.SPACY_KEYS, marks.SPACY_CONFIG, "strings.json"}
#: Ends of the names of files of vectors, and of these packed.
_VECTORS = re.compile(
    r".*\.(?:vec|txt|bin|ftz|npz|npy|h5|hdf5|kv|model|magnitude|fifu|floret|pt|pth"
    r"|parquet|arrow|safetensors|gguf|keras)(?:\.(?:gz|bz2|xz|zst))?|.*\.zip"
)
_DOCUMENT = re.compile(
    r"(?:.*/)?(?:readme|licen[cs]e|notice|requirements|vocab|merges|special_tokens)"
    r"[^/]*|(?:.*/)?\..*",
    re.IGNORECASE,
)
_LISTED, _BASE = 20, "HTTPError"


class Place(NamedTuple):
    """A repository, or one file of it."""

    repository: str
    kind: str  # "model" or "dataset"
    revision: str
    file: str | None
    fragment: str | None  # what is named behind a #
    words: str  # as it was given

    @property
    def address(self) -> str:
        """The repository as ``hf://`` names it."""
        data = "datasets/" if self.kind == "dataset" else ""
        return f"hf://{data}{self.repository}"


def place_of(words: str) -> Place | None:
    """Return the repository that is named; ``None`` where none is.

    >>> place_of("hf://minishlab/potion-base-2M@main").repository
    'minishlab/potion-base-2M'
    """
    address, _, fragment = words.partition("#")
    if address[:5].lower() == "hf://":
        match = _REPOSITORY.fullmatch(address[5:])
        if match is None:
            return None
        data, repository, revision = match.groups()
        file = None
    else:
        parts = urlsplit(address)
        own = urlsplit(os.environ.get(_ENDPOINT, "")).netloc.lower()
        if parts.scheme not in ("http", "https") or parts.query:
            return None
        if parts.netloc.lower() not in {*_HOSTS, own} - {""}:
            return None
        match = _PAGE.fullmatch(unquote(parts.path))
        if match is None:
            return None
        data, repository, kind, revision, file = match.groups()
        if repository.partition("/")[0] in _OTHER_PAGES:
            return None
        if kind == "tree" and file is not None:
            return None
    kind = "dataset" if data else "model"
    return Place(repository, kind, revision or "main", file, fragment or None, words)


class Fetched(NamedTuple):
    """What a repository holds, on this disk."""

    path: Path  # a folder, or a file
    facts: dict[str, object]


def open_place(place: Place, *, offline: bool) -> AnyStream:
    """Fetch what is needed, and return the stream of it.

    Raises `MissingPackageError` without ``huggingface_hub``, `UnknownSourceError` where
    there is no such repository, revision or file, `SourceError` where it cannot be had
    or holds no vectors that are recognised by their names.
    """
    path, facts = fetch_place(place, offline=offline)
    stream = from_path(path, place.words)
    if isinstance(stream, Stream):
        stream = replace(stream, provenance={**stream.provenance, **facts})
    return unpacked(stream, place.fragment)


def fetch_place(place: Place, *, offline: bool) -> Fetched:
    """Fetch what is needed into the cache of ``huggingface_hub``; raises as above."""
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
        "repo_id": place.repository,
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
        path = _fetched(place, sorted(names), get)
    (folder,) = folders
    return Fetched(
        path,
        {
            "url": place.address,
            "revision": folder.name,
            "licence": licence,
        },
    )


def _fetched(place: Place, names: Sequence[str], get: Callable[[str], Path]) -> Path:
    """Fetch what is needed of the files of these names; return what is to be read."""
    if place.file is not None:
        if place.file not in names:
            raise UnknownSourceError(f"{place.words}: there is no such file")
        return _with_companions(place.file, names, get)
    has_weights = any(name.rpartition("/")[2] in _OWN_WEIGHTS for name in names)
    if has_weights and (marks.CONFIG in names or marks.MODULES in names):
        return _model(place, names, get)
    spacy = [n for n in names if n.endswith(f"vocab/{marks.SPACY_VECTORS}")]
    if spacy:
        inside = spacy[0].rpartition("/")[0]
        for name in names:
            folder, _, file = name.rpartition("/")
            if folder == inside and file in _SPACY:
                get(name)
        return get(spacy[0]).parent
    held = [n for n in names if _VECTORS.fullmatch(n) and not _DOCUMENT.fullmatch(n)]
    whole = [n for n in held if not any(o != n and n.startswith(f"{o}.") for o in held)]
    if len(whole) == 1:
        return _with_companions(whole[0], names, get)
    shown = [f"\n  {name}" for name in whole or names]
    if len(shown) > _LISTED:
        shown[_LISTED:] = [f"\n  and {len(shown) - _LISTED:,} more"]
    raise SourceError(
        f"{place.words}: {'several files' if whole else 'no file'} of vectors in it; "
        f"name one, as {place.address}/FILE:{''.join(shown)}"
    )


def _with_companions(
    file: str, names: Sequence[str], get: Callable[[str], Path]
) -> Path:
    """Fetch a file, and what a reader looks for beside it."""
    folder, _, own = file.rpartition("/")
    stem = own.partition(".")[0]
    for name in names:
        inside, _, other = name.rpartition("/")
        ends = (".tokens", ".vocab", ".rows.safetensors")
        beside = other in _SMALL and own.endswith((".safetensors", ".bin", ".pt"))
        named = other.startswith((f"{own}.", f"{stem}.")) and other.endswith(ends)
        if inside == folder and (beside or named or other.startswith(f"{own}.")):
            get(name)
    return get(file)


def _model(place: Place, names: Sequence[str], get: Callable[[str], Path]) -> Path:
    """Fetch what a model's embedding needs; return its folder."""
    folder = get(marks.MODULES if marks.MODULES in names else marks.CONFIG).parent
    inside = model_folder.module_folder(folder).relative_to(folder).as_posix()
    prefix = "" if inside == "." else f"{inside}/"
    own = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    for name in _SMALL:
        if name in own:
            get(prefix + name)
    for single, index in _WEIGHTS:
        if index in own:
            path = folder / prefix / index
            files = model_folder.read_index(path)["weight_map"]
            table = place.fragment or pick(list(files), str(path))
            if table not in files:
                raise FormatError(f"{path}: names no tensor {table!r}")
            get(prefix + files[table])
            return folder
        if single in own:
            get(prefix + single)
            return folder
    raise SourceError(
        f"{place.words}: the part of the model that has an embedding has no weights "
        f"that can be read: none of {', '.join(_OWN_WEIGHTS)} is in {inside!r}"
    )


def _licence(info: Any) -> str | None:
    """Return the licence that the card of a repository, or a tag, names."""
    licence = getattr(getattr(info, "card_data", None), "license", None)
    tags = getattr(info, "tags", None) or ()
    tagged = (tag[8:] for tag in tags if str(tag).startswith("license:"))
    return licence if isinstance(licence, str) else next(tagged, None)


@contextmanager
def _translated(place: Place) -> Iterator[None]:
    """Turn what ``huggingface_hub`` raises into errors of ours."""
    from huggingface_hub import errors

    # whatever it asks with has its own base of all errors, of which its own is one
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
            "then 'hf auth login', or HF_TOKEN, says who you are"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise UnknownSourceError(
            f"{place.words}: the hub has no such repository or revision, or it is "
            "private; 'hf auth login', or HF_TOKEN, says who you are"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise SourceError(
            f"{place.words}: is not in the cache of huggingface_hub, and the hub is "
            "not reached, or the network may not be used"
        ) from error
    except kinds as error:
        first = str(error).strip().partition("\n")[0]
        raise SourceError(f"{place.words}: cannot be had: {first}") from error
