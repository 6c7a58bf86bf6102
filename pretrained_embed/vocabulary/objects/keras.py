"""Keras: ``TextVectorization`` and ``StringLookup``, and the ``Tokenizer`` of old."""

from __future__ import annotations

from typing import Any

import numpy as np

from pretrained_embed.errors import OptionError, VocabularyError
from pretrained_embed.vocabulary.checks import strings
from pretrained_embed.vocabulary.content import Content, numbered
from pretrained_embed.vocabulary.objects.interface import array, offers
from pretrained_embed.vocabulary.tokens import OwnTokenizer


def of_lookup(value: Any) -> Content | None:
    """Return the content of a layer that turns strings into ids.

    Its vocabulary begins with the mask, if there is one, which is the pad, and as many
    OOV tokens, all alike, as it has OOV ids. The first is unk; the others are told
    apart by a number: ``[UNK]``, ``[UNK]:1``, ``[UNK]:2``.
    """
    if not offers(value, "get_vocabulary", "vocabulary_size"):
        return None
    ordinary = value.get_vocabulary(include_special_tokens=False)
    if not len(ordinary):
        raise VocabularyError(
            f"the {type(value).__name__} has no vocabulary; call adapt() or "
            "set_vocabulary() first"
        )
    tokens = strings(value.get_vocabulary())
    first = len(tokens) - len(ordinary)
    head = tokens[:first]
    oov_ids = min(getattr(value, "num_oov_indices", 1), len(head))
    special = {}
    if len(head) > oov_ids:
        special["pad"] = head[0]
    if oov_ids:
        unk = head[-1]
        others = [f"{unk}:{number}" for number in range(1, oov_ids)]
        head[len(head) - oov_ids :] = [unk, *others]
        special |= {"unk": unk, **{token: token for token in others}}
    return Content(
        numbered([*head, *tokens[first:]]), special_tokens=special, own=_own(value)
    )


def _own(layer: Any) -> OwnTokenizer | None:
    """Return what a layer does with texts, ``None`` where it only looks tokens up."""
    name = f"{type(layer).__name__} of Keras"
    if hasattr(layer, "num_oov_indices"):  # it takes tokens
        plain = layer.output_mode == "int" and not layer.invert
        if layer.num_oov_indices < 2 or not plain:
            return None
        return OwnTokenizer(name, unknown=lambda tokens: array(layer(tokens)).tolist())

    def encode(texts: list[str], keep_pad: bool) -> list[list[int]]:
        mode = layer.get_config().get("output_mode", "int")
        if mode != "int":
            raise OptionError(
                f"the {type(layer).__name__} has output_mode {mode!r}, which gives no "
                "ids; give lists of tokens, or make one with output_mode='int'"
            )
        found = layer(texts)
        if offers(found, "to_list"):  # ragged, without padding
            return list(found.to_list())
        rows = array(found)
        if rows.ndim == 1:  # of split=None: a text is one token
            rows = rows[:, np.newaxis]
        return [(row if keep_pad else np.trim_zeros(row, "b")).tolist() for row in rows]

    return OwnTokenizer(name, encode)


def of_tokenizer(value: Any) -> Content | None:
    """Return the content of a ``Tokenizer``, whose ids start at 1.

    Id 0 is that of the padding. Ids from ``num_words`` on it never gives; they are left
    out, as are their rows.
    """
    if not offers(value, "fit_on_texts", "texts_to_sequences"):
        return None
    if not value.word_index:
        raise VocabularyError("the Tokenizer has no words; call fit_on_texts() first")
    limit = value.num_words
    ids = {word: id for word, id in value.word_index.items() if not limit or id < limit}
    unk = value.oov_token
    return Content(
        ids,
        counts=value.word_counts,
        special_tokens={} if unk is None else {"unk": unk},
        own=OwnTokenizer(
            "Tokenizer of Keras", lambda texts, _: value.texts_to_sequences(texts)
        ),
    )
