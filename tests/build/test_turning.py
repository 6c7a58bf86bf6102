"""Several sources, the later ones turned onto the first: `Recipe(align=...)`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.errors import OptionError, SourceError, VocabularyError

DIM = 6
WORDS = [f"w{number}" for number in range(200)]


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """Return two files: a space, and it turned, with tokens of its own behind."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("spaces")
    space = rng.normal(size=(260, DIM)).astype(np.float32)
    turn, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    one, other = folder / "one.txt", folder / "other.txt"
    own = [f"own{number}" for number in range(60)]
    save(one, WORDS, space[:200])
    save(other, WORDS + own, 3 * space @ turn)
    return one, other, dict(zip(WORDS + own, space, strict=True))


def save(path, words, rows) -> None:
    matrix = pe.EmbeddingMatrix(np.float32(rows), pe.Vocabulary(words, pad=None))
    matrix.save(path)


@pytest.fixture
def vocabulary() -> pe.Vocabulary:
    return pe.Vocabulary([*WORDS[:50], "own1", "own2", "nowhere", "own50"])


def built(vocabulary, spaces, **fields):
    recipe = pe.Recipe(**{"align": "shared", **fields})
    return pe.build_matrix(vocabulary, list(spaces[:2]), recipe=recipe)


def test_tokens_of_the_second_source_come_into_the_space_of_the_first(
    vocabulary, spaces
):
    matrix = built(vocabulary, spaces)

    for token in ("w7", "own1", "own50"):
        expected = spaces[2][token] * (3 if token.startswith("own") else 1)
        np.testing.assert_allclose(matrix[token], expected, atol=1e-4)
    plain = pe.build_matrix(vocabulary, list(spaces[:2]))
    assert plain["w7"].tobytes() == matrix["w7"].tobytes()
    assert plain["nowhere"].tobytes() == matrix["nowhere"].tobytes()
    assert not np.allclose(plain["own1"], matrix["own1"], atol=0.1)


def test_rows_that_the_second_source_makes_are_turned_too(vocabulary, spaces):
    matrix = built(vocabulary, spaces, combine="concat", oov="mean")

    of_second = pe.build_matrix(vocabulary, spaces[1], oov="mean")
    x = np.stack([of_second[word] for word in WORDS[:50]])
    y = np.stack([matrix[word][DIM:] for word in WORDS[:50]])
    turn = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(
        matrix["nowhere"][DIM:], of_second["nowhere"] @ turn, atol=1e-4
    )
    np.testing.assert_allclose(
        y / 3, [spaces[2][word] for word in WORDS[:50]], atol=1e-4
    )


def test_an_average_is_taken_once_they_lie_alike(vocabulary, spaces):
    matrix = built(vocabulary, spaces, combine="average", scale=(1, 1 / 3))

    np.testing.assert_allclose(matrix["w7"], spaces[2]["w7"], atol=1e-4)


def test_the_provenance_has_the_map_by_its_digest(vocabulary, spaces):
    matrix = built(vocabulary, spaces)

    first, second = matrix.provenance["sources"]
    assert "aligned" not in first
    told = second["aligned"]
    assert (told["pairs"], told["fitted"]) == ("shared", 180)
    assert told["cosine"] == pytest.approx(1, abs=1e-3)
    assert told["map"].startswith("blake2b:")
    assert matrix.recipe == pe.Recipe(align="shared")
    assert pe.Recipe.from_dict(matrix.recipe.to_dict()) == matrix.recipe
    assert repr(matrix.recipe) == "Recipe(align='shared')"


@pytest.mark.parametrize("combine", ["fill", "concat", "average"])
def test_the_same_bytes_come_of_every_way_to_build(
    vocabulary, spaces, combine, tmp_path
):
    recipe = pe.Recipe(align="shared", combine=combine, postprocess="unit-norm")
    sources = list(spaces[:2])
    plain = pe.build_matrix(vocabulary, sources, recipe=recipe)

    ways = {"out": {"out": tmp_path / "m.npz"}}
    ways["shards"] = {"out": pe.Shards(tmp_path / "shards", 3)}
    ways["memory"] = {"out": tmp_path / "n.npz", "work": pe.Work(memory=1 << 20)}
    with ThreadPoolExecutor(2) as executor:
        ways["executor"] = {
            "out": tmp_path / "e.npz",
            "work": pe.Work(executor=executor),
        }
        for name, way in ways.items():
            made = pe.build_matrix(vocabulary, sources, recipe=recipe, **way)
            assert np.array(made.vectors).tobytes() == plain.vectors.tobytes(), name


def test_pairs_come_from_a_file(vocabulary, spaces, tmp_path):
    one, other, truth = spaces
    renamed = tmp_path / "renamed.txt"
    renamed.write_text(other.read_text().replace("w", "v"))
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("".join(f"v{n}\tw{n}\n" for n in range(100)) + "gone w1\n")
    recipe = pe.Recipe(align=pairs)

    matrix = pe.build_matrix(["w1", "ovn5"], [one, renamed], recipe=recipe)

    np.testing.assert_allclose(matrix["ovn5"] / 3, truth["own5"], atol=1e-4)
    assert matrix.provenance["sources"][1]["aligned"]["fitted"] == 90


def test_what_cannot_be_aligned_is_refused(spaces, tmp_path):
    one, other, _ = spaces
    wide, apart = tmp_path / "wide.txt", tmp_path / "apart.txt"
    save(wide, WORDS[:5], np.ones((5, DIM + 1)))
    save(apart, ["x", "y"], np.ones((2, DIM)))
    recipe = pe.Recipe(align="shared", combine="concat")

    with pytest.raises(OptionError, match="is the only one; leave it out"):
        pe.build_matrix(["w1"], one, recipe=recipe)
    with pytest.raises(OptionError, match="align needs sources of one dim"):
        pe.build_matrix(["w1"], [one, wide], recipe=recipe)
    with pytest.raises(VocabularyError, match="0 pairs of tokens are in both"):
        pe.build_matrix(["w1"], [one, apart], recipe=recipe)
    with pytest.raises(SourceError, match="the pairs cannot be read"):
        pe.build_matrix(["w1"], [one, other], recipe=pe.Recipe(align="no.txt"))
    with pytest.raises(OptionError, match="it is 'shared', or the path"):
        pe.Recipe(align=3)
