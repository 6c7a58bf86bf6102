"""A file in an object store, or wherever else fsspec has a package for.

https://filesystem-spec.readthedocs.io/en/latest/api.html
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from pretrained_embed.errors import (
    MissingPackageError,
    PretrainedEmbedError,
    SourceError,
    UnknownSourceError,
)
from pretrained_embed.sources.folder import is_data, natural
from pretrained_embed.sources.http import Failure
from pretrained_embed.sources.stream import Guarded
from pretrained_embed.sources.url import Url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Packages for protocols that the extra brings none for.
_PACKAGES = {"az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "adl": "adlfs"}
#: What the packages call that which tells versions of a file apart; the surest first.
_VERSIONS = (
    *("ETag", "etag", "generation", "blob_id", "content_md5", "sha256"),
    *("LastModified", "last_modified", "mtime", "modified", "modify", "created"),
    *("modificationTime", "sha"),
)
#: Errors that are the same again when asked again.
_FINAL = (errno.EINVAL, errno.EPERM, errno.ENAMETOOLONG, errno.EISDIR)


class StoredFile:
    """A file as fsspec has it, at the version it has when it is found.

    See `remote.Remote`. A handle of fsspec's is used by one thread at a time.
    """

    def __init__(self, url: Url) -> None:
        self.name = str(url)
        self._url = url
        self._filesystem, self._path = _located(url)
        with _translated(url):
            info = self._filesystem.info(self._path)
        if info["type"] != "file":
            raise SourceError(
                f"{url}: is a folder; name a file in it, or end its name with a slash: "
                "then all of its files are the parts of one source"
            )
        self.size: int | None = info.get("size")
        self.version = _version(info)
        handle = self._open()
        self.ranges = self.size is not None and _has_ranges(handle)
        self._handles = deque([handle])

    def get(self, start: int, stop: int) -> bytes:
        """Return these bytes, from any thread."""
        try:
            handle = self._handles.popleft()
        except IndexError:
            handle = self._open()
        with self.translated():
            handle.seek(start)
            data: bytes = handle.read(stop - start)
        self._handles.append(handle)
        return data

    def check(self) -> None:
        """Raise `SourceError` if the file is another one now."""
        with self.translated():
            self._filesystem.invalidate_cache()  # huggingface_hub keeps listings
            info = self._filesystem.info(self._path)
        self._compare(info)

    def whole(self) -> Guarded:
        """Open all bytes, to be read from the first to the last."""
        return _WholeObject(self._open(), self)

    def translated(self) -> AbstractContextManager[None]:
        """Turn what fsspec's packages raise into errors of ours."""
        return _translated(self._url)

    def _open(self) -> Any:
        with self.translated():
            handle = self._filesystem.open(self._path, "rb", cache_type="none")
            if _has_ranges(handle):
                self._compare(handle.details)
        return handle

    def _compare(self, info: Mapping[str, Any]) -> None:
        if (info.get("size"), _version(info)) != (self.size, self.version):
            raise SourceError(
                f"{self.name}: was changed while it was read; read it again"
            )


class _WholeObject(Guarded):
    """All bytes of a file, from the first to the last."""

    def __init__(self, handle: Any, file: StoredFile) -> None:
        super().__init__(handle, file.name)
        self._file = file

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to ``len(buffer)`` bytes; 0 is the end."""
        target = memoryview(buffer).cast("B")
        try:
            with self._file.translated():
                data = self._inner.read(len(target))
            if not data:
                self._file.check()
        except Failure as failure:
            raise SourceError(f"{self._name}: cannot be read: {failure}") from failure
        target[: len(data)] = data
        return len(data)


def names_several(url: Url) -> bool:
    """Whether a URL is that of a folder, which ends with a slash, or is a pattern."""
    place = url.whole.partition("://")[2].partition("?")[0]
    return place.endswith("/") or "*" in place


def listed(url: Url) -> list[Url]:
    """Return the files of a folder, or those that a pattern matches, in order.

    ``*`` stands for any part of a name, ``**`` for folders in folders, too. Raises
    `UnknownSourceError` where there is no file, `SourceError` for a folder with folders
    in it, and `Failure`.
    """
    filesystem, path = _located(url)
    with _translated(url):
        if "*" in path:
            found = filesystem.glob(path, detail=True)
        else:
            entries = filesystem.ls(path, detail=True)
            found = {entry["name"]: entry for entry in entries}
    files: list[str] = []
    for name, entry in found.items():
        last = name.rstrip("/").rpartition("/")[2]
        if name.rstrip("/") == path.rstrip("/") or not is_data(last, path):
            continue  # of a folder, S3 may list an object of its own name
        if entry["type"] == "file":
            files.append(name)
        elif "**" not in path:
            raise SourceError(
                f"{url}: {last!r} in it is a folder; name the files by a pattern, such "
                f"as {str(url).rstrip('/*')}/**/part-*"
            )
    if not files:
        raise UnknownSourceError(f"{url}: no file is there that could be vectors")
    files.sort(key=lambda name: natural(name.split("/")))
    return [Url(filesystem.unstrip_protocol(name)) for name in files]


def _located(url: Url) -> tuple[Any, str]:
    """Return the file system that a URL names, and the path in it."""
    protocol = url.partition("://")[0].lower()
    if "::" in url:
        raise SourceError(
            f"{url}: name files without '::'; a member of an archive is named behind "
            "a #"
        )
    try:
        import fsspec.core

        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        package = _PACKAGES.get(protocol, "")
        raise MissingPackageError(
            f"{url}: files of {protocol}:// need packages that are not installed "
            f"({error}): pip install 'pretrained-embed[remote]' {package}".rstrip()
        ) from error
    except ValueError as error:
        raise UnknownSourceError(
            f"{url}: fsspec has no package for {protocol}://"
        ) from error
    with _translated(url):
        # Without listings, which would not show that a file has changed.
        found: tuple[Any, str] = fsspec.core.url_to_fs(
            url.whole, use_listings_cache=False
        )
    return found


def _has_ranges(handle: Any) -> bool:
    """Whether each read of a handle is a request for these bytes and no others."""
    from fsspec.spec import AbstractBufferedFile

    return isinstance(handle, AbstractBufferedFile)


def _version(info: Mapping[str, Any]) -> str | None:
    return next((f"{key} {info[key]}" for key in _VERSIONS if info.get(key)), None)


@contextmanager
def _translated(url: Url) -> Iterator[None]:
    """Turn what fsspec's packages raise into `Failure` and this package's own errors.

    What is no error of the system they have tried several times themselves.
    """
    try:
        yield
    except PretrainedEmbedError:
        raise
    except FileNotFoundError as error:
        message = f"{url}: there is no such file"
        raise UnknownSourceError(message) from url.cause(error)
    except PermissionError as error:
        raise SourceError(
            f"{url}: access is denied ({_first_line(url, error)}); credentials are "
            "taken from the environment"
        ) from url.cause(error)
    except OSError as error:
        again = error.errno not in _FINAL
        raise Failure(_first_line(url, error), again=again) from url.cause(error)
    except Exception as error:  # noqa: BLE001  (each package has kinds of its own)
        raise SourceError(
            f"{url}: cannot be read ({_first_line(url, error)}); credentials, where "
            "they are needed, are taken from the environment"
        ) from url.cause(error)


def _first_line(url: Url, error: Exception) -> str:
    """Return what an error says, where all that follows is advice, on one line."""
    lines = url.hide(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
