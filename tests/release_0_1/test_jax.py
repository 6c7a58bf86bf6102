"""Layers of today take the states that JAX's layers of release 0.1 saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .layers import DIM, FOLDER, KINDS, PUSH, ROWS, START, Kind, assert_same_bits

pytest.importorskip("jax", reason="JAX is not installed")
pytest.importorskip("flax", reason="Flax is not installed")
import jax
import optax
from flax import linen, nnx, serialization

from pretrained_embed.adapters import jax as pe_jax

IDS = jax.numpy.arange(ROWS)
SAVED = FOLDER / "jax"


def loaded(kind: Kind, pure: Any) -> nnx.Module:
    """Return a new layer that has taken a state."""
    layer = pe_jax.embedding(kind.other_matrix(), freeze=kind.freeze)
    pe_jax.load_state(layer, pure)
    return layer


def unpacked(name: str) -> Any:
    return serialization.msgpack_restore((SAVED / name).read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_nnx_gives_every_row_its_value(kind):
    layer = loaded(KINDS[kind], unpacked(f"nnx_{kind}.msgpack"))

    assert_same_bits(np.asarray(layer(IDS)), KINDS[kind].table)
    back = pe_jax.from_layer(layer, KINDS[kind].vocabulary())
    assert_same_bits(back.vectors, KINDS[kind].table)


@pytest.mark.parametrize("kind", KINDS)
def test_after_loading_the_same_rows_train(kind):
    layer = loaded(KINDS[kind], unpacked(f"nnx_{kind}.msgpack"))

    if not KINDS[kind].stays.all():
        optimizer = nnx.Optimizer(layer, optax.adamw(0.1), wrt=nnx.Param)
        optimizer.update(layer, nnx.grad(lambda m: (m(IDS) * PUSH).sum())(layer))

    moved = (np.asarray(layer(IDS)) != KINDS[kind].table).any(axis=1)
    np.testing.assert_array_equal(moved, ~KINDS[kind].stays)


def test_a_checkpoint_of_orbax_gives_every_row_its_value():
    orbax = pytest.importorskip("orbax.checkpoint", reason="Orbax is not installed")
    with orbax.StandardCheckpointer() as checkpointer:
        pure = checkpointer.restore(SAVED / "nnx_some_orbax")

    layer = loaded(KINDS["some"], pure)

    assert_same_bits(np.asarray(layer(IDS)), KINDS["some"].table)


def test_parameters_of_linen_are_loaded():
    make = pe_jax.pretrained(KINDS["whole"].other_matrix())
    layer = linen.Embed(ROWS, DIM, embedding_init=make)
    params = layer.init(jax.random.key(0), IDS)

    packed = (SAVED / "linen_untrained.msgpack").read_bytes()
    params = serialization.from_bytes(params, packed)

    assert_same_bits(np.asarray(layer.apply(params, IDS)), START)
    back = pe_jax.from_layer(params["params"]["embedding"], KINDS["whole"].vocabulary())
    assert_same_bits(back.vectors, START)


def test_leaves_of_equinox_are_loaded():
    equinox = pytest.importorskip("equinox", reason="Equinox is not installed")
    make = pe_jax.pretrained(KINDS["whole"].other_matrix())
    like = equinox.nn.Embedding(weight=make(None, (ROWS, DIM)))

    layer = equinox.tree_deserialise_leaves(SAVED / "equinox_untrained.eqx", like)

    back = pe_jax.from_layer(layer, KINDS["whole"].vocabulary())
    assert_same_bits(back.vectors, START)
