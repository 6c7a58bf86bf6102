"""The data of the map: which tokens are on it, where, and what each is near to."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Float64Array,
    Int64Array,
    Progress,
)
from pretrained_embed.ledger import Origin
from pretrained_embed.ledger.provenance import options_of
from pretrained_embed.matrix import EmbeddingMatrix, Projection
from pretrained_embed.tools.nearest_rows import Nearest, unit_rows
from pretrained_embed.tools.page.elements import shown
from pretrained_embed.tools.plot import project

#: How many neighbours a token has, and the number that stands for none.
NEIGHBOURS, NONE = 10, 2**32 - 1

#: Places go from 0 to this.
_FINEST = 2**16 - 1
#: Rows whose neighbours are looked for at once.
_AT_ONCE = 256


@dataclass(frozen=True)
class Points:
    """Tokens on a map, the most important first, as JSON can hold them."""

    ids: Int64Array  # (points,)
    possible: int  # how many tokens could be there
    data: dict[str, Any]  # for the script of the page

    def json(self) -> str:
        """Return the data as JSON that nothing in HTML takes for an end of it."""
        text = json.dumps(self.data, separators=(",", ":"))
        return (
            text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        )


def points(
    matrix: EmbeddingMatrix,
    norms: Float64Array,
    *,
    limit: int | None,
    projection: Projection = "pca",
    seed: int = 0,
    progress: Progress | None = None,
) -> Points:
    """Return the most frequent tokens, or the first ones, with places and neighbours.

    ``norms`` are those of all rows. Padding, and ids without a token, are left out.
    Arrays are in base64, little-endian: ids, near (points, 10) and counts are of whole
    numbers, places (points, 2) go from 0 to 65,535, cosines are in hundredths.
    """
    vocabulary = matrix.vocabulary
    ordered = matrix.ledger.frequent_rows()
    ids, possible = ordered[:limit], len(ordered)
    vectors = matrix.vectors[ids]
    places = np.zeros((0, 2), np.float32)  # where there is no token
    if len(ids):
        places = project(vectors, projection, seed=seed)
    near, cosines = _neighbours(vectors, progress)
    origin, origins = _origins(matrix, ids)
    counts = vocabulary.counts
    known = np.isfinite(norms[ids])
    finite = np.where(known, norms[ids], 0.0).clip(max=np.finfo(np.float32).max)
    data = {
        "tokens": [shown(str(vocabulary.tokens[id])) for id in ids.tolist()],
        "ids": _base64(ids, "<u4"),
        "places": _base64(_places(places), "<u2"),
        "near": _base64(near, "<u4"),
        "cosines": _base64(np.rint(cosines * 100), "<i1"),
        "norms": _base64(finite, "<f4"),
        "counts": None if counts is None else _base64(counts[ids], "<f8"),
        "origin": _base64(origin, "<u1"),
        "origins": origins,
    }
    return Points(ids, possible, data)


def _neighbours(
    vectors: Float32Array, progress: Progress | None
) -> tuple[Int64Array, Float32Array]:
    """Return the nearest points of each but itself, and their cosines.

    Both are (points, NEIGHBOURS), and `NONE` and 0 where there are too few.
    """
    tell: Callable[[int, int], Any] = progress or (lambda *_: None)
    near = np.full((len(vectors), NEIGHBOURS), NONE, np.int64)
    cosines = np.zeros(near.shape, np.float32)
    for start in range(0, len(vectors), _AT_ONCE):
        queries = vectors[start : start + _AT_ONCE]
        directed = unit_rows(queries).any(axis=1, keepdims=True)
        tell(start * vectors.shape[1] * 4, vectors.nbytes)
        found = Nearest(queries, NEIGHBOURS + 1)
        found.add(vectors)
        own = np.arange(start, start + len(queries))[:, None]
        # the row itself, or the last where many rows are just as near; then the rest
        order = np.argsort(found.rows != own, axis=1, kind="stable")
        rows = np.take_along_axis(found.rows, order, axis=1)
        itself = np.equal(rows[:, :1], own)
        keep = np.where(itself, np.arange(1, NEIGHBOURS + 1), np.arange(NEIGHBOURS))
        keep = np.take_along_axis(order, keep, axis=1)
        rows = np.take_along_axis(found.rows, keep, axis=1)
        some = (rows >= 0) & directed
        part = slice(start, start + len(queries))
        near[part] = np.where(some, rows, NONE)
        cosines[part] = np.where(
            some, np.take_along_axis(found.scores, keep, axis=1), 0.0
        )
    return near, cosines


def _places(places: Float32Array) -> Float64Array:
    """Return places in a square, the middle of all in its middle."""
    if not len(places):
        return places.astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    span = float((high - low).max()) or 1.0
    square: Float64Array = 0.5 + (places - (low + high) / 2) / span
    square[:, 1] = 1 - square[:, 1]  # upwards on paper is downwards on a screen
    whole: Float64Array = np.rint(square.clip(0, 1) * _FINEST)
    return whole


def _origins(
    matrix: EmbeddingMatrix, ids: Int64Array
) -> tuple[Int64Array, list[dict[str, str]]]:
    """Return which origin each point has, and the origins, of found rows first."""
    codes, places = np.unique(matrix.origin[ids], return_inverse=True)
    order = np.argsort(codes < Origin.EXACT, kind="stable")
    listed = [_origin(matrix, Origin(code)) for code in codes[order].tolist()]
    ranks: Int64Array = np.argsort(order)[places]
    return ranks, listed


def _origin(matrix: EmbeddingMatrix, code: Origin) -> dict[str, str]:
    """Return a name for an origin, and what it means."""
    label = shown(code.label(matrix.match))
    if code is Origin.EXACT:
        return {"name": label, "words": "found as it stands"}
    if code.found:
        return {"name": label, "words": f"found in another form: {label}"}
    policy = str(options_of(matrix.provenance).get("oov", "")).rpartition(",")[2]
    words = {
        Origin.SUBWORD: "not found; made of the source's subword pieces",
        Origin.PARTS: "not found; the mean of tokens that it consists of",
        Origin.NGRAM: "not found; predicted from its character n-grams",
    }
    filled = f"not found; filled by {shown(policy)}" if policy else "not found; filled"
    names = {Origin.OOV: f"not found ({policy})" if policy else "not found"}
    name = names.get(code, f"not found ({label})")
    return {"name": shown(name), "words": words.get(code, filled)}


def _base64(numbers: AnyArray, dtype: str) -> str:
    return b64encode(np.ascontiguousarray(numbers).astype(dtype).tobytes()).decode()
