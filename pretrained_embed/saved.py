"""From a saved matrix, or some of its rows, back into memory."""

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
    """Load a matrix that `EmbeddingMatrix.save` wrote, whole, or some of its rows.

    ``path`` is a file, or the folder of a matrix in shards. Text and binary files of
    other tools load too: every token of theirs counts as found, a ``<pad>`` whose row
    is zeros is the pad, and ``matrix.findings`` tells what was found in the file. Or it
    is an open reader, which stays open: that of a store,
    ``load_matrix(open_vectors("glove-6b-50d"))``, parses nothing, and its vectors stay
    mapped; a store has tokens and vectors alone. Or it is an object in memory that
    `open_vectors` takes, such as ``KeyedVectors``, with all its rows.

    ``rows``, such as ``slice(1000, 2000)``, are those ids alone; an `EmbeddingShard`
    has them. Only they are mapped or read, from ``.npy``, ``.npz``, ``.h5``,
    ``.safetensors`` and shards. What is read of shards is checked against the digests
    of their index, which reads it once.

    Vectors are mapped where that is possible: those of shards are read, and compared
    with their digests, as far as tokens or ids are asked for, and all of them when
    ``vectors`` are. A file that another program cuts short
    meanwhile then ends this process by SIGBUS. ``library=Library(mmap=False)`` reads
    them into memory. A name or a URL is looked for in the ``library``, too.

    Raises `FormatError` where a file is damaged, or a shard is missing, and
    `OptionError` for a step in ``rows`` and for rows of a file that is read from front
    to back, such as text.
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
    """Load the rows that are those of one of ``world_size`` processes, of a matrix.

    Process ``rank``, from 0, gets consecutive rows, as many as the others but for one,
    whatever files the matrix is in: see `load_matrix`. It has none where there are more
    processes than rows. ``library`` is as in `load_matrix`. Raises `OptionError` for a
    rank that is none, and as `load_matrix` does.
    """
    part = part_of(path, rank, world_size, library)
    return shard_of(part, os.fsdecode(path))


def part_of(
    path: str | os.PathLike[str],
    rank: int,
    world_size: int,
    library: Library | None = None,
) -> TablePart:
    """Return the rows that `load_shard` makes a shard of, as they are in the file."""
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
    """Return all that a reader has, with what it found."""
    table = _shown(reader.unread() or formats.table_of(reader))
    return from_table(table, reader.name, reader.findings)


def _shown(table: Table) -> Table:
    """Return a table whose metadata tell no secret of a URL that it was made from."""
    told = {
        name: shown(value)
        for name, value in table.metadata.items()
        if name in ("provenance", "findings")
    }
    return table._replace(metadata=table.metadata | told)


def _in_order(rows: range) -> range:
    """Return the rows, or none from the same row on if they end before they begin."""
    return rows if rows.start <= rows.stop else range(rows.start, rows.start)
