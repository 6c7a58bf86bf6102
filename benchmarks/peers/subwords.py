"""Readers of fastText models, which also give tokens that the dictionary lacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.ours import vocabulary
from benchmarks.peers.peer import Float32Array, Peer

if TYPE_CHECKING:
    import pretrained_embed as pe

OURS, GENSIM, FASTTEXT = "ours, .bin", "gensim, .bin", "fasttext, .bin"

#: A model of fastText, a file that only these read.
MODEL = "fasttext"


def ours(path: Path, wanted: pe.Vocabulary) -> Float32Array:
    """Build the matrix of a vocabulary, composing what is not in the dictionary."""
    import pretrained_embed as pe

    return pe.build_matrix(
        wanted, path, oov="subword", library=pe.Library(stores=False)
    ).vectors


def gensim(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Load the vectors of a model, then ask for each token."""
    from gensim.models.fasttext import load_facebook_vectors

    vectors: Float32Array = load_facebook_vectors(path)[list(wanted)]
    return vectors


def fasttext(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Load the model, then ask for each token."""
    from fasttext import load_model

    model = load_model(str(path))
    return np.array([model.get_word_vector(token) for token in wanted], np.float32)


PEERS = (
    Peer(
        OURS,
        ours,
        frozenset({MODEL}),
        packages=("pretrained_embed.build.call",),
        prepare=vocabulary,
        environment={"PRETRAINED_EMBED_KERNEL": "native"},
    ),
    Peer(GENSIM, gensim, frozenset({MODEL}), packages=("gensim.models.fasttext",)),
    Peer(FASTTEXT, fasttext, frozenset({MODEL}), packages=("fasttext",)),
)
