"""scikit-learn: ``CountVectorizer`` and ``TfidfVectorizer``."""

from __future__ import annotations

from typing import Any

from pretrained_embed.errors import VocabularyError, brief
from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.objects.interface import offers
from pretrained_embed.vocabulary.tokens import OwnTokenizer


def of_vectorizer(value: Any) -> Content | None:
    """Return the content of a vectorizer: the number of a column is the id.

    Raises `VocabularyError` where it has not been fitted, or an id has no column.
    """
    if not offers(value, "build_analyzer", "fit"):
        return None
    ids = getattr(value, "vocabulary_", None)
    if ids is None:
        raise VocabularyError(
            f"the {type(value).__name__} has no vocabulary_; call fit() first (a "
            "HashingVectorizer never has one)"
        )
    for token, id in ids.items():
        if id >= len(ids):
            raise VocabularyError(
                f"token {brief(token)} has id {id}, beyond the {len(ids)} columns of "
                f"the {type(value).__name__}"
            )
    name = f"{type(value).__name__} of scikit-learn"
    return Content(dict(ids), own=OwnTokenizer(name, tokenize=value.build_analyzer()))
