"""Steps that change finished rows, each fitted on a sample of the source.

* ``unit-norm``: every row is brought to length 1.
* ``center``: the mean is taken away.
* ``all-but-the-top:D``: the mean is taken away, then what is left of each row along the
  first D principal directions (Mu, Viswanath: All-but-the-top: simple and effective
  postprocessing for word representations, ICLR 2018, https://arxiv.org/abs/1702.01417).
  Without a number D is a hundredth of dim, as its authors advise, and 1 at least.
* ``pca:K``: the mean is taken away, and the rows are given by their coordinates along
  the first K principal directions. The largest number of each direction is positive.
* ``truncate:K``: of each row the first K numbers are kept, as they are.

Mean and directions are those of the sample, never of the matrix: the row of a token
does not depend on the tokens beside it. Rows of zeros (of pad, of holes, by the policy
"zeros") stay zeros.

``unit-norm`` and ``center`` give the same bytes on any machine. The directions come
from LAPACK: where numpy was built with another one, or runs it with another number of
threads, the last bits of what ``all-but-the-top`` and ``pca`` give may differ, and
where two directions have all but equal variance, so may the directions themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arrays import (
    AnyArray,
    Float32Array,
    Float64Array,
    blocks,
    product,
    unit,
)
from pretrained_embed.build.combine import Combination
from pretrained_embed.errors import OptionError
from pretrained_embed.fill.source import FIRST_ROWS, first_rows
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.recipe import SHORTENING, Step

#: Steps that need to know nothing of the source.
_UNFITTED = ("unit-norm", "truncate")


def resolve(steps: Iterable[Step], dim: int) -> tuple[tuple[Step, ...], int]:
    """Return the steps with all their numbers, and the dim of what they give.

    Raises `OptionError` for more directions than there are dimensions.
    """
    resolved = []
    for step in steps:
        if step.name == "all-but-the-top" and step.number is None:
            step = step._replace(number=max(1, dim // 100))
        if step.number is not None and step.number > dim:
            raise OptionError(f"{step} of vectors of {dim} dimensions")
        resolved.append(step)
        if step.name in SHORTENING and step.number is not None:
            dim = step.number
    return tuple(resolved), dim


class Changes:
    """Steps of post-processing that have learned what they take away.

    ``fits`` are, of each step, the mean of the rows before it, float64 (dim,), and the
    principal directions, (dim, count), where it has such.
    """

    def __init__(
        self, steps: Sequence[Step], fits: Sequence[Mapping[str, Float64Array]]
    ) -> None:
        self._steps = [*zip(steps, fits, strict=True)]

    @classmethod
    def fit(cls, steps: Sequence[Step], sample: Float32Array) -> Self:
        """Fit steps on a sample of rows, float32 (rows, dim).

        Rows of it that are not finite are left out. Raises `OptionError` if it has too
        few rows.
        """
        wide = sample[np.isfinite(sample).all(axis=1)].astype(np.float64)
        fits: list[dict[str, Float64Array]] = []
        for step in steps:
            least = 0 if step.name in _UNFITTED else step.number or 1
            if len(wide) < least:
                raise OptionError(
                    f"{step} needs {least:,} rows to learn from at least; there are "
                    f"{len(wide):,}"
                )
            fits.append(_fit(step, wide))
            wide = _changed(wide, step, **fits[-1])
        return cls(steps, fits)

    @classmethod
    def of(cls, steps: Sequence[Step], arrays: Mapping[str, AnyArray]) -> Self:
        """Return them again from what `arrays` returned."""
        fits: list[dict[str, Float64Array]] = [{} for _ in steps]
        for name, array in arrays.items():
            number, what = name.split()
            fits[int(number)][what] = array
        return cls(steps, fits)

    def arrays(self) -> dict[str, AnyArray]:
        """Return what was learned, by the number of the step and what it is."""
        return {
            f"{number} {what}": array
            for number, (_, fit) in enumerate(self._steps)
            for what, array in fit.items()
        }

    def __call__(self, vectors: Float32Array) -> Float32Array:
        """Return rows (rows, dim) changed by each step in turn.

        Arithmetic is in float64, rounded once.
        """
        dim = vectors.shape[1]
        for step, _ in self._steps:
            if step.name in SHORTENING and step.number is not None:
                dim = step.number
        out = np.zeros((len(vectors), dim), np.float32)
        for rows in blocks(len(vectors), max(vectors.shape[1], 1)):
            block = vectors[rows]
            changed = block.astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                for step, fit in self._steps:
                    changed = _changed(changed, step, **fit)
                out[rows] = np.where(np.any(block, axis=1, keepdims=True), changed, 0.0)
        return out


def _fit(step: Step, sample: Float64Array) -> dict[str, Float64Array]:
    """Return what a step learns of a sample."""
    if step.name in _UNFITTED:
        return {}
    mean = np.add.reduce(sample, axis=0) / len(sample)  # row by row
    if step.name == "center" or step.number is None:
        return {"mean": mean}
    return {"mean": mean, "directions": _principal(sample - mean, step.number)}


def _changed(
    rows: Float64Array,
    step: Step,
    mean: Float64Array | None = None,
    directions: Float64Array | None = None,
) -> Float64Array:
    """Return rows as a step changes them."""
    if step.name == "truncate":
        return rows[:, : step.number]
    if mean is None:
        return unit(rows)
    centred = rows - mean
    if directions is None:
        return centred
    along = product(centred, directions)
    if step.name == "pca":
        return along
    rest: Float64Array = centred - product(along, directions.T)
    return rest


def _principal(centred: Float64Array, count: int) -> Float64Array:
    """Return the first principal directions, (dim, count), by falling variance."""
    _, found = np.linalg.eigh(centred.T @ centred / len(centred))
    directions = found[:, ::-1][:, :count]
    largest = np.abs(directions).argmax(axis=0)
    signs = np.sign(directions[largest, np.arange(count)])
    return np.ascontiguousarray(directions * signs)


def sample(
    readers: Sequence[Reader], combination: Combination, on_bad_row: OnBadRow
) -> Float32Array:
    """Return what the combination makes of the first tokens of the first source.

    Float32 (rows, dim). Where vectors are put together of several sources, these are
    the tokens that all sources have, as they stand. They depend on the sources alone.
    """
    tokens, first = first_rows(readers[0], on_bad_row, FIRST_ROWS)
    each, shared = [first], np.ones(len(tokens), np.bool_)
    if combination.how != "fill":
        count = len(tokens)
        index = kernel.TokenIndex(tokens, np.arange(count), np.zeros(count, np.uint8))
        for reader in readers[1:]:
            vectors = np.zeros((count, reader.dim), np.float32)
            selection = reader.select(index, vectors, on_bad_row=on_bad_row)
            shared &= selection.source_rows >= 0
            each.append(vectors)
    chosen = np.flatnonzero(shared)
    for number, vectors in enumerate(each):
        combination.prepare(vectors, chosen, number)
    if combination.how == "fill":
        return first
    return combination.put_together(
        [v[chosen] for v in each], [shared[chosen]] * len(each)
    )
