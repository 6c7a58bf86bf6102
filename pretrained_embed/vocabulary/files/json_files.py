"""JSON: ``tokenizer.json`` of Hugging Face, and lists and objects of tokens.

A ``tokenizer.json`` is an object with

- ``model``: ``vocab`` is an object from token to id (WordPiece, BPE, WordLevel, with
  the token ``unk_token``), or a list of ``[token, score]`` in order of id (Unigram,
  with the id ``unk_id``);
- ``added_tokens``: objects with ``id``, ``content`` and ``special``;
- ``padding``, if texts are padded: ``pad_token``;
- ``normalizer``, ``pre_tokenizer``, ``decoder``: how texts become tokens and back. They
  tell the marks of the tokens.

Written by https://github.com/huggingface/tokenizers (tokenizers/src/tokenizer and
tokenizers/src/models). Other JSON is a list of tokens, or an object from token to id,
in which no key is there twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import MissingPackageError, VocabularyError, brief
from pretrained_embed.vocabulary.content import RawVocabulary, numbered, parts_of
from pretrained_embed.vocabulary.encoding import OwnTokenizer
from pretrained_embed.vocabulary.files.file import BOM, JsonObject, VocabularyFile
from pretrained_embed.vocabulary.markers import Marks


def recognise(file: VocabularyFile) -> bool:
    """Return whether it is JSON with the vocabulary of a model."""
    if not file.is_json or not isinstance(file.json, JsonObject):
        return False
    model = file.json.get("model")
    return isinstance(model, JsonObject) and "vocab" in model


def read(file: VocabularyFile) -> RawVocabulary:
    """Return the tokens of the model and the added ones."""
    content = content_of(file.json, file.name)
    return replace(content, own=_own_of_file(file.data, file.name))


def _own_of_file(data: bytes, name: str) -> OwnTokenizer:
    """Return the tokenizer of a file, which is loaded for the first text."""

    @cache
    def loaded() -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingPackageError(
                f"reading texts as {name} says needs tokenizers: pip install "
                "tokenizers; or give lists of tokens, as in encode([['see', 'you']])"
            ) from error
        try:
            return Tokenizer.from_str(data.removeprefix(BOM).decode())
        except Exception as error:  # tokenizers raises only this class itself
            if type(error) is not Exception:
                raise
            raise VocabularyError(
                f"{name}: tokenizers cannot read texts as it says: {error}; give lists "
                "of tokens"
            ) from error

    return OwnTokenizer(
        f"the tokenizer of {name}",
        lambda texts, keep_pad: _encoded(loaded(), texts, keep_pad),
    )


def own(name: str, tokenizer: Any) -> OwnTokenizer:
    """Return the tokenizer of a ``Tokenizer`` of ``tokenizers``."""
    return OwnTokenizer(
        name, lambda texts, keep_pad: _encoded(tokenizer, texts, keep_pad)
    )


def _encoded(tokenizer: Any, texts: list[str], keep_pad: bool) -> list[list[int]]:
    return [
        row.ids if keep_pad else unpadded(row.ids, row.attention_mask)
        for row in tokenizer.encode_batch(texts)
    ]


def unpadded(ids: Iterable[int], mask: Iterable[int]) -> list[int]:
    """Return ids without those of the padding, whose mask is 0."""
    return [id for id, real in zip(ids, mask, strict=True) if real]


def content_of(value: Any, where: str) -> RawVocabulary:
    """Return the content of such JSON; ``where`` names it in errors.

    Raises `VocabularyError` for JSON of another form, for a token with two ids and for
    an id with two tokens.
    """
    what = "not a tokenizer.json of Hugging Face"
    with refusing_damage(where, what, "", kind=VocabularyError):
        try:
            model, added = value["model"], value.get("added_tokens") or []
            ids = _model_ids(model["vocab"], where)
            for token in added:
                _add(ids, token["content"], token["id"])
            special = [token["content"] for token in added if token.get("special")]
            parts = parts_of(special, _said(value, model, ids))
            marks = _marks(value, model)
            if not all(isinstance(token, str) for token in parts.values()):
                raise TypeError("a special token that is no string")
        except VocabularyError as error:
            raise VocabularyError(f"{where}: {error}") from error
    return RawVocabulary(ids, special_tokens=parts, marks=marks)


def _model_ids(vocab: Any, where: str) -> dict[str, int]:
    if isinstance(vocab, list):
        return numbered(token for token, _ in vocab)
    if isinstance(vocab, JsonObject):
        check_keys(vocab, where)
    return {**vocab}


def _add(ids: dict[str, int], token: str, id: int) -> None:
    if ids.setdefault(token, id) != id:
        raise VocabularyError(
            f"token {brief(token)} has id {ids[token]} in the model, and id {id} among "
            "the added tokens"
        )


def _said(value: Any, model: Any, ids: Mapping[str, int]) -> dict[str, str]:
    said = {}
    if padding := value.get("padding"):
        said["pad"] = padding["pad_token"]
    if (unk := model.get("unk_token")) is not None:
        said["unk"] = unk
    elif (unk_id := model.get("unk_id")) is not None:
        said["unk"] = model["vocab"][unk_id][0]
    processor = dict(value.get("post_processor") or {})
    if processor.get("type") in ("BertProcessing", "RobertaProcessing"):
        said |= {part: processor[part][0] for part in ("cls", "sep")}
    return said


def _marks(value: Any, model: Any) -> Marks | None:
    if model.get("continuing_subword_prefix") == "##":
        return "wordpiece"
    parts = ("normalizer", "pre_tokenizer", "decoder")
    for part in _components([value.get(name) for name in parts]):
        if part["type"] == "ByteLevel":
            return "byte-level"
        if part["type"] == "Metaspace" or "▁" in (
            part.get("content"),
            part.get("prepend"),
        ):
            return "sentencepiece"
    return None


def _components(value: Any) -> Iterator[Any]:
    """Yield the components, also those within a sequence."""
    for part in value:
        if part is not None:
            yield part
            for name in ("normalizers", "pretokenizers", "decoders"):
                yield from _components(dict(part).get(name) or ())


def read_plain(file: VocabularyFile) -> RawVocabulary:
    """Return the list or object; its items are checked with all tokens."""
    value = file.json
    if isinstance(value, list):
        return RawVocabulary(value)
    if not isinstance(value, JsonObject):
        raise VocabularyError(
            f"{file.name}: expected a list of tokens or an object from token to id, "
            f"found {type(value).__name__}"
        )
    check_keys(value, file.name)
    return RawVocabulary(value)


def read_spacy(file: VocabularyFile) -> RawVocabulary:
    """Return the strings of a spaCy model, whose pipeline splits texts."""
    own = OwnTokenizer(
        "a pipeline of spaCy",
        why="which spaCy can load: give it that, as in Vocabulary.of(spacy.load(...))",
    )
    return replace(read_plain(file), own=own)


def check_keys(ids: JsonObject, name: str) -> None:
    """Raise an error for a token that is there twice."""
    if ids.repeated is not None:
        token, first, second = ids.repeated
        raise VocabularyError(
            f"{name}: token {brief(token)} is there twice, with ids {brief(first)} and "
            f"{brief(second)}"
        )
