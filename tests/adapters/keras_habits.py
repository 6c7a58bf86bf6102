"""Habits of people who use keras.layers.Embedding, for the backend of KERAS_BACKEND.

`test_keras` runs this file once for each backend.
"""

import copy
import pickle
import warnings
from typing import ClassVar

import keras
import numpy as np
import pytest
from keras import ops

from pretrained_embed.adapters import keras as pe_keras

from .conformance import IDS, make_matrix
from .habits import HabitTests, habit

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 hands numpy 2 arrays whose __array__ knows no copy=.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

OTHER = np.pad(np.arange(1, 25, dtype=np.float32).reshape(6, 4), ((1, 0), (0, 0)))


def array(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def table(layer):
    return array(layer(np.arange(7)))


def model_of(layer):
    return keras.Sequential([keras.Input((4,), dtype="int32"), layer])


@habit("isinstance(layer, keras.layers.Embedding)", instead=False)
def kind(layer):
    return isinstance(layer, keras.layers.Embedding)


@habit("layer.get_weights()[0][id]")
def row(layer):
    return layer.get_weights()[0][5]


@habit("the projector's tutorial: get_weights()[0][1:]")
def projector(layer):
    return layer.get_weights()[0][1:]


@habit("len(layer.get_weights())", instead=2)
def how_many_weights(layer):
    return len(layer.get_weights())


@habit("layer.set_weights([table])")
def set_table(layer):
    layer.set_weights([OTHER])
    return table(layer)


@habit("layer.set_weights(layer.get_weights()) of a twin")
def weights_of_a_twin(layer):
    twin = type(layer).from_config(layer.get_config())
    twin.build(None)
    twin.set_weights(layer.get_weights())
    return table(twin)


@habit("layer.embeddings")
def embeddings(layer):
    return array(layer.embeddings)


@habit("layer.embeddings.shape")
def embeddings_shape(layer):
    return tuple(layer.embeddings.shape)


@habit("a tied output: matmul with layer.embeddings")
def tied(layer):
    return array(ops.matmul(ops.ones((2, 4)), ops.transpose(layer.embeddings)))


@habit("layer.embeddings_constraint and _regularizer")
def attributes(layer):
    return str((layer.embeddings_constraint, layer.embeddings_regularizer))


@habit("layer.count_params()", instead=7 * 4 + 7)
def parameters(layer):
    return layer.count_params()


@habit("layer.input_dim, layer.output_dim, layer.mask_zero")
def sizes(layer):
    return (layer.input_dim, layer.output_dim, layer.mask_zero)


@habit("model.summary()", slow=True)
def summary(layer):
    lines = []
    model_of(layer).summary(print_fn=lambda line, **_: lines.append(line))
    return "Total params" in "".join(lines)


@habit("layer.build a second time")
def build_again(layer):
    layer.build()
    layer.build((None, 4))
    return table(layer)


@habit("layer.trainable = False, and True again")
def toggle(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that frozen rows stay so
        layer.trainable = False
        off = len(layer.trainable_weights)
        layer.trainable = True
    return off, len(layer.trainable_weights)


@habit("layer.enable_lora(2)", refused=r"to_embedding\(\)", slow=True)
def lora(layer):
    layer.enable_lora(2)
    before = table(layer)
    layer.lora_embeddings_b.assign(np.ones((2, 4)))
    return np.append(before, (table(layer)[1:] != before[1:]).any())


@habit("layer.quantize('int8')", refused=r"to_embedding\(\)", slow=True)
def int8(layer):
    layer.quantize("int8")
    return table(layer)


@habit("layer.quantize('int4')", refused=r"to_embedding\(\)", slow=True)
def int4(layer):
    layer.quantize("int4")
    return table(layer)


@habit("keras.models.clone_model, model.set_weights", slow=True)
def clone(layer):
    model = model_of(layer)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    return array(twin(IDS))


@habit("copy.deepcopy(layer)", slow=True)
def deepcopy(layer):
    twin = copy.deepcopy(layer)
    before = table(twin)
    layer.set_weights([OTHER])
    return np.append(before, (table(twin) == before).all())


@habit("pickle.loads(pickle.dumps(layer))", slow=True)
def pickled(layer):
    return table(pickle.loads(pickle.dumps(layer)))  # noqa: S301  # made right here


@habit("ids of any integers, of floats and of no axis")
def any_ids(layer):
    kinds = ["uint8", "int64", "float32", "bool"]
    rows = [table_row for kind in kinds for table_row in array(layer(ids_of(kind)))]
    return np.stack([*rows, array(layer(np.array(5)))])


def ids_of(dtype):
    return np.array([1, 0]).astype(dtype)


@habit("keras.ops.take(layer.embeddings, ids, axis=0)")
def take(layer):
    return array(ops.take(layer.embeddings, IDS, axis=0))


class TestHabits(HabitTests):
    word = "trainable"
    habits: ClassVar = [
        value for value in list(globals().values()) if type(value).__name__ == "Habit"
    ]

    def layer(self, matrix, rows):
        return pe_keras.embedding(matrix, trainable=rows)

    def plain_layer(self, matrix, trains):
        table = np.array(matrix.vectors)
        return keras.layers.Embedding(7, 4, weights=table, trainable=trains)


@pytest.mark.parametrize("trainable", [True, False])
def test_a_table_is_assigned_to_the_variable_as_in_the_plain_layer(trainable):
    layer = pe_keras.embedding(make_matrix(), trainable=trainable)

    layer.embeddings.assign(OTHER)

    assert layer.embeddings is layer.weights[0]
    assert (table(layer) == OTHER).all()


def test_a_table_that_is_put_together_cannot_be_assigned_to():
    layer = pe_keras.embedding(make_matrix(), trainable="oov")

    with pytest.raises(AttributeError, match="assign"):
        layer.embeddings.assign(OTHER)
