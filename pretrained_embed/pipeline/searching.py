"""The verb `similar`: nearest neighbours in any source or matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pretrained_embed import neighbours
from pretrained_embed.errors import OptionError
from pretrained_embed.formats import AnyLayout, Reader
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.neighbours import Neighbours, parse_queries
from pretrained_embed.pipeline.opening import Folder, Where, open_reader
from pretrained_embed.progress import AnyProgress, listener
from pretrained_embed.sources import Source


def similar(
    source: EmbeddingMatrix | Source | Reader,
    queries: str | Sequence[str],
    *,
    count: int = 10,
    layout: AnyLayout = None,
    on_bad_row: OnBadRow = "error",
    use_store: bool = True,
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: AnyProgress = None,
) -> list[Neighbours]:
    """Return the tokens nearest to each query, by cosine, the nearest first.

    A query is a token, or tokens added and taken away, as in ``"king - man + woman"``.
    ``source`` is a matrix, or what `open_vectors` takes; the other arguments are as
    there. The search is exact; it reads a file twice, a block of rows at a time.

    Raises `OptionError` where there is no query, `UnknownTokenError` for a token that
    is not there, and what `open_vectors` does.

    >>> for answer in similar("vectors.txt", "king - man + woman"):  # doctest: +SKIP
    ...     print(answer.query, answer.nearest[0].token)
    """
    progress = listener(progress)
    asked = parse_queries([queries] if isinstance(queries, str) else list(queries))
    if not asked:
        raise OptionError("there is nothing to look for; name a token")
    if isinstance(source, EmbeddingMatrix):
        table = source.table()
        reader: Reader = TableReader(
            "matrix", "the matrix", table.tokens, table.vectors, arrays=table.arrays
        )
    else:
        where = Where(cache_dir, offline, catalog)
        reader = open_reader(
            source, where, progress, use_store=use_store, layout=layout
        ).reader
    try:
        return neighbours.search(
            reader, asked, count=count, on_bad_row=on_bad_row, progress=progress
        )
    finally:
        if reader is not source:
            reader.close()
