"""The names of classes and functions that occur in the files of gensim's models.

All of them are names only: nothing of the kind is ever imported or called.
"""

from __future__ import annotations

from pretrained_embed.formats.pickles.pickled import ARRAY_NAMES, MADE_NAMES

_CLASSES = {
    "keyedvectors": "KeyedVectors BaseKeyedVectors WordEmbeddingsKeyedVectors "
    "Word2VecKeyedVectors EuclideanKeyedVectors FastTextKeyedVectors "
    "Doc2VecKeyedVectors Vocab CompatVocab",
    "word2vec": "Word2Vec Word2VecVocab Word2VecTrainables Vocab",
    "fasttext": "FastText FastTextKeyedVectors FastTextVocab FastTextTrainables",
    "doc2vec": "Doc2Vec Doc2VecVocab Doc2VecTrainables DocvecsArray Doctag",
    "wrappers.fasttext": "FastText FastTextKeyedVectors",
}

#: The names that are usual in such a pickle. Beside gensim's classes these are arrays,
#: and what a model keeps for its training: a hash function, a random generator. Others
#: are told of.
KNOWN = (
    ARRAY_NAMES
    | MADE_NAMES
    | {
        f"gensim.models.{module}.{name}"
        for module, names in _CLASSES.items()
        for name in names.split()
    }
    | {"gensim.utils.call_on_class_only"}
    | {f"{m}.{n}" for m in ("builtins", "__builtin__") for n in ("hash", "int", "long")}
    | {
        "numpy.random.__RandomState_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._mt19937.MT19937",
    }
)
