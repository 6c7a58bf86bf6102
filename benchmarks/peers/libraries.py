"""Libraries whose job is word vectors, and numpy's own files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.peers.peer import (
    BINARY,
    GZIP,
    SAVED,
    TEXT,
    ZIP,
    Float32Array,
    Peer,
    text_shape,
)

GENSIM, GENSIM_SAVED = "gensim", "gensim, its own format"
REACH, EMBFILE = "reach", "embfile"
NUMPY_LOAD, NUMPY_MAP = "numpy.load of .npy", "numpy.load of .npy, mapped"


def gensim(path: Path, wanted: dict[str, int], *, binary: bool) -> Float32Array:
    """Load all, then gather."""
    from gensim.models import KeyedVectors

    loaded = KeyedVectors.load_word2vec_format(
        path, binary=binary, no_header=not binary and not text_shape(path)[0]
    )
    return _gathered(loaded.vectors, loaded.key_to_index, wanted)


def gensim_saved(path: Path, wanted: object) -> Float32Array:
    """Load what gensim saved, in the order it has."""
    from gensim.models import KeyedVectors

    vectors: Float32Array = KeyedVectors.load(str(path)).vectors
    return vectors


def reach(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Load the wanted tokens alone, then put them in order."""
    from reach import Reach

    loaded = Reach.load(str(path), wordlist=tuple(wanted))
    return _gathered(loaded.vectors, loaded.items, wanted)


def embfile(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Build the matrix with the call made for it."""
    import embfile

    with embfile.open(path, verbose=False) as file:
        built = embfile.build_matrix(file, wanted, oov_initializer=None)
    return np.ascontiguousarray(built.matrix, np.float32)


def numpy_load(path: Path, wanted: object) -> Float32Array:
    """Load the numbers of a matrix, and no tokens."""
    vectors: Float32Array = np.load(path)
    return vectors


def numpy_map(path: Path, wanted: object) -> Float32Array:
    """Map the numbers of a matrix, and no tokens; nothing is read yet."""
    return np.asarray(np.load(path, mmap_mode="r"))


def _gathered(
    vectors: Float32Array, rows: dict[str, int], wanted: dict[str, int]
) -> Float32Array:
    places = np.array([rows.get(token, -1) for token in wanted], np.int64)
    matrix: Float32Array = vectors[places]
    matrix[places < 0] = 0
    return matrix


PEERS = (
    Peer(
        GENSIM,
        partial(gensim, binary=False),
        frozenset({TEXT, GZIP}),
        ("gensim.models",),
    ),
    Peer(
        f"{GENSIM}, binary",
        partial(gensim, binary=True),
        frozenset({BINARY}),
        ("gensim.models",),
    ),
    Peer(GENSIM_SAVED, gensim_saved, frozenset({SAVED}), ("gensim.models",)),
    Peer(REACH, reach, frozenset({TEXT}), ("reach",)),
    Peer(EMBFILE, embfile, frozenset({TEXT, GZIP, ZIP, BINARY}), ("embfile",)),
    Peer(NUMPY_LOAD, numpy_load, frozenset({SAVED})),
    Peer(NUMPY_MAP, numpy_map, frozenset({SAVED})),
)
