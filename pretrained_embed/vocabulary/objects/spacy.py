"""spaCy: a ``Vocab``, and the ``Language`` that has one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.objects.interface import offers
from pretrained_embed.vocabulary.tokens import OwnTokenizer


def of_vocab(value: Any) -> Content | None:
    """Return the words of a vocabulary, in sorted order.

    Its own ids are hashes. The words are its lexemes, those it has met or was made
    with; ``vocab/strings.json`` of a saved model has all strings, labels too.
    """
    if offers(value, "make_doc", "pipe"):
        content = of_vocab(value.vocab)
        return content and replace(content, own=_own(value))
    if not offers(value, "get_vector", "prune_vectors"):
        return None
    words = {lexeme.text for lexeme in value}
    if not words:
        raise VocabularyError(
            "the spaCy vocabulary has no lexemes; let it read texts first"
        )
    return Content(sorted(words))


def _own(language: Any) -> OwnTokenizer:
    return OwnTokenizer(
        "a pipeline of spaCy",
        tokenize=lambda text: [token.text for token in language.make_doc(text)],
    )
