"""What a competitor is made of, and what several of them need."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Answer = Float32Array | None

#: (path, what ``prepare`` made) to float32 (tokens, dim), or None: no answer is kept
Load = Callable[[Path, Any], Answer]

TEXT, GZIP, ZIP, BINARY = "text", "text.gz", "text.zip", "binary"
#: A saved matrix, in a format that only this peer reads.
SAVED = "saved"


def rows_by_token(tokens: list[str]) -> dict[str, int]:
    """Return the row of each token: what most loops look tokens up in."""
    return {token: row for row, token in enumerate(tokens)}


@dataclass(frozen=True)
class Peer:
    """One way to load vectors."""

    name: str
    load: Load
    formats: frozenset[str]
    packages: tuple[str, ...] = ()  # imported before the clock starts
    prepare: Callable[[list[str]], Any] = rows_by_token
    #: what to check instead, where ``load`` keeps no answer
    check: Callable[[Path, Any], Float32Array] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def opened(path: Path) -> BinaryIO:
    """Open a text file, plain, in gzip or in a zip, as bytes."""
    with path.open("rb") as file:
        magic = file.read(2)
    if magic not in (b"\x1f\x8b", b"PK"):
        return path.open("rb")
    packed: Any = gzip.GzipFile(path)
    if magic == b"PK":
        archive = zipfile.ZipFile(path)
        packed = archive.open(archive.namelist()[0])
    return io.BufferedReader(packed)


def text_shape(path: Path) -> tuple[int, int]:
    """Return the number of header lines, 0 or 1, and dim."""
    with opened(path) as file:
        fields = len(file.readline().split(b" "))
        if fields != 2:
            return 0, fields - 1
        return 1, len(file.readline().split(b" ")) - 1
