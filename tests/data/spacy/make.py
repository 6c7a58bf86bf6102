"""Save the pipelines of this folder, and keep what spaCy says of tokens.

Made with spaCy 3.8.18, numpy 1.26.4 and Python 3.11 on x86-64 Linux::

    pip install spacy==3.8.18 'numpy<2'
    python tests/data/spacy/make.py

``answers.json`` has for each pipeline the tokens asked for and which of them spaCy has
a vector for, ``NAME.npy`` the vectors: float32 (tokens, dim).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import spacy
from spacy.vectors import Vectors

HERE = Path(__file__).parent

#: Some are names of spaCy's own symbols, which have small numbers in place of a hash.
WORDS = [
    *("the", "house", "landlord", "root", "agent", "mark", "NOUN", "_", "punct"),
    *("straße", "наука", "漢字", "😀", "e\u0301clair", "\u00a0", "x.y.z", "3,141", "0"),
    *("new\u00a0york", "new york", "\n", "a" * 40),
]
OTHERS = ["unseen", "The", "THE", "houses", "\u2028", "nsubj", "amod", "housing"]


def main() -> None:
    """Make all of it."""
    answers = {}
    draw = np.random.default_rng(0)

    table = draw.normal(size=(len(WORDS) + 2, 6)).astype(np.float32)
    nlp = spacy.blank("en")
    nlp.vocab.vectors = Vectors(
        strings=nlp.vocab.strings,
        data=table,
        keys=[nlp.vocab.strings.add(word) for word in WORDS],
    )
    # several tokens of one row, as pruning leaves them
    for more, word in (("houses", "house"), ("Houses", "house"), ("THE", "the")):
        row = nlp.vocab.vectors.find(key=word)
        nlp.vocab.vectors.add(nlp.vocab.strings.add(more), row=row)
    answers["default"] = save(nlp, "default")

    # of no characters at least, spaCy counts n-grams of none, too
    for name, min_n, max_n in (("floret", 2, 4), ("floret-words", 0, 1)):
        nlp = spacy.blank("en")
        nlp.vocab.vectors = Vectors(
            strings=nlp.vocab.strings,
            data=draw.normal(scale=0.1, size=(61, 5)).astype(np.float32),
            mode="floret",
            minn=min_n,
            maxn=max_n,
            hash_count=2,
            hash_seed=2166136261,
            bow="<",
            eow=">",
        )
        answers[name] = save(nlp, name)
    (HERE / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


def save(nlp: spacy.language.Language, name: str) -> dict[str, list[str]]:
    """Save a pipeline, load it, and ask it; keep only the parts that hold vectors."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    nlp.to_disk(folder)
    vocab = spacy.load(folder).vocab
    asked = [*WORDS, *OTHERS]
    np.save(HERE / f"{name}.npy", np.array([vocab.get_vector(t) for t in asked]))
    for path in [*folder.iterdir(), *(folder / "vocab").iterdir()]:
        if path.is_file() and path.name not in (
            *("meta.json", "strings.json", "vectors", "vectors.cfg", "key2row"),
        ):
            path.unlink()
    return {"asked": asked, "known": [t for t in asked if vocab.has_vector(t)]}


if __name__ == "__main__":
    main()
