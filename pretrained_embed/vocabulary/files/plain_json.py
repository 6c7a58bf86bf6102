"""JSON: a list of tokens, or an object from token to id. No key comes twice."""

from __future__ import annotations

from dataclasses import replace

from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.files.file import JsonObject, VocabularyFile
from pretrained_embed.vocabulary.tokens import OwnTokenizer


def read(file: VocabularyFile) -> Content:
    """Return the list or object; its items are checked where all tokens are."""
    value = file.json
    if isinstance(value, list):
        return Content(value)
    if not isinstance(value, JsonObject):
        raise VocabularyError(
            f"{file.name}: expected a list of tokens or an object from token to id, "
            f"found {type(value).__name__}"
        )
    check_keys(value, file.name)
    return Content(value)


def read_spacy(file: VocabularyFile) -> Content:
    """Return the strings of a model of spaCy, whose pipeline cuts texts up."""
    own = OwnTokenizer(
        "a pipeline of spaCy",
        why="which spaCy can load: give it that, as in Vocabulary.of(spacy.load(...))",
    )
    return replace(read(file), own=own)


def check_keys(ids: JsonObject, name: str) -> None:
    """Raise where a token is there twice."""
    if ids.repeated is not None:
        token, first, second = ids.repeated
        raise VocabularyError(
            f"{name}: token {brief(token)} is there twice, with ids {brief(first)} and "
            f"{brief(second)}"
        )
