import copy
import subprocess
import sys
from typing import Any, ClassVar

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import IDS, LABELS, MASK, AdapterTests, make_matrix, same_bits
from .habits import HabitTests, habit

pytest.importorskip("jax", reason="JAX is not installed")
pytest.importorskip("flax", reason="Flax is not installed")
import jax
import optax
from flax import linen, serialization
from flax.training.train_state import TrainState

from pretrained_embed.adapters import linen as pe_linen

from .jax_cases import FREEZE, HOLE, OPTIMIZERS, ROWS, average, make_large

KEY = jax.random.key(0)


class Classifier(linen.Module):
    layers: Any

    @linen.compact
    def __call__(self, ids):
        pooled = [layer(ids).mean(axis=1) for layer in self.layers]
        return linen.Dense(1)(jax.numpy.concatenate(pooled, axis=1)).squeeze(1)


def trained(model, variables, optimizer, steps):
    frozen = variables.get("frozen", {})
    params, state = variables["params"], optimizer.init(variables["params"])

    @jax.jit
    def step(params, state):
        def loss(params):
            scores = model.apply({"params": params, "frozen": frozen}, IDS)
            return optax.sigmoid_binary_cross_entropy(scores, LABELS).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return {"params": params, "frozen": frozen}


class Held:
    """A layer with its variables, as the conformance class and habits have it."""

    def __init__(self, layer, variables=None):
        self.layer = layer
        self.variables = variables or layer.init(KEY, IDS)

    def __call__(self, ids):
        return self.layer.apply(self.variables, ids)

    def bound(self):
        return self.layer.bind(self.variables)

    def to_embedding(self):
        return self.bound().to_embedding()

    def part(self, collection, name):
        return self.variables.get(collection, {}).get(name, {})


class TestEmbedding(AdapterTests):
    optimizers: ClassVar = OPTIMIZERS
    plain = linen.Embed

    def layer(self, matrix, rows):
        return Held(pe_linen.embedding(matrix, freeze=rows))

    def output(self, layer, ids):
        return np.array(layer(jax.numpy.array(ids)))

    def train(self, layers, optimizer, steps):
        model = Classifier([held.layer for held in layers])
        variables = dict(model.init(KEY, IDS))
        names = [f"layers_{i}" for i in range(len(layers))]
        for collection in ("params", "frozen"):
            for name, held in zip(names, layers, strict=True):
                if collection in held.variables:
                    variables[collection][name] = held.variables[collection]
        variables = trained(model, variables, self.optimizers[optimizer], steps)
        for name, held in zip(names, layers, strict=True):
            held.variables = {c: variables[c].get(name, {}) for c in variables}

    def from_layer(self, layer, vocabulary, **options):
        bound = layer.bound() if isinstance(layer, Held) else layer
        return pe_linen.from_layer(bound, vocabulary, **options)


PLACES = jax.numpy.arange(7)


def rows(held):
    """What is looked up, but for the pad row and the hole: ours stay zero."""
    return np.array(held(PLACES))[[1, 2, 3, 5, 6]]


@habit("layer.bind(variables).embedding")
def read(held):
    return np.array(held.bound().embedding)


@habit("h @ layer.bind(variables).embedding.T")
def tie(held):
    return np.array(jax.numpy.ones((1, 4)) @ held.bound().embedding.T)


@habit("layer.apply(variables, h, method='attend')")
def attend(held):
    query = jax.numpy.ones((1, 4))
    return np.array(held.layer.apply(held.variables, query, method="attend"))


@habit("attend, of half precision")
def attend_half(held):
    query = jax.numpy.ones((1, 4), "bfloat16")
    return str(held.layer.apply(held.variables, query, method="attend").dtype)


@habit("jax.jit(layer.init), jax.jit(layer.apply)")
def jit(held):
    variables = jax.jit(held.layer.init)(KEY, PLACES)
    return rows(Held(held.layer, jax.jit(lambda v: v)(variables)))


@habit("layer.init_with_output")
def init_with_output(held):
    return np.array(held.layer.init_with_output(KEY, PLACES)[0])


@habit("layer.lazy_init")
def lazy_init(held):
    shape = jax.ShapeDtypeStruct((7,), "int32")
    return rows(Held(held.layer, held.layer.lazy_init(KEY, shape)))


@habit("jax.eval_shape(layer.init) and values from elsewhere")
def target(held):
    shapes = jax.eval_shape(held.layer.init, KEY, PLACES)
    leaves = jax.tree.leaves(held.variables)
    return rows(
        Held(held.layer, jax.tree.unflatten(jax.tree.structure(shapes), leaves))
    )


@habit("jax.vmap")
def vmap(held):
    return np.array(jax.vmap(held)(PLACES.reshape(7, 1)))


@habit("flax.linen.vmap over layers that share their variables")
def linen_vmap(held):
    mapped = linen.vmap(
        lambda layer, ids: layer(ids),
        variable_axes={"params": None, "frozen": None},
        split_rngs={"params": False},
    )
    return np.array(linen.apply(mapped, held.layer)(held.variables, PLACES))


@habit("flax.linen.remat, flax.linen.jit")
def lifted(held):
    def both(layer, ids):
        return linen.jit(lambda layer, ids: layer(ids))(layer, ids)

    return np.array(linen.apply(linen.remat(both), held.layer)(held.variables, PLACES))


@habit("flax.serialization.to_bytes, from_bytes")
def to_bytes(held):
    empty = jax.tree.map(lambda a: a * 0, held.variables)
    data = serialization.to_bytes(held.variables)
    return rows(Held(held.layer, serialization.from_bytes(empty, data)))


@habit("a FrozenDict of variables")
def frozen_dict(held):
    import flax

    return rows(Held(held.layer, flax.core.freeze(held.variables)))


@habit("TrainState.create, apply_gradients")
def train_state(held):
    others = {k: v for k, v in held.variables.items() if k != "params"}
    state = TrainState.create(
        apply_fn=held.layer.apply,
        params=held.variables.get("params", {}),
        tx=optax.sgd(0.1),
    )

    def loss(params):
        return state.apply_fn({"params": params, **others}, PLACES).sum()

    new = state.apply_gradients(grads=jax.grad(loss)(state.params))
    return np.array([new.step, np.isfinite(loss(new.params))])


@habit("module.clone, copy.deepcopy")
def copies(held):
    twins = [held.layer.clone(), copy.deepcopy(held.layer)]
    return np.stack([rows(Held(twin, held.variables)) for twin in twins])


@habit("two layers of one model are equal if they are one")
def equal(held):
    return held.layer == held.layer and hash(held.layer) == hash(held.layer.clone())


@habit("layer.tabulate")
def tabulate(held):
    return "float32[7,4]" in held.layer.tabulate(KEY, PLACES)


@habit("parameters cast to bfloat16")
def cast(held):
    half = jax.tree.map(
        lambda a: a.astype("bfloat16") if a.dtype == "float32" else a, held.variables
    )
    return str(held.layer.apply(half, PLACES).dtype)


@habit("ids that are no integers")
def floats(held):
    try:
        return held(jax.numpy.ones(3))
    except ValueError:
        return "refused"


@habit("ids below zero and out of range")
def outside(held):
    ids = jax.numpy.array([7, 100, -1, -7, -8])
    kinds = ("int32", "int16", "uint8", "uint32")
    return np.stack([np.array(held(ids.astype(kind))) for kind in kinds])


@habit("isinstance(layer, linen.Embed)", instead=False)
def kind(held):
    return isinstance(held.layer, linen.Embed)


@habit("layer.num_embeddings, .features, .dtype, .param_dtype")
def attributes(held):
    layer = held.layer
    return str((layer.num_embeddings, layer.features, layer.dtype, layer.param_dtype))


@habit("names of the parameters", instead="trained")
def names(held):
    return ",".join(held.variables.get("params", {"embedding": None}))


@habit("a plain layer's variables given to the layer", refused=r"load_variables")
def plain_given(held):
    return np.array(held.layer.apply(plain_of(make_matrix()).variables, PLACES))


def plain_of(matrix):
    make = pe_linen.pretrained(matrix)
    return Held(linen.Embed(*matrix.shape, embedding_init=make))


class TestHabits(HabitTests):
    habits: ClassVar = [
        value for value in list(globals().values()) if type(value).__name__ == "Habit"
    ]

    def layer(self, matrix, rows):
        return Held(pe_linen.embedding(matrix, freeze=rows))

    def plain_layer(self, matrix, trains):
        return plain_of(matrix)


@pytest.fixture
def matrix() -> EmbeddingMatrix:
    return make_matrix()


@pytest.fixture(scope="module")
def large() -> EmbeddingMatrix:
    return make_large()


@pytest.fixture(scope="module")
def split(large) -> Held:
    return Held(pe_linen.embedding(large, freeze=FREEZE))


def doubled(matrix: EmbeddingMatrix) -> EmbeddingMatrix:
    return EmbeddingMatrix(2 * matrix.vectors, matrix.vocabulary)


def table(layer, variables) -> np.ndarray:
    return np.array(layer.apply(variables, np.arange(layer.num_embeddings)))


def test_parameters_are_the_rows_that_train_and_nothing_else(matrix):
    for freeze, params, frozen in [
        (False, {"embedding": (7, 4)}, None),
        (
            "found",
            {"trained": (2, 4)},
            {"frozen": (5, 4), "trains": (7,), "zeros": (7,)},
        ),
        (True, None, {"embedding": (7, 4)}),
    ]:
        made = jax.tree.map(
            np.shape, Held(pe_linen.embedding(matrix, freeze=freeze)).variables
        )
        assert made.get("params") == params
        assert made.get("frozen") == frozen


def test_without_pad_and_holes_the_layer_is_a_plain_one():
    matrix = EmbeddingMatrix(
        np.ones((3, 2), np.float32), Vocabulary(["a", "b", "c"], pad=None)
    )

    assert type(pe_linen.embedding(matrix)) is linen.Embed


def test_a_layer_may_be_made_within_a_model(matrix):
    class Model(linen.Module):
        @linen.compact
        def __call__(self, ids):
            layer = pe_linen.embedding(matrix, freeze="found", name="words")
            return layer(ids) @ layer.embedding.T

    variables = Model().init(KEY, IDS)

    assert list(variables["params"]) == ["words"]
    scores = jax.jit(Model().apply)(variables, IDS)
    vectors = matrix.vectors
    np.testing.assert_allclose(scores, vectors[IDS] @ vectors.T, rtol=1e-5, atol=1e-4)


def test_layers_of_other_matrices_are_not_taken_for_each_other(matrix):
    init = jax.jit(lambda layer: layer.init(KEY, IDS), static_argnums=0)

    for made in (matrix, doubled(matrix)):
        layer = pe_linen.embedding(made, freeze="found")
        assert same_bits(table(layer, init(layer)), made.vectors)


def test_an_average_of_all_variables_looks_up_the_same_rows(large, split):
    averaged = split.variables

    for _ in range(20):
        averaged = jax.tree.map(average, averaged, split.variables)

    assert averaged["frozen"]["trains"].dtype != bool  # or this test shows nothing
    made = table(split.layer, averaged)
    np.testing.assert_allclose(made, large.vectors, atol=1e-5)
    assert not made[[0, HOLE]].any()
    half = jax.tree.map(lambda a: a * 0.5, averaged)  # as one that began with zeros
    np.testing.assert_allclose(table(split.layer, half), large.vectors / 2, atol=1e-5)
    averaged = jax.tree.map(lambda a: a * 1.0001, averaged)
    assert not same_bits(table(split.layer, averaged)[FREEZE], large.vectors[FREEZE])
    back = pe_linen.restore_frozen(averaged, split.variables)
    keeps = FREEZE | np.isin(np.arange(ROWS), [0, HOLE])
    assert same_bits(table(split.layer, back)[keeps], large.vectors[keeps])
    assert back["frozen"]["trains"].dtype == bool
    assert (back["params"]["trained"] == averaged["params"]["trained"]).all()


def test_an_average_of_parameters_is_right_and_keeps_the_bits_of_frozen_rows(
    large, split
):
    params = mean = split.variables["params"]

    for _ in range(3):  # while rows train
        params = jax.tree.map(lambda a: a + 1, params)
        mean = optax.incremental_update(params, mean, 0.5)

    made = table(split.layer, {**split.variables, "params": mean})
    keeps = FREEZE | np.isin(np.arange(ROWS), [0, HOLE])
    assert same_bits(made[keeps], large.vectors[keeps])
    moved = made[~keeps] - large.vectors[~keeps]
    np.testing.assert_allclose(moved, 0.125 * 1 + 0.25 * 2 + 0.5 * 3, atol=1e-5)


def test_frozen_rows_are_restored_from_the_same_model_only(matrix, large, split):
    whole = Held(pe_linen.embedding(large))
    other = Held(pe_linen.embedding(large, freeze=~FREEZE))
    permuted = Held(pe_linen.embedding(large, freeze=FREEZE[::-1]))
    for source in (whole, other, permuted):
        with pytest.raises(OptionError, match=r"frozen\.(frozen|trains) is of other"):
            pe_linen.restore_frozen(split.variables, source.variables)

    still = Held(pe_linen.embedding(matrix, freeze=True))
    moved = jax.tree.map(lambda a: a * 1.5, still.variables)
    back = pe_linen.restore_frozen(moved, still.variables)
    assert same_bits(table(still.layer, back), matrix.vectors)


@pytest.mark.parametrize("into", [False, True, FREEZE], ids=["all", "none", "some"])
@pytest.mark.filterwarnings("ignore:.* rows train in the layer")
def test_variables_of_other_layers_are_loaded(large, into):
    target = Held(pe_linen.embedding(doubled(large), freeze=into))
    kind = jax.tree.map(np.shape, target.variables)

    for freeze in (False, True, FREEZE, ~FREEZE):
        saved = Held(pe_linen.embedding(large, freeze=freeze)).variables
        for given in (saved, pe_linen.plain_variables(saved)):
            loaded = pe_linen.load_variables(target.variables, given)
            assert same_bits(table(target.layer, loaded), large.vectors)
            assert jax.tree.map(np.shape, loaded) == kind
    assert same_bits(table(target.layer, target.variables), 2 * large.vectors)


def test_which_rows_train_is_for_the_layer_to_say_unless_asked_otherwise(large, split):
    saved = Held(pe_linen.embedding(large, freeze=~FREEZE)).variables

    with pytest.warns(UserWarning, match='3001 rows .*load_rows="file"') as caught:
        kept = pe_linen.load_variables(split.variables, saved)
    taken = pe_linen.load_variables(split.variables, saved, load_rows="file")

    assert caught[0].filename == __file__
    zero = np.isin(np.arange(ROWS), [0, HOLE])
    for made, trains in ((kept, ~FREEZE), (taken, FREEZE)):
        assert (np.array(made["frozen"]["trains"]) == (trains & ~zero)).all()
        assert same_bits(table(split.layer, made), large.vectors)
    with pytest.raises(OptionError, match="load_rows='both'"):
        pe_linen.load_variables(split.variables, saved, load_rows="both")


def test_a_pad_row_that_a_plain_layer_trained_is_not_taken_over(large, split):
    vectors = large.vectors.copy()
    vectors[0] = 7
    plain = {"params": {"embedding": vectors}}

    loaded = pe_linen.load_variables(split.variables, plain)
    noisy = jax.tree.map(lambda a: a + 1 if a.dtype != bool else a, split.variables)

    assert same_bits(table(split.layer, loaded), large.vectors)
    back = pe_linen.plain_variables(loaded)["params"]["embedding"]
    assert same_bits(np.array(back), large.vectors)
    whole = pe_linen.embedding(large)
    for layer, variables in ((split.layer, noisy), (whole, plain)):
        assert not table(layer, variables)[[0, HOLE]].any()
        bound = layer.bind(variables)
        assert not np.array(bound.embedding)[[0, HOLE]].any()
        assert not np.array(bound.to_embedding().embedding)[[0, HOLE]].any()


def test_the_variables_of_a_model_are_loaded_by_the_names_of_its_parts(matrix):
    def made(matrix):
        layers = [pe_linen.embedding(matrix, freeze=f) for f in (False, MASK, True)]
        model = Classifier(layers)
        return model, model.init(KEY, IDS)

    (_, saved), (model, variables) = made(matrix), made(doubled(matrix))
    saved["params"]["Dense_0"]["bias"] = np.ones(1, np.float32)

    loaded = pe_linen.load_variables(variables, saved)

    expected = model.apply(saved, IDS)
    assert same_bits(np.array(model.apply(loaded, IDS)), np.array(expected))
    plain = pe_linen.plain_variables(loaded)
    assert list(plain) == ["params"]
    elsewhere = Classifier([linen.Embed(7, 4) for _ in range(3)])
    assert same_bits(np.array(elsewhere.apply(plain, IDS)), np.array(expected))
    with pytest.raises(OptionError, match=r"'params\.other\.scale', which the model"):
        pe_linen.load_variables(variables, {"params": {"other": {"scale": np.ones(1)}}})


def test_variables_that_do_not_fit_are_refused(matrix, split):
    table = {"params": {"embedding": np.ones((7, 4), np.float32)}}
    alone = {"params": split.variables["params"]}

    with pytest.raises(ShapeError, match="the saved table has shape"):
        pe_linen.load_variables(split.variables, table)
    for function in (pe_linen.plain_variables, pe_linen.unfreeze):
        with pytest.raises(OptionError, match="give all collections"):
            function(alone)
    small = Held(pe_linen.embedding(matrix, freeze="found"))
    with pytest.raises(ShapeError, match=r"shape \(7, 4\), and the layer has 3003"):
        split.layer.apply(small.variables, IDS)
    with pytest.raises(ShapeError, match=r"shape \(7, 4\), and the layer has 3003"):
        pe_linen.embedding(make_large()).apply(table, IDS)
    mixed = {**split.variables, "params": small.variables["params"]}
    with pytest.raises(ShapeError, match="'params' and 'frozen' of one state"):
        split.layer.apply(mixed, IDS)
    with pytest.raises(OptionError, match="without a matrix"):
        pe_linen.SplitEmbed(7, 4).init(KEY, IDS)
    with pytest.raises(OptionError, match=r"layer\.bind\(variables\)"):
        pe_linen.from_layer(small.layer, matrix.vocabulary)
    with pytest.raises(OptionError, match=r"layer\.bind\(variables\)"):
        pe_linen.from_layer(pe_linen.embedding(matrix), matrix.vocabulary)


@pytest.mark.parametrize("freeze", ["found", True])
def test_all_rows_but_the_pad_train_once_they_are_unfrozen(matrix, freeze):
    layer = pe_linen.embedding(matrix, freeze=freeze)
    model = Classifier([layer])

    variables = pe_linen.unfreeze(model.init(KEY, IDS))

    part = {c: variables[c].get("layers_0", {}) for c in variables}
    assert same_bits(table(layer, part), matrix.vectors)
    variables = trained(model, variables, OPTIMIZERS["adamw"], 2)
    part = {c: variables[c].get("layers_0", {}) for c in variables}
    moved = (table(layer, part) != matrix.vectors).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [1, 2, 3, 5, 6]
    with pytest.raises(OptionError, match="no layer has frozen rows"):
        pe_linen.unfreeze(Held(pe_linen.embedding(matrix)).variables)


@pytest.mark.parametrize("freeze", [False, "found"])
def test_pad_row_and_hole_stay_zero_under_a_tied_output(matrix, freeze):
    layer = pe_linen.embedding(matrix, freeze=freeze)
    variables = layer.init(KEY, IDS)
    params, frozen = variables["params"], variables.get("frozen", {})
    optimizer = OPTIMIZERS["adamw"]
    state = optimizer.init(params)

    @jax.jit
    def step(params, state):
        def loss(params):
            bound = layer.bind({"params": params, "frozen": frozen})
            scores = bound.attend(bound(IDS))
            return optax.softmax_cross_entropy_with_integer_labels(scores, IDS).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(3):
        params, state = step(params, state)

    bound = layer.bind({"params": params, "frozen": frozen})
    made = np.array(bound.embedding)
    assert not made[[0, 4]].any()
    assert (made[[3, 6]] != matrix.vectors[[3, 6]]).any(axis=1).all()
    back = pe_linen.from_layer(bound, matrix.vocabulary)
    assert back.vectors.tobytes() == made.tobytes()
    if freeze is False:  # the parameter itself, which others may read
        assert not np.array(params["embedding"])[[0, 4]].any()


@pytest.mark.parametrize("freeze", [False, True, FREEZE], ids=["all", "none", "some"])
def test_orbax_saves_and_restores_every_row(large, freeze, tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint", reason="Orbax is not installed")
    saved = Held(pe_linen.embedding(large, freeze=freeze)).variables
    other = Held(pe_linen.embedding(doubled(large), freeze=freeze))

    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", saved)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", other.variables)

    for variables in (restored, pe_linen.load_variables(other.variables, restored)):
        assert same_bits(table(other.layer, variables), large.vectors)
    assert jax.tree.map(np.shape, restored) == jax.tree.map(np.shape, other.variables)


@pytest.mark.parametrize("freeze", [False, True, "found"])
def test_a_table_may_have_more_rows_which_stay_zero(matrix, freeze):
    layer = pe_linen.embedding(matrix, freeze=freeze, multiple_of=8)
    variables = layer.init(KEY, IDS)

    assert same_bits(table(layer, variables), np.pad(matrix.vectors, ((0, 1), (0, 0))))
    back = pe_linen.from_layer(layer.bind(variables), matrix.vocabulary, rows=7)
    assert same_bits(back.vectors, matrix.vectors)
    if freeze is not False:
        variables = pe_linen.unfreeze(variables)
    rest = {k: v for k, v in variables.items() if k != "params"}
    gradient = jax.grad(
        lambda params: layer.bind({"params": params, **rest}).embedding.sum()
    )(variables["params"])
    (gradient,) = jax.tree.leaves(gradient)
    assert gradient.sum() == 5 * 4  # of the rows of tokens


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("freeze", [False, True, "found"])
def test_dtype_is_rounded_from_the_matrix(matrix, name, freeze):
    expected = jax.numpy.array(matrix.vectors[IDS]).astype(name)
    for options in ({"param_dtype": name}, {"dtype": name}):
        layer = Held(pe_linen.embedding(matrix, freeze=freeze, **options))
        assert layer(IDS).dtype == name
        assert (layer(IDS) == expected).all()
    with pytest.raises(OptionError, match="int32 cannot hold"):
        pe_linen.embedding(matrix, freeze=freeze, param_dtype="int32")
    with pytest.raises(OptionError, match="int32 cannot hold"):
        pe_linen.embedding(matrix, freeze=freeze, dtype="int32")


SERVE = """
import sys
sys.modules["pretrained_embed"] = None  # not to be imported
import numpy as np
from flax import linen, serialization

layer = linen.Embed(7, 4)
data = open(sys.argv[1] + "/variables.msgpack", "rb").read()
variables = serialization.msgpack_restore(data)
np.save(sys.argv[1] + "/rows.npy", layer.apply(variables, np.arange(7)))
"""


def test_a_table_is_served_where_this_package_is_not_installed(matrix, tmp_path):
    held = Held(pe_linen.embedding(matrix, freeze="found"))
    plain = pe_linen.plain_variables(held.variables)
    data = serialization.msgpack_serialize(jax.tree.map(np.asarray, plain))
    (tmp_path / "variables.msgpack").write_bytes(data)

    command = [sys.executable, "-W", "ignore", "-c", SERVE, str(tmp_path)]
    subprocess.run(command, check=True, timeout=300)

    assert same_bits(np.load(tmp_path / "rows.npy"), matrix.vectors)
