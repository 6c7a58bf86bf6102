"""The verb `evaluate`: how well vectors agree with what people know of words.

Similarity: how the cosines of pairs of words rank against what people said of them.
Analogies: Athens is to Greece as Oslo is to the token nearest to Greece - Athens + Oslo
that is none of the three (3CosAdd). The odd one out: the word with the least similarity
to the others (Camacho-Collados and Navigli 2016, https://aclanthology.org/W16-2508).
Categories: the share of words that are in a cluster of k-means, as many as there are
categories, most of which is of their category (purity).

Only tokens whose vectors are from a source take part: no pad, no unk, no row that an
OOV policy filled, and no row without a direction. An item with another token is left
out, not counted as wrong: a score means little without the coverage beside it, and of
analogies without the number of candidates. Letter case does not count; of tokens that
differ in nothing else, the one with the lowest id stands for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

import pretrained_embed as pe
from pretrained_embed.arrays import (
    AnyProgress,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    listener,
)
from pretrained_embed.errors import (
    BY_COPY,
    CoverageError,
    MissingPackageError,
    OptionError,
    left_out,
)
from pretrained_embed.tools.nearest_rows import Nearest, unit_rows
from pretrained_embed.tools.tasks import Task, known_tasks, read_task

_MEASURES = {
    "similarity": "Spearman",
    "analogy": "right",
    "odd one out": "right",
    "category": "purity",
}
_NOUNS = {"similarity": "pairs", "analogy": "questions", "category": "words"}

#: What the metadata of a saved matrix has: its row ledger.
_OWN = "pretrained_embed"

#: Nearest tokens of an analogy that are looked through for one that is not in it.
_SPARE = 8

#: What a score is of: of all items that were answered, or some of them.
_Measure = Callable[[Int64Array], float]


@dataclass(frozen=True)
class Score:
    """One score of a source on a task, and the interval of 95 % about it.

    ``value``, -1 to 1 for Spearman's correlation and 0 to 1 for a share, is ``None``
    where there are too few items to tell, or all are alike. ``low`` and ``high`` are
    the percentiles 2.5 and 97.5 of it over resampled items (bootstrap).
    """

    source: str
    task: str
    kind: str
    measure: str
    items: int  # in the task
    answered: int  # all of whose words have a vector
    value: float | None
    low: float | None = None
    high: float | None = None
    pearson: float | None = None  # of similarity
    parts: tuple[Score, ...] = ()  # by section

    def __str__(self) -> str:
        noun = _NOUNS.get(self.kind, "sets")
        answered = f"({self.answered:,} of {self.items:,} {noun})"
        if self.value is None:
            return f"{self.task}: no score {answered}"
        text = f"{self.task}: {_shown(self.measure, self.value)}"
        if self.low is not None and self.high is not None:
            text += f", {_range(self.measure, self.low, self.high)}"
        if self.pearson is not None:
            text += f", Pearson {self.pearson:.4f}"
        return f"{text} {answered}"


@dataclass(frozen=True)
class Difference:
    """By how much a source is better than another, on the items both have."""

    task: str
    measure: str
    first: str
    second: str
    items: int
    value: float  # the score of the first less that of the second
    low: float
    high: float

    def __str__(self) -> str:
        sure = "" if self.low > 0 or self.high < 0 else "; may be chance"
        return (
            f"{self.task}: {self.first} less {self.second}: {self.value:+.4f}, 95 % "
            f"{self.low:+.4f} to {self.high:+.4f} ({self.items:,} items){sure}"
        )


@dataclass(frozen=True)
class Evaluation:
    """All scores; ``str(evaluation)`` has one a line.

    ``candidates`` is how many tokens of each source took part, and so could be the
    answer to an analogy. ``together`` are the scores on the items that all sources
    have, and ``differences`` of each two sources on these; both are empty for one
    source. ``left_out`` says which tasks could not be had.
    """

    candidates: dict[str, int]
    scores: tuple[Score, ...]
    together: tuple[Score, ...]
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self)

    def __getitem__(self, task: str) -> Score:
        """Return the score of the first source on a task."""
        for score in self.scores:
            if score.task == task:
                return score
        raise OptionError(
            f"there is no task {task!r}; there are "
            f"{', '.join(dict.fromkeys(score.task for score in self.scores))}"
        )

    def __str__(self) -> str:
        lines: list[str] = []
        for source, candidates in self.candidates.items():
            lines.append(f"{source}, {candidates:,} tokens:")
            for score in self.scores:
                if score.source == source:
                    lines += [f"  {score}", *(f"    {part}" for part in score.parts)]
        if self.together:
            lines.append("On the items that all have:")
            lines += [f"  {score.source}: {score}" for score in self.together]
            lines += [f"  {difference}" for difference in self.differences]
        return "\n".join(lines)


@left_out(BY_COPY)
def evaluate(
    sources: Any,
    tasks: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    *,
    samples: int = 1000,
    seed: int = 0,
    library: pe.Library | None = None,
    progress: AnyProgress = None,
) -> Evaluation:
    """Return how well vectors agree with what people know of words.

    Parameters
    ----------
    sources : EmbeddingMatrix, Reader, path, name, or a list of these
        What to judge. Of a matrix all found tokens take part; of other sources the
        words of the tasks alone are read, in lower case where they are not there as
        they stand.
    tasks : path or list of paths, default what there is
        Files, each a task of one's own: two words and a number a line (similarity),
        four words (analogies; pairs below lines ``: section`` as well), a word and its
        category, or words, an empty line, and the odd ones (a file a set, in a folder).
        The default are three small English tasks of this package, and WordSim-353,
        SimLex-999 and Google's analogies where gensim, which ships them, is installed.
    samples, seed : int, default 1000 and 0
        How often items are resampled for an interval, and by which seed; 0 leaves the
        intervals out.
    library : Library, optional
        Where names are looked for, and how files are read.
    progress : callable of (bytes, bytes in all), True or ``None``

    Raises `FormatError` for a task of no known form, `CoverageError` where a source has
    none of the words, `MissingPackageError` for categories without scikit-learn, and
    what `open_vectors` does.

    >>> scores = evaluate("glove-6b-50d")  # doctest: +SKIP
    >>> scores["WordSim-353"].value  # doctest: +SKIP
    0.503...
    """
    listed = list(sources) if isinstance(sources, list | tuple) else [sources]
    if not listed:
        raise OptionError("the list of sources is empty: name one at least")
    if samples < 0:
        raise OptionError(f"samples is {samples}; it can be 0 or more")
    left_out: list[str] = []
    if tasks is None:
        chosen, left_out = known_tasks()
    else:
        given = [tasks] if isinstance(tasks, str | os.PathLike) else tasks
        chosen = [read_task(path) for path in given]
    words = dict.fromkeys(word for task in chosen for word in task.words)
    vocabulary = pe.Vocabulary(words.keys(), pad=None)
    told = listener(progress)
    known: dict[str, _Known] = {}
    for number, source in enumerate(listed):
        name, matrix = _matrix(source, vocabulary, library, told)
        if name in known:
            name = f"{name} ({number + 1})"
        known[name] = _Known(*_found(matrix))
    answers = [
        {name: _answered(task, one, seed) for name, one in known.items()}
        for task in chosen
    ]
    scores = [
        _score(name, task, answered, samples, seed)
        for name in known
        for task, each in zip(chosen, answers, strict=True)
        for answered in (each[name],)
    ]
    together, differences = [], []
    if len(known) > 1:
        for task, each in zip(chosen, answers, strict=True):
            some, apart = _beside(task, each, samples, seed)
            together += some
            differences += apart
    return Evaluation(
        {name: len(one.names) for name, one in known.items()},
        tuple(scores),
        tuple(together),
        tuple(differences),
        tuple(left_out),
    )


class _Known(NamedTuple):
    """The rows that take part."""

    names: list[str]  # in upper case
    rows: dict[str, int]
    units: Float32Array


class _Answers(NamedTuple):
    """What a source says to each item of a task."""

    there: BoolArray  # (items,) all words of which it has
    values: Float64Array  # (items,) a cosine, or 1 for right and 0 for wrong


def _matrix(
    source: Any,
    vocabulary: pe.Vocabulary,
    library: pe.Library | None,
    progress: AnyProgress,
) -> tuple[str, pe.EmbeddingMatrix]:
    """Return a name for a source, and its matrix."""
    if isinstance(source, pe.EmbeddingMatrix):
        return "matrix", source
    reader = pe.open_vectors(source, library=library)
    try:
        table = reader.table()
        if table is not None and _OWN in table.metadata:
            return reader.name, pe.load_matrix(reader)
        built = pe.build_matrix(
            vocabulary,
            reader,
            match=("exact", "lower"),
            oov="zeros",
            progress=progress,
        )
    except CoverageError as error:
        raise CoverageError(
            f"{reader.name} has no word of the tasks: {error}"
        ) from None
    finally:
        if reader is not source:
            reader.close()
    return reader.name, built


def _found(
    matrix: pe.EmbeddingMatrix,
) -> tuple[list[str], dict[str, int], Float32Array]:
    """Return the rows that are from a source and have a direction, in order of id."""
    took_part = matrix.origin >= pe.ledger.Origin.EXACT
    took_part[list(matrix.vocabulary.specials)] = False
    ids = np.flatnonzero(took_part)
    units = unit_rows(matrix.vectors[ids])
    directed = units.any(axis=1)
    names = [name.upper() for name in matrix.vocabulary.strings(ids[directed])]
    rows = dict(zip(reversed(names), range(len(names) - 1, -1, -1), strict=True))
    return names, rows, units[directed]


def _answered(task: Task, known: _Known, seed: int) -> _Answers:
    there = np.array(
        [
            all(word.upper() in known.rows for word in item.words)
            and (task.kind != "analogy" or item.answer.upper() in known.rows)
            for item in task.items
        ],
        np.bool_,
    )
    values = np.zeros(len(task.items))
    places = np.flatnonzero(there)
    if len(places):
        items = [task.items[place] for place in places.tolist()]
        rows = np.array(
            [[known.rows[w.upper()] for w in item.words] for item in items]
            if task.kind != "odd one out"
            else [[0]] * len(items)
        )
        if task.kind == "similarity":
            pairs = known.units[rows].astype(np.float64)
            values[places] = np.einsum("ij,ij->i", pairs[:, 0], pairs[:, 1])
        elif task.kind == "analogy":
            values[places] = _analogies(rows, [item.answer for item in items], known)
        elif task.kind == "category":
            labels = [item.answer for item in items]
            values[places] = _clusters(known.units[rows[:, 0]], labels, seed)
        else:
            values[places] = [_is_odd(item.words, item.answer, known) for item in items]
    return _Answers(there, values)


def _analogies(rows: Int64Array, answers: list[str], known: _Known) -> list[bool]:
    """Return whether the nearest token that is not in the question is the answer."""
    first, second, third = (known.units[rows[:, n]] for n in range(3))
    best = Nearest(second - first + third, 3 + _SPARE)
    best.add(known.units)
    right = []
    for asked, near, answer in zip(
        rows.tolist(), best.rows.tolist(), answers, strict=True
    ):
        own = {known.names[row] for row in asked}
        names = (known.names[row] for row in near if row >= 0)
        found = next((name for name in names if name not in own), None)
        right.append(found == answer.upper())
    return right


def _is_odd(words: Sequence[str], odd: str, known: _Known) -> bool:
    """Return whether the word least similar to the others is the odd one."""
    units = known.units[[known.rows[word.upper()] for word in words]].astype(float)
    return words[int(np.argmin(units @ units.sum(axis=0)))] == odd


def _clusters(units: Float32Array, labels: list[str], seed: int) -> Float64Array:
    """Return 1 for each word whose cluster is mostly of its category, else 0."""
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingPackageError(
            "categories need scikit-learn, which is not installed or cannot be "
            "imported: pip install 'pretrained-embed[sklearn]'"
        ) from error
    names, codes = np.unique(labels, return_inverse=True)
    model = KMeans(min(len(names), len(units)), n_init=10, random_state=seed)
    clusters = model.fit_predict(units)
    right = np.zeros(len(units))
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        right[inside] = codes[inside] == np.bincount(codes[inside]).argmax()
    return right


def _score(
    source: str, task: Task, answers: _Answers, samples: int, seed: int
) -> Score:
    """Return the score on the items that a source answered, with its sections."""
    places = np.flatnonzero(answers.there)
    measure = _measure(task, answers)
    value = _number(measure(places))
    low, high = _interval([measure], places, samples, seed)
    pearson = None
    if task.kind == "similarity":
        numbers = np.array([item.number for item in task.items])
        pearson = _number(_correlation(numbers[places], answers.values[places]))
    return Score(
        source,
        task.name,
        task.kind,
        _MEASURES[task.kind],
        len(task.items),
        len(places),
        value,
        low if value is not None else None,
        high if value is not None else None,
        pearson,
        _parts(source, task, answers),
    )


def _parts(source: str, task: Task, answers: _Answers) -> tuple[Score, ...]:
    sections = np.array([item.section for item in task.items])
    if task.kind != "analogy" or len(set(sections.tolist())) < 2:
        return ()
    parts = []
    for name in dict.fromkeys(sections.tolist()):
        inside = sections == name
        there = inside & answers.there
        right = answers.values[there]
        value = float(right.mean()) if len(right) else None
        parts.append(
            Score(
                *(source, name, task.kind, _MEASURES[task.kind]),
                *(int(inside.sum()), len(right), value),
            )
        )
    return tuple(parts)


def _beside(
    task: Task, each: dict[str, _Answers], samples: int, seed: int
) -> tuple[list[Score], list[Difference]]:
    """Return scores and differences on the items that all sources answered."""
    shared = np.logical_and.reduce([answers.there for answers in each.values()])
    places = np.flatnonzero(shared)
    scores = [
        _score(name, task, _Answers(shared, answers.values), samples, seed)
        for name, answers in each.items()
    ]
    apart = []
    for first, second in combinations(each, 2):
        one, other = (_measure(task, each[name]) for name in (first, second))
        value = _number(one(places) - other(places))
        low, high = _interval([one, other], places, samples, seed)
        if value is not None and low is not None and high is not None:
            apart.append(
                Difference(
                    *(task.name, _MEASURES[task.kind], first, second),
                    *(len(places), value, low, high),
                )
            )
    return scores, apart


def _measure(task: Task, answers: _Answers) -> _Measure:
    if task.kind == "similarity":
        numbers = np.array([item.number for item in task.items])
        return partial(_spearman, numbers, answers.values)
    return lambda places: (
        float(answers.values[places].mean()) if len(places) else np.nan
    )


def _interval(
    measures: Sequence[_Measure], places: Int64Array, samples: int, seed: int
) -> tuple[float | None, float | None]:
    """Return the percentiles 2.5 and 97.5 of a score, or of the first less the second.

    Items are drawn with replacement, the same for both (Efron and Tibshirani 1993).
    """
    if not samples or len(places) < 2:
        return None, None
    drawn = np.random.default_rng(seed)
    values = []
    for _ in range(samples):
        some = places[drawn.integers(0, len(places), len(places))]
        one = measures[0](some)
        values.append(one - measures[1](some) if len(measures) > 1 else one)
    known = np.array(values)[np.isfinite(values)]
    if not len(known):
        return None, None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def _spearman(
    numbers: Float64Array, cosines: Float64Array, places: Int64Array
) -> float:
    return _correlation(_ranks(numbers[places]), _ranks(cosines[places]))


def _ranks(values: Float64Array) -> Float64Array:
    """Return ranks from 0; values that are alike share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Float64Array = (last - (counts + 1) / 2)[which]
    return ranks


def _correlation(one: Float64Array, other: Float64Array) -> float:
    """Return Pearson's correlation; NaN for fewer than two values, or all alike."""
    if len(one) < 2:
        return np.nan
    one, other = one - one.mean(), other - other.mean()
    lengths = float(np.sqrt((one @ one) * (other @ other)))
    # numbers that are all alike differ from their mean by rounding alone
    if lengths <= 1e-12 * len(one):
        return np.nan
    return float(one @ other) / lengths


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _shown(measure: str, value: float) -> str:
    return f"{value:.1%} right" if measure == "right" else f"{measure} {value:.4f}"


def _range(measure: str, low: float, high: float) -> str:
    if measure == "right":
        return f"95 % {low:.1%} to {high:.1%}"
    return f"95 % {low:.4f} to {high:.4f}"
