"""``build`` from several sources, with post-processing, onto an older matrix."""

from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from tests.command_line import run

BUILD = ("build", "--vocab", "vocab.txt", "--source", "vectors.txt")
MORE = ("--source", "more.txt")


@pytest.fixture(autouse=True)
def more(folder: Path) -> None:
    """``more.txt`` of the same dim as ``vectors.txt``, ``wide.txt`` of another."""
    Path("more.txt").write_text("Dog 1 1 1\nthe 2 2 2\n")
    Path("wide.txt").write_text("Dog 1 1 1 1\nthe 2 2 2 2\n")


def test_sources_fill_gaps_in_order_and_each_share_is_told():
    result = run(*BUILD, *MORE, "-o", "m.npz")

    assert result.exit_code == 0
    assert result.stderr.splitlines()[:3] == [
        "Found 3 of 4 tokens (75.0 %). 1 is OOV. First of them: 'zebra'.",
        "  vectors.txt: 2 of 4 tokens looked for there.",
        "  more.txt: 1 of 2 tokens looked for there.",
    ]
    matrix = pe.load_matrix("m.npz")
    assert matrix["Dog"].tolist() == [1, 1, 1]
    assert matrix["the"].tolist() == [1, 2, 3]


def test_every_option_reaches_the_library():
    words = ("--combine", "concat", "--scale", "1,-0.5", "--normalize-each")

    result = run(*BUILD, "--source", "wide.txt", *words, "--post", "center,pca:1")

    assert result.exit_code == 0
    expected = pe.build_matrix(
        pe.Vocabulary.from_file("vocab.txt"),
        ["vectors.txt", "wide.txt"],
        recipe=pe.Recipe(
            combine="concat",
            scale=(1, -0.5),
            normalize_each=True,
            postprocess="center,pca:1",
        ),
    )
    matrix = pe.load_matrix("embedding.npz")
    np.testing.assert_array_equal(matrix.vectors, expected.vectors, strict=True)
    assert matrix.provenance == expected.provenance


def test_sources_are_aligned_by_a_file_of_pairs():
    words = [f"w{number}" for number in range(6)]
    rows = np.random.default_rng(0).normal(size=(6, 3)).round(3)
    for name, turned in (("vectors.txt", rows), ("more.txt", rows[:, [2, 0, 1]])):
        lines = zip(words, turned.tolist(), strict=True)
        Path(name).write_text("".join(f"{w} {a} {b} {c}\n" for w, (a, b, c) in lines))
    Path("more.txt").write_text(Path("more.txt").read_text() + "own 1 2 3\n")
    Path("pairs.txt").write_text("".join(f"{word}\t{word}\n" for word in words))
    Path("vocab.txt").write_text("w1\nown\n")

    result = run(*BUILD, *MORE, "--align", "pairs.txt", "-o", "m.npz")

    assert result.exit_code == 0
    matrix = pe.load_matrix("m.npz")
    np.testing.assert_allclose(matrix["own"], [2, 3, 1], atol=1e-5)
    assert matrix.recipe.align == "pairs.txt"


def test_a_matrix_is_extended_in_place():
    run(*BUILD, "-o", "m.npz")
    old = pe.load_matrix("m.npz")
    Path("vocab.txt").write_text("dog\nzebra\nthe\nyak\n")

    result = run(*BUILD, "--onto", "m.npz", "--oov", "zeros", "-o", "m.npz")

    assert result.exit_code == 0
    matrix = pe.load_matrix("m.npz")
    assert matrix.vocabulary.tokens == ("<pad>", "dog", "zebra", "the", "yak")
    for token in ("zebra", "the"):
        assert matrix[token].tobytes() == old[token].tobytes()
    assert matrix["dog"].tolist() == [7, 8, 9]
    assert matrix["yak"].tolist() == [0, 0, 0]
    assert "kept from m.npz, row 4" in run("explain", "m.npz", "zebra").stdout


@pytest.mark.parametrize("words", [MORE, (*MORE, "--combine", "concat")])
def test_a_matrix_of_several_sources_is_told_of(words):
    run(*BUILD, *words, "-o", "m.npz")

    lines = run("info", "m.npz").stdout.splitlines()

    (built,) = [line.split(maxsplit=2) for line in lines if line.startswith("built")]
    assert built == ["built", "from", "vectors.txt, more.txt"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--source", "wide.txt"), 2, "combine='concat' or 'average' takes both"),
        ((*MORE, "--combine", "concta"), 2, "did you mean concat?"),
        ((*MORE, "--scale", "1"), 2, "1 factors for 2 sources"),
        ((*MORE, "--scale", "1,x"), 2, "no list of numbers"),
        ((*MORE, "--scale", "1,0"), 2, "finite and not 0"),
        (("--post", "centre"), 2, "did you mean 'center'?"),
        (("--post", "pca:9"), 2, "pca:9 of vectors of 3 dimensions"),
        (("--onto", "nowhere.npz"), 1, "no such file"),
        (("--onto", "wide.txt"), 1, "those to be kept have 4"),
        (("--source", "nowhere.txt"), 1, "nowhere.txt"),
        ((*MORE, "-o", "more.txt"), 2, "take the place of the source"),
    ],
)
def test_what_does_not_go_together_is_explained_and_changes_nothing(words, code, said):
    before = {path: path.read_bytes() for path in Path().iterdir()}

    result = run(*BUILD, *words)

    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before
