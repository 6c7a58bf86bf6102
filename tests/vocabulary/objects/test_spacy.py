"""spaCy's Vocab and pipelines as vocabularies."""

from types import SimpleNamespace

import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary


class Vocab:
    """What a Vocab has: lexemes, in no order that means anything."""

    def __init__(self, *words):
        self.words = words

    def __iter__(self):
        return (SimpleNamespace(text=word) for word in self.words)

    def get_vector(self, word):
        raise NotImplementedError

    def prune_vectors(self, count):
        raise NotImplementedError


class Language:
    """What a pipeline has."""

    vocab = Vocab("the", "cat")

    def make_doc(self, text):
        raise NotImplementedError

    def pipe(self, texts):
        raise NotImplementedError


def test_the_words_of_a_vocab_are_taken_in_sorted_order():
    assert Vocabulary.of(Vocab("the", "cat")).tokens == ("<pad>", "cat", "the")
    assert Vocabulary.of(Language()).tokens == ("<pad>", "cat", "the")


def test_a_vocab_without_lexemes_says_what_to_do():
    with pytest.raises(VocabularyError, match="has no lexemes; let it read texts"):
        Vocabulary.of(Vocab())


def test_a_pipeline_of_spacy_is_such_a_one(tmp_path):
    spacy = pytest.importorskip(
        "spacy", reason="spaCy is not installed; too large for CI"
    )
    pipeline = spacy.blank("en")
    pipeline("Zyzzyva")

    vocab = Vocabulary.of(pipeline)

    assert {*vocab} == {"<pad>"} | {lexeme.text for lexeme in pipeline.vocab}
    assert Vocabulary.of(pipeline.vocab).ids == vocab.ids
    pipeline.to_disk(tmp_path / "model")
    saved = Vocabulary.from_file(tmp_path / "model")
    assert {*vocab} - {*saved} <= {*spacy.symbols.IDS}  # these no file has
