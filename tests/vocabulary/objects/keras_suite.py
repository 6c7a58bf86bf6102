"""Keras layers and its old Tokenizer as vocabularies; `test_keras` runs this."""

import keras
import numpy as np
import pytest

from pretrained_embed.errors import OptionError, VocabularyError
from pretrained_embed.vocabulary import Vocabulary

TEXTS = ["Hope to see you soon", "Nice to see you again"]


def test_text_vectorization_has_a_pad_and_an_unk():
    layer = keras.layers.TextVectorization()
    layer.adapt(TEXTS)

    vocab = Vocabulary.of(layer)

    assert list(vocab.tokens) == layer.get_vocabulary()
    assert (vocab.pad_token, vocab.pad_id) == ("", 0)
    assert (vocab.unk_token, vocab.unk_id) == ("[UNK]", 1)
    ids = vocab.encode([["see", "you", "dog"]])
    np.testing.assert_array_equal(ids, layer(["See you, dog"]))


def test_text_vectorization_that_counts_has_no_pad():
    layer = keras.layers.TextVectorization(output_mode="count")
    layer.adapt(TEXTS)

    vocab = Vocabulary.of(layer)

    assert (vocab.pad_id, vocab.unk_id) == (None, 0)
    assert len(vocab) == layer.vocabulary_size()


@pytest.mark.parametrize(
    ("options", "pad", "unk"),
    [
        ({}, None, 0),
        ({"mask_token": ""}, 0, 1),
        ({"mask_token": "[M]", "num_oov_indices": 3}, 0, 1),
        ({"mask_token": "[M]", "num_oov_indices": 0}, 0, None),
        ({"num_oov_indices": 0}, None, None),
        ({"num_oov_indices": 2, "oov_token": "?"}, None, 0),
        ({"mask_token": "[M]", "output_mode": "one_hot"}, None, 0),
    ],
)
def test_string_lookup_numbers_its_strings_as_we_do(options, pad, unk):
    layer = keras.layers.StringLookup(vocabulary=["the", "cat"], **options)

    vocab = Vocabulary.of(layer)

    assert len(vocab) == layer.vocabulary_size()
    assert (vocab.pad_id, vocab.unk_id) == (pad, unk)
    assert len(vocab) - vocab["the"] == 2
    theirs = np.asarray(layer(["the", "cat"]))
    if theirs.ndim == 1:
        assert [vocab["the"], vocab["cat"]] == theirs.tolist()
    else:
        assert theirs[:, [vocab["the"], vocab["cat"]]].tolist() == [[1, 0], [0, 1]]


def test_further_oov_ids_are_special_tokens_told_apart():
    layer = keras.layers.StringLookup(vocabulary=["the"], num_oov_indices=3)

    vocab = Vocabulary.of(layer)

    assert vocab.tokens == ("[UNK]", "[UNK]:1", "[UNK]:2", "the")
    assert list(vocab.special_tokens) == ["unk", "[UNK]:1", "[UNK]:2"]


@pytest.mark.parametrize("layer", ["TextVectorization", "StringLookup"])
def test_a_layer_that_has_read_nothing_says_what_to_call(layer):
    with pytest.raises(VocabularyError, match=f"the {layer} has no .*call adapt"):
        Vocabulary.of(getattr(keras.layers, layer)())


def test_integers_are_no_tokens():
    layer = keras.layers.IntegerLookup(vocabulary=[5, 6])

    with pytest.raises(VocabularyError, match="of type int; a token is a str"):
        Vocabulary.of(layer)


def test_the_layer_of_a_model_gives_rows_for_its_ids():
    layer = keras.layers.TextVectorization(output_sequence_length=4)
    layer.adapt(TEXTS)
    vocab = Vocabulary.of(layer)
    rows = np.arange(len(vocab) * 2, dtype=np.float32).reshape(-1, 2)
    rows[vocab.pad_id] = 0.0
    embedding = keras.layers.Embedding(len(vocab), 2, mask_zero=True)
    embedding.build()
    embedding.set_weights([rows])

    out = np.asarray(embedding(layer(["you again"])))[0]

    np.testing.assert_array_equal(out[0], rows[vocab["you"]])
    np.testing.assert_array_equal(out[1], rows[vocab["again"]])
    assert not out[2:].any()


HARD = ["Hope, to see YOU!", "nice", "", "see the dog again"]


def the_same(layer, texts):
    vocab = Vocabulary.of(layer)
    np.testing.assert_array_equal(vocab.encode(texts), np.asarray(layer(texts)))
    return vocab


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"standardize": None},
        {"standardize": "lower"},
        {"split": "character"},
        {"ngrams": 2},
        {"output_sequence_length": 5},
        {"output_sequence_length": 2},
        {"max_tokens": 5},
    ],
)
def test_texts_get_the_ids_that_the_layer_gives(options):
    layer = keras.layers.TextVectorization(**options)
    layer.adapt(TEXTS)

    the_same(layer, HARD)


def test_a_layer_that_does_not_split_gives_one_id_a_text():
    layer = keras.layers.TextVectorization(split=None)
    layer.adapt(TEXTS)
    vocab = Vocabulary.of(layer)

    ids = vocab.encode(["Nice to see you, again", "what?"])

    np.testing.assert_array_equal(
        ids.ravel(), np.ravel(layer(["Nice to see you again", "what"]))
    )


def test_a_ragged_layer_is_padded_here():
    layer = keras.layers.TextVectorization(ragged=True)
    layer.adapt(TEXTS)

    vocab = Vocabulary.of(layer)

    ids = vocab.encode(HARD)
    assert [[id for id in row if id] for row in ids.tolist()] == layer(HARD).to_list()


def test_padding_of_the_layer_makes_room_for_max_length():
    layer = keras.layers.TextVectorization(output_sequence_length=7)
    layer.adapt(TEXTS)
    vocab = Vocabulary.of(layer)

    ids = vocab.encode(HARD, max_length=4)

    np.testing.assert_array_equal(ids, np.asarray(layer(HARD))[:, :4])
    with pytest.raises(VocabularyError, match="text 0 has 4 tokens, max_length is 3"):
        vocab.encode(HARD, max_length=3)


def test_a_layer_that_counts_gives_no_ids_and_says_so():
    layer = keras.layers.TextVectorization(output_mode="count")
    layer.adapt(TEXTS)
    vocab = Vocabulary.of(layer)

    assert vocab.encode([["see", "dog"]]).tolist() == [[vocab["see"], 0]]
    with pytest.raises(OptionError, match="output_mode 'count', which gives no ids"):
        vocab.encode(["see you"])


def test_a_lookup_gives_unknown_tokens_the_ids_that_it_hashes_them_to():
    layer = keras.layers.StringLookup(num_oov_indices=4)
    layer.adapt([["see", "you"]])
    tokens = ["see", "a", "b", "c", "you", "d", "a"]

    vocab = Vocabulary.of(layer)

    expected = np.asarray(layer([tokens]))
    assert len(set(expected.ravel())) > 3
    np.testing.assert_array_equal(vocab.encode([tokens]), expected)
    np.testing.assert_array_equal(vocab.encode([" ".join(tokens)]), expected)


def test_a_lookup_with_one_oov_id_splits_at_white_space():
    layer = keras.layers.StringLookup(mask_token="")
    layer.adapt([["see", "you"]])

    ids = Vocabulary.of(layer).encode(["see the you"])

    np.testing.assert_array_equal(ids, np.asarray(layer([["see", "the", "you"]])))
