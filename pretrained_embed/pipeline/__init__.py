"""The verbs of the package: the only file that sees every layer but the adapters."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pretrained_embed import __version__, formats, matrix, sources
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow, Progress
from pretrained_embed.matrix import EmbeddingMatrix, Policy
from pretrained_embed.sources import Source
from pretrained_embed.sources.spool import rereadable
from pretrained_embed.vocabulary import Vocabulary

Folder = str | os.PathLike[str]

#: What `build_matrix` reads when no source is named.
DEFAULT_SOURCE = "glove-6b-50d"


def open_vectors(
    source: Source = DEFAULT_SOURCE,
    *,
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: Progress | None = None,
) -> Reader:
    """Open vectors for reading, their format recognised by their content.

    ``source`` is a name from the catalog, a URL, a path, ``archive.zip#member``, ``-``
    for standard input, or an open binary file; compressed ones are read as they are.
    What is not on this machine is downloaded into the cache first; for that,
    ``cache_dir``, ``offline``, ``catalog`` and ``progress`` are as in `fetch`. Raises
    `SourceError` where there is nothing to read, and `FormatError` where what there is
    holds no vectors or is damaged.

    >>> with open_vectors("vectors.txt") as reader:  # doctest: +SKIP
    ...     for tokens, vectors in reader.blocks():
    ...         print(len(tokens), vectors.shape)
    """
    return _open(source, cache_dir, offline, catalog, progress)[0]


def build_matrix(
    vocabulary: Vocabulary | Iterable[str] | Mapping[str, int],
    source: Source | Reader = DEFAULT_SOURCE,
    *,
    match: str | Iterable[str] = ("exact",),
    oov: Policy = "normal",
    unk: Policy | None = None,
    seed: int = 0,
    min_coverage: float = 0.0,
    threads: int | None = None,
    on_bad_row: OnBadRow = "error",
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: Progress | None = None,
) -> EmbeddingMatrix:
    """Build the matrix whose row *i* is the vector of the token with id *i*.

    ``vocabulary`` is a `Vocabulary`, or what makes one; ``source`` as in
    `open_vectors`, or a `Reader` that is open.

    ``match`` names the forms of a token that are looked for, in order: "exact",
    "lower". The first that the source has is taken; the ledger records which.

    ``oov`` fills the rows of tokens that are not in the source:

    * "normal" and "uniform" draw numbers that have, in each dimension, the mean and
      deviation of the source's first 10,000 rows;
    * "mean" takes that mean; "zeros" takes zeros;
    * "error" raises `OOVError`;
    * a callable is given the tokens, a `Statistics` and dim, and returns
      float32 (tokens, dim).

    A drawn row depends on the source, ``seed`` and the token alone: neither other
    tokens nor their number change it. ``unk`` is the policy for the row of the unk
    token where the source has no such token; ``None``: the same as ``oov``. The pad
    row and the rows of holes are zeros.

    ``min_coverage``, 0 to 1, is the least share of tokens to be found. ``threads``
    (by default the CPUs this process may use) changes the time, never the result.
    ``on_bad_row="skip"`` leaves malformed rows out and counts them. ``cache_dir``,
    ``offline`` and ``catalog`` are as in `fetch`. ``progress`` is called with bytes
    done, and bytes in all or ``None``: for a download, if there is one, then from the
    start again for the reading.

    Raises `VocabularyError`, `SourceError`, `FormatError`, `OptionError`, and
    `CoverageError` if too few tokens were found, or none.
    """
    vocabulary = Vocabulary.of(vocabulary)
    reader, provenance = _open(source, cache_dir, offline, catalog, progress)
    opened_here = reader is not source
    try:
        built = matrix.build(
            vocabulary,
            reader,
            match=match,
            oov_policy=oov,
            unk_policy=unk,
            seed=seed,
            min_coverage=min_coverage,
            threads=threads,
            on_bad_row=on_bad_row,
            provenance=provenance,
            progress=progress,
        )
    finally:
        if opened_here:
            reader.close()
    built.provenance["versions"] = versions()
    return built


def load_matrix(path: str | os.PathLike[str]) -> EmbeddingMatrix:
    """Load a matrix that `EmbeddingMatrix.save` wrote, whole.

    Text and binary files of other tools load too: every token of theirs counts as
    found, and a ``<pad>`` whose row is zeros is the pad. Raises `FormatError` where
    the file is damaged.
    """
    stream = rereadable(sources.open_source(path))
    return matrix.from_table(formats.read_table(stream), stream.name)


def versions() -> dict[str, str]:
    """Return the versions that a matrix may depend on."""
    import numpy

    return {"pretrained_embed": __version__, "numpy": numpy.__version__}


def _open(
    source: Source | Reader,
    cache_dir: Folder | None,
    offline: bool | None,
    catalog: Path | None,
    progress: Progress | None,
) -> tuple[Reader, dict[str, Any]]:
    if isinstance(source, Reader):
        return source, {"name": source.name}
    stream = rereadable(
        sources.open_source(
            source,
            cache_dir=cache_dir,
            offline=offline,
            catalog=catalog,
            progress=progress,
        )
    )
    return formats.open_reader(stream), dict(stream.provenance)
