"""The tables of language models: filled, some rows frozen, trained, saved, adapted."""

from __future__ import annotations

import copy
import gc
import io
import weakref

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
import transformers
from torch import nn

import pretrained_embed as pe
from pretrained_embed.adapters import torch as pe_torch
from pretrained_embed.adapters._torch_frozen_rows import _ALIVE
from pretrained_embed.adapters.transformers import initialise

from .language_models import (
    BATCH,
    DIM,
    FOUND,
    KINDS,
    ROWS,
    TOKENS,
    WORDS,
    logits_of,
    loss_of,
    model_of,
    table_of,
    tokenizer,
    vectors,
    write_vectors,
)

transformers.utils.logging.disable_progress_bar()

#: The rows that train="new" freezes: pad, what was found, what is no token's.
FOUND_IDS = [TOKENS.index("Ġ" + word) for word in FOUND]
PAST = list(range(len(TOKENS), ROWS))
FROZEN = [0, *FOUND_IDS, *PAST]
TRAINED = [row for row in range(ROWS) if row not in FROZEN]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep threads from waiting for each other over a handful of numbers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_vectors(tmp_path_factory.mktemp("source") / "vectors.txt")


@pytest.fixture(scope="module")
def words():
    return tokenizer()


def train(model, steps=3, micro=1, **options):
    made = {"lr": 0.1, "weight_decay": 0.5} | options
    optimizer = torch.optim.AdamW(model.parameters(), **made)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        for _ in range(micro):
            (loss_of(model) / micro).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()


def same_bits(one, other):
    one, other = one.contiguous(), other.contiguous()
    return torch.equal(one.view(torch.uint8), other.view(torch.uint8))


def check_frozen(model, before):
    now = table_of(model)
    assert same_bits(now[FROZEN], before[FROZEN])
    assert (now[TRAINED] != before[TRAINED]).any(1).all()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
class TestEveryModel:
    @pytest.fixture
    def model(self, kind, tied):
        return model_of(kind, tied)

    @pytest.fixture
    def filled(self, model, source, words):
        initialise(model, words, source, "new")
        return model

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_row_i_is_the_vector_of_token_i(self, model, source, words, dtype):
        model.to(dtype)
        before = table_of(model).clone()
        head = model.get_output_embeddings().weight
        shares = head is model.get_input_embeddings().weight

        matrix = initialise(model, words, source)

        table, known = table_of(model), vectors()
        for word, id in zip(FOUND, FOUND_IDS, strict=True):
            assert same_bits(table[id], torch.from_numpy(known[word]).to(dtype))
        assert not table[0].any()
        kept = [row for row in TRAINED if row] + PAST
        assert same_bits(table[kept], before[kept])
        assert np.array_equal(matrix.vectors, table[: len(TOKENS)].float()) or (
            dtype == torch.bfloat16
        )
        assert matrix.coverage.found == len(FOUND)
        assert (head is model.get_input_embeddings().weight) == shares
        assert table.dtype == dtype

    @pytest.mark.parametrize("fused", [True, False])
    def test_frozen_rows_keep_every_bit(self, filled, fused):
        before = table_of(filled).clone()

        train(filled, micro=2, fused=fused)

        check_frozen(filled, before)

    def test_what_is_saved_comes_back_whole(self, filled, tmp_path):
        train(filled, steps=1)
        filled.save_pretrained(tmp_path, max_shard_size="4KB")

        again, said = type(filled).from_pretrained(tmp_path, output_loading_info=True)

        assert len(list(tmp_path.glob("*.safetensors"))) > 1
        assert not said["missing_keys"]
        assert not said["unexpected_keys"]
        assert same_bits(table_of(again), table_of(filled))
        assert torch.equal(logits_of(again), logits_of(filled))

    @pytest.mark.parametrize("way", ["copied", "pickled", "loaded"])
    def test_the_choice_goes_with_the_model(self, filled, kind, tied, way):
        before = table_of(filled).clone()
        if way == "copied":
            other = copy.deepcopy(filled)
        elif way == "pickled":
            file = io.BytesIO()
            torch.save(filled, file)
            file.seek(0)
            other = torch.load(file, weights_only=False)
        else:
            state = model_of(kind, tied, seed=1).state_dict()
            filled.load_state_dict(state)
            other, before = filled, table_of(filled).clone()
        loss_of(other).backward()
        gradient = other.get_input_embeddings().weight.grad

        train(other)

        check_frozen(other, before)
        assert not gradient[FROZEN].any()
        if other is not filled:
            assert same_bits(table_of(filled), before)

    def test_a_table_that_grew_and_was_tied_again(self, filled):
        before = table_of(filled).clone()
        filled.resize_token_embeddings(ROWS + 8, mean_resizing=False)
        filled.tie_weights()
        added = table_of(filled)[ROWS:].clone()

        train(filled)

        assert same_bits(table_of(filled)[FROZEN], before[FROZEN])
        assert (table_of(filled)[ROWS:] != added).any(1).all()

    def test_gradient_checkpointing(self, filled):
        before = table_of(filled).clone()
        filled.activation_checkpointing_enable()

        train(filled)

        check_frozen(filled, before)


@pytest.fixture
def model():
    return model_of("llama")


# Which rows train


@pytest.mark.parametrize(
    ("choice", "trained"),
    [
        ("all", [*range(1, ROWS)]),
        ("new", TRAINED),
        ("found", FOUND_IDS),
        (["Ġcat", "<pad>", "Ġqwe"], [5, 12]),
        (np.arange(len(TOKENS)) % 2 == 0, [*range(2, len(TOKENS), 2)]),
        (torch.arange(ROWS) > 18, [19, *PAST]),
        (None, []),
    ],
)
def test_the_rows_that_train(model, source, words, choice, trained):
    initialise(model, words, source, choice)
    before = table_of(model).clone()

    train(model)

    moved = (table_of(model) != before).any(1).nonzero().squeeze(1).tolist()
    assert moved == trained
    assert model.get_input_embeddings().weight.requires_grad == bool(trained)


def test_the_last_call_counts(model, source, words):
    initialise(model, words, source, None)
    initialise(model, words, source, "new")
    initialise(model, words, train="all")
    before = table_of(model).clone()

    train(model)

    assert (table_of(model) != before).any(1).all()  # no source, so no pad is known


def test_tokens_that_were_added(model, source, words):
    words = tokenizer()
    words.add_tokens(["dog", "wuf"])
    model.resize_token_embeddings(len(words), mean_resizing=False)
    before = table_of(model).clone()

    matrix = initialise(model, words, source, "new", tokens=["dog", "wuf"])

    after = table_of(model).clone()
    dog = words.convert_tokens_to_ids("dog")
    assert np.array_equal(after[dog], vectors()["dog"])
    others = [row for row in range(len(words)) if row != dog]
    assert same_bits(after[others], before[others])
    assert [matrix.origin[dog] >= 16, matrix.origin[dog + 1] >= 16] == [True, False]
    train(model)
    moved = (table_of(model) != after).any(1).nonzero().squeeze(1).tolist()
    assert moved == [dog, dog + 1]


def test_a_pad_that_is_the_end_too_is_no_pad(model, source):
    both = tokenizer(pad="</s>")
    before = table_of(model).clone()

    initialise(model, both, source, "new")
    train(model)

    end = TOKENS.index("</s>")
    assert before[end].any()
    assert table_of(model)[end].any()
    assert not torch.equal(table_of(model)[end], before[end])


def test_oov_policies_and_recipes_of_a_build(model, source, words):
    matrix = initialise(model, words, source, oov="zeros")

    assert not table_of(model)[TOKENS.index("Ġqwe")].any()
    assert same_bits(
        table_of(model)[: len(TOKENS)], torch.from_numpy(matrix.vectors.copy())
    )
    recipe = pe.Recipe(match="unmarked", oov="mean")
    matrix = initialise(model, words, source, recipe=recipe)
    assert matrix.recipe == recipe


def test_a_matrix_for_the_tokenizer_is_taken_as_it_is(model, source, words):
    matrix = pe.build_matrix(pe.Vocabulary.of(words), source, match="unmarked")

    assert initialise(model, words, matrix, "new") is matrix

    table = table_of(model)[: len(TOKENS)]
    assert same_bits(table, torch.from_numpy(matrix.vectors.copy()))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_table_of_another_model_comes_over_to_the_bit(words, tmp_path, tied, dtype):
    other = model_of("gpt2", tied, seed=1).to(dtype)
    other.save_pretrained(tmp_path, max_shard_size="4KB")
    words.save_pretrained(tmp_path)
    model = model_of("llama", tied).to(dtype)

    matrix = initialise(model, words, tmp_path)

    assert matrix.coverage.found == len(WORDS)
    size = len(TOKENS)
    assert same_bits(table_of(model)[1:size], table_of(other)[1:size])
    assert same_bits(
        table_of(model)[size:], table_of(model_of("llama").to(dtype))[size:]
    )


def test_a_tokenizer_in_a_folder(model, source, words, tmp_path):
    words.save_pretrained(tmp_path)

    initialise(model, tmp_path, source)

    assert np.array_equal(table_of(model)[4], vectors()["the"])


# What trains


def test_frozen_rows_count_in_no_norm_that_gradients_are_clipped_to(
    model, source, words
):
    initialise(model, words, source, "new")
    loss_of(model).backward()
    weight = model.get_input_embeddings().weight

    whole = torch.stack([p.grad.norm() for p in model.parameters()]).norm()

    assert not weight.grad[FROZEN].any()
    assert weight.grad[TRAINED].any()
    assert nn.utils.clip_grad_norm_(model.parameters(), 1.0) == whole


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
        (torch.optim.Adafactor, {"lr": 0.1, "weight_decay": 0.1}),
        (torch.optim.NAdam, {"lr": 0.1}),
        (torch.optim.LBFGS, {"lr": 0.1}),
        (torch.optim.Muon, {}),
    ],
)
def test_other_optimisers(model, source, words, kind, options):
    initialise(model, words, source, "new")
    before = table_of(model).clone()
    parameters = list(model.parameters())
    if kind is torch.optim.Muon:
        parameters = [p for p in parameters if p.ndim == 2]
    optimizer = kind(parameters, **options)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)

    check_frozen(model, before)


class Loop:
    """Trains parameters, and is nothing that PyTorch knows."""

    def __init__(self, parameters):
        self.parameters = list(parameters)

    @torch.no_grad()
    def step(self):
        for parameter in self.parameters:
            parameter.mul_(0.9).sub_(parameter.grad, alpha=0.1)


class Copies:
    """Trains copies of float32, as DeepSpeed and apex do, and copies them back."""

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.copies = [nn.Parameter(p.detach().float()) for p in self.parameters]
        self.inner = torch.optim.AdamW(self.copies, lr=0.1, weight_decay=0.5)

    def step(self):
        for own, copied in zip(self.parameters, self.copies, strict=True):
            copied.grad = own.grad.float()
        self.inner.step()
        for own, copied in zip(self.parameters, self.copies, strict=True):
            own.data.copy_(copied.data)


@pytest.mark.parametrize("kind", [Loop, Copies])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_no_optimiser_of_pytorch_is_undone_and_told(
    model, source, words, kind, dtype
):
    model.to(dtype)
    initialise(model, words, source, "new")
    before = table_of(model).clone()
    optimizer = kind(model.parameters())

    for step in range(3):
        if step:
            with pytest.warns(UserWarning, match="put back"):
                loss = loss_of(model)
            assert same_bits(table_of(model)[FROZEN], before[FROZEN])
        else:
            loss = loss_of(model)
        model.zero_grad()
        loss.backward()
        optimizer.step()
    with pytest.warns(UserWarning, match="put back"):
        model.state_dict()

    check_frozen(model, before)


def test_an_optimiser_of_ones_own_that_overrides_step(model, source, words):
    class Lion(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for parameter in self.param_groups[0]["params"]:
                parameter.mul_(0.9).sub_(parameter.grad.sign() + 0.1, alpha=0.1)

    initialise(model, words, source, "new")
    before = table_of(model).clone()

    loss_of(model).backward()
    Lion(model.parameters(), {"lr": 0.1}).step()

    check_frozen(model, before)


@pytest.mark.parametrize("between", ["load_state_dict", "half"])
@pytest.mark.filterwarnings("error:frozen rows")
def test_what_is_loaded_or_cast_after_a_backward_stays(model, source, words, between):
    initialise(model, words, source, "new")
    loss_of(model).backward()
    if between == "half":
        model.to(torch.bfloat16)
    else:
        model.load_state_dict(model_of("llama", seed=1).state_dict())
    before = table_of(model).clone()

    loss_of(model)
    train(model, steps=1)

    check_frozen(model, before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what PyTorch itself does
def test_a_compiled_table_and_a_compiled_step(model, source, words):
    initialise(model, words, source, "new")
    model = copy.deepcopy(model)  # the hook of the gradient is not copied
    before = table_of(model).clone()
    layer = model.get_input_embeddings()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    optimizer = torch.optim.SGD([layer.weight], lr=0.1, weight_decay=0.5)
    step = torch.compile(optimizer.step, backend="eager")

    for _ in range(2):
        compiled(BATCH).square().sum().backward()
        step()

    check_frozen(model, before)


def test_averages_of_weights(model, source, words):
    initialise(model, words, source, "new")
    before = table_of(model).clone()
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )

    for _ in range(2):
        train(model, steps=1)
        average.update_parameters(model)

    check_frozen(average.module, before)


def test_accelerate(model, source, words):
    accelerate = pytest.importorskip("accelerate")
    initialise(model, words, source, "new")
    before = table_of(model).clone()
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    model, optimizer = accelerator.prepare(model, optimizer)

    for _ in range(4):
        with accelerator.accumulate(model):
            accelerator.backward(loss_of(model))
            accelerator.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()

    check_frozen(accelerator.unwrap_model(model), before)


def test_trainer_that_goes_on_where_it_stopped(source, words, tmp_path):
    rows = [{"input_ids": BATCH[i % 2], "labels": BATCH[i % 2]} for i in range(4)]

    def trained(steps, resume):
        model = model_of("llama")
        initialise(model, words, source, "new")
        before = table_of(model).clone()
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path / ("parts" if resume is not None else "whole")),
            max_steps=steps,
            save_steps=2,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            learning_rate=0.1,
            lr_scheduler_type="constant",
            weight_decay=0.5,
            use_cpu=True,
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
        )
        trainer = transformers.Trainer(model, arguments, train_dataset=rows)
        trainer.train(resume_from_checkpoint=resume or None)
        check_frozen(model, before)
        return model

    whole = trained(4, None)
    trained(2, False)
    again = trained(4, str(tmp_path / "parts" / "checkpoint-2"))

    assert torch.allclose(table_of(again), table_of(whole), atol=1e-6)


def test_a_model_that_is_gone_is_gone(source, words):
    model = model_of("llama")
    initialise(model, words, source, "new")
    loss_of(model).backward()
    weight = weakref.ref(model.get_input_embeddings())
    gc.collect()
    before = len(_ALIVE)

    del model
    gc.collect()

    assert weight() is None
    assert len(_ALIVE) == before - 1


# PEFT


def adapted(model, **options):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, task_type="CAUSAL_LM", **options)
    return peft.get_peft_model(model, config)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("options", "moved"),
    [
        ({"target_modules": ["q_proj"]}, []),
        (
            {
                "target_modules": ["q_proj"],
                "trainable_token_indices": {"embed_tokens": [12]},
            },
            [12],
        ),
        (
            {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
            TRAINED,
        ),
        (
            {"target_modules": ["q_proj", "embed_tokens"]},
            sorted(set(BATCH.flatten().tolist())),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:peft")  # of tied tables
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")
def test_adapters_of_peft(source, words, tied, options, moved):
    model = model_of("llama", tied)
    initialise(model, words, source, "new")
    before = table_of(model).clone()
    net = adapted(model, **options)

    train(net)
    logits = logits_of(net)
    merged = net.merge_and_unload()

    now = table_of(merged)
    changed = (now != before).any(1).nonzero().squeeze(1).tolist()
    if "embed_tokens" in options["target_modules"]:
        assert set(moved) - {0} <= set(changed)  # LoRA moves every row
    else:
        assert changed == moved
    if not tied or "embed_tokens" not in options["target_modules"]:  # PEFT unties
        assert torch.allclose(logits_of(merged), logits, atol=1e-4)


# What is refused


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_layer_cannot_be_the_table(kind, source, words):
    model = model_of(kind)
    matrix = pe.build_matrix(pe.Vocabulary.of(words), source, match="unmarked")
    layer = pe_torch.embedding(matrix, freeze="found", multiple_of=8)
    before = model.get_input_embeddings()

    with pytest.raises(pe.errors.OptionError, match=r"transformers\.initialise\("):
        model.set_input_embeddings(layer)

    assert model.get_input_embeddings() is before


def test_a_layer_that_would_drop_frozen_rows_is_refused(source, words):
    model = model_of("llama")
    initialise(model, words, source, train="new")
    before = model.get_input_embeddings()
    plain = nn.Embedding.from_pretrained(before.weight.detach().clone(), freeze=False)

    with pytest.raises(pe.errors.OptionError, match="has frozen rows, and all rows"):
        model.set_input_embeddings(plain)

    assert model.get_input_embeddings() is before
    model.set_input_embeddings(before)
    model.set_input_embeddings(copy.deepcopy(before))
    initialise(model, words, train="all")
    model.set_input_embeddings(plain)
    assert model.get_input_embeddings() is plain


def test_a_split_layer_has_its_place_elsewhere(source, words):
    matrix = pe.build_matrix(pe.Vocabulary.of(words), source, match="unmarked")
    model = model_of("llama")

    model.beside = pe_torch.embedding(matrix, freeze="found")

    assert nn.Sequential(model.beside)[0] is model.beside


@pytest.mark.filterwarnings("ignore:Model has `tie_word")
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")
@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda m: m.resize_token_embeddings(19), "ShapeError", "has 19 rows.*take 20"),
        (
            lambda m: m.resize_token_embeddings(2_000, mean_resizing=False),
            "ShapeError",
            "has 2000 rows.*rows=len",
        ),
        (lambda m: m.to("meta"), "OptionError", "on the meta device"),
        (
            lambda m: m.get_input_embeddings().register_parameter(
                "weight",
                nn.Parameter(torch.zeros(ROWS, DIM, dtype=torch.int8), False),
            ),
            "OptionError",
            "int8, quantised or sharded",
        ),
        (
            lambda m: m.set_input_embeddings(nn.Identity()),
            "OptionError",
            "type Identity.*looks up token ids",
        ),
        (
            lambda m: adapted(m, target_modules=["embed_tokens"]),
            "OptionError",
            "before it is wrapped, by PEFT",
        ),
    ],
)
def test_models_that_cannot_be_filled(model, source, words, change, error, said):
    change(model)

    with pytest.raises(getattr(pe.errors, error), match=said):
        initialise(model, words, source)


def test_a_table_far_longer_than_the_tokenizer_on_ones_word(model, source, words):
    model.resize_token_embeddings(2_000, mean_resizing=False)

    initialise(model, words, source, rows=len(words))

    assert np.array_equal(table_of(model)[4], vectors()["the"])
    with pytest.raises(pe.errors.ShapeError, match="rows=19, but"):
        initialise(model, words, source, rows=19)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"train": np.ones(5, bool)}, "ShapeError", r"train has shape \(5,\)"),
        ({"train": np.arange(20)}, "OptionError", "train is an array of int64"),
        ({"train": "some"}, "OptionError", "train='some': give 'all'"),
        ({"train": 3}, "OptionError", "train=3: give 'all'"),
        ({"train": ["Ġnone"]}, "OptionError", "'Ġnone', not in the vocabulary"),
        ({"tokens": ["none"]}, "VocabularyError", r"tokenizer\.add_tokens"),
        ({"tokens": []}, "VocabularyError", "tokens is empty"),
        ({"freeze": "found"}, "OptionError", "has no freeze="),
        (
            {"oov": "zeros", "recipe": pe.Recipe()},
            "OptionError",
            "recipe",
        ),
    ],
)
def test_options_that_mean_nothing(model, source, words, options, error, said):
    before = table_of(model).clone()

    with pytest.raises(getattr(pe.errors, error), match=said):
        initialise(model, words, source, **options)

    assert same_bits(table_of(model), before)


def test_words_about_a_source_that_is_not_there(model, words):
    with pytest.raises(pe.errors.OptionError, match="give source="):
        initialise(model, words, train="found")


def test_vectors_of_another_dim(model, words, tmp_path):
    path = tmp_path / "wide.txt"
    path.write_text("the " + "0.5 " * 20 + "\n")

    with pytest.raises(pe.errors.ShapeError, match=r"dim 20.*16.*pca:16"):
        initialise(model, words, path)
    with pytest.raises(pe.errors.ShapeError, match=r"dim 20"):
        initialise(model, words, path, oov="zeros")


def test_what_is_no_model(words, source):
    with pytest.raises(pe.errors.OptionError, match=r"model is of type Linear"):
        initialise(nn.Linear(2, 2), words, source)
    with pytest.raises(pe.errors.OptionError, match=r"give model\.module"):
        initialise(nn.DataParallel(nn.Linear(2, 2)), words, source)


@pytest.mark.parametrize("kept", [True, False])  # use_orig_params of FSDP
def test_a_table_that_was_flattened_is_told_of(model, source, words, kept):
    initialise(model, words, source, "new")
    layer = model.get_input_embeddings()
    flat = layer.weight.detach()
    del layer._parameters["weight"]
    layer.weight = nn.Parameter(flat.flatten()[:40]) if kept else flat
    optimizer = torch.optim.SGD([layer.weight if kept else nn.Parameter(flat)])

    with pytest.raises(pe.errors.OptionError, match="was flattened, or sharded"):
        optimizer.step()
    initialise_all = [m for m in model.modules() if m._forward_pre_hooks]
    assert initialise_all
    type(next(iter(layer._forward_pre_hooks.values()))).stop(model.modules())


def test_every_word_of_these_tests_is_one_token(words):
    assert words.tokenize(" ".join(WORDS)) == TOKENS[4:]


def test_ids_are_no_tokens_to_train(model, words):
    with pytest.raises(
        pe.errors.OptionError, match="train lists 1: give 'all', 'new', 'found'"
    ):
        initialise(model, words, train=[1, 2])
