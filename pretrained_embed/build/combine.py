"""Several sources in one matrix.

``fill`` takes the vector of a token from the first source that has it. ``concat`` puts
the vectors of all sources side by side (CONC of Yin, Schütze: Learning word
meta-embeddings, ACL 2016, https://aclanthology.org/P16-1128), ``average`` takes their
mean, shorter ones lengthened by zeros (Coates, Bollegala: Frustratingly easy
meta-embedding, NAACL 2018, https://aclanthology.org/N18-2031).

Sources differ in length of their vectors, so Yin and Schütze bring every vector to unit
length and then weigh the sources: ``normalize_each`` and ``scale``. Neither is done
unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Int64Array, blocks, unit
from pretrained_embed.build.turning import Turn
from pretrained_embed.errors import OptionError
from pretrained_embed.recipe import How, Recipe


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

    def prepare(self, vectors: Float32Array, rows: Int64Array, number: int) -> None:
        """Turn, normalise and scale rows from a source in place, if asked to.

        The arithmetic is in float64, rounded once.
        """
        factor = 1.0 if self.scale is None else self.scale[number]
        turn = self.turns[number] if self.turns else None
        if turn is None and not self.normalize_each and factor == 1.0:
            return
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
