"""Scores worked out by hand, and gensim's, where it is the oracle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.adapters import gensim as pe_gensim

pytest.importorskip("gensim", reason="gensim, the oracle, is not installed")
from gensim.test.utils import datapath

# WordSim-353 has these pairs: tiger cat 7.35, book paper 7.46, computer keyboard 7.62,
# and tiger tiger 10.
ANGLES = {"tiger": 0, "cat": 80, "book": 0, "paper": 40, "computer": 0, "keyboard": 20}

# With these, Athens Greece Baghdad leads to the decoy; Baghdad Iraq Athens to Greece.
CAPITALS = {
    "Athens": [1, 0, 0],
    "Greece": [1, 0, 1],
    "Baghdad": [0, 1, 0],
    "Iraq": [0, 1, 1],
    "decoy": [-0.29, 1, 0.71],
}
PAIRS, QUESTIONS = datapath("wordsim353.tsv"), datapath("questions-words.txt")


def directions(angles):
    radians = np.radians(list(angles.values()))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def matrix_of(vectors, **options):
    vocabulary = pe.Vocabulary(list(vectors), pad=None)
    return pe.EmbeddingMatrix(
        np.array(list(vectors.values()), np.float32), vocabulary, **options
    )


def similarity(matrix):
    return pe.evaluate(matrix, PAIRS, samples=0)["wordsim353"]


def analogies(matrix):
    return pe.evaluate(matrix, QUESTIONS, samples=0)["questions-words"]


def test_a_ranking_worked_out_by_hand():
    matrix = matrix_of(dict(zip(ANGLES, directions(ANGLES), strict=True)))

    score = similarity(matrix)

    assert (score.items, score.answered) == (353, 4)
    assert score.value == pytest.approx(1)  # 80, 40, 20 and 0 degrees apart
    people, cosines = [7.35, 7.46, 7.62, 10], np.cos(np.radians([80, 40, 20, 0]))
    assert score.pearson == pytest.approx(np.corrcoef(people, cosines)[0, 1], abs=1e-6)


def test_a_ranking_that_is_partly_wrong():
    angles = ANGLES | {"cat": 20, "keyboard": 80}
    matrix = matrix_of(dict(zip(angles, directions(angles), strict=True)))

    # Ranks 3 2 1 4 for 1 2 3 4: 1 - 6 * (4 + 0 + 4 + 0) / (4 * (16 - 1)).
    assert similarity(matrix).value == pytest.approx(0.2)


def test_analogies_worked_out_by_hand():
    result = pe.evaluate(matrix_of(CAPITALS), QUESTIONS, samples=0)

    # The first question stands in a second section too.
    total = result["questions-words"]
    assert (total.items, total.answered, total.value) == (19_544, 3, 1 / 3)
    first = total.parts[0]
    assert (first.task, first.items) == ("capital-common-countries", 506)
    assert (first.answered, first.value) == (2, 0.5)
    assert result.candidates == {"matrix": 5}


def test_letter_case_does_not_count():
    lower = {token.lower(): vector for token, vector in CAPITALS.items()}

    assert analogies(matrix_of(lower)).answered == 3


def test_of_tokens_that_differ_in_case_the_first_stands_for_all():
    angles = ANGLES | {"CAT": 0, "Paper": 0, "Keyboard": 0}
    matrix = matrix_of(dict(zip(angles, directions(angles), strict=True)))

    score = similarity(matrix)

    assert (score.answered, score.value) == (4, pytest.approx(1))


@pytest.mark.parametrize("code", [pe.ledger.Origin.OOV, pe.ledger.Origin.UNUSED])
def test_a_row_that_is_not_from_the_source_takes_no_part(code):
    origin = [pe.ledger.Origin.EXACT] * 5
    origin[3] = code

    result = pe.evaluate(matrix_of(CAPITALS, origin=origin), QUESTIONS, samples=0)

    assert result.candidates == {"matrix": 4}
    assert (result.scores[0].answered, result.scores[0].value) == (0, None)


def test_pad_and_unk_take_no_part_even_if_their_names_are_words():
    vectors = np.array(list(CAPITALS.values()), np.float32)
    vectors[3] = 0
    vocabulary = pe.Vocabulary(list(CAPITALS), pad="Iraq", unk="decoy")

    result = pe.evaluate(pe.EmbeddingMatrix(vectors, vocabulary), QUESTIONS, samples=0)

    assert result.candidates == {"matrix": 3}


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_a_row_without_a_direction_takes_no_part(value):
    assert analogies(matrix_of(CAPITALS | {"Iraq": [value, 0, 0]})).answered == 0


def test_too_few_pairs_and_pairs_all_alike_have_no_score():
    alone = matrix_of({"book": [1, 0], "paper": [1, 1]})
    alike = matrix_of({token: [1, 1] for token in ANGLES})

    for matrix, answered in ((alone, 1), (alike, 4)):
        score = pe.evaluate(matrix, PAIRS)["wordsim353"]
        assert (score.answered, score.value, score.pearson) == (answered, None, None)
        assert (score.low, score.high) == (None, None)


@pytest.fixture(scope="module")
def glove() -> pe.EmbeddingMatrix:
    """Return the words of the two files, and of others to choose answers from."""
    texts = [Path(path).read_text() for path in (PAIRS, QUESTIONS)]
    words = dict.fromkeys(word for text in texts for word in text.split())
    return pe.build_matrix(
        pe.Vocabulary(words.keys()),
        match="exact,lower",
        oov="zeros",
        library=pe.Library(offline=True),
    )


def test_scores_are_gensims(glove, tmp_path):
    lines = Path(QUESTIONS).read_text().splitlines()
    some = [line for line in lines if line.startswith(":") or hash_of(line) % 12 == 0]
    (tmp_path / "questions.txt").write_text("\n".join(some))
    found = glove.origin >= pe.ledger.Origin.EXACT
    rows = np.flatnonzero(found)
    kept = pe.Vocabulary(glove.vocabulary.strings(rows), pad=None)
    oracle = pe_gensim.to_keyed_vectors(pe.EmbeddingMatrix(glove.vectors[rows], kept))
    simlex = datapath("simlex999.txt")

    result = pe.evaluate(glove, [PAIRS, simlex, tmp_path / "questions.txt"], samples=0)

    for path, name in ((PAIRS, "wordsim353"), (simlex, "simlex999")):
        (pearson, _), (spearman, _), left_out = oracle.evaluate_word_pairs(
            path, restrict_vocab=len(oracle)
        )
        score = result[name]
        assert score.value == pytest.approx(spearman, abs=1e-6)
        assert score.pearson == pytest.approx(pearson, abs=1e-6)
        assert 100 * (1 - score.answered / score.items) == pytest.approx(left_out)
    total, sections = oracle.evaluate_word_analogies(
        str(tmp_path / "questions.txt"), restrict_vocab=len(oracle)
    )
    assert result["questions"].value == pytest.approx(total, abs=1e-6)
    for part, section in zip(result["questions"].parts, sections[:-1], strict=True):
        right, wrong = len(section["correct"]), len(section["incorrect"])
        assert part.answered == right + wrong
        assert part.value == pytest.approx(right / (right + wrong), abs=1e-6)


def hash_of(line: str) -> int:
    return sum(map(ord, line))


def test_glove_ranks_as_is_known_of_it(glove):
    score = pe.evaluate(glove, PAIRS)["wordsim353"]

    assert score.answered == 353
    assert score.value == pytest.approx(0.503, abs=0.001)
    assert score.low < 0.45 < 0.55 < score.high  # by Fisher's formula: 0.42 to 0.58


def test_a_bootstrap_is_the_same_by_the_same_seed(glove):
    one, same, other = (
        pe.evaluate(glove, PAIRS, samples=50, seed=seed)["wordsim353"]
        for seed in (1, 1, 2)
    )

    assert one == same
    assert (one.value, one.low) == (other.value, pytest.approx(other.low, abs=0.1))
    assert one.low != other.low


def test_sources_side_by_side_are_judged_by_what_all_have(glove):
    noise = np.random.default_rng(0).normal(size=glove.shape)
    worse = glove.vectors + 1.2 * noise.astype(np.float32)
    half = np.array(glove.origin)
    half[::3] = pe.ledger.Origin.OOV
    worse[glove.pad_id] = 0
    other = pe.EmbeddingMatrix(worse, glove.vocabulary, half)

    result = pe.evaluate([glove, other], PAIRS, samples=200)

    one, two = result.together
    assert list(result.candidates) == ["matrix", "matrix (2)"]
    assert one.answered == two.answered == result.scores[1].answered < 353
    assert one.value != result.scores[0].value
    (apart,) = result.differences
    assert apart.value == pytest.approx(one.value - two.value)
    assert 0 < apart.low < apart.value < apart.high
    # pairs that both have are drawn together: much of the chance is in both
    assert apart.high - apart.low < (one.high - one.low) + (two.high - two.low)
    assert "matrix less matrix (2)" in str(result)
    same = pe.evaluate([glove, glove], PAIRS, samples=50)
    assert (same.differences[0].value, same.differences[0].low) == (0, 0)
    assert "may be chance" in str(same.differences[0])


def test_tasks_of_ones_own(tmp_path):
    (tmp_path / "pairs.csv").write_text("word1,word2,pos,score\na,b,N,9.5\na,c,N,1\n")
    (tmp_path / "four.txt").write_text("a b c d\n")
    (tmp_path / "two.txt").write_text("# made\n: one\na b\nc d\n: other\na c\nb d\n")
    (tmp_path / "kinds.tsv").write_text("a\tx\nb\tx\nc\ty\nd\ty\n")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "one.txt").write_text("a\nb\n\nc\nd\n")
    vectors = {"a": [1, 0, 0], "b": [1, 0.1, 0], "c": [0, 0, 1], "d": [0, 0.1, 1]}
    paths = [
        tmp_path / name
        for name in ("pairs.csv", "four.txt", "two.txt", "kinds.tsv", "sets")
    ]

    result = pe.evaluate(matrix_of(vectors), paths, samples=0)

    told = {
        score.task: (score.kind, score.items, score.value) for score in result.scores
    }
    assert told == {
        "pairs": ("similarity", 2, pytest.approx(1)),
        "four": ("analogy", 1, 1.0),
        "two": ("analogy", 4, 1.0),
        "kinds": ("category", 4, 1.0),
        "sets": ("odd one out", 2, 1.0),
    }
    assert [part.task for part in result["two"].parts] == ["one", "other"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b 1\nc d x\n e f 2", r"t.txt:2: field 3 is no number"),
        ("a b c\n", r"t.txt:1: a line of 3 fields without a number"),
        ("a b\nc d e\nf g\n", r"t.txt:2: 3 fields; expected 2"),
        (": s\na b c\n", r"t.txt:2: 3 fields; expected 2 or 4"),
        ("a\nb\n", r"1 groups of lines"),
        ("# nothing\n", r"no line of it has a word"),
        (b"\xff\xfe", r"byte 0 is not UTF-8"),
        ("a b 1\nc d 2\nmade by e\n", r"t.txt:3: field 3 is no number"),
        ("a b 7\x00\nc d 2\n", r"t.txt:1: field 3 is no number"),
        ("a\tb/x\nc\td\n", r"no two of its 2 words are of one category; for analog"),
        (": s\na b\n", r"has no question"),
    ],
)
def test_a_file_of_no_known_form_is_an_error_of_its_place(tmp_path, text, message):
    raw = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "t.txt").write_bytes(raw)

    with pytest.raises(pe.errors.FormatError, match=message):
        pe.evaluate(matrix_of(CAPITALS), tmp_path / "t.txt")


def test_what_cannot_be_evaluated_is_refused(tmp_path):
    matrix = matrix_of(CAPITALS)
    with pytest.raises(pe.errors.SourceError, match=r"none\.txt"):
        pe.evaluate(matrix, tmp_path / "none.txt")
    with pytest.raises(pe.errors.OptionError, match="list of sources is empty"):
        pe.evaluate([])
    with pytest.raises(pe.errors.OptionError, match="samples is -1"):
        pe.evaluate(matrix, samples=-1)
    with pytest.raises(
        pe.errors.OptionError, match="no task 'x'; there are wordsim353"
    ):
        pe.evaluate(matrix, PAIRS, samples=0)["x"]
    (tmp_path / "v.txt").write_text("qwzx 1 2\n")
    with pytest.raises(
        pe.errors.CoverageError, match=r"v\.txt has no word of the tasks"
    ):
        pe.evaluate(tmp_path / "v.txt", PAIRS)


def test_text_and_json_hold_all_of_it():
    result = pe.evaluate(matrix_of(CAPITALS), QUESTIONS, samples=20)

    lines = str(result).splitlines()
    known = json.loads(json.dumps(result.to_dict(), allow_nan=False))

    assert lines[0] == "matrix, 5 tokens:"
    assert lines[1].startswith("  questions-words: 33.3% right, 95 % ")
    assert lines[1].endswith("(3 of 19,544 questions)")
    assert lines[2] == "    capital-common-countries: 50.0% right (2 of 506 questions)"
    assert lines[4] == "    currency: no score (0 of 866 questions)"
    assert known["scores"][0]["parts"][0]["value"] == 0.5


def test_without_gensim_the_packages_own_tasks_are_there(tmp_path):
    (tmp_path / "v.txt").write_text("France 1 0\nParis 1 1\nItaly 2 0\nRome 2 1.9\n")
    program = (
        "import sys\n"
        "for name in ('gensim', 'sklearn', 'scipy'): sys.modules[name] = None\n"
        "import pretrained_embed as pe\n"
        f"result = pe.evaluate({str(tmp_path / 'v.txt')!r})\n"
        "print(*[score.task for score in result.scores], sep=', ')\n"
        "print(*result.left_out, sep='; ')\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(pe.__file__).parents[1],
    )

    assert run.stdout.splitlines()[0] == "analogies, odd one out"
    assert "'pretrained-embed[sklearn]'" in run.stdout
    assert "'pretrained-embed[gensim]'" in run.stdout


def test_a_folder_of_pairs_is_analogies_of_which_several_answers_are_right(tmp_path):
    folder = tmp_path / "BATS" / "2_Derivational"
    folder.mkdir(parents=True)
    (folder / "D01 [noun].txt").write_text("a\tb/x\nc\ty/d/z\n")
    (folder / "D02 [verb].txt").write_text("a\tb\nc\tnone\n")
    vectors = {"a": [1, 0, 0], "b": [1, 0.1, 0], "c": [0, 0, 1], "d": [0, 0.1, 1]}

    score = pe.evaluate(matrix_of(vectors), tmp_path / "BATS", samples=0)["BATS"]

    # a is to b as c is to d, which is the second that is right; y is not known, so
    # nothing is asked from c to a, nor of the second file
    assert (score.kind, score.items, score.answered) == ("analogy", 4, 1)
    assert score.value == 1
    assert [part.task for part in score.parts] == ["D01 [noun]", "D02 [verb]"]


@pytest.mark.parametrize(
    "text",
    [
        '"Word 1","Word 2","Human (mean)"\n"a","b","9.5"\n"a","c","1"\n',
        ",word1,word2,score\n0,a,b,9.5\n1,a,c,1\n",
        "7;a;b;9.5\n8;a;c;1\n",
        "a b 9.5e0\na c 1E-1\n",
    ],
)
def test_a_table_of_judgements_may_be_quoted_or_numbered(tmp_path, text):
    (tmp_path / "pairs.csv").write_text(text)
    vectors = {"a": [1, 0], "b": [1, 0.1], "c": [0, 1]}

    score = pe.evaluate(matrix_of(vectors), tmp_path / "pairs.csv", samples=0)["pairs"]

    assert (score.items, score.answered, score.value) == (2, 2, pytest.approx(1))
