"""Train the models of this folder, and keep what their own library says of tokens.

Made with fasttext-wheel 0.9.2, numpy 1.26.4 and Python 3.11 on x86-64 Linux::

    pip install fasttext-wheel==0.9.2 'numpy<2'
    python tests/data/fasttext/make.py

Beside each model stands ``NAME.json``, the tokens asked for (bytes that are not UTF-8
as surrogate escapes) and those that are in the dictionary, and ``NAME.npy``, what
``get_word_vector`` gives for each of them: float32 (tokens, dim).
"""

from __future__ import annotations

import json
import random
import struct
import tempfile
from pathlib import Path

import fasttext
import numpy as np

HERE = Path(__file__).parent

_LINES = (
    "the of and to in a is that for it was on as with be by at from this are",
    "landlord landlady house houses rent rents renting street streets walked walking",
    "zażółć gęślą jaźń straße наука студент 漢字 かな 😀 naïve café e\u0301clair",
    "\u00a0 x.y.z 3,141 -0.5 <b> __label route-66",
)
WORDS = " ".join(_LINES).split(" ")
BYTES = [b"\xed\xa0\x80bad", b"\xff\xfe", b"cut\xe6", b"\x80start"]
LABELS = [f"__label__{number}" for number in range(260)]

#: Tokens that no dictionary here holds, some of them hard.
OTHERS = [
    *("", "a" * 300, "new york", "unseen", "housing", "é", "ab", "z", "zz", "<", ">"),
    *("студенты", "漢", "漢字かな", "😀😀", "\u2028", " ", "_", "rent\u00a0a", "<the>"),
    *("\udcff", "\udc80\udc80", "a\udce6", "\udcedx\udca0", "The", "THE", "</S>"),
]


def corpus(path: Path, *, labels: bool) -> None:
    """Write lines of words drawn at random."""
    draw = random.Random(0)
    words = [word.encode() for word in WORDS] + BYTES
    lines = []
    for number in range(600):
        line = draw.choices(words, k=8)
        if labels:
            line.insert(0, LABELS[number % len(LABELS)].encode())
        lines.append(b" ".join(line) + b"\n")
    path.write_bytes(b"".join(lines))


def keep(model: object, name: str) -> None:
    """Save a model, unless it is there, and what it answers when it is loaded."""
    path = HERE / name
    if model is not None:
        model.save_model(str(path))
    loaded = fasttext.load_model(str(path))
    listed = [word.encode() for word in WORDS] + BYTES + [b"</s>"]
    known = [word for word in listed if loaded.f.getWordId(word) >= 0]
    others = [token.encode("utf-8", "surrogateescape") for token in OTHERS]
    asked = [*known, *(word for word in listed if word not in known), *others]
    vectors = [np.array(loaded.get_word_vector(token)) for token in asked]
    facts = {
        "known": [token.decode("utf-8", "surrogateescape") for token in known],
        "asked": [token.decode("utf-8", "surrogateescape") for token in asked],
        "words": len(loaded.f.getVocab("ignore")[0]),
    }
    path.with_suffix(path.suffix + ".json").write_text(json.dumps(facts) + "\n")
    np.save(path.with_suffix(path.suffix + ".npy"), np.array(vectors, np.float32))


def without_magic(raw: bytes) -> bytes:
    """Return a model of today in the layout of before version 11.

    That one has no magic number and version, no size of the pruned index behind the
    counts of the dictionary, and no flags before the matrices. (It is read by gensim.)
    """
    header = raw[8 : 8 + 56]
    sizes = struct.unpack_from("<3iq", raw, 64)
    position = 64 + 20 + 8
    for _ in range(sizes[0]):
        position = raw.index(b"\0", position) + 10
    dictionary = raw[64 : 64 + 20] + raw[64 + 28 : position]
    rows, dim = struct.unpack_from("<2q", raw, position + 1)
    end = position + 1 + 16 + rows * dim * 4
    return header + dictionary + raw[position + 1 : end] + raw[end + 1 :]


def main() -> None:
    """Make all of it."""
    same = {"thread": 1, "verbose": 0, "minCount": 1, "epoch": 2}
    with tempfile.TemporaryDirectory() as folder:
        plain, labelled = Path(folder) / "plain", Path(folder) / "labelled"
        corpus(plain, labels=False)
        corpus(labelled, labels=True)

        def unsupervised(name: str, model: str, **options: object) -> None:
            keep(
                fasttext.train_unsupervised(str(plain), model, **same, **options), name
            )

        unsupervised("skipgram.bin", "skipgram", dim=8, bucket=500, minn=3, maxn=6)
        unsupervised("cbow.bin", "cbow", dim=11, bucket=211, minn=1, maxn=3, loss="hs")
        unsupervised("words.bin", "skipgram", dim=8, bucket=0, minn=0, maxn=0)

        def supervised(**options: object) -> object:
            return fasttext.train_supervised(str(labelled), **same, lr=1.0, **options)

        pieces = {"dim": 10, "bucket": 400, "minn": 2, "maxn": 4, "wordNgrams": 2}
        keep(supervised(**pieces), "supervised.bin")
        keep(supervised(dim=8, loss="ova"), "supervised-words.bin")

        model = supervised(**pieces)
        model.quantize(dsub=3, qnorm=False)  # the last part of a vector is shorter
        keep(model, "quantised.ftz")
        model = supervised(**pieces)
        model.quantize(dsub=2, qnorm=True, qout=True)
        keep(model, "quantised-norm-output.ftz")
        model = supervised(**pieces)
        model.quantize(
            str(labelled), cutoff=300, retrain=True, qnorm=True, thread=1, verbose=0
        )
        keep(model, "pruned.ftz")

    raw = bytearray((HERE / "supervised.bin").read_bytes())
    raw[4] = 11  # of this version, fastText gives supervised models no n-grams
    (HERE / "supervised-11.bin").write_bytes(raw)
    keep(None, "supervised-11.bin")
    old = without_magic((HERE / "skipgram.bin").read_bytes())
    (HERE / "old.bin").write_bytes(old)


if __name__ == "__main__":
    main()
