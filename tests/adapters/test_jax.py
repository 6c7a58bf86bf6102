from typing import ClassVar

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import IDS, LABELS, AdapterTests, make_matrix, same_bits

pytest.importorskip("jax", reason="JAX is not installed")
pytest.importorskip("flax", reason="Flax is not installed")
import jax
import optax
from flax import linen, nnx

from pretrained_embed.adapters import jax as pe_jax

OPTIMIZERS = {
    "sgd": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1, momentum=0.9)),
    "adam": optax.adam(0.1),
    "adamw": optax.adamw(0.1, weight_decay=0.5),
    "clipped": optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(0.1)),
}


class Classifier(nnx.Module):
    def __init__(self, layers):
        self.layers = nnx.List(layers)
        self.dense = nnx.Linear(4 * len(layers), 1, rngs=nnx.Rngs(0))

    def __call__(self, ids):
        pooled = [layer(ids).mean(axis=1) for layer in self.layers]
        return self.dense(jax.numpy.concatenate(pooled, axis=1)).squeeze(1)


@nnx.jit
def step(model, optimizer):
    def loss(model):
        return optax.sigmoid_binary_cross_entropy(model(IDS), LABELS).mean()

    optimizer.update(model, nnx.grad(loss)(model))


class TestEmbedding(AdapterTests):
    optimizers: ClassVar = OPTIMIZERS
    plain = nnx.Embed

    def layer(self, matrix, rows):
        return pe_jax.embedding(matrix, freeze=rows)

    def output(self, layer, ids):
        return np.array(layer(jax.numpy.array(ids)))

    def train(self, layers, optimizer, steps):
        model = Classifier(layers)
        state = nnx.Optimizer(model, self.optimizers[optimizer], wrt=nnx.Param)
        for _ in range(steps):
            step(model, state)

    def from_layer(self, layer, vocabulary, **options):
        return pe_jax.from_layer(layer, vocabulary, **options)


@pytest.fixture
def matrix() -> EmbeddingMatrix:
    return make_matrix()


def test_an_initializer_fills_the_layers_of_flax(matrix):
    make = pe_jax.pretrained(matrix)
    nnx_layer = nnx.Embed(7, 4, embedding_init=make, rngs=nnx.Rngs(0))
    linen_layer = linen.Embed(7, 4, embedding_init=make)

    state = jax.jit(linen_layer.init)(jax.random.key(0), IDS)

    for rows in (nnx_layer(IDS), linen_layer.apply(state, IDS)):
        assert same_bits(np.array(rows), matrix.vectors[IDS])
    for layer in (nnx_layer, state["params"]["embedding"]):
        back = pe_jax.from_layer(layer, matrix.vocabulary)
        assert same_bits(back.vectors, matrix.vectors)


def test_an_initializer_fills_a_layer_of_equinox(matrix):
    equinox = pytest.importorskip("equinox", reason="Equinox is not installed")

    layer = equinox.nn.Embedding(weight=pe_jax.pretrained(matrix)(None, (7, 4)))

    rows = jax.vmap(jax.vmap(layer))(jax.numpy.array(IDS))
    assert same_bits(np.array(rows), matrix.vectors[IDS])
    back = pe_jax.from_layer(layer, matrix.vocabulary)
    assert same_bits(back.vectors, matrix.vectors)


def test_an_initializer_refuses_a_wrong_shape_with_the_likely_mistake(matrix):
    with pytest.raises(ShapeError, match=r"len\(vocab\) \+ 1"):
        nnx.Embed(8, 4, embedding_init=pe_jax.pretrained(matrix), rngs=nnx.Rngs(0))


def test_parameters_are_the_rows_that_train_and_nothing_else(matrix):
    def shapes(layer, kind):
        return [leaf.shape for leaf in jax.tree.leaves(nnx.state(layer, kind))]

    for freeze, trained in [(False, [(6 - 1, 4)]), ("found", [(2, 4)]), (True, [])]:
        layer = pe_jax.embedding(matrix, freeze=freeze)
        assert shapes(layer, nnx.Param) == trained
        assert shapes(layer, pe_jax.Frozen)


def test_state_is_split_and_merged(matrix):
    layer = pe_jax.embedding(matrix, freeze="found")

    twin = nnx.merge(*nnx.split(layer))

    assert same_bits(np.array(twin(IDS)), matrix.vectors[IDS])


def test_ids_out_of_range_give_what_the_plain_layer_gives(matrix):
    split = pe_jax.embedding(matrix, freeze="found")
    plain = pe_jax.embedding(matrix, freeze=True)
    ids = jax.numpy.array([7, 100, -1, -8])

    np.testing.assert_array_equal(split(ids), plain(ids))


def test_ids_that_are_no_integers_are_refused(matrix):
    with pytest.raises(OptionError, match="float32"):
        pe_jax.embedding(matrix)(jax.numpy.ones(3))


def test_attends_like_the_plain_layer(matrix):
    query = jax.numpy.array(matrix.vectors[[2, 3]])

    scores = pe_jax.embedding(matrix, freeze="found").attend(query)

    plain = pe_jax.embedding(matrix, freeze=True)
    np.testing.assert_array_equal(scores, plain.attend(query))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("freeze", [False, True, "found"])
def test_dtype_is_rounded_from_the_matrix_which_stays(matrix, name, freeze):
    before = matrix.vectors.tobytes()

    layer = pe_jax.embedding(matrix, freeze=freeze, param_dtype=name)
    mixed = pe_jax.embedding(matrix, freeze=freeze, dtype=name)

    expected = jax.numpy.array(matrix.vectors[IDS]).astype(name)
    for made in (layer, mixed):
        assert made(IDS).dtype == name
        assert (made(IDS) == expected).all()
    assert layer.embedding[...].dtype == name
    assert mixed.embedding[...].dtype == np.float32
    assert matrix.vectors.tobytes() == before


def test_dtypes_that_cannot_hold_the_values_are_refused():
    vectors = np.array([[0, 0], [1, 70000]], np.float32)
    matrix = EmbeddingMatrix(vectors, Vocabulary(["cat"]))

    with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
        pe_jax.embedding(matrix, param_dtype="float16")
    with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
        pe_jax.embedding(matrix, dtype="float16")
    with pytest.raises(OptionError, match="int32 cannot hold"):
        pe_jax.embedding(matrix, param_dtype="int32")
    with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
        pe_jax.pretrained(matrix)(None, (2, 2), "float16")
