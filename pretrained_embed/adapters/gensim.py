"""gensim: a matrix as ``KeyedVectors``, and back.

``KeyedVectors`` number their keys without gaps and have no pad token, so a row is found
by its token, not by its id.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pretrained_embed.adapters._arguments import checked, missing
from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    from gensim.models import KeyedVectors
except ImportError as error:
    raise missing("gensim", "gensim") from error

__all__ = ["from_keyed_vectors", "to_keyed_vectors"]


@checked
def to_keyed_vectors(matrix: EmbeddingMatrix) -> KeyedVectors:
    """Return a matrix as ``KeyedVectors``, float32, in the order of the ids.

    The pad token and holes are left out, since gensim divides by the norm of every row.
    Counts of the vocabulary become the attribute ``"count"``.

    Parameters
    ----------
    matrix : EmbeddingMatrix
        The vectors, which are copied.

    Returns
    -------
    gensim.models.KeyedVectors
        The tokens and their vectors.

    Examples
    --------
    >>> to_keyed_vectors(matrix).most_similar("cat")  # doctest: +SKIP
    """
    vocabulary = matrix.vocabulary
    ids = [
        row
        for row, token in enumerate(vocabulary.tokens)
        if token is not None and row != vocabulary.pad_id
    ]
    tokens = [vocabulary.tokens[row] for row in ids]
    vectors = KeyedVectors(matrix.dim)
    vectors.add_vectors(tokens, matrix.vectors[ids])
    if vocabulary.counts is not None:
        for token, count in zip(tokens, vocabulary.counts[ids], strict=True):
            vectors.set_vecattr(token, "count", int(count))
    return vectors


@checked
def from_keyed_vectors(vectors: Any, *, pad: str | None = "<pad>") -> EmbeddingMatrix:
    """Return ``KeyedVectors`` as a matrix whose vocabulary is its keys, in their order.

    Keys that are ``None``, which gensim makes of duplicates in a file, are dropped and
    counted in the provenance. Counts are dropped, since gensim invents them for files.

    Parameters
    ----------
    vectors : KeyedVectors or model
        ``KeyedVectors`` of gensim 4, an object with the attributes of gensim 3
        (``index2word`` or ``index2entity``, ``vectors`` or ``syn0``), or a model with
        one as ``wv``.
    pad : str or None, default "<pad>"
        The pad token, whose row of zeros comes first; a key of this name gets a row of
        zeros instead. ``None`` for no pad.

    Returns
    -------
    EmbeddingMatrix
        A row for each key.

    Raises
    ------
    OptionError
        For an object without these attributes.
    ShapeError
        If the numbers of keys and vectors differ.
    VocabularyError
        If a key is not a ``str``.

    Examples
    --------
    >>> matrix = from_keyed_vectors(model.wv)  # doctest: +SKIP
    """
    vectors = getattr(vectors, "wv", vectors)
    names = _attribute(vectors, "index_to_key", "index2word", "index2entity")
    table = np.asarray(_attribute(vectors, "vectors", "syn0"))
    if table.ndim != 2 or len(table) != len(names):
        raise ShapeError(f"{len(names)} keys, but vectors of shape {table.shape}")
    rows = [row for row, key in enumerate(names) if key is not None]
    keys = [names[row] for row in rows]
    vocabulary = Vocabulary(keys, pad=pad)

    ids = [vocabulary.ids[key] for key in keys]
    aligned = np.zeros((len(vocabulary), table.shape[1]), np.float32)
    aligned[ids] = table[rows]
    if vocabulary.pad_id is not None:
        aligned[vocabulary.pad_id] = 0
    kind = type(vectors)
    provenance = {
        "source": f"{kind.__module__}.{kind.__qualname__}",
        "dropped_keys": len(names) - len(keys),
    }
    return EmbeddingMatrix(aligned, vocabulary, provenance=provenance)


def _attribute(vectors: object, *names: str) -> Any:
    # Not by hasattr: the old names are properties in gensim 4 that raise
    # AttributeError, so only a value counts.
    for name in names:
        value = getattr(vectors, name, None)
        if value is not None:
            return value
    raise OptionError(
        f"{type(vectors).__name__} is no KeyedVectors: it has no {' or '.join(names)}"
    )
