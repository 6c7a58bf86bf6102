"""Vocabularies: which token has which id.

A vocabulary is made from an iterable, a mapping, texts, a file or an object of another
library, and turns texts into ids. It has no vectors and imports no framework.
"""

from pretrained_embed.vocabulary.files import KINDS
from pretrained_embed.vocabulary.token_rows import NO_HOLES, TokenRows
from pretrained_embed.vocabulary.vocabulary import AnyVocabulary, Vocabulary, some_rows

__all__ = [
    "KINDS",
    "NO_HOLES",
    "AnyVocabulary",
    "TokenRows",
    "Vocabulary",
    "some_rows",
]
