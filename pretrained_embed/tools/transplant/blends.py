"""New rows from the shared tokens that are near in a space of static word vectors.

The weights are those of FOCUS (Dobler and de Melo 2023, EMNLP,
https://aclanthology.org/2023.emnlp-main.829): sparsemax over the cosines between a new
token and all shared ones, so that near tokens share the weight and the others have
none. WECHSEL (Minixhofer et al. 2022, NAACL,
https://aclanthology.org/2022.naacl-main.293) is the same idea with a softmax over the
nearest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

import pretrained_embed as pe
from pretrained_embed.arrays import Float32Array, Float64Array, Int64Array
from pretrained_embed.errors import BY_COPY, left_out
from pretrained_embed.ledger import Origin
from pretrained_embed.library import Library
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.sources import Source
from pretrained_embed.vocabulary import Vocabulary

#: How many cosines are held at a time.
_BATCH = 1 << 24


@left_out(BY_COPY)
def static_matrix(
    static: EmbeddingMatrix | Source, words: list[str], library: Library | None
) -> EmbeddingMatrix:
    """Return the matrix given, or one that has the words of a source."""
    if isinstance(static, EmbeddingMatrix):
        return static
    vocabulary = Vocabulary(words, pad=None)
    return pe.build_matrix(
        vocabulary, static, match=("exact", "lower"), oov="zeros", library=library
    )


def unit_vectors(
    matrix: EmbeddingMatrix, words: Sequence[str | None]
) -> tuple[Float32Array, Int64Array]:
    """Return the directions of the words that are found, and which they are.

    A word is taken as it stands, else in lower case, if the matrix found it in its
    source. Returns float32 (found, dim), each of length 1, and int64 (found,), the
    places in ``words``, which has ``None`` for what is no word.
    """
    norms = np.linalg.norm(matrix.vectors.astype(np.float64), axis=1)
    usable = (matrix.origin >= Origin.EXACT) & (norms > 0) & np.isfinite(norms)
    ids = matrix.vocabulary.ids
    places, rows = [], []
    for place, word in enumerate(words):
        for form in () if word is None else (word, word.lower()):
            row = ids.get(form)
            if row is not None and usable[row]:
                places.append(place)
                rows.append(row)
                break
    chosen = np.array(rows, np.int64)
    units = matrix.vectors[chosen] / norms[chosen, None]
    return units.astype(np.float32), np.array(places, np.int64)


def blends(
    new: Float32Array, shared: Float32Array
) -> Iterator[tuple[Int64Array, Float64Array]]:
    """Yield, for each new unit vector, which shared ones it blends and how much each.

    The weights are positive, float64, and their sum is 1.
    """
    step = max(1, _BATCH // len(shared))
    for start in range(0, len(new), step):
        for cosines in new[start : start + step] @ shared.T:
            weights = sparsemax(cosines.astype(np.float64))
            chosen = np.flatnonzero(weights)
            yield chosen, weights[chosen]


def sparsemax(scores: Float64Array) -> Float64Array:
    """Return the point of the probability simplex nearest to ``scores`` (n,).

    Martins and Astudillo 2016, https://arxiv.org/abs/1602.02068, algorithm 1.

    >>> sparsemax(np.array([0.9, 0.7, -0.5]))
    array([0.6, 0.4, 0. ])
    """
    falling = np.sort(scores)[::-1]
    sums = np.cumsum(falling) - 1
    sizes = np.arange(1, len(scores) + 1)
    size = np.flatnonzero(falling * sizes > sums)[-1]
    weights: Float64Array = np.maximum(scores - sums[size] / sizes[size], 0)
    return weights
