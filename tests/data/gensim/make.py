# -*- coding: utf-8 -*-
"""Train the models of this folder, and keep what gensim itself says of their words.

Each of these, on x86-64 Linux, makes the folder of its release::

    Python 2.7   pip install gensim==1.0.1 'numpy<1.17'
    Python 3.8   pip install gensim==3.8.3 'numpy<1.24'
    Python 3.11  pip install gensim==4.4.0 numpy==2.4.6
    python tests/data/gensim/make.py

Beside each model stands ``NAME.answer.json``, its words in the order of their rows, and
for some that it does not hold the vectors it composes; and ``NAME.answer.npy``, the
vectors of its words, float32 (words, dim).
"""

from __future__ import print_function, unicode_literals

import io
import json
import os
import platform

import gensim
import numpy as np
from gensim.models import Word2Vec

RELEASE = ".".join(gensim.__version__.split(".")[:2])
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), RELEASE)
NEW = RELEASE.startswith("4")

SENTENCES = [
    ["hope", "to", "see", "you", "soon", "new york"],
    ["nice", "to", "see", "you", "again", "\u00a0"],
    ["café", "naïve", "日本", "\U0001f600", "you", "1", "-0.5"],
] * 4
OPTIONS = {"min_count": 1, "seed": 1, "workers": 1, "vector_size" if NEW else "size": 6}

#: Words that no model here holds. The last has n-grams nowhere.
OTHERS = ["unseen", "hopes", "cafés", "日本語", "x", "to\u00a0see", "-" * 40, ""]


def answer(name, vectors, others=()):
    words = vectors.index_to_key if NEW else vectors.index2word
    rows = np.array([vectors[word] for word in words], np.float32)
    np.save(name + ".answer.npy", rows)
    composed = {word: [float(x) for x in vectors[word]] for word in others}
    told = json.dumps({"words": list(words), "composed": composed}, ensure_ascii=False)
    with io.open(name + ".answer.json", "w", encoding="utf-8") as file:
        file.write(told + "\n")


def main():
    if not os.path.isdir(HERE):
        os.makedirs(HERE)
    # gensim writes into its files the paths it is given, and what machine this is.
    os.chdir(HERE)
    platform.platform = lambda: "Linux"
    array = "syn0" if RELEASE.startswith("1") else "vectors"
    model = Word2Vec(SENTENCES, **OPTIONS)
    model.save("words.model")
    model.wv.save("words.kv")
    model.wv.save("beside.kv", separately=[array])
    for name in ("words.model", "words.kv", "beside.kv"):
        answer(name, model.wv)
    if RELEASE.startswith("1"):
        return
    from gensim.models import Doc2Vec, FastText
    from gensim.models.doc2vec import TaggedDocument

    model.wv.save("packed.kv.gz", separately=[array])
    answer("packed.kv.gz", model.wv)

    model = FastText(SENTENCES, bucket=40, **OPTIONS)
    model.save("subwords.model")
    model.wv.save("subwords.kv")
    for name in ("subwords.model", "subwords.kv"):
        others = OTHERS[:-1] if NEW else OTHERS[:4]  # 3.8 raises for words too short
        answer(name, model.wv, others)

    documents = [TaggedDocument(words, [i]) for i, words in enumerate(SENTENCES)]
    model = Doc2Vec(documents, **OPTIONS)
    model.save("documents.model")
    answer("documents.model", model.wv)


if __name__ == "__main__":
    main()
