"""The loops that tutorials and libraries of old have, written anew from what they do.

Each parses the whole file, then takes the wanted rows.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.peer import (
    GZIP,
    TEXT,
    ZIP,
    Float32Array,
    Peer,
    opened,
    text_shape,
)

KERAS, TORCHTEXT, LOADTXT = "Keras guide's loop", "torchtext's loop", "numpy.loadtxt"


def keras_guide(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Put every vector into a dict, then copy row by row.

    What keras.io/examples/nlp/pretrained_word_embeddings does.
    """
    vectors: dict[str, Float32Array] = {}
    with io.TextIOWrapper(opened(path), encoding="utf-8") as file:
        for line in file:
            token, numbers = line.split(maxsplit=1)
            vectors[token] = np.fromstring(numbers, "f", sep=" ")
    matrix = np.zeros((len(wanted), text_shape(path)[1]), np.float32)
    for token, row in wanted.items():
        vector = vectors.get(token)
        if vector is not None:
            matrix[row] = vector
    return matrix


def torchtext(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Count the lines, then make a tensor of floats of each.

    What torchtext.vocab.Vectors does with a text file it has not cached yet, less the
    cache it writes; torchtext itself no longer runs with today's torch.
    """
    import torch

    header, dim = text_shape(path)
    with opened(path) as file:
        rows = sum(1 for _ in file) - header
    tokens: dict[str, int] = {}
    vectors = torch.zeros(rows, dim)
    with opened(path) as file:
        for _ in range(header):
            file.readline()
        for row, line in enumerate(file):
            token, *numbers = line.rstrip().split(b" ")
            vectors[row] = torch.tensor([float(number) for number in numbers])
            tokens[token.decode("utf-8")] = row
    unknown = torch.zeros(dim)
    found = [vectors[tokens[token]] if token in tokens else unknown for token in wanted]
    matrix: Float32Array = torch.stack(found).numpy()
    return matrix


def loadtxt(path: Path, wanted: dict[str, int]) -> Float32Array:
    """Load numbers and tokens with numpy, in a pass for each."""
    header, dim = text_shape(path)
    plain: dict[str, Any] = {
        "delimiter": " ",
        "comments": None,
        "encoding": "utf-8",
        "skiprows": header,
    }
    vectors = np.loadtxt(path, np.float32, usecols=range(1, dim + 1), **plain)
    tokens = np.loadtxt(path, str, usecols=0, **plain)
    matrix = np.zeros((len(wanted), dim), np.float32)
    for token, vector in zip(tokens.tolist(), vectors, strict=True):
        if (row := wanted.get(token)) is not None:
            matrix[row] = vector
    return matrix


PEERS = (
    Peer(KERAS, keras_guide, frozenset({TEXT, GZIP, ZIP})),
    Peer(TORCHTEXT, torchtext, frozenset({TEXT, GZIP, ZIP}), ("torch",)),
    Peer(LOADTXT, loadtxt, frozenset({TEXT})),
)
