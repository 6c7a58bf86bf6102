"""Write the files of this folder, and keep what finalfusion itself says of them.

Made with finalfusion 0.7.1, numpy 1.23.5, Cython 0.29.37, toml 0.10.2 and Python 3.8 on
x86-64 Linux::

    pip install 'numpy<1.24' 'cython<3' wheel 'setuptools<60' toml
    pip install --no-build-isolation finalfusion==0.7.1
    python tests/data/finalfusion/make.py

Beside each file stands ``NAME.json``, its words in the order of their rows, and for
some that it does not hold the vectors it composes (null for none); and ``NAME.npy``,
what ``embedding`` gives for its words, float32 (words, dim).
"""

import json
from pathlib import Path

import numpy as np
from finalfusion import Embeddings
from finalfusion.metadata import Metadata
from finalfusion.norms import Norms
from finalfusion.storage import NdArray, QuantizedArray
from finalfusion.storage.quantized import PQ
from finalfusion.subword import FastTextIndexer, FinalfusionHashIndexer
from finalfusion.vocab import FastTextVocab, FinalfusionBucketVocab, SimpleVocab

HERE = Path(__file__).parent

WORDS = ["the", "The", "café", "new york", "日本", "1", "again", "\u00a0", ""]
OTHERS = ["unseen", "cafés", "x", "日本語", "😀", "a" * 40, "again\u00a0and"]
DIM, PARTS, CENTROIDS = 6, 3, 16

draw = np.random.RandomState(0)


def unit_vectors(rows):
    vectors = draw.normal(size=(rows, DIM)).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    return vectors / norms[:, None], norms


def quantised(rows, *, projected, normed):
    codebook = draw.normal(size=(PARTS, CENTROIDS, DIM // PARTS)).astype(np.float32)
    rotation = np.linalg.qr(draw.normal(size=(DIM, DIM)))[0].astype(np.float32)
    codes = draw.randint(0, CENTROIDS, (rows, PARTS)).astype(np.uint8)
    norms = draw.uniform(1, 2, rows).astype(np.float32)
    quantiser = PQ(codebook, rotation if projected else None)
    return QuantizedArray(quantiser, codes, norms if normed else None)


def write(name, vocab, storage, norms=None, metadata=None):
    held = Embeddings(storage=storage, vocab=vocab, norms=norms, metadata=metadata)
    held.write(str(HERE / f"{name}.fifu"))
    rows = np.array([held.embedding(word) for word in WORDS], np.float32)
    np.save(HERE / f"{name}.fifu.npy", rows)
    composed = {}
    for word in OTHERS:
        vector = held.embedding(word)
        composed[word] = None if vector is None else vector.tolist()
    told = {"words": WORDS, "composed": composed}
    if norms is not None:
        told["norms"] = [float(norms.min()), float(norms.max())]
    text = json.dumps(told, ensure_ascii=False) + "\n"
    (HERE / f"{name}.fifu.json").write_text(text, encoding="utf-8")


def main():
    simple = SimpleVocab(WORDS)
    bucket = FinalfusionBucketVocab(WORDS, FinalfusionHashIndexer(4, 3, 6))
    fasttext = FastTextVocab(WORDS, FastTextIndexer(30, 1, 4))
    explicit = bucket.to_explicit()

    vectors, norms = unit_vectors(len(WORDS))
    norms = Norms(norms.astype(np.float32))
    metadata = Metadata({"common": {"seed": 1, "text": "café"}, "numbers": [1.5, 2.0]})
    write("simple", simple, NdArray(vectors), norms, metadata)
    for name, vocab in (
        ("bucket", bucket),
        ("fasttext", fasttext),
        ("explicit", explicit),
    ):
        vectors, _ = unit_vectors(vocab.upper_bound)
        write(name, vocab, NdArray(vectors))

    rows = len(WORDS)
    write("quantised", simple, quantised(rows, projected=False, normed=False))
    write("normed", simple, quantised(rows, projected=False, normed=True))
    rows = bucket.upper_bound
    write("projected", bucket, quantised(rows, projected=True, normed=True))


if __name__ == "__main__":
    main()
