"""numpy arrays and pandas Series as vocabularies."""

from collections import Counter

import numpy as np
import pytest

from pretrained_embed.errors import VocabularyError
from pretrained_embed.vocabulary import Vocabulary


@pytest.mark.parametrize(
    "tokens",
    [
        np.array(["b", "é"]),
        np.array([b"b", "é".encode()]),
        np.array(["b", "é"], object),
        np.array([b"b", "é"], object),
    ],
)
def test_an_array_is_a_list_of_tokens(tokens):
    assert Vocabulary.of(tokens).tokens == ("<pad>", "b", "é")


def test_strings_of_numpy_2_are_tokens():
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("this numpy has no StringDType")

    tokens = np.array(["b", "é"], np.dtypes.StringDType())

    assert Vocabulary.of(tokens).tokens == ("<pad>", "b", "é")


def test_bytes_that_are_not_utf8_are_escaped():
    vocab = Vocabulary.of(np.array([b"caf\xe9"]), pad=None)

    assert vocab.tokens == ("caf\udce9",)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (np.ones(3), r"array of float64 and shape \(3,\)"),
        (np.array([["a"]]), r"array of <U1 and shape \(1, 1\)"),
        (np.array("a"), r"array of <U1 and shape \(\)"),
        (np.array(["a", None], object), "position 1 is None"),
        (np.array(["a", "a"]), "'a' is at position 0 and again at position 1"),
        (np.array([], str), "the vocabulary is empty"),
    ],
)
def test_an_array_that_is_no_list_of_tokens_is_refused(wrong, what):
    with pytest.raises(VocabularyError, match=what):
        Vocabulary.of(wrong)


def test_a_counter_is_a_list_by_falling_count():
    vocab = Vocabulary.of(Counter({"cat": 0, "the": 9}), pad="[PAD]", unk="?")

    assert vocab.tokens == ("[PAD]", "?", "the", "cat")
    assert vocab.counts.tolist() == [0, 0, 9, 0]


@pytest.fixture
def series():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    return pandas.Series


def test_a_series_of_counts_is_of_the_tokens_in_its_index(series):
    counts = series(["the", "cat", "the"]).value_counts()

    vocab = Vocabulary.of(counts)

    assert vocab.tokens == ("<pad>", "the", "cat")
    assert vocab.counts.tolist() == [0, 2, 1]
    assert Vocabulary.of(series({"cat": 1, "the": 5})).tokens[1] == "cat"


@pytest.mark.parametrize("dtype", ["str", "object", "category", "string"])
def test_a_series_of_strings_is_a_list_of_tokens(series, dtype):
    vocab = Vocabulary.of(series(["the", "cat"], dtype=dtype))

    assert vocab.tokens == ("<pad>", "the", "cat")
    assert vocab.counts is None


def test_a_series_that_is_neither_is_refused(series):
    for wrong, what in (
        (series([1, 1]), "the number 1 is at position 0 and again at position 1"),
        (series(["a", None]), "position 1 is "),
        (series({"a": 1, "b": 1.5}), "count of token 'a' is 1.0"),
        (series({"a": 1, "b": -1}), "count of token 'b' is -1"),
        (series([1, 2], index=["a", "a"]), "'a' is at position 0 and again"),
    ):
        with pytest.raises(VocabularyError, match=what):
            Vocabulary.of(wrong)
