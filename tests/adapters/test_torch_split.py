"""What the layer of two tables keeps through averaging, loading and re-freezing."""

import copy
import io
import warnings

import numpy as np
import pytest

from pretrained_embed.errors import OptionError, ShapeError, VocabularyError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import make_matrix, same_bits

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    set_model_state_dict,
)
from torch.optim.swa_utils import (
    AveragedModel,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_multi_avg_fn,
)

from pretrained_embed.adapters import torch as pe_torch

ROWS, DIM = 3003, 4  # thousands: a place averaged in floats is wrong from there on
IDS = torch.arange(ROWS)
FROZEN = np.arange(ROWS) % 3 == 0  # pad, and a third of the others, mixed in
DECAY = 0.9999

AVERAGES = {
    "mean": {},
    "mean, foreach": {"multi_avg_fn": get_swa_multi_avg_fn()},
    "EMA": {"avg_fn": get_ema_avg_fn(DECAY)},
    "EMA, foreach": {"multi_avg_fn": get_ema_multi_avg_fn(DECAY)},
}


@pytest.fixture(scope="module")
def matrix() -> EmbeddingMatrix:
    vectors = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
    vectors[0] = 0
    tokens = ["<pad>", *(f"token {i}" for i in range(1, ROWS))]
    return EmbeddingMatrix(vectors, Vocabulary(tokens, pad="<pad>"))


@pytest.fixture
def model(matrix) -> nn.Sequential:
    return nn.Sequential(pe_torch.embedding(matrix, freeze=FROZEN), nn.Linear(DIM, 1))


def table(model: nn.Module) -> np.ndarray:
    layer = model[0] if isinstance(model, nn.Sequential) else model
    return layer(torch.arange(layer.num_embeddings)).detach().numpy().copy()


def move(model: nn.Sequential, *, to: float) -> None:
    """Do what a step of training does: the rows that train have other values."""
    with torch.no_grad():
        model[0].trained.weight[1:] = to


def average_of_a_loop(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Do what loops over a state do, timm's for one, with every entry of it."""
    now = model.state_dict()
    with torch.no_grad():
        for key, value in average.state_dict().items():
            value.copy_(value * decay + (1 - decay) * now[key])


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_weights_keep_frozen_rows_and_average_the_others(
    model, matrix, name, use_buffers
):
    averaged = AveragedModel(model, use_buffers=use_buffers, **AVERAGES[name])
    for step in range(20):
        move(model, to=float(step))
        averaged.update_parameters(model)

    got = table(averaged.module)

    assert same_bits(got[FROZEN], matrix.vectors[FROZEN])
    ema = [0.0]
    for step in range(1, 20):
        ema.append(DECAY * ema[-1] + (1 - DECAY) * step)
    expected = ema[-1] if name.startswith("EMA") else np.mean(range(20))
    np.testing.assert_allclose(got[~FROZEN], expected, rtol=1e-4)


def test_a_loop_over_the_state_averages_the_rows_that_train(model, matrix):
    average = copy.deepcopy(model)
    expected = matrix.vectors[~FROZEN].astype(np.float64)
    for step in range(20):
        move(model, to=float(step))
        average_of_a_loop(average, model, 0.9)
        expected = 0.9 * expected + 0.1 * step

    got = table(average)

    np.testing.assert_allclose(got[~FROZEN], expected, rtol=1e-5)
    np.testing.assert_allclose(got[FROZEN], matrix.vectors[FROZEN], rtol=1e-5)
    assert not same_bits(got[FROZEN], matrix.vectors[FROZEN])  # its sum rounds
    assert not got[0].any()


@pytest.mark.parametrize("source", ["layer", "matrix"])
def test_frozen_bits_are_put_back_after_such_a_loop(model, matrix, source):
    average = copy.deepcopy(model)
    for _ in range(20):
        average_of_a_loop(average, model, DECAY)
    before = table(average)
    assert not same_bits(before, matrix.vectors)

    average[0].restore_frozen(model[0].weight if source == "layer" else matrix.vectors)

    assert same_bits(table(average)[FROZEN], matrix.vectors[FROZEN])
    assert same_bits(table(average)[~FROZEN], before[~FROZEN])


def test_frozen_bits_come_from_a_table_that_fits(model, matrix):
    with pytest.raises(ShapeError, match=r"\(3003, 5\), the layer \(3003, 4\)"):
        model[0].restore_frozen(np.zeros((ROWS, 5), np.float32))
    with pytest.raises(ShapeError, match=r"\(3004, 4\)"):
        model[0].restore_frozen(torch.zeros(ROWS + 1, DIM))


def test_nothing_of_the_layer_is_a_buffer_or_a_frozen_parameter(model):
    assert list(model.buffers()) == []
    assert [name for name, _ in model[0].named_parameters()] == ["trained.weight"]


def test_the_state_has_the_live_tensors(model):
    for _, value in model[0].state_dict().items():
        if value.is_floating_point():
            value.fill_(3.0)

    assert (table(model) == 3.0).all()


def test_a_mask_written_into_the_live_state_is_taken_up(matrix):
    # What torch.distributed.checkpoint does: it loads into the tensors of a state.
    others = np.roll(FROZEN, 1)
    others[0] = True
    others[1] = False
    layer = pe_torch.embedding(matrix, freeze=FROZEN)
    saved = pe_torch.embedding(matrix, freeze=others)
    assert layer.frozen.shape == saved.frozen.shape

    state = layer.state_dict()
    for key, value in saved.state_dict().items():
        state[key].copy_(value)

    assert same_bits(table(layer), matrix.vectors)


def test_a_mask_that_does_not_fit_the_tables_is_an_error(model):
    model[0].state_dict()["trains"].fill_(False)

    with pytest.raises(ShapeError, match=r"0 rows of 3003 train, .* load_state_dict"):
        model(IDS)


@pytest.mark.parametrize("kind", ["own", "earlier", "plain"])
@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_states_of_every_form_are_loaded(model, matrix, kind, assign, device):
    if device == "meta" and not assign:
        pytest.skip("PyTorch copies nothing to a meta tensor, of any layer")
    move(model, to=3.0)
    want = table(model)
    layer = pe_torch.embedding(
        EmbeddingMatrix(matrix.vectors * 2, matrix.vocabulary),
        freeze=FROZEN,
        device=device,
    )
    fresh = nn.Sequential(layer, nn.Linear(DIM, 1))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fresh.load_state_dict(state_of(model, kind), assign=assign)

    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert same_bits(table(fresh), want)
    assert fresh[0].trains.tolist() == (~FROZEN).tolist()
    assert fresh[0].trained.weight.requires_grad


def state_of(model: nn.Sequential, kind: str) -> dict:
    """Return the state of a model as a file of the kind has it."""
    if kind == "plain":
        return pe_torch.plain_state_dict(model)
    state = model.state_dict()
    if kind == "earlier":
        state["0.trained"] = state.pop("0.trained.weight")
        trains = state.pop("0.trains")
        places = trains.cumsum(0) - 1, -(~trains).cumsum(0)
        state["0.slots"] = torch.where(trains, *places).int()
    return state


@pytest.mark.parametrize("kind", ["own", "earlier"])
def test_which_rows_train_is_up_to_the_layer(model, matrix, kind):
    move(model, to=3.0)
    want = table(model)
    layer = pe_torch.embedding(matrix, freeze=["token 1", "token 3"])
    fresh = nn.Sequential(layer, nn.Linear(DIM, 1))

    with pytest.warns(UserWarning, match=r"^0\.trains: 1000 rows .*load_rows = 'file'"):
        fresh.load_state_dict(state_of(model, kind))

    assert same_bits(table(fresh), want)
    assert np.flatnonzero(~layer.trains).tolist() == [0, 1, 3]


@pytest.mark.parametrize("kind", ["own", "earlier"])
def test_which_rows_train_can_be_taken_from_the_file(model, matrix, kind):
    move(model, to=3.0)
    want = table(model)
    layer = pe_torch.embedding(matrix, freeze=["token 1"], load_rows="file")
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    fresh = nn.Sequential(layer, nn.Linear(DIM, 1))

    fresh.load_state_dict(state_of(model, kind))

    assert same_bits(table(fresh), want)
    assert layer.trains.tolist() == (~FROZEN).tolist()
    with pytest.raises(OptionError, match="make the optimizer anew"):
        optimizer.step()


def test_a_plain_state_leaves_the_rows_that_train(model, matrix):
    model[0].load_state_dict({"weight": torch.full((ROWS, DIM), 3.0)})

    assert (table(model) == 3.0).all()
    assert model[0].trains.tolist() == (~FROZEN).tolist()


def test_a_state_of_another_size_is_an_error_of_the_layer_that_says_so(model):
    plain = {"weight": torch.ones(ROWS, DIM + 1)}
    with pytest.raises(RuntimeError) as caught:
        model[0].load_state_dict(plain)
    assert "the weight has shape (3003, 5), not (3003, 4)" in str(caught.value)
    assert "Missing" not in str(caught.value)

    smaller = pe_torch.embedding(make_matrix(), freeze=["cat"])
    with pytest.raises(RuntimeError, match="size mismatch for frozen"):
        model[0].load_state_dict(smaller.state_dict())


def test_a_damaged_state_is_an_error(model):
    state = pe_torch.embedding(make_matrix(), freeze=["cat"]).state_dict()
    state["trains"][1] = True

    with pytest.raises(ShapeError, match="damaged"):
        pe_torch.plain_state_dict(state)


def test_what_is_missing_in_a_state_is_told(model):
    state = model[0].state_dict()
    del state["frozen"], state["trains"]

    with pytest.raises(RuntimeError, match=r'Missing key.*"frozen", "trains"'):
        model[0].load_state_dict(state)
    model[0].load_state_dict(state, strict=False)


def test_a_layer_made_empty_keeps_which_rows_train(model, matrix):
    state = model.state_dict()
    for device in ("cpu", "meta"):
        layer = pe_torch.embedding(matrix, freeze=FROZEN, device=device)
        fresh = nn.Sequential(layer, nn.Linear(DIM, 1, device=device))

        fresh.to_empty(device="cpu")
        fresh.load_state_dict(state)

        assert layer.trains.tolist() == (~FROZEN).tolist()
        assert same_bits(table(fresh), matrix.vectors)


def test_a_state_gathered_for_checkpoints_is_set_again(model, matrix):
    move(model, to=3.0)
    want = table(model)
    state = {k: v.clone() for k, v in get_model_state_dict(model).items()}
    move(model, to=4.0)

    set_model_state_dict(model, state)

    assert sorted(state)[:3] == ["0.frozen", "0.trained.weight", "0.trains"]
    assert same_bits(table(model), want)


def test_the_state_of_a_compiled_model_has_its_prefix(model, matrix):
    move(model, to=3.0)
    compiled = torch.compile(model, backend="eager")
    state = compiled.state_dict()
    assert "_orig_mod.0.trained.weight" in state
    fresh = torch.compile(copy.deepcopy(model), backend="eager")
    move(fresh._orig_mod, to=4.0)

    fresh.load_state_dict(state)
    earlier = state_of(model, "earlier")
    fresh.load_state_dict({f"_orig_mod.{key}": earlier[key] for key in earlier})

    assert same_bits(table(fresh._orig_mod), table(model))
    assert "_orig_mod.0.weight" in pe_torch.plain_state_dict(compiled)


def test_the_plain_state_is_that_of_a_model_of_plain_layers(model, matrix):
    move(model, to=3.0)
    model.append(nn.BatchNorm1d(1))
    plain = nn.Sequential(nn.Embedding(ROWS, DIM), nn.Linear(DIM, 1), nn.BatchNorm1d(1))

    for state in (model, model.state_dict()):
        made = pe_torch.plain_state_dict(state)
        plain.load_state_dict(made)

        assert list(made) == list(plain.state_dict())
        assert same_bits(table(plain), table(model))
        assert made._metadata["2"] == {"version": 2}


def test_whole_models_are_pickled_and_copied(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for twin in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        move(twin, to=3.0)
        with torch.no_grad():
            twin[0].frozen.zero_()
        assert (table(twin)[~FROZEN] == 3.0).all()
        assert not table(twin)[FROZEN].any()
    assert (table(model) != 3.0).all()


def train(layer: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    layer(IDS).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("pad", ["<pad>", None])
def test_all_rows_train_after_unfreezing_but_the_pad_row(matrix, sparse, pad):
    vocabulary = Vocabulary(matrix.vocabulary.tokens, pad=pad)
    layer = pe_torch.embedding(
        EmbeddingMatrix(matrix.vectors, vocabulary), freeze=FROZEN, sparse=sparse
    )
    layer.unfreeze()
    assert same_bits(table(layer), matrix.vectors)
    make = torch.optim.SparseAdam if sparse else torch.optim.Adam

    train(layer, make(layer.parameters(), 0.1))

    moved = (table(layer) != matrix.vectors).any(axis=1)
    assert moved[1:].all()
    assert not moved[0]  # zeros, which the square sends no gradient, or the pad row
    assert layer.trains[0].item() is (pad is None)


def test_other_rows_are_frozen(model, matrix):
    others = ~FROZEN
    train(model[0], torch.optim.AdamW(model[0].parameters(), 0.1, weight_decay=0.5))
    before = table(model)

    model[0].freeze_rows(others)
    train(model[0], torch.optim.AdamW(model[0].parameters(), 0.1, weight_decay=0.5))

    moved = (table(model) != before).any(axis=1)
    assert moved.tolist() == [False, *FROZEN[1:]]
    model[0].freeze_rows(torch.ones(ROWS, dtype=torch.bool))
    assert not model[0].trains.any()
    assert model[0](IDS).shape == (ROWS, DIM)


def test_an_optimizer_of_before_is_told(model):
    optimizer = torch.optim.Adam(model.parameters())
    model(IDS).sum().backward()

    model[0].unfreeze()

    for call in (optimizer.step, optimizer.zero_grad):
        with pytest.raises(OptionError, match="make the optimizer anew"):
            call()


def test_masks_to_freeze_by_have_to_fit(model):
    with pytest.raises(OptionError, match=r"torch\.int64: give bools"):
        model[0].freeze_rows(np.ones(ROWS, np.int64))
    with pytest.raises(ShapeError, match=r"\(3,\), but the layer has 3003 rows"):
        model[0].freeze_rows(np.ones(3, np.bool_))


def test_to_require_gradients_does_not_unfreeze_and_says_so(model):
    model[0].requires_grad_(False)

    with pytest.warns(UserWarning, match=r"1001 rows .* layer\.unfreeze\(\)"):
        assert model[0].requires_grad_(True) is model[0]

    assert model[0].trained.weight.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_cast_rounds_both_tables_and_leaves_the_mask(model, matrix, dtype):
    model.to(dtype)

    assert torch.equal(model[0](IDS), torch.tensor(matrix.vectors).to(dtype))
    assert model[0].trains.dtype == torch.bool


def test_a_forward_in_inference_mode_is_no_bar_to_training(matrix):
    layer = pe_torch.embedding(matrix, freeze=FROZEN)
    with torch.inference_mode():
        layer.to(torch.float64)
        assert torch.equal(
            layer(IDS), torch.tensor(matrix.vectors, dtype=torch.float64)
        )

    other = pe_torch.embedding(matrix, freeze=FROZEN)
    with torch.inference_mode():
        other(IDS)
    train(other, torch.optim.SGD(other.parameters(), 0.1))
    assert (table(other)[~FROZEN] != matrix.vectors[~FROZEN]).any()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"max_norm": 1.0}, r"layer\.trained\.max_norm"),
        ({"load_rows": "both"}, "'layer' or 'file'"),
        ({"multiple_of": 0}, "number from 1 on"),
    ],
)
def test_options_that_a_split_layer_cannot_have_are_refused(matrix, options, what):
    with pytest.raises(OptionError, match=what):
        pe_torch.embedding(matrix, freeze=FROZEN, **options)


@pytest.mark.parametrize("freeze", [False, True])
def test_options_of_the_plain_layer_pass_through(freeze):
    matrix = make_matrix()
    before = matrix.vectors.tobytes()
    layer = pe_torch.embedding(
        matrix, freeze=freeze, max_norm=0.5, norm_type=1.0, scale_grad_by_freq=True
    )
    bag = pe_torch.embedding_bag(
        matrix, max_norm=0.5, norm_type=1.0, include_last_offset=True
    )

    assert (layer.max_norm, layer.norm_type, layer.scale_grad_by_freq) == (0.5, 1, True)
    assert bag.include_last_offset
    for rows in (layer(torch.arange(7)), bag(torch.arange(7), torch.arange(8))):
        assert (rows.norm(1, dim=1) <= 0.5001).all()
    assert matrix.vectors.tobytes() == before


def test_gradients_are_scaled_by_frequency_as_in_the_plain_layer():
    gradients = []
    for freeze in (False, ["cat"]):
        layer = pe_torch.embedding(
            make_matrix(), freeze=freeze, scale_grad_by_freq=True
        )
        layer(torch.tensor([3, 3, 3, 5, 0, 1])).sum().backward()
        gradients.append(next(p.grad for p in layer.parameters()))

    plain, split = gradients
    assert torch.equal(split[1:], plain[[2, 3, 5, 6]])


@pytest.mark.parametrize("freeze", [False, True, "found"])
def test_a_table_may_be_of_a_padded_size(freeze):
    matrix = make_matrix()
    layer = pe_torch.embedding(matrix, freeze=freeze, multiple_of=64)
    assert layer.num_embeddings == 64
    assert same_bits(table(layer)[:7], matrix.vectors)
    assert not table(layer)[7:].any()

    if freeze is not True:
        optimizer = torch.optim.AdamW(layer.parameters(), 0.1, weight_decay=0.5)
        layer(torch.arange(1, 7)).sum().backward()
        optimizer.step()

    back = pe_torch.from_layer(layer, matrix.vocabulary, started_from=matrix, rows=7)
    assert same_bits(back.vectors, table(layer)[:7])
    assert not table(layer)[7:].any()
    assert pe_torch.embedding_bag(matrix, multiple_of=64).num_embeddings == 64
    assert pe_torch.embedding(matrix, multiple_of=7).num_embeddings == 7


def test_a_longer_tensor_is_filled_where_that_is_said():
    matrix = make_matrix()
    weight = nn.Embedding(64, 4).weight
    after = weight[7:].detach().clone()

    with pytest.raises(ShapeError, match=r"rows=len\(vocab\)"):
        pe_torch.pretrained_(weight, matrix)
    with pytest.raises(ShapeError, match="rows=6, but the matrix has 7"):
        pe_torch.pretrained_(weight, matrix, rows=6)
    for shape, what in [((6, 4), "one row short"), ((64, 5), r"\*matrix.shape")]:
        with pytest.raises(ShapeError, match=what):
            pe_torch.pretrained_(torch.ones(shape), matrix, rows=7)
    assert pe_torch.pretrained_(weight, matrix, rows=7) is weight

    assert same_bits(weight[:7].detach().numpy(), matrix.vectors)
    assert torch.equal(weight[7:], after)


def test_a_tied_output_trains_the_pad_row_of_a_plain_layer_only():
    # As in every layer of PyTorch; the docstring says so.
    for freeze, stays in [(False, False), ("found", True)]:
        layer = pe_torch.embedding(make_matrix(), freeze=freeze)
        ids = torch.tensor([3, 6, 0])
        scores = nn.functional.linear(layer(ids), layer.weight)

        nn.functional.cross_entropy(scores, ids).backward()
        torch.optim.AdamW(layer.parameters(), 0.1).step()

        assert (not table(layer)[0].any()) is stays
        if not stays:
            with pytest.raises(VocabularyError, match="an output that shares the"):
                pe_torch.from_layer(layer, make_matrix().vocabulary)


def test_a_model_is_asked_for_what_its_layer_saves_part_by_part(model):
    # torch.distributed asks so for what is to be moved and broadcast.
    assert [name for name, _ in model[0].named_buffers(recurse=False)] == [
        "frozen",
        "trains",
    ]
    assert list(model[0].named_buffers()) == list(model.named_buffers()) == []


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("ids", [[1, 2, 3, 0, 4, 4], [0, 3], [1, 2], [[]]])
def test_the_way_for_graphs_and_the_way_for_a_cpu_are_the_same(matrix, ids, sparse):
    ids = torch.tensor(ids, dtype=torch.int64)
    made = []
    for call in (
        lambda layer: layer,
        lambda layer: torch.compile(layer, backend="eager"),
    ):
        layer = pe_torch.embedding(matrix, freeze=FROZEN, sparse=sparse)
        rows = call(layer)(ids)
        rows.square().sum().backward()
        made.append((rows.detach(), layer.trained.weight.grad.to_dense()))

    (rows, gradient), (other_rows, other_gradient) = made
    assert torch.equal(rows, torch.tensor(matrix.vectors)[ids])
    assert torch.equal(rows, other_rows)
    assert torch.equal(gradient, other_gradient)


def test_gradients_may_be_taken_by_functions(matrix):
    layer = pe_torch.embedding(matrix, freeze=FROZEN)

    def loss(parameters):
        return torch.func.functional_call(layer, parameters, (IDS,)).square().sum()

    gradient = torch.func.grad(loss)(dict(layer.named_parameters()))

    layer(IDS).square().sum().backward()
    assert torch.equal(gradient["trained.weight"], layer.trained.weight.grad)


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "LBFGS"])
def test_frozen_bits_outlast_fused_optimizers_and_those_that_call_a_closure(
    matrix, kind
):
    layer = pe_torch.embedding(matrix, freeze=FROZEN)
    options = {} if kind == "LBFGS" else {"fused": True, "weight_decay": 0.01}
    optimizer = getattr(torch.optim, kind)(layer.parameters(), 0.1, **options)

    def closure():
        optimizer.zero_grad()
        loss = (layer(IDS) - 1).square().sum()
        loss.backward()
        return loss

    before = closure().item()
    for _ in range(3):
        optimizer.step(closure)

    assert closure().item() < before
    made = table(layer)
    assert same_bits(made[FROZEN], matrix.vectors[FROZEN])
    assert (made[~FROZEN] != matrix.vectors[~FROZEN]).any(axis=1).all()
