"""Pretrained word vectors, aligned to your vocabulary.

>>> import pretrained_embed as pe
>>> vocab = pe.Vocabulary(["the", "cat"])
>>> matrix = pe.build_matrix(vocab, "vectors.txt")  # doctest: +SKIP
>>> matrix.save("matrix.npz")  # doctest: +SKIP

The adapters for frameworks are imported by name, for example
``from pretrained_embed.adapters import torch``.
"""

from pretrained_embed.errors import (
    CoverageError,
    FormatError,
    MissingPackageError,
    OOVError,
    OptionError,
    PretrainedEmbedError,
    RowError,
    ShapeError,
    SourceError,
    TruncatedError,
    UnknownFormatError,
    UnknownSourceError,
    UnknownTokenError,
    VocabularyError,
    WriteError,
)
from pretrained_embed.formats import WRITABLE_SUFFIXES, Block, Findings, Reader
from pretrained_embed.matrix import FORMS as MATCH_FORMS
from pretrained_embed.matrix import POLICIES as OOV_POLICIES
from pretrained_embed.matrix import Coverage, EmbeddingMatrix, Origin, Statistics
from pretrained_embed.pipeline import (
    DEFAULT_SOURCE,
    build_matrix,
    load_matrix,
    open_vectors,
    versions,
)
from pretrained_embed.sources import fetch
from pretrained_embed.vocabulary import Vocabulary

__all__ = [
    "DEFAULT_SOURCE",
    "MATCH_FORMS",
    "OOV_POLICIES",
    "WRITABLE_SUFFIXES",
    "Block",
    "Coverage",
    "CoverageError",
    "EmbeddingMatrix",
    "Findings",
    "FormatError",
    "MissingPackageError",
    "OOVError",
    "OptionError",
    "Origin",
    "PretrainedEmbedError",
    "Reader",
    "RowError",
    "ShapeError",
    "SourceError",
    "Statistics",
    "TruncatedError",
    "UnknownFormatError",
    "UnknownSourceError",
    "UnknownTokenError",
    "Vocabulary",
    "VocabularyError",
    "WriteError",
    "build_matrix",
    "fetch",
    "load_matrix",
    "open_vectors",
    "versions",
]
