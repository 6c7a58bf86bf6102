"""`page`: the data of the map, the document, and its content security policy."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

import pretrained_embed as pe
from pretrained_embed import __version__
from pretrained_embed.arrays import (
    AnyArray,
    AnyProgress,
    Float32Array,
    Float64Array,
    Int64Array,
    Progress,
    listener,
)
from pretrained_embed.errors import OptionError, suggestion
from pretrained_embed.files.replacement import replacing
from pretrained_embed.ledger import Origin
from pretrained_embed.ledger.provenance import options_of
from pretrained_embed.library import Library
from pretrained_embed.markup import Projection
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.nearest_rows import Nearest, unit_rows
from pretrained_embed.tools.page.elements import html, shown, tag
from pretrained_embed.tools.page.sections import (
    coverage_section,
    identity_section,
    name_of_matrix,
    norms_of,
    numbers_section,
    oov_section,
    rows_section,
    warnings_section,
)
from pretrained_embed.tools.plot import project

_PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}

_SUFFIXES = (".html", ".htm")


def page(
    matrix: EmbeddingMatrix | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    projection: Projection = "pca",
    seed: int = 0,
    limit: int | None = 20_000,
    title: str | None = None,
    library: Library | None = None,
    progress: AnyProgress = None,
) -> None:
    """Write a page about a matrix: one HTML file that loads nothing else.

    It has a map of the tokens with the nearest neighbours of each, coverage by form and
    frequency, the most frequent OOV tokens and the forms that would find them, norms
    and values, warnings, the first rows, and what the matrix was built from. The same
    matrix and options give the same bytes. The file appears whole or not at all.

    Parameters
    ----------
    matrix : EmbeddingMatrix or path
        The matrix, or its file.
    path : path
        The file to write, ``.html`` or ``.htm``.
    projection : "pca", "tsne" or "umap", default "pca"
        How tokens are placed; "tsne" needs scikit-learn, "umap" umap-learn.
    seed : int, default 0
        Seed of the projection.
    limit : int or None
        The most tokens on the map: the most frequent by the counts of the vocabulary,
        or the first; ``None`` shows all.
    title : str, optional
        The title of the page.
    library : Library, optional
        How the file of a matrix is read.
    progress : callable of (bytes, bytes in all), True or None
        Called with the bytes of vectors whose neighbours were found.

    Raises
    ------
    OptionError
        For unknown options.
    MissingPackageError
        If the package of the projection is not installed.
    WriteError
        If the file cannot be written.

    Examples
    --------
    >>> page("embedding.npz", "page.html")  # doctest: +SKIP
    """
    progress = listener(progress)
    known = EmbeddingMatrix.PROJECTIONS
    if projection not in known:
        raise OptionError(
            f"projection is {projection!r}; known: {', '.join(known)}"
            f"{suggestion(str(projection), known)}"
        )
    if Path(os.fsdecode(path)).suffix.lower() not in _SUFFIXES:
        raise OptionError(
            f"{os.fsdecode(path)!r} does not end in {' or '.join(_SUFFIXES)}: it is a "
            "page for a browser, such as page.html"
        )
    if limit is not None and limit < 1:
        raise OptionError(f"limit is {limit}; a map has one token at least")
    if not isinstance(matrix, EmbeddingMatrix):
        matrix = pe.load_matrix(matrix, library=library)
    norms = norms_of(matrix)
    shown_points = points(
        matrix,
        norms,
        limit=limit,
        projection=projection,
        seed=seed,
        progress=progress,
    )
    sections = [
        coverage_section(matrix),
        oov_section(matrix),
        numbers_section(matrix, norms),
        warnings_section(matrix, norms),
        rows_section(matrix),
        identity_section(matrix),
    ]
    script, style = _part("map.js") + _part("page.js"), _part("page.css")
    rows, dim = matrix.shape
    text = Template(_part("page.html")).substitute(
        title=escape(shown(title or f"{name_of_matrix(matrix)}, {rows:,} × {dim}")),
        policy=_policy(script, style),
        style=style,
        script=script,
        tiles=html([_tiles(matrix)]),
        about=escape(_about(matrix, shown_points, projection)),
        sections=html(sections),
        data=shown_points.json(),
        version=escape(__version__),
    )
    with replacing(path) as file:
        # text that is not UTF-8 was escaped before
        file.write(text.encode("utf-8", "backslashreplace"))


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _policy(script: str, style: str) -> str:
    """Return a content security policy: nothing but this script and this style.

    https://www.w3.org/TR/CSP3/, by hashes of the text between the tags.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _tiles(matrix: EmbeddingMatrix) -> Element:
    coverage = matrix.coverage
    of_tokens, of_text = coverage.percentages
    facts = [
        (f"{len(matrix):,}", "rows"),
        (f"{matrix.dim:,}", "dimensions"),
        (of_tokens, "of the tokens found"),
        *([(of_text, "of the text found")] if of_text else []),
        (f"{coverage.oov:,}", "OOV tokens"),
    ]
    tiles = [tag("div", tag("dt", name), tag("dd", value)) for value, name in facts]
    return tag("dl", *tiles, class_="tiles")


def _about(matrix: EmbeddingMatrix, points: Points, projection: Projection) -> str:
    """Return the description of the map, which may be a sample."""
    count, method = len(points.ids), _PROJECTIONS[projection]
    near = "Neighbours are by cosine among these, in all dimensions."
    if count == points.possible:
        return f"All {count:,} tokens, placed by {method}. {near}"
    counted = matrix.vocabulary.counts is not None
    which = "most frequent" if counted else "first"
    return (
        f"A sample: the {which} {count:,} of {points.possible:,} tokens, placed by "
        f"{method}. {near}"
    )


#: How many neighbours a token has, and the number for a missing one.
NEIGHBOURS, NONE = 10, 2**32 - 1

#: Places are integers from 0 to this.
_FINEST = 2**16 - 1
#: How many rows are searched for neighbours at a time.
_AT_ONCE = 256


@dataclass(frozen=True)
class Points:
    """Tokens on a map, the most important first, as JSON-compatible values."""

    ids: Int64Array  # (points,)
    possible: int  # how many tokens could be there
    data: dict[str, Any]  # for the script of the page

    def json(self) -> str:
        """Return the data as JSON that cannot end the element in HTML."""
        text = json.dumps(self.data, separators=(",", ":"))
        return (
            text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        )


def points(
    matrix: EmbeddingMatrix,
    norms: Float64Array,
    *,
    limit: int | None,
    projection: Projection = "pca",
    seed: int = 0,
    progress: Progress | None = None,
) -> Points:
    """Return the most frequent tokens, or the first ones, with places and neighbours.

    ``norms`` are those of all rows. Padding, and ids without a token, are left out.
    Arrays are in base64, little-endian: ids, near (points, 10) and counts are of whole
    numbers, places (points, 2) go from 0 to 65,535, cosines are in hundredths.
    """
    vocabulary = matrix.vocabulary
    ordered = matrix.ledger.frequent_rows()
    ids, possible = ordered[:limit], len(ordered)
    vectors = matrix.vectors[ids]
    places = np.zeros((0, 2), np.float32)  # holes
    if len(ids):
        places = project(vectors, projection, seed=seed)
    near, cosines = _neighbours(vectors, progress)
    origin, origins = _origins(matrix, ids)
    counts = vocabulary.counts
    known = np.isfinite(norms[ids])
    finite = np.where(known, norms[ids], 0.0).clip(max=np.finfo(np.float32).max)
    data = {
        "tokens": [shown(str(vocabulary.tokens[id])) for id in ids.tolist()],
        "ids": _base64(ids, "<u4"),
        "places": _base64(_places(places), "<u2"),
        "near": _base64(near, "<u4"),
        "cosines": _base64(np.rint(cosines * 100), "<i1"),
        "norms": _base64(finite, "<f4"),
        "counts": None if counts is None else _base64(counts[ids], "<f8"),
        "origin": _base64(origin, "<u1"),
        "origins": origins,
    }
    return Points(ids, possible, data)


def _neighbours(
    vectors: Float32Array, progress: Progress | None
) -> tuple[Int64Array, Float32Array]:
    """Return the nearest other points of each point, and their cosines.

    Both are (points, NEIGHBOURS), with `NONE` and 0 for missing ones.
    """
    tell: Callable[[int, int], Any] = progress or (lambda *_: None)
    near = np.full((len(vectors), NEIGHBOURS), NONE, np.int64)
    cosines = np.zeros(near.shape, np.float32)
    for start in range(0, len(vectors), _AT_ONCE):
        queries = vectors[start : start + _AT_ONCE]
        directed = unit_rows(queries).any(axis=1, keepdims=True)
        tell(start * vectors.shape[1] * 4, vectors.nbytes)
        found = Nearest(queries, NEIGHBOURS + 1)
        found.add(vectors)
        own = np.arange(start, start + len(queries))[:, None]
        # the row itself, or the last one if many rows are equally near; then the rest
        order = np.argsort(found.rows != own, axis=1, kind="stable")
        rows = np.take_along_axis(found.rows, order, axis=1)
        itself = np.equal(rows[:, :1], own)
        keep = np.where(itself, np.arange(1, NEIGHBOURS + 1), np.arange(NEIGHBOURS))
        keep = np.take_along_axis(order, keep, axis=1)
        rows = np.take_along_axis(found.rows, keep, axis=1)
        some = (rows >= 0) & directed
        part = slice(start, start + len(queries))
        near[part] = np.where(some, rows, NONE)
        cosines[part] = np.where(
            some, np.take_along_axis(found.scores, keep, axis=1), 0.0
        )
    return near, cosines


def _places(places: Float32Array) -> Float64Array:
    """Return places in a square, with their centre in its centre."""
    if not len(places):
        return places.astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    square: Float64Array = 0.5 + (places - (low + high) / 2) / span
    square[:, 1] = 1 - square[:, 1]  # the y axis of a screen points down
    whole: Float64Array = np.rint(square.clip(0, 1) * _FINEST)
    return whole


def _origins(
    matrix: EmbeddingMatrix, ids: Int64Array
) -> tuple[Int64Array, list[dict[str, str]]]:
    """Return the origin of each point, and the origins, those of found rows first."""
    codes, places = np.unique(matrix.origin[ids], return_inverse=True)
    order = np.argsort(codes < Origin.EXACT, kind="stable")
    listed = [_origin(matrix, Origin(code)) for code in codes[order].tolist()]
    ranks: Int64Array = np.argsort(order)[places]
    return ranks, listed


def _origin(matrix: EmbeddingMatrix, code: Origin) -> dict[str, str]:
    """Return a name for an origin, and its explanation."""
    label = shown(code.label(matrix.match))
    if code is Origin.EXACT:
        return {"name": label, "words": "found as it stands"}
    if code.found:
        return {"name": label, "words": f"found in another form: {label}"}
    policy = str(options_of(matrix.provenance).get("oov", "")).rpartition(",")[2]
    words = {
        Origin.SUBWORD: "not found; made of the source's subword pieces",
        Origin.PARTS: "not found; the mean of tokens that it consists of",
        Origin.NGRAM: "not found; predicted from its character n-grams",
    }
    filled = f"not found; filled by {shown(policy)}" if policy else "not found; filled"
    names = {Origin.OOV: f"not found ({policy})" if policy else "not found"}
    name = names.get(code, f"not found ({label})")
    return {"name": shown(name), "words": words.get(code, filled)}


def _base64(numbers: AnyArray, dtype: str) -> str:
    return b64encode(np.ascontiguousarray(numbers).astype(dtype).tobytes()).decode()
