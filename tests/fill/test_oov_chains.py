"""Chains of policies, what special tokens have, and what the ledger says of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from composing import ComposingReader
from grouped import grouped
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.errors import CoverageError, OOVError, OptionError
from pretrained_embed.fill import filling, policy_chain
from pretrained_embed.ledger import Origin

#: Tokens whose n-grams and parts others have.
ROWS = [
    ("snow", (1.0, 0.0)),
    ("snowball", (2.0, 1.0)),
    ("ball", (0.5, 3.0)),
    ("balls", (0.25, 3.5)),
    ("rain", (-1.0, 2.0)),
    ("rainy", (-1.5, 2.5)),
]


def build(vocabulary, reader=None, **options) -> pe.EmbeddingMatrix:
    return pe.build_matrix(vocabulary, reader or reader_of(ROWS), **grouped(**options))


def origins(matrix: pe.EmbeddingMatrix) -> dict[str | None, str]:
    codes = matrix.origin.tolist()
    return {
        token: Origin(code).name
        for token, code in zip(matrix.vocabulary.tokens, codes, strict=True)
    }


# Chains


@pytest.mark.parametrize(
    ("given", "chain"),
    [
        ("zeros", ("zeros",)),
        ("parts", ("parts", "normal")),
        ("ngram, mean", ("ngram", "mean")),
        (
            ["subword", "parts", "ngram", "error"],
            ("subword", "parts", "ngram", "error"),
        ),
        (("ngram",), ("ngram", "normal")),
        (max, (max,)),
        (("parts", max), ("parts", max)),
    ],
)
def test_a_chain_ends_with_a_policy_that_fills_any_row(given, chain):
    assert policy_chain(given) == chain


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("part", r"oov='part'; known: zeros, .*, or a callable; did you mean 'parts'"),
        ("parts,", "oov=''"),
        ((), "at least"),
        ("parts,ngram,parts", "each policy once"),
        ("mean,parts", "'mean' before 'parts', which would have nothing left"),
        ((max, "zeros"), "'callable max' before 'zeros'"),
        (5, "unknown policy oov=5; known: zeros"),
        ((None,), "oov=None"),
    ],
)
def test_what_is_no_chain_is_refused(given, message):
    with pytest.raises(OptionError, match=message):
        build(["snow"], oov=given)


def test_each_policy_fills_what_those_before_it_could_not():
    vocabulary = ["snow", "snowrain", "ballast", "xyz"]

    matrix = build(vocabulary, oov="parts,ngram,zeros")
    parts_last = build(vocabulary, oov="ngram,parts,zeros")

    assert origins(matrix) == {
        "<pad>": "PAD",
        "snow": "EXACT",
        "snowrain": "PARTS",
        "ballast": "PARTS",
        "xyz": "OOV",
    }
    assert origins(parts_last)["ballast"] == "NGRAM"
    assert matrix["xyz"].tolist() == [0, 0]
    assert matrix.source_rows.tolist() == [-1, 0, -1, -1, -1]
    assert matrix.coverage.found == 1
    assert matrix.coverage.oov == 3


def test_the_last_policy_is_only_asked_for_what_is_left():
    asked = []

    def last(tokens, statistics, dim):
        asked.extend(tokens)
        return np.ones((len(tokens), dim))

    matrix = build(["snow", "snowrain", "xyz", "zyx"], oov=("parts", last))

    assert asked == ["xyz", "zyx"]
    assert matrix["zyx"].tolist() == [1, 1]


def test_error_is_for_what_no_policy_before_it_can_fill():
    assert build(["snow", "snowrain"], oov="parts,error").coverage.oov == 1
    with pytest.raises(OOVError, match="'xyz'"):
        build(["snow", "snowrain", "xyz"], oov="parts,error")


def test_the_provenance_names_the_chain_as_it_can_be_asked_for():
    matrix = build(["snow", "snowrain"], oov="parts")

    name = matrix.provenance["options"]["oov"]
    again = build(["snow", "snowrain"], oov=name)

    assert name == "parts,normal"
    assert again.vectors.tobytes() == matrix.vectors.tobytes()


def test_the_ledger_is_saved(tmp_path):
    matrix = build(["snow", "snowrain", "xyz"], oov="parts,zeros")

    matrix.save(tmp_path / "m.npz")

    assert origins(pe.load_matrix(tmp_path / "m.npz")) == origins(matrix)


# Special tokens

SPECIAL = pe.Vocabulary(
    ["snow", "[MASK]", "snowrain", "[CLS]"],
    unk="snowunk",
    special_tokens={"mask": "[MASK]", "[CLS]": "[CLS]"},
)


def test_the_spelling_of_special_tokens_tells_nothing():
    matrix = build(SPECIAL, oov="parts,ngram,mean")

    assert origins(matrix)["snowrain"] == "PARTS"
    for token in ("snowunk", "[MASK]", "[CLS]"):
        assert origins(matrix)[token] == "OOV"
        np.testing.assert_array_equal(matrix[token], matrix["[CLS]"])


def test_special_tokens_have_policies_of_their_own():
    matrix = build(
        SPECIAL,
        oov="parts,mean",
        special_oov={
            "mask": "zeros",
            "[CLS]": lambda tokens, statistics, dim: [[7.0] * dim],
            "unk": "parts,error",
            "<pad>": "zeros",
        },
    )

    assert matrix["[MASK]"].tolist() == [0, 0]
    assert matrix["[CLS]"].tolist() == [7, 7]
    assert matrix["snowunk"].tolist() == [1, 0]
    assert origins(matrix)["snowunk"] == "PARTS"
    options = matrix.provenance["options"]
    assert options["special_oov"]["mask"] == "zeros"
    assert options["special_oov"]["unk"] == "parts,error"
    assert "filled by zeros" in matrix.explain("[MASK]").how


def test_a_plain_token_may_have_a_policy_of_its_own():
    matrix = build(["snow", "xyz", "zyx"], special_oov={"xyz": "zeros"})

    assert not matrix["xyz"].any()
    assert matrix["zyx"].any()


def test_special_tokens_that_the_source_has_are_found():
    reader = reader_of([*ROWS, ("[MASK]", (4.0, 4.0))])

    matrix = build(SPECIAL, reader, special_oov={"mask": "zeros"})

    assert matrix["[MASK]"].tolist() == [4, 4]


@pytest.mark.parametrize(
    ("special", "message"),
    [
        ({"maks": "zeros"}, r"'maks', which is no token.*mask.*; did you mean 'mask'"),
        ({"sep": "zeros"}, "'sep', which is no token"),
        ({"mask": "zero"}, r"special_oov\['mask'\]='zero'.*did you mean 'zeros'"),
        ({"mask": "zeros", "[MASK]": "mean"}, r"'\[MASK\]' has two settings"),
        ({"pad": "normal"}, "the row of the pad token is zeros, always"),
        ("mask=zeros", "special_oov is 'mask=zeros'; it goes from special tokens to"),
        ({5: "zeros"}, "has 5; a token is a str"),
    ],
)
def test_settings_that_mean_nothing_are_refused(special, message):
    with pytest.raises(OptionError, match=message):
        build(SPECIAL, special_oov=special)


def test_unk_has_one_setting():
    with pytest.raises(OptionError, match="'snowunk' has two settings"):
        build(SPECIAL, special_oov={"snowunk": "mean", "unk": "mean"})


# Subword pieces


def test_subword_takes_what_the_source_composes():
    reader = ComposingReader(ROWS, pieces="rw")

    matrix = build(["snow", "wr", "xyz"], reader, oov="subword,zeros")

    assert matrix["wr"].tolist() == [2, 2]
    assert matrix["xyz"].tolist() == [0, 0]
    assert origins(matrix)["wr"] == "SUBWORD"
    assert origins(matrix)["xyz"] == "OOV"


def test_rows_composed_in_blocks_are_the_same(monkeypatch):
    vocabulary = ["snow", *("r" * count for count in range(1, 8))]
    monkeypatch.setattr(filling, "_BLOCK_TOKENS", 3)

    matrix = build(vocabulary, ComposingReader(ROWS, pieces="r"), oov="subword")

    assert matrix.vectors[2:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_subword_takes_the_first_form_of_a_token():
    reader = ComposingReader(ROWS, pieces="rw")

    exact = build(["snow", "WR"], reader, match="exact,lower", oov="subword,zeros")
    lower = build(["snow", "WR"], reader, match="lower,exact", oov="subword,zeros")

    assert origins(exact)["WR"] == "OOV"
    assert lower["WR"].tolist() == [2, 2]


def test_a_source_without_pieces_says_which_have_them():
    with pytest.raises(OptionError, match=r"text, which has no subword pieces.*floret"):
        build(["snow", "xyz"], oov="subword")
    assert build(["snow"], oov="subword").coverage.oov == 0


def test_a_source_of_pieces_alone_needs_no_token_to_be_found():
    reader = ComposingReader(ROWS, pieces="rw")

    matrix = build(["wr", "xyz"], reader, oov="subword,zeros")

    assert matrix.coverage.found == 0
    assert matrix["wr"].tolist() == [2, 2]
    with pytest.raises(CoverageError, match=r"oov='subword' makes .* memory has"):
        build(["wr", "xyz"], reader, oov="parts")
    with pytest.raises(CoverageError, match=r"kind of token\?$"):  # has no pieces
        build(["wr", "xyz"], reader_of(ROWS), oov="parts")
    with pytest.raises(CoverageError, match=r"0\.0 % of the tokens were found"):
        build(["wr", "xyz"], reader, oov="subword", coverage=0.1)


# What a row depends on

words = st.lists(st.text("snowbalri", min_size=1, max_size=9), unique=True, max_size=8)


@pytest.mark.parametrize("policy", ["subword", "parts", "ngram", "ngram,parts,uniform"])
@settings(max_examples=25)
@given(tokens=words, data=st.data())
def test_other_tokens_never_move_a_row(policy, tokens, data):
    tokens = ["snow", *(token for token in tokens if token != "snow")]
    grown = [f"{token}s" for token in tokens]
    mixed = data.draw(st.permutations(list(Counter([*tokens, *grown, "snowrain"]))))

    small = build(tokens, ComposingReader(ROWS, pieces="sr"), oov=policy)
    large = build(mixed, ComposingReader(ROWS, pieces="sr"), oov=policy)

    for token in tokens:
        assert large[token].tobytes() == small[token].tobytes()
        assert origins(large)[token] == origins(small)[token]


def test_other_tokens_never_move_a_special_row():
    def lengths(tokens, statistics, dim):
        return [[len(token)] * dim for token in tokens]

    special = {"unk": "<unk>", "mask": "[MASK]", "cls": "[CLS]", "sep": "[SEP]"}
    options = {
        "oov": ["parts", lengths],
        "special_oov": {"unk": "zeros", "mask": lengths, "cls": "ngram,uniform"},
    }

    def built(tokens):
        vocabulary = pe.Vocabulary(tokens, unk="<unk>", special_tokens=special)
        return build(vocabulary, **options)

    small = built(["<unk>", "[MASK]", "snow", "[CLS]", "[SEP]"])
    large = built(["xyz", "[SEP]", "[CLS]", "snowrain", "[MASK]", "snow", "<unk>", "q"])

    for token in special.values():
        assert large[token].tobytes() == small[token].tobytes()
    assert not small["<unk>"].any()
    assert small["[MASK]"].tolist() == [6, 6]
    assert small["[SEP]"].tolist() == [5, 5]  # the last policy of oov
