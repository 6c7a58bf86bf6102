"""``pretrained-embed plot``: a picture in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from tests.command_line import run


@pytest.fixture(autouse=True)
def matrix() -> None:
    words = ["king", "queen", "man", "woman", "a-b"]
    vectors = np.random.default_rng(0).normal(size=(6, 8))
    vectors[0] = 0
    pe.EmbeddingMatrix(vectors, pe.Vocabulary(words)).save("m.npz")


@pytest.mark.parametrize(
    ("name", "start"),
    [("m.png", b"\x89PNG"), ("m.svg", b"<?xml"), ("m.pdf", b"%PDF")],
)
def test_a_picture_is_written(name, start):
    result = run("plot", "m.npz", "-o", name, "--tokens", "king,queen,man")

    assert (result.exit_code, result.stderr) == (0, f"Wrote {name}.\n")
    assert Path(name).read_bytes().startswith(start)


def test_chosen_tokens_are_in_the_picture():
    run("plot", "m.npz", "-o", "m.svg", "--tokens", "king,a-b", "--title", "two")

    picture = Path("m.svg").read_text()
    assert all(f">{word}<" in picture for word in ("king", "a-b", "two"))
    assert ">queen<" not in picture


def test_an_unknown_token_is_an_error():
    result = run("plot", "m.npz", "--tokens", "emperor")

    assert result.exit_code == 1
    assert "'emperor'" in result.stderr
    assert not Path("map.png").exists()


@pytest.mark.parametrize(
    "wrong", [("-o", "m.gif"), ("--projection", "tsme"), ("--count", "0")]
)
def test_wrong_usage_is_told(wrong):
    assert run("plot", "m.npz", *wrong).exit_code == 2
