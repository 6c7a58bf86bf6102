"""The folders of a Hugging Face tokenizer and of a spaCy model.

The vocabulary of a tokenizer is in the first of these files that exists:
``tokenizer.json``; ``vocab.json``, an object from token to id (with merges, which are
not used here); BERT's ``vocab.txt``; a SentencePiece model. These files add to it:

- ``added_tokens.json``, an object from token to id, and ``added_tokens_decoder`` in
  ``tokenizer_config.json``, one from id to objects with ``content`` and ``special``;
- ``special_tokens_map.json`` and ``tokenizer_config.json`` with ``pad_token`` and so
  on, each a token, or an object with its ``content``;
- ``config.json`` of a model with ``vocab_size``, which no id may reach.

Written by https://github.com/huggingface/transformers
(src/transformers/tokenization_utils_base.py). The class of a tokenizer decides how it
numbers the pieces of a SentencePiece model; the classes that keep its ids are listed
here. In a spaCy model, ``vocab/strings.json`` lists the strings, without the built-in
ones such as ``NOUN`` and ``X``; the ids of spaCy are hashes, so the strings are
numbered in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import PARTS, RawVocabulary, parts_of
from pretrained_embed.vocabulary.encoding import OwnTokenizer
from pretrained_embed.vocabulary.files import (
    json_files,
    sentencepiece,
    text,
)
from pretrained_embed.vocabulary.files.file import JsonObject, VocabularyFile

_PIECES = ("spiece.model", "tokenizer.model", "spm.model", "sentencepiece.bpe.model")

#: Classes, without "Tokenizer" and "Fast", that keep the ids of their model.
_SAME_IDS = frozenset(
    ["Albert", "BigBird", "CodeLlama", "DebertaV2", "Gemma", "Llama", "T5", "XLNet"]
)


def read(folder: Path, kind: str | None) -> RawVocabulary:
    """Return the content of the folder of a tokenizer or of a spaCy model.

    ``kind`` is "tokenizer", "spacy", or ``None`` for either. Raises `VocabularyError`.
    """
    if kind != "tokenizer":
        for name in ("vocab/strings.json", "strings.json"):
            if (folder / name).is_file():
                return json_files.read_spacy(VocabularyFile(folder / name))
    if kind != "spacy" and (found := _model(folder)) is not None:
        return _completed(folder, found)
    raise VocabularyError(
        f"the vocabulary folder {folder} cannot be read: it is a directory without "
        "tokenizer.json, vocab.json, BERT's vocab.txt, a SentencePiece model or "
        "vocab/strings.json"
    )


def _model(folder: Path) -> RawVocabulary | None:
    if (path := folder / "tokenizer.json").is_file():
        return json_files.read(VocabularyFile(path))
    if (path := folder / "vocab.json").is_file():
        ids = _object(path)
        byte_level = any(token.startswith("Ġ") for token in ids)
        return RawVocabulary(ids, marks="byte-level" if byte_level else None)
    if (path := folder / "vocab.txt").is_file() and text.is_bert(
        file := VocabularyFile(path)
    ):
        return text.read_bert(file)
    for name in _PIECES:
        if (path := folder / name).is_file():
            _check_class(folder, path)
            return sentencepiece.read(VocabularyFile(path))
    return None


def _check_class(folder: Path, path: Path) -> None:
    written = str(_object(folder / "tokenizer_config.json").get("tokenizer_class", ""))
    if written.removesuffix("Fast").removesuffix("Tokenizer") not in _SAME_IDS:
        raise VocabularyError(
            f"{folder}: how {written or 'its tokenizer'} numbers the pieces of "
            f"{path.name} is not in the files; load it with transformers and give the "
            f"tokenizer itself, or give {path} if the ids are those of the file"
        )


def _completed(folder: Path, found: RawVocabulary) -> RawVocabulary:
    """Return the content, completed from the other files of a tokenizer."""
    config = _object(folder / "tokenizer_config.json")
    named = _object(folder / "special_tokens_map.json") | config
    ids = dict(cast(Mapping[str, int], found.tokens))
    ids |= _object(folder / "added_tokens.json")
    special = []
    what = "tokenizer_config.json or special_tokens_map.json is not that of a tokenizer"
    with refusing_damage(str(folder), what, "", kind=VocabularyError):
        for id, token in dict(named.get("added_tokens_decoder") or {}).items():
            ids[token["content"]] = int(id)
            if token.get("special"):
                special.append(token["content"])
        said = {
            part: _token(named[f"{part}_token"])
            for part in PARTS
            if named.get(f"{part}_token") is not None
        }
        special += map(_token, named.get("additional_special_tokens") or ())
    _check_size(folder, ids)
    # all files count together
    runs = (folder / "tokenizer.json").is_file() and ids == found.tokens
    others = [t for name, t in found.special_tokens.items() if name == t]
    before = {name: t for name, t in found.special_tokens.items() if name != t}
    return RawVocabulary(
        ids,
        special_tokens=parts_of([*special, *others], before | said),
        marks=found.marks,
        own=found.own if runs else _not_run(folder),
    )


def _not_run(folder: Path) -> OwnTokenizer:
    return OwnTokenizer(
        f"the tokenizer in {folder}",
        why="which transformers can load: give it what that loads, as in "
        "Vocabulary.of(AutoTokenizer.from_pretrained(folder))",
    )


def _token(value: Any) -> str:
    return value if isinstance(value, str) else str(value["content"])


def _check_size(folder: Path, ids: dict[str, int]) -> None:
    size = _object(folder / "config.json").get("vocab_size")
    if not isinstance(size, int):
        return
    for token, id in ids.items():
        if isinstance(id, int) and id >= size:
            raise VocabularyError(
                f"{folder}: token {brief(token)} has id {id}, beyond the vocab_size "
                f"{size} of config.json; give the file of the tokenizer itself to do "
                "without"
            )


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if there is no file."""
    if not path.is_file():
        return {}
    file = VocabularyFile(path)
    if not isinstance(file.json, JsonObject):
        raise VocabularyError(f"{file.name}: expected a JSON object")
    json_files.check_keys(file.json, file.name)
    return file.json
