"""``explain``: how rows of a saved matrix were filled."""

import json
from pathlib import Path

import pytest

import pretrained_embed as pe
from tests.command_line import run

BUILD = ("build", "--vocab", "vocab.txt", "--match", "exact,lower", "--quiet")


@pytest.fixture(autouse=True)
def matrix(folder: Path) -> None:
    """``m.npz``, of two sources."""
    Path("more.txt").write_text("Dog 1 1 1\nzebra 2 2 2\n")
    sources = ("--source", "vectors.txt", "--source", "more.txt")
    assert run(*BUILD, *sources, "-o", "m.npz").exit_code == 0


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_people_are_told_of_each_token(suffix):
    pe.load_matrix("m.npz").save(f"copy{suffix}")

    result = run("explain", f"copy{suffix}", "Dog", "zebra", "<pad>")

    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "'Dog', id 3: found as 'dog' (lower) in vectors.txt, row 2"
    assert "'zebra', id 4: found as it stands in more.txt, row 1" in lines
    assert "'<pad>', id 0: padding; zeros" in lines


def test_json_holds_what_the_library_tells():
    known = json.loads(run("explain", "m.npz", "Dog", "the", "--json").stdout)

    stories = [pe.load_matrix("m.npz").explain(token) for token in ("Dog", "the")]
    assert known == [story.to_dict() for story in stories]
    assert (known[0]["origin"], known[0]["source_row"]) == ("lower", 2)


def test_an_unknown_token_names_the_nearest():
    result = run("explain", "m.npz", "the", "zebr")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "'zebr' is not in the vocabulary; did you mean 'zebra'?" in result.stderr


def test_a_token_may_look_like_an_option():
    Path("vocab.txt").write_text("the\n--json\n")
    run(*BUILD, "--source", "vectors.txt", "-o", "m.npz")

    result = run("explain", "m.npz", "--", "--json")

    assert "'--json', id 2: not found; drawn by normal, seed 0" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("m.npz",), 2, "TOKEN"),
        (("nowhere.npz", "the"), 1, "no such file"),
        (("vocab.txt", "the"), 1, "not recognised"),
    ],
)
def test_what_cannot_be_explained_is_a_message(words, code, said):
    result = run("explain", *words)

    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
