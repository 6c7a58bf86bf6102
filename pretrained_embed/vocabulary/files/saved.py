"""Vocabularies written by `Vocabulary.save`: a JSON object in UTF-8.

- ``pretrained_embed_vocabulary``: 1, the version of this form;
- ``tokens``: the token of each id, in order; ``null`` for an id without a token. In a
  vocabulary of integers they are JSON numbers, and ``numbers`` is true;
- ``pad``, ``unk``: tokens, or ``null``; ``special_tokens``: an object from the role of
  a token to the token, pad and unk included; ``marks``;
- ``lower``, ``tokenize``, ``splits_at_white_space``: how texts are tokenized; a
  function is saved as its name;
- ``counts``: how often each token occurs, by id, if that is known.

Bytes of a token that are not UTF-8 are written as ``\\udc80`` to ``\\udcff``, the
surrogate escapes of Python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pretrained_embed.arrays import Int64Array, PackedTokens
from pretrained_embed.damage import refusing_damage
from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import RawVocabulary
from pretrained_embed.vocabulary.encoding import OwnTokenizer, Tokenizer
from pretrained_embed.vocabulary.files.file import JsonObject, VocabularyFile
from pretrained_embed.vocabulary.number_rows import NumberRows
from pretrained_embed.vocabulary.token_rows import TokenRows

_VERSION_KEY, _VERSION = "pretrained_embed_vocabulary", 1


def tokenizer_of(said: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer of a saved vocabulary, in which a function is a name."""
    name = said.get("tokenize")
    return Tokenizer(
        lower=bool(said.get("lower", False)),
        own=None if name is None else OwnTokenizer(str(name)),
        recorded=name is not None or "splits_at_white_space" in said,
    )


def written(
    rows: TokenRows, counts: Int64Array | None, settings: Mapping[str, Any]
) -> bytes:
    """Return the content of the file of a vocabulary, with a line for each key."""
    tokens: list[Any] = rows.packed.unpack()
    if isinstance(rows, NumberRows):
        tokens = [*rows.numbers.tolist()]
        for row, word in rows.words.items():
            tokens[row] = word
    for hole in rows.holes.tolist():
        tokens[hole] = None
    said = {_VERSION_KEY: _VERSION, **settings, "tokens": tokens}
    if counts is not None:
        said["counts"] = counts.tolist()
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in said.items()]
    return ("{" + ",\n ".join(lines) + "}\n").encode()


def is_saved(file: VocabularyFile) -> bool:
    """Return whether a file is JSON that `written` has made."""
    json_object = file.is_json and isinstance(file.json, JsonObject)
    return json_object and _VERSION_KEY in file.json


def read_saved(file: VocabularyFile) -> RawVocabulary:
    """Return the saved vocabulary, with the same ids.

    Raises `VocabularyError` for another version and for other content.
    """
    said = file.json
    version = said.get(_VERSION_KEY) if isinstance(said, JsonObject) else None
    if version != _VERSION:
        raise VocabularyError(
            f"{file.name}: no vocabulary that Vocabulary.save of this release has "
            f"written; its version is {brief(version)}, and {_VERSION} is read here"
        )
    with refusing_damage(
        file.name, "a saved vocabulary that is damaged", "", kind=VocabularyError
    ):
        tokens, counts = list(said["tokens"]), said.get("counts")
        special = dict(said["special_tokens"])
        pad, unk = (special.get(name) for name in ("pad", "unk"))
        if (pad, unk) != (said["pad"], said["unk"]):
            raise VocabularyError(
                f"{file.name}: pad and unk are not those of its special_tokens"
            )
        return RawVocabulary(
            _rows(tokens, file.name, numbers=bool(said.get("numbers"))),
            counts=None if counts is None else np.array(counts, np.int64),
            special_tokens=special,
            marks=said["marks"],
            tokenizer=tokenizer_of(said),
        )


def _rows(tokens: list[Any], name: str, *, numbers: bool) -> TokenRows:
    holes = np.array([id for id, token in enumerate(tokens) if token is None], np.int64)
    allowed = (str, int, type(None)) if numbers else (str, type(None))
    for id, token in enumerate(tokens):
        if not isinstance(token, allowed) or isinstance(token, bool):
            raise VocabularyError(f"{name}: the token of id {id} is {brief(token)}")
    if not numbers:
        return TokenRows(
            PackedTokens.pack("" if token is None else token for token in tokens), holes
        ).checked()
    words = {id: token for id, token in enumerate(tokens) if isinstance(token, str)}
    whole = [token if isinstance(token, int) else 0 for token in tokens]
    return NumberRows(np.array(whole, np.int64), words, holes).checked()
