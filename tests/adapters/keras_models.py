"""Models with our layers: how they train, are saved, and serve without this package.

For the backend that KERAS_BACKEND names: `test_keras` runs this file once for each.
"""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import ops

from pretrained_embed.adapters import keras as pe_keras
from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import IDS, make_matrix, same_bits

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 hands numpy 2 arrays whose __array__ knows no copy=.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
old_ways_of_keras = pytest.mark.filterwarnings("ignore")
BACKEND = keras.backend.backend()


def array(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def table(layer):
    return array(layer(np.arange(7)))


def plain(matrix, **options):
    return keras.layers.Embedding(
        *matrix.shape, weights=np.array(matrix.vectors), **options
    )


def model_of(*layers):
    ids = keras.Input((4,), dtype="int32")
    rows = [layer(ids) for layer in layers]
    together = keras.layers.Concatenate()(rows) if len(rows) > 1 else rows[0]
    return keras.Model(ids, keras.layers.Dense(1)(together))


@pytest.fixture
def matrix() -> EmbeddingMatrix:
    return make_matrix()


class Tied(keras.Model):
    """Predicts ids with the tables that gave the rows, so every row has a gradient."""

    def __init__(self, layers):
        super().__init__()
        self.tables = layers
        self.dense = keras.layers.Dense(4)

    def call(self, ids):
        hidden = self.dense(sum(layer(ids) for layer in self.tables))
        whole = sum(ops.convert_to_tensor(layer.embeddings) for layer in self.tables)
        return ops.matmul(hidden, ops.transpose(whole))


OPTIMIZERS = {
    "adamw": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.5),
    "accumulated": lambda: keras.optimizers.Adam(0.1, gradient_accumulation_steps=2),
    "clipped": lambda: keras.optimizers.Lion(0.1, global_clipnorm=0.1),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
    "averaged": lambda: keras.optimizers.Adam(
        0.1, use_ema=True, ema_overwrite_frequency=3
    ),
    "averaged in the end": lambda: keras.optimizers.SGD(0.1, use_ema=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pad_row_stays_zero_in_fit_with_a_tied_output(matrix, optimizer):
    whole, part = (pe_keras.embedding(matrix, trainable=t) for t in (True, "oov"))
    model = Tied([whole, part])
    model.compile(
        OPTIMIZERS[optimizer](),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    model.fit(IDS, IDS, batch_size=2, epochs=2, verbose=0)

    for layer, trains in ((whole, [1, 2, 3, 5, 6]), (part, [3, 6])):
        rows = layer.get_weights()[0]
        assert not rows[0].any()
        assert not table(layer)[0].any()
        assert (rows[trains] != matrix.vectors[trains]).any(axis=1).all()
        assert not array(layer.embeddings)[0].any()
    stays = [0, 1, 2, 4, 5]
    assert same_bits(table(part)[stays], matrix.vectors[stays])


def test_pad_row_stays_zero_where_the_average_overwrites_the_weights(matrix):
    layer = pe_keras.embedding(matrix, dtype="mixed_bfloat16")
    model = model_of(layer)
    model.compile(OPTIMIZERS["averaged"](), "mse")

    model.fit(IDS, np.ones((4, 4, 1)), batch_size=1, epochs=2, verbose=0)

    assert not array(layer.embeddings)[0].any()
    assert array(layer.embeddings)[1].any()


def native_step(layer):
    """Take two steps of the backend's own kind, with weight decay."""
    if BACKEND == "torch":
        import torch

        optimizer = torch.optim.AdamW(layer.parameters(), 0.1, weight_decay=0.5)
        for _ in range(2):
            optimizer.zero_grad()
            layer(torch.tensor(IDS)).square().sum().backward()
            optimizer.step()
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        for _ in range(2):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(layer(tf.constant(IDS)) ** 2)
            (variable,) = layer.trainable_variables
            gradient = tf.convert_to_tensor(tape.gradient(loss, variable.value))
            variable.value.assign_sub(0.1 * gradient + 0.1 * variable.value)
    else:
        import jax
        import optax

        optimizer = optax.adamw(0.1, weight_decay=0.5)
        trained = [v.value for v in layer.trainable_variables]
        others = [v.value for v in layer.non_trainable_variables]

        def loss(trained):
            rows, _ = layer.stateless_call(trained, others, IDS)
            return (rows**2).sum()

        state = optimizer.init(trained)
        for _ in range(2):
            updates, state = optimizer.update(jax.grad(loss)(trained), state, trained)
            trained = optax.apply_updates(trained, updates)
        layer.trainable_variables[0].assign(trained[0])


@pytest.mark.parametrize("trainable", [True, "oov"])
def test_pad_row_stays_zero_in_a_loop_of_the_backend(matrix, trainable):
    layer = pe_keras.embedding(matrix, trainable=trainable)

    native_step(layer)

    rows = layer.get_weights()[0]
    assert not array(layer.embeddings)[0].any()
    assert (rows[3] != matrix.vectors[3]).any()


def test_a_pad_row_that_was_trained_elsewhere_is_left_out_with_a_warning(
    matrix, tmp_path
):
    moved = matrix.vectors + 1
    elsewhere = model_of(keras.layers.Embedding(7, 4, weights=moved))
    elsewhere.save_weights(tmp_path / "m.weights.h5")
    layer = pe_keras.embedding(matrix)

    with pytest.warns(UserWarning, match="row 0 of the weights is not zero"):
        model_of(layer).load_weights(tmp_path / "m.weights.h5")

    assert not array(layer.embeddings)[0].any()
    assert same_bits(table(layer)[1:], moved[1:])
    for other in (layer, pe_keras.embedding(matrix, trainable="oov")):
        with pytest.warns(UserWarning, match="pad row of the layer"):
            other.set_weights([moved])
        assert not array(other.embeddings)[0].any()


@pytest.mark.parametrize("trainable", [True, False, "oov"])
def test_files_of_weights_go_to_and_from_the_plain_layer(matrix, trainable, tmp_path):
    other = EmbeddingMatrix(3 * matrix.vectors, matrix.vocabulary)
    model_of(plain(other)).save_weights(tmp_path / "plain.weights.h5")
    layer = pe_keras.embedding(matrix, trainable=trainable)

    model_of(layer).load_weights(tmp_path / "plain.weights.h5")

    assert same_bits(table(layer), other.vectors)
    if trainable == "oov":
        return  # its own files are for layers of ours
    model_of(layer).save_weights(tmp_path / "ours.weights.h5")
    back = plain(matrix)
    model_of(back).load_weights(tmp_path / "ours.weights.h5")
    assert same_bits(table(back), other.vectors)


def test_values_come_from_the_file_and_which_rows_train_from_the_layer(
    matrix, tmp_path
):
    other = EmbeddingMatrix(3 * matrix.vectors, matrix.vocabulary)
    saved = model_of(pe_keras.embedding(other, trainable=["cat", "fjord"]))
    saved.save_weights(tmp_path / "m.weights.h5")
    layer = pe_keras.embedding(matrix, trainable=["cat", "dog"])

    with pytest.warns(UserWarning, match="2 of 7 rows"):
        model_of(layer).load_weights(tmp_path / "m.weights.h5")

    rows, trains = layer.get_weights()
    assert same_bits(rows, other.vectors)
    assert np.flatnonzero(trains).tolist() == [1, 2]
    assert same_bits(array(layer.trained), other.vectors[[1, 2]])


def test_an_average_of_the_whole_state_looks_up_no_other_row():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3003, 4)).astype(np.float32)
    vectors[0] = 0
    vocabulary = Vocabulary([f"w{i}" for i in range(3002)])
    matrix = EmbeddingMatrix(vectors, vocabulary)
    layer = pe_keras.embedding(matrix, trainable=rng.random(3003) < 0.4)
    model = keras.Sequential([layer])
    now = average = [np.asarray(w, np.float32) for w in model.get_weights()]

    for _ in range(20):
        average = [
            np.float32(0.9999) * a + np.float32(1e-4) * b
            for a, b in zip(average, now, strict=True)
        ]
    model.set_weights(average)

    np.testing.assert_allclose(array(layer(np.arange(3003))), vectors, rtol=1e-4)
    assert (array(layer.embeddings) == array(layer(np.arange(3003)))).all()


def slots_of(trains):
    """Return what release 0.1 kept in the place of a mask."""
    places = np.where(trains, np.cumsum(trains) - 1, ~(np.cumsum(~trains) - 1))
    return places.astype(np.int32)


def test_weights_of_a_model_of_the_first_release_are_set(matrix):
    saved = model_of(pe_keras.embedding(matrix, trainable=["cat", "fjord"]))
    layer = pe_keras.embedding(
        EmbeddingMatrix(3 * matrix.vectors, matrix.vocabulary),
        trainable=["cat", "fjord"],
    )
    model = model_of(layer)
    before = saved.get_weights()
    (place,) = (i for i, array in enumerate(before) if array.dtype == bool)

    def given(trains):
        return [*before[:place], trains, *before[place + 1 :]]

    slots = slots_of(before[place])
    model.set_weights(given(slots))

    assert same_bits(table(layer), matrix.vectors)
    for wrong, message in [
        (slots[::-1].copy(), "in another order"),
        (slots * np.float32(0.5), "neither a mask nor an average"),
        (~before[place], "5 rows train by this mask, but 2"),
    ]:
        with pytest.raises(OptionError, match=message):
            model.set_weights(given(wrong))
    assert same_bits(table(layer), matrix.vectors)


def test_a_layer_that_is_frozen_is_saved_as_the_plain_one_until_it_trains(
    matrix, tmp_path
):
    layer = pe_keras.embedding(matrix, trainable=False)
    model = model_of(layer)
    model.save(tmp_path / "frozen.keras")
    layer.trainable = True
    model.save(tmp_path / "thawed.keras")

    assert saved_class(tmp_path / "frozen.keras") == ("keras.layers", "Embedding")
    assert saved_class(tmp_path / "thawed.keras")[0].startswith("pretrained_embed.")
    loaded = keras.saving.load_model(tmp_path / "thawed.keras").layers[1]
    assert isinstance(loaded, pe_keras.Embedding)
    assert same_bits(table(loaded), matrix.vectors)


def saved_class(path):
    with zipfile.ZipFile(path) as archive:
        layer = json.loads(archive.read("config.json"))["config"]["layers"][1]
    return layer["module"], layer["class_name"]


#: Loads models in a process that has no pretrained_embed, and saves what they give.
SERVE = """
import sys
sys.modules["pretrained_embed"] = None
import keras, numpy
for path in sys.argv[1:]:
    model = keras.saving.load_model(path)
    numpy.save(path + ".npy", keras.ops.convert_to_numpy(model(numpy.load("ids.npy"))))
"""


@pytest.fixture
def serve(tmp_path):
    def serving(**models):
        np.save(tmp_path / "ids.npy", IDS)
        for name, model in models.items():
            model.save(tmp_path / f"{name}.keras")
        paths = [f"{name}.keras" for name in models]
        command = [sys.executable, "-c", SERVE, *paths]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-2000:]
        return {name: np.load(tmp_path / f"{name}.keras.npy") for name in models}

    return serving


def test_models_serve_where_this_package_is_not_installed(matrix, serve):
    filled = keras.layers.Embedding(
        7, 4, embeddings_initializer=pe_keras.Pretrained(matrix), name="filled"
    )
    ours = [pe_keras.embedding(matrix, trainable=t, name=str(t)) for t in (True, "oov")]
    trained = model_of(*ours, filled)
    quantized = pe_keras.embedding(matrix)
    quantized.quantize("int8")
    nested = keras.Sequential([keras.Input((4,), dtype="int32"), trained])
    frozen = model_of(pe_keras.embedding(matrix, trainable=False))

    served = serve(
        frozen=frozen,
        exported=pe_keras.export(trained),
        nested=pe_keras.export(nested),
        quantized=pe_keras.export(keras.Sequential([keras.Input((4,)), quantized])),
    )

    assert same_bits(served["frozen"], array(frozen(IDS)))
    assert same_bits(served["exported"], array(trained(IDS)))
    assert same_bits(served["nested"], array(nested(IDS)))
    assert same_bits(served["quantized"], array(quantized(IDS)))


def test_an_exported_model_has_the_other_layers_and_copies_of_ours(matrix):
    layer = pe_keras.embedding(matrix, trainable="oov", mask_zero=True, name="words")
    model = model_of(layer)

    exported = pe_keras.export(model)

    assert type(exported.get_layer("words")) is keras.layers.Embedding
    assert exported.get_layer("words").mask_zero
    assert exported.layers[-1] is model.layers[-1]
    assert same_bits(array(exported(IDS)), array(model(IDS)))
    layer.set_weights([2 * matrix.vectors])
    assert not same_bits(array(exported(IDS)), array(model(IDS)))


def test_what_cannot_be_exported_is_refused_with_a_way_out(matrix):
    layer = pe_keras.embedding(matrix)
    wrapped = keras.layers.TimeDistributed(layer)
    outer = keras.Sequential([keras.Input((2, 4), dtype="int32"), wrapped])

    with pytest.raises(OptionError, match=r"inside another layer.*to_embedding"):
        pe_keras.export(outer)
    with pytest.raises(OptionError, match=r"Tied is neither.*to_embedding"):
        pe_keras.export(Tied([layer]))


def test_unfrozen_rows_train_and_the_pad_row_does_not(matrix, tmp_path):
    layer = pe_keras.embedding(matrix, trainable="oov")
    model = Tied([layer])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    layer.unfreeze()
    model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), loss)
    model.fit(IDS, IDS, verbose=0)

    rows = layer.get_weights()[0]
    assert not array(layer.embeddings)[0].any()
    tokens = [1, 2, 3, 5, 6]
    assert (rows[tokens] != matrix.vectors[tokens]).any(axis=1).all()
    model_of(layer).save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").layers[1]
    assert len(loaded.trainable_weights) == 2
    layer.trainable = False
    assert layer.trainable_weights == []


def test_thawing_says_once_that_frozen_rows_stay_so(matrix):
    layer = pe_keras.embedding(matrix, trainable="oov")
    model = model_of(layer)
    model.trainable = False

    with pytest.warns(UserWarning, match=r"5 rows .* unfreeze\(\)"):
        model.trainable = True
    layer.trainable = True  # a second warning would be an error

    assert len(layer.trainable_weights) == 1


def test_a_layer_of_an_earlier_release_is_told_its_pad_row_before_it_is_unfrozen():
    layer = pe_keras.SplitEmbedding(7, 4, trained_rows=3)
    layer.build()

    with pytest.raises(OptionError, match=r"layer\.pad_id"):
        layer.unfreeze()
    layer.pad_id = 0
    layer.unfreeze()
    assert pe_keras.SplitEmbedding(7, 4, trained_rows=3, mask_zero=True).pad_id == 0


def test_weights_that_do_not_fit_a_split_layer_are_refused(matrix):
    layer = pe_keras.embedding(matrix, trainable="oov")
    rows, trains = layer.get_weights()
    fresh = pe_keras.SplitEmbedding.from_config(layer.get_config())
    fresh.build()

    with pytest.raises(ShapeError, match=r"\(6, 4\), not \(7, 4\)"):
        layer.set_weights([rows[1:]])
    with pytest.raises(ShapeError, match=r"mask .* \(6,\)"):
        layer.set_weights([rows, trains[1:]])
    with pytest.raises(OptionError, match="5 rows train by this mask, but 2"):
        layer.set_weights([rows, ~trains])
    with pytest.raises(OptionError, match="takes"):
        layer.set_weights([rows, trains, trains])
    with pytest.raises(OptionError, match="does not know which rows train"):
        fresh.set_weights([rows])
    assert same_bits(layer.get_weights()[0], matrix.vectors)


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have:UserWarning")
def test_a_model_with_rows_frozen_one_by_one_is_quantised_but_for_them(matrix):
    layer = pe_keras.embedding(matrix, trainable="oov")
    model = model_of(layer)

    with pytest.warns(UserWarning, match=r"quantize needs one table.*to_embedding"):
        model.quantize("int8")

    assert same_bits(table(layer), matrix.vectors)


@pytest.mark.parametrize("mode", ["lora", "int8", "int4", "int8 and lora"])
def test_a_changed_table_keeps_its_pad_row_and_comes_back_as_the_layer_gives_it(
    matrix, mode
):
    small = EmbeddingMatrix(np.clip(matrix.vectors, -1, 1), matrix.vocabulary)
    layer = pe_keras.embedding(small)
    if "int" in mode:
        layer.quantize(mode.split()[0])
    if "lora" in mode:
        layer.enable_lora(2)
        model = model_of(layer)
        model.compile(keras.optimizers.AdamW(0.1, weight_decay=0.5), "mse")
        model.fit(IDS, np.ones((4, 4, 1)), epochs=2, verbose=0)
        assert not array(layer.lora_embeddings_a)[0].any()
        assert array(layer.lora_embeddings_b).any()

    back = pe_keras.from_layer(layer, small.vocabulary)

    assert same_bits(back.vectors, table(layer))
    assert not back.vectors[0].any()
    if "lora" not in mode:
        np.testing.assert_allclose(back.vectors, small.vectors, atol=0.2)


def test_regularizer_and_constraint_are_those_of_the_plain_layer(matrix):
    options = {
        "embeddings_regularizer": keras.regularizers.L2(1e-9),
        "embeddings_constraint": keras.constraints.UnitNorm(axis=1),
    }
    for trainable in (True, "oov"):
        layer = pe_keras.embedding(matrix, trainable=trainable, **options)
        model = model_of(layer)
        losses = [float(array(ops.stop_gradient(loss))) for loss in model.losses]
        model.compile("sgd", "mse")
        model.train_on_batch(IDS, np.ones((4, 4, 1)))

        trains = [1, 2, 3, 5, 6] if trainable is True else [3, 6]
        squares = float((matrix.vectors.astype(np.float64)[trains] ** 2).sum())
        assert losses == pytest.approx([1e-9 * squares], rel=1e-5)
        rows = layer.get_weights()[0]
        np.testing.assert_allclose(np.linalg.norm(rows[trains], axis=1), 1, rtol=1e-5)
        assert not rows[0].any()
        twin = type(layer).from_config(layer.get_config())
        assert isinstance(twin.embeddings_constraint, keras.constraints.UnitNorm)


@pytest.mark.parametrize("trainable", [True, False, "oov"])
def test_rows_are_added_up_to_a_multiple(matrix, trainable):
    layer = pe_keras.embedding(matrix, trainable=trainable, multiple_of=8)

    rows = layer.get_weights()[0]
    assert rows.shape == (8, 4)
    assert not rows[7].any()
    assert same_bits(rows[:7], matrix.vectors)
    back = pe_keras.from_layer(layer, matrix.vocabulary, rows=7)
    assert same_bits(back.vectors, matrix.vectors)
    with pytest.raises(OptionError, match="multiple_of=0"):
        pe_keras.embedding(matrix, multiple_of=0)


def test_an_initializer_fills_the_first_rows_of_a_longer_table(matrix):
    layer = keras.layers.Embedding(
        9, 4, embeddings_initializer=pe_keras.Pretrained(matrix, rows=7)
    )
    layer.build()

    assert same_bits(layer.get_weights()[0][:7], matrix.vectors)
    assert not layer.get_weights()[0][7:].any()
    with pytest.raises(ShapeError, match=r"rows=len\(vocab\)"):
        pe_keras.Pretrained(matrix)((9, 4))
    with pytest.raises(ShapeError, match="rows=9, but the matrix has 7"):
        pe_keras.Pretrained(matrix, rows=9)((9, 4))


@pytest.mark.parametrize("trainable", [True, "oov"])
def test_ids_out_of_range_are_as_with_the_plain_layer(matrix, trainable):
    layer = pe_keras.embedding(matrix, trainable=trainable)
    for ids in (np.array([7]), np.array([-1])):
        try:
            expected = array(plain(matrix)(ids))
        except Exception as error:  # noqa: BLE001  # whatever the backend says
            with pytest.raises(type(error)):
                layer(ids)
        else:
            np.testing.assert_array_equal(array(layer(ids)), expected)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has such ids")
@pytest.mark.parametrize("trainable", [True, "oov"])
def test_ragged_and_sparse_ids_are_taken_as_by_the_plain_layer(matrix, trainable):
    import tensorflow as tf

    layer = pe_keras.embedding(matrix, trainable=trainable)
    for ids in (
        tf.ragged.constant([[1, 0, 2], [5]]),
        tf.sparse.from_dense(tf.constant([[1, 0], [6, 2]])),
    ):
        ours, theirs = layer(ids), plain(matrix)(ids)
        assert type(ours) is type(theirs)
        assert str(ours) == str(theirs)


@old_ways_of_keras
@pytest.mark.skipif(BACKEND == "torch", reason="Keras exports through torch_xla there")
@pytest.mark.parametrize("trainable", [True, "oov"])
def test_a_saved_model_of_tensorflow_gives_the_same(matrix, trainable, tmp_path):
    import tensorflow as tf

    model = model_of(pe_keras.embedding(matrix, trainable=trainable))
    model.export(tmp_path / "saved", verbose=False)

    loaded = tf.saved_model.load(tmp_path / "saved")

    ids = tf.constant(IDS, tf.int32)
    np.testing.assert_allclose(loaded.serve(ids), array(model(IDS)), rtol=1e-5)


@old_ways_of_keras
@pytest.mark.skipif(BACKEND != "torch", reason="Keras needs tf2onnx or jax2onnx there")
@pytest.mark.parametrize("trainable", [True, "oov"])
def test_an_onnx_file_gives_the_same(matrix, trainable, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="it reads the file")
    pytest.importorskip("onnxscript", reason="PyTorch writes the file with it")
    model = model_of(pe_keras.embedding(matrix, trainable=trainable))
    before = array(model(IDS))
    model.export(tmp_path / "m.onnx", format="onnx", verbose=False)

    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")

    (given,) = session.get_inputs()
    (output,) = session.run(None, {given.name: IDS.astype(np.int32)})
    np.testing.assert_allclose(output, before, rtol=1e-5)
