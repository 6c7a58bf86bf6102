"""The best rows, however they come in blocks, against sorting all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.neighbours import Nearest, unit_rows

# Halves: products and norms of so few are exact enough that equal cosines are equal.
numbers = st.integers(-2, 2).map(lambda number: number / 2)


@st.composite
def searches(draw):
    dim = draw(st.integers(1, 4))
    row = st.lists(numbers, min_size=dim, max_size=dim)
    rows = draw(st.lists(row, min_size=1, max_size=12))
    queries = draw(st.lists(row, min_size=1, max_size=3))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    return np.float32(rows), np.float32(queries), cuts, draw(st.integers(1, 6))


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = np.linalg.norm(np.float64(one)) * np.linalg.norm(np.float64(other))
    return float(np.float64(one) @ np.float64(other) / lengths) if lengths else 0.0


@given(searches())
def test_the_nearest_are_those_that_sorting_gives(search):
    rows, queries, cuts, count = search
    best = Nearest(queries, count)

    for block in np.split(rows, cuts):
        best.add(block)

    directed = [row for row in range(len(rows)) if rows[row].any()]
    for query, near, cosines in zip(queries, best.rows, best.cosines, strict=True):
        found = near[near >= 0].tolist()
        exact = {row: cosine(query, rows[row]) for row in directed}
        assert len(found) == len(set(found)) == min(count, len(directed))
        assert set(found) <= set(directed)
        np.testing.assert_allclose(
            cosines[: len(found)], [exact[row] for row in found], atol=1e-6
        )
        furthest = min((exact[row] for row in found), default=2.0)
        left = [exact[row] for row in directed if row not in found]
        assert all(value <= furthest + 1e-6 for value in left)
        assert (near[len(found) :] == -1).all()
        assert (cosines[len(found) :] == -np.inf).all()


def test_of_equal_rows_the_first_comes_first():
    best = Nearest(np.float32([[1, 0]]), 3)

    best.add(np.float32([[0, 1], [2, 0], [1, 0], [3, 0]]))

    assert best.rows.tolist() == [[1, 2, 3]]


def test_rows_without_a_direction_are_near_nothing():
    best = Nearest(np.float32([[1, 0]]), 5)

    best.add(np.float32([[0, 0], [np.nan, 1], [np.inf, 0], [-1, 0], [3e38, 3e38]]))

    assert best.rows.tolist() == [[4, 3, -1, -1, -1]]
    np.testing.assert_allclose(best.cosines[0, :2], [0.5**0.5, -1], rtol=1e-6)


def test_memory_is_bounded_by_blocks(monkeypatch):
    from pretrained_embed.neighbours import nearest

    monkeypatch.setattr(nearest, "_QUERIES", 3)
    monkeypatch.setattr(nearest, "_ROWS", 7)
    rng = np.random.default_rng(0)
    rows, queries = rng.normal(size=(50, 3)), rng.normal(size=(4, 3))
    small, large = (Nearest(np.float32(queries), 5) for _ in range(2))
    small.add(np.float32(rows))
    monkeypatch.undo()
    large.add(np.float32(rows))

    assert small.rows.tolist() == large.rows.tolist()


def test_unit_rows_are_as_long_as_one():
    units = unit_rows(np.float32([[3, 4], [0, 0], [1e-45, 0], [np.nan, 0]]))

    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 0], [1, 0], [0, 0]], rtol=1e-6)
