"""New rows from shared tokens, by another space in which both have vectors.

The space has static word vectors, or is the table of a model with the new tokens.

The weights of `similar` are those of FOCUS (Dobler and de Melo 2023, EMNLP,
https://aclanthology.org/2023.emnlp-main.829): sparsemax over the cosines between a new
token and all shared ones, so that only near tokens have weights. WECHSEL (Minixhofer et
al. 2022, NAACL, https://aclanthology.org/2022.naacl-main.293) is the same idea with a
softmax over the nearest.

The weights of `pursued` are found by orthogonal matching pursuit (Pati, Rezaiifar and
Krishnaprasad 1993, https://doi.org/10.1109/ACSSC.1993.342465): a few shared tokens are
chosen, one after the other, whose weighted sum is nearest to the vector of the new
token in that space; the same sum is taken of their rows in the model. tokensurgeon of
mergekit does the same (Goddard and Fernandes Neto 2025,
https://arxiv.org/abs/2506.06607).
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

#: How many cosines are in memory at a time.
_BATCH = 1 << 24

#: The most shared tokens that matching pursuit combines, and how many dimensions are
#: needed for each; with as many tokens as dimensions any vector would be exact.
_PURSUED = 64
_DIMS_EACH = 8


@left_out(BY_COPY)
def static_matrix(
    static: EmbeddingMatrix | Source, words: list[str], library: Library | None
) -> EmbeddingMatrix:
    """Return the given matrix, or one with the words of a source."""
    if isinstance(static, EmbeddingMatrix):
        return static
    vocabulary = Vocabulary(words, pad=None)
    return pe.build_matrix(
        vocabulary, static, match=("exact", "lower"), oov="zeros", library=library
    )


def vectors_of(
    matrix: EmbeddingMatrix, words: Sequence[str | None]
) -> tuple[Float32Array, Int64Array]:
    """Return the vectors of the words that are found, and their places.

    A word is looked up unchanged, then in lower case; only rows from a source count.
    Returns float32 (found, dim), none of them zeros, and int64 (found,), the positions
    in ``words``, which has ``None`` for tokens that are no words.
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
    vectors: Float32Array = matrix.vectors[np.array(rows, np.int64)].astype(np.float32)
    return vectors, np.array(places, np.int64)


def _units(vectors: Float32Array) -> Float32Array:
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    units: Float32Array = (vectors / norms[:, None]).astype(np.float32)
    return units


def similar(
    new: Float32Array, shared: Float32Array
) -> Iterator[tuple[Int64Array, Float64Array]]:
    """Yield, for each new vector, the shared ones that make it, and their weights.

    The weights are positive, float64, with the sum 1.
    """
    new, shared = _units(new), _units(shared)
    step = max(1, _BATCH // len(shared))
    for start in range(0, len(new), step):
        for cosines in new[start : start + step] @ shared.T:
            weights = sparsemax(cosines.astype(np.float64))
            chosen = np.flatnonzero(weights)
            yield chosen, weights[chosen]


def pursued(
    new: Float32Array, shared: Float32Array
) -> Iterator[tuple[Int64Array, Float64Array]]:
    """Yield, for each new vector, the shared ones whose weighted sum is near it.

    At most 64, and one for every 8 dimensions. Weights are float64 of any sign.
    """
    size = min(_PURSUED, len(shared), max(1, shared.shape[1] // _DIMS_EACH))
    units = _units(shared)
    step = max(1, _BATCH // max(len(shared), size * shared.shape[1]))
    for start in range(0, len(new), step):
        batch = new[start : start + step].astype(np.float64)
        for vector, chosen in zip(batch, _chosen(batch, units, size), strict=True):
            atoms = shared[chosen].astype(np.float64)
            yield chosen, np.linalg.lstsq(atoms.T, vector, rcond=None)[0]


def _chosen(batch: Float64Array, units: Float32Array, size: int) -> list[Int64Array]:
    """Return the vectors chosen for each row of ``batch`` (rows, dim), by position."""
    rows, left = np.arange(len(batch)), batch.copy()
    basis = np.zeros((len(batch), size, batch.shape[1]))
    places = np.full((len(batch), size), -1, np.int64)
    # the rounding error of float32 is smaller
    least = 1e-5 * np.linalg.norm(batch, axis=1)
    goes_on = np.ones(len(batch), np.bool_)
    for turn in range(size):
        fits = np.abs(left.astype(np.float32) @ units.T)
        before = places[:, :turn]
        fits[rows[:, None], np.where(before < 0, places[:, :1], before)] = -1
        best = fits.argmax(axis=1)
        axis = units[best].astype(np.float64)
        for _ in range(2):  # a second time, because of rounding
            axis -= np.einsum("rk,rkd->rd", np.einsum("rkd,rd->rk", basis, axis), basis)
        lengths = np.linalg.norm(axis, axis=1)
        goes_on &= (lengths > 1e-4) & (fits[rows, best] > least)
        places[goes_on, turn] = best[goes_on]
        basis[goes_on, turn] = axis[goes_on] / lengths[goes_on, None]
        axis = basis[:, turn]
        left -= np.einsum("rd,rd->r", left, axis)[:, None] * axis
    return [chosen[chosen >= 0] for chosen in places]


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
