"""gensim's Dictionary and KeyedVectors as vocabularies."""

import numpy as np
import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary

gensim = pytest.importorskip("gensim", reason="gensim is not installed")
from gensim.corpora import Dictionary  # noqa: E402  (after the check that it is there)
from gensim.models import KeyedVectors  # noqa: E402  (the same)

TEXTS = [["the", "cat", "saw", "the", "dog"], ["the", "mat"]]


def test_a_dictionary_keeps_its_ids_and_counts():
    dictionary = Dictionary(TEXTS)

    vocab = Vocabulary.of(dictionary)

    assert vocab.ids == dictionary.token2id
    assert vocab.counts[vocab["the"]] == 3
    assert (vocab.pad_id, vocab.unk_id) == (None, None)


def test_a_dictionary_read_from_text_has_numbers_of_documents(tmp_path):
    Dictionary(TEXTS).save_as_text(tmp_path / "dictionary.txt")
    dictionary = Dictionary.load_from_text(tmp_path / "dictionary.txt")

    vocab = Vocabulary.of(dictionary)

    assert vocab.counts[vocab["the"]] == 2
    assert Vocabulary.from_file(tmp_path / "dictionary.txt").ids == vocab.ids


def test_pad_and_unk_can_be_added_where_there_is_room():
    dictionary = Dictionary(TEXTS)

    assert Vocabulary.of(dictionary, unk="<unk>").unk_id == len(dictionary)
    with pytest.raises(VocabularyError, match=r"pad token '<pad>' is not .* id 0 is"):
        Vocabulary.of(dictionary, pad="<pad>")


def test_special_tokens_of_a_patched_dictionary_are_found():
    dictionary = Dictionary(TEXTS)
    dictionary.patch_with_special_tokens({"<pad>": 0, "<unk>": 1})

    vocab = Vocabulary.of(dictionary, unk="<unk>")

    assert (vocab.pad_id, vocab.unk_id) == (0, 1)


def test_a_dictionary_without_tokens_is_refused():
    with pytest.raises(VocabularyError, match="the vocabulary is empty"):
        Vocabulary.of(Dictionary())


def test_keyed_vectors_keep_their_order_and_counts():
    vectors = KeyedVectors(2)
    vectors.add_vectors(["the", "cat"], np.ones((2, 2)))

    plain = Vocabulary.of(vectors)
    vectors.set_vecattr("the", "count", 9)

    assert plain.tokens == ("the", "cat")
    assert plain.counts is None
    assert Vocabulary.of(vectors).counts.tolist() == [9, 0]


def test_keys_that_are_no_strings_are_named():
    vectors = KeyedVectors(2)
    vectors.add_vectors([1, 2], np.ones((2, 2)))
    assert Vocabulary.of(vectors).numbers.tolist() == [1, 2]

    vectors.add_vectors(["a"], np.ones((1, 2)))
    with pytest.raises(VocabularyError, match="position 0 is 1, of type int"):
        Vocabulary.of(vectors)
