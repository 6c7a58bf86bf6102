"""Keras takes the models and weights that release 0.1 saved.

For the backend that KERAS_BACKEND names: `tests/adapters/test_keras.py` runs this file
once for each.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pretrained_embed.adapters import keras as pe_keras

from .layers import FOLDER, KINDS, PUSH, ROWS, Kind, assert_same_bits

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 hands numpy 2 arrays whose __array__ knows no copy=.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

IDS = np.arange(ROWS)
SAVED = FOLDER / "keras"


def table_of(layer: keras.layers.Layer) -> np.ndarray:
    return keras.ops.convert_to_numpy(layer(IDS))


def assert_held(layer: keras.layers.Layer, kind: Kind) -> None:
    assert_same_bits(table_of(layer), kind.table)
    back = pe_keras.from_layer(layer, kind.vocabulary())
    assert_same_bits(back.vectors, kind.table)


def new_model(kind: Kind) -> keras.Model:
    trainable = not kind.freeze if isinstance(kind.freeze, bool) else ~kind.freeze
    inputs = keras.Input((1,), dtype="int32")
    layer = pe_keras.embedding(kind.other_matrix(), trainable=trainable)
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_has_every_row(kind):
    model = keras.saving.load_model(SAVED / f"{kind}.keras")

    assert_held(model.layers[1], KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_saved_weights_are_loaded_into_a_new_layer(kind):
    model = new_model(KINDS[kind])

    model.load_weights(SAVED / f"{kind}.weights.h5")

    assert_held(model.layers[1], KINDS[kind])


@pytest.mark.parametrize("kind", ["some", "whole", "no_pad"])
def test_in_a_loaded_model_the_same_rows_train(kind):
    model = keras.saving.load_model(SAVED / f"{kind}.keras")
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), "mse")

    model.fit(IDS[:, None], 100 * PUSH[:, None], batch_size=ROWS, verbose=0)

    moved = (table_of(model.layers[1]) != KINDS[kind].table).any(axis=1)
    np.testing.assert_array_equal(moved, ~KINDS[kind].stays)


def test_a_loaded_layer_that_was_frozen_is_frozen():
    model = keras.saving.load_model(SAVED / "still.keras")

    assert model.trainable_weights == []


def test_a_model_saved_with_its_optimizer_has_every_row():
    model = keras.saving.load_model(SAVED / "some_with_optimizer.keras")

    assert_held(model.layers[1], KINDS["some"])
    assert model.optimizer.name == "adam"
