"""Pages about small matrices, one of them full of tokens that would rather run."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pretrained_embed as pe

#: Each sets ``window.__ran`` where a page takes it for more than text.
NASTY = (
    "<script>window.__ran=1</script>",
    "</script><script>window.__ran=2</script>",
    "<!--",
    "<!--<script>",
    "]]>",
    "javascript:window.__ran=3",
    '"><img src=x onerror=window.__ran=4>',
    "'><svg onload=window.__ran=5>",
    "</textarea></title></style><img src=x onerror=window.__ran=6>",
    "&lt;img src=x onerror=window.__ran=7&gt;",
    "${window.__ran=8}",
    "$data $$",
    "__proto__",
    "\u2028window.__ran=9\u2029",
    "\u202eevil\x00\x1b[31m",
    "\udcff",  # not UTF-8
    "עברית",
    "👩‍👩‍👧",
    " ",
    "x" * 5_000,
)


#: What the arrays of a page are made of.
KINDS = {
    **{"ids": "<u4", "near": "<u4", "places": "<u2", "origin": "<u1", "cosines": "<i1"},
    **{"norms": "<f4", "counts": "<f8"},
}


def page_of(matrix: pe.EmbeddingMatrix, path: Path, **options: Any) -> str:
    pe.page(matrix, path, **options)
    return path.read_text("utf-8")


def data_of(page: str) -> dict[str, Any]:
    """Return the data of a page, its arrays as arrays."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)<', page)
    data = json.loads(text)
    for name, kind in KINDS.items():
        if data[name] is not None:
            data[name] = np.frombuffer(base64.b64decode(data[name]), kind)
    data["near"] = data["near"].reshape(-1, 10)
    return data


@pytest.fixture(scope="session")
def words() -> list[str]:
    return [f"word{number}" for number in range(300)]


@pytest.fixture(scope="session")
def vectors(words) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(len(words), 8)).astype(np.float32)


@pytest.fixture(scope="session")
def matrix(words, vectors, tmp_path_factory) -> pe.EmbeddingMatrix:
    """300 words, a third of them found, a third in lower case, a third not."""
    folder = tmp_path_factory.mktemp("source")
    wanted = [w.upper() if i % 3 == 1 else w for i, w in enumerate(words)]
    counts = {word: 1_000 // (i + 1) for i, word in enumerate(wanted)}
    with (folder / "vectors.txt").open("w") as file:
        for i, (word, row) in enumerate(zip(words, vectors, strict=True)):
            name = f"{word}-" if i % 3 == 2 else word
            print(name, *row.tolist(), file=file)
    vocabulary = pe.Vocabulary(wanted, counts=counts)
    source = folder / "vectors.txt"
    return pe.build_matrix(
        vocabulary, source, match="exact,lower", work=pe.Work(advise=True)
    )


@pytest.fixture(scope="session")
def nasty() -> pe.EmbeddingMatrix:
    """A matrix whose every text is out to run."""
    vocabulary = pe.Vocabulary(NASTY, pad=None, special_tokens={"mask": NASTY[0]})
    origin = [2 + 14 * (i % 2) for i in range(len(NASTY))]
    source = dict.fromkeys(("source", "title", "licence", "citation"), NASTY[1])
    provenance = {
        "source": source | {"digests": [{"algorithm": NASTY[6], "value": NASTY[6]}]},
        "options": {"match": ["exact"], "oov": NASTY[6], NASTY[6]: NASTY[1]},
        "versions": {NASTY[1]: NASTY[6]},
    }
    findings = pe.formats.Findings(rows=3, bad_rows=1, notes=list(NASTY))
    vectors = np.random.default_rng(7).normal(size=(len(NASTY), 4))
    return pe.EmbeddingMatrix(vectors, vocabulary, origin, provenance, findings)
