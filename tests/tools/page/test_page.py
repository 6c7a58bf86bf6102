"""The page as a file: what is in it, and what a browser may do with it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe
from tests.tools.page.conftest import NASTY, data_of, page_of


class Outline(HTMLParser):
    """The tags of a page, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


# The data of the map


def test_tokens_arrays_and_origins_go_round(matrix, tmp_path):
    data = data_of(page_of(matrix, tmp_path / "r.html"))

    ids = data["ids"].astype(int)
    assert data["tokens"] == [matrix.vocabulary.tokens[id] for id in ids]
    assert sorted(ids) == list(range(1, len(matrix)))  # all but the padding
    norms = np.linalg.norm(matrix.vectors[ids], axis=1)
    np.testing.assert_allclose(data["norms"], norms, rtol=1e-6)
    np.testing.assert_array_equal(data["counts"], matrix.vocabulary.counts[ids])
    names = [data["origins"][code]["name"] for code in data["origin"]]
    found = matrix.origin[ids] >= pe.ledger.Origin.EXACT
    assert {n for n, f in zip(names, found, strict=True) if f} == {"exact", "lower"}
    assert {n for n, f in zip(names, found, strict=True) if not f} == {
        "not found (normal)"
    }


def test_neighbours_are_those_of_an_exact_search(matrix, tmp_path):
    data = data_of(page_of(matrix, tmp_path / "r.html"))

    rows = matrix.vectors[data["ids"]].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    for i, near in enumerate(data["near"]):
        assert len(set(near.tolist())) == 10
        expected = np.sort(cosines[i])[::-1][:10]
        np.testing.assert_allclose(cosines[i][near], expected, atol=1e-6)
    shares = data["cosines"].reshape(data["near"].shape) / 100
    some = np.take_along_axis(cosines, data["near"].astype(int), axis=1)
    np.testing.assert_allclose(shares, some, atol=0.0051)


def test_a_token_is_never_its_own_neighbour_even_among_equals(tmp_path):
    vectors = np.repeat(np.float32([[1, 2]]), 30, axis=0)
    vocabulary = pe.Vocabulary([str(i) for i in range(30)], pad=None)

    data = data_of(
        page_of(pe.EmbeddingMatrix(vectors, vocabulary), tmp_path / "r.html")
    )

    for i, near in enumerate(data["near"].tolist()):
        assert i not in near
        assert len(set(near)) == 10


def test_rows_without_a_direction_are_near_to_nothing(tmp_path):
    vectors = np.float32([[0, 0], [1, 0], [np.nan, 1], [3e38, 3e38], [1, 1]])
    vocabulary = pe.Vocabulary(list("abcde"), pad=None)

    page = page_of(pe.EmbeddingMatrix(vectors, vocabulary), tmp_path / "r.html")

    near = data_of(page)["near"].astype(np.int64)
    assert (near[[0, 2]] == 2**32 - 1).all()
    assert set(near[1].tolist()) == {3, 4, 2**32 - 1}
    assert "Rows with a number that is none, or infinite: 1." in page


@pytest.mark.parametrize("counted", [True, False])
def test_of_more_tokens_than_the_limit_a_sample_is_shown(counted, tmp_path):
    tokens = [f"t{i}" for i in range(50)]
    counts = {token: i for i, token in enumerate(tokens)} if counted else None
    vocabulary = pe.Vocabulary(tokens, pad=None, counts=counts)
    matrix = pe.EmbeddingMatrix(np.eye(50, 3) + 1, vocabulary)

    page = page_of(matrix, tmp_path / "r.html", limit=20)

    which = "most frequent" if counted else "first"
    assert f"A sample: the {which} 20 of 50 tokens" in page
    expected = tokens[:29:-1] if counted else tokens[:20]
    assert data_of(page)["tokens"] == expected


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_tokens_have_a_page(rows, tmp_path):
    vocabulary = pe.Vocabulary(list("abc"[:rows]), pad=None)
    matrix = pe.EmbeddingMatrix(np.ones((rows, 1)), vocabulary)

    assert data_of(page_of(matrix, tmp_path / "r.html"))["tokens"] == [*"abc"[:rows]]


def test_a_vocabulary_of_padding_alone_has_a_page(tmp_path):
    matrix = pe.EmbeddingMatrix(np.zeros((1, 3)), pe.Vocabulary(["<pad>"]))

    assert data_of(page_of(matrix, tmp_path / "r.html"))["tokens"] == []


def test_norms_that_are_nearly_one_have_a_histogram(tmp_path):
    vectors = np.float32([[1, 0], [0.6, 0.8], [1, 1e-8], [0.28, 0.96]])
    matrix = pe.EmbeddingMatrix(vectors, pe.Vocabulary(list("abcd"), pad=None))

    assert "Histogram of 4 rows" in page_of(matrix, tmp_path / "r.html")


def test_20_000_tokens_take_less_than_5_megabytes(tmp_path):
    tokens = [f"token{i}" for i in range(20_000)]
    vectors = np.random.default_rng(0).normal(size=(len(tokens), 4))
    vocabulary = pe.Vocabulary(tokens, pad=None, counts=dict.fromkeys(tokens, 7))

    pe.page(pe.EmbeddingMatrix(vectors, vocabulary), tmp_path / "r.html")

    assert (tmp_path / "r.html").stat().st_size < 5_000_000


# The page


def test_the_same_matrix_gives_the_same_bytes(matrix, tmp_path):
    first = page_of(matrix, tmp_path / "1.html")

    assert page_of(matrix, tmp_path / "2.html") == first
    assert page_of(matrix, tmp_path / "3.html", title="T") != first


def test_the_policy_names_the_script_and_the_style_and_nothing_else(matrix, tmp_path):
    page = page_of(matrix, tmp_path / "r.html")

    metas = Outline(page).all("meta")
    policy = dict(
        part.split(" ", 1)
        for meta in metas
        if meta.get("http-equiv") == "Content-Security-Policy"
        for part in str(meta["content"]).split("; ")
    )
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.S)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert policy == {
        "default-src": "'none'",
        "script-src": f"'sha256-{sha256(script)}'",
        "style-src": f"'sha256-{sha256(style)}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_nothing_is_loaded_and_no_style_or_handler_is_in_a_tag(nasty, tmp_path):
    outline = Outline(page_of(nasty, tmp_path / "r.html", title=NASTY[8]))

    for _, attributes in outline.tags:
        assert attributes.keys().isdisjoint({"src", "srcset", "style", "action"})
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")


def test_text_of_the_matrix_is_text_of_the_page(nasty, tmp_path):
    title = NASTY[8]

    page = page_of(nasty, tmp_path / "r.html", title=title)

    outline = Outline(page)
    assert {tag for tag, _ in outline.tags}.isdisjoint({"img", "textarea"})
    assert len(outline.all("script")) == 2
    assert len(outline.all("title")) == len(outline.all("h1")) == 1
    assert title in outline.text
    for token in NASTY[:12]:
        assert token in outline.text


def test_data_is_json_without_a_character_that_ends_it(nasty, tmp_path):
    page = page_of(nasty, tmp_path / "r.html")

    (text,) = re.findall(r'id="data">(.*?)</script>', page, re.S)
    assert not set(text) & set("<>&\u2028\u2029\u202e\x00")
    tokens = data_of(page)["tokens"]
    assert tokens[:13] == list(NASTY[:13])
    assert tokens[13] == "\\u2028window.__ran=9\\u2029"
    assert tokens[14:16] == ["\\u202eevil\\x00\\x1b[31m", "\\udcff"]
    assert tokens[-1] == "x" * 200 + "… (5,000 characters)"


def test_tables_have_captions_and_headings(matrix, tmp_path):
    outline = Outline(page_of(matrix, tmp_path / "r.html"))

    tables = len(outline.all("table"))
    assert tables == len(outline.all("caption")) >= 5
    assert {heading["scope"] for heading in outline.all("th")} == {"col", "row"}


def test_the_page_says_what_the_matrix_is(matrix, tmp_path):
    text = Outline(page_of(matrix, tmp_path / "r.html")).text

    assert "Of 300 tokens, 200 were found in the source (66.7 %)" in text
    assert "The most frequent 50 of 100 OOV tokens" in text
    assert "blake2b" in text
    assert "recipe=pe.Recipe(match='exact,lower')," in text
    assert "1,000" in text
    assert matrix.explain("WORD1").how in text


def test_the_code_that_is_shown_builds_the_matrix_again(matrix, tmp_path):
    matrix.save(tmp_path / "m.npz")
    page = page_of(matrix, tmp_path / "r.html")

    text = Outline(page).text
    code = text[text.index("import pretrained_embed as pe") :]
    code = code[: code.index("\n)") + 2].replace("MATRIX", str(tmp_path / "m.npz"))
    names: dict[str, pe.EmbeddingMatrix] = {}
    exec(code, names)

    assert names["matrix"].vectors.tobytes() == matrix.vectors.tobytes()


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"trained_from": {"source": {"source": "a"}, "options": {"seed": 0}}},
        {"source": {"source": "a"}, "options": {"match": ["callable f"]}},
        {"sources": [{"source": "a", "provenance": {}}], "options": {"seed": 0}},
    ],
)
def test_no_code_is_shown_that_would_build_another_matrix(provenance, tmp_path):
    vocabulary = pe.Vocabulary(["a"], pad=None)
    matrix = pe.EmbeddingMatrix([[1.0]], vocabulary, provenance=provenance)

    assert "pe.build_matrix(" not in page_of(matrix, tmp_path / "r.html")


def test_oov_tokens_come_with_what_would_find_them(tmp_path):
    (tmp_path / "v.txt").write_text("the 1 2\nbe 4 5\nover-all 7 8\n")
    options = {"match": "exact", "oov": "zeros"}
    advised, plain = (
        pe.build_matrix(
            ["BE", "the", "q"], tmp_path / "v.txt", **grouped(advise=advise, **options)
        )
        for advise in (True, False)
    )

    assert "<code>lower</code>" in page_of(advised, tmp_path / "1.html")
    assert "advise=True" in page_of(plain, tmp_path / "2.html")


def test_progress_is_told_in_bytes(matrix, tmp_path):
    calls = []

    pe.page(
        matrix, tmp_path / "r.html", progress=lambda done, total: calls.append(total)
    )

    assert set(calls) == {300 * 8 * 4}
    assert len(calls) == 2


def test_options_that_mean_nothing_are_refused(matrix, tmp_path):
    for wrong in ({"projection": "psa"}, {"limit": 0}):
        with pytest.raises(pe.errors.OptionError):
            pe.page(matrix, tmp_path / "r.html", **wrong)

    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_where_the_page_cannot_be_written(matrix, tmp_path):
    with pytest.raises(pe.errors.WriteError):
        pe.page(matrix, tmp_path / "none" / "r.html")

    assert not list(tmp_path.iterdir())


def test_the_title_is_a_name_and_not_a_path(tmp_path):
    source = tmp_path / "somewhere" / "vectors.txt"
    source.parent.mkdir()
    source.write_text("the 1 2\ncat 3 4\n")
    matrix = pe.build_matrix(["the", "cat"], source)

    page = page_of(matrix, tmp_path / "page.html")

    assert "<title>vectors.txt, 3 × 2</title>" in page


def test_no_limit_puts_all_tokens_on_the_map(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(301, 4)).astype(np.float32)
    vectors[0] = 0
    vocabulary = pe.Vocabulary([f"t{i}" for i in range(300)])
    matrix = pe.EmbeddingMatrix(vectors, vocabulary)

    some = page_of(matrix, tmp_path / "some.html", limit=100)
    every = page_of(matrix, tmp_path / "all.html", limit=None)

    assert len(data_of(some)["tokens"]) == 100
    assert len(data_of(every)["tokens"]) == 300
