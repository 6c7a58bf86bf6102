from __future__ import annotations

import numpy as np
import pytest
from grouped import grouped
from hypothesis import given
from hypothesis import strategies as st
from vectors import reader_of, text

import pretrained_embed as pe

ROWS = [("the", (1.0, 2.0)), ("paris", (3.0, 4.0)), ("cat", (5.0, 6.0))]
MORE = [("dog", (7.0, 8.0)), ("the", (0.5, 0.5)), ("cow", (9.0, 1.0))]


@pytest.fixture
def old() -> pe.EmbeddingMatrix:
    """A matrix that was trained: none of its rows is the source's any more."""
    vocabulary = pe.Vocabulary(["the", "Paris", "le", "cat"], unk="<unk>")
    built = pe.build_matrix(vocabulary, reader_of(ROWS), match="exact,lower")
    return built.with_vectors(built.vectors * np.float32(1.1))


def extend(old, vocabulary, rows=MORE, **options) -> pe.EmbeddingMatrix:
    return pe.build_matrix(vocabulary, reader_of(rows), onto=old, **grouped(**options))


def test_old_tokens_keep_their_rows_and_new_ones_are_built(old):
    vocabulary = pe.Vocabulary(["cow", "le", "the", "zzz", "Paris"])

    grown = extend(old, vocabulary)

    for token in ("the", "le", "Paris"):
        assert grown[token].tobytes() == old[token].tobytes()
        assert (
            grown.origin[grown.vocabulary[token]] == old.origin[old.vocabulary[token]]
        )
    fresh = pe.build_matrix(["zzz", "cow"], reader_of(MORE))
    for token in ("cow", "zzz", "<pad>"):
        assert grown[token].tobytes() == fresh[token].tobytes()


def test_the_ledger_says_which_rows_were_kept_from_where(old):
    grown = extend(old, ["cow", "le", "the", "zzz"])

    assert grown.sources.tolist() == [-1, 0, 1, 1, -1]
    assert grown.source_rows.tolist() == [
        *(-1, 2, old.vocabulary["le"], old.vocabulary["the"], -1)
    ]
    assert [pe.ledger.Origin(code).name for code in grown.origin] == [
        *("PAD", "EXACT", "OOV", "EXACT", "OOV")
    ]
    first, kept = grown.provenance["sources"]
    assert (first["name"], first["rows"]) == ("memory", 3)
    assert (kept["name"], kept["rows"], kept["dim"]) == ("an earlier matrix", 6, 2)
    assert kept["provenance"] == old.provenance
    assert len(kept["digests"][0]["value"]) == 64


tokens = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


@given(tokens, tokens, st.randoms(use_true_random=False))
def test_rows_follow_their_tokens_under_any_permutation(before, after, random):
    rows = [(token, [float(ord(token)), 1.0]) for token in "aceg"] + [("x", (0, 0))]
    vectors = np.random.default_rng(len(before)).normal(size=(len(before) + 2, 2))
    vectors[0] = 0
    old = pe.EmbeddingMatrix(vectors, pe.Vocabulary([*before, "x"]))
    ids = random.sample(range(1, 30), len(after) + 1)
    vocabulary = pe.Vocabulary(dict(zip([*after, "x"], ids, strict=True)), pad="<pad>")

    grown = extend(old, vocabulary, rows)

    fresh = pe.build_matrix(vocabulary, reader_of(rows))
    for token in vocabulary:
        kept = token in old.vocabulary and token != "<pad>"
        giver = old if kept else fresh
        assert grown[token].tobytes() == giver[token].tobytes()
        id = vocabulary[token]
        if kept:
            assert grown.source_rows[id] == old.vocabulary[token]
            assert grown.sources[id] == len(grown.provenance["sources"]) - 1
        else:
            assert grown.source_rows[id] == fresh.source_rows[id]
    assert not grown.vectors[vocabulary.holes].any()


def test_nothing_new_needs_no_source(old):
    grown = pe.build_matrix(["cat", "the"], "no such file", onto=old)

    assert grown["cat"].tobytes() == old["cat"].tobytes()
    assert grown.sources.tolist() == [-1, 0, 0]
    assert [source["name"] for source in grown.provenance["sources"]] == [
        "an earlier matrix"
    ]


def test_new_tokens_need_not_be_in_the_source(old):
    grown = extend(old, ["the", "zzz"], oov="zeros")

    assert grown["zzz"].tolist() == [0, 0]


def test_coverage_is_that_of_the_whole(old):
    assert extend(old, ["the", "cow"], coverage=1).coverage.ratio == 1
    with pytest.raises(pe.errors.CoverageError, match=r"66\.7 %"):
        extend(old, ["the", "cow", "zzz"], coverage=0.7)


def test_padding_of_one_is_no_token_of_the_other(old):
    pad_is_a_word = extend(old, pe.Vocabulary(["<pad>", "the"], pad="_"), oov="mean")
    word_is_pad = extend(old, pe.Vocabulary(["the", "cow"], pad="the"))

    assert pad_is_a_word["<pad>"].any()
    assert pad_is_a_word.sources.tolist() == [-1, -1, 1]
    assert word_is_pad["the"].tolist() == [0, 0]
    assert pe.ledger.Origin(word_is_pad.origin[0]) is pe.ledger.Origin.PAD


def test_a_file_is_extended_and_named(tmp_path, old):
    old.save(tmp_path / "old.npz")

    grown = extend(tmp_path / "old.npz", ["the", "cow"])
    grown.save(tmp_path / "grown.h5")
    again = extend(tmp_path / "grown.h5", ["the", "cow", "dog"])

    assert again["the"].tobytes() == old["the"].tobytes()
    assert [s["name"] for s in grown.provenance["sources"]] == [
        *("memory", str(tmp_path / "old.npz"))
    ]
    assert [s["name"] for s in again.provenance["sources"]] == [
        *("memory", str(tmp_path / "grown.h5"))
    ]


def test_several_sources_put_together_extend_as_they_build(old):
    narrow = [[(token, row[:1]) for token, row in rows] for rows in (MORE, ROWS)]
    readers = [reader_of(rows) for rows in narrow]

    grown = pe.build_matrix(
        ["the", "paris", "zzz"], readers, onto=old, recipe=pe.Recipe(combine="concat")
    )

    fresh = pe.build_matrix(
        ["paris", "zzz"], readers, recipe=pe.Recipe(combine="concat")
    )
    for token in ("paris", "zzz"):
        assert grown[token].tobytes() == fresh[token].tobytes()
    assert grown.sources.tolist() == [-1, 2, 1, -1]
    assert [part.source_rows.tolist() for part in grown.parts] == [
        *([-1, -1, -1, -1], [-1, -1, 1, -1])
    ]


def test_matrices_are_joined_without_a_source(old):
    rest = pe.EmbeddingMatrix(np.eye(2), pe.Vocabulary(["dog", "cow"], pad=None))

    grown = old.extend(pe.Vocabulary(["cow", "the"]), rest, name="mine")

    assert grown["cow"].tolist() == [0, 1]
    assert grown["the"].tobytes() == old["the"].tobytes()
    assert grown.provenance["sources"][-1]["name"] == "mine"


def test_what_is_missing_can_be_asked_for(old):
    counted = pe.Vocabulary(["the", "dog", "zzz"], counts={"dog": 3})

    rest = old.missing(counted)

    assert rest.tokens == ("dog", "zzz")
    assert rest.counts.tolist() == [3, 0]
    assert old.missing(pe.Vocabulary(["the"])) is None


def test_other_vectors_keep_the_ledger(old):
    other = old.with_vectors(np.zeros((len(old), 5)))

    assert other.dim == 5
    for name in ("origin", "sources", "source_rows"):
        assert getattr(other, name).tolist() == getattr(old, name).tolist()
    assert other.provenance == {"trained_from": old.provenance}
    with pytest.raises(pe.errors.ShapeError):
        old.with_vectors(np.zeros((1, 2)))
    with pytest.raises(pe.errors.VocabularyError, match="is not zeros"):
        old.with_vectors(np.ones(old.shape))


def test_another_dim_is_refused_before_anything_is_read(tmp_path, old):
    path = tmp_path / "wide.txt"
    path.write_bytes(text([("dog", (1, 2, 3))] * 2) + b"bad row\n")

    with pytest.raises(
        pe.errors.ShapeError, match=r"wide\.txt would give rows of 3 dim.* 2$"
    ):
        pe.build_matrix(["dog"], path, onto=old)
    wide = pe.build_matrix(["dog"], reader_of([("dog", (1, 2, 3))]))
    with pytest.raises(pe.errors.ShapeError, match="3 dimensions, those to be kept 2"):
        old.extend(pe.Vocabulary(["dog"]), wide)


def test_a_token_that_neither_has_is_named(old):
    rest = pe.EmbeddingMatrix(np.eye(2), pe.Vocabulary(["dog", "cow"], pad=None))

    for either in (rest, None):
        with pytest.raises(
            pe.errors.VocabularyError, match="no row for the token 'zzz'"
        ):
            old.extend(pe.Vocabulary(["the", "zzz"]), either)


def test_own_forms_of_kept_rows_keep_their_names(tmp_path):
    def reverse(token: str) -> str:
        return token[::-1]

    rows = [("eht", (1.0, 2.0)), ("CAT", (3.0, 4.0)), ("cafe", (5.0, 6.0))]
    match = ["exact", "lower+strip-accents", reverse]
    old = pe.build_matrix(["the", "CAFÉ"], reader_of(rows), match=match)
    name = f"callable {reverse.__qualname__}"

    once = extend(
        old, ["the", "CAFÉ", "Cat"], rows, match="exact,title,upper,title+upper"
    )
    twice = extend(
        once.with_vectors(once.vectors * 2),
        ["Éhte", "the", "CAFÉ", "Cat"],
        [("ehte", (1.0, 1.0))],
        match=["lower+strip-accents"],
    )
    twice.save(tmp_path / "twice.npz")
    alone = pe.load_matrix(tmp_path / "twice.npz").extend(pe.Vocabulary(["CAFÉ"]))

    assert once.coverage.by_origin == {"upper": 1, "lower+strip-accents": 1, name: 1}
    assert twice.coverage.by_origin == {"upper": 1, "lower+strip-accents": 2, name: 1}
    assert alone.coverage.by_origin == {"lower+strip-accents": 1}
    assert "kept from an earlier matrix, row 1; there found" in once.explain("the").how
    assert f"found ({name})" in twice.explain("the").how
    assert "found as 'ehte' (lower+strip-accents)" in twice.explain("Éhte").how
    for matrix in (once, twice, alone):
        how = matrix.explain("CAFÉ").how
        assert "there" in how
        assert "found as 'cafe' (lower+strip-accents)" in how


def test_more_forms_than_the_ledger_has_codes_are_refused():
    def form(number: int):
        def changed(token: str) -> str:
            return f"{token}{number}"

        changed.__qualname__ = f"form{number}"
        return changed

    old = pe.build_matrix(["a"], reader_of([("a0", (1.0, 2.0))]), match=[form(0)])
    many = [form(number) for number in range(1, 65)]

    assert extend(old, ["a", "b"], [("b9", (0.0, 1.0))], match=many[1:])["a"][0] == 1
    with pytest.raises(
        pe.errors.OptionError, match=r"65 forms; the ledger tells 64 apart"
    ):
        extend(old, ["a", "b"], [("b9", (0.0, 1.0))], match=many)


def test_advice_on_kept_rows_is_kept(tmp_path):
    options = {"oov": "zeros", "advise": True}
    old = pe.build_matrix(["THE", "cat", "Zzz"], reader_of(ROWS), **grouped(**options))

    grown = extend(old, ["cat", "DOG", "THE"], match="exact,title", **options)
    plain = extend(old, ["cat", "DOG", "THE"])
    alone = old.extend(pe.Vocabulary(["THE", "cat"]))

    assert [each.found_by for each in grown.coverage.missing] == [("lower",)] * 2
    assert str(grown.coverage).endswith(
        "`lower` would find 2 more (66.7 % of the tokens)."
    )
    assert {each.token: each.found_by for each in plain.coverage.missing} == {
        "DOG": (),
        "THE": ("lower",),
    }
    assert [each.found_by for each in alone.coverage.missing] == [("lower",)]
    with pytest.raises(pe.errors.CoverageError, match="`lower` would find 2 more"):
        extend(old, ["cat", "DOG", "THE"], coverage=0.9, **options)
