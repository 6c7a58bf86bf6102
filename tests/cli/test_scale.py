"""``build`` of what is larger than the memory, or than one machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from tests.command_line import run

BUILD = ("build", "--vocab", "vocab.txt", "--source", "vectors.txt")


@pytest.mark.parametrize("name", ["m.npy", "m.h5", "m.safetensors"])
def test_rows_go_into_the_output_as_they_are_made(name: str) -> None:
    run(*BUILD, "-o", "m.npz")

    result = run(*BUILD, "-o", name, "--memory", "0.5 MB")

    assert (result.exit_code, result.stdout) == (0, "")
    assert f"\nWrote {name}: 5 rows of 3 dimensions.\n" in result.stderr
    built, expected = pe.load_matrix(name), pe.load_matrix("m.npz")
    np.testing.assert_array_equal(built.vectors, expected.vectors, strict=True)
    assert built.provenance == expected.provenance
    assert str(built.coverage) == str(expected.coverage)


def test_shards_go_into_a_new_folder() -> None:
    result = run(*BUILD, "-o", "model.v2", "--shards", "2")

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("model.v2").iterdir()) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    run(*BUILD, "-o", "m.npz")
    expected = pe.load_matrix("m.npz")
    np.testing.assert_array_equal(pe.load_matrix("model.v2").vectors, expected.vectors)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--memory", "much"), "is not a number of bytes such as 500MB"),
        (("--shards", "0", "-o", "model"), "--shards"),
        (("--shards", "2", "-o", "model.npz"), "'model.npz' is a file"),
        (("--shards", "2"), "'embedding.npz' is a file"),
    ],
)
def test_what_means_nothing_is_wrong_usage(
    options: tuple[str, ...], words: str
) -> None:
    result = run(*BUILD, *options)

    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:1", "nonsense", "tcp://"])
def test_a_scheduler_that_does_not_answer_is_named(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretrained_embed.cli.build_options._PATIENCE", 0.5)

    result = run(*BUILD, "--dask", scheduler)

    assert result.exit_code == 1
    assert "no Dask scheduler answers at" in result.stderr
    assert not Path("embedding.npz").exists()
