"""Pictures: labels are text and nothing else, and files appear whole."""

from __future__ import annotations

import itertools
import pickle
import sys
from xml.etree import ElementTree

import pytest

from pretrained_embed import EmbeddingMatrix
from pretrained_embed.errors import MissingPackageError, OptionError
from pretrained_embed.tools.plot import Point, save_picture, scatter

HOSTILE = [
    "<script>alert(1)</script>",
    "</svg>",
    "javascript:alert(1)",
    "$\\frac{1}{2}$",
]
HOSTILE += ["&amp;", '"', "a\nb", "\0", "\u202e", "\u6f22", "\udcff", "%s", "x" * 500]


def points(tokens: list[str]) -> list[Point]:
    return [Point(token, i % 5, i // 5, "ab"[i % 2]) for i, token in enumerate(tokens)]


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_point_has_its_token_beside_it():
    figure = scatter(points(["the", "cat", "dog"]), title="three")

    assert texts(figure) == ["the", "cat", "dog"]
    assert figure.axes[0].get_title() == "three"
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]


def test_labels_do_not_overlap_as_drawn():
    crowd = [Point(f"token{i}", i % 3 / 100, i % 4 / 100, "a") for i in range(60)]
    figure = scatter(crowd)

    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    overlaps = [
        pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])
    ]
    assert overlaps == []


def test_tokens_are_drawn_as_they_are_or_by_number():
    shown = texts(scatter(points(HOSTILE)))

    assert shown[:4] == HOSTILE[:4]
    assert shown[6:11] == ["a\\nb", "\\x00", "\\u202e", "\\u6f22", "\\udcff"]
    assert len(shown[12]) == 40


@pytest.mark.parametrize("suffix", EmbeddingMatrix.PICTURE_SUFFIXES)
def test_hostile_tokens_make_a_good_file(tmp_path, suffix):
    path = tmp_path / f"map{suffix.upper()}"

    save_picture(scatter(points(HOSTILE), title=HOSTILE[0]), path)

    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)


def test_tokens_are_text_in_an_svg(tmp_path):
    save_picture(scatter(points(HOSTILE), title=HOSTILE[0]), tmp_path / "map.svg")

    tree = ElementTree.parse(tmp_path / "map.svg")
    names = {element.tag.rpartition("}")[2] for element in tree.iter()}
    shown = "".join("".join(element.itertext()) for element in tree.iter())
    assert "script" not in names
    assert "<script>alert(1)</script>" in shown
    assert "\\frac{1}{2}" in shown


@pytest.mark.parametrize("suffix", EmbeddingMatrix.PICTURE_SUFFIXES)
def test_the_same_points_give_the_same_bytes(tmp_path, suffix):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"

    for path in (one, two):
        save_picture(scatter(points(["the", "cat", "dog"])), path)

    assert one.read_bytes() == two.read_bytes()


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"\.png"):
        save_picture(scatter(points(["the"])), tmp_path / "map.gif")


def test_matplotlib_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(MissingPackageError, match="pip install matplotlib"):
        scatter(points(["the"]))


def test_no_style_of_the_process_is_changed():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    scatter(points(["the"]))

    assert dict(mpl.rcParams) == before


def test_a_notebook_shows_the_figure():
    figure = scatter(points(["the", "cat"]))

    assert figure._repr_png_().startswith(b"\x89PNG")
    assert pickle.loads(pickle.dumps(figure))._repr_png_().startswith(b"\x89PNG")  # noqa: S301  # our own
