"""Spaces turned into others: where the truth is known, and two languages."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from tests.command_line import run

pytest.importorskip("gensim", reason="gensim, which ships vectors, is not installed")
from gensim.test.utils import datapath

WORDS = [f"w{number}" for number in range(1500)]
DIM = 20


def space(vectors, words=WORDS, **options) -> pe.EmbeddingMatrix:
    vocabulary = pe.Vocabulary(words, pad="<pad>")
    rows = np.vstack([np.zeros((1, vectors.shape[1])), vectors]).astype(np.float32)
    return pe.EmbeddingMatrix(rows, vocabulary, **options)


@pytest.fixture(scope="module")
def truth():
    """Return vectors, a rotation, and the vectors rotated and noised."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1500, DIM)) * rng.uniform(0.5, 3, (1500, 1))
    turn, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    noise = 1.6 * rng.normal(size=vectors.shape)
    return vectors, turn, vectors @ turn + noise


def test_a_rotation_is_found_and_applied_to_all_rows(truth):
    vectors, turn, _ = truth
    origin = np.full(1501, pe.ledger.Origin.EXACT)
    origin[0], origin[7] = pe.ledger.Origin.PAD, pe.ledger.Origin.OOV
    source, target = space(vectors, origin=origin), space(vectors @ turn)

    found = pe.align(source, target)

    np.testing.assert_allclose(found.map, turn, atol=1e-6)
    np.testing.assert_allclose(found.matrix.vectors[1:], vectors @ turn, atol=1e-5)
    assert not found.matrix.vectors[0].any()
    assert found.matrix.origin[7] == pe.ledger.Origin.OOV  # and its row was turned
    assert found.score == (1.0, 1.0, 149, 1500)
    assert found.pairs == 1499 - 149


def test_precision_is_that_of_a_plain_implementation(truth):
    """A held-out dictionary, against scipy's orthogonal Procrustes and all products."""
    from scipy.linalg import orthogonal_procrustes

    vectors, _, noised = truth
    names = [f"x{number}" for number in range(1500)]
    dictionary = list(zip(WORDS, names, strict=True))

    found = pe.align(space(vectors), space(noised, names), dictionary, holdout=0.2)

    held = np.random.default_rng(0).permutation(1500)[:300]
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, noised))
    rest = np.setdiff1d(np.arange(1500), held)
    plain, _ = orthogonal_procrustes(x[rest], y[rest])
    cosines = (x @ plain) @ y.T
    by_cosine = np.mean(cosines[held].argmax(axis=1) == held)
    of_x = np.sort(cosines, axis=1)[:, -10:].mean(axis=1)
    of_y = np.sort(cosines, axis=0)[-10:].mean(axis=0)
    csls = 2 * cosines - of_x[:, None] - of_y
    by_csls = np.mean(csls[held].argmax(axis=1) == held)

    np.testing.assert_allclose(found.map, plain, atol=1e-6)
    assert 0.3 < by_cosine < 0.99
    assert found.score.cosine == pytest.approx(by_cosine, abs=0.01)
    assert found.score.csls == pytest.approx(by_csls, abs=0.01)


def test_refinement_finds_more_from_few_pairs(truth):
    vectors, turn, _ = truth
    rng = np.random.default_rng(1)
    place = rng.permutation(1500)  # of each word's meaning: not beside it
    place = np.concatenate([place[place < 700], place[place >= 700]])
    names = [f"x{number}" for number in place]
    noise = 0.5 * rng.normal(size=vectors.shape)
    noised = space((vectors @ turn + noise)[place], names)
    few = [(word, f"x{number}") for number, word in enumerate(WORDS[:16])]

    once, often = (
        pe.align(space(vectors), noised, few, holdout=0, refine=times, limit=700)
        for times in (0, 3)
    )

    def found(alignment):
        rows = alignment.matrix.vectors[1:] @ noised.vectors[1:].T
        lengths = np.linalg.norm(noised.vectors[1:], axis=1)
        return np.mean(place[(rows / lengths).argmax(axis=1)] == np.arange(1500))

    assert once.score is None
    assert found(often) > found(once) + 0.2
    assert often.pairs > 10 * once.pairs


def test_a_shift_is_taken_away_where_the_mean_is(truth):
    vectors, turn, _ = truth
    target = space(vectors @ turn + 5)

    found = pe.align(space(vectors - 3), target, unit=False, center=True)

    np.testing.assert_allclose(found.map, turn, atol=1e-5)
    np.testing.assert_allclose(found.matrix.vectors[1:], target.vectors[1:], atol=1e-4)
    np.testing.assert_allclose(
        found.apply(vectors[:2] - 3), target.vectors[1:3], atol=1e-4
    )


def test_successive_years_are_brought_to_the_last(truth):
    vectors, turn, _ = truth
    rng = np.random.default_rng(2)
    years = [vectors]
    for _ in range(3):  # each year turned anew, and changed a little
        changed = years[-1] + 0.02 * rng.normal(size=vectors.shape)
        years.append(changed @ turn)

    found = pe.align([space(year) for year in years[:3]], space(years[3]))

    assert len(found) == 3
    for steps, alignment in zip((3, 2, 1), found, strict=True):
        expected = np.linalg.matrix_power(turn, steps)
        np.testing.assert_allclose(alignment.map, expected, atol=0.01)


def test_the_map_is_in_the_provenance_and_is_saved(truth, tmp_path):
    vectors, turn, _ = truth
    found = pe.align(space(vectors), space(vectors @ turn))
    found.matrix.save(tmp_path / "m.npz")

    told = pe.load_matrix(tmp_path / "m.npz").provenance["aligned"]

    raw = base64.b64decode(told["map"]["float32"])
    np.testing.assert_array_equal(
        np.frombuffer(raw, "<f4").reshape(told["map"]["shape"]),
        found.map.astype(np.float32),
    )
    assert (told["pairs"], told["refine"]) == ("shared", 0)


def test_english_numbers_become_italian_ones():
    """gensim's own vectors of two languages, and its dictionary of ten numbers."""
    english = datapath("EN.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt")
    italian = datapath("IT.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt")
    lines = Path(datapath("OPUS_en_it_europarl_train_one2ten.txt")).read_text()
    pairs = [tuple(line.split()) for line in lines.splitlines()]

    turned = pe.align(english, italian, pairs, holdout=0).matrix

    keyed = pe.load_matrix(italian).keyed()
    for word, meaning in pairs:
        assert keyed.similar_by_vector(turned[word], topn=1)[0][0] == meaning


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pairs": [("w1", "w2")]}, pe.errors.VocabularyError, "1 pairs of tokens"),
        ({"pairs": ["w1"]}, pe.errors.OptionError, "'w1' is no pair"),
        ({"pairs": "none.txt"}, pe.errors.SourceError, "'shared' for the tokens"),
        ({"holdout": 1}, pe.errors.OptionError, "holdout is 1"),
        ({"refine": -1}, pe.errors.OptionError, "refine is -1"),
    ],
)
def test_what_cannot_be_aligned_is_refused(truth, options, error, message):
    matrix = space(truth[0])

    with pytest.raises(error, match=message):
        pe.align(matrix, matrix, **options)


def test_spaces_of_two_dims_are_refused(truth):
    with pytest.raises(pe.errors.ShapeError, match="20 dimensions and the target 3"):
        pe.align(space(truth[0]), space(np.ones((1500, 3))))


def test_the_command_writes_the_turned_vectors(truth, tmp_path):
    vectors, turn, _ = truth
    space(vectors).save(tmp_path / "a.npz")
    space(vectors @ turn).save(tmp_path / "b.txt")
    count_dim, rows = (tmp_path / "b.txt").read_text().split("\n", 1)
    dim_count = " ".join(reversed(count_dim.split()))
    (tmp_path / "b.txt").write_text(f"{dim_count}\n{rows}")
    (tmp_path / "pairs.txt").write_text(
        "".join(f"{word}\t{word}\n" for word in WORDS[:100])
    )

    result = run(
        *("align", tmp_path / "a.npz", tmp_path / "b.txt", "--json"),
        *("--pairs", tmp_path / "pairs.txt", "-o", tmp_path / "out.npz"),
    )

    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer["pairs"] == 90
    found = [facts["codes"] for facts in answer["findings"].values()]
    assert found == [{}, {"header.dim-first": 1}]
    assert "b.txt: Note: the header gives dim before count" in result.stderr
    assert "P@1 100.0% by cosine" in result.stderr
    turned = pe.load_matrix(tmp_path / "out.npz")
    np.testing.assert_allclose(turned["w3"], (vectors @ turn)[3], atol=1e-4)

    (tmp_path / "pairs.txt").write_text("one two three\n")
    result = run(
        *("align", tmp_path / "a.npz", tmp_path / "b.txt"),
        *("--pairs", tmp_path / "pairs.txt", "-o", tmp_path / "out.npz"),
    )
    assert (result.exit_code, "pairs.txt:1: 3 fields" in result.stderr) == (1, True)


def test_a_file_of_pairs_may_have_a_mark_of_utf8_and_pairs_twice(truth, tmp_path):
    words = WORDS[:40]
    plain = "".join(f"{word} {word}\n" for word in words)
    source, target = space(truth[0]), space(truth[0])
    (tmp_path / "pairs.txt").write_text("\ufeff" + plain + plain, "utf-8")

    made = pe.align(source, target, tmp_path / "pairs.txt", holdout=0.1)

    assert (made.pairs, made.score.words) == (36, 4)
    (tmp_path / "wide.txt").write_text(plain, "utf-16")
    with pytest.raises(pe.errors.FormatError, match="save the file as UTF-8"):
        pe.align(source, target, tmp_path / "wide.txt")


def test_pairs_that_cannot_be_used_say_why(truth):
    other = [f"x{word}" for word in WORDS]
    source, target = space(truth[0]), space(truth[0], other)
    pairs = list(zip(WORDS, other, strict=True))

    with pytest.raises(pe.errors.VocabularyError, match="the two sides exchanged"):
        pe.align(source, target, [(b, a) for a, b in pairs])
    with pytest.raises(pe.errors.VocabularyError, match="held out: give a smaller"):
        pe.align(source, target, pairs[:10], holdout=0.99)
    for wrong in (None, [1], [(1, 2)], ["ab"]):
        with pytest.raises(pe.errors.OptionError, match="pair"):
            pe.align(source, target, wrong)


def test_an_iterator_of_pairs_serves_a_whole_chain(truth):
    pairs = ((word, word) for word in WORDS)
    year = space(truth[0])

    assert [one.pairs for one in pe.align([year, year], year, pairs, holdout=0)] == [
        len(WORDS)
    ] * 2


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_a_map_takes_rows_of_its_dim(truth, shape):
    made = pe.align(space(truth[0]), space(truth[0]))

    with pytest.raises(pe.errors.ShapeError, match="give rows of"):
        made.apply(np.zeros(shape))
