"""Models of fastText: those in ``tests/data``, and ones made here, field by field."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

DATA = Path(__file__).parents[1] / "data"
MAGIC = 793712314


class Answers(NamedTuple):
    """What a model's own library says of some tokens."""

    asked: list[str]
    known: list[str]  # those of its dictionary
    words: int  # entries of the dictionary that are no labels
    vectors: np.ndarray  # float32 (asked, dim)


def answers(path: Path) -> Answers:
    """Return what was kept beside a model."""
    facts = json.loads(Path(f"{path}.json").read_text("ascii"))
    vectors = np.load(f"{path}.npy")
    return Answers(
        facts["asked"], facts.get("known", []), facts.get("words", 0), vectors
    )


def plain(matrix: np.ndarray) -> bytes:
    """Return a matrix that is not quantised."""
    return struct.pack("<2q", *matrix.shape) + matrix.astype("<f4").tobytes()


def model(
    tokens: Sequence[str | bytes],
    matrix: np.ndarray,
    *,
    labels: Sequence[str] = (),
    bucket: int = 0,
    min_n: int = 0,
    max_n: int = 0,
    kind: int = 2,
    loss: int = 2,
    magic: int = MAGIC,
    version: int = 12,
    pairs: Sequence[tuple[int, int]] | None = None,
    sampling: float = 1e-4,
    **wrong: int,
) -> bytes:
    """Return a whole model, not quantised; ``wrong`` numbers replace true ones."""
    entries = [(token, 0) for token in tokens] + [(label, 1) for label in labels]
    numbers = {
        "dim": matrix.shape[1],
        "entries": len(entries),
        "words": len(tokens),
        "label_count": len(labels),
        "trained_on": 100,
        "pruned": -1 if pairs is None else len(pairs),
    } | wrong
    args = [numbers["dim"], 5, 1, 1, 5, 1, loss, kind, bucket, min_n, max_n, 100]
    parts = [
        struct.pack("<2i", magic, version),
        struct.pack("<12id", *args, sampling),
        struct.pack(
            "<3i", *(numbers[key] for key in ("entries", "words", "label_count"))
        ),
        struct.pack("<2q", numbers["trained_on"], numbers["pruned"]),
    ]
    for token, type_ in entries:
        if isinstance(token, str):
            token = token.encode("utf-8", "surrogateescape")
        parts.append(token + b"\0" + struct.pack("<qb", 7, type_))
    parts += [struct.pack("<2i", *pair) for pair in pairs or ()]
    parts += [b"\0", plain(matrix), b"\0", plain(matrix[: len(tokens)])]
    return b"".join(parts)
