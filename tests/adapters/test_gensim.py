from types import SimpleNamespace

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, ShapeError, VocabularyError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import make_matrix, same_bits

pytest.importorskip("gensim", reason="gensim is not installed")
from gensim.models import KeyedVectors, Word2Vec

from pretrained_embed.adapters import gensim as pe_gensim

VECTORS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)


@pytest.fixture
def keyed_vectors():
    vectors = KeyedVectors(3)
    vectors.add_vectors(["the", "new york", "§"], VECTORS)
    return vectors


def test_tokens_keep_their_vectors_to_the_bit():
    matrix = make_matrix()

    vectors = pe_gensim.to_keyed_vectors(matrix)

    for token, row in matrix.vocabulary.ids.items():
        if token != "<pad>":
            assert same_bits(vectors[token], matrix.vectors[row])


def test_pad_and_holes_are_no_keys():
    vectors = pe_gensim.to_keyed_vectors(make_matrix())

    assert vectors.index_to_key == ["cat", "dog", "qwzx", "fjord", "<unk>"]
    assert vectors.vectors.shape == (5, 4)
    neighbours = vectors.most_similar("cat", topn=4)
    assert not np.isnan([similarity for _, similarity in neighbours]).any()


def test_the_matrix_does_not_follow_its_keyed_vectors():
    matrix = make_matrix()
    before = matrix.vectors.tobytes()

    pe_gensim.to_keyed_vectors(matrix).vectors[:] = 0

    assert matrix.vectors.tobytes() == before


def test_counts_become_an_attribute():
    vocabulary = Vocabulary.from_texts(["a b a"])
    matrix = EmbeddingMatrix(np.zeros((3, 2), np.float32), vocabulary)

    vectors = pe_gensim.to_keyed_vectors(matrix)

    assert vectors.get_vecattr("a", "count") == 2
    assert vectors.get_vecattr("b", "count") == 1


def test_keys_become_a_vocabulary_after_a_pad_row(keyed_vectors):
    matrix = pe_gensim.from_keyed_vectors(keyed_vectors)

    assert matrix.vocabulary.tokens == ("<pad>", "the", "new york", "§")
    assert not matrix.vectors[0].any()
    assert same_bits(matrix.vectors[1:], VECTORS)
    assert matrix.provenance["source"].endswith("KeyedVectors")


def test_without_pad_rows_are_those_of_gensim(keyed_vectors):
    matrix = pe_gensim.from_keyed_vectors(keyed_vectors, pad=None)

    assert same_bits(matrix.vectors, VECTORS)
    keyed_vectors.vectors[:] = 0
    assert same_bits(matrix.vectors, VECTORS)  # a copy


def test_a_key_that_is_the_pad_token_keeps_its_row_which_becomes_zeros(keyed_vectors):
    matrix = pe_gensim.from_keyed_vectors(keyed_vectors, pad="new york")

    assert matrix.pad_id == 1
    assert same_bits(matrix.vectors[[0, 2]], VECTORS[[0, 2]])
    assert not matrix.vectors[1].any()


def test_there_and_back_is_the_same_to_the_bit():
    matrix = pe_gensim.from_keyed_vectors(pe_gensim.to_keyed_vectors(make_matrix()))

    assert same_bits(matrix.vectors[1:], make_matrix().vectors[[1, 2, 3, 5, 6]])


def test_a_trained_model_gives_its_vectors():
    model = Word2Vec([["a", "b", "a"]] * 3, vector_size=4, min_count=1, workers=1)

    matrix = pe_gensim.from_keyed_vectors(model)

    assert same_bits(matrix["b"], model.wv["b"])


@pytest.mark.parametrize("words", ["index2word", "index2entity"])
@pytest.mark.parametrize("table", ["vectors", "syn0"])
def test_attributes_of_gensim_3_are_understood(words, table):
    old = SimpleNamespace(**{words: ["the", "cat", "sat"], table: VECTORS})

    matrix = pe_gensim.from_keyed_vectors(old)

    assert matrix.vocabulary.tokens == ("<pad>", "the", "cat", "sat")
    assert same_bits(matrix.vectors[1:], VECTORS)


def test_keys_that_are_none_are_dropped_and_counted():
    # What gensim 4.4 makes of a file that has a token twice.
    vectors = KeyedVectors(3, count=4)
    for token, vector in zip(["the", "cat", "sat"], VECTORS, strict=True):
        vectors.add_vector(token, vector)
    assert vectors.index_to_key[3] is None

    matrix = pe_gensim.from_keyed_vectors(vectors)

    assert matrix.vocabulary.tokens == ("<pad>", "the", "cat", "sat")
    assert same_bits(matrix.vectors[1:], VECTORS)
    assert matrix.provenance["dropped_keys"] == 1


def test_what_cannot_be_read_is_refused():
    numbers = KeyedVectors(3)
    numbers.add_vectors([7, 8, 9], VECTORS)

    with pytest.raises(VocabularyError, match="int"):
        pe_gensim.from_keyed_vectors(numbers)
    with pytest.raises(OptionError, match=r"list is no KeyedVectors: .* index_to_key"):
        pe_gensim.from_keyed_vectors(["the", "cat"])
    short = SimpleNamespace(index2word=["the", "cat"], vectors=VECTORS)
    with pytest.raises(ShapeError, match=r"2 keys, .* \(3, 3\)"):
        pe_gensim.from_keyed_vectors(short)
