"""From a saved matrix back to one in memory."""

from __future__ import annotations

import os

from pretrained_embed import formats, matrix, sources
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.sources.spool import rereadable


def load_matrix(path: str | os.PathLike[str]) -> EmbeddingMatrix:
    """Load a matrix that `EmbeddingMatrix.save` wrote, whole.

    Text and binary files of other tools load too: every token of theirs counts as
    found, and a ``<pad>`` whose row is zeros is the pad. Raises `FormatError` where
    the file is damaged.
    """
    stream = rereadable(sources.open_source(path))
    return matrix.from_table(formats.read_table(stream), stream.name)
