"""Vocabularies: which token has which id.

A vocabulary comes from an iterable, a mapping, a file or texts, and turns texts into
ids. It knows nothing of vectors or frameworks.
"""

from pretrained_embed.vocabulary.vocabulary import Vocabulary

__all__ = ["Vocabulary"]
