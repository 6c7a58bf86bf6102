"""Habits of people who use torch.nn.Embedding, with every choice of rows.

Those that need ONNX are skipped where it is not installed: it is an extra of the tests.
"""

import copy
import io
from typing import ClassVar

import pytest

from .habits import HabitTests, habit

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch
from torch import nn
from torch.ao.quantization import float_qparams_weight_only_qconfig, quantize_dynamic
from torch.nn.utils import prune

from pretrained_embed.adapters import torch as pe_torch

pytestmark = pytest.mark.filterwarnings(
    # PyTorch 2.13 calls TorchScript, eager quantisation and its first ONNX exporter
    # old; the exporters warn about themselves.
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning:torch.*",
)
ROWS, DIM = 7, 4
IDS = torch.arange(ROWS)
BATCH = IDS[:4].reshape(2, 2)  # to trace with
LARGER = torch.cat([IDS, IDS[:2]]).reshape(3, 3)  # to call with

#: What the error of a write has to name: how to write, to train, to have a plain layer.
WRITE = r"load_state_dict\(\{'weight': table\}\).*unfreeze\(\).*to_embedding\(\)"
GRADIENT = r"layer\.requires_grad_\(\)"
OUTPUT = r"functional\.linear\(hidden, layer\.weight\)"


def is_written(layer, rows=(5,), value=3.0):
    return bool((layer(torch.tensor(rows)) == value).all())


def of_threes():
    return torch.full((ROWS, DIM), 3.0)


def bits(tensor):
    return tensor.detach().numpy().tobytes()


@habit("weight.data[5] = v", refused=WRITE)
def set_row(layer):
    layer.weight.data[5] = 3.0
    return is_written(layer)


@habit("weight.data.copy_(t)", refused=WRITE)
def copy_data(layer):
    layer.weight.data.copy_(of_threes())
    return is_written(layer)


@habit("weight.data = t", refused=WRITE)
def set_data(layer):
    layer.weight.data = of_threes()
    return is_written(layer)


@habit("no_grad: weight[5] = v", refused=WRITE)
def set_row_without_grad(layer):
    with torch.no_grad():
        layer.weight[5] = 3.0
    return is_written(layer)


@habit("no_grad: weight[5].fill_(v)", refused=WRITE)
def fill_a_row(layer):
    with torch.no_grad():
        layer.weight[5].fill_(3.0)
    return is_written(layer)


@habit("no_grad: weight.detach().T.mul_(0)", refused=WRITE)
def scale_a_view(layer):
    layer.weight.detach().T.mul_(0)
    return is_written(layer, value=0.0)


@habit("no_grad: weight *= 0", refused=WRITE)
def scale_in_place(layer):
    with torch.no_grad():
        layer.weight *= 0
    return is_written(layer, value=0.0)


@habit("torch.add(t, t, out=weight.data)", refused=WRITE)
def add_out(layer):
    torch.add(of_threes(), 0.0, out=layer.weight.data)
    return is_written(layer)


@habit("torch._foreach_mul_([weight], 0)", refused=WRITE)
def foreach(layer):
    with torch.no_grad():
        torch._foreach_mul_([layer.weight], 0)
    return is_written(layer, value=0.0)


@habit("nn.init.constant_(weight, v)", refused=WRITE)
def init_constant(layer):
    nn.init.constant_(layer.weight, 3.0)
    return is_written(layer)


@habit("nn.init.zeros_(weight)", refused=WRITE)
def init_zeros(layer):
    nn.init.zeros_(layer.weight)
    return is_written(layer, value=0.0)


@habit("nn.init.xavier_uniform_(weight)", refused=WRITE)
def init_xavier(layer):
    before = bits(layer.weight)
    nn.init.xavier_uniform_(layer.weight)
    return bits(layer.weight) != before


@habit("nn.init.trunc_normal_(weight)", refused=WRITE)
def init_normal(layer):
    before = bits(layer.weight)
    nn.init.trunc_normal_(layer.weight)
    return bits(layer.weight) != before


@habit("weight.data[pad].fill_(0)")
def zero_pad(layer):
    layer.weight.data[layer.padding_idx].fill_(0)
    with torch.no_grad():
        layer.weight[layer.padding_idx] = torch.zeros(DIM)
    return bits(layer(IDS[:1]))


@habit("layer.weight = nn.Parameter(t)", refused=r"load_state_dict\(\{'weight': table")
def assign(layer):
    layer.weight = nn.Parameter(of_threes())
    return is_written(layer)


@habit("weight.requires_grad = False", refused=GRADIENT)
def freeze_by_property(layer):
    layer.weight.requires_grad = False
    return any(parameter.requires_grad for parameter in layer.parameters())


@habit("weight.requires_grad_(False)", refused=GRADIENT)
def freeze_by_method(layer):
    layer.weight.requires_grad_(False)
    return any(parameter.requires_grad for parameter in layer.parameters())


@habit("weight.requires_grad = True", refused=r"layer\.unfreeze\(\)")
def unfreeze_by_property(layer):
    layer.weight.requires_grad = True
    return all(parameter.requires_grad for parameter in layer.parameters())


@habit("layer.requires_grad_(False)")
def freeze_module(layer):
    layer.requires_grad_(False)
    return any(parameter.requires_grad for parameter in layer.parameters())


@habit("weight.register_hook(mask)", refused=r"layer\.freeze_rows\(mask\)")
def hook(layer):
    if layer.weight.requires_grad:
        layer.weight.register_hook(torch.zeros_like)
        layer(IDS).sum().backward()
        return [not parameter.grad.any() for parameter in layer.parameters()]
    return "does not train"


@habit("weight.grad after backward", refused=r"layer\.parameters\(\)")
def read_gradient(layer):
    if layer.weight.requires_grad:
        layer(IDS).sum().backward()
    return layer.weight.grad is not None


@habit("tie: linear.weight = layer.weight", refused=OUTPUT)
def tie(layer):
    output = nn.Linear(DIM, ROWS, bias=False)
    output.weight = layer.weight
    return output.weight is layer.weight


@habit("nn.Parameter(layer.weight)", refused=r"weight\.detach\(\)\.clone\(\)")
def wrap(layer):
    return tuple(nn.Parameter(layer.weight).shape)


@habit("Embedding.from_pretrained(layer.weight)", refused=r"layer\.to_embedding\(\)")
def from_pretrained(layer):
    return bits(nn.Embedding.from_pretrained(layer.weight)(IDS))


@habit("F.linear(h, layer.weight).backward()")
def tie_functional(layer):
    hidden = torch.ones(2, DIM, requires_grad=True)
    nn.functional.linear(hidden, layer.weight).sum().backward()
    return bits(hidden.grad), sum(p.grad is not None for p in layer.parameters())


@habit("read weight: numpy, clone, norm, save, copy, print")
def read(layer):
    weight = layer.weight
    file = io.BytesIO()
    torch.save(weight.detach(), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    mine = weight.detach().clone()
    mine[5] = 3.0
    other = torch.zeros(ROWS, DIM).copy_(weight.detach())
    copied = copy.deepcopy(weight)
    return (
        bits(weight), bits(loaded), bits(mine), bits(other), bits(copied),
        bits(weight.data.norm(dim=1)), bits(weight.cpu().float()), weight.shape,
        str(weight.detach()[:1].tolist()), type(weight * 2) is torch.Tensor,
    )  # fmt: skip


@habit("state_dict keys", instead=["frozen", "trained.weight", "trains"])
def state(layer):
    return sorted(layer.state_dict())


@habit("load a plain state_dict")
def load_plain(layer):
    table = torch.arange(ROWS * DIM, dtype=torch.float32).reshape(ROWS, DIM)
    layer.load_state_dict({"weight": table})
    return bits(layer(IDS))


@habit("its plain state into nn.Embedding")
def into_plain(layer):
    other = nn.Embedding(ROWS, DIM)
    other.load_state_dict(pe_torch.plain_state_dict(layer))
    return bits(other(IDS))


@habit("its plain state into nn.Embedding on meta, assign=True")
def into_meta(layer):
    other = nn.Embedding(ROWS, DIM, device="meta")
    other.load_state_dict(pe_torch.plain_state_dict(layer), assign=True)
    return bits(other(IDS))


@habit("minGPT-style groups of parameters")
def groups(layer):
    model = nn.ModuleDict({"emb": layer, "fc": nn.Linear(2, 2)})
    found = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        for part, _ in module.named_parameters(recurse=False)
        if isinstance(module, nn.Embedding | nn.Linear)
    }
    return found == {name for name, _ in model.named_parameters()}


@habit("Adam([layer.weight])", refused=r"To optimise: layer\.parameters\(\)")
def optimizer_of_weight(layer):
    torch.optim.Adam([layer.weight])
    return True


@habit("clip_grad_norm_([layer.weight])", refused=r"layer\.parameters\(\)")
def clip(layer):
    if layer.weight.requires_grad:
        layer(IDS).sum().backward()
    nn.utils.clip_grad_norm_([layer.weight], 1.0)
    return True


@habit("apply(init of every nn.Embedding)")
def apply_init(layer):
    def init(module):
        if isinstance(module, nn.Embedding):
            nn.init.constant_(module.weight, 3.0)

    nn.Sequential(layer).apply(init)
    trains = [row for row in (1, 2, 3, 5, 6) if is_written(layer, [row])]
    return bool(trains)


@habit("torch.jit.script")
def scripted(layer):
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Sequential(layer)), file)
    file.seek(0)
    return bits(torch.jit.load(file)(LARGER))


@habit("torch.jit.script of a tied output")
def scripted_tied(layer):
    return bits(torch.jit.script(Tied(layer))(LARGER))


@habit("torch.jit.trace")
def traced(layer):
    return bits(torch.jit.trace(Tied(layer), BATCH)(LARGER))


@habit("torch.fx.symbolic_trace")
def symbolic(layer):
    return bits(torch.fx.symbolic_trace(nn.Sequential(layer))(LARGER))


@habit("torch.export, dynamic shapes", slow=True)
def exported(layer):
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        Tied(layer), (BATCH,), dynamic_shapes=({0: auto, 1: auto},)
    )
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return bits(torch.export.load(file).module()(LARGER))


@habit("torch.compile, fullgraph, tied output", slow=True)
def compiled(layer):
    model = torch.compile(Tied(layer), fullgraph=True, backend="aot_eager")
    out = model(LARGER)
    if out.requires_grad:
        out.sum().backward()
    return bits(out)


class Tied(nn.Module):
    """Scores for the rows of a layer, by the layer itself."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, ids):
        return nn.functional.linear(self.layer(ids), self.layer.weight)


def onnx_scores(model, file):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX is not installed")
    session = onnxruntime.InferenceSession(file.getvalue())
    name = session.get_inputs()[0].name
    out = session.run(None, {name: LARGER.numpy()})[0]
    return out.tobytes() == bits(model(LARGER))


@habit("ONNX, by TorchScript", slow=True)
def onnx_script(layer):
    pytest.importorskip("onnx", reason="ONNX is not installed")
    model, file = nn.Sequential(layer).eval(), io.BytesIO()
    axes = {"x": [0, 1]}
    torch.onnx.export(
        model, (BATCH,), file, dynamo=False, input_names=["x"], dynamic_axes=axes
    )
    return onnx_scores(model, file)


@habit("ONNX, by torch.export", slow=True)
def onnx_dynamo(layer):
    pytest.importorskip("onnxscript", reason="ONNX is not installed")
    model, file = nn.Sequential(layer).eval(), io.BytesIO()
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    torch.onnx.export(
        model,
        (BATCH,),
        dynamo=True,
        dynamic_shapes=({0: batch, 1: length},),
        verbose=False,
    ).save(file)
    return onnx_scores(model, file)


@habit("quantize_dynamic")
def quantized(layer):
    mapping = {nn.Embedding: float_qparams_weight_only_qconfig}
    model = quantize_dynamic(nn.Sequential(layer), mapping)
    kinds = {type(m).__module__ for m in model.modules()}
    error = (model(LARGER) - layer(LARGER)).abs() / layer(LARGER).abs().amax(-1, True)
    return (
        any("quantized" in kind for kind in kinds),
        bool(error.nan_to_num().max() < 0.01),
        bool(model(IDS[:1]).any()),
    )


@habit(".half()")
def half(layer):
    return bits(copy.deepcopy(layer).half()(IDS))


@habit("share_memory()")
def share(layer):
    return layer.share_memory() is layer and all(
        tensor.is_shared() for tensor in layer.state_dict().values()
    )


@habit("pickle of the whole layer")
def pickled(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return bits(torch.load(file, weights_only=False)(IDS))


@habit("prune by magnitude on weight", refused=WRITE)
def pruned(layer):
    prune.l1_unstructured(layer, "weight", 0.3)
    return True


@habit("max_norm set on the layer", refused=r"layer\.trained\.max_norm")
def max_norm(layer):
    layer.max_norm = 0.5
    return bool(layer(IDS).norm(dim=1).max() <= 0.5001)


@habit("scale_grad_by_freq set on the layer")
def by_frequency(layer):
    layer.scale_grad_by_freq = True
    if not layer.weight.requires_grad:
        return layer.scale_grad_by_freq
    layer(torch.tensor([3, 3, 3, 5])).sum().backward()
    return layer.scale_grad_by_freq, max(p.grad.max() for p in layer.parameters()) <= 1


@habit("attributes of nn.Embedding")
def attributes(layer):
    names = ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type")
    return [getattr(layer, n) for n in (*names, "scale_grad_by_freq", "sparse")]


class TestHabits(HabitTests):
    habits: ClassVar = [
        made for made in list(globals().values()) if type(made).__name__ == "Habit"
    ]

    def layer(self, matrix, rows):
        return pe_torch.embedding(matrix, freeze=rows)

    def plain_layer(self, matrix, trains):
        return nn.Embedding.from_pretrained(
            torch.tensor(matrix.vectors), freeze=not trains, padding_idx=0
        )
