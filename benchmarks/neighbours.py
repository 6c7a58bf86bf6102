"""``python -m benchmarks.neighbours``: nearest rows and pooled texts, against gensim.

Both sides answer the same questions of the same rows, in turn, each in its own way; the
answers are compared first. Times are of the processor, one thread, so that other work
on the machine weighs less. One page of results is written.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read where numpy is imported

import numpy as np
from gensim.models import KeyedVectors

import pretrained_embed as pe
from benchmarks import corpora, machine, report
from pretrained_embed.adapters.sklearn import WordVectors

RESULT = Path(__file__).parent / "results" / "neighbours.md"
QUERIES = 100  # that are asked together
FREQUENT = 50_000  # tokens among which queries are drawn

_LEGEND = """\
Milliseconds of processor time, medians of interleaved rounds. `floor` is the product of
the rows with one vector, or with all vectors of the queries, by numpy: every row is
looked at, and nothing else is done. `ratio` is the median over the rounds of gensim's
time through ours.
"""


def texts() -> list[str]:
    """Return the posts of the study, joined."""
    return [" ".join(unit.words) for unit in corpora.topics().units]


def mean_loop(model: KeyedVectors, given: list[str]) -> np.ndarray:
    """Return the means that a loop over gensim's vectors gives."""
    rows = []
    for text in given:
        found = [model[word] for word in text.split() if word in model]
        empty = np.zeros(model.vector_size, np.float32)
        rows.append(np.mean(found, axis=0) if found else empty)
    return np.stack(rows)


def timed(call: Callable[[], object]) -> float:
    """Return the milliseconds of processor time that a call takes."""
    began = time.process_time()
    call()
    return 1000 * (time.process_time() - began)


def main() -> None:
    """Measure, print the page and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # gensim's own, of its own calls
    matrix = pe.load_matrix(pe.open_vectors(pe.DEFAULT_SOURCE))
    keyed, vectors = matrix.keyed(), np.array(matrix.vectors)
    tokens = [str(token) for token in keyed.index_to_key]
    gensims = KeyedVectors(vectors.shape[1])
    gensims.add_vectors(tokens, vectors)
    gensims.fill_norms()
    posts, pooled = texts(), WordVectors(pe.DEFAULT_SOURCE)
    pooled.fit(posts)
    words = random.Random(1).sample(tokens[:FREQUENT], QUERIES)
    asked = np.stack([matrix[word] for word in words])

    answers = pe.similar(matrix, words)
    for word, answer in zip(words, answers, strict=True):
        theirs = [token for token, _ in gensims.most_similar(word)]
        assert [near.token for near in answer.nearest] == theirs, word
        assert [token for token, _ in keyed.most_similar(word)] == theirs, word
    assert np.allclose(pooled.transform(posts), mean_loop(gensims, posts), atol=1e-6)

    cases: dict[str, tuple[Callable[[], object], ...]] = {
        "`most_similar` of one token": (
            lambda: keyed.most_similar(word),
            lambda: gensims.most_similar(word),
            lambda: vectors @ asked[0],
        ),
        "`most_similar_cosmul` of three tokens": (
            lambda: keyed.most_similar_cosmul([word, "woman"], ["man"]),
            lambda: gensims.most_similar_cosmul([word, "woman"], ["man"]),
            lambda: vectors @ asked[:3].T,
        ),
        f"`similar` of {QUERIES} tokens, against a loop": (
            lambda: pe.similar(matrix, words),
            lambda: [gensims.most_similar(word) for word in words],
            lambda: [vectors[i : i + 4096] @ asked.T for i in range(0, 400_000, 4096)],
        ),
        f"`WordVectors` of {len(posts):,} texts, against a loop": (
            lambda: pooled.transform(posts),
            lambda: mean_loop(gensims, posts),
            lambda: [text.split() for text in posts],
        ),
    }
    times: dict[str, list[list[float]]] = {name: [[], [], []] for name in cases}
    for number in range(options.rounds):
        word = words[number % QUERIES]
        for name, calls in cases.items():
            if number < 4 or "against a loop" not in name:
                for place, call in enumerate(calls):
                    times[name][place].append(timed(call))
    head = {
        "command": "python -m benchmarks.neighbours",
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        **machine.describe(),
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        "rows": f"{pe.DEFAULT_SOURCE}, {vectors.shape[0]:,} x {vectors.shape[1]}",
        "answers": "the same tokens in the same order, the same means to 1e-6",
    }
    page = (
        f"# Nearest rows and pooled texts\n\n{report.head(head)}\n{_LEGEND}\n"
        "| what | ours | gensim | floor | ratio |\n| --- | --- | --- | --- | --- |\n"
    )
    for name, (ours, theirs, floor) in times.items():
        ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
        middle = [f"{statistics.median(one):,.1f}" for one in (ours, theirs, floor)]
        page += f"| {name} | {' | '.join(middle)} | {ratio:.1f} |\n"
    page += (
        "\nThe floor of `WordVectors` is splitting the texts.\n"
        "An exact answer has to read every row: one query cannot be faster than the "
        "memory, and gensim is near that floor, too. Many queries share the reading; "
        "there the floor is the arithmetic.\n"
    )
    print(page)
    options.output.write_text(page)


if __name__ == "__main__":
    main()
