"""Advice, bands of frequency, and the least coverage that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from composing import ComposingReader
from grouped import grouped
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.errors import CoverageError, OptionError, ShapeError

COUNTS = {"the": 1000, "Paris": 40, "CAFÉ": 9, "1984": 2, "zzz": 1, "sea-side": 0}
SOURCE = ["the", "paris", "cafe", "####", "sea", "side", "other"]


def build(counts=COUNTS, source=SOURCE, **options) -> pe.EmbeddingMatrix:
    vocabulary = pe.Vocabulary(list(COUNTS), counts=counts)
    rows = [(token, (n, -n)) for n, token in enumerate(source, 1)]
    return pe.build_matrix(
        vocabulary, reader_of(rows), **grouped(**{"advise": True} | options)
    )


def test_advice_names_what_adds_most_of_the_text_first():
    coverage = build().coverage

    assert [(one.form, one.tokens, one.more) for one in coverage.advice] == [
        ("lower", 1, 1),
        ("strip-accents+lower", 1, 1),
        ("digits-hash", 1, 1),
        ("compound", 1, 1),
    ]
    assert coverage.advice[0].occurrences == coverage.advice[0].more_occurrences == 40
    assert str(coverage).endswith(
        "`lower` would find 1 more (3.8 % of the text), `strip-accents+lower` after it "
        "1 more (0.9 % of the text), `digits-hash` after it 1 more (0.2 % of the text)."
    )


def test_without_counts_advice_is_by_tokens():
    coverage = build(counts=None, source=["the", "PARIS", "ZZZ", "cafe"]).coverage

    assert (coverage.advice[0].form, coverage.advice[0].tokens) == ("upper", 2)
    assert coverage.advice[0].occurrences is None
    assert "`upper` would find 2 more (33.3 % of the tokens)" in str(coverage)


def test_the_missing_tokens_tell_what_would_find_them():
    missing = build(match="exact,lower").coverage.missing

    assert [(one.token, one.occurrences, one.found_by) for one in missing] == [
        ("CAFÉ", 9, ("strip-accents+lower",)),
        ("1984", 2, ("digits-hash",)),
        ("zzz", 1, ()),
        ("sea-side", 0, ("compound",)),
    ]


def test_advice_costs_nothing_unless_it_is_asked_for():
    matrix, advised = build(advise=False), build()

    assert matrix.advice is None
    assert matrix.coverage.advice == ()
    assert "would find" not in str(matrix.coverage)
    for name in ("vectors", "origin", "source_rows"):
        assert getattr(matrix, name).tobytes() == getattr(advised, name).tobytes()


def test_bands_tell_of_tokens_by_how_often_they_occur():
    bands = build().coverage.bands

    assert [tuple(band) for band in bands] == [
        (0, 0, 1, 0),
        (1, 1, 1, 0),
        (2, 9, 2, 0),
        (10, 99, 1, 0),
        (1000, 9999, 1, 1),
    ]
    assert build(counts=None).coverage.bands == ()


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_advice_is_saved(tmp_path, suffix):
    matrix = build()

    matrix.save(tmp_path / f"m{suffix}")
    back = pe.load_matrix(tmp_path / f"m{suffix}")

    assert back.coverage == matrix.coverage
    assert not back.advice.found_by.flags.writeable
    with pytest.raises(ShapeError, match="advice of shape"):
        pe.EmbeddingMatrix(
            matrix.vectors,
            matrix.vocabulary,
            advice=matrix.advice._replace(found_by=np.zeros(2, np.uint32)),
        )


def test_where_nothing_is_found_the_error_has_advice():
    with pytest.raises(CoverageError, match=r"`upper` would find 1 more"):
        build(source=["PARIS", "other"])


# Several sources


@pytest.mark.parametrize("combine", ["fill", "concat", "average"])
def test_advice_on_several_sources_is_on_what_none_has(combine):
    vocabulary = pe.Vocabulary(["Paris", "CAT", "zzz", "the"], pad=None)
    sources = [
        reader_of([("the", (1, 1)), ("paris", (2, 2)), ("cat", (3, 3))]),
        reader_of([("Paris", (1, 1)), ("ZZZ", (2, 2))]),
    ]

    matrix = pe.build_matrix(
        vocabulary,
        sources,
        recipe=pe.Recipe(combine=combine),
        work=pe.Work(advise=True),
    )

    found_by = {one.token: one.found_by for one in matrix.coverage.missing}
    assert found_by == {"CAT": ("lower",), "zzz": ("upper",)}
    assert [matrix.advice.forms_for(row) for row in (0, 3)] == [(), ()]


# The least that is asked for


@pytest.mark.parametrize(("least", "enough"), [(0.95, True), (0.96, False), (1, False)])
def test_less_than_the_least_share_of_the_text_is_an_error(least, enough):
    if enough:
        ratio = build(text_coverage=least).coverage.occurrences_ratio
        assert ratio == 1000 / 1052
        return
    with pytest.raises(CoverageError, match=r"make up 95\.1 % of the text.*`lower`"):
        build(text_coverage=least)


def test_a_share_of_the_text_needs_counts():
    with pytest.raises(OptionError, match="the vocabulary has no counts"):
        pe.build_matrix(["the"], "no such file", limits=pe.Limits(text_coverage=0.5))


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan")])
def test_a_share_goes_from_0_to_1(least):
    with pytest.raises(OptionError, match=r"text_coverage is .* from 0 to 1"):
        build(text_coverage=least)


def test_oov_tokens_whose_rows_are_made_of_pieces_are_told_apart():
    reader = ComposingReader([("cat", (1.0, 2.0)), ("s", (3.0, 4.0))], pieces="x")
    vocabulary = pe.Vocabulary(["cat", "fox", "ox", "cats", "zzz", "[MASK]"])

    coverage = pe.build_matrix(vocabulary, reader, oov="subword,parts,zeros").coverage

    assert coverage.made_of == {"subwords": 2, "parts": 1}
    assert coverage.to_dict()["made_of"] == coverage.made_of
    assert "5 are OOV (filled 2 from subwords, 1 from parts). First" in str(coverage)
    assert pe.build_matrix(vocabulary, reader, oov="zeros").coverage.made_of == {}


def test_duplicates_are_those_of_tokens_that_are_looked_for():
    source = ["the", "paris", "the", "cafe", "paris", "paris", "other", "other"]

    for match, repeated in (("exact", 1), ("exact,lower", 3)):
        for advise in (False, True):
            built = build(source=source, match=match, advise=advise)
            assert built.findings.duplicates == repeated
            assert built.findings.rows == len(source)
        compared = pe.coverage(
            built.vocabulary,
            reader_of([(token, (1.0, 2.0)) for token in source]),
            match=match,
        )
        assert compared.located[0].findings.duplicates == repeated
