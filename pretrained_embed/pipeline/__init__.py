"""The verbs of the package: the only layer that sees every other but the adapters."""

from __future__ import annotations

from pathlib import Path

from pretrained_embed.build import versions
from pretrained_embed.formats import AnyLayout, Reader
from pretrained_embed.formats.local import mapping
from pretrained_embed.pipeline.building import DEFAULT_SOURCE, build_matrix
from pretrained_embed.pipeline.loading import load_matrix, load_shard
from pretrained_embed.pipeline.opening import Folder, Where, make_store, open_reader
from pretrained_embed.progress import AnyProgress, listener
from pretrained_embed.sources import Source
from pretrained_embed.store import Dtype

__all__ = [
    "DEFAULT_SOURCE",
    "build_matrix",
    "index",
    "load_matrix",
    "load_shard",
    "open_vectors",
    "versions",
]


def open_vectors(
    source: Source = DEFAULT_SOURCE,
    *,
    layout: AnyLayout = None,
    use_store: bool = True,
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    mmap: bool = True,
    progress: AnyProgress = None,
) -> Reader:
    """Open vectors for reading, their format recognised by their content.

    ``source`` is a name from the catalog, a URL, a path, ``archive.zip#member``, ``-``
    for standard input, or an open binary file; compressed ones are read as they are.
    What is not on this machine is downloaded into the cache first; for that,
    ``cache_dir``, ``offline``, ``catalog`` and ``progress`` are as in `fetch`. But
    ``s3://``, ``gs://``, ``hf://`` and other URLs that fsspec has a package for, and
    ``remote+https://``, are read where they are, and no more of them than is needed;
    they must not change meanwhile. Where the cache has a store of the source (see
    `index`), that is read in its place, unless ``use_store=False``.

    ``layout`` is what is known of how the file is laid out, for where that cannot be
    seen: ``"dim=300,header=yes,separator=tab"`` or a mapping of the same. ``dim`` is
    the numbers of a row, ``header`` (yes or no) whether the first line is none,
    ``separator`` one of space, tab, tab-space (a tab behind the token, then spaces) and
    space-tab, ``rows`` how many rows have a token. It is checked against the file, of
    which no store is used then.

    Files of numbers are mapped, not read: a row is read when it is used. Where another
    program may cut such a file short meanwhile, which ends this process by SIGBUS,
    ``mmap=False`` reads it into memory first.

    Raises `SourceError` where there is nothing to read, `FormatError` where what there
    is holds no vectors, is damaged or is not laid out as ``layout`` says, and
    `OptionError` for a layout that the format has no use for.

    >>> with open_vectors("vectors.txt") as reader:  # doctest: +SKIP
    ...     for tokens, vectors in reader.blocks():
    ...         print(len(tokens), vectors.shape)
    """
    where = Where(cache_dir, offline, catalog)
    with mapping(mmap):
        return open_reader(
            source, where, listener(progress), use_store=use_store, layout=layout
        ).reader


def index(
    source: Source = DEFAULT_SOURCE,
    *,
    dtype: Dtype = "float32",
    layout: AnyLayout = None,
    cache_dir: Folder | None = None,
    offline: bool | None = None,
    catalog: Path | None = None,
    progress: AnyProgress = None,
) -> Path:
    """Make the store of a source, unless there is one; return its path in the cache.

    A store is an HDF5 file of all rows with an index of the tokens. `open_vectors` and
    `build_matrix` use it in place of the source, as long as that is what it was:
    ``source`` and the other arguments are as in `open_vectors`. A local file that was
    changed is read itself, until it is indexed again.

    ``dtype="float16"`` halves the store, and rounds its numbers: matrices from it say
    so. It is used where there is no store of float32.

    ``layout`` is what is known of how the file is laid out. The store is then used
    where the same layout is given, and no other.

    Raises `OptionError` for what has no content to know it by (standard input, open
    files, tokens in another file), `RowError` for a malformed row, `WriteError` for a
    number too large for float16, and as `open_vectors` does.
    """
    return make_store(
        source, Where(cache_dir, offline, catalog), dtype, listener(progress), layout
    )
