"""Small tables and the streams that hold them, for the tests of table formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.table import HOLES, Table
from pretrained_embed.sources.stream import Stream

#: Tokens that formats tend to lose: separators, line ends, NUL, no UTF-8, nothing.
TOKENS = ["the", "new york", "\u00a0", "a\0", "\n", "", "the", "\udcff\udc80", "", "é"]
HOLE = 8  # its token is no token; the one of row 5 is the empty one


def stream_of(path: Path, tokens_path: Path | None = None) -> Stream:
    return Stream(
        path.name,
        lambda: path.open("rb"),
        size=path.stat().st_size,
        path=path,
        tokens_path=tokens_path,
    )


def piped(path: Path) -> Stream:
    """The same bytes where they are no file of their own."""
    return Stream(path.name, lambda: path.open("rb"))


def example(rows: int = len(TOKENS), dim: int = 3) -> Table:
    vectors = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
    vectors[0, 0] = np.nan
    arrays = {
        HOLES: np.array([HOLE], np.int64),
        "origin": np.arange(rows, dtype=np.uint8),
        "mean": np.array(0.25, np.float64),
        "none": np.empty((0, 2), np.int32),
    }
    metadata = {"source": "straße \udcff", "options": {"seed": 0, "match": ["exact"]}}
    return Table(PackedTokens.pack(TOKENS), vectors, arrays, metadata)


def assert_same(left: Table, right: Table) -> None:
    assert left.tokens.unpack() == right.tokens.unpack()
    assert left.vectors.dtype == right.vectors.dtype
    assert left.vectors.tobytes() == right.vectors.tobytes()
    assert left.vectors.flags.c_contiguous
    assert left.metadata == right.metadata
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        assert array.dtype == right.arrays[name].dtype
        np.testing.assert_array_equal(array, right.arrays[name])


def read_all(module: object, path: Path, tokens_path: Path | None = None) -> str:
    """Read a file that may be damaged: rows out or `FormatError`, nothing else."""
    try:
        with module.open_reader(stream_of(path, tokens_path)) as reader:
            rows = sum(len(block.tokens) for block in reader.blocks())
            reader.table()
    except FormatError:
        return "refused"
    assert rows <= reader.count
    return "read"
