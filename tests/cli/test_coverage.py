"""``coverage``, and what ``build`` says of coverage."""

import csv
import json
from pathlib import Path

import pytest

import pretrained_embed as pe
from tests.command_line import run

BUILD = ("build", "--vocab", "vocab.txt", "--source", "vectors.txt")
COVERAGE = ("coverage", "--vocab", "vocab.txt", "--source", "vectors.txt")


@pytest.fixture
def counted() -> None:
    Path("vocab.txt").write_text("the\t90\ncat\t6\nDog\t3\nzebra\t1\n")
    Path("other.txt").write_text("the 1 2\nDog 3 4\n")


def test_one_source_is_told_of():
    result = run(*COVERAGE)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "SOURCE       DIM  ROWS  FOUND  TOKENS  EXACT",
        "vectors.txt    3     3      2  50.0 %      2",
        "",
        "vectors.txt",
        "  `lower` would find 1 more (25.0 % of the tokens).",
        "  Not found: 'Dog', 'zebra'.",
    ]
    assert list(Path().glob("*.npz")) == []


@pytest.mark.usefixtures("counted")
def test_sources_are_compared():
    result = run(*COVERAGE, "--source", "other.txt", "--match", "exact,lower")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "SOURCE       DIM  ROWS  FOUND  TOKENS    TEXT  EXACT  LOWER",
        "vectors.txt    3     3      3  75.0 %  99.0 %      2      1",
        "other.txt      2     2      2  50.0 %  93.0 %      2      0",
        "together                    3  75.0 %  99.0 %",
        "",
        "vectors.txt",
        "  Only here: 'cat'.",
        "",
        "other.txt",
        "  Only not here: 'cat'.",
    ]


@pytest.mark.usefixtures("counted")
def test_json_and_a_report_hold_all_there_is():
    result = run(*COVERAGE, "--source", "other.txt", "--json", "--report", "r.json")

    comparison = pe.coverage(
        pe.Vocabulary.from_file("vocab.txt"), ["vectors.txt", "other.txt"]
    )
    expected = json.loads(json.dumps(comparison.to_dict()))
    assert json.loads(result.stdout) == expected
    assert json.loads(Path("r.json").read_text()) == expected


def test_remarks_on_a_source_are_told_unless_quiet():
    Path("vectors.txt").write_text("the 1 2\nbad\n")

    told = run(*COVERAGE, "--bad-rows", "100%")
    quiet = run(*COVERAGE, "--bad-rows", "100%", "--quiet")

    assert "vectors.txt: Warning: 1 malformed row was left out." in told.stderr
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert run(*COVERAGE).exit_code == 1


def test_a_build_says_what_would_find_more():
    result = run(*BUILD)

    assert "`lower` would find 1 more (25.0 % of the tokens)." in result.stderr
    assert pe.load_matrix("embedding.npz").coverage.advice[0].form == "lower"


def test_a_build_writes_a_report():
    result = run(*BUILD, "--report", "r.csv", "--match", "exact,lower")

    assert result.exit_code == 0
    with Path("r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["token"], row["form"]) for row in rows] == [
        ("<pad>", ""),
        ("the", "exact"),
        ("cat", "exact"),
        ("Dog", "lower"),
        ("zebra", ""),
    ]


@pytest.mark.usefixtures("counted")
def test_too_little_of_the_text_fails_the_build():
    enough = run(*BUILD, "--min-text-coverage", "0.96")
    too_little = run(*BUILD, "--min-text-coverage", "0.97", "-o", "m.npz")

    assert enough.exit_code == 0
    assert too_little.exit_code == 1
    assert "make up 96.0 % of the text, 97.0 % are asked for" in too_little.stderr
    assert not Path("m.npz").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*COVERAGE, "--match", "lwer"), "did you mean 'lower'"),
        ((*COVERAGE, "--report", "r.txt"), "does not end in one of .md .json .csv"),
        ((*COVERAGE, "--report", "nowhere/r.md"), "there is no folder 'nowhere'"),
        ((*BUILD, "--report", "r.npz"), "does not end in one of .md .json .csv"),
        ((*BUILD, "--min-text-coverage", "0.5"), "the vocabulary has no counts"),
        ((*BUILD, "--min-text-coverage", "2"), "--min-text-coverage"),
        (("coverage",), "--vocab"),
    ],
)
def test_wrong_usage_is_explained_and_writes_nothing(words, said):
    before = sorted(Path().iterdir())

    result = run(*words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert sorted(Path().iterdir()) == before


def test_a_report_does_not_take_the_place_of_what_is_read():
    Path("vocab.json").write_text('["the"]')

    result = run(
        *("coverage", "--vocab", "vocab.json", "--source", "vectors.txt"),
        *("--report", "vocab.json"),
    )

    assert result.exit_code == 2
    assert "take the place of the vocabulary" in result.stderr
