"""The verbs of the package: the only layer that sees every other but the adapters."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pretrained_embed import __version__, formats, matrix, sources
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow, Progress
from pretrained_embed.matrix import EmbeddingMatrix, Policies
from pretrained_embed.pipeline.opening import Folder, Where, make_store, open_reader
from pretrained_embed.sources import Source
from pretrained_embed.sources.spool import rereadable
from pretrained_embed.store import Dtype
from pretrained_embed.vocabulary import Vocabulary

#: What `build_matrix` reads when no source is named.
DEFAULT_SOURCE = "glove-6b-50d"


def open_vectors(
    source: Source = DEFAULT_SOURCE,
    *,
    use_store: bool = True,
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: Progress | None = None,
) -> Reader:
    """Open vectors for reading, their format recognised by their content.

    ``source`` is a name from the catalog, a URL, a path, ``archive.zip#member``, ``-``
    for standard input, or an open binary file; compressed ones are read as they are.
    What is not on this machine is downloaded into the cache first; for that,
    ``cache_dir``, ``offline``, ``catalog`` and ``progress`` are as in `fetch`. Where
    the cache has a store of the source (see `index`), that is read in its place, unless
    ``use_store=False``. Raises `SourceError` where there is nothing to read, and
    `FormatError` where what there is holds no vectors or is damaged.

    >>> with open_vectors("vectors.txt") as reader:  # doctest: +SKIP
    ...     for tokens, vectors in reader.blocks():
    ...         print(len(tokens), vectors.shape)
    """
    where = Where(cache_dir, offline, catalog)
    return open_reader(source, where, progress, use_store=use_store).reader


def build_matrix(
    vocabulary: Vocabulary | Iterable[str] | Mapping[str, int],
    source: Source | Reader = DEFAULT_SOURCE,
    *,
    match: str | Iterable[str] = ("exact",),
    oov: Policies = "normal",
    unk: Policies | None = None,
    special_oov: Mapping[str, Policies] | None = None,
    seed: int = 0,
    min_coverage: float = 0.0,
    threads: int | None = None,
    on_bad_row: OnBadRow = "error",
    use_store: bool = True,
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
    ``on_bad_row="skip"`` leaves malformed rows out and counts them.

    What is known by name or URL is made into a store at its first use, see `index`: the
    next matrix of it takes milliseconds. ``use_store=False`` reads the source itself.
    The bytes are the same, but from a store of float16. ``cache_dir``,
    ``offline`` and ``catalog`` are as in `fetch`. ``progress`` is called with bytes
    done, and bytes in all or ``None``: for a download, if there is one, then from the
    start again for the reading.

    Raises `VocabularyError`, `SourceError`, `FormatError`, `OptionError`, and
    `CoverageError` if too few tokens were found, or none.
    """
    vocabulary = Vocabulary.of(vocabulary)
    options = matrix.Options(
        match=matrix.match_chain(match),
        oov=matrix.policy_chain(oov),
        special_oov=matrix.special_chains(special_oov, unk, vocabulary),
        seed=seed,
        min_coverage=min_coverage,
        on_bad_row=on_bad_row,
        threads=threads,
        progress=progress,
    )
    opened = open_reader(
        source,
        Where(cache_dir, offline, catalog),
        progress,
        use_store=use_store and not options.composes,
        may_make=on_bad_row == "error",
    )
    try:
        given = matrix.OpenSource(opened.reader, opened.provenance)
        built = matrix.build(vocabulary, given, options)
    finally:
        if opened.reader is not source:
            opened.reader.close()
    built.findings.notes.extend(opened.notes)
    built.provenance["versions"] = versions()
    return built


def index(
    source: Source = DEFAULT_SOURCE,
    *,
    dtype: Dtype = "float32",
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make the store of a source, unless there is one; return its path in the cache.

    A store is an HDF5 file of all rows with an index of the tokens. `open_vectors` and
    `build_matrix` use it in place of the source, as long as that is what it was:
    ``source`` and the other arguments are as in `open_vectors`. A local file that was
    changed is read itself, until it is indexed again.

    ``dtype="float16"`` halves the store, and rounds its numbers: matrices from it say
    so. It is used where there is no store of float32.

    Raises `OptionError` for what has no content to know it by (standard input, open
    files, tokens in another file), `RowError` for a malformed row, `WriteError` for a
    number too large for float16, and as `open_vectors` does.
    """
    return make_store(source, Where(cache_dir, offline, catalog), dtype, progress)


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
