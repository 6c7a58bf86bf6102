"""Well-known mistakes, in Python and on the command line.

Each message has the value that was given and a remedy, and nothing is written. Where a
remedy can be done, it is done here, as the message has it.
"""

from __future__ import annotations

import inspect
import io
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from command_line import run

import pretrained_embed as pe

VECTORS = "the 1 2\nking 3 4\nqueen 4 4\nman 1 1\nwoman 1 2\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("v.txt").write_text(VECTORS)
    Path("vocab.txt").write_text("the\nking\n")
    return tmp_path


def files() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path().rglob("*") if p.is_file()}


# The command line


class Mistake(NamedTuple):
    """A command line, what its message has to say, and how the mistake is mended."""

    command: str
    facts: list[str]
    code: int = 2
    remedy: str = ""  # a pattern whose group is a command line, or options to add
    without: str = ""  # what goes away with the mistake


BUILD = "build --vocab vocab.txt --source v.txt"

MISTAKES = {
    "a list with a blank": Mistake(
        f"{BUILD} --match lower exact",
        ["exact", "--match lower,exact"],
        remedy=r"Write (--match \S+):",
        without="--match lower exact",
    ),
    "a chain with a blank": Mistake(
        f"{BUILD} --oov parts zeros",
        ["zeros"],
        remedy=r"Write (--oov \S+):",
        without="--oov parts zeros",
    ),
    "a source without its option": Mistake(
        "build --vocab vocab.txt v.txt",
        ["v.txt"],
        remedy=r"write (--source \S+)\.",
        without="v.txt",
    ),
    "a vocabulary without its option": Mistake(
        "build vocab.txt --source v.txt",
        ["--vocab"],
        remedy=r"Write (--vocab \S+)\.",
        without="vocab.txt",
    ),
    "a dim": Mistake(f"{BUILD} --dim 50", ["--dim", "--source", "--post pca:"]),
    "lower case": Mistake(
        f"{BUILD} --lowercase",
        ["--lowercase"],
        remedy=r"(--match \S+) looks",
        without="--lowercase",
    ),
    "another program's word": Mistake(
        "build --vocab vocab.txt --vectors v.txt", ["--vectors", "--source"]
    ),
    "standard output": Mistake(f"{BUILD} -o -", ["--output", ".npz", "a file"]),
    "no folder": Mistake(
        f"{BUILD} -o no/such/m.npz", ["'no/such'", "mkdir -p no/such"]
    ),
    "a policy misspelled": Mistake(
        f"{BUILD} --oov randm", ["'randm'", "'normal'", "known:"]
    ),
    "a policy of others": Mistake(f"{BUILD} --oov gaussian", ["'normal'", "known:"]),
    "no source": Mistake(
        "build --vocab vocab.txt --source nosuch.txt",
        ["nosuch.txt", "no such file", "pretrained-embed list"],
        code=1,
    ),
    "vocabulary and source swapped": Mistake(
        "build --vocab vocab.txt --source vocab.txt",
        ["A list of words", "(--vocab)", "swapped?"],
        code=1,
    ),
    "no source, and no name": Mistake(
        "build --vocab vocab.txt --source qqqqqqqq",
        ["qqqqqqqq", "pretrained-embed list"],
        code=1,
    ),
    "almost a name": Mistake(
        "build --vocab vocab.txt --source glove-6b-50", ["glove-6b-50d"], code=1
    ),
    "a token that is not there": Mistake(
        "similar v.txt kng",
        ["'kng'", "v.txt"],
        code=1,
        remedy="did you mean '(.+?)'",
        without="kng",
    ),
    "a sum without blanks": Mistake(
        "similar v.txt king-man+woman",
        ["'king-man+woman'"],
        code=1,
        remedy="signs: ('.+')",
        without="king-man+woman",
    ),
    "a page of another name": Mistake(
        "page v.txt -o v.npz", ["'v.npz'", ".html"], code=2
    ),
    "conversion into no folder": Mistake(
        "convert v.txt no/v.npz", ["no folder", "make it first"], code=1
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_on_the_command_line(name):
    mistake = MISTAKES[name]
    before = files()

    done = run(*shlex.split(mistake.command))

    assert done.exit_code == mistake.code
    assert done.stdout == ""
    for fact in mistake.facts:
        assert fact in done.stderr
    assert files() == before
    if mistake.remedy:
        (said,) = re.findall(mistake.remedy, done.stderr)
        mended = mistake.command.replace(f" {mistake.without}", f" {said}", 1)
        assert mended != mistake.command
        assert run(*shlex.split(mended)).exit_code == 0


def test_every_option_that_a_remedy_names_is_there():
    for mistake in MISTAKES.values():
        command = run(mistake.command.split()[0], "--help").stdout
        for option in re.findall(r"--[a-z-]+", " ".join(mistake.facts)):
            if option not in mistake.command:
                assert option in command


# No token found

APART = {
    "lower": (["THE", "KING"], VECTORS, "exact,lower"),
    "upper": (["the", "king"], VECTORS.upper(), "exact,upper"),
    "marks": (["##the", "##king"], VECTORS, "exact,unmarked"),
    "conceptnet": (
        ["the", "king"],
        "".join(f"/c/en/{row}\n" for row in VECTORS.splitlines()),
        "exact,conceptnet",
    ),
}


@pytest.mark.parametrize("name", APART)
def test_where_no_token_is_found_the_form_that_finds_them_is_named(name):
    tokens, text, form = APART[name]
    Path("v.txt").write_text(text)
    with pytest.raises(pe.errors.CoverageError) as caught:
        pe.build_matrix(tokens, "v.txt")

    (match,) = re.findall("match='(.+?)'", str(caught.value))

    assert match == form
    assert pe.build_matrix(tokens, "v.txt", match=match).coverage.found == 2


@pytest.mark.parametrize(
    ("tokens", "text", "what"),
    [
        (["12", "7"], VECTORS, "not their ids or counts"),
        (["a", "b"], "1 0.5 0.5\n2 0.5 0.5\n", "names its rows by ids"),
        (["den\t5", "und\t3"], VECTORS, "separators"),
        (["слово", "дело"], VECTORS, "not in the same script"),
        (["foo", "bar"], VECTORS, "the right language"),
    ],
)
def test_where_no_token_is_found_the_advice_fits_the_tokens(tokens, text, what):
    Path("v.txt").write_text(text)

    with pytest.raises(pe.errors.CoverageError, match=what) as caught:
        pe.build_matrix(tokens, "v.txt")

    assert repr(tokens[0]) in str(caught.value)
    assert repr(text.split()[0]) in str(caught.value)


def test_samples_of_long_tokens_are_short():
    Path("v.txt").write_text(f"{'x' * 5000} 1 2\n")

    with pytest.raises(pe.errors.CoverageError) as caught:
        pe.build_matrix(["y" * 5000], "v.txt")

    assert len(str(caught.value)) < 500


# Python


def message(function, *args, **options) -> str:
    with pytest.raises(pe.PretrainedEmbedError) as caught:
        function(*args, **options)
    return str(caught.value)


def test_a_matrix_made_of_swapped_arguments():
    array, vocabulary = np.ones((2, 2)), pe.Vocabulary(["a", "b"], pad=None)

    said = message(pe.EmbeddingMatrix, vocabulary, array)

    assert "swapped" in said
    first, second = list(inspect.signature(pe.EmbeddingMatrix).parameters)[:2]
    (remedy,) = re.findall(r"give (.*)", said)
    assert remedy == f"EmbeddingMatrix({first}, {second})"


def test_a_matrix_made_of_a_list_of_tokens():
    said = message(pe.EmbeddingMatrix, np.ones((2, 2)), ["a", "b"])

    assert "list" in said
    (remedy,) = re.findall(r"(pe\.Vocabulary\([^)]*\))", said)
    vocabulary = eval(remedy, {"pe": pe, "vocabulary": ["a", "b"]})
    assert pe.EmbeddingMatrix(np.ones((2, 2)), vocabulary).shape == (2, 2)


FRAMES = {
    "one column": pd.DataFrame({"word": ["the", "king"], "count": [3, 4]}),
    "a column of bytes": pd.DataFrame({"n": [1, 2], "word": [b"the", b"king"]}),
    "an index too": pd.DataFrame({"word": ["the", "king"]}, index=["x", "y"]),
}


@pytest.mark.parametrize("name", FRAMES)
def test_the_only_column_of_strings_of_a_frame_is_the_vocabulary(name):
    vocabulary = pe.Vocabulary.of(FRAMES[name], pad=None)

    assert vocabulary.tokens == ("the", "king")
    assert pe.build_matrix(FRAMES[name], "v.txt").coverage.found == 2


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"word": ["the", "king"], "lemma": ["the", "king"]}),
        pd.DataFrame({"n": [1.5, 2.5]}, index=["the", "king"]),
    ],
)
def test_a_frame_without_or_with_several_columns_of_strings_says_what_to_give(frame):
    said = message(pe.build_matrix, frame, "v.txt")

    (remedy,) = re.findall(r"(frame(?:\['\w+'\]|\.index))", said)
    vocabulary = pe.Vocabulary.of(eval(remedy, {"frame": frame}), pad=None)
    assert vocabulary.tokens == ("the", "king")


def test_a_frame_of_numbers_says_what_there_is():
    said = message(pe.Vocabulary.of, pd.DataFrame({"count": [1], "n": [2.5]}))

    assert "no columns of strings" in said
    assert "'count', 'n'" in said


@pytest.mark.parametrize("name", ["m.npz", "m", "m.pdf", "v.txt"])
def test_a_page_goes_into_a_file_of_its_own_kind(name):
    matrix = pe.build_matrix(["the"], "v.txt")
    matrix.save("m.npz")
    before = files()

    said = message(pe.page, matrix, name)

    assert repr(name) in said
    assert files() == before
    pe.page(matrix, re.findall(r"such as (\S+)", said)[0])


@pytest.mark.parametrize("given", ["v.txt", "./v.txt", "copy.txt"])
def test_a_matrix_does_not_take_the_place_of_its_source(given, folder):
    matrix = pe.build_matrix(["the"], "v.txt")
    Path("copy.txt").write_text(VECTORS)  # as good as the source
    before = files()

    said = message(matrix.save, given)

    assert given.removeprefix("./") in said
    assert "another name" in said
    assert files() == before
    matrix.save("another name.txt")
    Path("v.txt").write_text("other vectors")
    matrix.save("v.txt")  # the source is not lost: it was elsewhere


def test_rows_do_not_go_into_the_file_they_come_from():
    pe.convert("v.txt", "v.h5")
    before = files()

    said = message(pe.build_matrix, ["the"], "v.h5", out="v.h5")

    assert "v.h5" in said
    assert "another name" in said
    assert files() == before


@pytest.mark.parametrize(
    ("write", "suffix"), [(pe.EmbeddingMatrix.save, ".h5"), (pe.page, ".html")]
)
def test_a_folder_that_is_not_there_is_named(write, suffix):
    matrix = pe.build_matrix(["the"], "v.txt")

    said = message(write, matrix, f"no/m{suffix}")

    assert re.search("no folder '.*no'", said)
    assert "make it first" in said
    Path("no").mkdir()
    write(matrix, f"no/m{suffix}")


@pytest.mark.parametrize("out", ["no/m.npy", "no/m.h5"])
def test_a_folder_for_a_streamed_matrix_is_named(out):
    said = message(pe.build_matrix, ["the"], "v.txt", out=out)

    assert re.search("no folder '.*no', make it first", said)


@pytest.mark.parametrize("between", [" ", "; ", "|", "/"])
def test_names_with_anything_but_commas_between_are_told_the_commas(between):
    for option, names in [("match", ["exact", "lower"]), ("oov", ["parts", "zeros"])]:
        said = message(
            pe.build_matrix, ["the"], "v.txt", **{option: between.join(names)}
        )

        (remedy,) = re.findall("write commas between: '(.+)'", said)
        assert remedy == ",".join(names)
        pe.build_matrix(["the"], "v.txt", **{option: remedy})


@pytest.mark.parametrize("given", [Path("vocab.txt"), io.StringIO("the\nof\n")])
def test_a_file_as_vocabulary_is_sent_to_from_file(given):
    assert "Vocabulary.from_file(path)" in message(pe.build_matrix, given, "v.txt")


def test_policies_have_the_names_that_are_known_here():
    for given, meant in [
        ("random", "normal"),
        ("randm", "normal"),
        ("gaussian", "normal"),
        ("zero", "zeros"),
        ("average", "mean"),
        ("raise", "error"),
        ("ngrm", "ngram"),
    ]:
        said = message(pe.build_matrix, ["the"], "v.txt", oov=given)

        (remedy,) = re.findall("did you mean '(.+)'", said)
        assert remedy == meant
        pe.build_matrix(["the"], "v.txt", oov=remedy)


def test_the_tokens_spelled_most_like_one_are_named():
    said = message(pe.similar, "v.txt", "womn")
    assert re.findall("'(.+?)'", said.partition("mean")[2]) == ["woman"]

    said = message(pe.similar, "v.txt", "xylophone")
    assert "mean" not in said

    said = message(pe.similar, "v.txt", "king-xyz")  # no sum of what is there
    assert "blanks" not in said
