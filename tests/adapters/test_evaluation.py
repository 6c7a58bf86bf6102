import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe

pytest.importorskip("gensim", reason="gensim is not installed")
from gensim.test.utils import datapath

from pretrained_embed.adapters import evaluation

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


def directions(angles):
    radians = np.radians(list(angles.values()))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def matrix_of(vectors, **options):
    vocabulary = pe.Vocabulary(list(vectors), pad=None)
    return pe.EmbeddingMatrix(
        np.array(list(vectors.values()), np.float32), vocabulary, **options
    )


def wordsim(result):
    return next(scores for scores in result.word_pairs if "Sim-353" in scores.dataset)


def test_a_ranking_worked_out_by_hand():
    matrix = matrix_of(dict(zip(ANGLES, directions(ANGLES), strict=True)))

    result = evaluation.evaluate(matrix)

    scores = wordsim(result)
    assert (scores.pairs, scores.answered) == (353, 4)
    assert scores.spearman == pytest.approx(1)  # 80, 40, 20 and 0 degrees apart
    people, cosines = [7.35, 7.46, 7.62, 10], np.cos(np.radians([80, 40, 20, 0]))
    assert scores.pearson == pytest.approx(np.corrcoef(people, cosines)[0, 1], abs=1e-6)


def test_a_ranking_that_is_partly_wrong():
    angles = ANGLES | {"cat": 20, "keyboard": 80}
    matrix = matrix_of(dict(zip(angles, directions(angles), strict=True)))

    scores = wordsim(evaluation.evaluate(matrix))

    # Ranks 3 2 1 4 for 1 2 3 4: 1 - 6 * (4 + 0 + 4 + 0) / (4 * (16 - 1)).
    assert scores.spearman == pytest.approx(0.2)


def test_analogies_worked_out_by_hand():
    result = evaluation.evaluate(matrix_of(CAPITALS))

    # The first question stands in a second section too.
    total = result.analogies
    assert (total.questions, total.answered, total.correct) == (19_544, 3, 1)
    assert total.accuracy == 1 / 3
    first = result.sections[0]
    assert first.dataset == "capital-common-countries"
    assert (first.questions, first.answered, first.correct) == (506, 2, 1)
    assert result.candidates == 5


def test_letter_case_does_not_count():
    lower = {token.lower(): vector for token, vector in CAPITALS.items()}

    assert evaluation.evaluate(matrix_of(lower)).analogies.answered == 3


def test_of_tokens_that_differ_in_case_the_first_stands_for_all():
    angles = ANGLES | {"CAT": 0, "Paper": 0, "Keyboard": 0}
    matrix = matrix_of(dict(zip(angles, directions(angles), strict=True)))

    scores = wordsim(evaluation.evaluate(matrix))

    assert (scores.answered, scores.spearman) == (4, pytest.approx(1))


@pytest.mark.parametrize("code", [pe.Origin.OOV, pe.Origin.UNUSED])
def test_a_row_that_is_not_from_the_source_takes_no_part(code):
    origin = [pe.Origin.EXACT] * 5
    origin[3] = code

    result = evaluation.evaluate(matrix_of(CAPITALS, origin=origin))

    assert (result.candidates, result.analogies.answered) == (4, 0)
    assert result.analogies.accuracy is None


def test_pad_and_unk_take_no_part_even_if_their_names_are_words():
    vectors = np.array(list(CAPITALS.values()), np.float32)
    vectors[3] = 0
    vocabulary = pe.Vocabulary(list(CAPITALS), pad="Iraq", unk="decoy")

    result = evaluation.evaluate(pe.EmbeddingMatrix(vectors, vocabulary))

    assert (result.candidates, result.analogies.answered) == (3, 0)


@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_a_row_without_a_direction_takes_no_part(value):
    result = evaluation.evaluate(matrix_of(CAPITALS | {"Iraq": [value, 0, 0]}))

    assert (result.candidates, result.analogies.answered) == (4, 0)


def test_too_few_pairs_and_pairs_all_alike_have_no_score():
    alone = matrix_of({"book": [1, 0], "paper": [1, 1]})
    alike = matrix_of({token: [1, 1] for token in ANGLES})
    nothing = matrix_of({"qwzx": [0, 0]})

    for matrix, answered in ((alone, 1), (alike, 4), (nothing, 0)):
        scores = wordsim(evaluation.evaluate(matrix))
        assert (scores.answered, scores.spearman, scores.pearson) == (
            answered,
            None,
            None,
        )


def test_coverage_stands_beside_every_score():
    text = str(evaluation.evaluate(matrix_of(CAPITALS))).splitlines()

    assert text[0] == "WordSim-353: no score (0 of 353 pairs)"
    assert text[2] == (
        "Analogies: 33.3% right (3 of 19,544 questions), each answer chosen among "
        "5 tokens"
    )
    assert text[3] == "  capital-common-countries: 50.0% right (2 of 506 questions)"
    assert text[5] == "  currency: no score (0 of 866 questions)"


def test_json_holds_all_of_it():
    result = evaluation.evaluate(matrix_of(CAPITALS))

    known = json.loads(json.dumps(result.to_dict(), allow_nan=False))

    assert known["candidates"] == 5
    assert [pairs["pairs"] for pairs in known["word_pairs"]] == [353, 999]
    assert known["word_pairs"][0]["spearman"] is None
    assert known["analogies"]["accuracy"] == 1 / 3
    assert len(known["analogies"]["sections"]) == 14


def test_gensim_says_nothing_and_may_speak_again_afterwards(caplog):
    caplog.set_level(logging.INFO)

    evaluation.evaluate(matrix_of(CAPITALS))

    assert caplog.records == []
    assert logging.getLogger("gensim").level == logging.NOTSET


def test_the_vocabulary_is_every_word_of_the_data_sets_and_no_more():
    vocabulary = evaluation.vocabulary()

    assert {"tiger", "Athens", "walked"} <= set(vocabulary)
    assert vocabulary.specials == frozenset()
    assert not [word for word in vocabulary if not word or word != word.strip()]


def test_glove_ranks_as_is_known_of_it():
    lines = Path(datapath("wordsim353.tsv")).read_text().splitlines()[2:]
    words = [word for line in lines for word in line.split("\t")[:2]]
    matrix = pe.build_matrix(
        pe.Vocabulary(dict.fromkeys(words).keys()), match="exact,lower", offline=True
    )

    scores = wordsim(evaluation.evaluate(matrix))

    assert scores.answered == 353
    assert scores.spearman == pytest.approx(0.503, abs=0.001)


def test_without_gensim_the_error_says_what_to_install():
    program = (
        "import sys\n"
        "sys.modules['gensim'] = None\n"
        "try:\n"
        "    import pretrained_embed.adapters.evaluation\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, error)\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert run.stdout.startswith("MissingPackageError evaluation needs gensim")
    assert "pip install 'pretrained-embed[gensim]'" in run.stdout
