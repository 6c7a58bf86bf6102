"""Frozen rows in DistributedDataParallel and fully_shard, with two processes."""

from __future__ import annotations

from typing import Any

import pytest

from .conformance import make_matrix, same_bits

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

from .torch_ranks import run

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this PyTorch has no distributed part"
)
STAYS, TRAINS = [0, 1, 2, 4, 5], [3, 6]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, Any]]:
    """What the processes did, by rank."""
    return run("torch_parallel_ranks", 2, tmp_path_factory.mktemp("parallel"))


@pytest.mark.parametrize("how", ["copies", "sparse_copies"])
def test_copies_train_the_same_rows_and_keep_the_others(results, how):
    first, second = (done[how].numpy() for done in results)
    vectors = make_matrix().vectors

    assert same_bits(first, second)
    assert same_bits(first[STAYS], vectors[STAYS])
    assert (first[TRAINS] != vectors[TRAINS]).any(axis=1).all()


def test_the_state_of_wrapped_copies_is_read_and_set_without_its_prefix(results):
    for done in results:
        keys, same = done["state_of_copies"]
        assert keys == [
            *("0.frozen", "0.trained.weight", "0.trains"),
            *("1.bias", "1.weight"),
        ]
        assert same


@pytest.mark.parametrize("how", ["shards", "shards_in_bfloat16"])
def test_shards_train_the_same_rows_and_keep_the_others(results, how):
    vectors = make_matrix().vectors
    for done in results:
        table, dtype, set_again = done[how]
        assert same_bits(table.numpy()[STAYS], vectors[STAYS])
        assert (table.numpy()[TRAINS] != vectors[TRAINS]).any(axis=1).all()
        assert dtype == ("torch.float32" if how == "shards" else "torch.bfloat16")
        assert set_again
    assert torch.equal(results[0][how][0], results[1][how][0])


def test_what_needs_the_whole_table_says_how_to_gather_it(results):
    for done in results:
        assert len(done["weight_of_shards"]) == 3
        assert all("plain_state_dict" in said for said in done["weight_of_shards"])


@pytest.mark.parametrize("how", ["tied_language_model", "untied_language_model"])
def test_rows_of_a_sharded_language_model_stay(results, how):
    for done in results:
        before, gradient, first, loaded = done[how]
        frozen = torch.arange(len(before)) % 3 == 0
        for now in (first, loaded):
            assert same_bits(now[frozen].numpy(), before[frozen].numpy())
        assert (first != before).any(1)[~frozen].all()
        assert (loaded != first).any(1)[~frozen].all()
        assert not gradient[frozen].any()
        assert gradient.any()
