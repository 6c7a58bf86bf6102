"""A file as the kinds of vocabulary see it: bytes, text, lines, JSON."""

from __future__ import annotations

import json
import os
import stat
from codecs import getincrementaldecoder
from functools import cached_property
from pathlib import Path
from typing import Any

from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import VocabularyError

#: What some editors put before text in UTF-8.
BOM = b"\xef\xbb\xbf"
#: How many bytes are decoded at a time.
_BLOCK = 1 << 22
_MAGIC = {
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x1f\x8b": "compressed with gzip",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


class JsonObject(dict[str, Any]):
    """A JSON object that remembers a key that came twice, and both its values."""

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


class File:
    """The content of a vocabulary file, each view of it made when first asked for.

    Raises `VocabularyError` naming the file, and the line where there is one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fsdecode(path)
        self.data = _bytes(self.name)
        for magic, what in _MAGIC.items():
            if self.data.startswith(magic):
                raise VocabularyError(_not_a_vocabulary(self.name, what))
        header_size = int.from_bytes(self.data[:8], "little")
        if self.data[8:9] == b"{" and header_size <= len(self.data) - 8:
            raise VocabularyError(_not_a_vocabulary(self.name, "a safetensors file"))

    @cached_property
    def text(self) -> str:
        """The content as UTF-8, without a byte order mark at its start."""
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
            _ = self.text  # which tells where it is not
        data = data.replace(b"\r\n", b"\n")
        if not data.endswith(b"\n"):
            data = data.removesuffix(b"\r") + b"\n"
        return PackedTokens.of_lines(data)

    @cached_property
    def json(self) -> Any:
        """The value that the text is, from start to end; objects are `JsonObject`."""
        try:
            return json.loads(self.text, object_pairs_hook=_object)
        except json.JSONDecodeError as error:
            raise VocabularyError(
                f"{self.name}:{error.lineno}:{error.colno}: not JSON: {error.msg}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise VocabularyError(
                f"{self.name}: not JSON that can be read: {error}"
            ) from error

    @cached_property
    def is_json(self) -> bool:
        """Whether the name says so, or the content starts like JSON and is JSON."""
        if self.name.lower().endswith(".json"):
            return True
        if not self.data.removeprefix(BOM).startswith((b"[", b"{")):
            return False
        try:
            return isinstance(self.json, list | dict)
        except VocabularyError:
            return False


def _is_utf8(data: bytes) -> bool:
    """Tell whether bytes are UTF-8, without a ``str`` of them all."""
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


def _bytes(name: str) -> bytes:
    try:
        mode = Path(name).stat().st_mode
        if not stat.S_ISREG(mode):  # reading a pipe might never end
            what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise OSError(f"it is {what}")
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise VocabularyError(
            f"the vocabulary file {name} cannot be read: {reason}"
        ) from error


def _not_a_vocabulary(name: str, what: str) -> str:
    return (
        f"{name} is {what}, not a vocabulary: give a UTF-8 text file with one token a "
        "line, JSON, or the file of a tokenizer"
    )
