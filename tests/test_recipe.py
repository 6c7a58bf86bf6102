"""`Recipe` as a value, and the recipe of a matrix of any release."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import pickle
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pretrained_embed as pe
from pretrained_embed.errors import FormatError, OptionError
from pretrained_embed.recipe import recipe_of

RELEASE_0_1 = Path(__file__).parent / "data" / "release_0_1" / "matrices"


def doubled(token: str) -> str:
    return token * 2


def ones(tokens: Any, statistics: Any, dim: int) -> Any:
    return np.ones((len(tokens), dim))


# A value


SAME = [
    ({"match": "exact,lower"}, {"match": ("exact", "lower")}),
    ({"match": " exact , lower"}, {"match": iter(["exact", "lower"])}),
    ({"match": doubled}, {"match": [doubled]}),
    ({"oov": "ngram"}, {"oov": ["ngram", "normal"]}),
    ({"oov": "normal"}, {}),
    ({"special_oov": {"unk": "zeros"}}, {"special_oov": {"unk": ("zeros",)}}),
    ({"special_oov": {}}, {"special_oov": None}),
    (
        {"special_oov": {"unk": "zeros", "mask": "mean"}},
        {"special_oov": {"mask": "mean", "unk": "zeros"}},
    ),
    ({"scale": [1, 8]}, {"scale": (1.0, np.float32(8))}),
    ({"normalize_each": np.True_}, {"normalize_each": True}),
    ({"postprocess": "center, pca:2"}, {"postprocess": ["center", "pca:2"]}),
    ({"layout": "rows=2,dim=3"}, {"layout": {"dim": 3, "rows": "2"}}),
    ({"layout": {}}, {"layout": None}),
    ({"layout": ["dim=3", None]}, {"layout": ({"dim": 3}, None)}),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same_is_equal(one, other):
    one, other = pe.Recipe(**one), pe.Recipe(**other)

    assert one == other
    assert hash(one) == hash(other)


def test_what_means_something_else_is_not_equal():
    recipes = [
        pe.Recipe(**fields)
        for fields in (
            {},
            {"match": "lower,exact"},
            {"oov": "zeros"},
            {"special_oov": {"unk": "zeros"}},
            {"seed": 1},
            {"combine": "concat"},
            {"scale": [1]},
            {"normalize_each": True},
            {"postprocess": "center"},
            {"layout": "dim=3"},
        )
    ]

    assert len(set(recipes)) == len(recipes)


WORDS = pe.Recipe.choices()
FORMS = st.lists(
    st.sampled_from([f for f in WORDS["match"] if f not in ("lemma", "stem")]),
    min_size=1,
    max_size=4,
    unique=True,
)
CHAINS = st.tuples(
    st.lists(st.sampled_from(["subword", "parts", "ngram"]), unique=True),
    st.sampled_from(["normal", "uniform", "mean", "zeros", "error"]),
).map(lambda parts: [*parts[0], parts[1]])
STEPS = ["unit-norm", "center", "all-but-the-top", "all-but-the-top:2", "pca:9"]
LAYOUTS = st.sampled_from([None, "dim=3", "dim=3,header=yes,separator=tab"])
RECIPES = st.builds(
    pe.Recipe,
    match=FORMS,
    oov=CHAINS,
    special_oov=st.dictionaries(st.text(max_size=4), CHAINS, max_size=3),
    seed=st.integers(0, 2**64 - 1),
    combine=st.sampled_from(WORDS["combine"]),
    scale=st.none()
    | st.lists(st.floats(-1e300, 1e300).filter(bool), min_size=1, max_size=3),
    normalize_each=st.booleans(),
    postprocess=st.lists(st.sampled_from(STEPS), max_size=3),
    layout=LAYOUTS | st.lists(LAYOUTS, min_size=1, max_size=3),
)


@settings(max_examples=30)
@given(RECIPES)
def test_a_recipe_is_code_and_json_and_a_pickle(recipe):
    assert eval(repr(recipe), {"Recipe": pe.Recipe}) == recipe
    assert pe.Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe  # noqa: S301  (our own bytes)
    assert copy.deepcopy(recipe) == recipe
    assert dataclasses.replace(recipe, seed=recipe.seed) == recipe


def test_its_code_is_short():
    assert repr(pe.Recipe()) == "Recipe()"
    assert (
        repr(pe.Recipe("exact,lower", special_oov={"unk": "zeros"}, scale=[2]))
        == "Recipe(match='exact,lower', special_oov={'unk': 'zeros'}, scale=(2.0,))"
    )
    functions = pe.Recipe(match=["exact", doubled], oov=("parts", ones))
    assert repr(functions) == "Recipe(match=('exact', doubled), oov=('parts', ones))"
    names = {"Recipe": pe.Recipe, "doubled": doubled, "ones": ones}
    assert eval(repr(functions), names) == functions


def test_it_cannot_be_changed():
    recipe = pe.Recipe(special_oov={"unk": "zeros"})

    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 2
    with pytest.raises(TypeError):
        recipe.special_oov["mask"] = ("mean",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"match": "lowr"}, "did you mean 'lower'"),
        ({"match": []}, "match is empty"),
        ({"match": 3}, "a form is a name or a callable"),
        ({"match": "exact,exact"}, "name each form once"),
        ({"oov": "zero"}, "did you mean 'zeros'"),
        ({"oov": "zeros,parts"}, "nothing left to fill"),
        ({"special_oov": "zeros"}, "goes from special tokens to policies"),
        ({"special_oov": {3: "zeros"}}, "a token is a str"),
        ({"special_oov": {"mask": "nil"}}, r"special_oov\['mask'\]='nil'"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"combine": "concatt"}, "did you mean 'concat'"),
        ({"combine": []}, r"combine is \[\]"),
        ({"scale": "1,2"}, "one factor for each source"),
        ({"scale": [0]}, "finite and not 0"),
        ({"scale": [10**400]}, "finite and not 0"),
        ({"scale": [None]}, "finite and not 0"),
        ({"normalize_each": "no"}, "True or False"),
        ({"postprocess": "pca"}, "pca:K"),
        ({"postprocess": f"pca:{'9' * 5000}"}, None),
        ({"postprocess": 3}, "names steps"),
        ({"layout": "dims=3"}, "did you mean 'dim'"),
    ],
)
def test_what_means_nothing_is_refused_at_once(fields, message):
    if message is None:  # no step of vectors of so few dimensions, but a step
        assert pe.Recipe(**fields).postprocess[0].startswith("pca:9")
        return
    with pytest.raises(OptionError, match=message):
        pe.Recipe(**fields)


def test_choices_are_taken():
    for field, words in pe.Recipe.choices().items():
        for word in words:
            if word in ("lemma", "stem"):
                word += ":en"
            elif word in ("pca", "truncate"):
                word += ":2"
            assert getattr(pe.Recipe(**{field: word}), field)


# Saved


@pytest.mark.parametrize(
    ("saved", "error", "message"),
    [
        ({"version": 2, "spice": 1}, FormatError, "version 2.*Upgrade"),
        ({"match": ["exact"]}, OptionError, "version of this recipe is None"),
        ({"version": True}, OptionError, "version of this recipe is True"),
        ({"version": 1, "sed": 1}, OptionError, "did you mean 'seed'"),
        ({"version": 1, "seed": "1"}, OptionError, "seed is '1'"),
        (3, OptionError, "as a mapping"),
        (
            {"version": 1, "match": ["exact", "callable f"]},
            OptionError,
            "match has the function f,",
        ),
        ({"version": 1, "oov": "parts,callable g"}, OptionError, "function g,"),
        (
            {"version": 1, "special_oov": {"unk": "callable h"}},
            OptionError,
            "special_oov has the function h,",
        ),
    ],
)
def test_what_is_no_saved_recipe_is_refused(saved, error, message):
    with pytest.raises(error, match=message):
        pe.Recipe.from_dict(saved)


def test_a_function_is_not_saved():
    with pytest.raises(OptionError, match=r"oov has the function ones, .*anew"):
        pe.Recipe(oov=ones).to_dict()


# Of a matrix


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sources that the matrices of release 0.1 were built from."""
    path = RELEASE_0_1 / "make.py"
    spec = importlib.util.spec_from_file_location("make_release_0_1", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    module.write_sources()
    return [f"{name}.txt" for name in ("first", "second", "third", "faulty", "pieces")]


KINDS = [
    *("one", "fill", "concat", "extended", "layer", "advice", "holes", "tokenizer"),
    *("split", "forms", "kept"),
]


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".h5", ".safetensors"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_recipe_of_a_file_of_release_0_1_gives_the_same_bytes(
    kind: str, suffix: str, sources: Any
) -> None:
    matrix = pe.load_matrix(RELEASE_0_1 / f"{kind}{suffix}")
    onto = {"extended": "one", "kept": "forms"}.get(kind)
    named = [one["name"] for one in matrix.source_facts if "provenance" not in one]

    again = rebuilt(
        matrix, named, None if onto is None else RELEASE_0_1 / f"{onto}{suffix}"
    )

    expected = matrix.vectors / 2 if kind == "layer" else matrix.vectors  # trained
    assert again.vectors.tobytes() == expected.tobytes()
    assert again.recipe == matrix.recipe


def rebuilt(matrix: pe.EmbeddingMatrix, sources: Any, onto: Any = None) -> Any:
    limits = pe.Limits(bad_rows=matrix.findings.bad_rows)
    return pe.build_matrix(
        matrix.vocabulary, sources, recipe=matrix.recipe, limits=limits, onto=onto
    )


OPTIONS: dict[str, list[Any]] = {
    "match": ["exact", "lower,exact,compound"],
    "oov": ["normal", "parts,uniform"],
    "special_oov": [None, {"unk": "mean", "w1": "zeros"}],
    "combine": ["fill", "concat", "average"],
    "scale": [None, (1, 0.5)],
    "postprocess": [(), "all-but-the-top,unit-norm"],
    "layout": [None, ["dim=8", None]],
}


def test_the_recipe_of_a_build_is_the_one_given_and_gives_the_same_bytes(
    sources: Any, tmp_path: Path
) -> None:
    vocabulary = pe.Vocabulary(["w1", "W32", "w5-w41", "nowhere", "zz"], unk="<unk>")
    every = list(product(*OPTIONS.values()))
    for number, values in enumerate(random.Random(3).sample(every, 16)):
        fields = dict(zip(OPTIONS, values, strict=True)) | {"seed": number}
        built = pe.build_matrix(vocabulary, sources[:2], recipe=pe.Recipe(**fields))
        built.save(tmp_path / "m.npz")
        saved = pe.load_matrix(tmp_path / "m.npz")

        assert built.recipe == saved.recipe == pe.Recipe(**fields)
        again = rebuilt(saved, sources[:2])
        assert again.vectors.tobytes() == built.vectors.tobytes()
        assert again.ledger == built.ledger


def test_the_layouts_of_release_0_1_stood_with_the_sources() -> None:
    options = {"match": ["exact"], "oov": "zeros", "special_oov": {}, "seed": 3}
    kept = {"name": "an earlier matrix", "provenance": {}}

    one = recipe_of({"source": {"layout": "dim=3"}, "options": options})
    several = recipe_of(
        {"sources": [{"name": "a"}, {"layout": "dim=3"}, kept], "options": options}
    )

    assert one == pe.Recipe(oov="zeros", seed=3, layout="dim=3")
    assert several == pe.Recipe(oov="zeros", seed=3, layout=(None, "dim=3"))


def test_the_recipe_of_a_file_tells_of_a_function(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("aa 1 2\nb 3 4\n")
    pe.build_matrix(["a", "b"], path, match=["exact", doubled]).save(tmp_path / "m.npz")
    matrix = pe.load_matrix(tmp_path / "m.npz")

    with pytest.raises(OptionError, match=r"match has the function doubled, .*anew"):
        _ = matrix.recipe


def test_what_was_not_built_has_no_recipe() -> None:
    matrix = pe.EmbeddingMatrix([[0, 0], [1, 2]], pe.Vocabulary(["a"]))

    with pytest.raises(OptionError, match="nothing tells the recipe"):
        _ = matrix.recipe
