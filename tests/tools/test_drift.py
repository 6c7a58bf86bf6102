"""What changed between two matrices: worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pretrained_embed as pe
from tests.command_line import run

BEFORE = {"a": [1, 0], "b": [1, 0.1], "c": [0, 1], "d": [0.1, 1], "e": [2, 2]}
#: a went to where c is and became twice as long; all others are as they were.
AFTER = BEFORE | {"a": [0, 2]}


def matrix(vectors, **options) -> pe.EmbeddingMatrix:
    rows = np.float32([[0, 0], *vectors.values()])
    return pe.EmbeddingMatrix(rows, pe.Vocabulary([*vectors], **options))


def test_one_token_moved():
    drift = pe.compare(matrix(BEFORE), matrix(AFTER), neighbours=1)

    assert (drift.tokens, drift.unchanged) == (5, 4)  # no padding
    (moved,) = drift.moved
    assert (moved.token, moved.cosine) == ("a", 0)
    assert (moved.norm_before, moved.norm_after) == (1, 2)
    assert (moved.gained, moved.lost) == (("c",), ("b",))
    (band,) = drift.bands
    assert (band.first, band.end, band.tokens, band.norm) == (0, 5, 5, 1)
    assert band.cosine == pytest.approx(4 / 5)
    # a has c for b now, b has e for a, c has a for d, and d has a, which is as near as
    # c and stands before it; e has b still
    assert band.kept == pytest.approx(1 / 5)


def test_ranks_are_by_counts_and_only_so_many_are_looked_at():
    counts = {"a": 1, "b": 9, "c": 5, "d": 2, "e": 3}

    drift = pe.compare(
        matrix(BEFORE, counts=counts), matrix(AFTER, counts=counts), limit=4
    )

    assert (drift.tokens, drift.unchanged, drift.moved) == (4, 4, ())
    many = {f"t{number}": [1, number + 1] for number in range(150)}
    bands = pe.compare(matrix(many), matrix(many)).bands
    assert [(band.first, band.end) for band in bands] == [(0, 100), (100, 150)]


def test_tokens_are_paired_by_name_and_those_of_one_alone_counted():
    other = {"e": [2, 2], "x": [1, 1], "b": [1, 0.1], "a": [0, 2]}

    drift = pe.compare(matrix(BEFORE), matrix(other))

    assert (drift.tokens, drift.unchanged) == (3, 2)
    assert (drift.only_before, drift.only_after) == (2, 1)
    assert [each.token for each in drift.moved] == ["a"]


def test_the_picture_shows_growth_across_and_the_cosine_upwards():
    (dots,) = pe.compare(matrix(BEFORE), matrix(AFTER)).plot().axes[0].collections

    assert dots.get_offsets().tolist() == [[1, 0]]  # twice as long, at a right angle


def test_many_rows_that_are_alike_have_no_neighbour_twice():
    alike = {f"t{number}": [1, 1] for number in range(40)}

    drift = pe.compare(matrix(alike), matrix(alike), neighbours=3)

    assert (drift.unchanged, drift.bands[0].kept) == (40, 1)


@pytest.mark.parametrize(
    ("before", "after", "options", "error"),
    [
        (BEFORE, {"x": [1, 1]}, {}, pe.errors.VocabularyError),
        (BEFORE, AFTER, {"count": 0}, pe.errors.OptionError),
        (BEFORE, {"a": [0, 0]}, {}, pe.errors.VocabularyError),
    ],
)
def test_what_cannot_be_compared_is_refused(before, after, options, error):
    with pytest.raises(error):
        pe.compare(matrix(before), matrix(after), **options)


def test_two_dims_are_refused():
    other = pe.EmbeddingMatrix(np.ones((1, 3)), pe.Vocabulary(["a"], pad=None))

    with pytest.raises(pe.errors.ShapeError, match="2 dimensions before and 3 after"):
        pe.compare(matrix(BEFORE), other)


def test_the_command_says_it_in_text_json_a_page_and_a_picture(tmp_path):
    evil = {"<b>": [1.0, 0.0]}
    matrix(BEFORE | evil).save(tmp_path / "a.npz")
    matrix(AFTER | {"<b>": [0.0, 1.0]}).save(tmp_path / "b.npz")
    paths = (tmp_path / "a.npz", tmp_path / "b.npz")

    text = run("compare", *paths, "-o", tmp_path / "page.html")
    known = json.loads(run("compare", *paths, "--json").stdout)
    drawn = run("compare", *paths, "-o", tmp_path / "map.svg", "--quiet")
    wrong = run("compare", *paths, "-o", tmp_path / "map.doc")

    assert text.stdout.startswith("6 tokens in both, 4 of")
    assert text.stderr.startswith("Wrote ")
    assert [each["token"] for each in known["moved"]] == ["a", "<b>"]
    page = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert (drawn.exit_code, drawn.stderr) == (0, "")
    assert (tmp_path / "map.svg").read_text().startswith("<?xml")
    assert (wrong.exit_code, "does not end in .html" in wrong.stderr) == (2, True)


def test_tokens_that_are_not_compared_are_counted():
    before = {token: [1, place + 1] for place, token in enumerate("abcdef")}
    after = before | {"b": [0, 0], "c": [np.nan, 1]}

    drift = pe.compare(matrix(before), matrix(after), limit=3)

    assert (drift.tokens, drift.comparable, drift.one_sided) == (3, 4, 2)
    first = str(drift).partition("\n")[0]
    assert first.startswith("3 of 4 tokens in both")
    assert "2 more have a direction in one only" in first
