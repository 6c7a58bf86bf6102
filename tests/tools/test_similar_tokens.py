"""Neighbours in matrices, files and stores, held against gensim's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

import pretrained_embed as pe
from pretrained_embed.errors import OptionError
from pretrained_embed.tools.similar_tokens import Query, parse_queries
from tests.command_line import run


@pytest.fixture
def words() -> list[str]:
    return [f"w{number}" for number in range(200)]


@pytest.fixture
def vectors(words) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(len(words), 12)).astype(np.float32)


@pytest.fixture
def file(tmp_path, words, vectors) -> Path:
    vocabulary = pe.Vocabulary(words, pad=None)
    pe.EmbeddingMatrix(vectors, vocabulary).save(tmp_path / "v.txt")
    return tmp_path / "v.txt"


@pytest.fixture
def gensims(file) -> KeyedVectors:
    return KeyedVectors.load_word2vec_format(str(file))


def sources(kind: str, file: Path, tmp_path: Path):
    if kind == "matrix":
        return pe.load_matrix(file)
    if kind == "store":
        pe.index(file, library=pe.Library(tmp_path / "cache"))
    return file


@pytest.mark.parametrize("kind", ["file", "store", "matrix"])
@pytest.mark.parametrize(
    ("positive", "negative"), [(["w3"], []), (["w3", "w7"], ["w9"]), (["w1"], ["w2"])]
)
def test_neighbours_are_those_gensim_finds(
    kind, positive, negative, file, gensims, tmp_path
):
    source = sources(kind, file, tmp_path)
    words = " + ".join(positive) + "".join(f" - {token}" for token in negative)

    (found,) = pe.similar(
        source, words, count=5, library=pe.Library(tmp_path / "cache")
    )

    expected = gensims.most_similar(positive=positive, negative=negative, topn=5)
    assert [near.token for near in found.nearest] == [token for token, _ in expected]
    np.testing.assert_allclose(
        [near.cosine for near in found.nearest],
        [cosine for _, cosine in expected],
        atol=1e-6,
    )


def test_each_token_is_a_query_of_its_own(file):
    found = pe.similar(file, ["w3", "w7"], count=2)

    assert [str(answer.query) for answer in found] == ["w3", "w7"]
    assert [len(answer.nearest) for answer in found] == [2, 2]


def test_later_rows_of_a_token_of_the_query_are_left_out(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 0\na 1 0.1\nb 1 1\nc 0 1\n")

    (found,) = pe.similar(tmp_path / "v.txt", "a")

    assert [near.token for near in found.nearest] == ["b", "c"]


def test_a_matrix_with_holes_and_padding_is_searched():
    vocabulary = pe.Vocabulary({"<pad>": 0, "a": 2, "b": 5, "c": 6})
    vectors = np.zeros((7, 2), np.float32)
    vectors[[2, 5, 6]] = [[1, 0], [1, 1], [-1, 0]]
    matrix = pe.EmbeddingMatrix(vectors, vocabulary)

    (found,) = pe.similar(matrix, "a")

    assert [near.token for near in found.nearest] == ["b", "c"]


def test_an_unknown_token_names_the_spelling_there_is(tmp_path):
    (tmp_path / "v.txt").write_text("paris 1 0\nb 1 1\n")

    with pytest.raises(pe.errors.UnknownTokenError, match="'Paris'; it has 'paris'"):
        pe.similar(tmp_path / "v.txt", "Paris")


def test_malformed_rows_are_left_out_up_to_a_limit(tmp_path):
    path = tmp_path / "bad.txt"
    path.write_bytes(b"cat 1 0\ndog 1 0.1\nbad 1\ncar 0 1\n")

    with pytest.raises(pe.errors.RowError, match="line 3"):
        pe.similar(path, "cat")
    with pytest.raises(pe.errors.RowError, match="1 of 4 rows are malformed"):
        pe.similar(path, "cat", limits=pe.Limits(bad_rows=0.1))
    (answer,) = pe.similar(path, "cat", limits=pe.Limits(bad_rows=1))

    assert [near.token for near in answer.nearest] == ["dog", "car"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"on_bad_row": "skip"}, r"limits=pe\.Limits\(bad_rows=1\.0\) now"),
        ({"max_bad_rows": 1}, r"limits=pe\.Limits\(bad_rows=\.\.\.\) now"),
        ({"limits": pe.Limits(text_coverage=0.5)}, "bad_rows alone"),
        ({"limits": 0.1}, r"give limits=pe\.Limits"),
    ],
)
def test_limits_that_it_does_not_have_are_refused(file, options, told):
    with pytest.raises(OptionError, match=told):
        pe.similar(file, "cat", **options)


@pytest.mark.parametrize(("queries", "count"), [([], 3), ("a -", 3), ("a", 0)])
def test_what_asks_for_nothing_is_refused(tmp_path, queries, count):
    (tmp_path / "v.txt").write_text("a 1 0\nb 1 1\n")

    with pytest.raises(pe.errors.OptionError):
        pe.similar(tmp_path / "v.txt", queries, count=count)


def test_the_command_lists_neighbours(tmp_path):
    (tmp_path / "v.txt").write_text("king 1 1\nman 1 0\nwoman 0 1\nqueen -0.1 2\n")

    result = run("similar", str(tmp_path / "v.txt"), "king", "-", "man", "+", "woman")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == ["king + woman - man", " 0.9928  queen"]


def test_the_command_answers_in_json(tmp_path):
    (tmp_path / "v.txt").write_text("2 3\na 1 0\nb 1 1\nc 0 1\n")

    result = run("similar", str(tmp_path / "v.txt"), "a", "-n", "1", "--json")

    (answer,) = json.loads(result.stdout)
    assert answer["positive"] == ["a"]
    assert answer["nearest"] == [{"token": "b", "cosine": pytest.approx(0.5**0.5)}]
    assert "header.dim-first" in answer["codes"]


def test_an_unknown_token_is_an_error_of_one_line(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 0\nb 1 1\n")

    result = run("similar", str(tmp_path / "v.txt"), "x")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["file", "store", "matrix"])
def test_the_largest_products_and_the_smallest_distances(
    kind, file, words, vectors, tmp_path
):
    source = sources(kind, file, tmp_path)
    products = vectors @ vectors[3]
    distances = np.linalg.norm(vectors - vectors[3], axis=1)

    for metric, scores, order in (
        ("dot", products, np.argsort(-products)),
        ("euclidean", distances, np.argsort(distances)),
    ):
        (found,) = pe.similar(
            source, "w3", count=5, metric=metric, library=pe.Library(tmp_path / "cache")
        )

        expected = [row for row in order if row != 3][:5]
        assert [near.token for near in found.nearest] == [
            words[row] for row in expected
        ]
        np.testing.assert_allclose(
            [near.score for near in found.nearest], scores[expected], rtol=1e-5
        )


def test_a_metric_that_is_none_is_refused(file):
    with pytest.raises(pe.errors.OptionError, match="cosine, dot, euclidean"):
        pe.similar(file, "w3", metric="angle")


def test_queries_are_strings_and_queries(file):
    asked = ["w3", pe.Query(("w4",), ("w5",)), "w6 + w7"]

    found = pe.similar(file, asked, count=1)

    assert [str(answer.query) for answer in found] == ["w3", "w4 - w5", "w6 + w7"]


def test_the_command_reads_queries_from_a_file(tmp_path):
    (tmp_path / "v.txt").write_text("king 1 1\nman 1 0\n- 0 1\nqueen -0.1 2\n")
    (tmp_path / "q.txt").write_bytes(b"king - man\r\n\n-\nqueen\n")

    result = run(
        *("similar", tmp_path / "v.txt", "man", "--file", tmp_path / "q.txt"),
        *("-n", "1", "--metric", "euclidean"),
    )

    assert [part.split("\n") for part in result.stdout.strip().split("\n\n")] == [
        ["man", " 1.0000  king"],
        ["king - man", " 0.4142  -"],
        ["-", " 1.0000  king"],
        ["queen", " 1.0050  -"],
    ]


def test_scores_of_another_metric_stand_under_its_name(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 0\nb 3 4\n")

    result = run("similar", tmp_path / "v.txt", "a", "--metric", "dot", "--json")

    assert json.loads(result.stdout)[0]["nearest"] == [{"token": "b", "dot": 3.0}]


def test_a_command_without_a_query_is_wrong_usage(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 0\nb 3 4\n")
    (tmp_path / "q.txt").write_text("\n")

    for more in ([], ["--file", str(tmp_path / "q.txt")]):
        result = run("similar", tmp_path / "v.txt", *more)

        assert result.exit_code == 2
        assert "name a TOKEN, or a --file of them" in result.stderr


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """What is kept of the rows that passed by is no more than their best."""
    import tracemalloc

    rng = np.random.default_rng(0)
    peaks = []
    for rows in (20_000, 80_000):
        path = tmp_path / f"{rows}.npy"
        np.save(path, rng.normal(size=(rows, 16)).astype(np.float32))
        path.with_suffix(".txt").write_text(
            "".join(f"t{number}\n" for number in range(rows))
        )
        with pe.open_vectors(path) as reader:
            tracemalloc.start()
            pe.similar(reader, ["t5", "t6"])
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    assert peaks[1] < peaks[0] + (1 << 20)


# What a command line asks for


@pytest.mark.parametrize(
    ("words", "queries"),
    [
        (["cat"], [Query(("cat",))]),
        (["cat", "dog"], [Query(("cat",)), Query(("dog",))]),
        (["king", "-", "man", "+", "woman"], [Query(("king", "woman"), ("man",))]),
        (["king - man + woman"], [Query(("king", "woman"), ("man",))]),
        (["a", "b", "+", "c", "d"], [Query(("a",)), Query(("b", "c")), Query(("d",))]),
        (["new york"], [Query(("new york",))]),
        (["new york", "+", "paris"], [Query(("new york", "paris"))]),
        (
            ["well-known", "c++", "-x"],
            [Query((t,)) for t in ("well-known", "c++", "-x")],
        ),
        ([], []),
    ],
)
def test_signs_between_words_join_them(words, queries):
    assert parse_queries(words) == queries


@pytest.mark.parametrize(
    "words", [["-"], ["+", "a"], ["a", "-"], ["a", "+", "-", "b"], ["a + "]]
)
def test_a_sign_that_joins_nothing_is_refused(words):
    with pytest.raises(OptionError, match=r"sign|joins"):
        parse_queries(words)


def test_a_query_is_shown_as_it_was_asked():
    assert str(Query(("king", "woman"), ("man",))) == "king + woman - man"


def test_all_tokens_that_are_not_there_are_named_at_once(file):
    unknown = [f"nix{n}" for n in range(8)]

    with pytest.raises(pe.errors.UnknownTokenError, match=r"nor 'nix1'.* and 2 others"):
        pe.similar(file, unknown)


def test_lines_of_queries_may_have_a_mark_and_blanks(file, words, tmp_path):
    lines = f"\ufeff{words[0]}  \r\n \t\n  {words[1]}\n"
    (tmp_path / "queries.txt").write_bytes(lines.encode())
    (tmp_path / "none.txt").write_text("\n \n")

    result = run("similar", file, "--file", tmp_path / "queries.txt", "--json")
    none = run("similar", file, "--file", tmp_path / "none.txt")

    assert [one["query"] for one in json.loads(result.stdout)] == words[:2]
    assert none.exit_code == 2
    assert "has no line with a token" in none.stderr
