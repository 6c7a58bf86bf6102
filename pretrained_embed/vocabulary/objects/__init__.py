"""Live objects of other libraries that hold a vocabulary.

Each is told by its own interface; none of the libraries is imported.
"""

from __future__ import annotations

from pretrained_embed.vocabulary.content import Content
from pretrained_embed.vocabulary.objects import arrays, keras, tokenizers, words

_FAMILIES = (
    tokenizers.of_tokenizers,
    tokenizers.of_transformers,
    tokenizers.of_sentencepiece,
    keras.of_lookup,
    keras.of_tokenizer,
    words.of_torchtext,
    words.of_old_torchtext,
    words.of_dictionary,
    words.of_keyed_vectors,
    words.of_vectorizer,
    words.of_spacy,
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
