"""Several sources in one matrix.

``fill`` takes the vector of a token from the first source that has it. ``concat`` puts
the vectors of all sources side by side (CONC of Yin, Schütze: Learning word
meta-embeddings, ACL 2016, https://aclanthology.org/P16-1128), ``average`` takes their
mean, shorter ones lengthened by zeros (Coates, Bollegala: Frustratingly easy
meta-embedding, NAACL 2018, https://aclanthology.org/N18-2031).

Sources differ in length of their vectors, so Yin and Schütze bring every vector to unit
length and then weigh the sources: ``normalize_each`` and ``scale``. Neither is done
unless asked for.

Sources may be turned onto the first one before. The map is orthogonal, of Schönemann
1966, https://doi.org/10.1007/BF02289451, between vectors of length 1 (Xing et al. 2015,
https://aclanthology.org/N15-1104). It is fitted once for a build, and turns each row
that comes from the source, found or made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    blocks,
    product,
    unit,
)
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    SourceError,
    VocabularyError,
)
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.recipe import How, Recipe

#: Rows of the first source whose tokens are looked for in the others: its first ones,
#: which in the usual files are its most frequent tokens.
_ROWS = 50_000
#: One pair of so many is held out, to say how well the map fits.
_HELD = 10


@dataclass(frozen=True, eq=False)
class Turn:
    """A map, float64 (dim, dim): rows times it are turned.

    ``pairs`` is how many it was fitted to, ``score`` the mean cosine of those that were
    held out, once turned.
    """

    map: Float64Array
    asked: str
    pairs: int
    score: float

    def __call__(self, rows: Float64Array) -> Float64Array:
        """Return rows turned; each depends on itself alone, to the last bit."""
        return product(rows, self.map)

    @property
    def facts(self) -> dict[str, Any]:
        """What a provenance says of it."""
        raw = self.map.astype("<f4").tobytes()
        return {
            "pairs": self.asked,
            "fitted": self.pairs,
            "cosine": round(self.score, 4),
            "map": f"blake2b:{blake2b(raw, digest_size=16).hexdigest()}",
        }


def turns(
    readers: Sequence[Reader], asked: str, on_bad_row: OnBadRow
) -> tuple[Turn | None, ...]:
    """Return the map of each source onto the first, which has none.

    ``asked`` is "shared", for tokens that both have, or the path of a file of pairs.

    Raises `OptionError` where there is one source, or dims differ, `VocabularyError`
    where fewer than two pairs are in both, and `SourceError` or `FormatError` for a
    file of pairs that cannot be read.
    """
    first = readers[0]
    if len(readers) < 2:
        raise OptionError(
            f"align turns other sources onto the first, and {first.name} is the only "
            "one; leave it out, or name several sources"
        )
    for other in readers[1:]:
        if other.dim != first.dim:
            raise OptionError(
                f"{first.name} has vectors of {first.dim} dimensions and {other.name} "
                f"of {other.dim}; align needs sources of one dim"
            )
    if asked == "shared":
        tokens, targets = _begin(first, on_bad_row)
        pairs = [(token, token) for token in tokens]
        there = np.ones(len(pairs), np.bool_)
    else:
        pairs = read_pairs(Path(asked))
        targets, there = _vectors(first, [pair[1] for pair in pairs], on_bad_row)
    found: list[Turn | None] = [None]
    for reader in readers[1:]:
        vectors, has = _vectors(reader, [pair[0] for pair in pairs], on_bad_row)
        both = np.flatnonzero(has & there & _directed(vectors) & _directed(targets))
        held = both[_HELD - 1 :: _HELD]
        fitted = np.setdiff1d(both, held)
        if len(fitted) < 2:
            raise VocabularyError(
                f"{len(both)} pairs of tokens are in both {first.name} and "
                f"{reader.name}; align needs two at least, and a good map as many as "
                "there are dimensions"
            )
        x, y = unit(vectors.astype(np.float64)), unit(targets.astype(np.float64))
        turn = procrustes(x[fitted], y[fitted]).astype(np.float32).astype(np.float64)
        tested = held if len(held) else fitted
        cosines = np.einsum("ij,ij->i", x[tested] @ turn, y[tested])
        found.append(Turn(turn, asked, len(fitted), float(cosines.mean())))
    return tuple(found)


def procrustes(x: Float64Array, y: Float64Array) -> Float64Array:
    """Return the orthogonal matrix that brings rows of x nearest to those of y."""
    left, _, right = np.linalg.svd(x.T @ y)
    turn: Float64Array = left @ right
    return turn


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Return the pairs of tokens of a file, two a line, each pair once.

    Raises `SourceError` where it cannot be read, and `FormatError` naming the line that
    is no pair.
    """
    try:
        text = path.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise SourceError(
            f"{path}: the pairs cannot be read: {error.strerror or error}; give "
            "'shared' for the tokens that both have, or a file of two words a line"
        ) from error
    if "\0" in text:
        raise FormatError(
            f"{path}: it has bytes of zero, as UTF-16 has; save the file as UTF-8"
        )
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split("\t") if "\t" in line else line.split()
        if not fields:
            continue
        if len(fields) != 2:
            raise FormatError(
                f"{path}:{number}: {len(fields)} fields; a pair is two tokens, with a "
                "tab between where they hold blanks"
            )
        found.append((fields[0], fields[1]))
    return list(dict.fromkeys(found))


def _begin(reader: Reader, on_bad_row: OnBadRow) -> tuple[list[str], Float32Array]:
    """Return the first tokens of a source, each once, and their vectors."""
    tokens: list[str] = []
    blocks: list[Float32Array] = []
    for block in reader.blocks(on_bad_row=on_bad_row):
        room = _ROWS - len(tokens)
        tokens += block.tokens[:room]
        blocks.append(block.vectors[:room])
        if len(tokens) == _ROWS:
            break
    rows = dict(zip(reversed(tokens), range(len(tokens) - 1, -1, -1), strict=True))
    return list(rows), np.concatenate(blocks)[list(rows.values())]


def _vectors(
    reader: Reader, tokens: list[str], on_bad_row: OnBadRow
) -> tuple[Float32Array, BoolArray]:
    """Return the vectors of tokens in a source, and which of them it has."""
    once = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    count = len(once)
    index = kernel.TokenIndex(list(once), np.arange(count), np.zeros(count, np.uint8))
    vectors = np.zeros((count, reader.dim), np.float32)
    rows = reader.select(index, vectors, on_bad_row=on_bad_row).source_rows
    places = np.array([once[token] for token in tokens], np.int64)
    return vectors[places], rows[places] >= 0


def _directed(vectors: Float32Array) -> BoolArray:
    finite = np.isfinite(vectors).all(axis=1)
    found: BoolArray = np.asarray(finite & vectors.any(axis=1))
    return found


@dataclass(frozen=True, kw_only=True)
class Combination:
    """What becomes of the vectors that several sources have for a token.

    ``scale`` has a factor for each source, ``turns`` what turns its rows first.
    """

    how: How = "fill"
    scale: tuple[float, ...] | None = None
    normalize_each: bool = False
    turns: tuple[Turn | None, ...] = ()

    @classmethod
    def of(cls, recipe: Recipe) -> Combination:
        """Return the combination that a recipe asks for."""
        return cls(
            how=recipe.combine,
            scale=recipe.scale,
            normalize_each=recipe.normalize_each,
        )

    def dim(self, dims: Sequence[int], names: Sequence[str]) -> int:
        """Return the dim of vectors put together from sources of ``dims``.

        Raises `OptionError` if these sources do not go together, or if there is not one
        factor of scale for each.
        """
        if self.scale is not None and len(self.scale) != len(dims):
            raise OptionError(
                f"scale has {len(self.scale)} factors for {len(dims)} sources"
            )
        if self.how == "concat":
            return sum(dims)
        if self.how == "fill" and len(set(dims)) > 1:
            other = next(at for at, dim in enumerate(dims) if dim != dims[0])
            raise OptionError(
                f"{names[0]} has vectors of {dims[0]} dimensions and {names[other]} of "
                f"{dims[other]}; combine='concat' or 'average' takes both"
            )
        return max(dims)

    def _change(self, number: int) -> tuple[Turn | None, float]:
        """Return what turns the rows of a source, and their factor."""
        factor = 1.0 if self.scale is None else self.scale[number]
        return self.turns[number] if self.turns else None, factor

    def keeps(self, number: int) -> bool:
        """Whether the rows of a source stay as they are."""
        return not self.normalize_each and self._change(number) == (None, 1.0)

    def prepare(self, vectors: Float32Array, rows: Int64Array, number: int) -> None:
        """Turn, normalise and scale rows from a source in place, if asked to.

        The arithmetic is in float64, rounded once.
        """
        if self.keeps(number):
            return
        turn, factor = self._change(number)
        for block in blocks(len(rows), vectors.shape[1]):
            wide = vectors[rows[block]].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                if turn is not None:
                    wide = turn(wide)
                vectors[rows[block]] = (
                    unit(wide) if self.normalize_each else wide
                ) * factor

    def put_together(
        self, vectors: Sequence[Float32Array], used: Sequence[BoolArray]
    ) -> Float32Array:
        """Return the combined rows, float32 (rows, dim).

        ``vectors`` has (rows, dim of the source) for each source; ``used``, bool
        (rows,) for each, says which of the rows an average is taken of.
        """
        if self.how == "concat":
            return np.concatenate(vectors, axis=1)
        rows, dim = len(vectors[0]), max(part.shape[1] for part in vectors)
        mean = np.zeros((rows, dim), np.float32)
        for block in blocks(rows, dim):
            total = np.zeros((len(mean[block]), dim))
            for part, mask in zip(vectors, used, strict=True):
                chosen = np.flatnonzero(mask[block])
                total[chosen, : part.shape[1]] += part[block][chosen]
            count = np.sum([mask[block] for mask in used], axis=0)
            mean[block] = total / np.maximum(count, 1)[:, None]
        return mean
