"""Files that hold a vocabulary.

text
    One token a line; the line number, from 0, is the id. The file is UTF-8; a byte
    order mark at its very start is not part of the first token. A line ends at LF
    (0x0A) and nowhere else; one CR before the LF, or at the end of the file, goes with
    it. Nothing else is trimmed: spaces, tabs, NBSP, NEL and U+2028 belong to the token.
    No line is empty; the last one needs no LF.
counts
    The same, but each line is ``TOKEN TAB DIGITS``, split at its last tab.
json
    A list of tokens, or an object from token to id. No key comes twice.

Where the kind is not given: a name that ends in ``.json`` and content that starts with
``[`` or ``{`` and is JSON from start to end are json (so that BERT's vocabulary, whose
first token is ``[PAD]``, is text); a first line ``TOKEN TAB DIGITS`` means counts; all
else is text.
"""

from __future__ import annotations

import os
import re
import reprlib
import stat
from pathlib import Path
from typing import Literal, get_args

from pretrained_embed.errors import OptionError, VocabularyError
from pretrained_embed.vocabulary.checks import repeated

Kind = Literal["text", "counts", "json"]

#: Tokens, or tokens and their ids; and the counts where the file has them.
Content = tuple[list[str] | dict[str, int], dict[str, int] | None]

_COUNT = re.compile(r".+\t[0-9]{1,18}")  # 18 digits fit int64
_BOM = b"\xef\xbb\xbf"
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


def read(path: str | os.PathLike[str], kind: Kind | None) -> Content:
    """Read a vocabulary file.

    Raises `VocabularyError` naming the file, and the line where there is one.
    """
    if kind is not None and kind not in get_args(Kind):
        raise OptionError(f"kind is {kind!r}; it can be {', '.join(get_args(Kind))}")
    name = os.fsdecode(path)
    text = _decoded(_bytes(name), name)

    must_be_json = kind == "json" or (kind is None and name.lower().endswith(".json"))
    may_be_json = kind is None and text.startswith(("[", "{"))
    if must_be_json or may_be_json:
        import json

        try:
            # Objects become tuples of pairs: a dict would swallow repeated keys.
            value = json.loads(text, object_pairs_hook=tuple)
        except (ValueError, RecursionError) as error:
            if must_be_json:
                raise VocabularyError(_json_fault(name, error)) from error
        else:
            return _from_json(value, name), None

    lines = _lines(text, name)
    if kind == "counts" or (kind is None and _COUNT.fullmatch(lines[0])):
        return _from_counts(lines, name)
    _check_lines(lines, name)
    return lines, None


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


def _decoded(data: bytes, name: str) -> str:
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise VocabularyError(_not_a_vocabulary(name, what))
    header_size = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and header_size <= len(data) - 8:
        raise VocabularyError(_not_a_vocabulary(name, "a safetensors file"))
    data = data.removeprefix(_BOM)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VocabularyError(
            f"{name}:{line}: bytes {data[error.start : error.end]!r} are not UTF-8; "
            "save the file as UTF-8"
        ) from error


def _not_a_vocabulary(name: str, what: str) -> str:
    return (
        f"{name} is {what}, not a vocabulary: give a UTF-8 text file with one token a "
        "line, or JSON"
    )


def _json_fault(name: str, error: Exception) -> str:
    import json

    if isinstance(error, json.JSONDecodeError):
        return f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}"
    return f"{name}: not JSON that can be read: {error}"


def _from_json(value: object, name: str) -> list[str] | dict[str, int]:
    """Return the list or object; its items are checked where all tokens are."""
    if isinstance(value, list):
        return value
    if not isinstance(value, tuple):
        raise VocabularyError(
            f"{name}: expected a list of tokens or an object from token to id, found "
            f"{type(value).__name__}"
        )
    if again := repeated([token for token, _ in value]):
        first, second = again
        raise VocabularyError(
            f"{name}: token {value[first][0]!r} is there twice, with ids "
            f"{value[first][1]!r} and {value[second][1]!r}"
        )
    return dict(value)


def _lines(text: str, name: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1]:
        lines[-1] = lines[-1].removesuffix("\r")
    else:
        del lines[-1]
    if not lines:
        raise VocabularyError(f"{name}: the vocabulary is empty")
    return lines


def _check_lines(tokens: list[str], name: str) -> None:
    if "" in tokens:
        raise VocabularyError(
            f"{name}:{tokens.index('') + 1}: no token in this line; remove the line (a "
            "JSON list can hold an empty token)"
        )
    if again := repeated(tokens):
        first, second = again
        raise VocabularyError(
            f"{name}:{second + 1}: token {tokens[second]!r} is already in line "
            f"{first + 1}; a token has one id"
        )


def _from_counts(lines: list[str], name: str) -> Content:
    tokens: list[str] = []
    counts: list[int] = []
    for number, line in enumerate(lines, 1):
        if not _COUNT.fullmatch(line):
            raise VocabularyError(
                f"{name}:{number}: expected TOKEN<TAB>COUNT as in a list of counts, "
                f'found {reprlib.repr(line)}; kind="text" takes each line as a token'
            )
        token, _, digits = line.rpartition("\t")
        tokens.append(token)
        counts.append(int(digits))
    _check_lines(tokens, name)
    return tokens, dict(zip(tokens, counts, strict=True))
