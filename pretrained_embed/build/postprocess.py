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

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pretrained_embed import kernel
from pretrained_embed.arithmetic import blocks, product, unit
from pretrained_embed.arrays import Float32Array, Float64Array
from pretrained_embed.build.combine import Combination
from pretrained_embed.errors import OptionError
from pretrained_embed.fill.source import FIRST_ROWS, first_rows
from pretrained_embed.formats import Reader
from pretrained_embed.formats.reader import OnBadRow
from pretrained_embed.recipe import SHORTENING, Step

#: Steps that need to know nothing of the source.
_UNFITTED = ("unit-norm", "truncate")

#: What a fitted step does to rows of float64.
Change = Callable[[Float64Array], Float64Array]


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


def fitted(
    steps: Iterable[Step], sample: Float32Array
) -> Callable[[Float32Array], Float32Array]:
    """Return what changes rows by each step in turn, float32 (rows, dim) to the same.

    ``sample`` is float32 (rows, dim); rows of it that are not finite are left out.
    Arithmetic is in float64, rounded once. Raises `OptionError` if the sample has too
    few rows.
    """
    wide = sample[np.isfinite(sample).all(axis=1)].astype(np.float64)
    changes: list[Change] = []
    for step in steps:
        least = 0 if step.name in _UNFITTED else step.number or 1
        if len(wide) < least:
            raise OptionError(
                f"{step} needs {least:,} rows to learn from at least; there are "
                f"{len(wide):,}"
            )
        changes.append(_fitted(step, wide))
        wide = changes[-1](wide)
    dim = wide.shape[1]

    def change(vectors: Float32Array) -> Float32Array:
        out = np.zeros((len(vectors), dim), np.float32)
        for rows in blocks(len(vectors), max(vectors.shape[1], 1)):
            block = vectors[rows]
            changed = block.astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                for step in changes:
                    changed = step(changed)
                out[rows] = np.where(np.any(block, axis=1, keepdims=True), changed, 0.0)
        return out

    return change


def _fitted(step: Step, sample: Float64Array) -> Change:
    if step.name == "unit-norm":
        return unit
    if step.name == "truncate":
        return lambda rows: rows[:, : step.number]
    mean = np.add.reduce(sample, axis=0) / len(sample)  # row by row
    if step.name == "center" or step.number is None:
        return lambda rows: rows - mean
    directions = _principal(sample - mean, step.number)
    if step.name == "pca":
        return lambda rows: product(rows - mean, directions)

    def without(rows: Float64Array) -> Float64Array:
        centred = rows - mean
        rest: Float64Array = centred - product(
            product(centred, directions), directions.T
        )
        return rest

    return without


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
