"""A matrix in the viewer embedding-atlas, in a notebook or as a file.

>>> from pretrained_embed.adapters import embedding_atlas  # doctest: +SKIP
>>> embedding_atlas.widget(matrix)  # doctest: +SKIP

https://github.com/apple/embedding-atlas
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pretrained_embed import former_names
from pretrained_embed.adapters._arguments import checked
from pretrained_embed.errors import MissingPackageError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.ledger import Origin
from pretrained_embed.markup import Projection
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools import plot

if TYPE_CHECKING:
    from embedding_atlas.widget import EmbeddingAtlasWidget


@checked
def widget(
    matrix: EmbeddingMatrix,
    *,
    count: int = 20_000,
    projection: Projection = "pca",
    seed: int = 0,
    **options: Any,
) -> EmbeddingAtlasWidget:
    """Return the viewer's widget, with tokens as points.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors.
    count : int
        How many of the most frequent tokens are shown.
    projection, seed
        As in `EmbeddingMatrix.plot`.
    **options
        Those of ``EmbeddingAtlasWidget``.

    Returns
    -------
    EmbeddingAtlasWidget
        The widget.

    Raises
    ------
    MissingPackageError
        If embedding-atlas, or the package of the projection, is not installed.

    Examples
    --------
    >>> embedding_atlas.widget(matrix)  # doctest: +SKIP
    """
    given = {name: value for name, value in options.items() if name == "method"}
    former_names.refuse(given, {"method": "projection="}, widget)
    try:
        import pandas as pd
        from embedding_atlas.widget import EmbeddingAtlasWidget
    except ImportError as error:
        raise MissingPackageError(
            "the viewer needs embedding-atlas: pip install embedding-atlas"
        ) from error
    frame = pd.DataFrame(columns(matrix, count=count, projection=projection, seed=seed))
    known = {"row_id": "id", "x": "x", "y": "y", "text": "token"}
    return EmbeddingAtlasWidget(frame, **(known | options))


@checked
def save(
    matrix: EmbeddingMatrix,
    path: str | os.PathLike[str],
    *,
    count: int | None = None,
    projection: Projection = "pca",
    seed: int = 0,
) -> None:
    """Write the Parquet file that the program ``embedding-atlas`` opens.

    Start it by ``embedding-atlas FILE --text token --x x --y y``.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors.
    path : path
        The file to write.
    count : int, optional
        How many of the most frequent tokens are written; by default all.
    projection, seed
        As in `EmbeddingMatrix.plot`.

    Raises
    ------
    MissingPackageError
        If pyarrow, or the package of the projection, is not installed.
    WriteError
        If the file cannot be written.

    Examples
    --------
    >>> save(matrix, "atlas.parquet")  # doctest: +SKIP
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackageError(
            "the file needs pyarrow: pip install pyarrow"
        ) from error
    table = pa.table(columns(matrix, count=count, projection=projection, seed=seed))
    with replacing(path) as file:
        parquet.write_table(table, file)


def columns(
    matrix: EmbeddingMatrix, *, count: int | None, projection: Projection, seed: int
) -> dict[str, Any]:
    """Return the columns of the viewer's table, with a row for each token.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors.
    count : int, optional
        How many of the most frequent tokens; by default all.
    projection, seed
        As in `EmbeddingMatrix.plot`.

    Returns
    -------
    dict of str to list or array
        "id", "token", "x" and "y" (the place), "origin" (how the row was filled),
        "norm" (the Euclidean length), and "count" if the vocabulary has counts.

    Examples
    --------
    >>> columns(matrix)["token"][:2]  # doctest: +SKIP
    ['the', 'of']
    """
    rows = matrix.ledger.frequent_rows(count)
    vectors = matrix.vectors[rows]
    places = plot.project(vectors, projection, seed=seed)
    table: dict[str, Any] = {
        "id": rows,
        "token": [str(matrix.vocabulary.tokens[row]) for row in rows.tolist()],
        "x": places[:, 0],
        "y": places[:, 1],
        "origin": [Origin(code).label(matrix.match) for code in matrix.origin[rows]],
        "norm": np.linalg.norm(vectors, axis=1),
    }
    if matrix.vocabulary.counts is not None:
        table["count"] = matrix.vocabulary.counts[rows]
    return table
