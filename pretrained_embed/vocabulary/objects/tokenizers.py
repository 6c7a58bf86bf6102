"""Tokenizers of subwords: ``tokenizers``, ``transformers`` and ``sentencepiece``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.files import json_files, sentencepiece
from pretrained_embed.vocabulary.objects.interface import offers
from pretrained_embed.vocabulary.special_tokens import PARTS, Marks, parts_of
from pretrained_embed.vocabulary.tokens import OwnTokenizer

#: What a tokenizer in Python has where its tokens are marked so.
_PYTHON_MARKS: dict[str, Marks] = {
    "wordpiece_tokenizer": "wordpiece",
    "sp_model": "sentencepiece",
    "sp_model_kwargs": "sentencepiece",
    "byte_encoder": "byte-level",
}


def of_tokenizers(value: Any) -> Content | None:
    """Return the content of a ``Tokenizer``, which tells all as its file does."""
    if not offers(value, "to_str", "get_vocab", "token_to_id"):
        return None
    content = json_files.content_of(json.loads(value.to_str()), "the tokenizer")
    return replace(content, own=json_files.own("a tokenizer of Hugging Face", value))


def of_transformers(value: Any) -> Content | None:
    """Return the content of a tokenizer, fast or slow.

    The ids are those of ``get_vocab()``, the special tokens those of its
    ``special_tokens_map``, and the added tokens that are special.
    """
    if not offers(value, "get_vocab", "convert_tokens_to_ids"):
        return None
    said: dict[str, str] = {}
    for name, token in value.special_tokens_map.items():
        part = name.removesuffix("_token")
        if part in PARTS:
            said[part] = str(token)
    added = getattr(value, "added_tokens_decoder", {}).values()
    special = [str(token) for token in added if token.special]
    fast = of_tokenizers(getattr(value, "backend_tokenizer", None))
    return Content(
        value.get_vocab(),
        special_tokens=parts_of([*special, *map(str, value.all_special_tokens)], said),
        marks=_python_marks(value) if fast is None else fast.marks,
        own=_own(value),
    )


def _own(tokenizer: Any) -> OwnTokenizer:
    def encode(texts: list[str], keep_pad: bool) -> Sequence[Sequence[int]]:
        found = tokenizer(texts)
        rows: Sequence[Sequence[int]] = found["input_ids"]
        if keep_pad or "attention_mask" not in found:
            return rows
        return [
            json_files.unpadded(row, mask)
            for row, mask in zip(rows, found["attention_mask"], strict=True)
        ]

    return OwnTokenizer(f"{type(tokenizer).__name__} of transformers", encode)


def _python_marks(value: object) -> Marks | None:
    known = (m for name, m in _PYTHON_MARKS.items() if hasattr(value, name))
    return next(known, None)


def of_sentencepiece(value: Any) -> Content | None:
    """Return the content of a ``SentencePieceProcessor``, read as its file is."""
    if not offers(value, "serialized_model_proto", "id_to_piece"):
        return None
    model = value.serialized_model_proto()
    if not model:
        raise VocabularyError(
            f"the {type(value).__name__} has no model; call Load first"
        )
    name = type(value).__name__
    content = sentencepiece.model_content(model, f"the {name}")
    return replace(content, own=sentencepiece.own(name, value))
