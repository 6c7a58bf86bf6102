"""A matrix, a coverage and a vocabulary in a notebook, and as a picture."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

import pretrained_embed as pe

HOSTILE = ["<script>alert(1)</script>", "</td>", "<img src=x onerror=alert(1)>", "a\0b"]


def matrix_of(tokens, **options) -> pe.EmbeddingMatrix:
    vocabulary = pe.Vocabulary(tokens, **options)
    vectors = np.random.default_rng(0).normal(size=(len(vocabulary), 8))
    if vocabulary.pad_id is not None:
        vectors[vocabulary.pad_id] = 0
    return pe.EmbeddingMatrix(vectors, vocabulary)


class Page(HTMLParser):
    """Collects the names of all elements, and the text of all cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.add(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize(
    "shown",
    [
        lambda matrix: matrix,
        lambda matrix: matrix.vocabulary,
        lambda matrix: matrix.coverage,
    ],
    ids=["matrix", "vocabulary", "coverage"],
)
def test_tokens_are_text_in_a_notebook(tmp_path, shown):
    (tmp_path / "v.txt").write_text("the 1 2\n")
    matrix = pe.build_matrix(["the", *HOSTILE], tmp_path / "v.txt")

    page = Page(shown(matrix)._repr_html_())

    assert page.names <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    assert any("<script>alert(1)</script>" in text for text in page.text)


def test_a_matrix_shows_its_first_rows():
    page = Page(matrix_of(["the", "cat"])._repr_html_())

    assert "EmbeddingMatrix, 3 rows of 8" in page.text
    assert {"<pad>", "the", "cat", "pad", "exact", "…"} <= set(page.text)


def test_a_vocabulary_shows_its_counts():
    counted = pe.Vocabulary.from_texts(["a a b"])

    assert {"count", "2", "a"} <= set(Page(counted._repr_html_()).text)
    assert "count" not in Page(pe.Vocabulary(["a"])._repr_html_()).text


def test_a_vocabulary_with_holes_shows_them():
    page = Page(pe.Vocabulary({"a": 1, "b": 3}, pad=None)._repr_html_())

    assert {"0", "1", "2", "3", "a", "b"} <= set(page.text)


def labels(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_most_frequent_tokens_are_drawn():
    matrix = matrix_of(["a", "b", "c"], counts={"a": 1, "b": 3, "c": 2})

    assert labels(matrix.plot(count=2)) == ["b", "c"]


def test_without_counts_the_first_tokens_are_drawn():
    assert labels(matrix_of(["a", "b", "c"]).plot(count=2)) == ["a", "b"]


def test_chosen_tokens_are_drawn():
    assert labels(matrix_of(["a", "b", "c"]).plot(["c", "a"], projection="pca")) == [
        "c",
        "a",
    ]


def test_the_former_name_of_the_projection_is_told():
    with pytest.raises(pe.errors.OptionError, match="method= is projection= now"):
        matrix_of(["a", "b"]).plot(method="pca")


def test_what_cannot_be_drawn_is_an_error():
    matrix = matrix_of(["a", "b"])

    with pytest.raises(pe.errors.UnknownTokenError, match="'x'"):
        matrix.plot(["x"])
    with pytest.raises(pe.errors.OptionError, match="a list of tokens"):
        matrix.plot("a,b")
    with pytest.raises(pe.errors.OptionError, match="no token"):
        matrix.plot([])
    with pytest.raises(pe.errors.OptionError, match="count is 0"):
        matrix.plot(count=0)


def test_a_matrix_prints_itself_as_a_table(capsys):
    matrix_of(["the", "日本", "cafe\u0301", "a\x1b[2Jb"]).show(numbers=1, digits=2)

    lines = capsys.readouterr().out.splitlines()

    assert [line.split()[:3] for line in lines] == [
        ["id", "token", "origin"],
        ["0", "<pad>", "pad"],
        ["1", "the", "exact"],
        ["2", "日本", "exact"],
        ["3", "cafe\u0301", "exact"],
        ["4", "a\\x1b[2Jb", "exact"],
    ]
    # An ideograph takes two columns, an accent none: what follows stands in line.
    assert [line.index("exact") for line in lines[2:]] == [15, 13, 16, 15]
    assert lines[1].endswith("0  …")


def test_a_matrix_prints_the_rows_of_tokens(capsys):
    matrix = matrix_of({"the": 0, "cat": 5})

    matrix.show(["cat"], numbers=8)
    matrix.show(count=2)

    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split()[:2] == ["5", "cat"]
    assert len(shown[1].split()) == 3 + 8
    assert len(shown) == 2 + 3
    with pytest.raises(pe.errors.UnknownTokenError, match="dog"):
        matrix.show(["dog"])
