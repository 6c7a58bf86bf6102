from __future__ import annotations

import random

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed import fill as oov
from pretrained_embed.fill import draws, filling

ROWS = [("a", (1.0, -2.0, 0.5)), ("b", (3.0, 4.0, 0.5)), ("c", (0.25, 9.0, 0.5))]
VECTORS = np.array([vector for _, vector in ROWS])
MEAN, STD = VECTORS.mean(axis=0), VECTORS.std(axis=0)


def build(vocabulary=("a", "x", "y"), rows=ROWS, **options) -> pe.EmbeddingMatrix:
    return pe.build_matrix(vocabulary, reader_of(rows), **grouped(**options))


#: The row of "x" by the policy "normal" and seed 0, which no release may change.
GOLDEN = "264c94bdc33480400000003f"

# Each policy


def test_zeros():
    assert build(oov="zeros")["x"].tolist() == [0, 0, 0]


def test_mean():
    assert build(oov="mean")["x"].tolist() == MEAN.astype(np.float32).tolist()


@pytest.mark.parametrize("seed", [0, 5])
def test_normal_is_the_mean_and_deviations_drawn(seed):
    matrix = build(oov="normal", seed=seed)

    for token in ("x", "y"):
        drawn = draws.normal(draws.token_keys([token], seed), 3)[0]
        np.testing.assert_allclose(matrix[token], MEAN + STD * drawn, rtol=1e-6)
    assert matrix["x"][2] == 0.5  # a dimension that does not vary


def test_uniform_is_as_wide_as_the_deviation():
    matrix = build(oov="uniform", seed=1)

    drawn = draws.uniform(draws.token_keys(["x"], 1), 3)[0]
    width = STD * np.sqrt(12)
    np.testing.assert_allclose(matrix["x"], MEAN + width * (drawn - 0.5), rtol=1e-6)


@pytest.mark.parametrize("policy", ["normal", "uniform"])
def test_drawn_rows_have_the_moments_of_the_source(policy):
    matrix = build(["a", *(f"w{number}" for number in range(5_000))], oov=policy)

    drawn = matrix.vectors[2:].astype(np.float64)
    np.testing.assert_allclose(drawn.mean(axis=0), MEAN, atol=0.2)
    np.testing.assert_allclose(drawn.std(axis=0), STD, rtol=0.05)


def test_error_names_the_tokens():
    with pytest.raises(
        pe.errors.OOVError, match=r"^2 tokens .*oov='error'.*: 'x', 'y'\. "
    ):
        build(oov="error")
    assert build(["a", "b"], oov="error").coverage.oov == 0


def test_error_names_the_first_of_many():
    vocabulary = ["a", *(f"w{number}" for number in range(1_000))]

    with pytest.raises(pe.errors.OOVError, match=r"1,000 tokens.*'w4', \.\.\.\."):
        build(vocabulary, oov="error")


# A callable


def test_a_callable_is_given_tokens_statistics_and_dim():
    seen = []

    def policy(tokens, statistics, dim):
        seen.append((list(tokens), statistics, dim))
        return [[len(token)] * dim for token in tokens]

    matrix = build(["xx", "a", "yyyy"], oov=policy)

    assert matrix["xx"].tolist() == [2, 2, 2]
    assert matrix["yyyy"].tolist() == [4, 4, 4]
    assert matrix["a"].tolist() == [1, -2, 0.5]
    ((tokens, statistics, dim),) = seen
    assert (tokens, dim, statistics.rows) == (["xx", "yyyy"], 3, 3)
    np.testing.assert_allclose(statistics.mean, MEAN)
    np.testing.assert_allclose(statistics.std, STD)
    assert statistics.mean.dtype == statistics.std.dtype == np.float64
    assert "policy" in matrix.provenance["options"]["oov"]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i4", "u1"])
def test_a_callable_may_return_any_numbers(dtype):
    matrix = build(oov=lambda tokens, stats, dim: np.full((2, 3), 7, dtype))

    assert matrix.vectors[2:].tolist() == [[7] * 3] * 2
    assert matrix.vectors.dtype == np.float32


@pytest.mark.parametrize(
    "returned",
    [
        None,
        0.0,
        np.zeros(3),
        np.zeros((3, 2)),
        np.zeros((1, 3)),
        np.zeros((2, 3), complex),
        np.zeros((2, 3), bool),
        [["1"] * 3] * 2,
        [[1], [1, 2]],
    ],
)
def test_what_a_callable_returns_must_be_rows_of_numbers(returned):
    with pytest.raises(
        pe.errors.OptionError, match=r"the oov callable .*<lambda> returned"
    ):
        build(oov=lambda tokens, stats, dim: returned)


def test_a_callable_without_oov_tokens_is_not_called():
    def policy(*_):
        raise AssertionError

    assert build(["a"], oov=policy).coverage.oov == 0


# The unk row


def test_unk_has_a_policy_of_its_own():
    vocabulary = pe.Vocabulary(["a", "x"], unk="<unk>")

    both = build(vocabulary, oov="zeros")
    apart = build(vocabulary, oov="zeros", special_oov={"unk": "mean"})
    found = build(
        vocabulary,
        [*ROWS, ("<unk>", (8, 8, 8))],
        oov="zeros",
        special_oov={"unk": "mean"},
    )

    assert both["<unk>"].tolist() == [0, 0, 0]
    assert apart["<unk>"].tolist() == MEAN.astype(np.float32).tolist()
    assert apart["x"].tolist() == [0, 0, 0]
    assert found["<unk>"].tolist() == [8, 8, 8]


def test_unk_may_be_filled_where_other_tokens_may_not():
    vocabulary = pe.Vocabulary(["a"], unk="<unk>")

    assert build(vocabulary, oov="error", special_oov={"unk": "zeros"})[
        "<unk>"
    ].tolist() == [0, 0, 0]
    with pytest.raises(pe.errors.OOVError, match="'<unk>'"):
        build(vocabulary, oov="zeros", special_oov={"unk": "error"})
    with pytest.raises(pe.errors.OOVError, match="'<unk>'"):
        build(vocabulary, oov="error")


# Statistics


def test_statistics_are_of_the_first_ten_thousand_rows():
    rng = np.random.default_rng(0)
    vectors = rng.normal(3, 2, size=(10_050, 2)).astype(np.float32)
    vectors[10_000:] = 1e6
    rows = [(f"w{number}", row) for number, row in enumerate(vectors.tolist())]

    statistics = oov.source_statistics(reader_of(rows), "error")

    first = vectors[:10_000].astype(np.float64)
    assert statistics.rows == 10_000
    np.testing.assert_allclose(statistics.mean, first.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, first.std(axis=0), rtol=1e-12)


def test_numbers_that_are_not_finite_are_left_out_of_the_statistics():
    rows = [("a", (1.0, float("nan"))), ("b", (3.0, float("inf"))), ("c", (5.0, 2.0))]

    statistics = oov.source_statistics(reader_of(rows), "error")
    matrix = build(["a", "x"], [("a", (1.0, float("nan")))], oov="normal")

    assert statistics.mean.tolist() == [3.0, 2.0]
    assert statistics.std.tolist() == [np.sqrt(8 / 3), 0.0]
    assert matrix["x"].tolist() == [1.0, 0.0]


# What a drawn row depends on

tokens = st.lists(st.text(max_size=4), unique=True, max_size=8).map(
    lambda tokens: [t for t in tokens if t not in ("a", "x", "<pad>")]
)


@pytest.mark.parametrize("policy", ["normal", "uniform", "mean"])
@given(before=tokens, after=tokens)
def test_other_tokens_never_move_a_row(policy, before, after):
    after = [token for token in after if token not in before]
    grown = [*before, "x", *after, "a"]

    small = build(["a", "x"], oov=policy)
    large = build([token for token in grown if token not in ("b", "c")], oov=policy)

    for token in ("a", "x", "<pad>"):
        assert large[token].tobytes() == small[token].tobytes()


def test_seed_source_and_token_change_a_row():
    rows = [
        build(seed=0)["x"],
        build(seed=1)["x"],
        build(seed=0)["y"],
        build(seed=0, rows=ROWS[:2])["x"],
    ]

    assert len({row.tobytes() for row in rows}) == 4
    assert build(seed=0)["x"].tobytes() == rows[0].tobytes()


@pytest.mark.parametrize("policy", ["normal", "uniform"])
def test_global_generators_are_neither_used_nor_touched(policy):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  (the global generator is what this is about)
    one = build(oov=policy)
    after = random.random(), np.random.rand()  # noqa: NPY002  (as above)

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  (as above)
    untouched = random.random(), np.random.rand()  # noqa: NPY002  (as above)
    two = build(oov=policy)

    assert after == untouched
    assert one.vectors.tobytes() == two.vectors.tobytes()


def test_rows_drawn_in_pieces_are_the_same(monkeypatch):
    vocabulary = ["a", *(f"w{number}" for number in range(100))]
    whole = build(vocabulary)

    monkeypatch.setattr(filling, "_BLOCK_NUMBERS", 21)

    assert build(vocabulary).vectors.tobytes() == whole.vectors.tobytes()


def test_filled_rows_never_change():
    matrix = build(["x", "a"], seed=0)

    assert matrix["x"].tobytes().hex() == GOLDEN
