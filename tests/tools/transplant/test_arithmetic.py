"""Rounding to what a model stores, the weights of FOCUS, and matching pursuit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.tools.transplant.blends import pursued, sparsemax
from pretrained_embed.tools.transplant.saved_model import from_float64, to_float64

pytest.importorskip("torch", reason="torch is not installed")
import torch


@given(st.lists(st.floats(width=32), min_size=1))
def test_bfloat16_is_rounded_as_torch_rounds_it(values):
    ours = from_float64(np.array(values), "BF16")

    theirs = torch.tensor(values, dtype=torch.float32).to(torch.bfloat16)
    numbers = ~np.isnan(values)
    assert np.array_equal(
        ours[numbers], theirs.view(torch.int16).numpy().view(np.uint16)[numbers]
    )
    assert np.isnan(to_float64(ours, "BF16")[~numbers]).all()


def test_every_bfloat16_comes_back_as_it_is():
    bits = np.arange(1 << 16, dtype=np.uint16)

    back = from_float64(to_float64(bits, "BF16"), "BF16")

    numbers = ~np.isnan(to_float64(bits, "BF16"))
    assert np.array_equal(back[numbers], bits[numbers])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50))
def test_sparsemax_is_the_nearest_point_of_the_simplex(scores):
    scores = np.array(scores)

    weights = sparsemax(scores)

    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    # What it has given up of each score is the same, and more than others had.
    given_up = (scores - weights)[weights > 0]
    assert np.ptp(given_up) == pytest.approx(0, abs=1e-12)
    assert (scores[weights == 0] <= given_up.mean() + 1e-12).all()


def plain_pursuit(vector, atoms, size):
    """Return the atoms chosen and their weights: each step as the method is defined."""
    units = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    chosen, weights, left = [], np.empty(0), vector
    while len(chosen) < size and np.linalg.norm(left) > 1e-5 * np.linalg.norm(vector):
        fits = np.abs(units @ left)
        fits[chosen] = -1
        chosen.append(int(fits.argmax()))
        weights = np.linalg.lstsq(atoms[chosen].T, vector, rcond=None)[0]
        left = vector - weights @ atoms[chosen]
    return chosen, weights


@pytest.mark.parametrize(
    ("dim", "atoms", "most"), [(64, 300, 8), (520, 90, 64), (4, 20, 1), (64, 5, 5)]
)
def test_matching_pursuit_chooses_and_weighs_as_it_is_defined(dim, atoms, most):
    draw = np.random.default_rng(0)
    shared = draw.normal(size=(atoms, dim)) * draw.uniform(0.1, 9, (atoms, 1))
    sums = draw.normal(size=(2, 3)) @ shared[:3] if most > 3 else shared[:0]
    new = np.concatenate([draw.normal(size=(2, dim)), sums, shared[4:5]])
    new, shared = new.astype(np.float32), shared.astype(np.float32)

    found = list(pursued(new, shared))

    assert len(found) == len(new)
    for vector, (chosen, weights) in zip(new.astype(np.float64), found, strict=True):
        theirs = plain_pursuit(vector, shared.astype(np.float64), most)
        assert chosen.tolist() == theirs[0]
        assert weights == pytest.approx(theirs[1], rel=1e-6, abs=1e-9)
    assert len(found[0][0]) == most
    assert found[-1][0].tolist() == [4]
    assert all(len(chosen) == 3 for chosen, _ in found[2:-1])
