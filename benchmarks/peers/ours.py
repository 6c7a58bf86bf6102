"""This package, by its public calls."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.peer import BINARY, GZIP, SAVED, TEXT, ZIP, Float32Array, Peer

if TYPE_CHECKING:
    import pretrained_embed as pe

ALL, ONE = "ours, all threads", "ours, 1 thread"
REFERENCE, STREAM = "ours, reference kernel", "ours, streaming blocks"
EXAMINE = "ours, examine"
SAVED_NPZ, SAVED_H5 = "ours, load_matrix of .npz", "ours, load_matrix of .h5"
SAVED_SAFETENSORS = "ours, load_matrix of .safetensors"


def vocabulary(tokens: list[str]) -> pe.Vocabulary:
    """Return the vocabulary whose ids are the positions of the tokens."""
    import pretrained_embed as pe

    return pe.Vocabulary(tokens, pad=None)


def build(path: Path, wanted: pe.Vocabulary, *, threads: int | None) -> Float32Array:
    """Build the matrix of a vocabulary."""
    import pretrained_embed as pe

    return pe.build_matrix(
        wanted, path, oov="zeros", work=pe.Work(threads=threads)
    ).vectors


def stream(path: Path, wanted: pe.Vocabulary) -> None:
    """Parse all rows, and let each block go when the next is there."""
    for _ in _blocks(path):
        pass


def streamed(path: Path, wanted: pe.Vocabulary) -> Float32Array:
    """Parse all rows, and keep the wanted ones: what `stream` has in its hands."""
    matrix = None
    for tokens, vectors in _blocks(path):
        if matrix is None:
            matrix = np.zeros((len(wanted), vectors.shape[1]), np.float32)
        pairs = [(wanted.get(token), row) for row, token in enumerate(tokens)]
        kept = np.array([pair for pair in pairs if pair[0] is not None], np.int64)
        kept = kept.reshape(-1, 2)
        matrix[kept[:, 0]] = vectors[kept[:, 1]]
    assert matrix is not None, "a file that opens has a row"
    return matrix


def examine(path: Path, wanted: pe.Vocabulary) -> None:
    """Parse all rows, and look for what is wrong with them."""
    import pretrained_embed as pe

    assert pe.examine(path).rows >= len(wanted)


def load_saved(path: Path, wanted: object) -> Float32Array:
    """Load a whole matrix that was saved before, with its vocabulary and ledger."""
    import pretrained_embed as pe

    return pe.load_matrix(path).vectors


def _blocks(path: Path) -> Iterator[Any]:
    import pretrained_embed as pe

    with pe.open_vectors(path) as reader:
        yield from reader.blocks()


def _peer(
    name: str, load: Any, *formats: str, kernel: str = "native", **rest: Any
) -> Peer:
    return Peer(
        name,
        load,
        frozenset(formats),
        # what the package leaves to its first use is part of importing it
        packages=("pretrained_embed.build.call",),
        prepare=vocabulary,
        # asked for by name, a kernel that is missing fails: the other is never timed
        environment={"PRETRAINED_EMBED_KERNEL": kernel},
        **rest,
    )


_ANY = (TEXT, GZIP, ZIP, BINARY)

PEERS = (
    _peer(ALL, partial(build, threads=None), *_ANY),
    _peer(ONE, partial(build, threads=1), *_ANY),
    _peer(REFERENCE, partial(build, threads=1), *_ANY, kernel="reference"),
    _peer(STREAM, stream, TEXT, check=streamed),
    _peer(EXAMINE, examine, TEXT),
    _peer(SAVED_NPZ, load_saved, SAVED),
    _peer(SAVED_H5, load_saved, SAVED),
    _peer(SAVED_SAFETENSORS, load_saved, SAVED),
)
