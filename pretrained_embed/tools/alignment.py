"""`align`: maps the vectors of one space into another.

The map is orthogonal, so it preserves the angles and lengths of the vectors:
Schönemann 1966, https://doi.org/10.1007/BF02289451, for words Xing et al. 2015,
https://aclanthology.org/N15-1104, and Artetxe et al. 2016,
https://aclanthology.org/D16-1250. Pairs that are mutual nearest neighbours by CSLS may
be added step by step: Conneau et al. 2018, https://arxiv.org/abs/1710.04087.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

import pretrained_embed as pe
from pretrained_embed.arrays import Float32Array, Float64Array, FloatArray, Int64Array
from pretrained_embed.build.combine import procrustes, read_pairs
from pretrained_embed.errors import (
    OptionError,
    ShapeError,
    VocabularyError,
    brief,
)
from pretrained_embed.library import listed_sources
from pretrained_embed.tools.nearest_rows import Nearest, unit_rows

#: How many neighbours the density around a vector is the mean cosine of, in CSLS.
_NEAR = 10
#: How many candidates for a held-out word CSLS compares.
_CANDIDATES = 100

Pairs = str | os.PathLike[str] | Mapping[str, str] | Iterable[tuple[str, str]]


class Precision(NamedTuple):
    """How many held-out pairs were found again, from 0 to 1.

    ``cosine`` is the share whose nearest row of the target, by cosine, is correct;
    ``csls`` is the same by CSLS, which prefers hubs less.
    """

    cosine: float
    csls: float
    words: int  # source words whose pairs were held out
    candidates: int  # rows of the target

    def __str__(self) -> str:
        return (
            f"P@1 {self.cosine:.1%} by cosine, {self.csls:.1%} by CSLS ({self.words:,} "
            f"words held out, {self.candidates:,} candidates)"
        )


@dataclass(frozen=True)
class Alignment:
    """The result of `align`.

    ``matrix`` has the rows of the source in the space of the target, OOV rows too; the
    pad row is zeros. ``map`` is float64 (dim, dim); rows are multiplied by it.
    ``pairs`` is how many pairs it was fitted to, and ``score`` how many held-out pairs
    it finds, ``None`` if there are none.
    """

    matrix: pe.EmbeddingMatrix
    map: Float64Array
    # of source and target, zeros without centering
    means: tuple[Float64Array, Float64Array]
    unit: bool
    pairs: int
    score: Precision | None

    def apply(self, vectors: FloatArray) -> Float32Array:
        """Return rows of the source's space, (rows, dim), in the target's space.

        Raises `ShapeError` for an array of another shape.
        """
        wide = np.asarray(vectors, np.float64)
        if wide.ndim != 2 or wide.shape[1] != len(self.map):
            raise ShapeError(
                f"an array of shape {wide.shape}; give rows of {len(self.map)} "
                "numbers, (rows, dim)"
            )
        lengths = np.ones((len(wide), 1))
        if self.unit:
            units = unit_rows(np.asarray(vectors)).astype(np.float64)
            lengths = np.einsum("ij,ij->i", wide, units)[:, None]
            wide = units
        turned = (wide - self.means[0]) @ self.map + self.means[1]
        found: Float32Array = (turned * lengths).astype(np.float32)
        return found

    def __str__(self) -> str:
        score = "" if self.score is None else f": {self.score}"
        return f"Aligned by {self.pairs:,} pairs{score}."


@overload
def align(
    source: list[Any] | tuple[Any, ...],
    target: Any,
    pairs: Pairs = ...,
    *,
    unit: bool = ...,
    center: bool = ...,
    refine: int = ...,
    limit: int = ...,
    holdout: float = ...,
    seed: int = ...,
    library: pe.Library | None = ...,
) -> list[Alignment]: ...
@overload
def align(
    source: Any,
    target: Any,
    pairs: Pairs = ...,
    *,
    unit: bool = ...,
    center: bool = ...,
    refine: int = ...,
    limit: int = ...,
    holdout: float = ...,
    seed: int = ...,
    library: pe.Library | None = ...,
) -> Alignment: ...
def align(
    source: Any,
    target: Any,
    pairs: Pairs = "shared",
    *,
    unit: bool = True,
    center: bool = False,
    refine: int = 0,
    limit: int = 10_000,
    holdout: float = 0.1,
    seed: int = 0,
    library: pe.Library | None = None,
) -> Alignment | list[Alignment]:
    """Map the vectors of a source into the space of a target.

    Parameters
    ----------
    source, target : EmbeddingMatrix, Reader, path or name
        Two spaces of the same dim. ``source`` may be a list, such as the vectors of
        successive years: each is aligned to the aligned next one, the last to
        ``target``, and a list is returned.
    pairs : "shared" (default), path, mapping, or list of (str, str)
        Tokens of source and target with the same meaning: those that both have, a file
        with two words a line, or the given pairs. Pairs with an OOV token are left out.
    unit : bool, default True
        Fit to vectors of length 1. The returned rows keep their lengths.
    center : bool, default False
        Subtract the mean of all found rows of each side first.
    refine : int, default 0
        How often to fit again, to pairs that are mutual nearest neighbours by CSLS
        among the first ``limit`` found rows of each side.
    limit : int, default 10,000
        See ``refine``.
    holdout : float, default 0.1
        The share of the source's words that is kept out of the fit, for the score.
    seed : int, default 0
        Seed for that share.
    library : Library, optional
        Where names are looked up, and how files are read.

    Returns
    -------
    Alignment or list of Alignment
        With ``matrix``, ``map`` and ``score``. The provenance of ``matrix`` has the
        map, as float32 in base64.

    Raises
    ------
    ShapeError
        If the dims differ.
    VocabularyError
        If fewer than two pairs are in both.
    OptionError
        For unknown options.

    Examples
    --------
    >>> turned = align("news-1990.npz", "news-2020.npz")  # doctest: +SKIP
    >>> turned.matrix.keyed().similar_by_vector(new["mouse"])  # doctest: +SKIP
    """
    if refine < 0 or limit < 2:
        raise OptionError(
            f"refine is {refine} and limit {limit}; refine is 0 or more, limit 2 or "
            "more"
        )
    if not 0 <= holdout < 1:
        raise OptionError(f"holdout is {holdout}; it is a share from 0 to below 1")
    if not isinstance(pairs, str | os.PathLike | Mapping):
        pairs = _listed_pairs(pairs)  # once: an iterator serves all of a chain
    how = _How(unit, center, refine, limit, holdout, seed)
    to = _Space.of(target, library)
    listed = listed_sources(source)
    found: list[Alignment] = []
    for one in reversed(listed):
        alignment = _aligned(_Space.of(one, library), to, pairs, how)
        found.insert(0, alignment)
        to = _Space.of(alignment.matrix)
    return found if listed is source else found[0]


class _How(NamedTuple):
    unit: bool
    center: bool
    refine: int
    limit: int
    holdout: float
    seed: int


class _Space(NamedTuple):
    """A matrix, and which rows of it were found and are not zero."""

    matrix: pe.EmbeddingMatrix
    found: Int64Array
    places: dict[str, int]  # the position of a token among the found rows

    @classmethod
    def of(cls, source: Any, library: pe.Library | None = None) -> _Space:
        matrix = matrix_of(source, library)
        took_part = matrix.origin >= pe.ledger.Origin.EXACT
        took_part[list(matrix.vocabulary.specials)] = False
        rows = np.flatnonzero(took_part)
        vectors = matrix.vectors[rows]
        rows = rows[vectors.any(axis=1) & np.isfinite(vectors).all(axis=1)]
        names = matrix.vocabulary.strings(rows)
        return cls(matrix, rows, dict(zip(names, range(len(names)), strict=True)))


def matrix_of(source: Any, library: pe.Library | None = None) -> pe.EmbeddingMatrix:
    """Return a matrix: the given one, a saved one, or all rows of a source.

    The vectors of stores and of mappable formats are mapped.
    """
    if isinstance(source, pe.EmbeddingMatrix):
        return source
    return pe.load_matrix(pe.open_vectors(source, library=library))


def _aligned(source: _Space, target: _Space, pairs: Pairs, how: _How) -> Alignment:
    if source.matrix.dim != target.matrix.dim:
        raise ShapeError(
            f"the source has {source.matrix.dim} dimensions and the target "
            f"{target.matrix.dim}; both are to have the same"
        )
    listed = _pairs(pairs, source, target)
    words = np.unique([place for place, _ in listed])
    drawn = np.random.default_rng(how.seed).permutation(words)
    held = set(drawn[: int(how.holdout * len(drawn))].tolist())
    fitted = np.array([pair for pair in listed if pair[0] not in held], np.int64)
    if len(fitted) < 2:
        turned = 0 if len(listed) > 1 else len(_pairs(pairs, target, source))
        why = (
            f", {len(held)} of which are held out: give a smaller holdout"
            if held
            else f", but {turned} with the two sides exchanged: write the token of the "
            "source first"
            if turned > 1
            else ""
        )
        raise VocabularyError(
            f"{len(listed)} pairs of tokens are in both{why}; a map needs two at "
            "least, and good ones as many as there are dimensions"
        )
    x, y = (_prepared(space, how.unit) for space in (source, target))
    means = (np.zeros(x.shape[1]), np.zeros(x.shape[1]))
    if how.center:
        means = (x.mean(axis=0), y.mean(axis=0))
        x, y = x - means[0], y - means[1]
    turn = procrustes(x[fitted[:, 0]], y[fitted[:, 1]])
    free = np.setdiff1d(np.arange(min(len(x), how.limit)), list(held))
    for _ in range(how.refine):
        mutual = _mutual(x[free] @ turn, y[: how.limit])
        if len(mutual) < 2:
            break
        fitted = np.stack([free[mutual[:, 0]], mutual[:, 1]], axis=1)
        turn = procrustes(x[fitted[:, 0]], y[fitted[:, 1]])
    tested = [pair for pair in listed if pair[0] in held]
    score = _precision(x @ turn, y, tested, how.limit)
    plain = Alignment(source.matrix, turn, means, how.unit, len(fitted), score)
    return _applied(plain, target, pairs, how)


def _applied(plain: Alignment, target: _Space, pairs: Pairs, how: _How) -> Alignment:
    """Return the alignment with all rows of the matrix mapped, and the map recorded."""
    matrix = plain.matrix
    turned = plain.apply(matrix.vectors)
    turned[~matrix.vectors.any(axis=1)] = 0.0  # padding, holes, and rows of zeros
    aligned = matrix.with_vectors(turned)
    aligned.provenance["aligned"] = {
        "pairs": pairs if isinstance(pairs, str) else type(pairs).__name__,
        "fitted": plain.pairs,
        **how._asdict(),
        "target": target.matrix.provenance.get("source"),
        "score": None if plain.score is None else plain.score._asdict(),
        "map": _base64(plain.map),
        "means": [_base64(mean) for mean in plain.means] if how.center else None,
    }
    return Alignment(
        aligned, plain.map, plain.means, plain.unit, plain.pairs, plain.score
    )


def _base64(array: Float64Array) -> dict[str, Any]:
    raw = array.astype("<f4").tobytes()
    return {"shape": list(array.shape), "float32": b64encode(raw).decode("ascii")}


def _prepared(space: _Space, unit: bool) -> Float64Array:
    vectors = space.matrix.vectors[space.found]
    return (unit_rows(vectors) if unit else vectors).astype(np.float64)


def _pairs(pairs: Pairs, source: _Space, target: _Space) -> list[tuple[int, int]]:
    """Return the positions of the two tokens of each pair that has both."""
    given: Iterable[tuple[str, str]]
    if isinstance(pairs, str) and pairs == "shared":
        given = ((token, token) for token in source.places)
    elif isinstance(pairs, str | os.PathLike):
        given = read_pairs(Path(pairs))
    elif isinstance(pairs, Mapping):
        given = pairs.items()
    else:
        given = pairs
    found = [
        (source.places[one], target.places[other])
        for one, other in given
        if one in source.places and other in target.places
    ]
    return list(dict.fromkeys(found))


def _listed_pairs(pairs: Any) -> list[tuple[str, str]]:
    """Return pairs as a list; raises `OptionError` for what is not two tokens."""
    if not isinstance(pairs, Iterable):
        raise OptionError(
            f"pairs is {brief(pairs)}; give 'shared', a file, a mapping or a list of "
            "pairs of tokens"
        )
    listed = []
    for pair in pairs:
        both: Any = pair
        if isinstance(pair, str) or not hasattr(pair, "__len__"):
            both = ()
        if len(both) != 2 or not all(isinstance(token, str) for token in both):
            raise OptionError(f"{brief(pair)} is no pair of tokens")
        listed.append((both[0], both[1]))
    return listed


def _mutual(x: Float64Array, y: Float64Array) -> Int64Array:
    """Return the pairs that are mutual nearest neighbours by CSLS, (pairs, 2)."""
    forth, back = _csls_best(x, y), _csls_best(y, x)
    mutual = np.flatnonzero(back[forth] == np.arange(len(x)))
    return np.stack([mutual, forth[mutual]], axis=1)


def _csls_best(x: Float64Array, y: Float64Array) -> Int64Array:
    """Return for each row of x the row of y that is nearest by CSLS."""
    best = Nearest(x, min(_CANDIDATES, len(y)))
    best.add(y.astype(np.float32))
    return _by_csls(best, _density(y, x))


def _density(of: Float64Array, among: Float64Array) -> Float64Array:
    """Return the mean cosine of each row with its nearest rows among others."""
    best = Nearest(of, min(_NEAR, len(among)))
    best.add(among.astype(np.float32))
    mean: Float64Array = np.nan_to_num(best.scores).mean(axis=1)
    return mean


def _by_csls(best: Nearest, density: Float64Array) -> Int64Array:
    """Return the first of the nearest rows, after dense regions are penalised.

    The density of the query does not change the order, so it is left out.
    """
    scores = np.where(best.rows < 0, -np.inf, 2 * best.scores - density[best.rows])
    chosen = np.argmax(scores, axis=1)[:, None]
    found: Int64Array = np.take_along_axis(best.rows, chosen, axis=1)[:, 0]
    return found


def _precision(
    x: Float64Array, y: Float64Array, held: Sequence[tuple[int, int]], limit: int
) -> Precision | None:
    if not held:
        return None
    right: dict[int, set[int]] = {}
    for one, other in held:
        right.setdefault(one, set()).add(other)
    words = np.array(list(right), np.int64)
    best = Nearest(x[words], min(_CANDIDATES, len(y)))
    best.add(y.astype(np.float32))
    asked = np.unique(best.rows[best.rows >= 0])
    density = np.zeros(len(y))
    density[asked] = _density(y[asked], x[:limit])
    shares = []
    for rows in (best.rows[:, 0], _by_csls(best, density)):
        pairs = zip(words.tolist(), rows.tolist(), strict=True)
        shares.append(np.mean([row in right[word] for word, row in pairs]))
    return Precision(float(shares[0]), float(shares[1]), len(words), len(y))
