"""Layers of today take the states that PyTorch's layers of release 0.1 saved."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe

from .layers import (
    DIM,
    FOLDER,
    FROZEN,
    KINDS,
    NEVER,
    PUSH,
    ROWS,
    START,
    TRAINED,
    Kind,
    assert_same_bits,
    bfloat16,
)

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

from pretrained_embed.adapters import torch as pe_torch

IDS = torch.arange(ROWS)
HELD = {name: KINDS[name] for name in ("some", "whole", "still")}


def state(name: str) -> dict[str, torch.Tensor]:
    return torch.load(FOLDER / "torch" / f"{name}.pt", weights_only=True)


def new_layer(kind: Kind, **options: object) -> torch.nn.Module:
    return pe_torch.embedding(kind.other_matrix(), freeze=kind.freeze, **options)


def table_of(layer: torch.nn.Module) -> np.ndarray:
    return layer(IDS).detach().float().numpy()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kind", HELD)
def test_a_state_gives_every_row_its_value(kind, sparse):
    layer = new_layer(HELD[kind], sparse=sparse)

    layer.load_state_dict(state(kind))

    assert_same_bits(table_of(layer), HELD[kind].table)
    back = pe_torch.from_layer(layer, HELD[kind].vocabulary())
    assert_same_bits(back.vectors, HELD[kind].table)


@pytest.mark.parametrize("kind", HELD)
def test_after_loading_the_same_rows_train(kind):
    layer = new_layer(HELD[kind])
    layer.load_state_dict(state(kind))
    trained = [p for p in layer.parameters() if p.requires_grad]

    if trained:
        (layer(IDS) * torch.from_numpy(PUSH)).sum().backward()
        torch.optim.AdamW(trained, 0.1, weight_decay=0.5).step()

    moved = (table_of(layer) != HELD[kind].table).any(axis=1)
    hole = NEVER & (IDS.numpy() > 0)  # a row like others to the plain layer
    np.testing.assert_array_equal(moved[~hole], ~HELD[kind].stays[~hole])


def test_a_layer_inside_a_model_takes_its_part_of_the_state():
    model = torch.nn.Sequential(new_layer(KINDS["some"]), torch.nn.Linear(DIM, 1))

    model.load_state_dict(state("some_in_a_model"))

    assert_same_bits(table_of(model[0]), KINDS["some"].table)


def test_a_state_kept_in_safetensors_is_loaded():
    safetensors = pytest.importorskip(
        "safetensors.torch", reason="safetensors is not installed"
    )
    layer = new_layer(KINDS["some"])

    layer.load_state_dict(safetensors.load_file(FOLDER / "torch" / "some.safetensors"))

    assert_same_bits(table_of(layer), KINDS["some"].table)


def test_a_state_of_bfloat16_is_loaded():
    layer = new_layer(KINDS["some"], dtype=torch.bfloat16)

    layer.load_state_dict(state("some_untrained_bfloat16"))

    assert layer(IDS).dtype == torch.bfloat16
    assert_same_bits(table_of(layer), bfloat16(START))


@pytest.mark.parametrize("kind", ["whole", "still"])
def test_plain_states_are_those_of_the_plain_layer(kind):
    layer = torch.nn.Embedding(ROWS, DIM, padding_idx=0)

    layer.load_state_dict(state(kind))

    assert_same_bits(table_of(layer), KINDS[kind].table)


def test_the_state_of_a_bag_is_loaded():
    bag = pe_torch.embedding_bag(KINDS["whole"].other_matrix())

    bag.load_state_dict(state("bag_untrained"))

    back = pe_torch.from_layer(bag, KINDS["whole"].vocabulary())
    assert_same_bits(back.vectors, START)


def test_the_state_of_all_rows_in_one_process_is_loaded(tmp_path):
    KINDS["whole"].other_matrix().save(tmp_path / "m.npz")
    layer = pe_torch.sharded_embedding(pe.load_shard(tmp_path / "m.npz", 0, 1))

    layer.load_state_dict(state("sharded_0_of_1"))

    trained = np.where(IDS.numpy()[:, None] == 0, START, TRAINED)
    assert_same_bits(table_of(layer), trained)


@pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this PyTorch has no distributed part"
)
def test_states_of_two_processes_are_loaded_by_two(tmp_path):
    KINDS["whole"].other_matrix().save(tmp_path / "m.npz")
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.release_0_1.torch_rank", str(rank), tmp_path],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in running:
            _, said = process.communicate(timeout=100)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()

    trained = np.where(IDS.numpy()[:, None] == 0, START, TRAINED)
    for rank in range(2):  # each has asked for all rows, its own and the other's
        assert_same_bits(np.load(tmp_path / f"table-{rank}.npy"), trained)


def test_the_fixtures_show_a_fault():
    """Some rows are frozen and some not, all over, and all values differ."""
    assert 100 < FROZEN.sum() < 200
    assert (START != TRAINED).all()
    assert len(np.unique(START)) > ROWS * DIM - 2 * DIM - 2
