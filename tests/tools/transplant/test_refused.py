"""Models and tokenizers that do not fit, or are damaged, are told apart."""

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

import torch

import pretrained_embed as pe

from .models import OLD, ids, table, write_model

INPUT = "model.embed_tokens.weight"


def moved(model, old=OLD, new=OLD, **options):
    old = old if isinstance(old, dict) else ids(old)
    new = new if isinstance(new, dict) else ids(new)
    return pe.transplant(model, old, new, init=options.pop("init", "mean"), **options)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model", {INPUT: table()})


def test_a_model_without_an_embedding(tmp_path):
    model = write_model(tmp_path / "model", {"some.weight": table()})

    with pytest.raises(
        pe.errors.FormatError, match=r"name it with tensor=.*some\.weight"
    ):
        moved(model)
    assert list(moved(model, tensor="some.weight").tensors) == ["some.weight"]
    with pytest.raises(pe.errors.OptionError, match="no table of the name 'other'"):
        moved(model, tensor="other")


def test_a_model_with_two_that_differ(tmp_path):
    names = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    tensors = {name: table(seed=seed) for seed, name in enumerate(names)}
    model = write_model(tmp_path / "model", tensors)

    with pytest.raises(pe.errors.FormatError, match="may all be the input embedding"):
        moved(model)
    assert list(moved(model, tensor=names[1]).tensors) == [names[1]]


def test_copies_of_one_embedding_are_all_renewed(tmp_path):
    names = ("shared.weight", "encoder.embed_tokens.weight")
    model = write_model(tmp_path / "model", {name: table() for name in names})

    assert set(moved(model).tensors) == set(names)


def test_a_config_that_tells_another_size(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()}, vocab_size=7)

    with pytest.raises(pe.errors.ShapeError, match=r"vocab_size is 7 .* has 8 rows"):
        moved(model)


def test_a_size_in_the_config_of_the_text_part(tmp_path):
    model = write_model(
        tmp_path / "model",
        {INPUT: table()},
        vocab_size=None,
        text_config={"vocab_size": 8},
    )

    moved(model, new=OLD[:5]).save(tmp_path / "out")

    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["text_config"], config["vocab_size"]) == ({"vocab_size": 5}, None)


def test_a_config_without_a_size(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()}, vocab_size=None)

    with pytest.raises(pe.errors.FormatError, match=r"config\.json: has no vocab_size"):
        moved(model)


def test_a_tokenizer_of_another_model(model):
    with pytest.raises(
        pe.errors.ShapeError, match="ids of the old tokenizer go up to 8"
    ):
        moved(model, old=[*OLD, "more"])


def test_a_head_with_fewer_rows(tmp_path):
    tensors = {INPUT: table(), "lm_head.weight": table(rows=5)}
    model = write_model(tmp_path / "model", tensors)

    with pytest.raises(pe.errors.ShapeError, match=r"'lm_head\.weight' has 5 rows"):
        moved(model)


def test_a_new_tokenizer_with_holes(model):
    with pytest.raises(
        pe.errors.VocabularyError, match="no token with id 1, and 2 such"
    ):
        moved(model, new={"a": 0, "b": 3})


def test_options_that_mean_nothing(model):
    with pytest.raises(pe.errors.OptionError, match="did you mean 'pieces'"):
        moved(model, init="piece")
    with pytest.raises(pe.errors.OptionError, match="init is empty"):
        moved(model, init=())
    with pytest.raises(pe.errors.OptionError, match="needs static="):
        moved(model, init="similarity")
    with pytest.raises(pe.errors.OptionError, match="special names '<a>'"):
        moved(model, special={"<a>": "<pad>"})


def test_a_quantised_embedding(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table().to(torch.int8)})

    with pytest.raises(
        pe.errors.FormatError, match="I8 is not one of F64, F32, F16, BF16"
    ):
        moved(model)


def test_a_model_without_weights(tmp_path, model):
    (model / "model.safetensors").rename(model / "model.pickle")

    with pytest.raises(pe.errors.SourceError, match=r"cannot read.*model\.safetensors"):
        moved(model)


def test_a_pickle_that_is_none(tmp_path, model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")

    with pytest.raises(pe.errors.FormatError, match="is no opcode"):
        moved(model)


@pytest.mark.parametrize("name", ["../b.safetensors", "/b.safetensors", 3])
def test_an_index_that_points_elsewhere(tmp_path, name):
    model = write_model(tmp_path / "model", {INPUT: table()}, shards=True)
    index = {"weight_map": {INPUT: name}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(pe.errors.FormatError, match="not the name of a file beside it"):
        moved(model)


def test_an_index_that_names_what_is_not_there(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()}, shards=True)
    index = {"weight_map": {INPUT: "a.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(pe.errors.FormatError, match=f"tensor '{INPUT}' is missing"):
        moved(model)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff"])
def test_a_config_that_is_damaged(model, content):
    (model / "config.json").write_bytes(content)

    with pytest.raises(pe.errors.FormatError, match=r"config\.json: not "):
        moved(model)


def test_a_file_that_is_cut_short(model):
    raw = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(raw[:-1])

    with pytest.raises(pe.errors.TruncatedError):
        moved(model)
