"""The policy "parts"."""

from __future__ import annotations

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of, text

import pretrained_embed as pe
from pretrained_embed.fill import parts
from pretrained_embed.fill.parts import longest_parts, runs

ROWS = [
    ("snow", (1.0, 0.0)),
    ("snowba", (2.0, 1.0)),
    ("ball", (0.5, 3.0)),
    ("lls", (0.25, -3.5)),
    ("ba", (9.0, 9.0)),
    ("雪", (5.0, 6.0)),
    ("ёж", (7.0, 8.0)),
]
VECTORS = {token: np.array(vector) for token, vector in ROWS}


def build(vocabulary, rows=ROWS, **options) -> pe.EmbeddingMatrix:
    return pe.build_matrix(
        vocabulary, reader_of(rows), **grouped(oov="parts,zeros", **options)
    )


def oracle(token: str, known: set[str]) -> list[str]:
    """Greedy longest match by recursion over what is left of the token."""
    if not token:
        return []
    beginning = [
        run
        for run in known
        if token.startswith(run) and len(run.encode("utf-8", "surrogateescape")) >= 3
    ]
    if not beginning:
        return oracle(token[1:], known)
    longest = max(beginning, key=len)
    return [longest, *oracle(token[len(longest) :], known)]


# Which parts


letters = st.text("abé雪\udcff", max_size=10)
known_tokens = st.sets(st.text("abé雪\udcff", min_size=1, max_size=4), max_size=12)


@given(letters, known_tokens)
def test_parts_are_the_longest_matches_from_left_to_right(token, known):
    assert longest_parts(token, known) == oracle(token, known)


@given(letters, known_tokens)
def test_all_that_can_be_a_part_is_looked_up(token, known):
    wanted = set(runs(token))

    assert longest_parts(token, known & wanted) == longest_parts(token, known)
    assert all(run in token for run in wanted)


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("snowballs", ["snowba", "lls"]),
        ("xsnowxball", ["snow", "ball"]),
        ("baba", []),
        ("雪雪", ["雪", "雪"]),
        ("ёжик", ["ёж"]),
    ],
)
def test_a_row_is_the_mean_of_parts_by_their_lengths(token, found):
    row = build(["snow", token])[token]

    weights = [len(part) for part in found]
    expected = (
        np.average([VECTORS[part] for part in found], axis=0, weights=weights)
        if found
        else [0, 0]
    )
    np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_a_part_that_occurs_again_counts_again():
    row = build(["snow", "snowsnowxball"])["snowsnowxball"]

    np.testing.assert_allclose(row, (8 * VECTORS["snow"] + 4 * VECTORS["ball"]) / 12)


def test_of_the_forms_the_one_that_parts_cover_most_of_is_taken():
    exact = build(["snow", "SnowBALL", "balLSnow"], match="exact")
    both = build(["snow", "SnowBALL", "snowBALL"], match="exact,lower")
    rows = [*ROWS, ("BALL", (4.0, 4.0))]
    tie = build(["snow", "snowBALL"], rows, match="exact,lower")

    assert not exact["SnowBALL"].any()
    np.testing.assert_array_equal(both["SnowBALL"], both["snowBALL"])
    np.testing.assert_array_equal(tie["snowBALL"], [2.5, 2])  # snow and BALL as it is


def test_a_very_long_token_has_no_parts():
    just, beyond = "snow" * 32, "snow" * 33

    matrix = build(["snow", just, beyond])

    assert matrix[just].tolist() == [1, 0]
    assert not matrix[beyond].any()


# How they are looked up


def test_rows_looked_up_in_blocks_are_the_same(monkeypatch):
    vocabulary = ["snow", *(f"snow{letter}ball" for letter in "abcdefghij"), "x"]
    whole = build(vocabulary)

    monkeypatch.setattr(parts, "_RUNS", 30)

    assert build(vocabulary).vectors.tobytes() == whole.vectors.tobytes()


@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_and_its_store_give_the_same_rows(tmp_path, threads):
    path = tmp_path / "f.txt"
    path.write_bytes(text(ROWS))
    cache = tmp_path / "cache"
    options = {"oov": "parts", "threads": threads, "library": pe.Library(cache)}

    plain = pe.build_matrix(["snow", "snowball", "x"], path, **grouped(**options))
    pe.index(path, library=pe.Library(cache))
    stored = pe.build_matrix(["snow", "snowball", "x"], path, **grouped(**options))

    assert "store" in stored.provenance["source"]
    assert stored.vectors.tobytes() == plain.vectors.tobytes()


def test_bad_rows_are_passed_over_where_that_is_asked_for(tmp_path):
    path = tmp_path / "f.txt"
    path.write_bytes(text(ROWS[:3]) + b"lls 1\n" + text(ROWS[4:]))

    matrix = pe.build_matrix(
        ["snow", "snowballs"], path, oov="parts,zeros", limits=pe.Limits(bad_rows=1.0)
    )

    assert matrix["snowballs"].tolist() == [2, 1]
    assert matrix.findings.bad_rows == 1
