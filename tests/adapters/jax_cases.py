"""What the tests of the layers of all JAX libraries share."""

import numpy as np
import optax

from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

OPTIMIZERS = {
    "sgd": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1, momentum=0.9)),
    "adam": optax.adam(0.1),
    "adamw": optax.adamw(0.1, weight_decay=0.5),
    "clipped": optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(0.1)),
    "accumulated": optax.MultiSteps(optax.adamw(0.1, weight_decay=0.5), 2),
}

ROWS = 3003  # as many as it takes until an average of indices looks up other rows
HOLE = 1500
FREEZE = np.random.default_rng(1).random(ROWS) < 0.5


def make_large() -> EmbeddingMatrix:
    vectors = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
    vectors[[0, HOLE]] = 0
    ids = {f"w{i}": i for i in range(1, ROWS) if i != HOLE}
    return EmbeddingMatrix(vectors, Vocabulary({"<pad>": 0, **ids}, pad="<pad>"))


def average(old, new):
    return optax.incremental_update(new, old, 0.0001)
