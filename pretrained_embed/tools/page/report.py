"""The verb `report`: a page about a matrix, for a browser."""

from __future__ import annotations

import os
from pathlib import Path

from pretrained_embed.errors import OptionError, suggestion
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.pipeline.loading import load_matrix
from pretrained_embed.progress import AnyProgress, listener
from pretrained_embed.tools import page
from pretrained_embed.tools.plot import METHODS, Method

_SUFFIXES = (".html", ".htm")


def report(
    matrix: EmbeddingMatrix | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    projection: Method = "pca",
    seed: int = 0,
    limit: int = 20_000,
    title: str | None = None,
    progress: AnyProgress = None,
) -> None:
    """Write a page about a matrix: one HTML file that loads nothing.

    On it are a map of the tokens with the nearest neighbours of each, coverage by form
    and frequency, the most frequent OOV tokens and what would find them, norms and
    values, warnings, the first rows, and what the matrix was built from.

    ``matrix`` is one, or the file of one. ``projection`` places the tokens: "pca", or
    "tsne" and "umap", which need scikit-learn and umap-learn; ``seed`` is theirs. Of
    more than ``limit`` tokens the most frequent by the counts of the vocabulary are
    shown, or where there are none the first. ``progress`` is called with the bytes of
    vectors whose neighbours were found, and the bytes of all. ``path`` ends in
    ``.html`` or ``.htm``.

    The same matrix and options give the same bytes. The file appears whole or not at
    all. Raises `OptionError` for options that mean nothing, `MissingPackageError`,
    `WriteError`, and what `load_matrix` does.

    >>> report("embedding.npz", "report.html")  # doctest: +SKIP
    """
    progress = listener(progress)
    if projection not in METHODS:
        raise OptionError(
            f"projection is {projection!r}; known: {', '.join(METHODS)}"
            f"{suggestion(str(projection), METHODS)}"
        )
    if Path(os.fsdecode(path)).suffix.lower() not in _SUFFIXES:
        raise OptionError(
            f"{os.fsdecode(path)!r} does not end in {' or '.join(_SUFFIXES)}: a report "
            "is a page for a browser, such as report.html"
        )
    if limit < 1:
        raise OptionError(f"limit is {limit}; a map has one token at least")
    if not isinstance(matrix, EmbeddingMatrix):
        matrix = load_matrix(matrix)
    page.write_page(
        matrix,
        path,
        projection=projection,
        seed=seed,
        limit=limit,
        title=title,
        progress=progress,
    )
