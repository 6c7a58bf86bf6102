"""Places in the plane: alike is near, and the same each time."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pretrained_embed import EmbeddingMatrix
from pretrained_embed.errors import MissingPackageError, OptionError
from pretrained_embed.tools.plot import project


def clusters(dim: int = 10) -> np.ndarray:
    """Return twenty vectors near each of three directions."""
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(3, dim) * 5, 20, axis=0)
    return (centres + rng.normal(size=(60, dim)) / 4).astype(np.float32)


@pytest.mark.parametrize("method", EmbeddingMatrix.PROJECTIONS)
def test_what_is_alike_is_near(method):
    places = project(clusters(), method, seed=3)

    groups = places.reshape(3, 20, 2)
    middles = groups.mean(axis=1)
    within = np.linalg.norm(groups - middles[:, None], axis=2).mean()
    between = np.linalg.norm(middles - np.roll(middles, 1, axis=0), axis=1).min()
    assert places.shape == (60, 2)
    assert places.dtype == np.float32
    assert between > 2 * within
    np.testing.assert_allclose(places.mean(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize("method", EmbeddingMatrix.PROJECTIONS)
def test_the_same_seed_gives_the_same_places(method):
    one, two = (project(clusters(), method, seed=3) for _ in range(2))

    assert one.tobytes() == two.tobytes()


def test_pca_keeps_the_directions_of_largest_variance():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(200, 4)) * [0.1, 3, 0.1, 1] + [50, 0, 0, 0]
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(units - units.mean(axis=0))

    places = project(vectors.astype(np.float32))

    expected = (units - units.mean(axis=0)) @ axes[:2].T
    signs = np.sign(np.sum(places * expected, axis=0))
    np.testing.assert_allclose(places, expected * signs, atol=1e-4)


@pytest.mark.parametrize("method", EmbeddingMatrix.PROJECTIONS)
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_few_rows_have_places_too(method, rows):
    places = project(clusters()[:rows], method)

    assert places.shape == (rows, 2)
    assert np.isfinite(places).all()


def test_one_dimension_is_a_line():
    places = project(np.float32([[1], [-2], [3]]))

    assert not places[:, 1].any()
    assert places[0, 0] == places[2, 0] != places[1, 0]


def test_numbers_that_are_not_finite_count_as_zeros():
    vectors = np.float32([[1, 0], [np.nan, 1], [np.inf, 1], [0, 0]])

    places = project(vectors)

    assert np.isfinite(places).all()
    assert places[1].tolist() == places[2].tolist()


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(OptionError, match=r"'tsme'.*did you mean 'tsne'"):
        project(clusters(), "tsme")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "module", "package"),
    [("tsne", "sklearn.manifold", "scikit-learn"), ("umap", "umap", "umap-learn")],
)
def test_a_missing_package_is_named(monkeypatch, method, module, package):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingPackageError, match=f"pip install {package}"):
        project(clusters(), method)


def test_each_step_is_told():
    steps = []

    project(clusters(), "tsne", step=steps.append)

    assert steps == ["finding the main directions", "running t-SNE"]
