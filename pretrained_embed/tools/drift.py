"""`compare`: the changes between two matrices, for example by training."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import pretrained_embed as pe
from pretrained_embed import markup
from pretrained_embed.arrays import Float32Array, Int64Array
from pretrained_embed.errors import OptionError, ShapeError, VocabularyError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.tools import plot
from pretrained_embed.tools.alignment import matrix_of
from pretrained_embed.tools.nearest_rows import Nearest, unit_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The first rank of each frequency band, from 0.
_BANDS = (0, 100, 1_000, 10_000, 100_000, 1_000_000)
#: How many tokens are searched for neighbours at a time; how many are in a picture.
_AT_ONCE, _DRAWN = 1024, 60

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; color-scheme: light dark }}
table {{ border-collapse: collapse; margin: 1.5rem 0; width: 100% }}
caption {{ font-weight: 600; text-align: left }}
th, td {{ border-bottom: 1px solid #8884; padding: .2rem .6rem; text-align: left;
  vertical-align: top }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""


@dataclass(frozen=True)
class Moved:
    """A token, and the change of its vector."""

    token: str
    cosine: float  # cosine between the vectors before and after
    norm_before: float
    norm_after: float
    gained: tuple[str, ...]  # new neighbours, the nearest first
    lost: tuple[str, ...]


@dataclass(frozen=True)
class FrequencyBand:
    """Tokens of similar frequency: ranks ``first`` to before ``end``, from 0."""

    first: int
    end: int
    tokens: int
    cosine: float  # mean cosine
    kept: float  # share of the neighbours that stayed, mean
    norm: float  # norm after divided by that before, median


@dataclass(frozen=True)
class Drift:
    """The result of `compare`; ``str(drift)`` is a summary.

    ``moved`` are the tokens with the smallest cosines, ``bands`` all of them by
    frequency. ``only_before`` and ``only_after`` count the tokens that the other lacks.
    """

    tokens: int
    unchanged: int  # bit for bit
    only_before: int
    only_after: int
    neighbours: int  # how many neighbours of each token were compared
    bands: tuple[FrequencyBand, ...]
    moved: tuple[Moved, ...]
    comparable: int = 0  # tokens that have a direction in both, before the limit
    one_sided: int = 0  # of the others, those that have a direction in one

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values."""
        return asdict(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a page, ``.html``, or a picture, ``.png``, ``.svg`` or ``.pdf``.

        It appears whole or not at all. Raises `OptionError` for another suffix,
        `WriteError`, and `MissingPackageError` if a picture needs matplotlib.
        """
        suffix = Path(os.fsdecode(path)).suffix.lower()
        if suffix in pe.EmbeddingMatrix.PICTURE_SUFFIXES:
            pe.save_picture(self.plot(), path)
            return
        if suffix not in (".html", ".htm"):
            raise OptionError(
                f"{os.fsdecode(path)!r} does not end in .html or one of "
                f"{' '.join(pe.EmbeddingMatrix.PICTURE_SUFFIXES)}"
            )
        title = "What changed"
        body = markup.paragraph(str(self).partition("\n")[0])
        body += markup.table("By frequency", _BAND_HEAD, map(_band_cells, self.bands))
        body += markup.table("Moved most", _MOVED_HEAD, map(_moved_cells, self.moved))
        with replacing(path) as file:
            page = _PAGE.format(title=title, body=body)
            file.write(page.encode("utf-8", "backslashreplace"))

    def plot(self) -> Figure:
        """Return a matplotlib figure of the tokens that moved most.

        The x axis is the ratio of the norms, the y axis the cosine.
        """
        points = [
            plot.Point(
                each.token,
                float(np.log2(each.norm_after / each.norm_before)),
                each.cosine,
                "moved",
            )
            for each in self.moved[:_DRAWN]
            if each.norm_before > 0 and each.norm_after > 0
        ]
        if not points:
            raise OptionError("there is no token to draw: none has a vector in both")
        return plot.scatter(points, title="Cosine, over the norm's growth (log2)")

    def __str__(self) -> str:
        of = f" of {self.comparable:,}" if self.comparable > self.tokens else ""
        lost = (
            f" {self.one_sided:,} more have a direction in one only: the vector in the "
            "other is zeros, or not finite."
        )
        lines = [
            f"{self.tokens:,}{of} tokens in both, {self.unchanged:,} of them "
            f"unchanged; {self.only_before:,} only before, {self.only_after:,} only "
            f"after.{lost if self.one_sided else ''}"
        ]
        for band in self.bands:
            lines.append(
                f"  ranks {band.first:,} to {band.end - 1:,}: cosine "
                f"{band.cosine:.4f}, norm x {band.norm:.3f}, {band.kept:.0%} of "
                f"{self.neighbours} neighbours kept"
            )
        for each in self.moved:
            gained = f"; now near {', '.join(each.gained[:3])}" if each.gained else ""
            lost = f"; no more near {', '.join(each.lost[:3])}" if each.lost else ""
            lines.append(f"  {each.cosine:7.4f}  {each.token}{gained}{lost}")
        return "\n".join(lines)


def compare(
    before: Any,
    after: Any,
    *,
    count: int = 20,
    neighbours: int = 10,
    limit: int = 20_000,
    library: pe.Library | None = None,
) -> Drift:
    """Return the changes from one matrix to another, token by token.

    Parameters
    ----------
    before, after : EmbeddingMatrix, Reader, path or name
        For example a matrix, and the one of ``from_layer`` after training. Tokens that
        both have, with vectors that are not zero, are compared.
    count : int, default 20
        How many of the tokens that moved most are listed.
    neighbours : int, default 10
        How many nearest neighbours are compared, among the compared tokens.
    limit : int, default 20,000
        The most tokens that are compared: the most frequent by the counts of the
        vocabulary before; without counts the first ids.
    library : Library, optional
        Where names are looked up, and how files are read.

    Returns
    -------
    Drift
        The changes; printed, a summary.

    Raises
    ------
    ShapeError
        If the dims differ.
    VocabularyError
        If no token is in both.
    OptionError
        For numbers below 1.

    Examples
    --------
    >>> print(compare("embedding.npz", "trained.npz"))  # doctest: +SKIP
    """
    if min(count, neighbours, limit) < 1:
        raise OptionError(
            f"count is {count}, neighbours {neighbours}, limit {limit}; each is 1 or "
            "more"
        )
    one, other = matrix_of(before, library), matrix_of(after, library)
    if one.dim != other.dim:
        raise ShapeError(
            f"{one.dim} dimensions before and {other.dim} after; vectors of two dims "
            "have no cosine"
        )
    tokens, rows, theirs, counted = _shared(one, other, limit)
    old, new = one.vectors[rows], other.vectors[theirs]
    units = unit_rows(old), unit_rows(new)
    cosines = np.einsum("ij,ij->i", units[0], units[1], dtype=np.float64)
    norms = [np.linalg.norm(v.astype(np.float64), axis=1) for v in (old, new)]
    wanted = min(neighbours, len(tokens) - 1)
    near = [_near(vectors, wanted) for vectors in units]
    kept = _kept(near[0], near[1]) if wanted else np.ones(len(tokens))
    bands = []
    for first, end in zip(_BANDS, (*_BANDS[1:], len(tokens)), strict=True):
        part = slice(first, min(end, len(tokens)))
        if part.start < part.stop:
            bands.append(
                FrequencyBand(
                    *(part.start, part.stop, part.stop - part.start),
                    *(float(cosines[part].mean()), float(kept[part].mean())),
                    float(np.median(norms[1][part] / norms[0][part])),
                )
            )
    same = (old == new).all(axis=1)
    changed = np.flatnonzero(~same)
    most = changed[np.argsort(cosines[changed], kind="stable")][:count].tolist()
    moved = tuple(
        Moved(
            *(tokens[row], float(cosines[row]), float(norms[0][row])),
            float(norms[1][row]),
            _names(near[1][row], near[0][row], tokens),
            _names(near[0][row], near[1][row], tokens),
        )
        for row in most
    )
    in_both = sum(token in other.vocabulary for token in one.vocabulary)
    return Drift(
        *(len(tokens), int(same.sum()), len(list(one.vocabulary)) - in_both),
        len(list(other.vocabulary)) - in_both,
        *(wanted, tuple(bands), moved),
        *counted,
    )


def _shared(
    one: pe.EmbeddingMatrix, other: pe.EmbeddingMatrix, limit: int
) -> tuple[list[str], Int64Array, Int64Array, tuple[int, int]]:
    """Return the tokens of both, the most frequent first, and their rows in each.

    The last are the numbers that `Drift` has of tokens that are not compared.
    """
    pairs = [
        (row, theirs)
        for token, row in one.vocabulary.ids.items()
        if (theirs := other.vocabulary.get(token)) is not None
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    counts = one.vocabulary.counts
    order = np.argsort(
        rows[:, 0] if counts is None else -counts[rows[:, 0]], kind="stable"
    )
    rows = rows[order]
    directed = unit_rows(one.vectors[rows[:, 0]]).any(axis=1)
    theirs_too = unit_rows(other.vectors[rows[:, 1]]).any(axis=1)
    counted = int((directed & theirs_too).sum()), int((directed ^ theirs_too).sum())
    rows = rows[directed & theirs_too][:limit]
    if not len(rows):
        raise VocabularyError(
            "no token has a vector in both; compare matrices of one vocabulary, or of "
            "vocabularies that share tokens"
        )
    return one.vocabulary.strings(rows[:, 0]), rows[:, 0], rows[:, 1], counted


def _near(units: Float32Array, count: int) -> Int64Array:
    """Return the nearest other rows of each row, (rows, count)."""
    near = np.empty((len(units), count), np.int64)
    for start in range(0, len(units), _AT_ONCE):
        best = Nearest(units[start : start + _AT_ONCE], count + 1)
        best.add(units)
        own = best.rows == np.arange(start, start + len(best.rows))[:, None]
        own[~own.any(axis=1), -1] = True  # many rows are equally near: remove the last
        near[start : start + len(own)] = best.rows[~own].reshape(len(own), count)
    return near


def _kept(before: Int64Array, after: Int64Array) -> Any:
    """Return the share of earlier neighbours that remain, (rows,)."""
    return (before[:, :, None] == after[:, None, :]).any(axis=2).mean(axis=1)


def _names(rows: Int64Array, without: Int64Array, tokens: list[str]) -> tuple[str, ...]:
    left = set(without.tolist())
    return tuple(tokens[row] for row in rows.tolist() if row not in left)


_BAND_HEAD = ("ranks", "tokens", "cosine", "norm after / before", "neighbours kept")
_MOVED_HEAD = (
    "token",
    "cosine",
    "norm before",
    "norm after",
    "now near",
    "no more near",
)


def _band_cells(band: FrequencyBand) -> list[str]:
    return [
        *(f"{band.first:,} to {band.end - 1:,}", f"{band.tokens:,}"),
        *(f"{band.cosine:.4f}", f"{band.norm:.3f}", f"{band.kept:.0%}"),
    ]


def _moved_cells(each: Moved) -> list[str]:
    return [
        *(each.token, f"{each.cosine:.4f}"),
        *(f"{each.norm_before:.4g}", f"{each.norm_after:.4g}"),
        *(", ".join(each.gained), ", ".join(each.lost)),
    ]
