import subprocess
import sys
import warnings
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

from .jax_cases import FREEZE, HOLE, OPTIMIZERS, ROWS, average, make_large


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

    for freeze, trained, others in [
        (False, [(7, 4)], []),
        ("found", [(2, 4)], [(5, 4), (7,)]),
        (True, [], [(7, 4)]),
    ]:
        layer = pe_jax.embedding(matrix, freeze=freeze)
        assert shapes(layer, nnx.Param) == trained
        assert shapes(layer, pe_jax.Frozen) == others


def test_state_is_split_and_merged(matrix):
    layer = pe_jax.embedding(matrix, freeze="found")

    twin = nnx.merge(*nnx.split(layer))

    assert same_bits(np.array(twin(IDS)), matrix.vectors[IDS])


def test_ids_out_of_range_give_what_the_plain_layer_gives(matrix):
    split = pe_jax.embedding(matrix, freeze="found")
    plain = pe_jax.embedding(matrix, freeze=True)
    ids = jax.numpy.array([7, 100, -1, -7, -8])

    for kind in ("int32", "int16", "uint8", "uint32"):
        given = ids.astype(kind)
        np.testing.assert_array_equal(split(given), plain(given), err_msg=kind)


def test_ids_that_are_no_integers_are_refused(matrix):
    with pytest.raises(OptionError, match="float32"):
        pe_jax.embedding(matrix, freeze="found")(jax.numpy.ones(3))


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


@pytest.fixture(scope="module")
def large() -> EmbeddingMatrix:
    return make_large()


def table(layer) -> np.ndarray:
    return np.array(layer(jax.numpy.arange(layer.num_embeddings)))


def test_an_average_of_whole_states_looks_up_the_same_rows(large):
    model = pe_jax.embedding(large, freeze=FREEZE)
    averaged = nnx.clone(model)

    for _ in range(20):
        state = jax.tree.map(average, nnx.state(averaged), nnx.state(model))
        nnx.update(averaged, state)

    assert averaged.trains[...].dtype != bool  # or this test shows nothing
    np.testing.assert_allclose(table(averaged), large.vectors, atol=1e-5)
    half = nnx.clone(averaged)  # as an average that began with zeros has it
    nnx.update(half, jax.tree.map(lambda a: a * 0.5, nnx.state(half)))
    np.testing.assert_allclose(table(half), large.vectors / 2, atol=1e-5)
    for source in (model.embedding, large.vectors):
        nnx.update(averaged, jax.tree.map(lambda a: a * 1.0001, nnx.state(averaged)))
        assert not same_bits(table(averaged)[FREEZE], large.vectors[FREEZE])
        averaged.restore_frozen(source)
        assert same_bits(table(averaged)[FREEZE], large.vectors[FREEZE])
        assert averaged.trains[...].dtype == bool


def test_an_average_of_parameters_is_right_and_keeps_the_bits_of_frozen_rows(large):
    model = pe_jax.embedding(large, freeze=FREEZE)
    averaged = nnx.clone(model)

    for _ in range(3):  # while rows train
        nnx.update(model, jax.tree.map(lambda a: a + 1, nnx.state(model, nnx.Param)))
        params = nnx.state(averaged, nnx.Param), nnx.state(model, nnx.Param)
        nnx.update(averaged, optax.incremental_update(params[1], params[0], 0.5))

    keeps = FREEZE | np.isin(np.arange(ROWS), [0, HOLE])
    assert same_bits(table(averaged)[keeps], large.vectors[keeps])
    moved = table(averaged)[~keeps] - large.vectors[~keeps]
    np.testing.assert_allclose(moved, 0.125 * 1 + 0.25 * 2 + 0.5 * 3, atol=1e-5)


def test_frozen_rows_are_restored_from_a_table_of_the_same_shape(large):
    layer = pe_jax.embedding(large, freeze=FREEZE)

    with pytest.raises(ShapeError, match="the layer has shape"):
        layer.restore_frozen(np.ones((ROWS, 5), np.float32))


def as_released(layer) -> dict:
    """The state as release 0.1 had it, which split whole layers, too."""
    if isinstance(layer, nnx.Embed):
        whole = np.array(layer.embedding[...])
        trains = ~np.isin(np.arange(ROWS), [0, HOLE])
        arrays = {"trained": whole[trains], "frozen": whole[~trains]}
    else:
        trains = np.array(layer.trains[...])
        arrays = {"trained": layer.trained[...], "frozen": layer.frozen[...]}
    slots = np.where(trains, np.cumsum(trains) - 1, ~(np.cumsum(~trains) - 1))
    return {**arrays, "slots": slots.astype(np.int32)}


def doubled(matrix: EmbeddingMatrix) -> EmbeddingMatrix:
    return EmbeddingMatrix(2 * matrix.vectors, matrix.vocabulary)


@pytest.mark.parametrize("into", [False, True, FREEZE], ids=["all", "none", "some"])
def test_states_of_other_layers_and_of_earlier_releases_are_loaded(large, into):
    some = pe_jax.embedding(large, freeze=FREEZE)
    whole = pe_jax.embedding(large)
    saved = [
        *(nnx.state(some), nnx.to_pure_dict(nnx.state(some)), as_released(some)),
        *(nnx.state(whole), as_released(whole), {"embedding": large.vectors}),
        {"embedding": {"value": large.vectors}},
    ]

    for state in saved:
        layer = pe_jax.embedding(doubled(large), freeze=into)
        kind = jax.tree.map(np.shape, nnx.to_pure_dict(nnx.state(layer)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of rows that train, or not: see below
            pe_jax.load_state(layer, state)
        assert same_bits(table(layer), large.vectors)
        assert jax.tree.map(np.shape, nnx.to_pure_dict(nnx.state(layer))) == kind


def test_a_state_with_slots_is_updated_from_as_it_was(large):
    layer = pe_jax.embedding(doubled(large), freeze=FREEZE)

    nnx.update(layer, as_released(pe_jax.embedding(large, freeze=FREEZE)))

    assert same_bits(table(layer), large.vectors)


def test_which_rows_train_is_for_the_layer_to_say_unless_asked_otherwise(large):
    state = nnx.state(pe_jax.embedding(large, freeze=~FREEZE))
    for rows, trains in (("layer", ~FREEZE), ("file", FREEZE)):
        layer = pe_jax.embedding(doubled(large), freeze=FREEZE)
        if rows == "layer":
            with pytest.warns(UserWarning, match='3001 rows .*load_rows="file"'):
                pe_jax.load_state(layer, state)
        else:
            pe_jax.load_state(layer, state, load_rows=rows)
        expected = trains & ~np.isin(np.arange(ROWS), [0, HOLE])
        assert (np.array(layer.trains[...]) == expected).all()
        assert same_bits(table(layer), large.vectors)


def test_a_pad_row_that_a_plain_layer_trained_is_not_taken_over(large):
    vectors = large.vectors.copy()
    vectors[0] = 7
    for freeze in (False, FREEZE):
        layer = pe_jax.embedding(doubled(large), freeze=freeze)
        pe_jax.load_state(layer, {"embedding": vectors})
        assert same_bits(table(layer), large.vectors)


def test_the_state_of_a_model_is_loaded_by_the_names_of_its_parts(matrix):
    def model(scale):
        vectors = EmbeddingMatrix(scale * matrix.vectors, matrix.vocabulary)
        layers = [pe_jax.embedding(vectors, freeze=f) for f in (False, "found", True)]
        return Classifier(layers)

    saved = nnx.to_pure_dict(nnx.state(model(1)))
    saved["layers"] = {str(k): v for k, v in saved["layers"].items()}  # as orbax does
    saved["dense"]["bias"] = np.ones(1, np.float32)
    loaded = model(2)

    pe_jax.load_state(loaded, saved)

    for layer in loaded.layers:
        assert same_bits(table(layer), matrix.vectors)
    assert loaded.dense.bias[0] == 1
    with pytest.raises(OptionError, match=r"'dense\.scale', which the model"):
        pe_jax.load_state(loaded, {"dense": {"scale": np.ones(1)}})


def test_a_state_that_does_not_fit_is_refused(large):
    layer = pe_jax.embedding(large, freeze=FREEZE)
    with pytest.raises(ShapeError, match="the saved table has shape"):
        pe_jax.load_state(layer, {"embedding": np.ones((7, 4), np.float32)})
    with pytest.raises(ShapeError, match="load the whole state"):
        pe_jax.load_state(layer, {"trained": np.ones((7, 4), np.float32)})
    whole = pe_jax.embedding(large)
    for state in (nnx.state(layer), as_released(layer)):
        with pytest.raises(OptionError, match=r"load_state\(model, state\)"):
            nnx.update(whole, state)
    assert same_bits(table(layer), large.vectors)


@pytest.mark.parametrize("freeze", [False, FREEZE], ids=["all", "some"])
def test_orbax_saves_and_restores_every_row(large, freeze, tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint", reason="Orbax is not installed")
    saved = nnx.state(pe_jax.embedding(large, freeze=freeze))
    layers = [pe_jax.embedding(doubled(large), freeze=freeze) for _ in range(2)]

    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", saved)
        checkpointer.wait_until_finished()
        with_target = checkpointer.restore(tmp_path / "state", nnx.state(layers[0]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Orbax prefers a target
            without_target = checkpointer.restore(tmp_path / "state")
    nnx.update(layers[0], with_target)
    pe_jax.load_state(layers[1], without_target)

    for layer in layers:
        assert same_bits(table(layer), large.vectors)


def test_all_rows_but_the_pad_train_once_they_are_unfrozen(matrix):
    layer = pe_jax.embedding(matrix, freeze="found")

    layer.unfreeze()

    assert same_bits(table(layer), matrix.vectors)
    TestEmbedding().train([layer], "adamw", 2)
    moved = (table(layer) != matrix.vectors).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [1, 2, 3, 5, 6]


def test_rows_can_be_frozen_and_thawed_later(matrix):
    layer = pe_jax.embedding(matrix, freeze="found")
    TestEmbedding().train([layer], "adamw", 2)
    before = table(layer)

    layer.freeze_rows(np.arange(7) != 5)

    assert same_bits(table(layer), before)
    TestEmbedding().train([layer], "adamw", 2)
    assert np.flatnonzero((table(layer) != before).any(axis=1)).tolist() == [5]
    with pytest.raises(ShapeError, match="7 rows"):
        layer.freeze_rows(np.ones(8, np.bool_))


@pytest.mark.parametrize("tie", ["attend", "embedding"])
@pytest.mark.parametrize("freeze", [False, "found"])
def test_pad_row_and_hole_stay_zero_under_a_tied_output(matrix, freeze, tie):
    layer = pe_jax.embedding(matrix, freeze=freeze)
    optimizer = nnx.Optimizer(layer, optax.adamw(0.1, weight_decay=0.5), wrt=nnx.Param)
    ids = jax.numpy.array(IDS)

    @nnx.jit
    def step(layer, optimizer):
        def loss(layer):
            hidden = layer(ids)
            scores = (
                layer.attend(hidden)
                if tie == "attend"
                else hidden @ layer.embedding[...].T
            )
            return optax.softmax_cross_entropy_with_integer_labels(scores, ids).mean()

        optimizer.update(layer, nnx.grad(loss)(layer))

    for _ in range(3):
        step(layer, optimizer)

    made = table(layer)
    assert not made[[0, 4]].any()
    assert (made[[3, 6]] != matrix.vectors[[3, 6]]).any(axis=1).all()
    assert pe_jax.from_layer(layer, matrix.vocabulary).vectors.tobytes() == (
        made.tobytes()
    )


def test_pad_row_is_zero_whatever_is_added_to_the_table(matrix):
    layer = pe_jax.embedding(matrix)
    noisy = jax.tree.map(lambda a: a + 1, nnx.state(layer))

    nnx.update(layer, noisy)

    for made in (layer, layer.to_embedding()):
        assert not table(made)[[0, 4]].any()
        assert same_bits(table(made)[[1, 2]], matrix.vectors[[1, 2]] + 1)
    assert type(layer.to_embedding()) is nnx.Embed
    assert not np.array(nnx.jit(lambda layer: layer(IDS[:3, 3]))(layer)).any()
    assert not np.array(jax.jit(lambda ids: layer(ids))(IDS[:3, 3])).any()


def test_a_state_goes_into_the_plain_layer_and_comes_from_it(matrix):
    ours = pe_jax.embedding(matrix)
    plain = nnx.Embed(7, 4, rngs=nnx.Rngs(0))

    nnx.update(plain, nnx.state(ours))
    assert same_bits(table(plain), matrix.vectors)
    other = EmbeddingMatrix(2 * matrix.vectors, matrix.vocabulary)
    make = pe_jax.pretrained(other)
    plain = nnx.Embed(7, 4, embedding_init=make, rngs=nnx.Rngs(0))
    nnx.update(ours, nnx.state(plain))

    assert same_bits(table(ours), other.vectors)
    TestEmbedding().train([ours], "adamw", 2)
    assert not table(ours)[0].any()


@pytest.mark.parametrize("freeze", [False, True, "found"])
def test_a_table_may_have_more_rows_which_stay_zero(matrix, freeze):
    layer = pe_jax.embedding(matrix, freeze=freeze, multiple_of=8)

    made = table(layer)
    assert same_bits(made[:7], matrix.vectors)
    assert made.shape == (8, 4)
    assert not made[7].any()
    back = pe_jax.from_layer(layer, matrix.vocabulary, rows=7)
    assert same_bits(back.vectors, matrix.vectors)
    with pytest.raises(ShapeError, match="the vocabulary 7"):
        pe_jax.from_layer(layer, matrix.vocabulary)
    if freeze == "found":
        layer.unfreeze()
    assert [leaf.shape for leaf in jax.tree.leaves(nnx.state(layer, nnx.Param))] == {
        False: [(8, 4)],
        True: [],
        "found": [(5, 4)],
    }[freeze]
    gradient = nnx.grad(lambda layer: layer.attend(layer(IDS)).sum())(layer)
    assert not any(np.array(g)[7:].any() for g in jax.tree.leaves(gradient))


def test_an_initializer_fills_the_first_rows_of_a_longer_table(matrix):
    make = pe_jax.pretrained(matrix, rows=7)

    longer = make(None, (9, 4))

    assert same_bits(np.array(longer[:7]), matrix.vectors)
    assert not longer[7:].any()
    assert same_bits(np.array(make(None, (7, 4))), matrix.vectors)
    with pytest.raises(ShapeError, match=r"rows=len\(vocab\)"):
        pe_jax.pretrained(matrix)(None, (9, 4))
    with pytest.raises(ShapeError, match=r"rows=9.*rows=len\(vocab\)"):
        pe_jax.pretrained(matrix, rows=9)(None, (9, 4))
    with pytest.raises(ShapeError):
        make(None, (6, 4))
    with pytest.raises(OptionError, match="multiple_of=0"):
        pe_jax.embedding(matrix, multiple_of=0)


SERVE = """
import sys
sys.modules["pretrained_embed"] = None  # not to be imported
import numpy as np
import orbax.checkpoint
from flax import nnx

layer = nnx.Embed(7, 4, rngs=nnx.Rngs(0))
with orbax.checkpoint.StandardCheckpointer() as checkpointer:
    state = checkpointer.restore(sys.argv[1] + "/state", nnx.state(layer))
nnx.update(layer, state)
np.save(sys.argv[1] + "/rows.npy", layer(np.arange(7)))
"""


@pytest.mark.parametrize("freeze", [False, "found"])
def test_a_table_is_served_where_this_package_is_not_installed(
    matrix, freeze, tmp_path
):
    orbax = pytest.importorskip("orbax.checkpoint", reason="Orbax is not installed")
    layer = pe_jax.embedding(matrix, freeze=freeze)
    if freeze:
        layer = layer.to_embedding()
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", nnx.state(layer))

    command = [sys.executable, "-W", "ignore", "-c", SERVE, str(tmp_path)]
    subprocess.run(command, check=True, timeout=300)

    assert same_bits(np.load(tmp_path / "rows.npy"), matrix.vectors)
