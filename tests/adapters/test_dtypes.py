"""Layers of a matrix that is kept in other bits than float32."""

from __future__ import annotations

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch

import pretrained_embed as pe
from pretrained_embed.adapters import jax as pe_jax
from pretrained_embed.adapters import keras as pe_keras
from pretrained_embed.adapters import torch as pe_torch
from pretrained_embed.errors import OptionError

IDS = np.array([[1, 0], [5, 3]])
SCALED = ("int8", "int4", "binary")


@pytest.fixture
def matrix():
    vectors = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    vectors[[0, 5]] = 0  # the pad row, and one that the scales make zeros
    return pe.EmbeddingMatrix(vectors, pe.Vocabulary(list("abcde")))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_keep_their_bits(matrix, name):
    half = matrix.astype(name)
    dtype = getattr(torch, name)
    for layer in (
        pe_torch.embedding(half),
        pe_torch.embedding(half, freeze=True),
        pe_torch.embedding(half, dtype=dtype, multiple_of=4),
        pe_torch.embedding_bag(half),
    ):
        assert layer.weight.dtype == dtype
        assert np.array_equal(layer.weight[:6].detach().float(), half.vectors)
    bits = pe_torch.embedding(half).weight.detach().view(torch.int16).numpy()
    assert np.array_equal(bits, half.stored.values.view(np.int16))
    split = pe_torch.embedding(half, freeze=["a"])
    assert split(torch.from_numpy(IDS)).dtype == dtype
    assert pe_torch.embedding(half, dtype=torch.float32).weight.dtype == torch.float32
    table = pe_jax.embedding(half).embedding[...]
    assert table.dtype == jnp.dtype(name)
    assert np.array_equal(np.asarray(table, np.float32), half.vectors)
    assert pe_jax.embedding(half, param_dtype=jnp.float32).embedding.dtype == "float32"


@pytest.mark.parametrize("name", SCALED)
def test_others_are_float32_where_no_dtype_is_asked_for(matrix, name):
    small = matrix.astype(name)
    layer = pe_torch.embedding(small)
    assert layer.weight.dtype == torch.float32
    assert np.array_equal(layer.weight.detach(), small.vectors)
    assert pe_jax.embedding(small).embedding.dtype == "float32"


@pytest.mark.parametrize("name", SCALED)
def test_a_quantised_layer_of_torch_gives_the_numbers(matrix, name):
    small = matrix.astype(name)
    layer = pe_torch.quantized_embedding(small)
    assert (layer.weight.dtype, layer.scales.dtype) == (torch.int8, torch.float32)
    assert np.array_equal(layer(torch.from_numpy(IDS)), small.lookup(IDS))
    assert not layer.weight[[0, 5]].any()
    assert list(layer.parameters()) == []
    again = pe_torch.quantized_embedding(matrix.astype(name).astype(name))
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again.weight, layer.weight)
    half = pe_torch.quantized_embedding(small, dtype=torch.bfloat16)
    assert half(torch.tensor([1])).dtype == torch.bfloat16
    compiled = torch.export.export(layer, (torch.from_numpy(IDS),)).module()
    assert np.array_equal(compiled(torch.from_numpy(IDS)), small.lookup(IDS))


def test_a_matrix_without_scales_has_no_quantised_layer(matrix):
    with pytest.raises(OptionError, match=r"astype\('int8'\)"):
        pe_torch.quantized_embedding(matrix)
    with pytest.raises(OptionError, match="give a floating one"):
        pe_torch.quantized_embedding(matrix.astype("int8"), dtype=torch.int8)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of TensorFlow
def test_keras_has_the_whole_numbers_in_its_own_scheme(matrix, tmp_path):
    small = matrix.astype("int8")
    layer = pe_keras.embedding(
        small, trainable=False, mask_zero=True, dtype="int8_from_float32", multiple_of=4
    )
    assert type(layer) is keras.layers.Embedding
    values, factors = layer.get_weights()
    assert np.array_equal(values[:6], small.stored.values)
    assert not values[6:].any()
    assert np.isfinite(factors).all()
    assert layer.trainable_weights == []
    found = keras.ops.convert_to_numpy(layer(IDS))
    np.testing.assert_allclose(found, small.lookup(IDS), rtol=1e-6)
    assert not found[0, 1].any()
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layer])
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    again = keras.ops.convert_to_numpy(loaded(IDS))
    assert np.array_equal(again, found)


@pytest.mark.parametrize(
    ("dtype", "options", "said"),
    [
        ("float32", {"trainable": False}, r"astype\('int8'\)"),
        ("int4", {"trainable": False}, r"astype\('int8'\)"),
        ("int8", {}, "trainable=False"),
        ("int8", {"trainable": "oov"}, "trainable=False"),
    ],
)
def test_keras_quantises_nothing_else(matrix, dtype, options, said):
    with pytest.raises(OptionError, match=said):
        pe_keras.embedding(matrix.astype(dtype), dtype="int8_from_float32", **options)
