"""Stores in the cache: one for each content, made once, found again by its source.

::

    stores/KEY/
        store.h5        whole and recorded, or not to be used
        store.h5.json   its record: digest, size
        MARK.origin     a source that has this content
        .lock           held by the process that makes the store

The key is a digest of the digests of all bytes that went in, and of how the store is
made of them: dtype, layout, version. So a store is never stale; a store that no key
leads to is only lost. `pretrained_embed.formats.store` has what is in a store.
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
    """What the store of a source is found by."""

    mark: Mark  # of the source
    digests: list[str]  # of all its bytes


def content_of(mark: Mark | None, stream: Stream, root: Path) -> StoredContent | None:
    """Return what is known of a stream's content without reading it, if anything.

    ``mark`` is that of the name or URL it was asked for by.
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
    """Read all of a local file to know its content.

    Raises `OptionError` for what can not be found again, `SourceError` where it cannot
    be read.
    """
    identity = stream.identity
    if identity is None or (mark := identity.mark()) is None:
        raise OptionError(
            f"{stream.name}: only local files, and what is known by a name or URL, can "
            "be indexed; save it to a file first"
        )
    return StoredContent(mark, identity.read(progress))


def recall(root: Path, mark: Mark) -> list[str] | None:
    """Return the digests of a source's content as they were when its store was made."""
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
    """Return the store of this content, if there is one, and what is wrong with one.

    A store of float32 comes before one of fewer bits. ``name`` is what its reader is
    called. A store that was touched since it was made is hashed first.
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
    """Return the path of a store all of whose bytes are as they were written.

    All of it is read. ``None`` where there is no such store.
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
    """Return the store of a stream, and its path; made first where it is not there.

    Of several processes one makes it, those that waited find it. A store that is there
    is hashed first with ``all_of_it``. Also says what was wrong with a store that was
    made anew. Raises what reading the stream and `write_store` raise, and `SourceError`
    where the cache cannot be written to.
    """
    stored = _Store.of(root, content.digests, dtype, layout, stream.read_options)
    opened, fault = stored.opened(stream.name, all_of_it=all_of_it)
    if opened is None:
        wanted = _Wanted(stream, content.mark, layout, all_of_it, progress)
        opened, fault = stored.made(wanted)
        fault = fault and f"{fault}; it was made anew"
    stored.remember(content)
    return opened, stored.path.path, fault


class _Wanted(NamedTuple):
    """What a store is made of."""

    stream: Stream
    mark: Mark
    layout: KnownLayout | None
    all_of_it: bool  # whether a store that is there is hashed before it is believed
    progress: Progress | None


class _Store(NamedTuple):
    """The place of one store in a cache; there need be nothing."""

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
        """Return the place of the store of this content, made in this way."""
        from pretrained_embed.formats import store

        told = [f"layout {layout}"] if layout is not None and layout.given else []
        key = json_digest([sorted([*digests, *told]), store.VERSION, dtype])
        return cls(root, inside(root) / STORES / key / _FILE, dtype, read_options)

    def opened(
        self, name: str | None, *, all_of_it: bool = False
    ) -> tuple[StoreReader | None, str | None]:
        """Return the store, or ``None``; and what is wrong with it.

        Its bytes are hashed if it was touched since it was made, or ``all_of_it`` is
        to be looked at.
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
        """Return the store, which this process makes unless another one has."""
        folder, tries = self.path.parent, 0
        while True:
            prepare(self.root)
            tries += 1
            try:
                return self._made(wanted)
            except (OSError, WriteError) as error:
                if tries < _TRIES and folder.status() is None:
                    continue  # somebody has cleared the cache meanwhile
                if isinstance(error, SourceError | WriteError):
                    raise
                raise SourceError(
                    f"the cache folder {folder} cannot be written to: "
                    f"{error.strerror or error}"
                ) from error

    def remember(self, content: StoredContent) -> None:
        """Note that the source has this content, unless that is known."""
        mark = content.mark
        if recall(self.root, mark) == list(content.digests):
            return
        path = self.path.parent / f"{mark.key}{_ORIGIN}"
        known = {"source": mark.source, "state": mark.state}
        with suppress(OSError):  # then the store is found by its content alone
            text = json.dumps(known | {"digests": [*content.digests]}, indent=1)
            path.write(text.encode())

    def _made(self, wanted: _Wanted) -> tuple[StoreReader, str | None]:
        folder, name = self.path.parent, wanted.stream.name
        with (folder.make() / LOCK).locked():
            opened, fault = self.opened(name, all_of_it=wanted.all_of_it)
            if opened is None:
                for left in folder.children():
                    if left.name.startswith(".") and left.name.endswith(".part"):
                        left.remove()  # of a process that was killed
                self._write(wanted)
                digest = sha256(self.path.checked())
                record.write(self.path, wanted.mark.source, digest, None)
                opened = self._open(name)
        return opened, fault

    def _open(self, name: str | None) -> StoreReader:
        """Return the store, which is there."""
        from pretrained_embed.formats.store import open_store

        path = self.path.checked()
        return open_store(path, name=name, read_options=self.read_options)

    def _write(self, wanted: _Wanted) -> None:
        """Write the store of a stream, which has not changed at the end."""
        from pretrained_embed.fill.source import source_statistics
        from pretrained_embed.formats.store import write_store

        stream = wanted.stream
        identity = stream.identity
        if identity is not None:
            identity.check_package()
        with formats.open_reader(stream, wanted.layout) as reader:
            format = formats.find_format(reader.format)
            beside = format is not None and format.lies_in == "files"
            if beside and stream.tokens_path is None:  # no digest covers what is beside
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
        with suppress(OSError):  # a cache that may only be read is hashed again
            record.write(self.path, known.source, known.sha256, None)
        return True
