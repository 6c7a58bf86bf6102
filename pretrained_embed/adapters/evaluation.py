"""Intrinsic evaluation through gensim, on the data sets that gensim ships.

Word similarity: how the cosines of pairs of words rank against what people said of
them, in WordSim-353 (Finkelstein et al. 2002) and SimLex-999 (Hill et al. 2015).
Analogies: "Athens is to Greece as Baghdad is to ...", in ``questions-words.txt``
(Mikolov et al. 2013), answered by the nearest token to b - a + c that is none of the
three.

Only tokens whose vectors are from a source take part: no pad, no unk, no row that an
OOV policy filled, and no row without a direction: zeros, or a value that is not finite.
A pair or question with another token is left out, not counted as wrong, so a score
means little without the coverage beside it; and an analogy score means little without
the number of ``candidates``: the fewer there are to choose from, the easier the choice.

Letter case does not count: gensim compares words in upper case. Of tokens that differ
in nothing else, the one with the lowest id stands for all.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pretrained_embed.adapters._arguments import checked
from pretrained_embed.errors import MissingPackageError
from pretrained_embed.ledger import Origin
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

try:
    from gensim.models import KeyedVectors
    from gensim.test.utils import datapath
except ImportError as error:
    raise MissingPackageError(
        "evaluation needs gensim, which is not installed or cannot be imported: "
        "pip install 'pretrained-embed[gensim]'"
    ) from error

__all__ = ["Analogies", "Evaluation", "WordPairs", "evaluate", "vocabulary"]

_WORD_PAIRS = {"WordSim-353": "wordsim353.tsv", "SimLex-999": "simlex999.txt"}
_ANALOGIES = "questions-words.txt"


@dataclass(frozen=True)
class WordPairs:
    """Correlation with the judgements of people, over the pairs that were answered.

    ``spearman`` and ``pearson``, -1 to 1, are ``None`` where there are too few pairs
    to tell, or all alike.
    """

    dataset: str
    pairs: int  # in the data set
    answered: int  # both of whose words have a vector
    spearman: float | None
    pearson: float | None

    def __str__(self) -> str:
        score = "no score" if self.spearman is None else f"Spearman {self.spearman:.4f}"
        if self.pearson is not None:
            score += f", Pearson {self.pearson:.4f}"
        return f"{self.dataset}: {score} ({_share(self.answered, self.pairs)} pairs)"


@dataclass(frozen=True)
class Analogies:
    """Right answers to the analogies of a data set or of a section of it."""

    dataset: str
    questions: int
    answered: int  # all four of whose words have a vector
    correct: int

    @property
    def accuracy(self) -> float | None:
        """Share of the answered questions, 0 to 1; ``None`` if there are none."""
        return self.correct / self.answered if self.answered else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self) | {"accuracy": self.accuracy}

    def __str__(self) -> str:
        score = "no score" if self.accuracy is None else f"{self.accuracy:.1%} right"
        answered = _share(self.answered, self.questions)
        return f"{self.dataset}: {score} ({answered} questions)"


@dataclass(frozen=True)
class Evaluation:
    """All scores of a matrix; ``str(evaluation)`` is one a line."""

    candidates: int  # tokens that took part, and so could be the answer to an analogy
    word_pairs: tuple[WordPairs, ...]
    analogies: Analogies
    sections: tuple[Analogies, ...]  # of the analogies

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "candidates": self.candidates,
            "word_pairs": [asdict(scores) for scores in self.word_pairs],
            "analogies": self.analogies.to_dict()
            | {"sections": [section.to_dict() for section in self.sections]},
        }

    def __str__(self) -> str:
        lines = [
            *map(str, self.word_pairs),
            f"{self.analogies}, each answer chosen among {self.candidates:,} tokens",
            *(f"  {section}" for section in self.sections),
        ]
        return "\n".join(lines)


def vocabulary() -> Vocabulary:
    """Return the words of all the data sets, without pad.

    A matrix built for it, with ``match=("exact", "lower")``, is all that an evaluation
    needs of a large source.
    """
    words = [
        word for file in _WORD_PAIRS.values() for pair in _pairs(file) for word in pair
    ]
    words += [w for _, questions in _sections() for q in questions for w in q]
    return Vocabulary(dict.fromkeys(words).keys(), pad=None)


@checked
def evaluate(matrix: EmbeddingMatrix) -> Evaluation:
    """Return the scores of ``matrix`` on all the data sets.

    gensim takes about a millisecond for each of the 19,544 analogies, and longer the
    more tokens there are: minutes with some 100,000.
    """
    vectors = _found(matrix)
    with _quiet():
        pairs = [_word_pairs(vectors, *dataset) for dataset in _WORD_PAIRS.items()]
        total, sections = _analogies(vectors)
    return Evaluation(len(vectors), tuple(pairs), total, sections)


def _found(matrix: EmbeddingMatrix) -> KeyedVectors:
    """Return the rows that are from a source and have a direction, in order of id."""
    took_part = matrix.origin >= Origin.EXACT
    took_part[list(matrix.vocabulary.specials)] = False
    took_part &= matrix.vectors.any(axis=1) & np.isfinite(matrix.vectors).all(axis=1)
    ids = np.flatnonzero(took_part)
    vectors = KeyedVectors(matrix.dim)
    tokens = [matrix.vocabulary.tokens[id] for id in ids.tolist()]
    vectors.add_vectors(tokens, matrix.vectors[ids])
    return vectors


def _word_pairs(vectors: KeyedVectors, dataset: str, file: str) -> WordPairs:
    known = {token.upper() for token in vectors.index_to_key}
    pairs = _pairs(file)
    answered = sum(a.upper() in known and b.upper() in known for a, b in pairs)
    pearson = spearman = None
    if answered > 1:  # one point correlates with nothing, which is an error to gensim
        (pearson, _), (spearman, _), _ = vectors.evaluate_word_pairs(
            datapath(file), restrict_vocab=len(vectors), case_insensitive=True
        )
    return WordPairs(dataset, len(pairs), answered, _score(spearman), _score(pearson))


def _analogies(vectors: KeyedVectors) -> tuple[Analogies, tuple[Analogies, ...]]:
    _, answers = vectors.evaluate_word_analogies(
        datapath(_ANALOGIES), restrict_vocab=len(vectors), case_insensitive=True
    )
    sections = []
    for (name, questions), answer in zip(_sections(), answers[:-1], strict=True):
        correct, wrong = len(answer["correct"]), len(answer["incorrect"])
        sections.append(Analogies(name, len(questions), correct + wrong, correct))
    total = Analogies(
        "Analogies",
        sum(section.questions for section in sections),
        sum(section.answered for section in sections),
        sum(section.correct for section in sections),
    )
    return total, tuple(sections)


def _pairs(file: str) -> list[list[str]]:
    """Return the pairs of a file of ``word TAB word TAB number`` lines."""
    lines = Path(datapath(file)).read_text("utf-8").splitlines()
    return [line.split("\t")[:2] for line in lines if not line.startswith("#")]


def _sections() -> list[tuple[str, list[list[str]]]]:
    """Return the names and questions of the sections, which begin with a colon."""
    sections: list[tuple[str, list[list[str]]]] = []
    for line in Path(datapath(_ANALOGIES)).read_text("utf-8").splitlines():
        if line.startswith(": "):
            sections.append((line.removeprefix(": "), []))
        else:
            sections[-1][1].append(line.split())
    return sections


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what gensim logs of every pair, and warns of pairs all alike."""
    logger = logging.getLogger("gensim")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        logger.setLevel(level)


def _score(correlation: float | None) -> float | None:
    if correlation is None or math.isnan(correlation):
        return None
    return float(correlation)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"
