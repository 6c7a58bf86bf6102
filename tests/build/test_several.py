from __future__ import annotations

import json

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import Rows, reader_of, text

import pretrained_embed as pe
from pretrained_embed.formats import Reader

pytestmark = pytest.mark.usefixtures("both_kernels")

ONE = [("the", (1.0, 2.0)), ("paris", (3.0, 4.0)), ("cat", (5.0, -1.0))]
TWO = [("Paris", (6.0, 7.0)), ("dog", (8.0, 9.0)), ("the", (0.5, 0.5))]
WIDE = [("the", (3.0, 0.0, 4.0)), ("dog", (0.0, 2.0, 0.0)), ("cat", (1.0, 1.0, 1.0))]


def build(vocabulary, *sources: Rows, **options) -> pe.EmbeddingMatrix:
    return pe.build_matrix(
        vocabulary, list(map(reader_of, sources)), **grouped(**options)
    )


def names(codes) -> list[str]:
    return [pe.ledger.Origin(code).name for code in codes]


# Filling gaps


def test_gaps_are_filled_from_the_next_source():
    matrix = build(["the", "dog", "le", "cat"], ONE, TWO, oov="zeros")

    assert matrix.vectors.tolist() == [[0, 0], [1, 2], [8, 9], [0, 0], [5, -1]]
    assert matrix.sources.tolist() == [-1, 0, 1, -1, 0]
    assert matrix.source_rows.tolist() == [-1, 0, 1, -1, 2]
    assert names(matrix.origin) == ["PAD", "EXACT", "EXACT", "OOV", "EXACT"]
    assert matrix.coverage.found == 3


def test_all_forms_of_one_source_come_before_the_next_source():
    one = build(["Paris"], ONE, TWO, match="exact,lower")
    other = build(["Paris"], TWO, ONE, match="exact,lower")

    assert (one["Paris"].tolist(), names(one.origin[1:])) == ([3, 4], ["LOWER"])
    assert (other["Paris"].tolist(), names(other.origin[1:])) == ([6, 7], ["EXACT"])


token = st.sampled_from(["a", "b", "c", "A", "B", "é", "a b", "<unk>"])
sources = st.lists(st.lists(token, min_size=1, unique=True), min_size=1, max_size=4)


def rows_of(number: int, tokens: list[str], dim: int = 2) -> Rows:
    """Rows whose numbers tell of source, row and dimension."""
    return [
        (token, [100.0 * (number + 1) + 10 * row + d for d in range(dim)])
        for row, token in enumerate(tokens)
    ]


@given(sources, st.lists(token, min_size=1, unique=True))
def test_a_row_is_that_of_the_first_source_with_the_token(several, wanted):
    tables = [dict(rows_of(*pair)) for pair in enumerate(several)]
    vocabulary = pe.Vocabulary([*wanted, "x"], unk="<unk>")
    try:
        matrix = build(
            vocabulary,
            *(table.items() for table in tables),
            match="exact,lower",
            oov="zeros",
        )
    except pe.errors.CoverageError:
        found = {form for token in wanted for form in (token, token.lower())}
        assert not (found - {"<unk>"}) & {t for table in tables for t in table}
        return

    for token in vocabulary:
        forms = [token] if token == "<unk>" else [token, token.lower()]
        hits = [
            (number, form)
            for number, table in enumerate(tables)
            for form in forms
            if form in table
        ]
        id = vocabulary[token]
        if not hits:
            assert (matrix.sources[id], matrix.source_rows[id]) == (-1, -1)
            assert not matrix.vectors[id].any()
            continue
        number, form = hits[0]
        assert matrix.sources[id] == number
        assert matrix.source_rows[id] == several[number].index(form)
        assert matrix[token].tolist() == tables[number][form]
        assert names([matrix.origin[id]]) == ["EXACT" if form == token else "LOWER"]


def test_each_source_that_fills_gaps_has_its_own_factor():
    options = {"scale": (2, 10), "oov": "mean"}

    matrix = build(["the", "dog", "zzz"], ONE, TWO, **options)

    mean = np.mean([row for _, row in ONE], axis=0, dtype=np.float64)
    np.testing.assert_allclose(
        matrix.vectors[1:], [[2, 4], [80, 90], 2 * mean], rtol=1e-6
    )


def test_oov_rows_are_filled_from_the_first_source_alone():
    alone = build(["the", "zzz"], ONE)
    filled = build(["dog", "the", "zzz"], ONE, TWO)

    assert filled["zzz"].tobytes() == alone["zzz"].tobytes()


@pytest.mark.parametrize("combine", pe.Recipe.choices()["combine"])
def test_other_tokens_never_move_a_row(combine):
    small = build(["zzz", "the"], ONE, TWO, combine=combine)
    large = build(["dog", "x", "the", "y", "zzz"], ONE, TWO, combine=combine)

    for token in ("the", "zzz"):
        assert small[token].tobytes() == large[token].tobytes()


def test_a_source_after_the_last_gap_is_not_read():
    matrix = build(["the"], ONE, TWO)

    assert matrix.findings.rows == len(ONE)
    assert matrix.provenance["sources"][1]["coverage"] == {"tokens": 0, "found": 0}


def test_one_source_in_a_list_is_that_source():
    one = build(["the", "zzz"], ONE)
    listed = pe.build_matrix(["the", "zzz"], reader_of(ONE))

    assert one.vectors.tobytes() == listed.vectors.tobytes()
    assert one.provenance == listed.provenance


class Composing(Reader):
    """Composes a vector of ones for every token, as a model of subwords would."""

    composes = True

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self.format, self.name, self.dim = inner.format, "subwords", inner.dim

    def packed_blocks(self, **options):
        return self._inner.packed_blocks(**options)

    def select(self, *args, **options):
        return self._inner.select(*args, **options)

    def compose(self, tokens, out):
        out[:] = 1
        return np.ones(len(tokens), np.bool_)

    @property
    def findings(self):
        return self._inner.findings


def test_subwords_are_those_of_the_first_source_that_has_such():
    readers = [reader_of(ONE), Composing(reader_of(TWO))]

    matrix = pe.build_matrix(
        ["the", "dog", "zzz"], readers, recipe=pe.Recipe(oov="subword", scale=(1, 3))
    )

    assert matrix["zzz"].tolist() == [3, 3]
    assert matrix.sources.tolist() == [-1, 0, 1, 1]
    assert names(matrix.origin) == ["PAD", "EXACT", "EXACT", "SUBWORD"]


def test_where_one_source_has_subwords_the_others_are_not_asked_for_them():
    readers = [reader_of(ONE), Composing(reader_of(TWO))]
    vocabulary = pe.Vocabulary(["the", "zzz"], unk="<unk>")
    options = {"combine": "concat", "special_oov": {"unk": "subword,zeros"}}

    matrix = pe.build_matrix(
        vocabulary, readers, **grouped(oov="subword,mean", **options)
    )

    mean = np.mean([row for _, row in ONE], axis=0, dtype=np.float64)
    np.testing.assert_allclose(matrix["zzz"], [*mean, 1, 1], rtol=1e-6)
    assert matrix["<unk>"].tolist() == [0, 0, 1, 1]
    with pytest.raises(pe.errors.OptionError, match="no subword pieces"):
        build(["the", "zzz"], ONE, TWO, combine="concat", oov="subword")


# Concatenation and average


def oracle(
    vocabulary: pe.Vocabulary,
    alone: list[pe.EmbeddingMatrix],
    combine: str,
    scale: tuple[float, ...],
    normalize: bool,
) -> np.ndarray:
    """What is to come of the matrices that each source gives alone."""
    parts = [matrix.vectors.astype(np.float64) for matrix in alone]
    if normalize:
        lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
        parts = [
            np.divide(part, length, where=length > 0, out=np.zeros_like(part))
            for part, length in zip(parts, lengths, strict=True)
        ]
    parts = [part * factor for part, factor in zip(parts, scale, strict=True)]
    if combine == "concat":
        return np.hstack(parts)
    widest = max(part.shape[1] for part in parts)
    padded = [np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in parts]
    out = np.zeros_like(padded[0])
    for id in range(len(vocabulary)):
        have = [
            part[id]
            for part, matrix in zip(padded, alone, strict=True)
            if pe.ledger.Origin(matrix.origin[id]).found
        ]
        out[id] = np.mean(have or [part[id] for part in padded], axis=0)
    return out


@given(
    st.lists(st.lists(token, min_size=1, unique=True), min_size=2, max_size=3),
    st.sampled_from(["concat", "average"]),
    st.lists(st.sampled_from([0.5, 1.0, -2.0]), min_size=3, max_size=3),
    st.booleans(),
    st.sampled_from(["zeros", "mean"]),
)
def test_combined_rows_are_made_of_what_each_source_gives(
    several, combine, scale, normalize, oov
):
    tables = [
        [*rows_of(number, tokens, dim=number + 1), ("x", [1.0] * (number + 1))]
        for number, tokens in enumerate(several)
    ]
    vocabulary = pe.Vocabulary(["a", "B", "é", "x", "zzz"], unk="<unk>")
    options = {"match": "exact,lower", "oov": oov, "seed": 3}

    matrix = build(
        vocabulary,
        *tables,
        combine=combine,
        scale=scale[: len(tables)],
        normalize_each=normalize,
        **options,
    )

    alone = [build(vocabulary, table, **options) for table in tables]
    expected = oracle(vocabulary, alone, combine, scale[: len(tables)], normalize)
    np.testing.assert_allclose(matrix.vectors, expected, rtol=2e-7, atol=1e-7)
    for part, one in zip(matrix.parts, alone, strict=True):
        assert part.source_rows.tolist() == one.source_rows.tolist()
        assert (part.origin >= pe.ledger.Origin.EXACT).tolist() == [
            pe.ledger.Origin(code).found for code in one.origin
        ]
    for id in range(len(vocabulary)):
        have = [k for k, one in enumerate(alone) if one.source_rows[id] >= 0]
        assert matrix.sources[id] == (have[0] if have else -1)
        assert pe.ledger.Origin(matrix.origin[id]).found == bool(have)


@pytest.mark.parametrize("policy", ["normal", "uniform"])
@pytest.mark.parametrize("combine", ["concat", "average"])
def test_what_is_drawn_for_several_sources_is_independent(policy, combine):
    tokens = [f"zz{number}" for number in range(400)]
    options = {"oov": policy, "seed": 1}

    alone = build([*tokens, "the"], ONE, **options).vectors[1:401]
    both = build([*tokens, "the"], ONE, ONE, combine=combine, **options).vectors[1:401]

    second = both[:, 2:] if combine == "concat" else 2 * both - alone
    assert combine == "average" or both[:, :2].tobytes() == alone.tobytes()
    for one, other in zip(alone.T, second.T, strict=True):
        assert np.std(other) == pytest.approx(np.std(one), rel=0.2)
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2
    again = build(["the", tokens[7]], ONE, ONE, combine=combine, **options)
    assert again[tokens[7]].tobytes() == both[7].tobytes()


def test_vectors_side_by_side_are_those_of_the_sources_to_the_bit():
    matrix = build(["the", "dog"], ONE, WIDE, combine="concat", oov="zeros")

    assert matrix.vectors.tolist() == [
        [0, 0, 0, 0, 0],
        [1, 2, 3, 0, 4],
        [0, 0, 0, 2, 0],
    ]
    assert names(matrix.parts[0].origin) == ["PAD", "EXACT", "OOV"]


def test_an_average_leaves_out_sources_without_the_token():
    matrix = build(["the", "dog"], ONE, WIDE, combine="average")

    assert matrix.vectors.tolist() == [[0, 0, 0], [2, 1, 2], [0, 2, 0]]
    assert names(matrix.parts[0].origin) == ["PAD", "EXACT", "OOV"]


def test_an_average_may_forbid_oov_though_not_all_sources_have_a_token():
    assert build(["dog"], ONE, WIDE, combine="average", oov="error").coverage.oov == 0
    with pytest.raises(pe.errors.OOVError, match="zzz"):
        build(["dog", "zzz"], ONE, WIDE, combine="average", oov="error")
    with pytest.raises(pe.errors.OOVError, match="dog"):
        build(["the", "dog"], ONE, WIDE, combine="concat", oov="error")


def test_normalised_and_weighted_as_in_the_literature():
    matrix = build(
        ["the"], ONE, WIDE, combine="concat", normalize_each=True, scale=(1, 8)
    )

    expected = [1 / 5**0.5, 2 / 5**0.5, 8 * 0.6, 0, 8 * 0.8]
    np.testing.assert_allclose(matrix["the"], expected, rtol=1e-7)


def test_found_in_any_source_is_found():
    matrix = build(["the", "dog", "paris", "zzz"], ONE, WIDE, combine="concat")

    assert (matrix.coverage.found, matrix.coverage.tokens) == (3, 4)
    assert [s["coverage"] for s in matrix.provenance["sources"]] == [
        {"tokens": 4, "found": 2},
        {"tokens": 4, "found": 2},
    ]


# What is said


def test_the_provenance_tells_of_all_sources_and_options(tmp_path):
    paths = [tmp_path / "one.txt", tmp_path / "wide.txt"]
    for path, rows in zip(paths, (ONE, WIDE), strict=True):
        path.write_bytes(text(rows))

    matrix = pe.build_matrix(
        ["the", "dog"],
        paths,
        recipe=pe.Recipe(combine="average", scale=[1, 0.5], normalize_each=True),
    )

    assert json.loads(json.dumps(matrix.provenance)) == matrix.provenance
    assert [s["name"] for s in matrix.provenance["sources"]] == list(map(str, paths))
    assert [s["dim"] for s in matrix.provenance["sources"]] == [2, 3]
    assert all("fingerprint" in s for s in matrix.provenance["sources"])
    options = matrix.provenance["options"]
    assert (options["combine"], options["scale"]) == ("average", [1, 0.5])
    assert options["normalize_each"] is True


def test_findings_say_which_source_they_are_of(tmp_path):
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path in paths:
        path.write_bytes(text(ONE) + b"bad 1\nthe 1 1")

    matrix = pe.build_matrix(["the", "zzz"], paths, limits=pe.Limits(bad_rows=1.0))

    assert (matrix.findings.rows, matrix.findings.bad_rows) == (10, 2)
    assert [doubt.what.partition(":")[0] for doubt in matrix.findings.doubts] == list(
        map(str, paths)
    )
    assert all(note.startswith(str(tmp_path)) for note in matrix.findings.notes)


# What does not go together


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"memory has vectors of 2 dimensions and memory of 3; combine='concat'"),
        ({"combine": "concatenate"}, "it can be fill, concat, average; did you mean"),
        ({"combine": "concat", "scale": (1,)}, "1 factors for 2 sources"),
        ({"combine": "concat", "scale": (1, 0)}, "scale has 0"),
        ({"combine": "concat", "scale": (1, float("nan"))}, "scale has nan"),
        ({"combine": "concat", "scale": 2}, "scale is 2"),
        ({"combine": "concat", "scale": ("1", "2")}, "scale has '1'"),
    ],
)
def test_sources_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(pe.errors.OptionError, match=message):
        build(["the"], ONE, WIDE, **options)


def test_no_source_at_all_is_refused():
    with pytest.raises(pe.errors.OptionError, match="list of sources is empty"):
        pe.build_matrix(["the"], [])


@pytest.mark.parametrize("combine", ["fill", "concat"])
def test_nothing_found_anywhere_names_all_sources(tmp_path, combine):
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path in paths:
        path.write_bytes(text(ONE))

    with pytest.raises(
        pe.errors.CoverageError, match=r"one\.txt or .*two\.txt\. The voc"
    ):
        pe.build_matrix(["le"], paths, recipe=pe.Recipe(combine=combine))


def test_too_little_is_too_little_of_all_sources():
    assert build(["paris", "dog"], ONE, TWO, coverage=1).coverage.ratio == 1
    with pytest.raises(pe.errors.CoverageError, match="66"):
        build(["paris", "dog", "le"], ONE, TWO, coverage=0.7)


def test_every_source_that_was_opened_here_is_closed(tmp_path, monkeypatch):
    path = tmp_path / "one.txt"
    path.write_bytes(text(ONE))
    closed = []
    monkeypatch.setattr(Reader, "close", lambda reader: closed.append(reader.name))

    pe.build_matrix(["the"], [path, reader_of(TWO)])

    assert closed == [str(path)]
