"""The files that are loaded: made once, then found again under ``benchmarks/data``.

The numbers of the smaller text file are GloVe's own, in the bytes that Stanford
publishes. All else is made from it, with fixed seeds: more columns by a projection,
more rows by copies whose tokens have a suffix.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path

import numpy as np

import pretrained_embed as pe
from benchmarks.peers.peer import Float32Array

#: Rows of glove.6B, and of what a quick run cuts from it.
ROWS, QUICK_ROWS = 400_000, 10_000
#: Columns of the projection: those of the GloVe that most people load.
WIDE = 300

_GLOVE_SHA256 = "d8f717f8dd4b545cb7f418ef9f3d0c3e6e68a6f48b97d32f8b7aae40cb31f96f"
_SIZES = "sizes.json"
_COPY = 1 << 22


class Files:
    """Makes each file when it is asked for, unless it is there with its size."""

    def __init__(self, folder: Path, rows: int, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.rows = rows
        self._say = say
        folder.mkdir(parents=True, exist_ok=True)

    def glove(self) -> Path:
        """GloVe text, 50 columns."""

        def write(path: Path) -> None:
            with path.open("wb") as file:
                for tokens, vectors in self._source():
                    file.writelines(_lines(tokens, vectors))
            if self.rows == ROWS and _sha256(path) != _GLOVE_SHA256:
                raise SystemExit("glove-6b-50d gave other bytes than Stanford's text")

        return self.made("glove.50d.txt", write)

    def wide(self) -> Path:
        """GloVe text, 300 columns: the 50 projected at random, five digits each."""

        def write(path: Path) -> None:
            # in binary64, so that another BLAS does not change the fifth digit
            projection = np.random.default_rng(0).standard_normal((50, WIDE)) / 7
            with path.open("wb") as file:
                for tokens, vectors in self._source():
                    file.writelines(_lines(tokens, vectors @ projection))

        return self.made("wide.300d.txt", write)

    def small(self, rows: int) -> Path:
        """The first rows of `glove`."""
        whole = self.glove()

        def write(path: Path) -> None:
            with whole.open("rb") as lines, path.open("wb") as file:
                file.writelines(islice(lines, rows))

        return self.made(f"small-{rows}.50d.txt", write)

    def repeated(self, size: int) -> Path:
        """About ``size`` bytes: the rows of `wide` again and again, tokens told apart.

        Each one begins with the rows of the smaller ones.
        """
        whole = self.wide()

        def write(path: Path) -> None:
            left = size
            with path.open("wb") as file:
                for copy in count():
                    suffix = b"~%d" % copy if copy else b""
                    with whole.open("rb") as lines:
                        for line in lines:
                            if left <= 0:
                                return
                            token, space, numbers = line.partition(b" ")
                            row = token + suffix + space + numbers
                            left -= file.write(row)

        return self.made(f"repeated-{size}.300d.txt", write)

    def binary(self) -> Path:
        """The vectors of `wide` in word2vec's binary format, as gensim writes it."""
        text = self.wide()

        def write(path: Path) -> None:
            with pe.open_vectors(text) as reader, path.open("wb") as file:
                file.write(b"%d %d\n" % (self.rows, reader.dim))
                for tokens, vectors in reader.blocks():
                    for token, vector in zip(tokens, vectors, strict=True):
                        file.write(token.encode() + b" " + vector.tobytes())

        return self.made("wide.300d.bin", write)

    def gzipped(self) -> Path:
        """`glove` in gzip, at the level that gzip takes by default."""
        text = self.glove()

        def write(path: Path) -> None:
            with text.open("rb") as file, gzip.open(path, "wb", 6) as packed:
                shutil.copyfileobj(file, packed, _COPY)

        return self.made("glove.50d.txt.gz", write)

    def zipped(self) -> Path:
        """`glove` in a zip, as Stanford's are."""
        text = self.glove()

        def write(path: Path) -> None:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(text, "glove.50d.txt")

        return self.made("glove.50d.txt.zip", write)

    def saved(self, suffix: str) -> Path:
        """All of `wide` as a matrix that was saved before: by numpy, gensim or us."""
        text = self.wide()

        def write(path: Path) -> None:
            matrix = pe.build_matrix(_tokens(text), text)
            if suffix == ".npy":
                np.save(path, matrix.vectors)
            elif suffix == ".kv":
                _save_with_gensim(matrix, path)
            else:
                matrix.save(path)

        name = f"saved{suffix}"
        if suffix == ".kv" and find_spec("gensim") is None:
            return self.folder / name  # nobody can read it either
        return self.made(name, write)

    def tokens(self, path: Path, wanted: int | None = None) -> Path:
        """JSON list of the tokens of a text file: all, or so many drawn at random."""

        def write(listed: Path) -> None:
            tokens = _tokens(path)
            if wanted is not None:
                tokens = random.Random(0).sample(tokens, wanted)
            listed.write_text(json.dumps(tokens))

        return self.made(f"{path.stem}.{wanted or 'all'}.json", write)

    def _source(self) -> Iterator[tuple[list[str], Float32Array]]:
        """Yield rows of the default source, as many as are asked for."""
        # a benchmark should not begin with a download that nobody asked for
        os.environ.setdefault("PRETRAINED_EMBED_OFFLINE", "1")
        left = self.rows
        with pe.open_vectors("glove-6b-50d") as reader:
            for tokens, vectors in reader.blocks():
                yield tokens[:left], vectors[:left]
                left -= len(tokens)
                if left <= 0:
                    return

    def made(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return the file, made now unless it is there with the size it was made in."""
        path, listed = self.folder / name, self.folder / _SIZES
        sizes = json.loads(listed.read_text()) if listed.exists() else {}
        if not path.exists() or sizes.get(name) != path.stat().st_size:
            self._say(f"making {name}")
            write(path)
            listed.write_text(json.dumps(sizes | {name: path.stat().st_size}, indent=1))
        return path


def _lines(tokens: list[str], vectors: np.ndarray) -> Iterator[bytes]:
    pattern = " %.5g" * vectors.shape[1] + "\n"
    for token, numbers in zip(tokens, vectors.tolist(), strict=True):
        yield (token + pattern % tuple(numbers)).encode()


def _tokens(path: Path) -> list[str]:
    with path.open("rb") as lines:
        return [line.partition(b" ")[0].decode() for line in lines]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _save_with_gensim(matrix: pe.EmbeddingMatrix, path: Path) -> None:
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(matrix.dim)
    vectors.add_vectors(list(matrix.vocabulary.tokens), matrix.vectors)
    vectors.save(str(path))
