"""A layer spread over two processes does what the whole layer does in one."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.errors import OptionError, ShapeError

from .conformance import make_matrix

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

from pretrained_embed.adapters import torch as pe_torch

from .torch_ranks import ids_of, loss_of, run

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this PyTorch has no distributed part"
)
PROCESSES = 2
ROWS = [slice(0, 3), slice(3, 7)]  # of each process; shards end at rows 2 and 4


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, Any]]:
    """What the processes did, by rank."""
    folder = tmp_path_factory.mktemp("ranks")
    make_matrix().save(folder / "matrix", shards=3)
    vocabulary = pe.Vocabulary(["one"], pad=None)
    pe.EmbeddingMatrix(np.ones((1, 4)), vocabulary).save(folder / "one", shards=1)
    return run("torch_ranks", PROCESSES, folder)


@pytest.fixture
def whole() -> torch.nn.Embedding:
    return pe_torch.embedding(make_matrix())


def each(results: list[dict[str, Any]], part: str) -> list[Any]:
    return [done[part] for done in results]


def train(layer: torch.nn.Embedding, optimizer: torch.optim.Optimizer) -> None:
    """What both processes do together."""
    for _ in range(3):
        optimizer.zero_grad()
        sum(loss_of(layer(ids_of(rank))) for rank in range(PROCESSES)).backward()
        optimizer.step()


def test_every_process_gets_the_rows_of_its_own_ids_to_the_bit(results, whole):
    for rank, (rows, _) in enumerate(each(results, "forward_and_backward")):
        assert torch.equal(rows, whole(ids_of(rank)))


def test_gradients_of_all_batches_go_to_the_process_that_has_the_row(results, whole):
    sum(loss_of(whole(ids_of(rank))) for rank in range(PROCESSES)).backward()

    for rank, (_, gradient) in enumerate(each(results, "forward_and_backward")):
        torch.testing.assert_close(gradient, whole.weight.grad[ROWS[rank]])


@pytest.mark.parametrize("name", ["sgd", "adamw", "sparse_adam"])
def test_training_moves_the_rows_as_in_the_whole_layer(results, name):
    layer = pe_torch.embedding(make_matrix(), sparse=name == "sparse_adam")
    make = {
        "sgd": lambda p: torch.optim.SGD(p, 0.01),
        "adamw": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.5),
        "sparse_adam": lambda p: torch.optim.SparseAdam(p, 0.1),
    }
    train(layer, make[name](layer.parameters()))

    for rank, rows in enumerate(each(results, name)):
        torch.testing.assert_close(rows, layer.weight[ROWS[rank]].detach())
    assert not results[0][name][0].any(), "the pad row"


def test_frozen_rows_have_no_gradient(results, whole):
    for rank, (rows, *requires_grad) in enumerate(each(results, "frozen")):
        assert torch.equal(rows, whole(ids_of(rank)))
        assert requires_grad == [False, [False]]


def test_a_process_without_ids_takes_part(results, whole):
    whole(ids_of(0)).sum().backward()

    (rows, first), (none, second) = each(results, "no_ids_on_one")

    assert torch.equal(rows, whole(ids_of(0)))
    assert none.shape == (0, 2, 4)
    assert torch.equal(torch.cat([first, second]), whole.weight.grad)


def test_a_process_without_rows_takes_part(results):
    assert [rows for rows, _ in each(results, "no_row_on_one")] == [0, 1]
    for _, found in each(results, "no_row_on_one"):
        assert torch.equal(found, torch.ones(2, 4))


def test_ids_and_rows_may_be_of_other_dtypes(results, whole):
    for rank in range(PROCESSES):
        expected = whole(ids_of(rank))
        assert torch.equal(results[rank]["int32_ids_on_one"], expected)
        assert torch.equal(results[rank]["half"], expected.bfloat16())


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("id_out_of_range_on_one", "process 1 of the group was given ids out of range"),
        ("negative_id_on_one", "process 0 of the group was given ids out of range"),
        ("the_same_rows_twice", "process 1 of 2 has rows 0:3 of 7 x 4.*load_shard"),
        ("rows_left_out", r"of 7 rows 2 process\(es\) have 6"),
        ("frozen_on_one", "process 1 of 2 has rows 3:7 of 7 x 4, trained"),
    ],
)
def test_a_mistake_of_one_process_is_an_error_in_all(results, part, message):
    for said in each(results, part):
        assert re.search(message, said), said


def test_the_state_is_of_the_rows_of_the_process(results, whole):
    for rank, done in enumerate(each(results, "state")):
        names, refused, untouched, rows = done
        assert sorted(names) == ["_extra_state", "local.weight"]
        assert "this process has" in refused
        assert untouched
        assert torch.equal(rows, whole.weight[ROWS[rank]])


def test_the_layer_can_be_left_out_of_data_parallel_copies(results):
    moved, weights = zip(*each(results, "beside_copies"), strict=True)

    assert moved == ([False, True, True], [True, False, True, True])
    assert torch.equal(*weights)


def test_the_layer_tells_of_the_whole(results):
    for rank, (shown, rows, padding_idx) in enumerate(each(results, "facts")):
        own = f"rows {ROWS[rank].start}:{ROWS[rank].stop}"
        assert f"7, 4, padding_idx=0, {own}" in shown
        assert (rows, padding_idx) == (7, 0)


def test_one_process_needs_no_group(tmp_path, whole):
    make_matrix().save(tmp_path / "m", shards=2)
    layer = pe_torch.sharded_embedding(pe.load_shard(tmp_path / "m", 0, 1))

    rows = layer(ids_of(0))
    loss_of(rows).backward()
    loss_of(whole(ids_of(0))).backward()

    assert torch.equal(rows, whole(ids_of(0)))
    assert torch.equal(layer.local.weight.grad, whole.weight.grad)


def test_one_process_needs_all_rows(tmp_path):
    make_matrix().save(tmp_path / "m", shards=2)

    with pytest.raises(ShapeError, match="init_process_group"):
        pe_torch.sharded_embedding(pe.load_shard(tmp_path / "m", 0, 2))


def test_a_dtype_that_cannot_hold_the_values_is_refused(tmp_path):
    vectors = np.array([[0, 0], [1, 70000]], np.float32)
    pe.EmbeddingMatrix(vectors, pe.Vocabulary(["cat"])).save(tmp_path / "m", shards=1)

    with pytest.raises(OptionError, match="70000"):
        pe_torch.sharded_embedding(
            pe.load_shard(tmp_path / "m", 0, 1), dtype=torch.float16
        )


def test_a_layer_is_copied_and_pickled_with_what_it_knows_of_its_rows(tmp_path, whole):
    make_matrix().save(tmp_path / "m", shards=2)
    layer = pe_torch.sharded_embedding(pe.load_shard(tmp_path / "m", 0, 1))
    torch.save(layer, tmp_path / "layer.pt")

    made = [
        copy.deepcopy(layer),
        torch.load(tmp_path / "layer.pt", weights_only=False),
        copy.deepcopy(layer).bfloat16().float(),
        torch.optim.swa_utils.AveragedModel(layer).module,
    ]

    for other in made:
        weight = other.local.weight
        assert isinstance(weight, torch.nn.Parameter)
        assert (weight.start, weight.stop, weight.rows) == (0, 7, 7)
        assert weight.data_ptr() != layer.local.weight.data_ptr()
    assert torch.equal(made[0](ids_of(0)), whole(ids_of(0)))
    assert type(layer(torch.arange(7))) is torch.Tensor


def test_what_is_saved_for_one_process_is_plain_tensors(tmp_path, whole):
    make_matrix().save(tmp_path / "m", shards=2)
    layer = pe_torch.sharded_embedding(pe.load_shard(tmp_path / "m", 0, 1))

    torch.save(layer.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)

    assert {type(tensor) for tensor in state.values()} == {torch.Tensor}
    assert torch.equal(state["local.weight"], whole.weight)
    for assign in (False, True):
        layer.load_state_dict(state, assign=assign)
        assert layer.local.weight.rows == 7
    layer.local.weight = torch.nn.Parameter(state["local.weight"])
    assert layer.state_dict()["local.weight"].size() == (7, 4)


def test_training_does_not_change_the_file(tmp_path):
    make_matrix().save(tmp_path / "m", shards=1)
    shard = pe.load_shard(tmp_path / "m", 0, 1)
    layer = pe_torch.sharded_embedding(shard)
    before = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()}

    train(layer, torch.optim.SGD(layer.parameters(), 0.1))

    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} == before
    assert not torch.equal(layer.local.weight, torch.tensor(shard.vectors))


def test_trained_rows_are_written_back_as_shards(results, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "ranks0"
    before, after = (
        pe.load_matrix(folder / "matrix"),
        pe.load_matrix(folder / "trained"),
    )
    moved = before.vectors.copy()
    for rows in ROWS:
        moved[rows][1:] += 1

    assert after.vectors.tobytes() == moved.tobytes()
    assert after.vocabulary == before.vocabulary
    assert after.origin.tolist() == before.origin.tolist()
    assert after.provenance["trained_from"] == before.provenance
    assert after.provenance["trained_in"].endswith("ShardedEmbedding")
    assert pe.load_shard(folder / "trained", 1, 2).vectors.tolist() == (
        moved[ROWS[1]].tolist()
    )


def test_what_cannot_be_written_back_is_an_error_of_all_processes(results):
    for rank, (there, pad, other, index) in enumerate(each(results, "written_back")):
        assert "a matrix is there already" in there
        assert ("is not zeros" in pad) == (rank == 0)
        assert ("process 0 of 2 could not do its part" in pad) == (rank == 1)
        assert "rows" in other
        assert not index


def test_one_process_writes_its_layer_back(tmp_path):
    make_matrix().save(tmp_path / "m.npz")
    layer = pe_torch.sharded_embedding(pe.load_shard(tmp_path / "m.npz", 0, 1))

    pe_torch.save_sharded(layer, tmp_path / "out", started_from=tmp_path / "m.npz")

    after = pe.load_matrix(tmp_path / "out")
    assert after.vectors.tobytes() == make_matrix().vectors.tobytes()
    with pytest.raises(OptionError, match=r"save_sharded\(layer, path"):
        pe_torch.from_layer(layer, make_matrix().vocabulary)
    with pytest.raises(OptionError, match=r"from_layer\(layer, vocabulary\)"):
        pe_torch.save_sharded(
            torch.nn.Embedding(7, 4), tmp_path / "x", started_from=tmp_path / "m.npz"
        )
