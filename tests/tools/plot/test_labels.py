"""Labels beside points: none covers another, and each is near its point."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed.tools.plot import Placed, place_labels

places = st.floats(0, 50).map(lambda x: round(x, 1))
labels = st.lists(
    st.tuples(places, places, st.integers(5, 60), st.integers(8, 12)), max_size=25
)


def placed(given_labels, **options) -> list[Placed]:
    points = np.array([label[:2] for label in given_labels], float).reshape(-1, 2)
    return place_labels(points, [label[2:] for label in given_labels], 2.0, **options)


@given(labels)
def test_no_two_labels_overlap(given_labels):
    boxes = [
        (place.x - width / 2, place.y - height / 2, width, height)
        for place, (_, _, width, height) in zip(
            placed(given_labels), given_labels, strict=True
        )
    ]

    assert len(boxes) == len(given_labels)
    for (x, y, width, height), (x2, y2, width2, height2) in itertools.combinations(
        boxes, 2
    ):
        apart_x = x + width <= x2 + 1e-6 or x2 + width2 <= x + 1e-6
        apart_y = y + height <= y2 + 1e-6 or y2 + height2 <= y + 1e-6
        assert apart_x or apart_y


@given(labels)
def test_no_label_covers_a_point(given_labels):
    for place, (_, _, width, height) in zip(
        placed(given_labels), given_labels, strict=True
    ):
        for x, y, _, _ in given_labels:
            beside = abs(x - place.x) >= width / 2 or abs(y - place.y) >= height / 2
            assert beside


def test_a_label_alone_stands_beside_its_point():
    (place,) = placed([(10.0, 10.0, 30, 10)])

    assert place == Placed(10 + 15 + 1 + 2, 10, False)


def test_many_labels_of_one_point_lead_back_to_it():
    found = placed([(10.0, 10.0, 30, 10)] * 30)

    assert [place.away for place in found[:4]] == [False] * 4
    assert found[-1].away


def test_a_label_is_placed_where_the_spiral_is_full():
    found = placed([(10.0, 10.0, 30, 10)] * 9, steps=1)

    assert len({(place.x, place.y) for place in found}) == 9
