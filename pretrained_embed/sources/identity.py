"""The identity of a source: before it is read, and of all its bytes.

The first shows whether a source has changed, the second whether two sources are equal.
The store of a source is found by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import json_digest, sha256

if TYPE_CHECKING:
    from pretrained_embed.arrays import Progress


class Mark(NamedTuple):
    """The mark by which a source is found again, without reading it."""

    source: str  # the requested name, URL or path
    key: str
    # differs if the bytes may differ; None: nothing to compare
    state: list[object] | None


@dataclass(frozen=True)
class Identity:
    """The identity of a stream, made together with the stream."""

    source: str  # the name, URL or path it was asked for by
    size: int | None = None  # bytes of the file, as it lies there
    fingerprint: str | None = None  # of a local file, or one of a package
    version: str | None = None  # of a file on another machine: another is another file
    #: Each has ``algorithm`` and ``value``; ``of`` what, and ``by`` whom it is vouched
    #: for. They are verified, but for those of a package.
    digests: tuple[Mapping[str, str], ...] = ()
    #: The local files: of the vectors, and of the tokens if these are in another file.
    files: tuple[Path, ...] = ()
    #: Whether the digests are from an installed package and were not checked.
    is_package: bool = False
    member: str | None = None  # of the archive that the file is
    in_parts: bool = False  # whether the files are parts of one source, in this order

    def mark(self) -> Mark | None:
        """Return the mark of a local file; ``None`` for other sources.

        Its state is size, times of change, inode and fingerprint, of which at least one
        changes when the file is written. They are read now.
        """
        if self.fingerprint is None or self.digests:
            return None
        state: list[object] = [self.fingerprint]
        try:
            for file in self.files:
                status = file.stat()
                state += [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
                state.append(status.st_ino)
            named = self.files if self.in_parts else self.files[:1]
            key = json_digest([*(str(file.resolve()) for file in named), self.member])
        except OSError:
            return None
        return Mark(self.source, key, state)

    def content(self) -> list[str] | None:
        """Return the identity of verified content; ``None`` if there is none."""
        if not self.digests:
            return None
        named: dict[str, str | None] = {}
        for known in self.digests:
            if not {"algorithm", "value"} <= set(known):
                return None
            named[f"{known['algorithm']}:{known['value']}"] = known.get("of")
        digests = [*named]
        if self.is_package:  # the files of a package are not hashed each time
            digests.append(str(self.fingerprint))
        for tokens in self.files[1:]:
            if tokens.name not in named.values():
                try:
                    digests.append(f"tokens sha256:{sha256(tokens)}")
                except OSError:
                    return None
        return [*digests, *self._member()]

    def read(self, progress: Progress | None = None) -> list[str]:
        """Return what identifies the content of a local file: all of it is read.

        Raises `SourceError` where that is not possible.
        """
        try:
            digests = [
                f"sha256:{sha256(file, progress=progress)}" for file in self.files
            ]
        except OSError as error:
            raise SourceError(
                f"{self.files[0]}: cannot be read: {error.strerror}"
            ) from error
        if self.in_parts:  # in another order they are another source
            digests = [f"parts {json_digest(digests)}"]
        return [*digests, *self._member()]

    def check_package(self) -> None:
        """Hash the files of an installed package.

        Raises `SourceError` where one is not what its package says it is.
        """
        if not self.is_package:
            return
        named = {path.name: path for path in self.files}
        for known in self.digests:
            path = named.get(known.get("of", ""))
            if path is not None and known["algorithm"] == "sha256":
                found = sha256(path)
                if found != known["value"]:
                    raise SourceError(
                        f"{path}: the installed file is damaged: sha256 {found}, not "
                        f"{known['value']}; install its package anew"
                    )

    def telling(self) -> dict[str, Any]:
        """Return what tells the bytes from others; nothing where nothing is known."""
        known = {
            "fingerprint": self.fingerprint,
            "version": self.version,
            "digests": [*self.digests],
        }
        state = {name: value for name, value in known.items() if value}
        return state and state | {"size": self.size, "member": self.member}

    def _member(self) -> list[str]:
        return [] if self.member is None else [f"member {self.member}"]
