"""SentencePiece: the ``.model`` and the ``.vocab`` beside it.

A model is a message of Protocol Buffers, defined in
https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto. These
fields are used here:

- 1, once for each piece in order of id: 1 the piece, 3 its type (1 normal, 2 unknown,
  3 control, 4 user defined, 5 unused, 6 a byte);
- 2, the settings of the trainer: 24 whether spaces go to the end of a word; 40 to 43
  the ids of unk, bos, eos and pad, the last -1 unless it is there; 45 to 48 their
  pieces.

As in the library, special pieces are recognised by type and name. Of the ids, only that
of the pad is used, which says whether there is a pad.

A vocab is lines ``PIECE TAB SCORE`` in order of id. Scores are logarithms of
probabilities or negative ranks, so some are below 0 and none above; special pieces have
0.

The wire format of Protocol Buffers, as far as it is needed:

A message is fields one after the other: a varint ``number << 3 | wire type``, then
a varint (type 0), 8 bytes (1), a varint of a length and so many bytes (2), or 4 bytes
(5).
Types 3 and 4, groups, are obsolete and refused.
https://protobuf.dev/programming-guides/encoding/

Memory is never allocated on the word of a message: each length is compared with the
bytes that follow, and positions are returned instead of copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from pretrained_embed.errors import MissingPackageError, VocabularyError, brief
from pretrained_embed.vocabulary.content import RawVocabulary, numbered, parts_of
from pretrained_embed.vocabulary.encoding import OwnTokenizer
from pretrained_embed.vocabulary.files.file import VocabularyFile

_FIXED = {1: 8, 5: 4}


class WireError(VocabularyError):
    """The bytes are no message; ``offset`` is where the error is."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"at byte {offset}: {message}")
        self.offset = offset


def fields(
    data: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int | slice]]:
    """Yield number and value of the fields of ``data[start:end]``.

    The value is the number of a varint; for other types, the range of bytes in
    ``data``. Raises `WireError`.
    """
    place, end = start, len(data) if end is None else end
    while place < end:
        at = place
        key, place = _varint(data, place, end)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise WireError("a field with number 0", at)
        if wire == 0:
            value, place = _varint(data, place, end)
            yield number, value
            continue
        if wire == 2:
            size, place = _varint(data, place, end)
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise WireError(f"a field of wire type {wire}, which is not in use", at)
        if size > end - place:
            raise WireError(
                f"a field of {size} bytes where {end - place} are left; is the file "
                "cut off?",
                at,
            )
        yield number, slice(place, place + size)
        place += size


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the number that begins at a position, and the position after it."""
    if start < end and data[start] < 0x80:  # most numbers
        return data[start], start + 1
    number = 0
    for place in range(start, min(end, start + 10)):
        byte = data[place]
        number |= (byte & 0x7F) << 7 * (place - start)
        if byte < 0x80:
            return number, place + 1
    what = "a number of more than 10 bytes" if end - start >= 10 else "a number cut off"
    raise WireError(what, start)


_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
_SPACES_AT_END, _PAD_ID = 24, 43
_PARTS = {45: "unk", 46: "bos", 47: "eos", 48: "pad"}
_NAMES = {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "pad": "<pad>"}
_CONTROL_CHARACTER = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_LINE = re.compile(r"(.+)\t(-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)")


def recognise_model(file: VocabularyFile) -> bool:
    """Return whether the first field is a piece: its text, and then its score."""
    head = re.match(rb"\n[\x07-\x7f]\n([\x00-\x7a])", file.data)
    if head is None:
        return False
    end = 4 + head[1][0]
    return file.data[end : end + 1] == b"\x15"


def read(file: VocabularyFile) -> RawVocabulary:
    """Return the pieces of a vocab if the file is text, else those of a model."""
    if recognise_model(file) or _CONTROL_CHARACTER.search(file.data):
        content = model_content(file.data, file.name)
        return replace(content, own=_own_of_file(file.data, file.name))
    return _read_vocab(file)


def _own_of_file(data: bytes, name: str) -> OwnTokenizer:
    """Return the tokenizer of a model, which is loaded for the first text."""

    @cache
    def loaded() -> Any:
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError as error:
            raise MissingPackageError(
                f"reading texts with {name} needs sentencepiece: pip install "
                "sentencepiece; or give lists of tokens, as in encode([['see', 'you']])"
            ) from error
        try:
            return SentencePieceProcessor(model_proto=data)
        except RuntimeError as error:
            raise VocabularyError(
                f"{name}: sentencepiece cannot read texts with it: {error}; give lists "
                "of tokens"
            ) from error

    return OwnTokenizer(
        f"the model {name}", lambda texts, _: loaded().encode(texts, out_type=int)
    )


def own(name: str, processor: Any) -> OwnTokenizer:
    """Return the tokenizer of a ``SentencePieceProcessor``."""
    return OwnTokenizer(name, lambda texts, _: processor.encode(texts, out_type=int))


def model_content(data: bytes, where: str) -> RawVocabulary:
    """Return the pieces of a serialised model; ``where`` names it in errors.

    Raises `VocabularyError`.
    """
    try:
        return _content(data)
    except VocabularyError as error:
        raise VocabularyError(f"{where}: not a SentencePiece model: {error}") from error


def _content(data: bytes) -> RawVocabulary:
    pieces: list[str] = []
    kinds: list[int] = []
    told = _Told()
    for number, value in fields(data):
        if number == 1:
            piece, kind = _piece(data, value)
            pieces.append(piece)
            kinds.append(kind)
        elif number == 2:
            told.read(data, value)
    if not pieces:
        raise VocabularyError("there is no piece in it")
    ids = numbered(pieces)
    by_kind = list(zip(pieces, kinds, strict=True))
    control = [piece for piece, kind in by_kind if kind == _CONTROL]
    unknown = [piece for piece, kind in by_kind if kind == _UNKNOWN]
    said = {"unk": unknown[0]} if unknown else {}
    for part in ("bos", "eos", "pad"):
        if told.names[part] in control:
            said[part] = told.names[part]
    if told.has_pad and told.names["pad"] not in ids:
        said["pad"] = told.names["pad"]  # an error if the pad is needed
    return RawVocabulary(
        ids,
        special_tokens={**said, **{c: c for c in control if c not in said.values()}},
        marks=None if told.spaces_at_end else "sentencepiece",
    )


class _Told:
    """The settings of the trainer, as far as they are used here."""

    def __init__(self) -> None:
        self.names = dict(_NAMES)
        self.has_pad = False
        self.spaces_at_end = False

    def read(self, data: bytes, place: int | slice) -> None:
        """Read the settings from a message."""
        for number, value in _message(data, place):
            if number in _PARTS:
                self.names[_PARTS[number]] = _text(data, value)
            elif number == _PAD_ID:
                # otherwise -1
                self.has_pad = isinstance(value, int) and value < 1 << 31
            elif number == _SPACES_AT_END:
                self.spaces_at_end = bool(value)


def _piece(data: bytes, place: int | slice) -> tuple[str, int]:
    text, kind = "", _NORMAL
    for number, value in _message(data, place):
        if number == 1:
            text = _text(data, value)
        elif number == 3 and isinstance(value, int):
            kind = value
    return text, kind


def _message(data: bytes, place: int | slice) -> Iterator[tuple[int, int | slice]]:
    if isinstance(place, int):
        raise VocabularyError(f"the number {place} where a message should be")
    return fields(data, place.start, place.stop)


def _text(data: bytes, place: int | slice) -> str:
    if isinstance(place, int):
        raise VocabularyError(f"the number {place} where text should be")
    raw = data[place]
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise VocabularyError(
            f"at byte {place.start}: {brief(raw)} is not UTF-8"
        ) from error


def recognise_vocab(file: VocabularyFile) -> bool:
    """Return whether all lines end in a score, some below 0 and none above."""
    if not _LINE.fullmatch(file.lines[0]):
        return False
    lines = file.lines.unpack()
    scores = [line.rpartition("\t")[2] for line in lines]
    return (
        any(score.startswith("-") and score != "-0" for score in scores)
        and all(score.startswith("-") or score == "0" for score in scores)
        and all(map(_LINE.fullmatch, lines))
    )


def _read_vocab(file: VocabularyFile) -> RawVocabulary:
    """Return the pieces of a vocab.

    Special pieces are recognised by score and name.
    """
    pieces: list[str] = []
    special = []
    for number, line in enumerate(file.lines.unpack(), 1):
        if not (parts := _LINE.fullmatch(line)):
            raise VocabularyError(
                f"{file.name}:{number}: expected PIECE<TAB>SCORE as SentencePiece "
                f"writes it, found {brief(line)}"
            )
        pieces.append(parts[1])
        if parts[2] == "0" and parts[1] in _NAMES.values():
            special.append(parts[1])
    try:
        ids = numbered(pieces)
    except VocabularyError as error:
        raise VocabularyError(f"{file.name}: {error}") from error
    return RawVocabulary(
        ids,
        special_tokens=parts_of(special, {}),
        marks="sentencepiece",
        own=OwnTokenizer(
            "SentencePiece", why=f"which needs the .model that {file.name} is of"
        ),
    )
