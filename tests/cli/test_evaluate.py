"""``evaluate``: scores, and how much of the data sets they are about."""

import json
from pathlib import Path

import pytest

import pretrained_embed as pe
from tests.command_line import finish, run

pytest.importorskip("gensim", reason="gensim is not installed")

WORDS = ["tiger", "cat", "book", "paper", "computer", "keyboard"]


@pytest.fixture(autouse=True)
def vectors() -> None:
    """Write a file whose cosines rank four pairs of WordSim-353 as people do."""
    ends = ["1 0", "0.1 1", "1 0", "1 1", "1 0", "1 0.1"]
    rows = [f"{word} {end}\n" for word, end in zip(WORDS, ends, strict=True)]
    Path("vectors.txt").write_text("".join(rows) + "zebra 5 5\n")


def test_scores_are_the_answer_with_their_coverage():
    result = run("evaluate", "vectors.txt", "--samples", "0")

    assert result.exit_code == 0
    assert "  WordSim-353: Spearman 1.0000, Pearson 0.5435 (4 of 353 pairs)" in (
        result.stdout.splitlines()
    )
    assert "(0 of 19,544 questions)" in result.stdout


def test_json_has_the_same():
    result = run("evaluate", "vectors.txt", "--json", "--quiet")

    known = json.loads(result.stdout)
    scores = {score["task"]: score for score in known["scores"]}
    assert scores["WordSim-353"]["answered"] == 4
    assert scores["Google analogies"]["value"] is None
    assert result.stderr == ""


def test_sources_are_compared_by_tasks_of_ones_own():
    Path("pairs.txt").write_text("tiger cat 1\nbook paper 2\nbook computer 3\n")
    Path("other.txt").write_text(Path("vectors.txt").read_text().upper().lower())

    result = run("evaluate", "vectors.txt", "other.txt", "--task", "pairs.txt")

    lines = result.stdout.splitlines()
    assert next(line for line in lines if "Spearman" in line).startswith("  pairs: ")
    assert "On the items that all have:" in lines
    assert any("vectors.txt less other.txt: +0.0000" in line for line in lines)


def test_a_layout_is_told():
    false = run("evaluate", "vectors.txt", "--layout", "dim=9", "--quiet")
    true = run("evaluate", "vectors.txt", "--layout", "dim=2,header=no", "--quiet")

    assert "layout gives dim=9" in false.stderr
    assert true.stdout == run("evaluate", "vectors.txt", "--quiet").stdout


def test_of_vectors_the_words_of_the_data_sets_alone_are_read():
    known = json.loads(run("evaluate", "vectors.txt", "--json").stdout)

    assert known["candidates"] == {"vectors.txt": len(WORDS)}  # no zebra


@pytest.mark.parametrize("name", ["m.npz", "m.h5", "m.safetensors"])
def test_of_a_saved_matrix_the_found_tokens_alone_take_part(name):
    vocabulary = pe.Vocabulary(["book", "paper", "zebra", "love", "sex"], unk="<unk>")
    pe.build_matrix(vocabulary, "vectors.txt", oov="normal").save(name)

    known = json.loads(run("evaluate", name, "--json").stdout)

    # neither love and sex, which are OOV, nor <unk>
    assert known["candidates"] == {name: 3}
    assert known["scores"][0]["answered"] == 1


def test_what_holds_none_of_the_words_is_an_error():
    Path("vectors.txt").write_text("qwzx 1 2\nzwqx 3 4\n")

    result = run("evaluate", "vectors.txt")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no token of the vocabulary is in" in result.stderr


def test_a_file_that_is_not_there_is_an_error():
    result = run("evaluate", "nothing.txt")

    assert (result.exit_code, result.stdout) == (1, "")


def test_without_gensim_a_note_says_what_to_install():
    code, output, errors = finish(
        *("evaluate", "vectors.txt", "--task", "pairs.txt"),
        before="import sys; sys.modules['gensim'] = None; "
        "open('pairs.txt', 'w').write('tiger cat 1')",
    )
    assert (code, errors) == (0, b"")
    assert b"(1 of 1 pairs)" in output

    Path("vectors.txt").write_text("Paris 1 2\nRome 3 4\n")
    code, output, errors = finish(
        "evaluate", "vectors.txt", before="import sys; sys.modules['gensim'] = None"
    )
    assert code == 0
    assert b"analogies" in output
    assert b"pip install 'pretrained-embed[gensim]'" in errors
