from __future__ import annotations

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.build import postprocess

pytestmark = pytest.mark.usefixtures("both_kernels")

RNG = np.random.default_rng(0)
VECTORS = (RNG.normal(size=(60, 6)) * [9, 5, 3, 2, 1, 0.5] + 4).astype(np.float32)
ROWS = [(f"w{number}", row.tolist()) for number, row in enumerate(VECTORS)]
WIDE = VECTORS.astype(np.float64)
MEAN = WIDE.mean(axis=0)


def build(vocabulary=("w3", "w50", "zzz"), rows=ROWS, **options) -> pe.EmbeddingMatrix:
    return pe.build_matrix(list(vocabulary), reader_of(rows), **grouped(**options))


def directions(count: int) -> np.ndarray:
    """Principal directions as singular vectors, with no covariance in between."""
    found = np.linalg.svd(WIDE - MEAN)[2][:count].T
    return found * np.sign(found[np.abs(found).argmax(axis=0), np.arange(count)])


def expected(step: str, rows: np.ndarray) -> np.ndarray:
    centred = rows - MEAN
    return {
        "unit-norm": lambda: rows / np.linalg.norm(rows, axis=1, keepdims=True),
        "center": lambda: centred,
        "all-but-the-top": lambda: centred - centred @ directions(1) @ directions(1).T,
        "all-but-the-top:2": lambda: (
            centred - centred @ directions(2) @ directions(2).T
        ),
        "pca:3": lambda: centred @ directions(3),
        "pca:6": lambda: centred @ directions(6),
        "truncate:2": lambda: rows[:, :2],
        "truncate:6": lambda: rows,
    }[step]()


@pytest.mark.parametrize(
    "step",
    [
        *("unit-norm", "center", "all-but-the-top", "all-but-the-top:2"),
        *("pca:3", "pca:6", "truncate:2", "truncate:6"),
    ],
)
def test_each_step_is_what_its_formula_says(step):
    plain = build().vectors[1:].astype(np.float64)

    matrix = build(postprocess=[step])

    np.testing.assert_allclose(matrix.vectors[1:], expected(step, plain), atol=1e-5)
    assert not matrix.vectors[0].any()


def test_steps_follow_each_other_each_fitted_on_what_came_before():
    matrix = build([token for token, _ in ROWS], postprocess="center,pca:2,unit-norm")

    rows = (WIDE - MEAN) @ directions(2)
    np.testing.assert_allclose(
        matrix.vectors[1:], rows / np.linalg.norm(rows, axis=1)[:, None], atol=1e-5
    )
    assert matrix.dim == 2
    assert matrix.provenance["options"]["postprocess"] == [
        *("center", "pca:2", "unit-norm")
    ]


def test_nothing_is_done_and_said_by_default():
    matrix = build()

    assert matrix["w3"].tobytes() == VECTORS[3].tobytes()
    assert matrix.provenance["options"]["postprocess"] == []


def test_a_hundredth_of_the_dimensions_goes_unless_told():
    rows = [(f"w{n}", row) for n, row in enumerate(RNG.normal(size=(20, 250)).tolist())]

    matrix = build(["w1"], rows, postprocess="all-but-the-top")

    told = build(["w1"], rows, postprocess="all-but-the-top:2")
    assert matrix.vectors.tobytes() == told.vectors.tobytes()


@given(st.lists(st.sampled_from([token for token, _ in ROWS[:8]]), unique=True))
def test_other_tokens_never_move_a_row(others):
    steps = "all-but-the-top:2,pca:5,unit-norm"
    vocabulary = [token for token in others if token != "w3"]

    small = build(["w3", "zzz"], postprocess=steps)
    large = build([*vocabulary, "zzz", "w3", "more"], postprocess=steps)

    for token in ("w3", "zzz"):
        assert large[token].tobytes() == small[token].tobytes()


@pytest.mark.parametrize("steps", ["center", "unit-norm", "pca:3,center"])
def test_rows_of_zeros_stay_zeros(steps):
    vocabulary = pe.Vocabulary({"<pad>": 0, "w1": 1, "zzz": 4})

    matrix = pe.build_matrix(
        vocabulary, reader_of(ROWS), recipe=pe.Recipe(oov="zeros", postprocess=steps)
    )

    assert matrix.vectors.any(axis=1).tolist() == [False, True, False, False, False]


def test_the_largest_number_of_a_direction_is_positive():
    mirrored = [(token, [-value for value in row]) for token, row in ROWS]

    one, other = build(postprocess="pca:4"), build(rows=mirrored, postprocess="pca:4")

    np.testing.assert_allclose(one["w3"], -other["w3"], atol=1e-5)


def test_rows_that_are_not_finite_are_not_learned_from():
    odd = [*ROWS, ("nan", [float("nan")] * 6), ("inf", [float("inf")] * 6)]

    one, other = build(postprocess="center"), build(rows=odd, postprocess="center")

    assert one["w3"].tobytes() == other["w3"].tobytes()


def test_the_first_rows_are_learned_from(monkeypatch):
    monkeypatch.setattr(postprocess, "FIRST_ROWS", 10)

    matrix = build(["w50"], postprocess="center")

    np.testing.assert_allclose(matrix["w50"], WIDE[50] - WIDE[:10].mean(axis=0))


def test_combined_sources_are_learned_from_where_all_have_the_token():
    other = [(token, [2 * row[0] + 1]) for token, row in ROWS[5:30]]
    readers = [reader_of(ROWS), reader_of([*other, ("only here", [1e6])])]

    matrix = pe.build_matrix(
        ["w7", "only here"],
        readers,
        recipe=pe.Recipe(combine="concat", scale=(1, 3), postprocess="center"),
    )

    shared = np.hstack([WIDE[5:30], 3 * (2 * WIDE[5:30, :1] + 1)])
    np.testing.assert_allclose(
        matrix["w7"], shared[2] - shared.mean(axis=0), rtol=1e-5, atol=1e-5
    )


def test_the_first_of_several_sources_is_learned_from():
    other = [("zzz", [9.0] * 6)]

    matrix = pe.build_matrix(
        ["w7", "zzz"],
        [reader_of(ROWS), reader_of(other)],
        recipe=pe.Recipe(postprocess="center"),
    )

    np.testing.assert_allclose(matrix["zzz"], 9 - MEAN, rtol=1e-5)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("centre", "unknown step 'centre'.*did you mean 'center'"),
        ("", "unknown step ''"),
        ("pca", "'pca' is no step .*write pca:K, K a number from 1"),
        ("pca:0", "'pca:0' is no step"),
        ("pca:x", "write pca:K"),
        ("pca:²", "write pca:K"),
        ("pca:7", "pca:7 of vectors of 6 dimensions"),
        ("pca:2,all-but-the-top:3", "all-but-the-top:3 of vectors of 2"),
        ("center:2", "write center"),
        ("all-but-the-top:", "D a number from 1"),
        ([None], "unknown step 'None'"),
        (3, "postprocess is 3"),
    ],
)
def test_steps_that_mean_nothing_are_refused(steps, message):
    with pytest.raises(pe.errors.OptionError, match=message):
        build(postprocess=steps)


def test_too_few_rows_to_learn_from_are_refused():
    with pytest.raises(
        pe.errors.OptionError, match=r"pca:3 needs 3 rows .* there are 2"
    ):
        build(["w1"], ROWS[:2], postprocess="pca:3")
    with pytest.raises(
        pe.errors.OptionError, match=r"center needs 1 rows .* there are 0"
    ):
        pe.build_matrix(
            ["a"],
            [reader_of([("a", [1.0])]), reader_of([("b", [1.0])])],
            recipe=pe.Recipe(combine="concat", postprocess="center"),
        )


def test_unit_norm_learns_from_no_row():
    matrix = pe.build_matrix(
        ["a"],
        [reader_of([("a", [3.0])]), reader_of([("b", [1.0])])],
        recipe=pe.Recipe(combine="concat", oov="zeros", postprocess="unit-norm"),
    )

    assert matrix["a"].tolist() == [1, 0]


def test_rows_are_truncated_to_the_bit_and_renormalised_if_asked():
    plain = build().vectors

    matrix = build(postprocess="truncate:4")
    again = build(postprocess="truncate:4,unit-norm")

    assert matrix.dim == again.dim == 4
    assert matrix.vectors.tobytes() == plain[:, :4].tobytes()
    lengths = np.linalg.norm(again.vectors[1:], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert build(postprocess=["pca:5", "truncate:2"]).dim == 2
    assert matrix.recipe.postprocess == ("truncate:4",)


def test_a_source_of_one_row_is_truncated():
    matrix = build(["w3"], ROWS[3:4], postprocess="truncate:1", oov="zeros")

    assert matrix.vectors[1].tolist() == VECTORS[3, :1].tolist()


@pytest.mark.parametrize("step", ["truncate", "truncate:0", "truncate:7", "truncate:x"])
def test_a_number_of_columns_that_there_is_not_is_refused(step):
    with pytest.raises(pe.errors.OptionError, match="truncate"):
        build(postprocess=step)
