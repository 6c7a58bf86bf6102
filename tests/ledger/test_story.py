from __future__ import annotations

import json

import numpy as np
import pytest
from grouped import grouped
from vectors import reader_of, text

import pretrained_embed as pe

ROWS = [("the", (3.0, 4.0)), ("paris", (3.0, 4.0)), ("new_york", (5.0, 6.0))]
WIDE = [("the", (1.0, 2.0, 2.0)), ("dog", (7.0, 8.0, 9.0))]


def build(vocabulary, rows=ROWS, **options) -> pe.EmbeddingMatrix:
    return pe.build_matrix(vocabulary, reader_of(rows), **grouped(**options))


@pytest.mark.parametrize(
    ("token", "options", "how"),
    [
        ("the", {}, "found as it stands in memory, row 0"),
        ("Paris", {}, "found as 'paris' (lower) in memory, row 1"),
        ("New_York", {}, "found as 'new_york' (lower) in memory, row 2"),
        ("<pad>", {}, "padding; zeros"),
        ("zzz", {"seed": 7}, "not found; drawn by normal, seed 7"),
        ("zzz", {"oov": "uniform"}, "not found; drawn by uniform, seed 0"),
        ("zzz", {"oov": "mean"}, "not found; filled by mean"),
        (
            "zzz",
            {"oov": lambda t, s, d: np.ones((len(t), d))},
            "not found; filled by c",
        ),
        ("<unk>", {"special_oov": {"unk": "zeros"}}, "not found; filled by zeros"),
        ("theparis", {"oov": "parts"}, "the mean of the tokens of memory that it c"),
        ("THE", {"match": ["exact", str.swapcase]}, "found (callable str.swapcase) in"),
        ("THÉ", {"match": "lower+strip-accents"}, "found as 'the' (lower+strip-acc"),
        ("paris-the", {"match": "compound"}, "found (compound) in memory"),
    ],
)
def test_every_way_to_fill_a_row_has_words(token, options, how):
    vocabulary = pe.Vocabulary(
        ["the", token] if token != "the" else ["the"], unk="<unk>"
    )

    matrix = build(vocabulary, **{"match": "exact,lower", **options})
    story = matrix.explain(token)

    assert how in story.how
    assert (story.token, story.id) == (token, vocabulary[token])
    assert story.norm == pytest.approx(np.linalg.norm(matrix[token]), rel=1e-6)
    assert json.loads(json.dumps(story.to_dict()))["how"] == story.how


def test_it_prints_as_a_paragraph_with_the_source(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(text(ROWS))

    matrix = pe.build_matrix(["Paris"], path, match="lower")

    story = matrix.explain("Paris")
    assert (story.source, story.source_row) == (str(path), 1)
    assert story.digest.startswith("blake2b")
    assert str(story).splitlines() == [
        f"'Paris', id 1: found as 'paris' (lower) in {path}, row 1",
        "  norm 5",
        f"  {path}, {story.digest}",
    ]


def test_digest_and_licence_are_those_of_the_catalog(tmp_path):
    matrix = build(["the"])
    matrix.provenance["source"] |= {
        "source": "mini",
        "licence": "CC0-1.0",
        "digests": [{"algorithm": "sha256", "value": "ab" * 32}],
    }

    story = matrix.explain("the")

    assert (story.source, story.licence) == ("mini", "CC0-1.0")
    assert str(story).endswith(f"mini, sha256:{'ab' * 32}, CC0-1.0")


def test_of_sources_put_together_each_part_is_told():
    sources = [reader_of(ROWS), reader_of(WIDE)]

    concat = pe.build_matrix(
        ["the", "dog", "zzz"], sources, recipe=pe.Recipe(combine="concat")
    )
    average = pe.build_matrix(
        ["the", "dog", "zzz"], sources, recipe=pe.Recipe(combine="average")
    )

    assert concat.explain("dog").how == "concat of 2 sources"
    assert concat.explain("dog").parts == (
        "not found; drawn by normal, seed 0 (from memory)",
        "found as it stands in memory, row 1",
    )
    assert average.explain("dog").parts[0] == (
        "not in memory, which the average leaves out"
    )
    assert "drawn by normal" in average.explain("zzz").parts[1]
    assert concat.explain("<pad>").parts == ()


def test_kept_rows_tell_of_both_matrices(tmp_path):
    old = build(["the", "Paris", "zzz"], match="exact,lower")
    trained = old.with_vectors(old.vectors * 2)
    trained.save(tmp_path / "old.npz")

    grown = pe.build_matrix(
        ["zzz", "Paris"], reader_of(ROWS), onto=tmp_path / "old.npz"
    )

    name = tmp_path / "old.npz"
    assert old.explain("Paris").how == "found as 'paris' (lower) in memory, row 1"
    assert trained.explain("Paris").how.endswith("row 1; trained since")
    assert grown.explain("Paris").how == (
        f"kept from {name}, row 2; there found as 'paris' (lower) in memory; "
        "trained since"
    )
    assert grown.explain("zzz").how.startswith(
        f"kept from {name}, row 3; there not found; drawn by normal, seed 0"
    )
    assert grown.explain("zzz").digest.startswith("sha256:")


def test_steps_that_changed_a_row_are_told():
    old = build(["the", "<unk>"], postprocess="center,pca:1")

    grown = pe.build_matrix(
        ["paris", "the"],
        reader_of([("paris", [2.0])]),
        onto=old,
        recipe=pe.Recipe(postprocess="center"),
    )

    assert old.explain("the").how.endswith("row 0; then center, pca:1")
    assert old.explain("<pad>").how == "padding; zeros"
    assert grown.explain("paris").how.endswith("row 0; then center")
    assert grown.explain("the").how.endswith("in memory; then center, pca:1")


def test_arrays_of_ones_own_have_a_story_too():
    matrix = pe.EmbeddingMatrix(np.eye(2), pe.Vocabulary(["a", "b"], pad=None))

    assert str(matrix.explain("a")).splitlines() == [
        "'a', id 0: found as it stands",
        "  norm 1",
    ]


def test_an_unknown_token_names_the_nearest():
    with pytest.raises(
        pe.errors.UnknownTokenError, match=r"'pari' .*did you mean 'paris'\?"
    ):
        build(["paris", "the"]).explain("pari")


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"source": "a name"},
        {"source": []},
        {"sources": 3},
        {"sources": [None, 3, []]},
        {"sources": [{"digests": [1, {}], "provenance": {"sources": {}}}]},
        {"options": 1, "source": {"licence": [1]}},
        {"options": {"match": 3, "special_oov": 3, "oov": []}},
        {"trained_from": 3},
        {"trained_from": {"trained_from": {"source": {}}}},
    ],
)
@pytest.mark.parametrize("code", [2, 3, 16, 17, 64, 70])
def test_any_provenance_that_a_file_may_hold_has_a_story(provenance, code):
    matrix = pe.EmbeddingMatrix(
        np.eye(2),
        pe.Vocabulary(["a", "b"], pad=None),
        [code, code],
        provenance,
        source_rows=[0, -1],
        sources=[0, 99],
    )

    for token in ("a", "b"):
        assert str(matrix.explain(token))
