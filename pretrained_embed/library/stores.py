"""Stores in the cache: one for each content, found again by the source.

::

    stores/KEY/
        store.h5        whole and recorded, else not used
        store.h5.json   its record: digest, size
        MARK.origin     a source with this content
        .lock           held by the process that makes the store

The key is a digest of the digests of all source bytes, and of dtype, layout and version
of the store. So a store is never outdated; one without a source is never used.
`pretrained_embed.formats.store` describes the content of a store.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed import formats
from pretrained_embed.damage import parser_errors
from pretrained_embed.errors import FormatError, OptionError, SourceError, WriteError
from pretrained_embed.files.digests import json_digest, sha256
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.library import record
from pretrained_embed.library.cache_folder import LOCK, STORES, inside, prepare
from pretrained_embed.sources.identity import Mark
from pretrained_embed.sources.stream import Stream

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress
    from pretrained_embed.budget import ReadOptions
    from pretrained_embed.formats import KnownLayout
    from pretrained_embed.formats.store import Dtype, StoreReader

_FILE = "store.h5"
_ORIGIN = ".origin"
_TRIES = 3  # where what is made is deleted before it is whole


class StoredContent(NamedTuple):
    """The key facts with which the store of a source is found."""

    mark: Mark  # of the source
    digests: list[str]  # of all its bytes


def content_of(mark: Mark | None, stream: Stream, root: Path) -> StoredContent | None:
    """Return the content key of a stream without reading it, if it is known.

    ``mark`` is the mark of the name or URL with which it was requested.
    """
    if (identity := stream.identity) is None:
        return None
    digests = identity.content()
    if digests is not None:
        # A name that only an installed package knows has no mark.
        anonymous = Mark(stream.name, json_digest(digests), None)
        return StoredContent(mark or anonymous, digests)
    mark = identity.mark()
    recalled = None if mark is None else recall(root, mark)
    return StoredContent(mark, recalled) if mark and recalled else None


def read_content(stream: Stream, progress: Progress | None) -> StoredContent:
    """Read all of a local file to compute its content key.

    Raises `OptionError` for a source that cannot be found again, and `SourceError` if
    it cannot be read.
    """
    identity = stream.identity
    if identity is None or (mark := identity.mark()) is None:
        raise OptionError(
            f"{stream.name}: only local files, and what is known by a name or URL, can "
            "be indexed; save it to a file first"
        )
    return StoredContent(mark, identity.read(progress))


def recall(root: Path, mark: Mark) -> list[str] | None:
    """Return the digests of a source's content when its store was made."""
    found: list[tuple[int, list[str]]] = []
    for folder in (inside(root) / STORES).children():
        path = folder / f"{mark.key}{_ORIGIN}"
        with suppress(OSError, *parser_errors()):
            if (status := path.status()) is None:
                continue
            known = json.loads(path.read())
            if mark.state is None or known["state"] == mark.state:
                found.append((status.st_mtime_ns, list(known["digests"])))
    return max(found)[1] if found else None


def find(
    root: Path,
    digests: list[str],
    layout: KnownLayout | None,
    read_options: ReadOptions,
    name: str | None = None,
) -> tuple[StoreReader | None, str | None]:
    """Return the store of a content, if there is one, and the fault of a wrong one.

    A store of float32 comes before one of fewer bits. ``name`` is the name of its
    reader. A store that was changed since it was made is hashed first.
    """
    from pretrained_embed.formats import store

    fault = None
    for dtype in store.DTYPES:
        reader, wrong = _Store.of(root, digests, dtype, layout, read_options).opened(
            name
        )
        fault = fault or wrong
        if reader is not None:
            return reader, fault
    return None, fault


def whole(
    root: Path,
    digests: list[str],
    dtype: Dtype,
    layout: KnownLayout | None,
    read_options: ReadOptions,
) -> Path | None:
    """Return the path of a store whose bytes are all as they were written.

    All of it is read. ``None`` if there is no such store.
    """
    stored = _Store.of(root, digests, dtype, layout, read_options)
    return stored.path.path if stored.opened(None, all_of_it=True)[0] else None


def obtain(
    root: Path,
    stream: Stream,
    content: StoredContent,
    dtype: Dtype,
    layout: KnownLayout | None,
    *,
    progress: Progress | None,
    all_of_it: bool = False,
) -> tuple[StoreReader, Path, str | None]:
    """Return the store of a stream, and its path; makes it if it is missing.

    One process makes it; processes that waited find it. With ``all_of_it`` an existing
    store is hashed first. Also returns the fault of a store that was made again. Raises
    the errors of the stream and of `write_store`, and `SourceError` if the cache cannot
    be written.
    """
    stored = _Store.of(root, content.digests, dtype, layout, stream.read_options)
    opened, fault = stored.opened(stream.name, all_of_it=all_of_it)
    if opened is None:
        wanted = _Wanted(stream, content.mark, layout, all_of_it, progress)
        opened, fault = stored.made(wanted)
        fault = fault and f"{fault}; it was made again"
    stored.remember(content)
    return opened, stored.path.path, fault


class _Wanted(NamedTuple):
    """The facts from which a store is made."""

    stream: Stream
    mark: Mark
    layout: KnownLayout | None
    all_of_it: bool  # whether an existing store is hashed before it is used
    progress: Progress | None


class _Store(NamedTuple):
    """The place of one store in a cache, which may be empty."""

    root: Path
    path: SafePath
    dtype: Dtype
    read_options: ReadOptions

    @classmethod
    def of(
        cls,
        root: Path,
        digests: list[str],
        dtype: Dtype,
        layout: KnownLayout | None,
        read_options: ReadOptions,
    ) -> _Store:
        """Return the place of the store of a content, made in this way."""
        from pretrained_embed.formats import store

        told = [f"layout {layout}"] if layout is not None and layout.given else []
        key = json_digest([sorted([*digests, *told]), store.VERSION, dtype])
        return cls(root, inside(root) / STORES / key / _FILE, dtype, read_options)

    def opened(
        self, name: str | None, *, all_of_it: bool = False
    ) -> tuple[StoreReader | None, str | None]:
        """Return the store or ``None``, and its fault.

        Its bytes are hashed if it was changed since it was made, or with ``all_of_it``.
        """
        try:
            known = record.read(self.path)
            if known is None or self.path.status() is None:  # never finished
                return None, None
            if self._is_intact(known, all_of_it=all_of_it):
                return self._open(name), None
            fault = "its content is not what was written"
        except (OSError, FormatError) as error:
            fault = str(error)
        return None, f"the store {self.path} is damaged ({fault})"

    def made(self, wanted: _Wanted) -> tuple[StoreReader, str | None]:
        """Return the store; this process makes it unless another one has."""
        folder, tries = self.path.parent, 0
        while True:
            prepare(self.root)
            tries += 1
            try:
                return self._made(wanted)
            except (OSError, WriteError) as error:
                if tries < _TRIES and folder.status() is None:
                    continue  # the cache has been cleared in the meantime
                if isinstance(error, SourceError | WriteError):
                    raise
                raise SourceError(
                    f"the cache folder {folder} cannot be written to: "
                    f"{error.strerror or error}"
                ) from error

    def remember(self, content: StoredContent) -> None:
        """Record that the source has this content, unless that is recorded."""
        mark = content.mark
        if recall(self.root, mark) == list(content.digests):
            return
        path = self.path.parent / f"{mark.key}{_ORIGIN}"
        known = {"source": mark.source, "state": mark.state}
        with suppress(OSError):  # then the store is found only by its content
            text = json.dumps(known | {"digests": [*content.digests]}, indent=1)
            path.write(text.encode())

    def _made(self, wanted: _Wanted) -> tuple[StoreReader, str | None]:
        folder, name = self.path.parent, wanted.stream.name
        with (folder.make() / LOCK).locked():
            opened, fault = self.opened(name, all_of_it=wanted.all_of_it)
            if opened is None:
                for left in folder.children():
                    if left.name.startswith(".") and left.name.endswith(".part"):
                        left.remove()  # left by a process that was killed
                self._write(wanted)
                digest = sha256(self.path.checked())
                record.write(self.path, wanted.mark.source, digest, None)
                opened = self._open(name)
        return opened, fault

    def _open(self, name: str | None) -> StoreReader:
        """Return the existing store."""
        from pretrained_embed.formats.store import open_store

        path = self.path.checked()
        return open_store(path, name=name, read_options=self.read_options)

    def _write(self, wanted: _Wanted) -> None:
        """Write the store of a stream, and check that the stream has not changed."""
        from pretrained_embed.fill.source import source_statistics
        from pretrained_embed.formats.store import write_store

        stream = wanted.stream
        identity = stream.identity
        if identity is not None:
            identity.check_package()
        with formats.open_reader(stream, wanted.layout) as reader:
            format = formats.find_format(reader.format)
            beside = format is not None and format.lies_in == "files"
            # no digest covers files beside it
            if beside and stream.tokens_path is None:
                raise OptionError(
                    f"{stream.name}: a part of it may be in another file, so it cannot "
                    "be indexed; convert it to .npz or .h5 first"
                )
            write_store(
                self.path,
                reader,
                lambda: source_statistics(reader, "error"),
                dtype=self.dtype,
                provenance=stream.provenance,
                progress=wanted.progress,
            )
        if identity is not None and identity.mark() not in (None, wanted.mark):
            raise SourceError(f"{stream.name}: was changed while it was indexed")

    def _is_intact(self, known: record.FileRecord, *, all_of_it: bool) -> bool:
        status = self.path.checked().stat()
        as_it_was = (status.st_size, status.st_mtime_ns)
        if (known.size, known.mtime_ns) == as_it_was and not all_of_it:
            return True
        if sha256(self.path.checked()) != known.sha256:
            return False
        with suppress(OSError):  # in a read-only cache it is hashed again
            record.write(self.path, known.source, known.sha256, None)
        return True
