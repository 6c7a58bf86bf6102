"""A labelled scatter, drawn by matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pretrained_embed.errors import MissingPackageError, OptionError
from pretrained_embed.files.replacement import replacing
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.tools.plot.labels import place_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST_LABEL = 40
_GAP = 3.0  # pixels
#: Colours that people with any colour vision tell apart (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
#: Fonts in the order in which a character is looked for.
_FONTS = ["DejaVu Sans", "Noto Sans", "Noto Sans CJK JP", "Noto Color Emoji"]


class Point(NamedTuple):
    """A token's place, and which kind of row it is."""

    token: str
    x: float
    y: float
    kind: str


def scatter(
    points: Sequence[Point], *, title: str = "", size: tuple[float, float] = (9, 7)
) -> Figure:
    """Return a figure of points with their tokens beside them, no two overlapping.

    Points of a kind share a colour; the first points get the nearest places for their
    labels. ``size`` is in inches. Tokens are drawn as they are: never as
    formulas, and characters that cannot be seen by their number. Raises
    `MissingPackageError` where matplotlib is not installed.
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
    """Save a figure in the format that the suffix names; whole or not at all.

    The same figure gives the same bytes. Raises `OptionError` for another suffix, and
    `WriteError` where it cannot be written.
    """
    from matplotlib import rc_context

    suffix = Path(path).suffix.lower()
    known = EmbeddingMatrix.PICTURE_SUFFIXES
    if suffix not in known:
        raise OptionError(
            f"{os.fspath(path)!r} does not end in one of {' '.join(known)}"
        )
    undated = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    # Text as text, to be searched and read aloud; names in the file from one salt.
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
    """Return the fonts there are, and the characters that they can draw."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    fonts = [font for font in _FONTS if font in installed]
    drawable: set[int] = set()
    for font in fonts:
        face = font_manager.get_font(font_manager.findfont(font))
        drawable |= face.get_charmap().keys()
    return fonts, drawable


def _shown(text: str, drawable: Set[int]) -> str:
    """Return text on one line, with the numbers of characters that have no picture."""
    return "".join(
        character
        if character.isprintable() and ord(character) in drawable
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )
