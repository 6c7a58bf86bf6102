"""The policy "ngram": n-grams, the regression, and the rows that come of them."""

from __future__ import annotations

import hashlib
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.fill import prediction
from pretrained_embed.fill.prediction import Counts, Model, _sample, ngrams, ridge

# N-grams


def plain_ngrams(token: str) -> list[str]:
    marked = f"<{token}>"
    return [
        marked[begin : begin + length]
        for length in (3, 4, 5, 6)
        for begin in range(len(marked) - length + 1)
    ]


@given(st.lists(st.text("ab<é𝔸\udcff", max_size=9), max_size=6))
def test_equal_hashes_are_equal_n_grams(tokens):
    found = ngrams(tokens)

    plain = list(chain.from_iterable(map(plain_ngrams, tokens)))
    hashes = found.hashes.tolist()
    assert len(hashes) == len(plain)
    assert len(set(hashes)) == len(set(plain))
    assert len(set(zip(hashes, plain, strict=True))) == len(set(plain))
    assert found.owners.tolist() == [
        place for place, token in enumerate(tokens) for _ in plain_ngrams(token)
    ]


@given(st.lists(st.text(max_size=6), max_size=6), st.text(max_size=6))
def test_the_n_grams_of_a_token_are_the_same_among_others(tokens, token):
    among = ngrams([*tokens, token, *tokens])

    alone = ngrams([token]).hashes
    np.testing.assert_array_equal(among.hashes[among.owners == len(tokens)], alone)


def test_hashes_are_polynomials_of_code_points():
    expected = []
    for plain in plain_ngrams("é𝔸"):
        value = 1
        for character in plain:
            value = (value * 0x9E3779B97F4A7C15 + ord(character)) % 2**64
        expected.append(value)

    assert ngrams(["é𝔸"]).hashes.tolist() == expected


# The regression


@st.composite
def problems(draw):
    rows, features = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    pairs = st.tuples(st.integers(0, rows - 1), st.integers(0, features - 1))
    occurrences = draw(st.lists(pairs, max_size=20))
    numbers = st.floats(-100, 100, allow_subnormal=False)
    target = draw(st.lists(numbers, min_size=rows, max_size=rows))
    matrix = np.zeros((rows, features))
    for place in occurrences:
        matrix[place] += 1
    where = np.array(occurrences, np.int64).reshape(-1, 2)
    counts = Counts(where[:, 0], where[:, 1], rows, features)
    return counts, matrix, np.array(target)


@given(problems(), st.sampled_from([0.5, 5.0]))
def test_enough_steps_solve_the_normal_equations(problem, penalty):
    counts, matrix, target = problem

    weights = ridge(counts, target, penalty=penalty, steps=50)

    normal = matrix.T @ matrix + penalty * np.eye(matrix.shape[1])
    expected = np.linalg.solve(normal, matrix.T @ target)
    np.testing.assert_allclose(weights, expected, rtol=1e-6, atol=1e-6)


@given(problems())
def test_more_steps_come_nearer(problem):
    counts, matrix, target = problem

    def loss(steps: int) -> float:
        weights = ridge(counts, target, penalty=5.0, steps=steps)
        return sum((matrix @ weights - target) ** 2) + 5.0 * sum(weights**2)

    losses = [loss(steps) for steps in range(5)]
    for later, earlier in zip(losses[1:], losses[:-1], strict=True):
        assert later <= earlier * (1 + 1e-9)


# The model


def additive(tokens: list[str], dim: int = 3) -> np.ndarray:
    """Vectors that are the sum of what each n-gram stands for, and a constant."""

    def meaning(ngram: str) -> np.ndarray:
        digest = hashlib.sha256(ngram.encode()).digest()
        return np.frombuffer(digest, np.int8)[:dim] / 128

    rows = [sum(map(meaning, plain_ngrams(token)), np.ones(dim)) for token in tokens]
    return np.array(rows, np.float32)


def made_tokens(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    syllables = ["sno", "bal", "rai", "win", "dow", "mel", "tur", "pik"]
    return list(
        dict.fromkeys("".join(rng.choice(syllables, 3).tolist()) for _ in range(count))
    )


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / norms


def test_what_is_a_sum_over_n_grams_is_found_out():
    tokens = made_tokens(600)
    known, hidden = tokens[:-50], tokens[-50:]
    vectors = additive(known)

    predicted = Model(known, vectors).vectors(hidden)

    truth, mean = additive(hidden), vectors.mean(axis=0)
    assert cosines(predicted - mean, truth - mean).mean() > 0.8
    apart = np.linalg.norm(predicted - truth, axis=1).mean()
    assert apart < 0.6 * np.linalg.norm(mean - truth, axis=1).mean()


def test_a_build_takes_what_the_model_predicts():
    tokens = made_tokens(200)
    vectors = additive(tokens)
    rows = list(zip(tokens[:-1], vectors[:-1].tolist(), strict=True))

    matrix = pe.build_matrix(tokens, reader_of(rows), oov="ngram")

    (predicted,) = Model(tokens[:-1], vectors[:-1]).vectors(tokens[-1:])
    assert matrix[tokens[-1]].tobytes() == predicted.tobytes()
    assert matrix.origin[-1] == pe.ledger.Origin.NGRAM


def test_n_grams_that_one_token_has_tell_nothing():
    rows = [("snow", (1.0, 2.0)), ("rain", (3.0, 4.0)), ("raining", (5.0, 6.0))]

    matrix = pe.build_matrix(
        ["snow", "snowy", "rainy"], reader_of(rows), oov="ngram,zeros"
    )

    assert [pe.ledger.Origin(code).name for code in matrix.origin[2:]] == [
        "OOV",
        "NGRAM",
    ]


def test_of_the_forms_the_one_with_most_known_n_grams_is_taken():
    tokens = made_tokens(100)
    rows = list(zip(tokens, additive(tokens).tolist(), strict=True))
    vocabulary = [tokens[0], "snobalX", "snobalx", "SNObal", "snobal."]

    matrix = pe.build_matrix(
        vocabulary, reader_of(rows), match="exact,lower", oov="ngram,zeros"
    )

    np.testing.assert_array_equal(matrix["snobalX"], matrix["snobalx"])
    assert matrix["SNObal"].any()


def test_the_sample_is_of_first_rows_that_are_finite(monkeypatch):
    monkeypatch.setattr(prediction, "ROWS", 4)
    nan, inf = float("nan"), float("inf")
    rows = [("a", (1, 1)), ("b", (nan, 1)), ("a", (2, 2)), ("c", (3, 3)), ("d", (4, 4))]

    tokens, vectors = _sample(reader_of(rows), "error")
    none, nothing = _sample(reader_of([("a", (inf, 1.0))]), "error")

    assert tokens == ["a", "c"]
    assert vectors.tolist() == [[1, 1], [3, 3]]
    assert none == []
    assert nothing.shape == (0, 2)


def test_a_source_without_a_finite_row_predicts_nothing():
    rows = [("snow", (float("inf"), 1.0))]

    matrix = pe.build_matrix(["snow", "snowy"], reader_of(rows), oov="ngram,zeros")

    assert matrix.origin[2] == pe.ledger.Origin.OOV


@pytest.mark.parametrize("value", [0.0, 1e-45, 3e38])
def test_constant_and_extreme_dimensions_do_no_harm(value):
    tokens = made_tokens(50)
    rows = [(token, (value, 1.0)) for token in tokens]

    matrix = pe.build_matrix([tokens[0], "snowin"], reader_of(rows), oov="ngram")

    assert matrix["snowin"].tolist() == [np.float32(value), 1.0]


def test_what_takes_seconds_reports_its_progress():
    tokens = made_tokens(50)
    rows = list(zip(tokens, additive(tokens).tolist(), strict=True))
    seen = []

    pe.build_matrix(
        [tokens[0], "snowin"],
        reader_of(rows),
        oov="ngram",
        progress=lambda *at: seen.append(at),
    )

    column = 4 * len(tokens)
    assert seen[-3:] == [(part * column, 3 * column) for part in (1, 2, 3)]


def test_rows_predicted_in_blocks_are_the_same(monkeypatch):
    tokens = made_tokens(80)
    rows = list(zip(tokens[:40], additive(tokens[:40]).tolist(), strict=True))
    whole = pe.build_matrix(tokens, reader_of(rows), oov="ngram")

    monkeypatch.setattr(prediction, "_BLOCK_TOKENS", 7)
    blocks = pe.build_matrix(tokens, reader_of(rows), oov="ngram")

    assert blocks.vectors.tobytes() == whole.vectors.tobytes()


def test_predicted_rows_never_change():
    tokens = made_tokens(60)

    predicted = Model(tokens, additive(tokens)).vectors(["snobalwin", "dowmel"])

    assert predicted.tobytes().hex() == GOLDEN_ROWS


#: What no machine, number of threads or release may change.
GOLDEN_ROWS = "28e064401d068f3f69341f3f2ee7983e3bb13c407e82813f"
