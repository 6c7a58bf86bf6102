"""``python -m benchmarks.does_it_help``: when does a pretrained start pay?

Three small tasks on real texts: the topic of a text, the part of speech of a word, the
language of five words. The same small network is trained from embeddings that differ in
nothing but how they start and which rows are trained, on 1 %, 10 % and all of the texts
for training. A page of results is written, and a picture beside it.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

import pretrained_embed as pe
from benchmarks import corpora, machine, report
from benchmarks.corpora import Corpus, Unit
from pretrained_embed.adapters import torch as pe_torch

SHARES = (0.01, 0.1, 1.0)  # of the units for training
SEEDS = range(1, 6)
CHOICE = 0  # the seed by which the learning rates are chosen
RATES = (0.01, 0.03, 0.1)
EPOCHS = {0.01: 40, 0.1: 20, 1.0: 8}
BATCH = {0.01: 8, 0.1: 32, 1.0: 64}  # units
HIDDEN = 64
UNK = "<unk>"
AROUND = 2  # words on each side that a tagger sees
RESULT = Path(__file__).parent / "results" / "does-it-help.md"
#: Half-widths of 95 % intervals in standard errors, by Student's t, of 2 to 10 seeds.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class Setting(NamedTuple):
    """A corpus, the vectors that are to help, and how many units take part."""

    corpus: Callable[[], Corpus]
    vectors: str  # as the page calls them
    source: Callable[[], str]
    ngrams: str  # the policy that makes rows of n-grams
    pool: int
    test: int
    validation: int
    train: int


GLOVE = ("GloVe 6B, 50 dimensions", lambda: pe.DEFAULT_SOURCE, "ngram")
LID = (
    "fastText lid.176 (trained for this task), 16 dimensions",
    lambda: str(corpora.language_model()),
    "subword",
)
SETTINGS = (
    Setting(corpora.topics, *GLOVE, pool=3000, test=700, validation=300, train=2000),
    Setting(corpora.tags, *GLOVE, pool=2700, test=500, validation=200, train=2000),
    Setting(
        corpora.languages, *GLOVE, pool=9999, test=2000, validation=600, train=5000
    ),
    Setting(corpora.languages, *LID, pool=9999, test=2000, validation=600, train=5000),
)


class Start(NamedTuple):
    """How an embedding starts, and what of it is trained."""

    ngrams: bool = False  # rows that are not found are made of n-grams
    freeze: bool | str = False


#: None is the layer that PyTorch gives to whoever has no vectors.
STARTS: dict[str, Start | None] = {
    "random": None,
    "pretrained, frozen": Start(freeze=True),
    "pretrained, trained": Start(),
    "found frozen, OOV trained": Start(freeze="found"),
    "n-grams for OOV, frozen": Start(ngrams=True, freeze=True),
    "n-grams for OOV, trained": Start(ngrams=True),
}


class Samples(NamedTuple):
    """Units to train on, to choose by, and to test with."""

    train: list[Unit]
    validation: list[Unit]
    test: list[Unit]


@dataclass
class Task:
    """A setting with all that its runs share."""

    setting: Setting
    corpus: Corpus
    pool: list[Unit]
    matrices: dict[bool, pe.EmbeddingMatrix]  # by whether n-grams fill what is OOV

    @classmethod
    def of(cls, setting: Setting) -> Task:
        """Read the texts and build the matrices of their words."""
        corpus = setting.corpus()
        drawn = random.Random(CHOICE).sample(corpus.units, len(corpus.units))
        pool = drawn[: setting.pool]
        vocabulary = pe.Vocabulary.from_texts([unit.words for unit in pool], unk=UNK)
        policies = {False: "normal", True: f"{setting.ngrams},normal"}
        matrices = {
            ngrams: pe.build_matrix(vocabulary, setting.source(), oov=oov)
            for ngrams, oov in policies.items()
        }
        return cls(setting, corpus, pool, matrices)

    @property
    def matrix(self) -> pe.EmbeddingMatrix:
        """The matrix whose rows that are not found are drawn."""
        return self.matrices[False]

    @property
    def name(self) -> str:
        """What the task is called on the page."""
        return f"{self.corpus.task}, {self.setting.vectors}"

    def samples(self, seed: int, share: float) -> Samples:
        """Return the units of a run: of one seed, a larger share has the smaller."""
        drawn = random.Random(seed)
        groups = sorted({unit.group for unit in self.pool})
        drawn.shuffle(groups)
        rank = {group: place for place, group in enumerate(groups)}
        units = drawn.sample(self.pool, len(self.pool))
        units.sort(key=lambda unit: rank[unit.group])
        first, second = self.setting.test, self.setting.test + self.setting.validation
        bounds = [rank[units[count].group] for count in (first, second)]
        test = [unit for unit in units if rank[unit.group] < bounds[0]]
        validation = [u for u in units if bounds[0] <= rank[u.group] < bounds[1]]
        rest = drawn.sample(units, len(units))
        rest = _labels_in_turn([u for u in rest if rank[u.group] >= bounds[1]])
        count = round(share * min(self.setting.train, len(rest)))
        return Samples(rest[:count], validation, test)


def _labels_in_turn(units: list[Unit]) -> list[Unit]:
    """Return units so that the first ones have each label about as often."""
    seen: Counter[str] = Counter()
    keyed = []
    for unit in units:
        label = unit.labels[0] if len(unit.labels) == 1 else ""
        keyed.append((seen[label] if label else 0, unit))
        seen[label] += 1
    keyed.sort(key=lambda pair: pair[0])
    return [unit for _, unit in keyed]


class Tensors(NamedTuple):
    """Units as a network takes them."""

    ids: torch.Tensor  # (items, words): of a whole text, or around a word
    labels: torch.Tensor  # (items,)


def tensors(task: Task, units: Sequence[Unit], known: set[int] | None) -> Tensors:
    """Return units as ids and labels; of a tagged one, an item for each word.

    Words that are not ``known``, if that is given, become unk.
    """
    vocabulary = task.matrix.vocabulary
    pad = task.matrix.pad_id
    assert pad is not None
    numbers = {label: place for place, label in enumerate(task.corpus.labels)}
    encoded = torch.from_numpy(vocabulary.encode([unit.words for unit in units])).long()
    if known is not None:
        unk = vocabulary[UNK]
        there = torch.zeros(len(vocabulary), dtype=torch.bool)
        there[[pad, *known]] = True
        encoded = torch.where(there[encoded], encoded, unk)
    labels = torch.tensor([numbers[label] for unit in units for label in unit.labels])
    if all(len(unit.labels) == 1 for unit in units):
        return Tensors(encoded, labels)
    padded = nn.functional.pad(encoded, (AROUND, AROUND), value=pad)
    windows = padded.unfold(1, 2 * AROUND + 1, 1)
    return Tensors(windows[encoded != pad], labels)


class Network(nn.Module):
    """The mean of the vectors, or those around a word beside each other; two layers."""

    def __init__(self, layer: nn.Module, task: Task, *, tagger: bool) -> None:
        super().__init__()
        dim, self.pad = task.matrix.dim, task.matrix.pad_id
        self.embedding, self.tagger = layer, tagger
        self.rest = nn.Sequential(
            nn.Linear(dim * (2 * AROUND + 1 if tagger else 1), HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, len(task.corpus.labels)),
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the scores of the labels, (items, labels)."""
        vectors = self.embedding(ids)
        if self.tagger:
            return self.rest(vectors.flatten(1))
        lengths = (ids != self.pad).sum(1, keepdim=True)
        return self.rest(vectors.sum(1) / lengths)


def layer_of(start: Start | None, task: Task) -> nn.Module:
    """Return the embedding of a start."""
    if start is None:
        return nn.Embedding(*task.matrix.shape, padding_idx=task.matrix.pad_id)
    return pe_torch.embedding(task.matrices[start.ngrams], freeze=start.freeze)


def measure(
    task: Task,
    start: Start | None,
    samples: Samples,
    rate: float,
    share: float,
    seed: int,
) -> tuple[float, float]:
    """Train once; return the accuracy on the validation units and on the test.

    The test is of the epoch that the validation speaks for. A random start has the
    habits that go with it: words that were not seen in training are unk, and unk is
    trained by words seen once, which take its place every other time.
    """
    torch.manual_seed(seed)
    model = Network(layer_of(start, task), task, tagger=_is_tagged(task))
    seen = Counter(
        task.matrix.vocabulary[word] for unit in samples.train for word in unit.words
    )
    known = None if start else set(seen)
    training, validation, test = (tensors(task, units, known) for units in samples)
    once = torch.zeros(len(task.matrix.vocabulary), dtype=torch.bool)
    if start is None:
        once[[word for word, count in seen.items() if count == 1]] = True
    unk = task.matrix.vocabulary[UNK]
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=rate, fused=True)
    size = BATCH[share] * len(training.labels) // len(samples.train)
    best = (-1.0, 0.0)
    for _ in range(EPOCHS[share]):
        for batch in torch.randperm(len(training.labels)).split(size):
            ids = training.ids[batch]
            if start is None:
                hidden = once[ids] & (torch.rand(ids.shape) < 0.5)
                ids = torch.where(hidden, unk, ids)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(ids), training.labels[batch])
            loss.backward()
            optimizer.step()
        found = accuracy(model, validation)
        if found > best[0]:
            best = found, accuracy(model, test)
    return best


def _is_tagged(task: Task) -> bool:
    return any(len(unit.labels) > 1 for unit in task.pool)


def accuracy(model: Network, sample: Tensors) -> float:
    """Return the share of items, 0 to 1, whose label has the highest score."""
    with torch.no_grad():
        right = model(sample.ids).argmax(1) == sample.labels
        return right.double().mean().item()


class Study:
    """All runs: the accuracy on the test of each, by task, start and share.

    Seeds come one after the other, so that whatever ends a study leaves whole ones.
    """

    def __init__(self, tasks: list[Task], minutes: float) -> None:
        self.tasks, self._end = tasks, time.monotonic() + 60 * minutes
        self.scores: dict[tuple[str, str, float], list[float]] = {}
        self.rates: dict[tuple[str, str, float], float] = {}
        self.seeds = 0

    def run(self) -> None:
        """Choose the rates, then train with each seed, as long as there is time."""
        for task, name, share in self._cells():
            parts = task.samples(CHOICE, share)
            found = {
                rate: measure(task, STARTS[name], parts, rate, share, CHOICE)[0]
                for rate in RATES
            }
            self.rates[task.name, name, share] = max(found, key=found.__getitem__)
        for seed in SEEDS:
            scores = {}
            for task, name, share in self._cells():
                if time.monotonic() > self._end:
                    return
                parts = task.samples(seed, share)
                rate = self.rates[task.name, name, share]
                score = measure(task, STARTS[name], parts, rate, share, seed)[1]
                scores[task.name, name, share] = score
            for key, score in scores.items():
                self.scores.setdefault(key, []).append(100 * score)
            self.seeds += 1

    def _cells(self) -> list[tuple[Task, str, float]]:
        return [(t, name, s) for t in self.tasks for name in STARTS for s in SHARES]

    def gain(self, task: Task, name: str, share: float) -> tuple[float, float]:
        """Return the mean gain on random, in points, and half its 95 % interval.

        Runs of the same seed are compared, so of the same texts.
        """
        pairs = zip(
            self.scores[task.name, name, share],
            self.scores[task.name, "random", share],
            strict=True,
        )
        return interval([ours - theirs for ours, theirs in pairs])


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of 2 to 10 values, and half its 95 % interval by Student's t."""
    spread = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), _STUDENT[len(values) - 2] * spread


def main() -> None:
    """Measure all, print the page and write it, and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15, help="what it may take")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the sums are small, and always in the same order
    began, cpu = time.perf_counter(), time.process_time()
    study = Study([Task.of(setting) for setting in SETTINGS], options.minutes)
    study.run()
    if study.seeds < 2:
        raise SystemExit("time for two seeds is needed; give more --minutes")
    took = time.perf_counter() - began, time.process_time() - cpu
    picture = options.output.with_suffix(".svg")
    page = _page(study, took, picture.name)
    print(page)
    options.output.write_text(page)
    _draw(study, picture)


def _page(study: Study, took: tuple[float, float], picture: str) -> str:
    now = datetime.now().astimezone()
    head = {
        "command": "python -m benchmarks.does_it_help",
        "date": f"{now:%Y-%m-%d}",
        "time": f"{took[0]:.0f} s, {took[1]:.0f} s of one processor",
        **machine.describe(),
        "network": "mean of the vectors of a text, or the vectors of a word and of "
        f"{AROUND} on each side; {HIDDEN} hidden units; Adam, {_listed(EPOCHS)} epochs "
        "at 1, 10 and 100 %, the one that is best on the validation texts",
        "learning rate": f"one of {', '.join(map(str, RATES))} for each cell, the best "
        "on the validation texts of a seed that is not in the tables",
        "seeds": f"{study.seeds} draw the texts for training and test, and the weights",
    }
    parts = [
        f"# When does a pretrained start pay?\n\n{report.head(head)}\n{_LEGEND}\n",
        f"![Gain on a random start]({picture})\n\n## In short\n\n",
        _short(study),
        *(_section(study, task) for task in study.tasks),
    ]
    return "".join(parts)


_LEGEND = """\
Accuracy in percent, and the gain on the random start in points: mean and 95 % interval
by Student's t, of pairs of runs with the same seed, so with the same texts.

- `random`: `torch.nn.Embedding` as it comes, trained. Words that are not in the texts \
for training are `<unk>`, which words seen once train. The others have a row for each.
- `pretrained`: rows that were not found are drawn (`oov="normal"`).
- `found frozen, OOV trained`: `freeze="found"`.
- `n-grams for OOV`: rows that were not found are made of the word's n-grams.
"""


def _listed(numbers: dict[float, int]) -> str:
    return ", ".join(map(str, numbers.values()))


def _short(study: Study) -> str:
    """Return how each start fares: where it pays, where not, where nothing is shown."""
    columns = ["task and vectors", *list(STARTS)[1:]]
    rows = [columns, ["---"] * len(columns)]
    for task in study.tasks:
        cells = []
        for name in list(STARTS)[1:]:
            signs = []
            for share in SHARES:
                mean, half = study.gain(task, name, share)
                signs.append("+" if mean > half else "-" if -mean > half else "o")
            cells.append(" ".join(signs))
        rows.append([task.name, *cells])
    return (
        f"At 1, 10 and 100 % of the texts: `+` pays, `-` costs, `o` no difference is "
        f"shown.\n\n{_table(rows)}"
    )


def _section(study: Study, task: Task) -> str:
    sizes = [len(task.samples(CHOICE, share).train) for share in SHARES]
    what = "sentences" if _is_tagged(task) else "texts"
    columns = [
        "start",
        *(
            f"{share:.0%}: {size:,} {what}"
            for share, size in zip(SHARES, sizes, strict=True)
        ),
    ]
    rows = [columns, ["---"] * len(columns)]
    for name in STARTS:
        cells = []
        for share in SHARES:
            cell = f"{statistics.mean(study.scores[task.name, name, share]):.1f}"
            if name != "random":
                mean, half = study.gain(task, name, share)
                cell += f" ({mean:+.1f} ± {half:.1f})"
            cells.append(cell)
        rows.append([name, *cells])
    made = task.matrices[True].coverage
    return (
        f"\n## {task.name[0].upper()}{task.name[1:]}\n\n"
        f"- data: {task.corpus.data}\n"
        f"- labels: {len(task.corpus.labels)}; test: some {task.setting.test:,} "
        f"{what}, validation: some {task.setting.validation:,}\n"
        f"- {made}\n\n{_table(rows)}"
    )


def _table(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _draw(study: Study, path: Path) -> None:
    """Write the gains with their intervals, one panel a task."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "does it help"})
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, len(study.tasks), sharey=True)
    for panel, task in zip(panels, study.tasks, strict=True):
        panel.axhline(0, color="0.5", linewidth=0.8)
        for place, name in enumerate(list(STARTS)[1:]):
            gains = [study.gain(task, name, share) for share in SHARES]
            panel.errorbar(
                [step + 0.08 * (place - 2) for step in range(len(SHARES))],
                [mean for mean, _ in gains],
                [half for _, half in gains],
                marker="o",
                markersize=3,
                linewidth=1,
                capsize=2,
                label=name,
            )
        panel.set_title(task.name.replace(", ", "\n", 1), fontsize=9)
        panel.set_xticks(range(len(SHARES)), [f"{share:.0%}" for share in SHARES])
        panel.set_xlabel("of the texts for training", fontsize=8)
    panels[0].set_ylabel("gain on random, points", fontsize=8)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=5,
        fontsize=8,
        frameon=False,
    )
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
