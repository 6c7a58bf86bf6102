"""The forms of a match chain, one by one and in order."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from grouped import grouped
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.lookup.match_text import strip_accents
from pretrained_embed.lookup.search import texts_of

pytestmark = pytest.mark.usefixtures("both_kernels")


def build(tokens, source, match, **options) -> pe.EmbeddingMatrix:
    """Build from a source whose row i is (i + 1, -i - 1)."""
    rows = [(token, (n, -n)) for n, token in enumerate(source, 1)]
    vocabulary = tokens
    if not isinstance(tokens, pe.Vocabulary):
        vocabulary = pe.Vocabulary(tokens, pad=None)
    options = {"oov": "zeros"} | options
    return pe.build_matrix(
        vocabulary, reader_of(rows), **grouped(match=match, **options)
    )


def label(matrix, token) -> str:
    code = matrix.origin[matrix.vocabulary[token]]
    return pe.ledger.Origin(code).label(matrix.match)


# Each form


@pytest.mark.parametrize(
    ("form", "token", "found"),
    [
        ("lower", "PARIS", "paris"),
        ("title", "paris", "Paris"),
        ("title", "new york", "New York"),
        ("title", "o'neill", "O'Neill"),
        ("title", "o'neill", "O'neill"),
        ("title", "don't", "Don't"),
        ("upper", "nasa", "NASA"),
        ("upper", "straße", "STRASSE"),
        ("nfc", "cafe\u0301", "café"),
        ("nfkc", "ﬁne①", "fine1"),
        ("strip-accents", "Ångström", "Angstrom"),
        ("strip-accents", "한국étude", "한국etude"),
        ("digits-hash", "1984", "####"),
        ("digits-hash", "b2b", "b#b"),
        ("digits-hash", "3.14", "#.##"),
        ("digits-hash", "3.14", "3.##"),
        ("digits-zero", "b-52", "b-00"),
        ("quotes", "don’t", "don't"),
        ("quotes", "“1990–95”", '"1990-95"'),
        ("quotes", "don't", "don’t"),
        ("joined", "new york city", "new_york_city"),
        ("joined", "new_york", "new york"),
        ("joined", "new-york", "new_york"),
        ("joined", "new york", "new-york"),
        ("conceptnet", "The New York", "/c/en/new_york"),
        ("conceptnet", "The New York", "new_york"),
        ("conceptnet:de", "Hund", "/c/de/hund"),
        ("lower+strip-accents", "CAFÉ", "cafe"),
        ("digits-hash+lower", "B-3.14", "b-3.##"),
        ("joined+title", "new_york", "New York"),
    ],
)
def test_a_form_is_found_and_recorded(form, token, found):
    matrix = build([token], ["other", found], f"exact,{form}")

    assert matrix[token].tolist() == [2, -2]
    assert label(matrix, token) == form
    assert matrix.source_rows.tolist() == [1]
    assert matrix.coverage.by_origin == {form: 1}


@pytest.mark.parametrize(
    ("form", "token", "source"),
    [
        ("joined", "-s", "_s"),
        ("joined", "-", "_"),
        ("digits-hash", "b2b", "#2#"),
        ("compound", "-s", "s"),
    ],
)
def test_a_form_does_not_find_what_it_is_not(form, token, source):
    matrix = build(["a", "b", token], ["a", "b", source], f"exact,{form}")

    assert label(matrix, token) == "oov"


def test_nothing_at_all_is_no_form():
    accents = texts_of(["\u0301", "é"], [strip_accents("\u0301"), strip_accents("é")])

    assert accents.texts == ["e"]


def test_the_likelier_variant_of_a_form_wins():
    matrix = build(["3.14"], ["3.##", "#.##"], "digits-hash")

    assert matrix.source_rows.tolist() == [1]


@pytest.mark.parametrize(
    ("marks", "tokens", "source_rows"),
    [
        ("wordpiece", ["ing", "##ing", "##s"], [0, 0, -1]),
        ("sentencepiece", ["▁café", "ing", "▁"], [1, 0, -1]),
        ("byte-level", ["ĠcafÃ©", "ing", "Ã"], [1, 0, -1]),
        (None, ["▁café", "▁ing", "▁"], [1, 0, -1]),
    ],
)
def test_marks_are_those_of_the_vocabulary(marks, tokens, source_rows):
    vocabulary = pe.Vocabulary(tokens, pad=None, marks=marks)

    matrix = build(vocabulary, ["ing", "café"], "exact,unmarked")

    assert matrix.source_rows.tolist() == source_rows


# Compounds


def test_a_compound_is_the_mean_of_its_parts():
    source = ["state", "of", "the", "art"]

    matrix = build(["state-of-the-art", "of/the"], source, "exact,compound")

    assert matrix.vectors.tolist() == [[2.5, -2.5], [2.5, -2.5]]
    assert [label(matrix, token) for token in matrix.vocabulary] == ["compound"] * 2
    assert matrix.source_rows.tolist() == [-1, -1]
    assert matrix.shape == (2, 2)
    assert matrix.vectors.base is None  # the parts' own rows are gone


def test_all_parts_have_to_be_there():
    matrix = build(
        ["state-of-the-zzz", "the"], ["state", "of", "the"], "compound,exact"
    )

    assert label(matrix, "state-of-the-zzz") == "oov"


def test_a_part_that_stands_twice_counts_twice():
    matrix = build(["a-b-a"], ["a", "b"], "compound")

    np.testing.assert_array_equal(matrix["a-b-a"], np.float32([4 / 3, -4 / 3]))


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("exact,compound,joined", "compound"),
        ("exact,joined,compound", "joined"),
        ("compound", "compound"),
        ("joined", "joined"),
    ],
)
def test_a_compound_has_its_place_in_the_order(match, expected):
    matrix = build(["new-york"], ["new", "york", "new_york"], match)

    assert label(matrix, "new-york") == expected


def test_parts_are_looked_for_by_the_whole_chain():
    source = ["new", "York", "york"]

    strict = build(["New-York", "new"], source, "exact,compound")
    chain = build(["New-York"], source, "exact,lower,compound")
    backwards = build(["New-York"], source, "lower,exact,compound")

    assert label(strict, "New-York") == "oov"
    assert chain["New-York"].tolist() == [1.5, -1.5]
    assert backwards["New-York"].tolist() == [2, -2]


def test_a_compound_may_be_changed_before_it_is_split():
    matrix = build(["New-York"], ["new", "york"], "exact,lower+compound")

    assert matrix["New-York"].tolist() == [1.5, -1.5]
    assert label(matrix, "New-York") == "lower+compound"


def test_the_likelier_variant_of_a_compound_wins():
    matrix = build(["o'a-b"], ["O'a", "b", "O'A", "B"], "title+compound")

    assert matrix["o'a-b"].tolist() == [3.5, -3.5]


# Functions


def second(token):
    return {"one": "eins", "two": ("zwei", "deux"), "x": iter(["y"])}.get(token)


def test_a_function_gives_a_form_several_or_none():
    matrix = build(
        ["one", "two", "three", "x"], ["deux", "eins", "three", "y"], ["exact", second]
    )

    assert matrix.source_rows.tolist() == [1, 0, 2, 3]
    assert label(matrix, "two") == "callable second"
    assert matrix.provenance["options"]["match"] == ["exact", "callable second"]
    assert matrix.coverage.by_origin == {"exact": 1, "callable second": 3}


def test_a_function_may_be_the_whole_chain():
    assert build(["ONE"], ["one"], str.lower).source_rows.tolist() == [0]


@pytest.mark.parametrize("wrong", [7, b"one", ["a", None], "\ud800", [["a"]]])
def test_a_function_that_returns_no_text_is_refused(wrong):
    with pytest.raises(
        pe.errors.OptionError, match=r"<lambda> of match returned .* 'one'"
    ):
        build(["one"], ["one"], lambda token: wrong)


def test_a_function_may_fail_in_its_own_way():
    def fail(token):
        raise LookupError(token)

    with pytest.raises(LookupError):
        build(["one"], ["one"], fail)


def test_more_forms_than_can_be_told_apart_are_refused():
    with pytest.raises(pe.errors.OptionError, match="more than 128 forms"):
        build(["one"], ["one"], lambda token: [f"{token}{n}" for n in range(129)])


# Special tokens


def test_special_tokens_are_looked_for_as_they_stand_alone():
    vocabulary = pe.Vocabulary(
        ["Word", "[MASK]", "UNK"], unk="UNK", special_tokens={"mask": "[MASK]"}
    )
    source = ["word", "[mask]", "unk", "[MASK]", "<pad>"]

    lower = build(vocabulary, source, "lower")
    both = build(vocabulary, source, "exact,lower")

    for matrix in (lower, both):
        assert matrix.source_rows.tolist() == [-1, 0, 3, -1]
        assert label(matrix, "[MASK]") == "exact"


# Lemmas and stems


def test_a_lemma_is_found():
    pytest.importorskip("simplemma", reason="the lemmas are its")

    matrix = build(["mice", "Running"], ["mouse", "run"], "exact,lemma:en")

    assert matrix.source_rows.tolist() == [0, 1]
    assert label(matrix, "mice") == "lemma:en"
    with pytest.raises(pe.errors.OptionError, match="lemma:xx: simplemma has no such"):
        build(["mice"], ["mouse"], "lemma:xx")


@pytest.mark.parametrize("language", ["en", "english"])
def test_a_stem_is_found(language):
    pytest.importorskip("snowballstemmer", reason="the stems are its")

    matrix = build(["cats"], ["cat"], f"exact,stem:{language}")

    assert label(matrix, "cats") == f"stem:{language}"
    with pytest.raises(pe.errors.OptionError, match=r"did you mean 'english'"):
        build(["cats"], ["cat"], "stem:englisch")


@pytest.mark.parametrize(
    ("form", "package"), [("lemma", "simplemma"), ("stem", "snowballstemmer")]
)
def test_without_its_package_a_form_says_what_to_install(form, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(pe.errors.MissingPackageError, match=f"pip install {package}"):
        build(["cats"], ["cat"], f"exact,{form}:en")


# What is no chain


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("exact,lwer", r"unknown form 'lwer'.*did you mean 'lower'"),
        ("lower+strip-acents", r"unknown form 'strip-acents'.*'strip-accents'"),
        ("concepnet:de", r"unknown form 'concepnet:de'.*did you mean 'conceptnet'"),
        ("", "unknown form ''"),
        ([], "match is empty"),
        (("exact", "exact"), "name each form once"),
        ([str.lower, str.lower], "name each form once"),
        ("lemma", "'lemma'; it needs a language: 'lemma:en'"),
        ("lemma:", "needs a language"),
        ("lower:de", "'lower' has no languages"),
        ("conceptnet:EN", "a code of a language"),
        ("lower+lower", "names each form once"),
        ("lower+exact", "'exact' nowhere"),
        ("compound+lower", "'compound' at its end only"),
        ([3], "a form is a name or a callable"),
        (3, "a form is a name or a callable"),
        ([["lower"]], "a form is a name or a callable"),
        ([f"lower+nfc{'+nfkc' * n}" for n in range(65)], "65 forms; 64 are the most"),
    ],
)
def test_what_is_no_chain_is_refused_before_anything_is_read(match, message):
    with pytest.raises(pe.errors.OptionError, match=message):
        pe.build_matrix(["a"], "no such file", match=match)


# Codes of the ledger


def test_forms_of_a_chains_own_have_codes_by_their_place():
    matrix = build(["A", "É"], ["a", "e"], "lower+nfc,exact,lower+strip-accents")

    assert matrix.origin.tolist() == [64, 66]
    assert [pe.ledger.Origin(code).name for code in (64, 66)] == ["FORM_0", "FORM_2"]
    assert pe.ledger.Origin(66).found
    assert pe.ledger.Origin(66).label() == "form-2"  # of a chain that is not known


@pytest.mark.parametrize("code", [6, 15, 30, 63, 128, 255, "exact"])
def test_other_codes_mean_nothing(code):
    with pytest.raises(ValueError, match="is not a valid Origin"):
        pe.ledger.Origin(code)


# Saving


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors"])
def test_forms_of_a_chains_own_are_saved(tmp_path, suffix):
    matrix = build(["CAFÉ", "x"], ["cafe"], "exact,lower+strip-accents")

    matrix.save(tmp_path / f"m{suffix}")
    back = pe.load_matrix(tmp_path / f"m{suffix}")

    assert label(back, "CAFÉ") == "lower+strip-accents"
    assert back.coverage == matrix.coverage
