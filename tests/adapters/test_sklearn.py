"""Texts to vectors: against plain loops, and scikit-learn's own checks."""

from __future__ import annotations

import pickle
import warnings
from itertools import chain

import numpy as np
import pandas as pd
import pytest

import pretrained_embed as pe

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
from sklearn.base import TransformerMixin, clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from pretrained_embed.adapters.sklearn import WordVectors, column_vectors

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


def test_texts_are_split_as_str_split_does(source):
    """Around each character up to U+3000, in texts of ASCII and of others."""
    letters = map(chr, range(0x3001))
    texts = [form.format(c) for c in letters for form in ("the{}cat", " {}the", "{}")]
    texts += [f"{text} \u4e2d" for text in texts[:400]]
    lists = [text.split() for text in texts]
    model = WordVectors(source, pooling="sif")

    np.testing.assert_array_equal(model.fit_transform(texts), model.transform(lists))
    assert list(model.frequencies_) == list(dict.fromkeys(chain.from_iterable(lists)))


def test_thousands_of_texts_are_pooled_as_one_by_one(source):
    texts = [" ".join(TEXTS[n % 6 : n % 7]) for n in range(9000)]
    model = WordVectors(source).fit(["the"])

    found = model.transform([*texts, "a mat"])

    for start in (0, 4090, 8190, 8990):
        some = texts[start : start + 12]
        expected = [WordVectors(source).fit_transform([text])[0] for text in some]
        np.testing.assert_array_equal(found[start : start + len(some)], expected)
    assert found[-1].any()


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


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_column_of_texts_becomes_a_table(source, package):
    tables = pytest.importorskip(package, reason=f"{package} is not installed")
    expected = WordVectors(source, pooling="max").fit_transform(TEXTS)

    table = column_vectors(tables.Series(TEXTS), source, pooling="max")

    assert isinstance(table, tables.DataFrame)
    assert list(table.columns) == [f"wordvectors{n}" for n in range(5)]
    assert table.to_numpy().dtype == np.float32
    np.testing.assert_array_equal(table.to_numpy(), expected)


def test_the_index_of_a_column_is_kept(source):
    column = pd.Series(TEXTS[:2], index=["x", "y"])

    assert list(column_vectors(column, source).index) == ["x", "y"]


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_table_and_a_missing_text_are_no_column_of_texts(source, package):
    tables = pytest.importorskip(package, reason=f"{package} is not installed")

    with pytest.raises(pe.errors.OptionError, match=r"a table of shape \(6, 1\)"):
        WordVectors(source).fit(tables.DataFrame({"text": TEXTS}))
    with pytest.raises(pe.errors.OptionError, match="a missing one is to be filled"):
        column_vectors(tables.Series(["the cat", None]), source)
    with pytest.raises(
        pe.errors.OptionError, match="give a Series of pandas or polars"
    ):
        column_vectors(TEXTS, source)


def test_check_estimator_passes(source):
    """It stops after the first check of what takes no table of numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(WordVectors(source), on_fail=None)

    assert results
    assert {r["check_name"] for r in results if r["status"] == "failed"} == set()


#: They give tables of numbers to ``fit``, and what takes texts refuses these.
NO_TEXTS = {
    *("check_complex_data", "check_dict_unchanged", "check_dont_overwrite_parameters"),
    *("check_dtype_object", "check_estimators_dtypes"),
    *("check_estimators_empty_data_messages", "check_estimators_fit_returns_self"),
    *("check_estimators_nan_inf", "check_estimators_overwrite_params"),
    *("check_estimators_pickle", "check_f_contiguous_array_estimator"),
    *("check_fit2d_1feature", "check_fit2d_1sample", "check_fit2d_predict1d"),
    *("check_fit_check_is_fitted", "check_fit_idempotent", "check_fit_score_takes_y"),
    *("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
    *("check_n_features_in", "check_n_features_in_after_fitting"),
    *("check_pipeline_consistency", "check_positive_only_tag_during_fit"),
    *("check_readonly_memmap_input", "check_transformer_data_not_an_array"),
    *("check_transformer_general", "check_transformer_preserve_dtypes"),
}


def failing(estimator) -> set[str]:
    """Return the checks that fail once an estimator says that it takes tables."""
    mixin = () if isinstance(estimator, TransformerMixin) else (TransformerMixin,)

    class OfTables(*mixin, type(estimator)):
        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.input_tags.two_d_array, tags._skip_test = True, False
            return tags

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            OfTables(**estimator.get_params(deep=False)), on_fail=None
        )
    assert len(results) > len(NO_TEXTS)
    return {r["check_name"] for r in results if r["status"] == "failed"}


def test_the_checks_that_fail_are_those_that_no_transformer_of_texts_passes(source):
    assert failing(WordVectors(source)) == NO_TEXTS


@pytest.mark.parametrize("vectorizer", [CountVectorizer, TfidfVectorizer])
def test_sklearns_own_transformers_of_texts_fail_them_all(vectorizer):
    assert failing(vectorizer()) >= NO_TEXTS


@pytest.mark.parametrize(
    ("options", "texts", "message"),
    [
        ({"pooling": "maen"}, TEXTS, "mean, max, sif, tfidf; did you mean 'mean'"),
        ({}, "a text", "give a list of texts"),
        ({}, [1], "of type int; a text is a str"),
        ({}, [], "no text to fit to"),
        ({}, ["a \ud800"], "half of a surrogate pair at place 2"),
        ({}, [["a", 5]], "a word, 5, is of type int, not str"),
    ],
)
def test_what_means_nothing_is_refused(source, options, texts, message):
    with pytest.raises(pe.errors.OptionError, match=message):
        WordVectors(source, **options).fit(texts)


def test_a_column_of_lists_of_words_is_taken(source):
    polars = pytest.importorskip("polars")
    lists = [["hope", "to"], ["see"]]
    wanted = WordVectors(source).fit_transform(lists)

    frame = column_vectors(polars.Series("words", lists), source)

    assert (frame.to_numpy() == wanted).all()
    arrays = pd.Series([np.array(words, object) for words in lists])
    assert (column_vectors(arrays, source).to_numpy() == wanted).all()
    with pytest.raises(pe.errors.OptionError, match="of type Expr; give a list"):
        WordVectors(source).fit(polars.col("words"))
