"""Load a saved matrix, or some of its rows."""

from __future__ import annotations

import os
from typing import Any, overload

from pretrained_embed import formats, former_names
from pretrained_embed.errors import OptionError
from pretrained_embed.formats import Reader
from pretrained_embed.formats.table import Table, TablePart, bounds
from pretrained_embed.library import Given, Library
from pretrained_embed.matrix import (
    EmbeddingMatrix,
    EmbeddingShard,
    from_table,
    shard_of,
)
from pretrained_embed.sources.stream import rereadable
from pretrained_embed.sources.url import shown


@overload
def load_matrix(
    path: str | os.PathLike[str],
    *,
    rows: slice,
    library: Library | None = None,
    **former: Any,
) -> EmbeddingShard: ...
@overload
def load_matrix(
    path: Given,
    *,
    rows: None = None,
    library: Library | None = None,
    **former: Any,
) -> EmbeddingMatrix: ...
def load_matrix(
    path: Given,
    *,
    rows: slice | None = None,
    library: Library | None = None,
    **former: Any,
) -> EmbeddingMatrix | EmbeddingShard:
    """Load a matrix that `EmbeddingMatrix.save` wrote, or some of its rows.

    Text and binary files of other tools load too: every token counts as found, a
    ``<pad>`` whose row is zeros is the pad token, and ``matrix.findings`` has what was
    found in the file.

    Vectors are mapped where possible. Vectors in shards are read, and compared with the
    digests of the index, when their tokens or ids are used, and all of them when
    ``vectors`` is. If another program cuts a mapped file short, SIGBUS ends this
    process: ``library=Library(mmap=False)`` reads into memory instead.

    Parameters
    ----------
    path : path, Reader or object
        A file, a folder of shards, a name or a URL that ``library`` knows; or an open
        reader, which stays open: ``load_matrix(open_vectors("glove-6b-50d"))`` maps a
        store and parses nothing; or an object in memory that `open_vectors` takes, such
        as ``KeyedVectors``.
    rows : slice, optional
        The ids to load, with a step of 1. Only they are mapped or read, from ``.npy``,
        ``.npz``, ``.h5``, ``.safetensors`` and shards. By default all rows.
    library : Library, optional
        Where names and URLs are looked up; by default ``Library()``.
    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    EmbeddingMatrix or EmbeddingShard
        The matrix; with ``rows`` the shard of these ids.

    Raises
    ------
    FormatError
        If a file is damaged or a shard is missing.
    OptionError
        For a step in ``rows``, and for ``rows`` of a file that must be read from front
        to back, such as text.

    Examples
    --------
    >>> matrix = load_matrix("embedding.npz")  # doctest: +SKIP
    >>> shard = load_matrix("embedding.npz", rows=slice(1000, 2000))  # doctest: +SKIP
    """
    former_names.refuse(former, former_names.LIBRARY, load_matrix)
    library = Library.of(library)
    if isinstance(path, Reader):
        if rows is not None:
            raise OptionError(
                f"{path.name} is an open reader; rows are read from a file: give its "
                "path"
            )
        return _whole(path)
    from pretrained_embed.formats import objects

    if not isinstance(path, str | bytes | os.PathLike) and objects.find(path):
        if rows is not None:
            raise OptionError(
                f"{objects.name_of(path)}: rows are read from a file; load it whole, "
                "and save it"
            )
        with library.open(path) as reader:
            return _whole(reader)
    stream = rereadable(library.stream(path))
    if rows is None:
        with formats.open_reader(stream) as reader:
            return _whole(reader)
    if rows.step not in (None, 1):
        raise OptionError(f"rows has a step of {rows.step}; rows are consecutive")
    part = formats.read_part(stream, lambda count: _in_order(range(count)[rows]))
    return shard_of(part._replace(table=_shown(part.table)), stream.name)


def load_shard(
    path: str | os.PathLike[str],
    rank: int,
    world_size: int,
    *,
    library: Library | None = None,
) -> EmbeddingShard:
    """Load the rows of a matrix for one of ``world_size`` processes.

    Each process gets consecutive rows. The numbers of rows differ by one at most,
    whatever files the matrix is in. With more processes than rows, some have none.

    Parameters
    ----------
    path : path
        The saved matrix, as in `load_matrix`.
    rank : int
        The number of the process, 0 to ``world_size`` - 1.
    world_size : int
        The number of processes.
    library : Library, optional
        As in `load_matrix`.

    Returns
    -------
    EmbeddingShard
        The rows of the process.

    Raises
    ------
    OptionError
        For a rank out of range; other errors as `load_matrix`.

    Examples
    --------
    >>> shard = load_shard("embedding.npz", rank=0, world_size=4)  # doctest: +SKIP
    >>> shard.start, shard.stop  # doctest: +SKIP
    (0, 5001)
    """
    part = part_of(path, rank, world_size, library)
    return shard_of(part, os.fsdecode(path))


def part_of(
    path: str | os.PathLike[str],
    rank: int,
    world_size: int,
    library: Library | None = None,
) -> TablePart:
    """Return the rows of `load_shard` as they are in the file."""
    if not 0 <= rank < world_size:
        raise OptionError(
            f"rank is {rank} of {world_size}; it can be 0 to {world_size - 1}"
        )
    stream = rereadable(Library.of(library).stream(path))
    part = formats.read_part(
        stream, lambda count: range(*bounds(count, world_size)[rank])
    )
    return part._replace(table=_shown(part.table))


def _whole(reader: Reader) -> EmbeddingMatrix:
    """Return all rows of a reader, with its findings."""
    table = _shown(reader.unread() or formats.table_of(reader))
    return from_table(table, reader.name, reader.findings)


def _shown(table: Table) -> Table:
    """Return a table with the secrets of URLs removed from its metadata."""
    told = {
        name: shown(value)
        for name, value in table.metadata.items()
        if name in ("provenance", "findings")
    }
    return table._replace(metadata=table.metadata | told)


def _in_order(rows: range) -> range:
    """Return the rows, or an empty range if they end before they begin."""
    return rows if rows.start <= rows.stop else range(rows.start, rows.start)
