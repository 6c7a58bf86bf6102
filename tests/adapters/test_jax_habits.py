"""Habits of people who use ``flax.nnx.Embed``."""

import copy
import pickle
from typing import ClassVar

import numpy as np
import pytest

from .conformance import make_matrix
from .habits import HabitTests, habit

pytest.importorskip("jax", reason="JAX is not installed")
pytest.importorskip("flax", reason="Flax is not installed")
import jax
from flax import nnx

from pretrained_embed.adapters import jax as pe_jax

IDS = jax.numpy.arange(7)
TABLE = np.full((7, 4), 3, np.float32)
NO_WRITING = r"load_state\(model, state\).*unfreeze\(\)"


def plain(matrix):
    make = pe_jax.pretrained(matrix)
    return nnx.Embed(7, 4, embedding_init=make, rngs=nnx.Rngs(0))


def rows(layer):
    """What is looked up, but for the pad row and the hole: ours stay zero."""
    return np.array(layer(IDS))[[1, 2, 3, 5, 6]]


@habit("layer.embedding[...]")
def read(layer):
    return np.array(layer.embedding[...])


@habit("layer.embedding.shape, .dtype")
def describe(layer):
    return f"{layer.embedding.shape} {layer.embedding.dtype}"


@habit("h @ layer.embedding[...].T")
def tie(layer):
    return np.array(jax.numpy.ones((1, 4)) @ layer.embedding[...].T)


@habit("layer.attend(h)")
def attend(layer):
    return np.array(layer.attend(jax.numpy.ones((1, 4))))


@habit("layer.embedding[...] = table", refused=NO_WRITING)
def write(layer):
    layer.embedding[...] = TABLE
    return rows(layer)


@habit("layer.embedding[5] = v", refused=NO_WRITING)
def write_row(layer):
    layer.embedding[5] = 3.0
    return rows(layer)


@habit("layer.embedding.set_value(table)", refused=NO_WRITING)
def set_value(layer):
    layer.embedding.set_value(jax.numpy.array(TABLE))
    return rows(layer)


@habit("layer.embedding = nnx.Param(table)", refused=NO_WRITING)
def assign(layer):
    layer.embedding = nnx.Param(jax.numpy.array(TABLE))
    return rows(layer)


@habit("nnx.update(layer, a plain layer's state)", refused=NO_WRITING)
def update(layer):
    other = make_matrix()
    nnx.update(layer, nnx.state(plain(other)))
    return rows(layer)


@habit("nnx.update(layer, its own state doubled)")
def update_own(layer):
    doubled = jax.tree.map(lambda a: a + a if a.dtype != bool else a, nnx.state(layer))
    nnx.update(layer, doubled)
    return rows(layer)


@habit("nnx.merge(*nnx.split(layer))")
def merge(layer):
    return rows(nnx.merge(*nnx.split(layer)))


@habit("nnx.clone")
def clone(layer):
    return rows(nnx.clone(layer))


@habit("copy.deepcopy")
def deepcopy(layer):
    return rows(copy.deepcopy(layer))


@habit("pickle")
def pickled(layer):
    return rows(pickle.loads(pickle.dumps(layer)))  # noqa: S301  # our own bytes


@habit("jax.tree.map over the layer")
def tree_map(layer):
    return rows(jax.tree.map(lambda a: a, layer))


@habit("nnx.jit")
def jit(layer):
    return np.array(nnx.jit(lambda layer, ids: layer(ids))(layer, IDS))


@habit("jax.vmap")
def vmap(layer):
    return np.array(jax.vmap(layer)(IDS.reshape(7, 1)))


@habit("nnx.eval_shape")
def shape(layer):
    return str(nnx.eval_shape(lambda layer: layer(IDS), layer).shape)


@habit("parameters cast to bfloat16")
def cast(layer):
    state = nnx.state(layer, nnx.Param)
    nnx.update(layer, jax.tree.map(lambda a: a.astype("bfloat16"), state))
    return str(layer(IDS).dtype)


@habit("ids that are no integers")
def floats(layer):
    try:
        return layer(jax.numpy.ones(3))
    except ValueError:
        return "refused"


@habit("isinstance(layer, nnx.Embed)", instead=False)
def kind(layer):
    return isinstance(layer, nnx.Embed)


@habit("layer.num_embeddings, .features, .dtype, .param_dtype")
def attributes(layer):
    dtypes = np.dtype(layer.dtype), np.dtype(layer.param_dtype)
    return str((layer.num_embeddings, layer.features, *dtypes))


@habit("nnx.to_pure_dict(nnx.state(layer))", instead=["frozen", "trained", "trains"])
def names(layer):
    return sorted(nnx.to_pure_dict(nnx.state(layer)))


@habit("gradients of rows of tokens", instead="trained")
def gradients(layer):
    state = nnx.grad(lambda layer: layer(IDS).sum())(layer)
    return ",".join(nnx.to_pure_dict(state))


class TestHabits(HabitTests):
    habits: ClassVar = [
        *(read, describe, tie, attend, write, write_row, set_value, assign, update),
        *(update_own, merge, clone, deepcopy, pickled, tree_map, jit, vmap, shape),
        *(cast, floats, kind, attributes, names, gradients),
    ]

    def layer(self, matrix, rows):
        return pe_jax.embedding(matrix, freeze=rows)

    def plain_layer(self, matrix, trains):
        layer = plain(matrix)
        if not trains:
            layer.embedding = nnx.Variable(layer.embedding[...])
        return layer
