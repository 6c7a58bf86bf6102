"""`evaluate`: how well vectors agree with human judgements of words.

Similarity: rank correlation between the cosines of word pairs and human ratings.
Analogies: Athens is to Greece as Oslo is to the token nearest to Greece - Athens +
Oslo, other than these three (3CosAdd). The odd one out: the word with the least
similarity to the others (Camacho-Collados and Navigli 2016,
https://aclanthology.org/W16-2508). Categories: purity of a k-means clustering with one
cluster for each category, which is the share of words that belong to the main category
of their cluster.

Only tokens with vectors from a source are used: not pad, unk, rows of OOV policies, or
rows of zeros. An item with any other token is left out and not counted as wrong, so a
score must be read together with its coverage, and for analogies with the number of
candidates. Letter case is ignored: of tokens that differ only in case, the one with the
lowest id is used.
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
from pretrained_embed.tools.tasks import Item, Task, known_tasks, read_task

_MEASURES = {
    "similarity": "Spearman",
    "analogy": "right",
    "odd one out": "right",
    "category": "purity",
}
_NOUNS = {"similarity": "pairs", "analogy": "questions", "category": "words"}

#: The metadata key of a saved matrix: its ledger.
_OWN = "pretrained_embed"

#: How many nearest tokens of an analogy are searched for one that is not in it.
_SPARE = 8

#: The kind of a score: of all answered items, or of some of them.
_Measure = Callable[[Int64Array], float]


@dataclass(frozen=True)
class Score:
    """One score of a source on a task, with its 95 % interval.

    ``value``, -1 to 1 for Spearman's correlation and 0 to 1 for a share, is ``None``
    if there are too few items, or all are equal. ``low`` and ``high`` are its
    percentiles 2.5 and 97.5 over resampled items (bootstrap).
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
    """By how much a source is better than another, on the items that both have."""

    task: str
    measure: str
    first: str
    second: str
    items: int
    value: float  # the score of the first minus that of the second
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
    """All scores; ``str(evaluation)`` has a line for each.

    ``candidates`` is how many tokens of each source were used, which are the possible
    answers to an analogy. ``together`` are the scores on the items that all sources
    have, and ``differences`` those of each two sources on these; both are empty for one
    source. ``left_out`` names the tasks that are not available.
    """

    candidates: dict[str, int]
    scores: tuple[Score, ...]
    together: tuple[Score, ...]
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values."""
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
    """Return how well vectors agree with human judgements of words.

    Parameters
    ----------
    sources : EmbeddingMatrix, Reader, path, name, or a list of these
        The vectors. Of a matrix all found tokens are used; of other sources only the
        words of the tasks are read, in lower case if the source does not have them
        unchanged.
    tasks : path or list of paths, default all available tasks
        Your own tasks, a file for each: lines of two words and a number (similarity),
        four words (analogies; also pairs below lines ``: section``), a word and its
        category, or words, an empty line, and the odd ones (a folder with a file for
        each set), or a folder with a file of pairs for each section of analogies
        (BATS). The default are three small English tasks of this package, and
        WordSim-353, SimLex-999 and Google's analogies if gensim, which contains them,
        is installed.
    samples, seed : int, default 1000 and 0
        How often items are resampled for an interval, and the seed; 0 for no intervals.
    library : Library, optional
        Where names are looked up, and how files are read.
    progress : callable of (bytes, bytes in all), True or ``None``

    Returns
    -------
    Evaluation
        The scores; printed, a line for each.

    Raises
    ------
    OptionError
        For unknown options.
    FormatError
        For a task of an unknown form.
    CoverageError
        If a source has none of the words.
    MissingPackageError
        For categories without scikit-learn.

    Examples
    --------
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
    """The rows that are used."""

    names: list[str]  # in upper case
    rows: dict[str, int]
    units: Float32Array


class _Answers(NamedTuple):
    """The answers of a source to the items of a task."""

    there: BoolArray  # (items,) whether it has all words
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
    """Return the rows that are from a source and not zero, in the order of ids."""
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
            and (task.kind != "analogy" or bool(_right(item) & known.rows.keys()))
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
            values[places] = _analogies(rows, items, known)
        elif task.kind == "category":
            labels = [item.answer for item in items]
            values[places] = _clusters(known.units[rows[:, 0]], labels, seed)
        else:
            values[places] = [_is_odd(item.words, item.answer, known) for item in items]
    return _Answers(there, values)


def _right(item: Item) -> set[str]:
    """Return the right answers, in upper case."""
    return {answer.upper() for answer in (item.answer, *item.others)}


def _analogies(rows: Int64Array, items: list[Item], known: _Known) -> list[bool]:
    """Return whether the nearest token that is not in the question is an answer."""
    first, second, third = (known.units[rows[:, n]] for n in range(3))
    best = Nearest(second - first + third, 3 + _SPARE)
    best.add(known.units)
    right = []
    for asked, near, item in zip(rows.tolist(), best.rows.tolist(), items, strict=True):
        own = {known.names[row] for row in asked}
        names = (known.names[row] for row in near if row >= 0)
        found = next((name for name in names if name not in own), None)
        right.append(found in _right(item))
    return right


def _is_odd(words: Sequence[str], odd: str, known: _Known) -> bool:
    """Return whether the word least similar to the others is the odd one."""
    units = known.units[[known.rows[word.upper()] for word in words]].astype(float)
    return words[int(np.argmin(units @ units.sum(axis=0)))] == odd


def _clusters(units: Float32Array, labels: list[str], seed: int) -> Float64Array:
    """Return 1 for each word of its cluster's main category, else 0."""
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
    """Return percentiles 2.5 and 97.5 of a score, or of the first minus the second.

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
    """Return ranks from 0; equal values share their mean rank."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Float64Array = (last - (counts + 1) / 2)[which]
    return ranks


def _correlation(one: Float64Array, other: Float64Array) -> float:
    """Return Pearson's correlation; NaN for fewer than two values or equal ones."""
    if len(one) < 2:
        return np.nan
    one, other = one - one.mean(), other - other.mean()
    lengths = float(np.sqrt((one @ one) * (other @ other)))
    # equal numbers differ from their mean only by rounding
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
