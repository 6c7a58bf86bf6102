"""A vocabulary file as its readers see it: bytes, text, lines, JSON."""

from __future__ import annotations

import json
import os
import stat
import sys
from codecs import getincrementaldecoder
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import VocabularyError
from pretrained_embed.files.reading import open_pipe, read_fully
from pretrained_embed.vocabulary.files import mistaken

#: The byte order mark that some editors write before UTF-8 text.
BOM = b"\xef\xbb\xbf"
#: How many bytes are decoded at a time.
_BLOCK = 1 << 22


class JsonObject(dict[str, Any]):
    """A JSON object that records a key that is there twice, with both values."""

    repeated: tuple[str, Any, Any] | None = None


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    made = JsonObject(pairs)
    if len(made) < len(pairs):
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                made.repeated = (key, seen[key], value)
                break
            seen[key] = value
    return made


class VocabularyFile:
    """The content of a vocabulary file; each form of it is computed at its first use.

    The name ``-`` is standard input, and a pipe is read to its end. With ``told`` the
    kind was given, so that lines are not checked for another kind. Raises
    `VocabularyError`, which names the file, and the line if there is one.
    """

    def __init__(self, path: str | os.PathLike[str], *, told: bool = True) -> None:
        self.name, self._told = os.fsdecode(path), told
        if self.name == "-":
            self.name = "<stdin>"
            self.data = self._read(sys.stdin.buffer)
        else:
            with _opened(self.name) as file:
                self.data = self._read(file)

    def _read(self, file: BinaryIO) -> bytes:
        """Read the file, unless its beginning shows that it is no vocabulary."""
        try:
            head = read_fully(file, mistaken.HEAD_SIZE)
            mistaken.check_bytes(head, self.name)
            whole = len(head) < mistaken.HEAD_SIZE
            if not self._told:
                mistaken.check_lines(head.removeprefix(BOM), self.name, whole=whole)
            if whole or not mistaken.may_be_read(head.removeprefix(BOM)):
                return head  # errors of other content are raised in here
            return b"".join([head, file.read()])
        except OSError as error:
            raise _unreadable(self.name, error) from error

    @cached_property
    def text(self) -> str:
        """The content as UTF-8, without a byte order mark at its beginning."""
        data = self.data.removeprefix(BOM)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise VocabularyError(
                f"{self.name}:{line}: bytes {data[error.start : error.end]!r} are not "
                "UTF-8; save the file as UTF-8"
            ) from error

    @cached_property
    def lines(self) -> PackedTokens:
        """The lines without their ends: LF, CR LF, or CR at the end of the file."""
        data = self.data.removeprefix(BOM)
        if not data:
            raise VocabularyError(f"{self.name}: the vocabulary is empty")
        if not _is_utf8(data):
            _ = self.text  # this reports where it is not UTF-8
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not data.endswith(b"\n"):
            data = data.removesuffix(b"\r") + b"\n"
        return PackedTokens.of_lines(data)

    @cached_property
    def json(self) -> Any:
        """The JSON value of the whole text; objects are `JsonObject`."""
        with refusing_damage(
            self.name, "not JSON that can be read", "", kind=VocabularyError
        ):
            try:
                return json.loads(self.text, object_pairs_hook=_object)
            except json.JSONDecodeError as error:
                raise VocabularyError(
                    f"{self.name}:{error.lineno}:{error.colno}: not JSON: {error.msg}"
                ) from error

    @cached_property
    def is_json(self) -> bool:
        """Whether the name ends in .json, or the content is JSON."""
        if self.name.lower().endswith(".json"):
            return True
        if not self.data.removeprefix(BOM).startswith((b"[", b"{")):
            return False
        try:
            return isinstance(self.json, list | dict)
        except VocabularyError:
            return False


def _is_utf8(data: bytes) -> bool:
    """Return whether bytes are UTF-8, without making one ``str`` of them."""
    if data.isascii():
        return True
    decoder = getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _BLOCK):
            decoder.decode(data[start : start + _BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _opened(name: str) -> BinaryIO:
    """Open a file or a pipe."""
    try:
        mode = Path(name).stat().st_mode
        if stat.S_ISFIFO(mode):
            return open_pipe(Path(name))
        if not stat.S_ISREG(mode):  # reading a device might never end
            what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise OSError(f"it is {what}")
        return Path(name).open("rb", buffering=0)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> VocabularyError:
    reason = getattr(error, "strerror", None) or str(error)
    return VocabularyError(f"the vocabulary file {name} cannot be read: {reason}")
