"""``python -m benchmarks.does_it_help``: is a pretrained embedding worth it?

The same small classifier of texts is trained from four embeddings that differ in
nothing but how they start and which rows are trained. The texts are the docstrings of
Python's standard library, which every machine has (PSF licence); the label is the
package that a docstring stands in. One page of results is written.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import statistics
import sysconfig
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import torch
from torch import nn

import pretrained_embed as pe
from benchmarks import machine, report
from pretrained_embed.adapters import torch as pe_torch

#: Packages that are in every Python from 3.11 on, with enough docstrings each.
LABELS = (
    *("tkinter", "asyncio", "email", "importlib", "logging"),
    *("xml", "unittest", "multiprocessing", "http", "urllib"),
)
SIZES = (2, 5, 15, 40)  # texts to train on, of each label
VALIDATION, TEST = 8, 20  # of each label
LONGEST = 50  # words that are read of a text
SEEDS = range(6)
RATES = (0.01, 0.03, 0.1)  # the best on the validation texts is taken
EPOCHS = 40
BATCH = 32
WORDS = re.compile(r"[a-z]+")
RESULT = Path(__file__).parent / "results" / "does-it-help.md"

Layer = Callable[[pe.EmbeddingMatrix], nn.Module]
Sample = tuple[torch.Tensor, torch.Tensor]  # ids (texts, length), labels (texts,)
Samples = tuple[Sample, Sample, Sample]  # for training, validation, test


def random_layer(matrix: pe.EmbeddingMatrix) -> nn.Module:
    """Return the layer that PyTorch gives to whoever has no vectors."""
    return nn.Embedding(*matrix.shape, padding_idx=matrix.pad_id)


STARTS: dict[str, Layer] = {
    "random": random_layer,
    "pretrained, frozen": lambda m: pe_torch.embedding(m, freeze=True),
    "pretrained, trained": lambda m: pe_torch.embedding(m, freeze=False),
    'pretrained, freeze="found"': lambda m: pe_torch.embedding(m, freeze="found"),
}


class Classifier(nn.Module):
    """The mean of the tokens' vectors, and a linear layer."""

    def __init__(self, layer: nn.Module, dim: int, pad: int) -> None:
        super().__init__()
        self.embedding, self.pad = layer, pad
        self.linear = nn.Linear(dim, len(LABELS))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the scores of the labels, (texts, labels)."""
        lengths = (ids != self.pad).sum(1, keepdim=True)
        return self.linear(self.embedding(ids).sum(1) / lengths)


def docstrings() -> dict[str, list[list[str]]]:
    """Return the words of the docstrings of each label, each text once."""
    library = Path(sysconfig.get_path("stdlib"))
    found: dict[str, list[list[str]]] = {label: [] for label in LABELS}
    seen: set[tuple[str, ...]] = set()
    for label in LABELS:
        for path in sorted((library / label).rglob("*.py")):
            if "test" in path.parts or "idle_test" in path.parts:
                continue
            for text in _docstrings_of(path):
                words = WORDS.findall(text.lower())[:LONGEST]
                if len(words) >= 8 and tuple(words) not in seen:
                    seen.add(tuple(words))
                    found[label].append(words)
    return found


def _docstrings_of(path: Path) -> Iterator[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


def samples(
    texts: dict[str, list[list[str]]], vocabulary: pe.Vocabulary, seed: int, size: int
) -> Samples:
    """Return texts to train on, to choose the rate by, and to test with.

    A larger ``size`` of the same seed has the texts of a smaller one, and more.
    """
    drawn = random.Random(seed)
    cuts = (TEST, TEST + VALIDATION, TEST + VALIDATION + size)
    parts: tuple[list[tuple[list[str], int]], ...] = ([], [], [])
    for label, name in enumerate(LABELS):
        shuffled = drawn.sample(texts[name], len(texts[name]))
        for part, begin, end in zip(parts, (0, *cuts), cuts, strict=False):
            part += [(words, label) for words in shuffled[begin:end]]
    test, validation, train = (_tensors(part, vocabulary) for part in parts)
    return train, validation, test


def _tensors(part: list[tuple[list[str], int]], vocabulary: pe.Vocabulary) -> Sample:
    ids = vocabulary.encode([words for words, _ in part])
    return torch.from_numpy(ids), torch.tensor([label for _, label in part])


def train(
    layer: nn.Module, matrix: pe.EmbeddingMatrix, sample: Sample, rate: float
) -> Classifier:
    """Train a classifier; how its layers start is up to torch's seed."""
    assert matrix.pad_id is not None
    model = Classifier(layer, matrix.dim, matrix.pad_id)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=rate)
    ids, labels = sample
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(ids)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(ids[batch]), labels[batch]).backward()
            optimizer.step()
    return model


def accuracy(model: Classifier, sample: Sample) -> float:
    """Return the share of texts, 0 to 1, whose label has the highest score."""
    with torch.no_grad():
        return (model(sample[0]).argmax(1) == sample[1]).double().mean().item()


def measure(
    start: Layer, matrix: pe.EmbeddingMatrix, parts: Samples, seed: int
) -> float:
    """Return the accuracy on the test texts, at the rate the others speak for."""
    training, validation, test = parts
    models = []
    for rate in RATES:
        torch.manual_seed(seed)
        models.append(train(start(matrix), matrix, training, rate))
    best = max(models, key=lambda model: accuracy(model, validation))
    return accuracy(best, test)


def main() -> None:
    """Measure all, print the page and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default=pe.DEFAULT_SOURCE, help="the vectors")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)  # the sums are small, and always in the same order
    began = time.perf_counter()

    texts = docstrings()
    vocabulary = pe.Vocabulary.from_texts(
        [words for group in texts.values() for words in group]
    )
    matrix = pe.build_matrix(vocabulary, options.source)
    scores: dict[tuple[str, int], list[float]] = {}
    for size in SIZES:
        for seed in SEEDS:
            parts = samples(texts, vocabulary, seed, size)
            for name, start in STARTS.items():
                score = measure(start, matrix, parts, seed)
                scores.setdefault((name, size), []).append(score)
    seconds = time.perf_counter() - began

    facts = machine.describe()
    page = _page(texts, matrix, options.source, scores, facts, seconds)
    print(page)
    options.output.write_text(page)


def _page(
    texts: dict[str, list[list[str]]],
    matrix: pe.EmbeddingMatrix,
    source: str,
    scores: dict[tuple[str, int], list[float]],
    facts: dict[str, str],
    seconds: float,
) -> str:
    now = datetime.now().astimezone()
    count = sum(map(len, texts.values()))
    head = {
        "command": "python -m benchmarks.does_it_help",
        "date": f"{now:%Y-%m-%d}",
        "time": f"{seconds:.0f} s",
        **facts,
        "texts": f"{count:,} docstrings of {len(LABELS)} packages of Python's standard "
        f"library ({', '.join(LABELS)}), PSF licence; other Pythons have others",
        "vectors": f"{source}, {matrix.dim} dimensions. {matrix.coverage}",
        "model": f"mean of the vectors of a text's first {LONGEST} words, one linear "
        f"layer; Adam, {EPOCHS} epochs, batches of {BATCH}, the learning rate of "
        f"{', '.join(map(str, RATES))} that is best on {VALIDATION} other texts of "
        "each label",
        "test": f"{TEST} texts a label, never trained on; {len(SEEDS)} seeds draw "
        f"texts and weights; guessing gets {100 / len(LABELS):.0f} %",
        "random": "torch.nn.Embedding as it comes, standard normal, trained",
    }
    columns = ["start", *(f"{size} texts a label" for size in SIZES)]
    rows = [columns, ["---"] * len(columns)]
    rows += [[name, *(_cell(scores[name, size]) for size in SIZES)] for name in STARTS]
    rows += [
        [f"{name}, less random", *(_difference(scores, name, size) for size in SIZES)]
        for name in list(STARTS)[1:]
    ]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return (
        f"# Does it help?\n\n{report.head(head)}\n"
        "Accuracy on the test texts in percent: mean and standard deviation over the "
        "seeds.\nThe last rows compare runs of the same seed, so of the same texts.\n\n"
        f"{table}"
    )


def _cell(accuracies: list[float]) -> str:
    percent = [100 * value for value in accuracies]
    return f"{statistics.mean(percent):.1f} ± {statistics.stdev(percent):.1f}"


def _difference(
    scores: dict[tuple[str, int], list[float]], name: str, size: int
) -> str:
    pairs = zip(scores[name, size], scores["random", size], strict=True)
    points = [100 * (ours - theirs) for ours, theirs in pairs]
    return f"{statistics.mean(points):+.1f} ± {statistics.stdev(points):.1f}"


if __name__ == "__main__":
    main()
