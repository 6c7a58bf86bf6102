"""Train the models of this folder, and keep what floret and spaCy say of tokens.

Made with floret 0.10.5, spaCy 3.8.18, numpy 1.26.4 and Python 3.11 on x86-64 Linux::

    pip install floret==0.10.5 spacy==3.8.18 'numpy<2'
    python tests/data/floret/make.py

Beside each model stands ``NAME.json``, the tokens asked for (and for a ``.bin`` which
of them are in its dictionary), and ``NAME.npy``: float32 (tokens, dim). For a ``.bin``
they are floret's answers, for a ``.floret`` those of spaCy, which has read it.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import floret
import numpy as np
from spacy.training.initialize import read_vectors
from spacy.vectors import Vectors

HERE = Path(__file__).parent

_LINES = (
    "the of and to in is that it was on as with landlord landlady house houses rent",
    "zażółć gęślą straße наука студент 漢字 かな 😀 naïve e\u0301clair \u00a0 x.y.z",
    "3,141",
)
WORDS = " ".join(_LINES).split(" ")

OTHERS = [
    *("a" * 300, "new york", "unseen", "housing", "é", "ab", "z", "<", ">", "</S>"),
    *("студенты", "漢", "😀😀", "\u2028", " ", "rent\u00a0a", "the\0n", "x" * 14),
]


def main() -> None:
    """Make all of it."""
    draw = random.Random(0)
    lines = [" ".join(draw.choices(WORDS, k=8)) for _ in range(300)]
    same = {"thread": 1, "verbose": 0, "minCount": 1, "epoch": 2, "model": "skipgram"}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text"
        text.write_text("\n".join(lines) + "\n")

        def keep(name: str, **options: object) -> None:
            model = floret.train_unsupervised(str(text), **same, **options)
            model.save_model(str(HERE / f"{name}.bin"))
            _of_floret(HERE / f"{name}.bin")
            if options.get("mode") == "floret":
                model.save_floret_vectors(str(HERE / f"{name}.floret"))
                _of_spacy(HERE / f"{name}.floret")

        pieces = {"mode": "floret", "minn": 2, "maxn": 5}
        keep("one-hash", dim=8, bucket=200, hashCount=1, **pieces)
        keep("four-hashes", dim=7, bucket=97, hashCount=4, **pieces)
        keep("as-fasttext", dim=8, bucket=200, minn=3, maxn=6)


def _of_floret(path: Path) -> None:
    model = floret.load_model(str(path))
    asked = [*WORDS, "</s>", "", *OTHERS]
    vectors = [np.array(model.get_word_vector(token)) for token in asked]
    known = [token for token in asked if model.get_word_id(token) >= 0]
    facts = {"asked": asked, "known": known, "words": len(model.words)}
    _write(path, facts, vectors)


def _of_spacy(path: Path) -> None:
    data, _, settings = read_vectors(path, 0, mode="floret")
    vectors = Vectors(data=data, **settings)
    asked = [*WORDS, *OTHERS]
    answers = []
    for token in asked:
        vectors.strings.add(token)
        answers.append(vectors[token])
    _write(path, {"asked": asked}, answers)


def _write(path: Path, facts: dict[str, object], vectors: list[np.ndarray]) -> None:
    path.with_suffix(f"{path.suffix}.json").write_text(json.dumps(facts) + "\n")
    np.save(path.with_suffix(f"{path.suffix}.npy"), np.array(vectors, np.float32))


if __name__ == "__main__":
    main()
