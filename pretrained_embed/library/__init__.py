"""Where vectors come from: from a name, a URL, a path or an open file to a reader.

`Library` has the catalog, the cache and the stores in it. It hands over readers, and
knows of no matrix. `open_vectors`, `fetch` and `index` are its methods as functions.
`Library` is loaded when it is first used: the catalog and the cache need no numpy.
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

#: What is read when no source is named.
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
        input, or an open file; compressed ones are read as they are. A folder of files,
        or a pattern of names such as ``"part-*.txt"``, is one source, its parts in the
        order of their names, numbers in them by their value. What is not on
        this machine is downloaded into the cache first. But ``s3://``, ``gs://``,
        ``hf://`` and other URLs that fsspec has a package for, and ``remote+https://``,
        are read where they are, and no more of them than is needed; they must not
        change meanwhile. Where the cache has a store of the source (see `index`), that
        is read in its place. An object in memory that holds tokens and vectors is read
        where it is, without a copy where its arrays allow that: ``{token: vector}``,
        ``(tokens, array)``, data frames, objects of gensim, spaCy and others: the
        documentation has the list. It is not to be changed while it is read.
    layout : str or mapping, optional
        What is known of how the file is laid out, for where that cannot be seen:
        ``"dim=300,header=yes,separator=tab"`` or a mapping of the same. ``dim`` is the
        numbers of a row, ``header`` (yes or no) whether the first line is none,
        ``separator`` one of space, tab, tab-space (a tab behind the token, then spaces)
        and space-tab, ``rows`` how many rows have a token. It is checked against the
        file, of which no store is used then.
    library : Library, optional
        The cache, the catalog, and how files are read.
    progress : True or callable, optional
        True for lines on standard error, or a function that is called with bytes so
        far, and bytes in all or ``None``.

    Files of numbers are mapped, not read: a row is read when it is used. See `Library`
    for ``mmap=False``.

    Raises `SourceError` where there is nothing to read, `FormatError` where what there
    is holds no vectors, is damaged or is not laid out as ``layout`` says, and
    `OptionError` for a layout that the format has no use for.

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
    """Download a name of the catalog or a URL once; return the verified file.

    Parameters
    ----------
    name : str
        What `Library.list` shows, or an ``http(s)://`` URL.
    library : Library, optional
        The cache that the file goes into, the catalog, and whether the network is off.
    progress : True or callable, optional
        True for lines on standard error, or a function that is called with bytes so
        far, and bytes in all or ``None``.

    Raises `UnknownSourceError` for a name that is not known and `SourceError`, which
    tells what each URL answered, where the file cannot be had.

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
    """Make the store of a source, unless there is one; return its path in the cache.

    A store is an HDF5 file of all rows with an index of the tokens. `open_vectors` and
    `build_matrix` use it in place of the source, as long as that is what it was. A
    local file that was changed is read itself, until it is indexed again. A store that
    is there is read once and compared with the digest it had; a damaged one is made
    anew.

    Parameters
    ----------
    source, layout, library, progress
        As in `open_vectors`. With a layout, the store is used where the same layout is
        given, and no other.
    dtype : "float32" (default), "float16", "bfloat16" or "int8"
        What vectors are kept as: see `EmbeddingMatrix.astype`. All but float32 make the
        store smaller, and round its numbers: matrices from it say so. Of several stores
        the one with the most bits is used, the first in this order.

    Raises `OptionError` for what has no content to know it by (standard input, open
    files, tokens in another file), `RowError` for a malformed row, `WriteError` for a
    number that the dtype cannot hold, and as `open_vectors` does.

    >>> index("vectors.txt")  # doctest: +SKIP
    """
    from pretrained_embed.library.library import Library

    former_names.refuse(former, former_names.LIBRARY, index)
    return Library.of(library).index(
        source, dtype=dtype, layout=layout, progress=progress
    )
