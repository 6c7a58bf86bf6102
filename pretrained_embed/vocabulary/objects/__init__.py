"""Live objects of other libraries that hold a vocabulary.

Each is told by its own interface; none of the libraries is imported.
"""

from __future__ import annotations

from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.objects import (
    arrays,
    gensim,
    keras,
    sklearn,
    spacy,
    tokenizers,
    torchtext,
)

_FAMILIES = (
    tokenizers.of_tokenizers,
    tokenizers.of_transformers,
    tokenizers.of_sentencepiece,
    keras.of_lookup,
    keras.of_tokenizer,
    torchtext.of_vocab,
    torchtext.of_old_vocab,
    gensim.of_dictionary,
    gensim.of_keyed_vectors,
    sklearn.of_vectorizer,
    spacy.of_vocab,
    arrays.of_array,
    arrays.of_frame,
    arrays.of_series,
)


def read(value: object) -> Content | None:
    """Return what an object says of a vocabulary, ``None`` where it is no such.

    Raises `VocabularyError` for one that has no vocabulary yet or contradicts itself.
    """
    for family in _FAMILIES:
        if (content := family(value)) is not None:
            return content
    return None
