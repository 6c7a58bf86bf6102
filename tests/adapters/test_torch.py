import copy
import io
from typing import ClassVar

import numpy as np
import pytest
from vectors import reader_of

import pretrained_embed as pe
from pretrained_embed.errors import OptionError, ShapeError
from pretrained_embed.matrix import EmbeddingMatrix
from pretrained_embed.vocabulary import Vocabulary

from .conformance import IDS, LABELS, AdapterTests, make_matrix, same_bits

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

from pretrained_embed.adapters import torch as pe_torch

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "clipped": lambda p: torch.optim.AdamW(p, lr=0.1),
}
SPARSE_OPTIMIZERS = {
    "sparse adam": lambda p: torch.optim.SparseAdam(p, lr=0.1),
    "sparse sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
}


def train(layers, make_optimizer, steps, *, clip=False, pool=lambda rows: rows.mean(1)):
    torch.manual_seed(0)
    dense = torch.nn.Linear(4, 1)
    trained = [p for layer in layers for p in layer.parameters() if p.requires_grad]
    optimizers = [torch.optim.SGD(dense.parameters(), lr=0.1), make_optimizer(trained)]
    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        logits = dense(sum(pool(layer(torch.tensor(IDS))) for layer in layers))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits.squeeze(1), torch.tensor(LABELS)
        )
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_([*trained, *dense.parameters()], 0.1)
        for optimizer in optimizers:
            optimizer.step()


class TestEmbedding(AdapterTests):
    optimizers: ClassVar = OPTIMIZERS
    plain = torch.nn.Embedding

    def layer(self, matrix, rows):
        return pe_torch.embedding(matrix, freeze=rows)

    def output(self, layer, ids):
        return layer(torch.tensor(ids)).detach().numpy().copy()

    def train(self, layers, optimizer, steps):
        train(layers, self.optimizers[optimizer], steps, clip=optimizer == "clipped")

    def from_layer(self, layer, vocabulary, **options):
        return pe_torch.from_layer(layer, vocabulary, **options)


class TestSparseEmbedding(TestEmbedding):
    optimizers: ClassVar = SPARSE_OPTIMIZERS

    def layer(self, matrix, rows):
        return pe_torch.embedding(matrix, freeze=rows, sparse=True)

    def test_a_row_outside_the_batch_is_not_touched(self):
        # The moments of an earlier step move a row at every step that touches it.
        layer = self.layer(make_matrix(), "found")
        optimizer = torch.optim.SparseAdam(layer.parameters(), lr=0.1)
        tables = []

        for ids in ([3, 6], [1, 2, 5, 0]):
            optimizer.zero_grad()
            layer(torch.tensor(ids)).square().sum().backward()
            optimizer.step()
            tables.append(self.table(layer))

        assert same_bits(*tables)


@pytest.fixture
def matrix() -> EmbeddingMatrix:
    return make_matrix()


@pytest.fixture(params=[False, "found"], ids=["plain", "split"])
def layer(request, matrix):
    return pe_torch.embedding(matrix, freeze=request.param)


def test_all_or_no_rows_frozen_is_a_plain_layer(matrix):
    for freeze in (False, True):
        layer = pe_torch.embedding(matrix, freeze=freeze)

        assert type(layer) is torch.nn.Embedding
        assert layer.padding_idx == 0
        assert layer.weight.requires_grad is not freeze


def test_pad_id_need_not_be_0():
    vocabulary = Vocabulary({"cat": 0, "<pad>": 1})
    matrix = EmbeddingMatrix(np.array([[1, 2], [0, 0]], np.float32), vocabulary)

    assert pe_torch.embedding(matrix).padding_idx == 1
    assert pe_torch.embedding(matrix, freeze=["cat"]).padding_idx == 1


@pytest.mark.parametrize("sparse", [False, True])
def test_a_split_layer_trains_like_the_plain_one(matrix, sparse):
    make = torch.optim.SparseAdam if sparse else torch.optim.Adam
    weights = []

    for freeze in (False, ["cat"]):
        layer = pe_torch.embedding(matrix, freeze=freeze, sparse=sparse)
        optimizer = make(layer.parameters(), lr=0.1)
        for ids in ([2, 3, 0], [5, 3], [6, 6]):
            optimizer.zero_grad()
            layer(torch.tensor(ids)).square().sum().backward()
            optimizer.step()
        weights.append(layer.weight)

    assert torch.equal(*weights)


def test_ids_out_of_range_are_refused_as_by_the_plain_layer(layer):
    for wrong in (7, -1):
        with pytest.raises((IndexError, RuntimeError), match="out of range"):
            layer(torch.tensor([wrong]))


def test_gradients_flow_through_the_weight(layer):
    layer.weight.square().sum().backward()

    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_state_is_saved_and_loaded(layer, matrix):
    train([layer], OPTIMIZERS["adam"], steps=2)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    fresh = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()

    fresh.load_state_dict(torch.load(file, weights_only=True))

    assert torch.equal(fresh.weight, layer.weight)


def test_a_deep_copy_is_independent(layer, matrix):
    twin = copy.deepcopy(layer)

    train([twin], OPTIMIZERS["adam"], steps=2)

    assert same_bits(layer.weight.detach().numpy(), matrix.vectors)
    assert not torch.equal(twin.weight, layer.weight)


def test_parameters_may_be_handed_in_from_outside(layer):
    # What replication for several devices does with a module.
    state = {name: tensor.clone() for name, tensor in layer.state_dict().items()}

    rows = torch.func.functional_call(layer, state, (torch.tensor(IDS),))

    assert torch.equal(rows, layer(torch.tensor(IDS)))


def test_compiles_as_one_graph(layer):
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)

    rows = compiled(torch.tensor(IDS))
    rows.sum().backward()

    assert torch.equal(rows, layer(torch.tensor(IDS)))
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("freeze", [False, "found"])
def test_dtype_is_rounded_from_the_matrix_which_stays(matrix, dtype, freeze):
    before = matrix.vectors.tobytes()

    layer = pe_torch.embedding(matrix, freeze=freeze, dtype=dtype)

    assert torch.equal(layer.weight, torch.tensor(matrix.vectors).to(dtype))
    assert layer(torch.tensor(IDS)).dtype == dtype
    assert matrix.vectors.tobytes() == before


def test_a_layer_can_be_cast_and_moved(layer, matrix):
    layer.half().to("cpu")

    assert torch.equal(layer.weight, torch.tensor(matrix.vectors).half())


def test_device_is_where_the_layer_is_made(matrix):
    for freeze in (False, "found"):
        layer = pe_torch.embedding(matrix, freeze=freeze, device="meta")

        devices = {tensor.device.type for tensor in layer.state_dict().values()}
        assert devices == {"meta"}


def test_dtypes_that_cannot_hold_the_values_are_refused():
    vectors = np.array([[0, 0], [1, 70000]], np.float32)
    matrix = EmbeddingMatrix(vectors, Vocabulary(["cat"]))

    with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
        pe_torch.embedding(matrix, dtype=torch.float16)
    with pytest.raises(OptionError, match="int64 cannot hold"):
        pe_torch.embedding(matrix, dtype=torch.int64)


def test_what_is_infinite_hides_no_value_that_float16_cannot_hold():
    vocabulary = Vocabulary(["cat"])
    odd = EmbeddingMatrix(np.array([[0, 0], [np.inf, np.nan]], np.float32), vocabulary)
    layer = pe_torch.embedding(odd, dtype=torch.float16)
    assert layer.weight[1].isinf().tolist() == [True, False]

    for other in (np.inf, -np.inf, np.nan):
        vectors = np.array([[0, 0], [other, 70000]], np.float32)
        with pytest.raises(OptionError, match=r"float16 cannot hold .* 70000"):
            pe_torch.embedding(
                EmbeddingMatrix(vectors, vocabulary), dtype=torch.float16
            )


def test_repr_tells_how_the_rows_are_parted(matrix):
    layer = pe_torch.embedding(matrix, freeze="found")

    assert repr(layer) == "SplitEmbedding(7, 4, padding_idx=0, trained=2, frozen=5)"


def test_bag_reduces_rows_and_leaves_the_pad_out(matrix):
    for mode in ("sum", "mean", "max"):
        bag = pe_torch.embedding_bag(matrix, mode=mode)

        out = bag(torch.tensor([[3, 6, 0]])).detach().numpy()

        expected = getattr(np, mode)(matrix.vectors[[3, 6]], axis=0)
        np.testing.assert_array_equal(out[0], expected)


def test_bag_keeps_its_pad_row_zero_and_the_matrix_as_it_is(matrix):
    before = matrix.vectors.tobytes()
    for optimizer in OPTIMIZERS.values():
        bag = pe_torch.embedding_bag(matrix)

        train([bag], optimizer, steps=50, pool=lambda bags: bags)

        assert not bag.weight[0].any()
        assert (bag.weight[3] != torch.tensor(matrix.vectors[3])).any()
    assert matrix.vectors.tobytes() == before


def test_bag_freezes_all_rows_or_none(matrix):
    assert not pe_torch.embedding_bag(matrix, freeze=True).weight.requires_grad
    with pytest.raises(OptionError, match="all rows or none"):
        pe_torch.embedding_bag(matrix, freeze="found")


def test_bag_becomes_a_matrix_again(matrix):
    back = pe_torch.from_layer(pe_torch.embedding_bag(matrix), matrix.vocabulary)

    assert same_bits(back.vectors, matrix.vectors)


def test_a_tensor_is_filled_in_place(matrix):
    layer = torch.nn.Embedding(7, 4)
    weight = layer.weight

    result = pe_torch.pretrained_(weight, matrix)

    assert result is weight is layer.weight
    assert weight.requires_grad
    assert same_bits(weight.detach().numpy(), matrix.vectors)


def test_a_part_of_a_parameter_is_filled_in_its_own_dtype(matrix):
    weight = torch.nn.Parameter(torch.ones(9, 4, dtype=torch.bfloat16))

    pe_torch.pretrained_(weight[2:], matrix)

    assert torch.equal(weight[2:], torch.tensor(matrix.vectors).bfloat16())
    assert (weight[:2] == 1).all()


def test_the_table_of_a_split_layer_is_not_to_be_filled(matrix):
    layer = pe_torch.embedding(matrix, freeze="found")

    with pytest.raises(OptionError, match="computed"):
        pe_torch.pretrained_(layer.weight, matrix)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((8, 4), r"len\(vocab\) \+ 1"),
        ((6, 4), "one row short"),
        ((7, 5), "from the file you meant"),
        ((4, 7), "transposed"),
        ((9, 9), r"\*matrix.shape"),
        ((28,), "two axes"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_likely_mistake(matrix, shape, hint):
    tensor = torch.ones(shape)

    with pytest.raises(ShapeError, match=hint) as caught:
        pe_torch.pretrained_(tensor, matrix)

    assert str(shape) in str(caught.value)
    assert "7 rows of dim 4" in str(caught.value)
    assert (tensor == 1).all()


def test_a_trained_layer_grows_with_its_vocabulary():
    rows = [("the", (1.0, 2.0)), ("cat", (3.0, 4.0)), ("dog", (5.0, 6.0))]
    matrix = pe.build_matrix(["the", "cat"], reader_of(rows))
    layer = pe_torch.embedding(matrix, freeze=False)
    with torch.no_grad():
        layer.weight[1:] *= 1.5

    trained = pe_torch.from_layer(layer, matrix.vocabulary, started_from=matrix)
    grown = pe.build_matrix(["dog", "cat"], reader_of(rows), onto=trained)

    assert trained.source_rows.tolist() == matrix.source_rows.tolist()
    assert trained.explain("cat").how.endswith("row 1; trained since")
    assert grown.vectors.tolist() == [[0, 0], [5, 6], [4.5, 6]]
    assert grown.explain("cat").how.endswith("trained since")
