"""Objects that hold vectors, given as a source: the message makes a source of them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe

TOKENS = ["a", "b", "c"]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4) + 1
VOCABULARY = pe.Vocabulary(TOKENS, pad=None)


def matrix():
    return pe.EmbeddingMatrix(VECTORS, VOCABULARY)


def gensim_model(kind, **options):
    from gensim import models

    return getattr(models, kind)(
        [TOKENS] * 4, vector_size=4, min_count=1, workers=1, **options
    )


def keyed_vectors():
    from gensim.models import KeyedVectors

    made = KeyedVectors(4)
    made.add_vectors(TOKENS, VECTORS)
    return made


def table(**columns):
    import pandas

    return pandas.DataFrame(VECTORS, **columns)


def torch_layer():
    import torch

    return torch.nn.Embedding.from_pretrained(torch.tensor(VECTORS), freeze=False)


def torch_tensor():
    import torch

    return torch.tensor(VECTORS, requires_grad=True)


def nnx_layer():
    from pretrained_embed.adapters import jax

    return jax.embedding(matrix())


def equinox_layer():
    import equinox
    import jax.numpy

    return equinox.nn.Embedding(weight=jax.numpy.array(VECTORS))


def table_with_tokens():
    made = table()
    made.insert(0, "word", TOKENS)
    return made


#: What each is called in the message, and how it is made.
GIVEN = {
    "KeyedVectors": ("vectors", keyed_vectors),
    "Word2Vec": ("model", lambda: gensim_model("Word2Vec")),
    "FastText": ("model", lambda: gensim_model("FastText", bucket=20)),
    "FastTextKeyedVectors": (
        "vectors",
        lambda: gensim_model("FastText", bucket=20).wv,
    ),
    "dict of arrays": ("vectors", lambda: dict(zip(TOKENS, VECTORS, strict=True))),
    "dict of lists": (
        "vectors",
        lambda: dict(zip(TOKENS, VECTORS.tolist(), strict=True)),
    ),
    "tokens and an array": ("pair", lambda: (TOKENS, VECTORS)),
    "an array and tokens": ("pair", lambda: [VECTORS, TOKENS]),
    "tokens and a tensor": ("pair", lambda: (TOKENS, torch_tensor().detach())),
    "DataFrame": ("table", lambda: table(index=TOKENS)),
    "DataFrame with a column of tokens": ("table", table_with_tokens),
    "array": ("array", lambda: VECTORS),
    "tensor": ("array", torch_tensor),
    "layer of PyTorch": ("layer", torch_layer),
    "layer of Flax": ("layer", nnx_layer),
    "layer of Equinox": ("layer", equinox_layer),
    "matrix": ("matrix", matrix),
}


def remedied(given: str):
    """Return the source that the message of an object makes of it, in this folder."""
    name, make = GIVEN[given]
    value = make()
    with pytest.raises(pe.errors.OptionError) as caught:
        pe.build_matrix(TOKENS, value)
    lines = re.findall(r"(?m)^    (.+)$", str(caught.value))
    assert 1 < len(lines) < 4
    names = {name: value, "pe": pe, "vocabulary": VOCABULARY, "tokens": TOKENS}
    exec("\n".join(lines), names)
    return names["source"], value


@pytest.mark.parametrize("given", GIVEN)
def test_the_lines_of_the_message_make_a_source(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    source, value = remedied(given)
    built = pe.build_matrix(TOKENS, source)

    value = getattr(value, "wv", value)
    own = [value[token] for token in TOKENS] if "vectors.model" in source else VECTORS
    for token, vector in zip(TOKENS, own, strict=True):
        assert (built[token] == vector).all()
    if given.startswith("FastText"):  # has its subwords still
        filled = pe.build_matrix(["abc"], "vectors.model", oov="subword,error")
        assert filled["abc"].any()


def test_the_lines_for_a_layer_of_keras(tmp_path):
    """In a process of its own, for a process has one backend."""
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_holders as these\n"
        "from pretrained_embed.adapters import keras\n"
        "these.GIVEN['keras'] = ('layer', lambda: keras.embedding(these.matrix()))\n"
        "built = these.pe.build_matrix(these.TOKENS, these.remedied('keras')[0])\n"
        "assert (built['b'] == these.VECTORS[1]).all()\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
    )

    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    "use",
    [
        lambda given, path: pe.build_matrix(TOKENS, [given]),
        lambda given, path: pe.open_vectors(given),
        lambda given, path: pe.coverage(TOKENS, given),
        lambda given, path: pe.examine(given),
        lambda given, path: pe.index(given),
        lambda given, path: pe.similar(given, "a"),
        lambda given, path: pe.convert(given, path),
    ],
)
def test_every_verb_that_takes_a_source_says_so(use, tmp_path):
    given = dict(zip(TOKENS, VECTORS, strict=True))

    with pytest.raises(pe.errors.OptionError, match=r"save\(") as caught:
        use(given, tmp_path / "new.npz")

    assert "a dict from token to vector" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_holds_no_vectors_is_not_taken_for_it():
    for given in (3, {"a": 1}, object(), {"a"}):
        with pytest.raises(pe.errors.OptionError, match="a name, a URL, a path"):
            pe.build_matrix(TOKENS, given)
