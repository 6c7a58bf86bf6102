"""The best rows, however they come in blocks, against sorting all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.errors import OptionError
from pretrained_embed.tools.nearest_rows import METRICS, Nearest, unit_rows

# Halves: products and norms of so few are exact enough that equal scores are equal.
halves = st.integers(-2, 2).map(lambda number: number / 2)
#: Lengths whose squares leave the range of binary32, and rows that are near nothing.
lengths = st.sampled_from([0.0, 1.0, 1.0, 1e-3, 1e-22, 1e21, 3e38, np.inf, np.nan])


@st.composite
def searches(draw):
    dim = draw(st.integers(1, 4))
    row = st.lists(halves, min_size=dim, max_size=dim)
    rows = draw(st.lists(st.tuples(row, lengths), min_size=1, max_size=12))
    queries = draw(st.lists(st.tuples(row, lengths), min_size=1, max_size=3))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    return scaled(rows), scaled(queries), cuts, draw(st.integers(1, 6))


def scaled(pairs) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        rows = np.stack([np.float64(row) * length for row, length in pairs])
        return rows.astype(np.float32)


def score(metric: str, one: np.ndarray, other: np.ndarray) -> float:
    """Return how near two vectors are, in binary64, the larger the nearer."""
    one, other = np.float64(one), np.float64(other)
    if metric == "euclidean":
        return -float(np.linalg.norm(one - other))
    product = float(one @ other)
    if metric == "dot":
        return product
    return product / float(np.linalg.norm(one)) / float(np.linalg.norm(other))


@pytest.mark.parametrize("metric", METRICS)
@given(search=searches())
def test_the_nearest_are_those_that_sorting_gives(metric, search):
    rows, queries, cuts, count = search
    best = Nearest(queries, count, metric)

    for block in np.split(rows, cuts):
        best.add(block)

    directed = [i for i, row in enumerate(rows) if row.any() and np.isfinite(row).all()]
    for query, near, scores in zip(queries, best.rows, best.scores, strict=True):
        found = near[near >= 0].tolist()
        if not query.any() or not np.isfinite(query).all():
            assert found == []
            continue
        exact = {row: score(metric, query, rows[row]) for row in directed}
        assert len(found) == len(set(found)) == min(count, len(directed))
        assert set(found) <= set(directed)
        signed = -scores if metric == "euclidean" else scores
        # what binary64 cannot tell where large products cancel each other
        lost = 1e-12
        if metric != "cosine":
            numbers = np.abs(np.float64(np.vstack([query, *rows[directed]])))
            lost *= max(1.0, float(np.abs(query).max())) * float(numbers.max())
        np.testing.assert_allclose(
            signed[: len(found)], [exact[row] for row in found], rtol=1e-9, atol=lost
        )
        furthest = min((exact[row] for row in found), default=np.inf)
        slack = 1e-9 * abs(furthest) + lost
        left = [exact[row] for row in directed if row not in found]
        assert all(value <= furthest + slack for value in left)
        assert (near[len(found) :] == -1).all()
        assert np.isnan(scores[len(found) :]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_and_their_places_change_no_bit(metric):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9000, 3)).astype(np.float32)
    rows[rng.integers(0, 9000, 3000)] = rows[7]  # many that are equally near
    queries = rng.normal(size=(4, 3)).astype(np.float32)
    small = Nearest(queries, 5, metric, at_once=(3, 7))
    large = Nearest(queries, 5, metric)
    small.add(rows)
    for block in np.split(rows, [1, 4000]):
        large.add(block)

    assert small.rows.tolist() == large.rows.tolist()
    assert small.scores.tobytes() == large.scores.tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_binary32_cannot_tell_apart_are_told_apart(metric):
    rows = np.full((50, 8), 1000, np.float32)
    rows[:, 0] += np.float32(2**-13) * np.arange(50)[::-1]  # one bit each
    query = np.float32([[1000] * 8])
    if metric == "dot":
        query = np.float32([[1, 1, 1, 1, 1, 1, 1, 1e3]])
    expected = [49, 48, 47] if metric != "dot" else [0, 1, 2]

    best = Nearest(query, 3, metric)
    best.add(rows)

    assert best.rows[0].tolist() == expected


@pytest.mark.parametrize("metric", METRICS)
def test_no_near_tie_is_lost_among_blocks_of_thousands(metric):
    """Scores closer than binary32 tells, in rows that come after a floor is set."""
    rng = np.random.default_rng(3)
    rows = (1000 + rng.integers(0, 64, (20_000, 8)) * 2.0**-13).astype(np.float32)
    query = (1000 + rng.integers(0, 64, (1, 8)) * 2.0**-13).astype(np.float32)
    best = Nearest(query, 5, metric)

    best.add(rows)

    wide, asked = rows.astype(np.float64), query[0].astype(np.float64)
    exact = wide @ asked
    if metric == "cosine":
        exact /= np.linalg.norm(wide, axis=1) * np.linalg.norm(asked)
    elif metric == "euclidean":
        exact = -np.linalg.norm(wide - asked, axis=1)
    # what comes next to the fifth may differ from it by the rounding of binary64
    assert exact[best.rows[0]].min() >= np.sort(exact)[-5] * (1 - 1e-15) - 1e-12


def test_of_equal_rows_the_first_comes_first():
    best = Nearest(np.float32([[1, 0]]), 3)

    best.add(np.float32([[0, 1], [2, 0], [1, 0], [3, 0]]))

    assert best.rows.tolist() == [[1, 2, 3]]


def test_rows_without_a_direction_are_near_nothing():
    best = Nearest(np.float32([[1, 0]]), 5)

    best.add(np.float32([[0, 0], [np.nan, 1], [np.inf, 0], [-1, 0], [3e38, 3e38]]))

    assert best.rows.tolist() == [[4, 3, -1, -1, -1]]
    np.testing.assert_allclose(best.scores[0, :2], [0.5**0.5, -1], rtol=1e-6)


def test_a_metric_that_is_none_names_those_there_are():
    with pytest.raises(OptionError, match="cosine, dot, euclidean; did you mean"):
        Nearest(np.float32([[1, 0]]), 1, "cosin")


def test_unit_rows_are_as_long_as_one():
    units = unit_rows(np.float32([[3, 4], [0, 0], [1e-45, 0], [np.nan, 0]]))

    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 0], [1, 0], [0, 0]], rtol=1e-6)
