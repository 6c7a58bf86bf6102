"""Where labels go beside their points, so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pretrained_embed.arrays import BoolArray, Float64Array

#: Steps of the spiral on which a free place is looked for, and how far apart they are,
#: in parts of a label's height.
_STEPS, _STRIDE = 2000, 0.35
#: The angle between steps: the golden one, which never comes round.
_ANGLE = np.pi * (3 - np.sqrt(5))
#: A label this many heights away from its point gets a line to it.
_AWAY = 2.0


class Placed(NamedTuple):
    """The middle of a label, and whether it is so far off that a line should lead."""

    x: float
    y: float
    away: bool


def place_labels(
    points: Float64Array, sizes: Sequence[tuple[float, float]], gap: float
) -> list[Placed]:
    """Return a place for each label, in the order of importance they are given in.

    ``points`` is (labels, 2), ``sizes`` the width and height of each, ``gap`` the least
    distance between labels and to their own point, all in one unit. No two labels
    overlap, and none covers a point. Each goes to the nearest free place on a spiral
    around its own point.
    """
    turns = np.arange(1, _STEPS + 1)
    spiral = np.stack([np.cos(turns * _ANGLE), np.sin(turns * _ANGLE)], axis=1)
    spiral *= np.sqrt(turns)[:, None]
    # left, bottom, right, top: of the points themselves, then of each label
    taken = np.concatenate([points - 0.99 * gap, points + 0.99 * gap], axis=1)
    placed = []
    for (x, y), (width, height) in zip(points.tolist(), sizes, strict=True):
        half = np.array([width, height]) / 2 + gap / 2
        beside = np.array([[half[0] + gap, 0], [-half[0] - gap, 0], [0, half[1] + gap]])
        beside = np.concatenate([beside, [[0, -half[1] - gap]]])
        offsets = np.concatenate([beside, spiral * height * _STRIDE])
        centres = offsets + np.array([x, y])
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        free = ~_overlap(boxes, taken)
        # where the whole spiral is taken, further out than any label there is
        at = int(np.argmax(free)) if free.any() else -1
        box, centre = boxes[at], centres[at]
        if at < 0:
            centre = np.array([x, taken[:, 3].max() + half[1]])
            box = np.concatenate([centre - half, centre + half])
        taken = np.concatenate([taken, box[None]])
        distance = float(np.hypot(*(centre - (x, y))))
        away = at < 0 or (at >= len(beside) and distance > _AWAY * height + width / 2)
        placed.append(Placed(float(centre[0]), float(centre[1]), away))
    return placed


def _overlap(boxes: Float64Array, taken: Float64Array) -> BoolArray:
    """Return which boxes overlap one that is taken."""
    lefts, bottoms, rights, tops = (boxes[:, i, None] for i in range(4))
    apart = (
        (lefts >= taken[:, 2])
        | (rights <= taken[:, 0])
        | (bottoms >= taken[:, 3])
        | (tops <= taken[:, 1])
    )
    return np.asarray(~apart.all(axis=1))
