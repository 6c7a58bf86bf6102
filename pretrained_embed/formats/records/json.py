"""JSON: an object of token to vector, a list of objects, or an object a line.

::

    {"the": [0.1, 0.2], "of": [0.3, 0.4]}
    [{"token": "the", "vector": [0.1, 0.2]}, ...]
    {"token": "the", "vector": [0.1, 0.2]}
    {"token": "of", "vector": [0.3, 0.4]}

The first object tells which of its values are the token and the vector: the only string
and the only list of numbers. Values are parsed one by one, so memory holds one at a
time. https://www.rfc-editor.org/rfc/rfc8259 ; https://jsonlines.org
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

from pretrained_embed.arrays import Progress
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import FormatError, TruncatedError, brief
from pretrained_embed.formats.columns import Column, Holds, choose
from pretrained_embed.formats.findings import Note
from pretrained_embed.formats.known_layout import KnownLayout, with_columns
from pretrained_embed.formats.reader import ByteStream
from pretrained_embed.formats.records.reader import (
    BadRecordError,
    Record,
    RecordReader,
    check_count,
)

NAME = "json"

_CHUNK = 1 << 18
#: Characters in which the first object of several ends.
_LOOKED_AT = 1 << 18
#: Characters of a value, which has to be in memory as a whole.
_LONGEST_VALUE = 1 << 23
_BLANKS = re.compile(r"[ \t\r\n]*")
_REMEDY = "name them: FILE#token=KEY,vector=KEY"
_FORMS = (
    "vectors are read from an object of token to list, from a list of objects with a "
    "string and a list of numbers, and from such an object a line"
)
#: Digits of a number that fits an int64; longer ones are read as `float` does.
_DIGITS = 18

Form = Literal["object", "list", "lines"]


class Fields(NamedTuple):
    """Under which keys an object has its token and its vector."""

    token: str
    vectors: list[str]
    lists: bool
    dim: int
    notes: list[Note]


def open_reader(stream: ByteStream, layout: KnownLayout | None = None) -> JsonReader:
    """Return a reader; raises `FormatError` for JSON that has no vectors."""
    known = with_columns(layout, stream)
    with (
        refusing_damage(stream.name, "cannot be read as JSON"),
        stream.open() as file,
    ):
        form, values = _values(Text(file, stream.name))
        first = next(values, None)
    where = stream.name
    if first is None or not (isinstance(first.value, dict) or form == "object"):
        raise FormatError(f"{where}: this is JSON without vectors; {_FORMS}")
    if form == "object":
        if not _is_vector(first.value):
            raise FormatError(
                f"{where}: this is JSON whose {brief(first.key)} is no list of "
                f"numbers; {_FORMS}"
            )
        return JsonReader(stream, form, None, len(first.value))
    keys = _keys(first.value, where, known)
    return JsonReader(stream, form, keys, keys.dim)


class JsonReader(RecordReader):
    """Reads the records of a JSON file."""

    def __init__(
        self, stream: ByteStream, form: Form, keys: Fields | None, dim: int
    ) -> None:
        super().__init__(stream, NAME, dim, [] if keys is None else keys.notes)
        self._form = form
        self._keys = keys

    def records(self, progress: Progress | None) -> Iterator[Record | BadRecordError]:
        """Yield all records. See `RecordReader`."""
        size = self._stream.size
        with self._stream.open() as file:
            text = Text(file, self.name)
            _, values = _values(text, self._form)
            for number, value in enumerate(values):
                line = value.line if self._form == "lines" else None
                if self._keys is None:
                    yield self._pair(line, value.key, value.value)
                else:
                    yield self._object(line, value.value, self._keys)
                if progress is not None and not number % 4096:
                    progress(text.read, size)
            if progress is not None:
                progress(text.read, text.read if size is None else size)

    def _pair(
        self, line: int | None, token: object, vector: Any
    ) -> Record | BadRecordError:
        if isinstance(token, int | float) and not isinstance(token, bool):
            token = str(token)  # ids
        if not isinstance(token, str):
            return BadRecordError(
                f"no token, but {brief(token)}", "table.bad-row", line
            )
        try:
            raw = token.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return BadRecordError(
                "the token is half a character", "table.bad-row", line
            )
        return Record(line, raw, lambda: _vector(vector, self.dim))

    def _object(
        self, line: int | None, value: Any, keys: Fields
    ) -> Record | BadRecordError:
        if not isinstance(value, dict):
            return BadRecordError(
                f"no object, but {brief(value)}", "table.bad-row", line
            )
        vector: Any = [value.get(key) for key in keys.vectors]
        return self._pair(
            line, value.get(keys.token), vector[0] if keys.lists else vector
        )


def _vector(value: Any, dim: int) -> list[float]:
    if not isinstance(value, list):
        raise BadRecordError(f"no list of numbers, but {brief(value)}", "table.bad-row")
    check_count(len(value), dim)
    if not {*map(type, value)} <= {int, float}:
        place = next(p for p, n in enumerate(value) if type(n) not in (int, float))
        raise BadRecordError(
            f"number {place + 1:,} of the vector is {brief(value[place])}"
        )
    return value


def _is_vector(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and {*map(type, value)} <= {int, float}
    )


def _keys(first: dict[str, Any], where: str, known: KnownLayout) -> Fields:
    columns = [Column(name, _holds(value)) for name, value in first.items()]
    chosen = choose(
        columns, where, token=known.token, vector=known.vector, remedy=_REMEDY
    )
    assert chosen.token is not None  # for an object has no index
    names = [columns[place].name for place in chosen.vectors]
    dim = len(first[names[0]]) if chosen.listed else len(names)
    token = columns[chosen.token].name
    return Fields(token, names, chosen.listed, dim, chosen.notes)


def _holds(value: Any) -> Holds:
    if isinstance(value, str):
        return "text"
    if _is_vector(value):
        return "lists"
    if isinstance(value, float):
        return "floats"
    return "whole" if type(value) is int else "other"


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


_DECODER = json.JSONDecoder(parse_int=_whole)


class Value(NamedTuple):
    """A value of the file."""

    key: str | None  # of an object
    value: Any
    line: int


class Text:
    """The text of a file, of which values are taken one after the other."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self.read = 0  # bytes
        self.line = 1
        self._file = file
        self._where = where
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text = ""
        self._at = 0
        self._ended = False
        self._more()
        self._text = self._text.removeprefix("\ufeff")

    def peek(self) -> str:
        """Return the next character that is no blank; nothing at the end."""
        while True:
            end = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches anywhere
            self._pass(end)
            if end < len(self._text) or not self._more():
                return self._text[end : end + 1]

    def take(self, expected: str) -> str:
        """Pass over the next character, which is one of those that are expected."""
        found = self.peek()
        if not found:
            raise TruncatedError(
                f"{self._where}, line {self.line:,}: the JSON ends here; the file is "
                "incomplete, copy or download it again"
            )
        if found not in expected:
            raise FormatError(
                f"{self._where}, line {self.line:,}: {found!r} stands where "
                f"{' or '.join(expected)} is due; it is no JSON"
            )
        self._pass(self._at + 1)
        return found

    def value(self) -> Any:
        """Return the next value, and pass over it."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or (
                    error.pos >= len(self._text) - 16
                )
                if cut and self._more():
                    continue
                kind = TruncatedError if cut else FormatError
                raise kind(
                    f"{self._where}, line {self.line + self._lines(error.pos):,}: no "
                    f"JSON: {error.msg}; get the file again"
                ) from error
            self._pass(end)
            return value

    def look(self) -> tuple[Any, str]:
        """Return the next value, and the character behind it; nothing is passed over.

        ``None`` for a value that is not at hand as a whole, or is damaged.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) < _LOOKED_AT and self._more():
                    continue
                return None, ""
            behind = _BLANKS.match(self._text, end).end()  # type: ignore[union-attr]  # it matches anywhere
            if behind < len(self._text):
                return value, self._text[behind]
            if not self._more():
                return value, ""

    def end(self) -> None:
        """Raise `FormatError` where something follows."""
        if found := self.peek():
            raise FormatError(
                f"{self._where}, line {self.line:,}: {found!r} follows the end of the "
                "JSON; the file is damaged, or two were joined"
            )

    def _lines(self, end: int) -> int:
        return self._text.count("\n", self._at, end)

    def _pass(self, end: int) -> None:
        self.line += self._lines(end)
        self._at = end

    def _more(self) -> bool:
        """Read as much again as is there; tell whether there was more."""
        if self._ended:
            return False
        self._text = self._text[self._at :]
        self._at = 0
        if len(self._text) > _LONGEST_VALUE:
            raise FormatError(
                f"{self._where}, line {self.line:,}: a value of more than "
                f"{_LONGEST_VALUE >> 20} million characters, which is no vector; "
                f"{_FORMS}"
            )
        raw = self._file.read(max(_CHUNK, len(self._text)))
        self.read += len(raw)
        self._ended = not raw
        self._text += self._decode(raw, self._ended)
        return not self._ended


def _values(text: Text, form: Form | None = None) -> tuple[Form, Iterator[Value]]:
    """Return which form a file has, and its values."""
    if text.peek() == "[":
        return "list", _of_list(text)
    form = form or _form(text)
    return form, _of_object(text) if form == "object" else _of_lines(text)


def _form(text: Text) -> Form:
    """Tell an object of all vectors from the first of many objects."""
    first, following = text.look()
    if first is None:  # it is long
        return "object"
    if following == "{":
        return "lines"
    alike = isinstance(first, dict) and all(map(_is_vector, first.values()))
    return "object" if alike else "lines"


def _of_object(text: Text) -> Iterator[Value]:
    text.take("{")
    if text.peek() == "}":
        text.take("}")
    else:
        while True:
            line, key = text.line, text.value()
            text.take(":")
            yield Value(key, text.value(), line)
            if text.take(",}") == "}":
                break
    text.end()


def _of_list(text: Text) -> Iterator[Value]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
    else:
        while True:
            line = text.line
            yield Value(None, text.value(), line)
            if text.take(",]") == "]":
                break
    text.end()


def _of_lines(text: Text) -> Iterator[Value]:
    while text.peek():
        line = text.line
        yield Value(None, text.value(), line)
