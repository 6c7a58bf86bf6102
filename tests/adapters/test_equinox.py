import copy
import io
import pickle
from typing import ClassVar

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import IDS, LABELS, AdapterTests, make_matrix, same_bits
from .habits import HabitTests, habit

pytest.importorskip("equinox", reason="Equinox is not installed")
import equinox as eqx
import jax
import optax

from pretrained_embed.adapters import equinox as pe_equinox

from .jax_cases import FREEZE, HOLE, OPTIMIZERS, ROWS, average, make_large


def look_up(layer, ids):
    ids = jax.numpy.array(ids)
    rows = jax.vmap(layer)(ids.ravel())
    return rows.reshape(*ids.shape, rows.shape[-1])


class Classifier(eqx.Module):
    layers: list
    dense: eqx.nn.Linear

    def __call__(self, ids):
        pooled = [jax.vmap(layer)(ids).mean(axis=0) for layer in self.layers]
        return self.dense(jax.numpy.concatenate(pooled))


@eqx.filter_jit
def step(model, state, optimizer):
    def loss(model):
        return optax.sigmoid_binary_cross_entropy(jax.vmap(model)(IDS), LABELS).mean()

    gradients = eqx.filter_grad(loss)(model)
    updates, state = optimizer.update(
        gradients, state, eqx.filter(model, eqx.is_inexact_array)
    )
    return eqx.apply_updates(model, updates), state


def trained(layers, optimizer, steps):
    dense = eqx.nn.Linear(4 * len(layers), "scalar", key=jax.random.key(0))
    model = Classifier(list(layers), dense)
    state = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
    for _ in range(steps):
        model, state = step(model, state, optimizer)
    return model.layers


class Held:
    """A layer that is trained in place, as the conformance class has it."""

    def __init__(self, layer):
        self.layer = layer

    def to_embedding(self):
        return self.layer.to_embedding()


def bare(layer):
    return layer.layer if isinstance(layer, Held) else layer


class TestEmbedding(AdapterTests):
    optimizers: ClassVar = OPTIMIZERS
    plain = eqx.nn.Embedding

    def layer(self, matrix, rows):
        return Held(pe_equinox.embedding(matrix, freeze=rows))

    def output(self, layer, ids):
        return np.array(look_up(bare(layer), ids))

    def train(self, layers, optimizer, steps):
        made = trained(
            [bare(layer) for layer in layers], self.optimizers[optimizer], steps
        )
        for held, layer in zip(layers, made, strict=True):
            held.layer = layer

    def from_layer(self, layer, vocabulary, **options):
        return pe_equinox.from_layer(bare(layer), vocabulary, **options)


PLACES = jax.numpy.arange(7)
TABLE = jax.numpy.full((7, 4), 3.0)
NO_WRITING = r"trained.*unfreeze\(\)"


def rows(layer):
    """What is looked up, but for the pad row and the hole: ours stay zero."""
    return np.array(look_up(layer, [1, 2, 3, 5, 6]))


@habit("layer.weight")
def read(layer):
    return np.array(layer.weight)


@habit("h @ layer.weight.T")
def tie(layer):
    return np.array(jax.numpy.ones((1, 4)) @ layer.weight.T)


@habit("eqx.tree_at(lambda l: l.weight, layer, table)", refused=NO_WRITING)
def write(layer):
    return rows(eqx.tree_at(lambda layer: layer.weight, layer, TABLE))


@habit("tree_at within jit", refused=NO_WRITING)
def write_in_jit(layer):
    @eqx.filter_jit
    def written(layer):
        return eqx.tree_at(lambda layer: layer.weight, layer, layer.weight + 1)

    return rows(written(layer))


@habit("layer.weight = table")
def assign(layer):
    try:
        layer.weight = TABLE
    except AttributeError:
        return "refused"


@habit("eqx.partition, eqx.combine")
def partition(layer):
    return rows(eqx.combine(*eqx.partition(layer, eqx.is_inexact_array)))


@habit("jax.tree.map over the layer")
def tree_map(layer):
    return rows(jax.tree.map(lambda a: a, layer))


@habit("copy.deepcopy")
def deepcopy(layer):
    return rows(copy.deepcopy(layer))


@habit("pickle")
def pickled(layer):
    return rows(pickle.loads(pickle.dumps(layer)))  # noqa: S301  # our own bytes


@habit("tree_serialise_leaves, tree_deserialise_leaves")
def saved(layer):
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, layer)
    file.seek(0)
    empty = jax.tree.map(lambda a: a * 0 if eqx.is_inexact_array(a) else a, layer)
    return rows(eqx.tree_deserialise_leaves(file, empty))


@habit("eqx.filter_jit")
def jit(layer):
    return np.array(eqx.filter_jit(look_up)(layer, PLACES))


@habit("jax.jit of a function that has the layer")
def jit_around(layer):
    return np.array(jax.jit(lambda ids: look_up(layer, ids))(PLACES))


@habit("eqx.filter_vmap over layers")
def ensemble(layer):
    layers = jax.tree.map(lambda a: jax.numpy.stack([a, a]), layer)
    found = eqx.filter_vmap(look_up, in_axes=(eqx.if_array(0), None))(layers, PLACES)
    total = eqx.filter_grad(
        lambda layers: eqx.filter_vmap(look_up, in_axes=(eqx.if_array(0), None))(
            layers, PLACES
        ).sum()
    )(layers)
    assert jax.tree.leaves(total)[0].shape[0] == 2
    return np.array(found)


@habit("eqx.filter_eval_shape")
def shape(layer):
    return str(eqx.filter_eval_shape(lambda layer: layer(PLACES[1]), layer))


@habit("floating leaves cast to bfloat16")
def cast(layer):
    layer = jax.tree.map(
        lambda a: a.astype("bfloat16") if eqx.is_inexact_array(a) else a, layer
    )
    return str(look_up(layer, PLACES).dtype)


@habit("eqx.nn.inference_mode")
def inference(layer):
    return rows(eqx.nn.inference_mode(layer))


@habit("an id below zero, one out of range, one that is no array")
def outside(layer):
    return np.array([layer(i) for i in (-1, -7, 7, 100, np.int16(3))])


@habit("several ids at once")
def several(layer):
    try:
        return layer(PLACES)
    except ValueError:
        return "refused"


@habit("isinstance(layer, eqx.nn.Embedding)", instead=False)
def kind(layer):
    return isinstance(layer, eqx.nn.Embedding)


@habit("layer.num_embeddings, .embedding_size")
def attributes(layer):
    return str((layer.num_embeddings, layer.embedding_size))


class TestHabits(HabitTests):
    whole: ClassVar = ("all rows",)  # filters leave alone what is no float
    habits: ClassVar = [
        *(read, tie, write, write_in_jit, assign, partition, tree_map, deepcopy),
        *(pickled, saved, jit, jit_around, ensemble, shape, cast, inference),
        *(outside, several, kind, attributes),
    ]

    def layer(self, matrix, rows):
        return pe_equinox.embedding(matrix, freeze=rows)

    def plain_layer(self, matrix, trains):
        make = pe_equinox.pretrained(matrix)
        return eqx.nn.Embedding(weight=make(None, matrix.shape))


@pytest.fixture
def matrix() -> EmbeddingMatrix:
    return make_matrix()


@pytest.fixture(scope="module")
def large() -> EmbeddingMatrix:
    return make_large()


def table(layer) -> np.ndarray:
    return np.array(look_up(layer, np.arange(layer.num_embeddings)))


def test_floats_are_the_rows_that_train_and_nothing_else(matrix):
    for freeze, shape in [(False, (7, 4)), ("found", (2, 4)), (True, (0, 4))]:
        layer = pe_equinox.embedding(matrix, freeze=freeze)
        floats = jax.tree.leaves(eqx.filter(layer, eqx.is_inexact_array))
        assert [leaf.shape for leaf in floats] == [shape]


@pytest.mark.parametrize("freeze", [FREEZE, True], ids=["some", "none"])
def test_an_average_of_all_arrays_keeps_the_bits_of_frozen_rows(large, freeze):
    layer = pe_equinox.embedding(large, freeze=freeze)
    averaged = layer

    for _ in range(20):
        averaged = jax.tree.map(average, averaged, layer)

    keeps = FREEZE | np.isin(np.arange(ROWS), [0, HOLE])
    assert averaged.trains.dtype != bool  # or this test shows nothing
    assert averaged.frozen.dtype != np.uint8
    assert same_bits(table(averaged)[keeps], large.vectors[keeps])
    np.testing.assert_allclose(table(averaged), large.vectors, atol=1e-5)
    for source in (layer.weight, large.vectors):
        back = averaged.restore_frozen(source)
        assert same_bits(table(back)[keeps], large.vectors[keeps])
        assert (back.trains.dtype, back.frozen.dtype) == (bool, np.uint8)
    with pytest.raises(ShapeError, match="the layer has shape"):
        layer.restore_frozen(np.ones((ROWS, 5), np.float32))


def test_an_average_that_began_with_zeros_keeps_them_too(large):
    layer = pe_equinox.embedding(large, freeze=FREEZE)

    half = jax.tree.map(lambda a: a * 0.5, layer)

    assert same_bits(table(half)[FREEZE], large.vectors[FREEZE])
    trains = np.array(layer.trains)
    assert same_bits(table(half)[trains], large.vectors[trains] / 2)


def test_an_average_of_floats_is_right_and_keeps_the_bits_of_frozen_rows(large):
    layer = averaged = pe_equinox.embedding(large, freeze=FREEZE)

    for _ in range(3):  # while rows train
        layer = eqx.tree_at(lambda layer: layer.trained, layer, layer.trained + 1)
        new, old = (eqx.filter(a, eqx.is_inexact_array) for a in (layer, averaged))
        mean = optax.incremental_update(new, old, 0.5)
        averaged = eqx.combine(mean, averaged)

    trains = np.array(layer.trains)
    assert same_bits(table(averaged)[~trains], large.vectors[~trains])
    moved = table(averaged)[trains] - large.vectors[trains]
    np.testing.assert_allclose(moved, 0.125 * 1 + 0.25 * 2 + 0.5 * 3, atol=1e-5)


@pytest.mark.parametrize("freeze", ["found", True])
def test_all_rows_but_the_pad_train_once_they_are_unfrozen(matrix, freeze):
    layer = pe_equinox.embedding(matrix, freeze=freeze).unfreeze()

    assert isinstance(layer, eqx.nn.Embedding)
    assert same_bits(table(layer), matrix.vectors)
    (layer,) = trained([layer], OPTIMIZERS["adamw"], 2)
    moved = (table(layer) != matrix.vectors).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [1, 2, 3, 5, 6]


def test_without_pad_and_holes_the_layer_is_a_plain_one():
    vectors = np.ones((3, 2), np.float32)
    matrix = EmbeddingMatrix(vectors, Vocabulary(["a", "b", "c"], pad=None))

    for layer in (
        pe_equinox.embedding(matrix),
        pe_equinox.embedding(matrix, freeze=["a"]).unfreeze(),
    ):
        assert type(layer) is eqx.nn.Embedding
        assert same_bits(table(layer), vectors)


def test_rows_can_be_frozen_and_thawed_later(matrix):
    layer = pe_equinox.embedding(matrix, freeze="found")
    (layer,) = trained([layer], OPTIMIZERS["adamw"], 2)

    other = layer.freeze_rows(np.arange(7) != 5)

    assert same_bits(table(other), table(layer))
    (other,) = trained([other], OPTIMIZERS["adamw"], 2)
    assert np.flatnonzero((table(other) != table(layer)).any(axis=1)).tolist() == [5]
    with pytest.raises(ShapeError, match="7 rows"):
        layer.freeze_rows(np.ones(8, np.bool_))


@pytest.mark.parametrize("jit", [eqx.filter_jit, lambda step: step])
@pytest.mark.parametrize("freeze", [False, "found"])
def test_pad_row_and_hole_stay_zero_under_a_tied_output(matrix, freeze, jit):
    layer = pe_equinox.embedding(matrix, freeze=freeze)
    optimizer = OPTIMIZERS["adamw"]
    ids = IDS.ravel()

    @jit
    def step(layer, state):
        def loss(layer):
            scores = look_up(layer, ids) @ layer.weight.T
            return optax.softmax_cross_entropy_with_integer_labels(scores, ids).mean()

        gradients = eqx.filter_grad(loss)(layer)
        params = eqx.filter(layer, eqx.is_inexact_array)
        updates, state = optimizer.update(gradients, state, params)
        return eqx.apply_updates(layer, updates), state

    state = optimizer.init(eqx.filter(layer, eqx.is_inexact_array))
    for _ in range(3):
        layer, state = step(layer, state)

    assert not np.array(layer.weight)[[0, 4]].any()
    moved = (table(layer)[[3, 6]] != matrix.vectors[[3, 6]]).any(axis=1)
    assert moved.all()


def test_pad_row_is_zero_whatever_is_added_to_the_table(matrix):
    noisy = jax.tree.map(lambda a: a + 1, pe_equinox.embedding(matrix))

    for layer in (noisy, noisy.to_embedding()):
        assert not table(layer)[[0, 4]].any()
        assert same_bits(table(layer)[[1, 2]], matrix.vectors[[1, 2]] + 1)
    back = pe_equinox.from_layer(noisy, matrix.vocabulary)
    assert same_bits(back.vectors, table(noisy))


@pytest.mark.parametrize("freeze", [False, "found", True])
def test_a_table_is_saved_for_the_plain_layer_and_read_from_it(matrix, freeze):
    layer = pe_equinox.embedding(matrix, freeze=freeze)
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, layer.to_embedding() if freeze else layer)
    plain = eqx.nn.Embedding(7, 4, key=jax.random.key(0))
    doubled = EmbeddingMatrix(2 * matrix.vectors, matrix.vocabulary)
    whole = pe_equinox.embedding(doubled)

    for target in (plain, whole):
        file.seek(0)
        read = eqx.tree_deserialise_leaves(file, target)
        assert type(read) is type(target)
        assert same_bits(table(read), matrix.vectors)


@pytest.mark.parametrize("freeze", [False, True, "found"])
def test_a_table_may_have_more_rows_which_stay_zero(matrix, freeze):
    layer = pe_equinox.embedding(matrix, freeze=freeze, multiple_of=8)

    assert same_bits(table(layer), np.pad(matrix.vectors, ((0, 1), (0, 0))))
    back = pe_equinox.from_layer(layer, matrix.vocabulary, rows=7)
    assert same_bits(back.vectors, matrix.vectors)
    gradient = eqx.filter_grad(lambda layer: layer.weight.sum())(layer)
    assert not any(np.array(g)[7:].any() for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("freeze", [False, True, "found"])
def test_dtype_is_rounded_from_the_matrix(matrix, name, freeze):
    layer = pe_equinox.embedding(matrix, freeze=freeze, dtype=name)

    expected = jax.numpy.array(matrix.vectors).astype(name)
    assert layer.weight.dtype == look_up(layer, PLACES).dtype == name
    assert (look_up(layer, PLACES) == expected).all()
    with pytest.raises(OptionError, match="int32 cannot hold"):
        pe_equinox.embedding(matrix, freeze=freeze, dtype="int32")
