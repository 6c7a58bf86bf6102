"""From what a user names to an open reader: of its store, or else of the source itself.

Of what is known by name or URL the store comes first, then an installed package, then
the network. Of a local file the store comes first if the file is still as it was when
it was indexed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from pretrained_embed import formats, sources, store
from pretrained_embed.arrays import Progress
from pretrained_embed.build import OpenSource
from pretrained_embed.errors import OptionError, PretrainedEmbedError, SourceError
from pretrained_embed.files.digests import json_digest
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.fill import source_statistics
from pretrained_embed.formats import AnyLayout, KnownLayout, Reader
from pretrained_embed.holders import check_source
from pretrained_embed.sources import Resolved, Source, Stream, cache_folder, stores
from pretrained_embed.sources.identity import Identity, Mark
from pretrained_embed.sources.spool import rereadable
from pretrained_embed.sources.url import shown
from pretrained_embed.store import Dtype, StoreReader

Folder = str | os.PathLike[str]
Given = Source | Reader

#: Formats that may keep tokens or vectors in a file beside, which no digest covers.
_IN_SEVERAL_FILES = ("gensim", "npy", "safetensors")


class Where(NamedTuple):
    """Where a named source may be taken from."""

    cache_dir: Folder | None
    offline: bool | None
    catalog: Path | None

    @property
    def root(self) -> Path:
        """The cache folder."""
        return cache_folder.locate(self.cache_dir)


class _Content(NamedTuple):
    """What the store of a source is found by."""

    mark: Mark
    digests: list[str]


def listed_sources(sources: Given | Sequence[Given]) -> Sequence[Given]:
    """Return the sources in a list; raises `OptionError` for an empty one."""
    check_source(sources)  # tokens and an array are not two sources
    if not isinstance(sources, list | tuple):
        return [cast(Given, sources)]
    if not sources:
        raise OptionError("the list of sources is empty: name one at least")
    return sources


def open_reader(
    source: Given,
    where: Where,
    progress: Progress | None,
    *,
    use_store: bool,
    may_make: bool = False,
    layout: AnyLayout = None,
) -> OpenSource:
    """Open the store of a source, or else the source.

    A source whose layout is given has a store of its own, or is read itself. With
    ``may_make``, what is known by name or URL is made into a store first. That it could
    not be made is no error but a note.
    """
    known = formats.parse_layout(layout)
    if isinstance(source, Reader):
        if known is not None:
            raise OptionError(
                f"{source.name} is open, and its layout is found; give the layout to "
                "open_vectors"
            )
        return OpenSource(source, {"name": source.name}, [])
    found = _resolved(source, where, progress)
    if not use_store:
        return _plain(rereadable(found.open()), [], known)
    fault = None
    mark = found.mark(where.root)
    if mark is not None:
        digests = stores.recall(where.root, mark)
        if digests is not None:
            reader, fault = _find(digests, where, known, mark.source)
            if reader is not None:
                known_by = Identity(mark.source, version=json_digest(digests))
                return _stored(reader, reader.provenance, [], known_by, known)
    try:
        stream = rereadable(found.open())
    except SourceError as error:
        if fault is None:
            raise
        raise SourceError(f"{fault}; {error}") from error

    content = _known_content(found, stream, where)
    if content is None:
        return _plain(stream, [], known)
    reader, fault = _find(content.digests, where, known, stream.name)
    if reader is None and may_make and mark is not None and known is None:
        try:
            reader, fault = _obtain(stream, content, "float32", where, progress)
        except PretrainedEmbedError as error:
            fault = f"no store could be made, so the source was read: {error}"
    notes = [] if fault is None else [fault]
    if reader is None:
        return _plain(stream, notes, known)
    return _stored(reader, dict(stream.provenance), notes, stream.identity, known)


def make_store(
    source: Source,
    where: Where,
    dtype: Dtype,
    progress: Progress | None,
    layout: AnyLayout = None,
) -> Path:
    """Return the path of the store of a source, made now unless it is there."""
    known = formats.parse_layout(layout)
    if dtype not in store.DTYPES:
        raise OptionError(f"dtype is {dtype!r}; it can be {' or '.join(store.DTYPES)}")
    found = _resolved(source, where, progress)
    mark = found.mark(where.root)
    if mark is not None:  # what was downloaded for it may be gone
        digests = stores.recall(where.root, mark)
        key = None if digests is None else _key(digests, dtype, known)
        if key and stores.find(where.root, key, store.open_store)[0] is not None:
            return stores.place(where.root, key).path
    stream = rereadable(found.open())
    content = _known_content(found, stream, where) or _read_content(stream, progress)
    _obtain(stream, content, dtype, where, progress, known)
    return stores.place(where.root, _key(content.digests, dtype, known)).path


def _resolved(source: Source, where: Where, progress: Progress | None) -> Resolved:
    check_source(source)
    return sources.resolve(source, **where._asdict(), progress=progress)


def _plain(
    stream: Stream, notes: list[str], layout: KnownLayout | None = None
) -> OpenSource:
    given = {} if layout is None else {"layout": str(layout)}
    return OpenSource(
        formats.open_reader(stream, layout),
        {**stream.provenance, **given},
        notes,
        stream.address,
        stream.size,
        layout,
        stream.identity,
    )


def layouts_of(
    layout: AnyLayout | Sequence[AnyLayout], sources: int
) -> list[KnownLayout | None]:
    """Return the layout of each of some sources, given one for all or one for each."""
    if not isinstance(layout, list | tuple):
        return [formats.parse_layout(cast(AnyLayout, layout))] * sources
    if len(layout) != sources:
        raise OptionError(
            f"{len(layout)} layouts for {sources} sources; give one for all or one "
            "for each"
        )
    return [formats.parse_layout(one) for one in layout]


def _stored(
    reader: StoreReader,
    provenance: dict[str, Any],
    notes: list[str],
    identity: Identity | None = None,
    layout: KnownLayout | None = None,
) -> OpenSource:
    given = {} if layout is None else {"layout": str(layout)}
    made = {"version": store.VERSION, "dtype": reader.dtype}
    known = {**shown(provenance), **given, "store": made}
    return OpenSource(reader, known, notes, identity=identity)


def _known_content(found: Resolved, stream: Stream, where: Where) -> _Content | None:
    """Return what is known of the content without reading it, if anything."""
    if (identity := stream.identity) is None:
        return None
    digests = identity.content()
    if digests is not None:
        # A name that only an installed package knows has no mark.
        anonymous = Mark(stream.name, json_digest(digests), None)
        return _Content(found.mark(where.root) or anonymous, digests)
    mark = identity.mark()
    recalled = None if mark is None else stores.recall(where.root, mark)
    return _Content(mark, recalled) if mark and recalled else None


def _read_content(stream: Stream, progress: Progress | None) -> _Content:
    """Read a local file to know its content."""
    identity = stream.identity
    if identity is None or (mark := identity.mark()) is None:
        raise OptionError(
            f"{stream.name}: only local files, and what is known by a name or URL, can "
            "be indexed; save it to a file first"
        )
    return _Content(mark, identity.read(progress))


def _key(digests: list[str], dtype: Dtype, layout: KnownLayout | None) -> str:
    told = [f"layout {layout}"] if layout is not None and layout.given else []
    return stores.key([*digests, *told], store.VERSION, dtype)


def _find(
    digests: list[str],
    where: Where,
    layout: KnownLayout | None,
    name: str | None = None,
) -> tuple[StoreReader | None, str | None]:
    """Return the store of this content, if there is one, and what is wrong with it."""
    fault = None
    for dtype in store.DTYPES:
        reader, wrong = stores.find(
            where.root,
            _key(digests, dtype, layout),
            lambda path: store.open_store(path, name=name),
        )
        fault = fault or wrong
        if reader is not None:
            return reader, fault
    return None, fault


def _obtain(
    stream: Stream,
    content: _Content,
    dtype: Dtype,
    where: Where,
    progress: Progress | None,
    layout: KnownLayout | None = None,
) -> tuple[StoreReader, str | None]:
    def make(path: SafePath) -> None:
        identity = stream.identity
        if identity is not None:
            identity.check_package()
        with formats.open_reader(stream, layout) as reader:
            if stream.tokens_path is None and reader.format in _IN_SEVERAL_FILES:
                raise OptionError(
                    f"{stream.name}: a part of it may be in another file, so it cannot "
                    "be indexed; convert it to .npz or .h5 first"
                )
            store.write_store(
                path,
                reader,
                lambda: source_statistics(reader, "error"),
                dtype=dtype,
                provenance=stream.provenance,
                progress=progress,
            )
        if identity is not None and identity.mark() not in (None, content.mark):
            raise SourceError(f"{stream.name}: was changed while it was indexed")

    return stores.obtain(
        where.root,
        _key(content.digests, dtype, layout),
        content.mark,
        content.digests,
        open=lambda path: store.open_store(path, name=stream.name),
        make=make,
    )
