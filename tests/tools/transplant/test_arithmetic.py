"""Rounding to what a model stores, and the weights of FOCUS."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.tools.transplant.blends import sparsemax
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
