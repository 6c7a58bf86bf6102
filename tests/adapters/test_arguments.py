"""Mistakes in calling an adapter: the message has a remedy, and the remedy works."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.adapters import _tables
from pretrained_embed.adapters._arguments import checked

from .conformance import make_matrix

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

from pretrained_embed.adapters import gensim as pe_gensim
from pretrained_embed.adapters import torch as pe_torch

VOCABULARY = pe.Vocabulary(["a", "b", "c"], pad=None)
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4) + 1
MATRIX = pe.EmbeddingMatrix(VECTORS, VOCABULARY)


def message(function, *args, **options) -> str:
    with pytest.raises(pe.errors.OptionError) as caught:
        function(*args, **options)
    return str(caught.value)


def code_in(text: str) -> str:
    """Return the lines of code that a message has: those that are indented."""
    return "\n".join(re.findall(r"(?m)^    (.+)$", text))


def expressions(text: str) -> list[str]:
    """Return the calls of this package that a message has in one line."""
    return re.findall(r"pe\.\w+\([^()]*\)", text)


GIVEN = {
    "an array": lambda: ("array", VECTORS),
    "a tensor that trains": lambda: (
        "array",
        torch.nn.Parameter(torch.tensor(VECTORS)),
    ),
    "a dict": lambda: ("vectors", dict(zip("abc", VECTORS, strict=True))),
    "a dict of lists": lambda: (
        "vectors",
        dict(zip("abc", VECTORS.tolist(), strict=True)),
    ),
    "tokens and vectors": lambda: ("vectors", (["a", "b", "c"], VECTORS)),
    "a layer": lambda: ("layer", pe_torch.embedding(MATRIX)),
    "KeyedVectors": lambda: ("vectors", pe_gensim.to_keyed_vectors(MATRIX)),
}


@pytest.mark.parametrize("given", GIVEN)
def test_what_holds_vectors_and_is_no_matrix(given):
    name, value = GIVEN[given]()
    said = message(pe_torch.embedding, value)
    names = {name: value, "pe": pe, "vocabulary": VOCABULARY, "tokens": ["a", "b", "c"]}

    exec(code_in(said), names)

    layer = pe_torch.embedding(names["matrix"])
    rows = torch.tensor([names["matrix"].vocabulary[token] for token in "abc"])
    assert (layer(rows).detach().numpy() == VECTORS).all()


def test_a_path_in_place_of_a_matrix(tmp_path):
    MATRIX.save(path := tmp_path / "it.npz")
    for given in (path, str(path)):
        said = message(pe_torch.embedding, given)

        load, build = expressions(said)

        assert eval(load).shape == (3, 4)
        built = eval(build, {"pe": pe, "vocabulary": VOCABULARY})
        assert (built.vectors == VECTORS).all()


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        (VOCABULARY, ["Vocabulary", "no vectors", "pe.build_matrix(vocabulary"]),
        (["a", "b"], ["list", "EmbeddingMatrix", "pe.build_matrix(vocabulary"]),
        (None, ["None", "EmbeddingMatrix", "pe.load_matrix(path)"]),
    ],
)
def test_what_holds_no_vectors(given, facts):
    said = message(pe_torch.embedding, given)

    for fact in facts:
        assert fact in said


def test_a_shard_and_a_matrix_in_place_of_each_other(tmp_path):
    MATRIX.save(path := tmp_path / "it.npz")
    shard = pe.load_shard(path, 0, 2)

    (remedy,) = expressions(message(pe_torch.sharded_embedding, MATRIX))
    known = {"pe": pe, "path": path, "rank": 0, "world_size": 1}
    layer = pe_torch.sharded_embedding(eval(remedy, known))
    assert layer(torch.tensor([0, 2])).shape == (2, 4)

    (remedy,) = expressions(message(pe_torch.embedding, shard))
    assert pe_torch.embedding(eval(remedy, known))(torch.tensor([2])).shape == (1, 4)


def frozen_words(function) -> tuple[str, str]:
    """Return the word of a function for the rows that train or do not; the other."""
    words = ["freeze", "trainable"]
    right = next(
        word for word in words if word in inspect.signature(function).parameters
    )
    words.remove(right)
    return right, words[0]


def check_the_word_for_what_trains(module):
    """Check that the message of the other word gives the same choice of rows."""
    right, wrong = frozen_words(module.embedding)
    matrix = make_matrix()
    mask = np.array([0, 1, 0, 0, 0, 0, 1], np.bool_)
    for value in (True, False, "found", "oov", mask):
        said = message(module.embedding, matrix, **{wrong: value})

        remedy = re.search(rf"give {right}=(\S+),", said)[1]

        chosen = eval(remedy, {"mask": mask})
        asked = _tables.chosen(matrix, value, wrong)
        given = _tables.chosen(matrix, chosen, right)
        never = _tables.fixed(matrix)
        assert ((asked | never) == (~given | never)).all()
        module.embedding(matrix, **{right: chosen})


def check_keywords(module):
    right, _ = frozen_words(module.embedding)

    near = message(module.embedding, MATRIX, **{right[:-1]: True})
    assert f"did you mean {right!r}" in near
    assert "dtype" in near  # all that there are
    for known in ("padding_idx", "num_embeddings", "output_dim", "weights"):
        assert "leave it out" in message(module.embedding, MATRIX, **{known: 1})
    assert f"{right}=" in message(module.embedding, MATRIX, True)


def check_what_may_be_given(module):
    """Check that a mask is taken whatever holds it, and that ids are told from one."""
    import torch

    right, _ = frozen_words(module.embedding)
    mask = [True, False, True]
    for given in (mask, torch.tensor(mask), np.array(mask)):
        layer = module.embedding(MATRIX, **{right: given})
        assert type(layer) is type(module.embedding(MATRIX, **{right: ["a", "c"]}))
    for ids in ([0, 2], np.array([0, 2]), torch.tensor([0, 2])):
        said = message(module.embedding, MATRIX, **{right: ids})
        known = {"np": np, "matrix": MATRIX, "ids": [0, 2]}
        exec(said.partition("of ids: ")[2], known)
        assert known["mask"].tolist() == mask


def check_from_layer(module):
    layer = module.embedding(MATRIX)

    assert "swapped" in message(module.from_layer, VOCABULARY, layer)
    assert "matrix.vocabulary" in message(module.from_layer, layer, MATRIX)
    assert "Vocabulary.of" in message(module.from_layer, layer, ["a", "b", "c"])


def check_layers_are_known(module):
    layer = module.embedding(MATRIX)
    known = {"layer": layer, "vocabulary": VOCABULARY, "pe": pe}

    exec(code_in(message(module.embedding, layer)), known)

    assert (known["matrix"].vectors == VECTORS).all()


CHECKS = [
    check_the_word_for_what_trains,
    check_keywords,
    check_what_may_be_given,
    check_from_layer,
    check_layers_are_known,
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_mistakes_in(framework, check):
    module = pytest.importorskip(
        f"pretrained_embed.adapters.{framework}", reason="it is not installed"
    )
    check(module)


def test_mistakes_in_keras(monkeypatch):
    """In a process of its own, for a process has one backend."""
    pytest.importorskip("keras", reason="Keras is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from adapters import test_arguments\n"
        "from pretrained_embed.adapters import keras\n"
        "for check in test_arguments.CHECKS: check(keras)\n"
        "said = test_arguments.message(keras.Pretrained, 'it.npz')\n"
        "assert \"pe.load_matrix('it.npz')\" in said\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True)

    assert done.returncode == 0, done.stderr.decode()


def test_a_dtype_of_another_library():
    for given in ("float16", np.float16, np.dtype(np.float16), "torch.float16"):
        remedy = message(pe_torch.embedding, MATRIX, dtype=given).rpartition(" ")[2]

        layer = pe_torch.embedding(MATRIX, dtype=eval(remedy))

        assert layer.weight.dtype == torch.float16
    assert "torch.float32" in message(pe_torch.embedding, MATRIX, dtype="flat")


def test_a_dtype_that_jax_does_not_know():
    pe_jax = pytest.importorskip(
        "pretrained_embed.adapters.jax", reason="JAX is not installed"
    )
    for given in ("flat", torch.float16):
        said = message(pe_jax.embedding, MATRIX, dtype=given)

        assert str(given) in said
        assert "jnp.float32" in said


def test_a_layer_or_a_matrix_in_place_of_the_tensor():
    layer = torch.nn.Embedding(3, 4)

    assert "layer.weight" in message(pe_torch.pretrained_, layer, MATRIX)
    said = message(pe_torch.pretrained_, MATRIX, layer.weight)
    assert "swapped" in said
    remedy = said.rpartition("give ")[2]
    eval(f"pe_torch.{remedy}", {**globals(), "tensor": layer.weight, "matrix": MATRIX})
    assert (layer.weight.detach().numpy() == VECTORS).all()


def test_a_reduction_that_bags_do_not_have():
    said = message(pe_torch.embedding_bag, MATRIX, mode="men")

    assert "did you mean 'mean'" in said


def test_a_function_that_is_checked_is_the_same_to_whoever_looks_at_it():
    assert inspect.signature(pe_torch.embedding).parameters["freeze"].default is False
    assert pe_torch.embedding.__doc__

    @checked
    def own(matrix: "pe.EmbeddingMatrix", *, other: int = 0) -> int:
        return other

    assert own(MATRIX, other=3) == 3
