"""`page`: its parts put together, and what a browser may do with it."""

from __future__ import annotations

import os
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from xml.etree.ElementTree import Element

import pretrained_embed as pe
from pretrained_embed import __version__
from pretrained_embed.arrays import AnyProgress, listener
from pretrained_embed.errors import OptionError, suggestion
from pretrained_embed.files.replacement import replacing
from pretrained_embed.library import Library
from pretrained_embed.matrix import EmbeddingMatrix, Projection
from pretrained_embed.tools.page.coverage_section import coverage_section, oov_section
from pretrained_embed.tools.page.elements import html, shown, tag
from pretrained_embed.tools.page.identity_section import (
    identity_section,
    name_of_matrix,
    rows_section,
)
from pretrained_embed.tools.page.map_points import Points, points
from pretrained_embed.tools.page.numbers_section import (
    norms_of,
    numbers_section,
    warnings_section,
)

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
    """Write a page about a matrix: one HTML file that loads nothing.

    On it are a map of the tokens with the nearest neighbours of each, coverage by form
    and frequency, the most frequent OOV tokens and what would find them, norms and
    values, warnings, the first rows, and what the matrix was built from.

    ``matrix`` is one, or the file of one, which is read as ``library`` says.
    ``projection`` places the tokens: "pca", or "tsne" and "umap", which need
    scikit-learn and umap-learn; ``seed`` is theirs. Of more than ``limit`` tokens the
    most frequent by the counts of the vocabulary are shown, or where there are none the
    first; ``None`` shows all. ``progress`` is called with the bytes of vectors whose
    neighbours were found, and the bytes of all. ``path`` ends in ``.html`` or ``.htm``.

    The same matrix and options give the same bytes. The file appears whole or not at
    all. Raises `OptionError` for options that mean nothing, `MissingPackageError`,
    `WriteError`, and what `load_matrix` does.

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
        # what is no UTF-8 in a text was escaped where it is shown
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
    """Return what the map shows, and that it is a sample where it is one."""
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
