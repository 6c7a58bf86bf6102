from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of, text

import pretrained_embed as pe
from pretrained_embed.formats.text import reader as text_format

pytestmark = pytest.mark.usefixtures("both_kernels")

ROWS = [
    ("the", (1.0, 2.0)),
    ("paris", (3.0, 4.0)),
    ("Paris", (5.0, 6.0)),
    ("unk", (7.0, 8.0)),
    ("the", (9.0, 9.0)),
]


def build(vocabulary, rows=ROWS, **options):
    return pe.build_matrix(vocabulary, reader_of(rows), **grouped(**options))


# Alignment

token = st.sampled_from(["a", "b", "c", "A", "<pad>", "<unk>", "é", "\u00a0", "a b"])
vocabularies = st.builds(
    lambda ids, pad, unk, counts: pe.Vocabulary(
        ids,
        pad=pad,
        unk=unk,
        counts=dict.fromkeys(ids, 3) if counts else None,
    ),
    st.lists(token, min_size=1, unique=True)
    | st.dictionaries(token, st.integers(0, 30), min_size=1).filter(
        lambda ids: len(set(ids.values())) == len(ids)
    ),
    st.sampled_from(["<pad>", None]),
    st.sampled_from([None, "<unk>"]),
    st.booleans(),
)


@given(vocabularies, st.lists(token, min_size=1))
def test_row_i_is_the_vector_of_token_i(vocabulary, tokens):
    rows = [(token, (number, -number)) for number, token in enumerate(tokens, 1)]
    first = {token: row for row, token in reversed(list(enumerate(tokens)))}
    expected = [
        -1 if token is None or id == vocabulary.pad_id else first.get(token, -1)
        for id, token in enumerate(vocabulary.tokens)
    ]
    wanted = {token for token, _ in rows} & set(vocabulary) - {vocabulary.pad_token}
    wanted -= {vocabulary.unk_token}
    if set(vocabulary.specials) == set(vocabulary.ids.values()):
        wanted.add("nothing is looked for")  # and so nothing is missing
    if not wanted:
        with pytest.raises(pe.errors.CoverageError):
            build(vocabulary, rows, oov="zeros")
        return

    matrix = build(vocabulary, rows, oov="zeros")

    assert matrix.shape == (len(vocabulary), 2)
    assert matrix.source_rows.tolist() == expected
    numbers = [row + 1 for row in expected]
    assert matrix.vectors.tolist() == [[n, -n] for n in numbers]
    for id, row in enumerate(expected):
        origin = pe.ledger.Origin(matrix.origin[id])
        assert origin.found == (row >= 0)
        assert (origin is pe.ledger.Origin.UNUSED) == (vocabulary.tokens[id] is None)
        assert (origin is pe.ledger.Origin.PAD) == (id == vocabulary.pad_id)
    occurrences = Counter(tokens)
    sought = set(vocabulary) - {vocabulary.pad_token}
    assert matrix.findings.duplicates == sum(
        occurrences[token] - 1 for token in sought if token in occurrences
    )


def test_the_pad_row_is_zeros_even_where_the_source_has_the_token():
    matrix = build(["the"], [("<pad>", (1, 1)), ("the", (2, 2))])

    assert matrix.vectors.tolist() == [[0, 0], [2, 2]]
    assert matrix.source_rows.tolist() == [-1, 1]


def test_unk_in_the_source_is_a_word_unless_it_is_the_vocabularys():
    word = build(pe.Vocabulary(["the", "unk"], unk="<unk>"), oov="zeros")
    special = build(pe.Vocabulary(["the"], unk="unk"), oov="zeros")

    assert word["unk"].tolist() == [7, 8]
    assert word["<unk>"].tolist() == [0, 0]
    assert special["unk"].tolist() == [7, 8]


def test_bytes_that_are_not_utf_8_are_tokens_of_their_own():
    rows = [("zee\udcff", (1, 1)), ("zee\udcfe", (2, 2))]

    matrix = build(["zee\udcfe", "zee\ufffd", "zee\udcff"], rows, oov="zeros")

    assert matrix.source_rows.tolist() == [-1, 1, -1, 0]


# Forms


@pytest.mark.parametrize(
    ("match", "rows", "origins"),
    [
        ("exact", [0, -1, 2, -1], ["EXACT", "OOV", "EXACT", "OOV"]),
        ("exact,lower", [0, 1, 2, 0], ["EXACT", "LOWER", "EXACT", "LOWER"]),
        (("lower", "exact"), [0, 1, 1, 0], ["EXACT", "LOWER", "LOWER", "LOWER"]),
        (["lower"], [0, 1, 1, 0], ["LOWER", "LOWER", "LOWER", "LOWER"]),
    ],
)
def test_forms_are_tried_in_order_and_recorded(match, rows, origins):
    matrix = build(
        pe.Vocabulary(["the", "PARIS", "Paris", "THE"], pad=None), match=match
    )

    assert matrix.source_rows.tolist() == rows
    assert [pe.ledger.Origin(code).name for code in matrix.origin] == origins
    for row, source in zip(matrix.vectors.tolist(), rows, strict=True):
        assert source < 0 or tuple(row) == ROWS[source][1]


def test_the_unk_token_has_no_forms_but_its_own():
    vocabulary = pe.Vocabulary(["the"], pad=None, unk="UNK")

    exact = build(vocabulary, match="exact,lower", oov="zeros")
    alone = build(pe.Vocabulary(["the"], pad=None, unk="unk"), match="lower")

    assert exact.source_rows.tolist() == [-1, 0]
    assert alone.source_rows.tolist() == [3, 0]


# Not enough found


def test_nothing_found_shows_both_sides():
    with pytest.raises(pe.errors.CoverageError) as caught:
        build(["le", "chat"], match="exact,lower")

    message = str(caught.value)
    assert "begins 'le', 'chat'; the source begins 'the', 'paris', 'Paris'" in message
    assert "match was exact,lower" in message
    assert "<pad>" not in message


def test_the_unk_row_alone_is_nothing_found():
    with pytest.raises(pe.errors.CoverageError, match="no token of the vocabulary"):
        build(pe.Vocabulary(["le"], unk="unk"))


@pytest.mark.parametrize(("least", "enough"), [(0.5, True), (0.51, False), (1, False)])
def test_less_than_the_least_coverage_is_an_error(least, enough):
    vocabulary = pe.Vocabulary(["the", "le"], unk="unk")
    if enough:
        assert build(vocabulary, coverage=least).coverage.ratio == 0.5
        return
    with pytest.raises(pe.errors.CoverageError, match=r"50\.0 % of the tokens.*'le'"):
        build(vocabulary, coverage=least)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"match": "lwer"}, r"'lwer'.*known: exact, lower, .*; did you mean 'lower'"),
        ({"match": ()}, "one at least"),
        ({"match": "exact,exact"}, "each form once"),
        ({"oov": "norml"}, r"oov='norml'.*did you mean 'normal'"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is"),
        ({"seed": True}, "seed is True"),
        ({"coverage": 1.1}, "0 to 1"),
        ({"coverage": float("nan")}, "0 to 1"),
        ({"threads": 0}, "at least 1"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(pe.errors.OptionError, match=message):
        build(["the"], **options)


# The same result every time


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A file of some parts, its rows out of order and with duplicates."""
    rng = np.random.default_rng(0)
    tokens = [f"w{number}" for number in rng.integers(0, 5_000, 12_000)]
    vectors = rng.normal(size=(12_000, 4)).round(4).tolist()
    path = tmp_path_factory.mktemp("large") / "large.txt"
    path.write_bytes(text(zip(tokens, vectors, strict=True)))
    return path


@pytest.fixture
def reference(large) -> pe.EmbeddingMatrix:
    return pe.build_matrix([f"W{n}" for n in range(0, 6_000, 7)], large, match="lower")


@pytest.mark.parametrize("threads", [1, 2, 7, None])
def test_threads_change_nothing(large, reference, monkeypatch, threads):
    monkeypatch.setattr(text_format, "_SMALLEST_SPLIT", 8192)

    matrix = pe.build_matrix(
        list(reference.vocabulary)[1:],
        large,
        match="lower",
        work=pe.Work(threads=threads),
    )

    assert matrix.vectors.tobytes() == reference.vectors.tobytes()
    assert matrix.origin.tobytes() == reference.origin.tobytes()
    assert matrix.source_rows.tobytes() == reference.source_rows.tobytes()
    assert matrix.findings == reference.findings
    assert matrix.provenance == reference.provenance
    assert matrix.coverage.oov > 0
    assert matrix.findings.duplicates > 0


def test_a_reader_that_is_given_stays_open():
    reader = reader_of(ROWS)

    one = pe.build_matrix(["the"], reader)
    two = pe.build_matrix(["the"], reader)

    assert one.vectors.tobytes() == two.vectors.tobytes()


def test_bad_rows_are_left_out_of_all_of_it_where_asked(tmp_path):
    path = tmp_path / "f.txt"
    path.write_bytes(b"a 1 1\nbad\nb 3 3\nalso 1 x\n")

    matrix = pe.build_matrix(
        ["a", "also", "zzz"], path, oov="mean", limits=pe.Limits(bad_rows=1.0)
    )

    assert matrix.vectors.tolist() == [[0, 0], [1, 1], [2, 2], [2, 2]]
    assert [doubt.line for doubt in matrix.findings.doubts] == [2, 4]
    with pytest.raises(pe.errors.RowError, match="line 2"):
        pe.build_matrix(["a"], path)


def test_provenance_says_how_to_build_it_again(tmp_path):
    path = tmp_path / "f.txt"
    path.write_bytes(text(ROWS))

    matrix = pe.build_matrix(
        ["the", "le"],
        path,
        recipe=pe.Recipe(match="lower,exact", seed=3, special_oov={"le": "mean"}),
    )

    assert json.loads(json.dumps(matrix.provenance)) == matrix.provenance
    assert matrix.provenance["options"] == {
        "match": ["lower", "exact"],
        "oov": "normal",
        "special_oov": {"le": "mean"},
        "seed": 3,
        "version": 1,
        "combine": "fill",
        "scale": None,
        "normalize_each": False,
        "align": None,
        "postprocess": [],
        "layout": None,
        "dtype": "float32",
    }
    source = matrix.provenance["source"]
    assert (source["format"], source["rows"], source["dim"]) == ("text", 5, 2)
    assert matrix.provenance["versions"]["numpy"] == np.__version__


def test_a_build_reports_its_progress(large):
    seen = []

    pe.build_matrix(["w1"], large, progress=lambda *at: seen.append(at))

    assert seen[-1] == (large.stat().st_size, large.stat().st_size)
