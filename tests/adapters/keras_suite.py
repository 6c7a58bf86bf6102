"""The tests of the Keras adapter, for the backend that KERAS_BACKEND names.

A process has one backend, so `test_keras` runs this file once for each.
"""

import json
import os
import subprocess
import sys
import zipfile
from typing import ClassVar

import keras
import numpy as np
import pytest

from pretrained_embed.adapters import keras as pe_keras
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import IDS, LABELS, AdapterTests, make_matrix, same_bits

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 hands numpy 2 arrays whose __array__ knows no copy=.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda: keras.optimizers.Adam(0.1),
    "adamw": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.5),
    "clipped": lambda: keras.optimizers.AdamW(0.1, global_clipnorm=0.1),
}


def classifier(layers, optimizer="sgd"):
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    pooled = [keras.layers.GlobalAveragePooling1D()(layer(ids)) for layer in layers]
    together = keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0]
    model = keras.Model(ids, keras.layers.Dense(1)(together))
    model.compile(
        OPTIMIZERS[optimizer](), keras.losses.BinaryCrossentropy(from_logits=True)
    )
    return model


def train(model, steps):
    for _ in range(steps):
        model.train_on_batch(IDS, LABELS[:, None])


def output(layer, ids):
    return keras.ops.convert_to_numpy(layer(ids))


class TestEmbedding(AdapterTests):
    optimizers: ClassVar = OPTIMIZERS
    plain = keras.layers.Embedding
    word = "trainable"

    def layer(self, matrix, rows):
        return pe_keras.embedding(matrix, trainable=rows)

    def output(self, layer, ids):
        return output(layer, ids)

    def train(self, layers, optimizer, steps):
        train(classifier(layers, optimizer), steps)

    def from_layer(self, layer, vocabulary, **options):
        return pe_keras.from_layer(layer, vocabulary, **options)


@pytest.fixture
def matrix() -> EmbeddingMatrix:
    return make_matrix()


@pytest.fixture(scope="module")
def model():
    """A trained model with a layer of each kind; tests do not change it."""
    matrix = make_matrix()
    layers = [
        keras.layers.Embedding(
            *matrix.shape, embeddings_initializer=pe_keras.Pretrained(matrix)
        ),
        pe_keras.embedding(make_matrix(pad=None)),
        pe_keras.embedding(matrix, trainable="oov"),
    ]
    model = classifier(layers, "adam")
    train(model, steps=2)
    return model


def test_runs_on_the_backend_asked_for():
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]


def test_a_plain_layer_that_moved_the_pad_row_is_no_matrix(matrix):
    layer = keras.layers.Embedding(
        *matrix.shape, embeddings_initializer=pe_keras.Pretrained(matrix)
    )
    train(classifier([layer]), steps=1)

    with pytest.raises(VocabularyError, match="row 0"):
        pe_keras.from_layer(layer, matrix.vocabulary)


def test_a_layer_that_is_not_built_is_no_matrix(matrix):
    layer = keras.layers.Embedding(*matrix.shape)

    with pytest.raises(OptionError, match="built"):
        pe_keras.from_layer(layer, matrix.vocabulary)


def test_pad_row_stays_zero_when_a_frozen_layer_is_thawed(matrix):
    layer = pe_keras.embedding(matrix, trainable=False)
    assert layer.trainable_weights == []

    layer.trainable = True
    train(classifier([layer], "adamw"), steps=2)

    table = output(layer, np.arange(7))
    assert not table[0].any()
    assert (table[1] != matrix.vectors[1]).any()


def test_an_initializer_fills_a_plain_layer(matrix):
    layer = keras.layers.Embedding(
        *matrix.shape, embeddings_initializer=pe_keras.Pretrained(matrix)
    )
    before = matrix.vectors.tobytes()
    assert same_bits(output(layer, IDS), matrix.vectors[IDS])

    train(classifier([layer]), steps=2)

    assert matrix.vectors.tobytes() == before


def test_a_layer_of_the_wrong_shape_is_refused_with_the_likely_mistake(matrix):
    layer = keras.layers.Embedding(
        8, 4, embeddings_initializer=pe_keras.Pretrained(matrix)
    )

    with pytest.raises(ShapeError, match=r"len\(vocab\) \+ 1"):
        layer.build()


def test_a_model_is_saved_and_loaded_whole(model, tmp_path):
    before = output(model, IDS)
    model.save(tmp_path / "model.keras")

    loaded = keras.saving.load_model(tmp_path / "model.keras")

    assert same_bits(output(loaded, IDS), before)
    train(loaded, steps=1)
    assert not same_bits(output(loaded, IDS), before)
    assert same_bits(output(model, IDS), before)


def test_a_model_is_loaded_in_another_process_and_backend(model, tmp_path):
    model.save(tmp_path / "model.keras")
    program = (
        "import sys, numpy, keras, pretrained_embed.adapters.keras\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "for layer, name in zip(model.layers[1:4], sys.argv[2:]):\n"
        "    numpy.save(name, layer(numpy.arange(7)))\n"
    )
    tables = [tmp_path / f"{i}.npy" for i in range(3)]

    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model.keras", *tables],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )

    for layer, table in zip(model.layers[1:4], tables, strict=True):
        assert same_bits(np.load(table), output(layer, np.arange(7)))


def test_weights_are_saved_and_loaded(model, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    twin = keras.models.clone_model(model)

    twin.load_weights(tmp_path / "model.weights.h5")

    assert same_bits(output(twin, IDS), output(model, IDS))


def test_a_clone_takes_the_weights_of_its_model(model):
    twin = keras.models.clone_model(model)

    twin.set_weights(model.get_weights())

    assert same_bits(output(twin, IDS), output(model, IDS))


def test_a_clone_without_weights_gives_nothing_that_passes_for_vectors(model):
    twin = keras.models.clone_model(model)

    assert np.isnan(output(twin.layers[1], IDS)).all()  # filled by the initialiser
    assert np.isnan(output(twin.layers[3], IDS)).all()  # made by the adapter


def test_the_matrix_is_in_no_config(model, tmp_path):
    model.save(tmp_path / "model.keras")

    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    layers = config["config"]["layers"][1:4]
    assert all("Embedding" in layer["class_name"] for layer in layers)
    assert max(len(json.dumps(layer)) for layer in layers) < 1000


def test_mask_zero_masks_the_pad_id(matrix):
    for trainable in (True, "oov"):
        layer = pe_keras.embedding(matrix, trainable=trainable, mask_zero=True)

        mask = keras.ops.convert_to_numpy(layer.compute_mask(IDS))

        assert (mask == (IDS != 0)).all()
        assert layer.supports_masking
    assert pe_keras.embedding(matrix).compute_mask(IDS) is None


def test_a_masked_token_does_not_reach_the_layers_after(matrix):
    layer = pe_keras.embedding(matrix, mask_zero=True)
    pool = keras.layers.GlobalAveragePooling1D()

    pooled = output(keras.Sequential([layer, pool]), IDS[2:3])  # two tokens, two pads

    np.testing.assert_allclose(pooled[0], matrix.vectors[[3, 5]].mean(0), rtol=1e-6)


def test_mask_zero_is_refused_where_id_0_is_a_token():
    at_the_end = EmbeddingMatrix(
        np.array([[1, 2], [0, 0]], np.float32), Vocabulary({"cat": 0, "<pad>": 1})
    )

    with pytest.raises(OptionError, match=r"its id is 1.* pad token at row 0"):
        pe_keras.embedding(at_the_end, mask_zero=True)
    with pytest.raises(OptionError, match="there is none"):
        pe_keras.embedding(make_matrix(pad=None), mask_zero=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16"])
@pytest.mark.parametrize("trainable", [True, "oov"])
def test_dtype_is_rounded_from_the_matrix_which_stays(matrix, dtype, trainable):
    before = matrix.vectors.tobytes()

    layer = pe_keras.embedding(matrix, trainable=trainable, dtype=dtype)

    rows = layer(IDS)
    policy = keras.dtype_policies.get(dtype)
    assert keras.backend.standardize_dtype(rows.dtype) == policy.compute_dtype
    assert {
        keras.backend.standardize_dtype(weight.dtype) for weight in layer.weights[:2]
    } == {policy.variable_dtype}
    expected = keras.ops.cast(matrix.vectors[IDS], policy.compute_dtype)
    assert bool(keras.ops.all(rows == expected))
    assert matrix.vectors.tobytes() == before


def test_values_that_float16_cannot_hold_are_refused():
    vectors = np.array([[0, 0], [1, 70000]], np.float32)
    matrix = EmbeddingMatrix(vectors, Vocabulary(["cat"]))

    with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
        pe_keras.embedding(matrix, dtype="float16")
    with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
        pe_keras.embedding(matrix, dtype="mixed_float16")
    with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
        pe_keras.Pretrained(matrix)((2, 2), "float16")


def test_ids_that_come_as_floats_are_taken_as_by_a_plain_layer(matrix):
    layer = pe_keras.embedding(matrix)

    assert same_bits(output(layer, IDS.astype(np.float32)), matrix.vectors[IDS])
