"""From a name, a URL, a path or an open file to a reader of its vectors.

`Library` has the catalog, the cache and its stores. It opens readers, and does not know
matrices. `open_vectors`, `fetch` and `index` are its methods as functions. `Library` is
loaded at its first use, since the catalog and the cache need no numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretrained_embed import former_names

if TYPE_CHECKING:
    from pretrained_embed.arrays import AnyProgress
    from pretrained_embed.formats import AnyLayout, Reader
    from pretrained_embed.formats.store import Dtype
    from pretrained_embed.library.library import (
        Folder,
        Given,
        Library,
        OpenSource,
        layouts_of,
        listed_sources,
    )
    from pretrained_embed.sources import Source

__all__ = [
    "DEFAULT_SOURCE",
    "Folder",
    "Given",
    "Library",
    "OpenSource",
    "fetch",
    "index",
    "layouts_of",
    "listed_sources",
    "open_vectors",
]

#: The source that is read if none is named.
DEFAULT_SOURCE = "glove-6b-50d"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pretrained_embed.library import library

    value = getattr(library, name)
    globals()[name] = value
    return value


def open_vectors(
    source: Given = DEFAULT_SOURCE,
    *,
    layout: AnyLayout = None,
    library: Library | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> Reader:
    """Open vectors for reading, their format recognised by their content.

    Parameters
    ----------
    source : str, path, open binary file or object, default "glove-6b-50d"
        A name of the catalog, a URL, a path, ``archive.zip#member``, ``-`` for standard
        input, or an open file; compressed files are decompressed. A folder of files, or
        a pattern such as ``"part-*.txt"``, is one source; its parts are sorted by name,
        and numbers in names by value. Names and ``http(s)://`` URLs are downloaded into
        the cache first, files of ``hf://`` into that of ``huggingface_hub``. Other
        URLs, such as ``s3://``, ``gs://`` and ``remote+https://``, are read remotely,
        only as far as needed; they must not
        change during that time. If the cache has a store of the source (see `index`),
        the store is read instead. An object in memory with tokens and vectors is read
        without a copy if its arrays allow that: ``{token: vector}``, ``(tokens,
        array)``, data frames, objects of gensim, spaCy and others, as the documentation
        lists. Do not change it while it is read.
    layout : str or mapping, optional
        Facts about the layout of the file, if they cannot be recognised:
        ``"dim=300,header=yes,separator=tab"``, or a mapping. ``dim`` is how many
        numbers a row has; ``header`` (yes or no), whether the first line is a header;
        ``separator``, one of space, tab, tab-space (a tab after the token, then spaces)
        and space-tab; ``rows``, how many rows have a token. It is checked against the
        file, and no store is used.
    library : Library, optional
        The cache, the catalog, and how files are read.
    progress : True or callable, optional
        True for lines on standard error, or a function that is called with the bytes
        done and the bytes in all or ``None``.

    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    Reader
        The open source, a context manager. Binary files are mapped: a row is read when
        it is used; see `Library` for ``mmap=False``.

    Raises
    ------
    SourceError
        If the source is missing or cannot be read.
    FormatError
        If it has no vectors, is damaged, or does not fit ``layout``.
    OptionError
        For a layout that the format does not use.

    Examples
    --------
    >>> with open_vectors("vectors.txt") as reader:  # doctest: +SKIP
    ...     for tokens, vectors in reader.blocks():
    ...         print(len(tokens), vectors.shape)
    """
    from pretrained_embed.library.library import Library

    former_names.refuse(former, former_names.LIBRARY, open_vectors)
    return Library.of(library).open(source, layout=layout, progress=progress)


def fetch(
    name: str,
    *,
    library: Library | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> Path:
    """Download a name of the catalog or a URL once; return the path of the file.

    Parameters
    ----------
    name : str
        A name that `Library.list` has, or an ``http(s)://`` URL.
    library : Library, optional
        The cache for the file, the catalog, and whether the network may be used.
    progress : True or callable, optional
        True for lines on standard error, or a function that is called with the bytes
        done and the bytes in all or ``None``.

    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    Path
        The verified file in the cache.

    Raises
    ------
    UnknownSourceError
        For an unknown name.
    SourceError
        If the download fails; the message has the answer of each URL.

    Examples
    --------
    >>> fetch("glove-6b-300d")  # doctest: +SKIP
    """
    from pretrained_embed.library.library import Library

    former_names.refuse(former, former_names.LIBRARY, fetch)
    return Library.of(library).fetch(name, progress=progress)


def index(
    source: Source = DEFAULT_SOURCE,
    *,
    dtype: Dtype = "float32",
    layout: AnyLayout = None,
    library: Library | None = None,
    progress: AnyProgress = None,
    **former: Any,
) -> Path:
    """Make the store of a source, unless the cache has it; return its path.

    A store is an HDF5 file of all rows with an index of the tokens. `open_vectors` and
    `build_matrix` use it instead of the source, unless the source has changed. A local
    file that was changed is read itself until it is indexed again. An existing store is
    read once and compared with its digest; a damaged one is made again.

    Parameters
    ----------
    source, layout, library, progress
        As in `open_vectors`. A store made with a layout is used only if the same layout
        is given.
    dtype : "float32" (default), "float16", "bfloat16" or "int8"
        The dtype of the vectors: see `EmbeddingMatrix.astype`. All but float32 make the
        store smaller and round its numbers, which a matrix from it says. Of several
        stores the first in this order is used.

    **former
        Keywords of earlier releases, which raise `OptionError` with the new name.

    Returns
    -------
    Path
        The store, in the cache.

    Raises
    ------
    OptionError
        For sources that cannot be recognised again: standard input, open files, and
        files with their tokens in another file.
    RowError
        For a malformed row.
    WriteError
        For a number that the dtype cannot hold.

    Examples
    --------
    >>> index("vectors.txt")  # doctest: +SKIP
    """
    from pretrained_embed.library.library import Library

    former_names.refuse(former, former_names.LIBRARY, index)
    return Library.of(library).index(
        source, dtype=dtype, layout=layout, progress=progress
    )
