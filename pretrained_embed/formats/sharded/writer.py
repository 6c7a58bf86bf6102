"""Writing a table that is all there in several files; see `reader`."""

from __future__ import annotations

import os

from pretrained_embed.files.replacement import new_folder
from pretrained_embed.formats.parts import check_cuttable, cut_arrays
from pretrained_embed.formats.sharded.target import ShardedWriter
from pretrained_embed.formats.table import Table, check_table

_SHARD_BYTES = 1 << 32  # of vectors, where nobody says how many shards
_BLOCK_BYTES = 1 << 24


def write_table(
    path: str | os.PathLike[str], table: Table, shards: int | None = None
) -> None:
    """Write a table into a new folder, by default as shards of 4 GiB or less.

    The folder appears whole or not at all. Raises `OptionError` for more shards than
    rows, and `WriteError`.
    """
    check_table(table)
    rows, dim = table.vectors.shape
    if shards is None:
        shards = min(rows, -(-table.vectors.nbytes // _SHARD_BYTES))
    check_cuttable(table.arrays, rows)
    step = max(1, _BLOCK_BYTES // (4 * dim))
    with new_folder(path) as folder:
        writer = ShardedWriter(folder, rows=rows, dim=dim, shards=shards, job="")
        for number, (start, stop) in enumerate(writer.bounds):
            with writer.shard(number) as target:
                for begin in range(start, stop, step):
                    target.append(table.vectors[begin : min(begin + step, stop)])
                target.finish(
                    table.tokens[start:stop],
                    cut_arrays(table.arrays, rows, start, stop),
                    table.metadata,
                )
        writer.finish(table.metadata)
