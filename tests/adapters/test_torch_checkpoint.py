"""`torch.distributed.checkpoint` saves the rows of all processes, for any number."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pretrained_embed as pe

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

from pretrained_embed.adapters import torch as pe_torch

from . import torch_checkpoint_ranks as ranks
from .torch_ranks import run

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this PyTorch has no distributed part"
)


def matrix(name: str) -> pe.EmbeddingMatrix:
    rows, pad, *_ = ranks.MATRICES[name]
    vectors = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
    vectors[pad] = 0
    ids = {f"w{i}": i for i in range(rows) if i != pad}
    return pe.EmbeddingMatrix(vectors, pe.Vocabulary({**ids, "<pad>": pad}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where each matrix is, and what one process saved of its layer."""
    made = tmp_path_factory.mktemp("checkpoints")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, that one process is no group
        for name, (_, _, shards, _) in ranks.MATRICES.items():
            matrix(name).save(made / name, shards=shards)
            ranks.save(made, name, 0, 1)
    return made


@pytest.fixture(scope="module")
def results(folder) -> list[dict[str, Any]]:
    return run("torch_checkpoint_ranks", 3, folder)


@pytest.fixture(scope="module", params=ranks.MATRICES)
def expected(request) -> tuple[str, torch.Tensor, torch.Tensor]:
    """The name of a matrix, and its table when saved and after another step."""
    layer = pe_torch.embedding(matrix(request.param))
    optimizer = ranks.MATRICES[request.param][-1](layer.parameters())
    tables = []
    for steps in (2, 1):
        ranks.train(layer, torch.arange(len(layer.weight)), optimizer, steps)
        tables.append(layer.weight.detach().clone())
    return request.param, *tables


@pytest.mark.parametrize(("size", "by"), [(3, 1), (3, 2), (2, 1), (2, 3)])
def test_rows_and_their_optimizer_go_into_other_numbers_of_processes(
    results, expected, size, by
):
    name, saved, trained_on = expected
    parts = [
        results[rank][f"{name}: {size} load what {by} saved"] for rank in range(size)
    ]

    loaded = torch.cat([part["loaded"] for part in parts])
    torch.testing.assert_close(loaded, saved)
    # The step is right only with what the optimiser kept for each row.
    went_on = torch.cat([part["trained_on"] for part in parts])
    torch.testing.assert_close(went_on, trained_on)
    pad = ranks.MATRICES[name][1]
    assert not went_on[pad].any()
    assert went_on.any(dim=1).sum() == len(went_on) - 1


def test_pad_row_is_in_another_shard_than_the_first(results):
    for name, (_, pad, *_) in ranks.MATRICES.items():
        for size in (2, 3):
            part = results[size - 1][f"{name}: {size} load what 1 saved"]
            starts = [
                results[rank][f"{name}: {size} load what 1 saved"]["start"]
                for rank in range(size)
            ]
            assert max(start for start in starts if start <= pad) > 0, name
            assert part["start"] == starts[-1]


@pytest.mark.parametrize("by", [2, 3])
def test_one_process_loads_what_several_saved(results, folder, expected, by):
    name, saved, trained_on = expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        part = ranks.load(folder, name, 0, 1, by)

    torch.testing.assert_close(part["loaded"], saved)
    torch.testing.assert_close(part["trained_on"], trained_on)


def test_a_frozen_layer_is_saved_by_its_state_at_once_or_in_the_background(results):
    assert [done["plainly"] for done in results] == [[True, True]] * 3


def test_a_checkpoint_of_another_table_is_refused(results):
    for done in results:
        said, untouched = done["refused"]
        assert "Size mismatch" in said
        assert "[13]" in said
        assert untouched
