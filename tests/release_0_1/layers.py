"""What is in the states of layers that release 0.1 saved; see their ``make.py``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

import pretrained_embed as pe

FOLDER = Path(__file__).parents[1] / "data" / "release_0_1" / "layers"
ROWS, DIM, HOLE = 300, 4, 150

with np.load(FOLDER / "expected.npz") as arrays:
    START, PUSH, FROZEN = (arrays[name] for name in ("start", "push", "frozen"))
TRAINED = START - PUSH / 2
NEVER = np.isin(np.arange(ROWS), [0, HOLE])  # the pad row and the hole


class Kind(NamedTuple):
    """A layer by what it was asked to freeze, and the rows that stayed."""

    freeze: bool | np.ndarray
    stays: np.ndarray  # bool (300,)
    pad: bool = True

    @property
    def table(self) -> np.ndarray:
        return np.where(self.stays[:, None], START, TRAINED)

    def vocabulary(self) -> pe.Vocabulary:
        if not self.pad:
            return pe.Vocabulary([f"w{i}" for i in range(ROWS)], pad=None)
        ids = {f"w{i}": i for i in range(1, ROWS) if i != HOLE}
        return pe.Vocabulary({"<pad>": 0, **ids}, pad="<pad>")

    def other_matrix(self) -> pe.EmbeddingMatrix:
        """Return a matrix of the same shape whose values must all give way."""
        return pe.EmbeddingMatrix(2 * START, self.vocabulary())


KINDS = {
    "some": Kind(FROZEN, FROZEN),
    "whole": Kind(False, NEVER),
    "still": Kind(True, np.ones(ROWS, np.bool_)),
    "no_pad": Kind(False, np.zeros(ROWS, np.bool_), pad=False),
}


def assert_same_bits(made: np.ndarray, expected: np.ndarray) -> None:
    assert made.dtype == expected.dtype
    assert made.shape == expected.shape
    wrong = (made.view(np.uint32) != expected.view(np.uint32)).any(axis=1)
    assert not wrong.any(), f"rows {np.flatnonzero(wrong).tolist()}"


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Round float32 to bfloat16, ties to even, and return it as float32."""
    bits = values.view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return rounded.astype(np.uint32).view(np.float32)
