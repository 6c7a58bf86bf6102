"""Vectors as points in the plane: projection, labels without overlaps, a picture."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence, Set
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from pretrained_embed.arrays import BoolArray, Float32Array, Float64Array
from pretrained_embed.errors import MissingPackageError, OptionError, suggestion
from pretrained_embed.files.replacement import replacing
from pretrained_embed.markup import PICTURE_SUFFIXES, Projection

if TYPE_CHECKING:
    from matplotlib.figure import Figure


#: The distance between the turns of a spiral, in heights of a label.
_STRIDE = 0.35
#: The angle between steps: the golden angle, which never repeats a direction.
_ANGLE = np.pi * (3 - np.sqrt(5))
#: A label this many heights away from its point gets a line to it.
_AWAY = 2.0


class Placed(NamedTuple):
    """The centre of a label, and whether it needs a line to its point."""

    x: float
    y: float
    away: bool


def place_labels(
    points: Float64Array,
    sizes: Sequence[tuple[float, float]],
    gap: float,
    *,
    steps: int = 2000,
) -> list[Placed]:
    """Return a place for each label; the first labels are placed first.

    ``points`` is (labels, 2), ``sizes`` the width and height of each, ``gap`` the least
    distance between labels and to their own point, all in the same unit. No two labels
    overlap, and none covers a point. Each gets the nearest free place on a spiral of
    ``steps`` points around its own point.
    """
    turns = np.arange(1, steps + 1)
    spiral = np.stack([np.cos(turns * _ANGLE), np.sin(turns * _ANGLE)], axis=1)
    spiral *= np.sqrt(turns)[:, None]
    # left, bottom, right, top: of the points, then of each label
    taken = np.concatenate([points - 0.99 * gap, points + 0.99 * gap], axis=1)
    placed = []
    for (x, y), (width, height) in zip(points.tolist(), sizes, strict=True):
        half = np.array([width, height]) / 2 + gap / 2
        beside = np.array([[half[0] + gap, 0], [-half[0] - gap, 0], [0, half[1] + gap]])
        beside = np.concatenate([beside, [[0, -half[1] - gap]]])
        offsets = np.concatenate([beside, spiral * height * _STRIDE])
        centres = offsets + np.array([x, y])
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        free = ~_overlap(boxes, taken)
        # the whole spiral is occupied: a place beyond all labels
        at = int(np.argmax(free)) if free.any() else -1
        box, centre = boxes[at], centres[at]
        if at < 0:
            centre = np.array([x, taken[:, 3].max() + half[1]])
            box = np.concatenate([centre - half, centre + half])
        taken = np.concatenate([taken, box[None]])
        distance = float(np.hypot(*(centre - (x, y))))
        away = at < 0 or (at >= len(beside) and distance > _AWAY * height + width / 2)
        placed.append(Placed(float(centre[0]), float(centre[1]), away))
    return placed


def _overlap(boxes: Float64Array, taken: Float64Array) -> BoolArray:
    """Return which boxes overlap one that is taken."""
    lefts, bottoms, rights, tops = (boxes[:, i, None] for i in range(4))
    apart = (
        (lefts >= taken[:, 2])
        | (rights <= taken[:, 0])
        | (bottoms >= taken[:, 3])
        | (tops <= taken[:, 1])
    )
    return np.asarray(~apart.all(axis=1))


#: Called with a description, before each step that takes time.
Step = Callable[[str], None]

_PERPLEXITY = 30.0
_NEIGHBOURS = 15
_FEW = 2000


def project(
    vectors: Float32Array,
    method: Projection = "pca",
    *,
    seed: int = 0,
    step: Step | None = None,
) -> Float32Array:
    """Return a place in the plane for each row, float32 (rows, 2), centred.

    ``vectors`` is float32 (rows, dim). Each row is first scaled to length 1, since
    neighbours are measured by cosine; numbers that are not finite count as zeros. The
    same rows, method and seed give the same places on one machine with the same
    versions.

    * "pca": the two directions of largest variance, each with a sign that makes its
      largest component positive;
    * "tsne": t-SNE (van der Maaten and Hinton 2008) of scikit-learn, started from
      "pca";
    * "umap": UMAP (McInnes, Healy and Melville 2018) of umap-learn.

    Raises `OptionError` for another method, and `MissingPackageError` if its package is
    not installed.
    """
    known = get_args(Projection)
    if method not in known:
        raise OptionError(
            f"unknown method {method!r}; known: {', '.join(known)}"
            f"{suggestion(str(method), known)}"
        )
    tell = step or (lambda _: None)
    rows = _directions(vectors)
    if len(rows) < 3 and method != "pca":
        method = "pca"  # PCA needs more than two points
    tell("finding the main directions")
    places = _pca(rows)
    if method == "tsne":
        tell("running t-SNE")
        places = _tsne(rows, places, seed)
    elif method == "umap":
        tell("running UMAP")
        places = _umap(rows, seed)
    centred: Float32Array = (places - places.mean(axis=0)).astype(np.float32)
    return centred


def _directions(vectors: Float32Array) -> Float64Array:
    wide = np.nan_to_num(vectors.astype(np.float64), posinf=0.0, neginf=0.0)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    units: Float64Array = wide / np.where(norms > 0, norms, 1.0)
    return units


def _pca(rows: Float64Array) -> Float64Array:
    centred = rows - rows.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)  # in the order of ascending variance
    main = axes[:, ::-1][:, :2]
    largest = np.abs(main).argmax(axis=0)
    main = main * np.where(main[largest, range(main.shape[1])] < 0, -1.0, 1.0)
    places = np.zeros((len(rows), 2))
    places[:, : main.shape[1]] = centred @ main
    return places


def _tsne(rows: Float64Array, start: Float64Array, seed: int) -> Float64Array:
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingPackageError(
            "t-SNE needs scikit-learn: pip install scikit-learn"
        ) from error
    spread = start.std(axis=0)[0] or 1.0
    model = TSNE(
        perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
        init=(start / spread * 1e-4).astype(np.float32),
        random_state=seed,
    )
    # With few rows, threads of OpenMP wait for each other longer than they work.
    with threadpool_limits(limits=1 if len(rows) < _FEW else None):
        places: Float64Array = model.fit_transform(rows.astype(np.float32))
    return places


def _umap(rows: Float64Array, seed: int) -> Float64Array:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about parts that need TensorFlow
            from umap import UMAP
    except ImportError as error:
        raise MissingPackageError(
            "UMAP needs umap-learn: pip install umap-learn"
        ) from error
    with warnings.catch_warnings():
        # It warns that one seed means one thread, which is intended here.
        warnings.simplefilter("ignore")
        model = UMAP(
            n_neighbors=min(_NEIGHBOURS, len(rows) - 1),
            metric="cosine",
            random_state=seed,
            n_jobs=1,
            init="random" if len(rows) < 20 else "spectral",
        )
        places: Float64Array = model.fit_transform(rows.astype(np.float32))
    return places


_LONGEST_LABEL = 40
_GAP = 3.0  # in pixels
#: Colours that people with any colour vision tell apart (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
#: Fonts in the order in which a character is searched.
_FONTS = ["DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Color Emoji"]


class Point(NamedTuple):
    """The place of a token, and the kind of its row."""

    token: str
    x: float
    y: float
    kind: str


def scatter(
    points: Sequence[Point], *, title: str = "", size: tuple[float, float] = (9, 7)
) -> Figure:
    """Return a figure of points with their tokens as labels that do not overlap.

    Points of a kind share a colour; labels of the first points are placed first.
    ``size`` is in inches. Tokens are drawn as plain text, never as formulas; invisible
    characters are shown as numbers. Raises `MissingPackageError` if matplotlib is not
    installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "a picture needs matplotlib: pip install matplotlib"
        ) from error
    fonts, drawable = _fonts()
    with rc_context({"font.family": fonts}):
        figure = Figure(figsize=size, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for kind, colour in zip(_kinds(points), _cycle(), strict=False):
            some = [point for point in points if point.kind == kind]
            axes.scatter(
                [point.x for point in some],
                [point.y for point in some],
                s=14,
                color=colour,
                label=kind,
                linewidths=0,
            )
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_title(_shown(title, drawable), parse_math=False)
        if len(_kinds(points)) > 1:
            axes.legend(loc="best", frameon=False)
        canvas.draw()  # so that the axes have their final place and scale
        figure.set_layout_engine("none")
        _label(axes, canvas, points, drawable)
    # A notebook shows figures of pyplot by itself; this is what it asks others for.
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]  # see above
    return figure


def _png(figure: Figure) -> bytes:
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Save a figure in the format that the suffix names, whole or not at all.

    The same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure of `EmbeddingMatrix.plot`.
    path : path
        The file; its suffix is one of ``EmbeddingMatrix.PICTURE_SUFFIXES``.

    Raises
    ------
    OptionError
        For another suffix.
    WriteError
        If the file cannot be written.

    Examples
    --------
    >>> save_picture(matrix.plot(), "map.svg")  # doctest: +SKIP
    """
    from matplotlib import rc_context

    suffix = Path(path).suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise OptionError(
            f"{os.fspath(path)!r} does not end in one of {' '.join(PICTURE_SUFFIXES)}"
        )
    undated = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    # Text as text, for search and screen readers; ids in the file from a fixed salt.
    style = {"svg.fonttype": "none", "svg.hashsalt": "pretrained-embed"}
    with rc_context(style), replacing(path) as file:
        figure.savefig(file, format=suffix[1:], dpi=150, metadata=undated[suffix])


def _label(axes: Any, canvas: Any, points: Sequence[Point], drawable: Set[int]) -> None:
    renderer = canvas.get_renderer()
    to_pixels = axes.transData
    texts = [
        axes.text(
            point.x,
            point.y,
            _shown(point.token, drawable)[:_LONGEST_LABEL],
            ha="center",
            va="center",
            fontsize=9,
            parse_math=False,
        )
        for point in points
    ]
    boxes = [text.get_window_extent(renderer) for text in texts]
    places = np.array([(point.x, point.y) for point in points]).reshape(-1, 2)
    pixels = to_pixels.transform(places)
    placed = place_labels(pixels, [(box.width, box.height) for box in boxes], _GAP)
    for point, text, place in zip(points, texts, placed, strict=True):
        x, y = to_pixels.inverted().transform((place.x, place.y)).tolist()
        text.set_position((x, y))
        if place.away:
            axes.plot([point.x, x], [point.y, y], color="0.7", linewidth=0.5, zorder=0)


def _kinds(points: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(point.kind for point in points))


def _cycle() -> Sequence[str]:
    return _COLOURS * 40


def _fonts() -> tuple[list[str], Set[int]]:
    """Return the available fonts, and the characters that they can draw."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    fonts = [font for font in _FONTS if font in installed]
    drawable: set[int] = set()
    for font in fonts:
        face = font_manager.get_font(font_manager.findfont(font))
        drawable |= face.get_charmap().keys()
    return fonts, drawable


def _shown(text: str, drawable: Set[int]) -> str:
    """Return text on one line; characters that no font can draw are numbers."""
    return "".join(
        character
        if character.isprintable() and ord(character) in drawable
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )
