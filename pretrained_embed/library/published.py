"""Published files in the cache: found there, or downloaded.

One process at a time downloads; processes that waited find the file in the cache. The
URLs are tried in turn. Of an archive only the member is downloaded if the host allows
it, else the whole file.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pretrained_embed.budget import USUAL, ReadOptions
from pretrained_embed.errors import FormatError, SourceError
from pretrained_embed.files.digests import Hashes, json_digest
from pretrained_embed.library import cache_folder, record
from pretrained_embed.library.cache_folder import LOCK
from pretrained_embed.library.catalog import Download, Entry
from pretrained_embed.library.record import FileRecord
from pretrained_embed.sources import http
from pretrained_embed.sources.download import NotPiecewise, Piece, download, unpack
from pretrained_embed.sources.http import Failure, Retry
from pretrained_embed.sources.identity import Mark
from pretrained_embed.sources.remote_zip import download_member
from pretrained_embed.sources.source import from_path, unpacked
from pretrained_embed.sources.stream import AnyStream, Stream, with_options
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress
    from pretrained_embed.sources.connections import Session


class FetchedEntry(NamedTuple):
    """A source in the cache."""

    path: Path
    record: FileRecord
    tokens_path: Path | None


def fetch_entry(
    entry: Entry,
    root: Path,
    *,
    offline: bool,
    progress: Progress | None = None,
    retry: Retry | None = None,
    read_options: ReadOptions = USUAL,
) -> FetchedEntry:
    """Return an entry in the cache ``root``; downloads it if needed.

    With ``offline`` no socket is opened. ``progress`` is called with (bytes so far,
    bytes in all or ``None``). Raises `SourceError`, with the answer of each URL, if the
    download fails.
    """
    get = partial(
        obtain,
        root=root,
        source=entry.id,
        offline=offline,
        progress=progress,
        retry=retry or Retry(),
        read_options=read_options,
    )
    path, known = get(entry.download(), member=entry.member)
    tokens_path = get(entry.tokens)[0] if entry.tokens else None
    return FetchedEntry(path, known, tokens_path)


def fetch_stream(
    entry: Entry,
    root: Path,
    *,
    offline: bool,
    progress: Progress | None = None,
    retry: Retry | None = None,
    read_options: ReadOptions = USUAL,
) -> AnyStream:
    """Fetch an entry as `fetch_entry` does; return it as a stream."""
    path, known, tokens_path = fetch_entry(
        entry,
        root,
        offline=offline,
        progress=progress,
        retry=retry,
        read_options=read_options,
    )
    stream = from_path(path, entry.id)
    checksums = {f"sha256:{known.sha256}": "first use"}
    if known.published is not None:
        checksums[known.published] = "published"
    digests = [
        {"algorithm": algorithm, "value": value, "of": path.name, "by": by}
        for checksum, by in checksums.items()
        for algorithm, _, value in [checksum.partition(":")]
    ]
    provenance = {
        **stream.provenance,
        **entry.facts(),
        "name": path.name,
        "url": str(entry.urls[0]),
        "digests": digests,
    }
    identity = stream.identity and replace(
        stream.identity,
        digests=tuple(digests),
        files=(path, tokens_path) if tokens_path else (path,),
    )
    return Stream(
        entry.id,
        stream.open,
        provenance,
        size=stream.size,
        path=stream.path,
        tokens_path=tokens_path,
        address=None if tokens_path else stream.address,
        identity=identity,
        read_options=read_options,
    )


def mark_of(entry: Entry, root: Path) -> Mark:
    """Return the mark by which a catalog entry or a URL is found again.

    An entry with a published checksum always has the same bytes. Another one has the
    bytes of its download in the cache ``root``, if there is one.
    """
    downloads = [(entry.download(), entry.member)]
    if entry.tokens is not None:
        downloads.append((entry.tokens, None))
    identity: list[object] = [entry.id]
    state: list[object] = []
    for wanted, member in downloads:
        if wanted.checksums:
            identity += [[c.algorithm, c.of, c.value] for c in wanted.checksums]
        else:
            identity += [*wanted.urls]
            known = record.read(cache_folder.find(root, wanted, member, entry.id))
            state.append(None if known is None else known.sha256)
        identity.append(member)
    compared = state if state and None not in state else None
    return Mark(entry.id, json_digest(identity), compared)


def by_hand(entry: Entry, root: Path) -> list[tuple[Url, Path]]:
    """Return where to put each file of an entry by hand, by its URL.

    A file that is put there is verified at its first use.
    """
    downloads = [entry.download(), *([entry.tokens] if entry.tokens else [])]
    return [(one.urls[0], cache_folder.place(root, one).path) for one in downloads]


def obtain(
    wanted: Download,
    *,
    root: Path,
    source: str,
    member: str | None = None,
    offline: bool,
    progress: Progress | None,
    retry: Retry,
    read_options: ReadOptions,
) -> tuple[Path, FileRecord]:
    """Return a published file, or a member of it, in the cache ``root``.

    ``source`` is the name with which it was requested. Raises `SourceError` if it
    cannot be downloaded, or if the file in the cache is wrong.
    """
    goal = _Goal(root, wanted, member, source)
    try:
        goal.settle()
        if (known := goal.known()) is not None:
            return goal.path.path, known
        whole = goal
        if member is not None:
            whole = _Goal(root, wanted, None, source)
            whole.settle()
        if offline and whole.path.status() is None:
            raise SourceError(
                f"{source} is not in the cache, and the network may not be used; "
                f"it can be placed there by hand as {whole.path}"
            )
        cache_folder.prepare(root)
        with goal.locked():
            known = (
                goal.known()
                or _Obtaining(
                    wanted, whole, goal, member, retry, progress, read_options
                ).run()
            )
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(
            f"the cache folder {goal.path.parent} cannot be used: "
            f"{error.strerror or error}"
        ) from error
    return goal.path.path, known


class _Goal:
    """A file that is wanted in the cache, and how to verify it."""

    def __init__(
        self, root: Path, wanted: Download, member: str | None, source: str
    ) -> None:
        self._here = cache_folder.place(root, wanted, member)
        self.path = cache_folder.find(root, wanted, member, source)
        self.source = source
        self.identity = cache_folder.identity(wanted, member)
        of = "file" if member is None else "member"
        self.checksum = wanted.published(of)
        self.algorithms = () if self.checksum is None else (self.checksum.algorithm,)

    def settle(self) -> None:
        """Move the file to its place, if an earlier release put it elsewhere.

        In a read-only cache it stays where it is.
        """
        former = self.path
        if former == self._here:
            return
        self.path = self._here
        try:
            with self.locked():
                if former.status() or former.beside(cache_folder.PART).status():
                    cache_folder.settle(former, self._here, self.identity)
        except SourceError:
            raise
        except OSError:
            self.path = former

    def locked(self) -> AbstractContextManager[int]:
        """Hold the lock, so that no other process downloads this file."""
        return (self.path.parent.make() / LOCK).locked()

    def known(self) -> FileRecord | None:
        """Return the record, if the file exists."""
        return record.verified(self.path, self.source, self.checksum, self.identity)

    def check(self, hashes: Hashes) -> str | None:
        """Return what is wrong with a file of these digests, if anything."""
        return record.mismatch(hashes, self.checksum, record.read(self.path))

    def record(self, hashes: Hashes) -> FileRecord:
        """Record the file, which is in place and verified."""
        return record.write(
            self.path, self.source, hashes["sha256"], self.checksum, self.identity
        )

    def forget(self) -> None:
        """Delete the file and its record."""
        record.forget(self.path)


@dataclass(frozen=True)
class _Obtaining:
    """The work of the one process that holds the lock."""

    wanted: Download
    whole: _Goal
    goal: _Goal  # the same file, or a member of it
    member: str | None
    retry: Retry
    progress: Progress | None
    read_options: ReadOptions

    def run(self) -> FileRecord:
        if self.member is not None and self.whole.known() is not None:
            return self._unpacked(self.member)
        failures = []
        with http.session() as session:
            for url in self.wanted.urls:
                try:
                    return self._from(session, url)
                except Failure as failure:
                    failures.append(f"  {url}: {failure}")
        raise SourceError(
            "\n".join([f"{self.goal.source} cannot be downloaded:", *failures])
        )

    def _from(self, session: Session, url: Url) -> FileRecord:
        if self.member is None:
            return self._whole(session, url)
        try:
            return self._member(session, url, self.member)
        except NotPiecewise as reason:
            try:
                with self.whole.locked():
                    if self.whole.known() is None:
                        self._whole(session, url)
            except Failure as failure:
                raise Failure(f"{reason}; of the whole archive: {failure}") from failure
        try:
            return self._unpacked(self.member)
        except (SourceError, FormatError) as error:
            if self.whole.checksum is not None:
                raise  # it has the published checksum; another host has the same file
            self.whole.forget()
            raise Failure(str(error)) from error

    def _member(self, session: Session, url: Url, member: str) -> FileRecord:
        if self.whole.checksum is not None and self.goal.checksum is None:
            raise NotPiecewise("the published checksum is that of the whole archive")
        hashes = download_member(
            session,
            url,
            member,
            self.goal.path,
            covered=self.goal.checksum is not None,
            algorithms=self.goal.algorithms,
            check=self.goal.check,
            retry=self.retry,
            progress=self.progress,
        )
        return self.goal.record(hashes)

    def _whole(self, session: Session, url: Url) -> FileRecord:
        piece = Piece(
            url,
            self.whole.path,
            self.wanted.size,
            covered=(self.whole.checksum or self.goal.checksum) is not None,
            algorithms=self.whole.algorithms,
        )
        hashes = download(
            session,
            piece,
            self.whole.check,
            retry=self.retry,
            progress=self.progress,
        )
        return self.whole.record(hashes)

    def _unpacked(self, member: str) -> FileRecord:
        stream = from_path(self.whole.path.checked(), self.goal.source)
        found = unpacked(with_options(stream, self.read_options), member)
        if found.fragment is not None:
            raise SourceError(
                f"{stream.name}: is no zip or tar archive, so it has no member "
                f"{member!r}; fetch it, and name the file: {self.whole.path}#{member}"
            )
        try:
            with found.open() as file:
                hashes = unpack(
                    file,
                    found.size or 0,
                    self.goal.path,
                    self.goal.algorithms,
                    self.goal.check,
                    progress=self.progress,
                )
        except Failure as failure:
            raise SourceError(f"{found.name}: {failure}") from failure
        return self.goal.record(hashes)
