"""Texts to vectors: against plain loops, and scikit-learn's own checks."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import pretrained_embed as pe

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from pretrained_embed.adapters.sklearn import WordVectors

WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog"]
TEXTS = ["the cat sat", "The cat cat xyzzy", "", "xyzzy", "a dog on the mat", "dog"]


@pytest.fixture
def source(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)
    path = tmp_path / "v.txt"
    pe.EmbeddingMatrix(vectors, pe.Vocabulary(WORDS, pad=None)).save(path)
    return path


def rows_of(source, text: str) -> list[np.ndarray]:
    matrix = pe.load_matrix(source)
    return [matrix[word.lower()] for word in text.split() if word.lower() in matrix]


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_pooled_as_a_plain_loop_does(source, pooling):
    pool = {"mean": np.mean, "max": np.max}[pooling]
    expected = [
        pool(rows, axis=0) if (rows := rows_of(source, text)) else np.zeros(5)
        for text in TEXTS
    ]

    found = WordVectors(source, pooling=pooling).fit_transform(TEXTS)

    assert (found.dtype, found.shape) == (np.float32, (6, 5))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_weighted_as_sklearn_weighs(source):
    lower = [text.lower() for text in TEXTS]
    words = TfidfVectorizer(token_pattern=r"\S+").fit(lower)
    idf = dict(zip(words.get_feature_names_out(), words.idf_, strict=True))
    matrix = pe.load_matrix(source)

    found = WordVectors(source, pooling="tfidf").fit_transform(lower)

    for text, vector in zip(lower, found, strict=True):
        known = [word for word in text.split() if word in matrix]
        total = sum(idf[word] for word in known) or 1
        expected = sum((idf[w] * matrix[w] for w in known), np.zeros(5)) / total
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-6)


def test_sif_as_in_the_paper(source):
    lower = [text.lower() for text in TEXTS]
    words = [word for text in lower for word in text.split()]
    matrix = pe.load_matrix(source)
    raw = np.zeros((6, 5))
    for row, text in enumerate(lower):
        known = [word for word in text.split() if word in matrix]
        for word in known:
            share = words.count(word) / len(words)
            raw[row] += 1e-3 / (1e-3 + share) * matrix[word] / len(known)
    first = np.linalg.svd(raw)[2][0]

    found = WordVectors(source, pooling="sif").fit_transform(lower)

    np.testing.assert_allclose(found, raw - raw @ np.outer(first, first), atol=1e-6)


def test_padding_and_words_without_a_vector_are_left_out():
    vocabulary = pe.Vocabulary(["a", "b"], unk="<unk>")
    matrix = pe.EmbeddingMatrix([[0, 0], [0, 0], [1, 2], [3, 4]], vocabulary)

    found = WordVectors(matrix).fit_transform([["<pad>", "a", "<pad>"], ["a", "b", ""]])

    assert found.tolist() == [[1, 2], [2, 3]]


def test_words_that_come_later_are_looked_up(source):
    model = WordVectors(source).fit(["the cat"])

    np.testing.assert_array_equal(model.transform(["Dog"]), model.transform(["dog"]))
    assert model.transform(["dog"]).any()
    assert model.transform([]).shape == (0, 5)
    assert model.coverage_ == 1
    assert WordVectors(source).fit(["the xyzzy"]).coverage_ == 0.5
    assert not WordVectors(source).fit_transform(["xyzzy"]).any()


def test_a_pickle_holds_no_vectors_and_knows_its_source(source):
    model = WordVectors(source, pooling="sif").fit(TEXTS)
    before = model.transform(TEXTS)
    saved = pickle.dumps(model)

    assert pe.load_matrix(source)["cat"].tobytes() not in saved
    np.testing.assert_array_equal(pickle.loads(saved).transform(TEXTS), before)  # noqa: S301  (made above)
    source.write_text(source.read_text().replace("cat ", "car "))
    with pytest.raises(pe.errors.SourceError, match="not what it was"):
        pickle.loads(saved).transform(TEXTS)  # noqa: S301


def test_in_a_pipeline_and_cloned(source):
    model = make_pipeline(WordVectors(source), LogisticRegression())

    model.fit(TEXTS, [0, 0, 1, 1, 1, 1])

    assert (
        clone(model).fit(TEXTS, [0, 0, 1, 1, 1, 1]).score(TEXTS, model.predict(TEXTS))
    )
    assert list(model[0].get_feature_names_out()) == [
        f"wordvectors{n}" for n in range(5)
    ]


def test_a_column_of_pandas_keeps_its_index(source):
    column = pd.Series(TEXTS[:2], index=["x", "y"])

    table = WordVectors(source).set_output(transform="pandas").fit_transform(column)

    assert list(table.index) == ["x", "y"]
    assert list(table.columns) == [f"wordvectors{n}" for n in range(5)]


def test_check_estimator_passes(source):
    """It stops after the first check of what takes no table of numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(WordVectors(source), on_fail=None)

    assert results
    assert {r["check_name"] for r in results if r["status"] == "failed"} == set()


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_the_checks_that_need_no_numbers_pass(source, check):
    """All others of scikit-learn give tables of numbers to ``fit``."""
    getattr(estimator_checks, check)("WordVectors", WordVectors(source))


@pytest.mark.parametrize(
    ("options", "texts", "message"),
    [
        ({"pooling": "maen"}, TEXTS, "mean, max, sif, tfidf; did you mean 'mean'"),
        ({}, "a text", "give a list of texts"),
        ({}, [1], "of type int; a text is a str"),
        ({}, [], "no text to fit to"),
    ],
)
def test_what_means_nothing_is_refused(source, options, texts, message):
    with pytest.raises(pe.errors.OptionError, match=message):
        WordVectors(source, **options).fit(texts)
