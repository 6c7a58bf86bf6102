"""Models of transformers under another tokenizer, loaded again by transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import pretrained_embed as pe
from pretrained_embed import RowStart

from .models import same_bits

transformers.utils.logging.disable_progress_bar()

DIM = 16

#: Byte-level, as GPT-2's is; "é" is two bytes, of which one is a token.
OLD = ["<|end|>", "Ġ", *"abcdeghnost", "Ã", "Ġthe", "Ġcat", "Ġdog", "s", "Ġ"]
OLD = [*dict.fromkeys(OLD)]

#: SentencePiece's custom, with tokens for bytes.
NEW = ["<pad>", "<s>", "</s>", "<0xC3>", "▁the", "▁dogs", "▁cat", "s", "▁qqq", "▁than"]


def byte_level():
    merges = []
    made = Tokenizer(models.BPE({t: i for i, t in enumerate(OLD)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    end = "<|end|>"
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=end, bos_token=end, unk_token=end
    )


def metaspace():
    made = Tokenizer(
        models.Unigram([(token, -1.0) for token in NEW], unk_id=0, byte_fallback=False)
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def pieces(text):
    """Return the longest tokens that a text of the old tokenizer starts with."""
    rest, found = text.replace(" ", "Ġ"), []
    while rest:
        fits = [token for token in OLD if rest.startswith(token)]
        found.append(max(fits, key=len, default=rest[0]))
        rest = rest[len(found[-1]) :]
    return found


@pytest.fixture(scope="module", params=["tied", "untied"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "old"
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(OLD) + 3,  # padded
        hidden_size=DIM,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=None,
        bos_token_id=0,
        eos_token_id=[0, 3],
        tie_word_embeddings=request.param == "tied",
    )
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(path, max_shard_size="2KB")
    byte_level().save_pretrained(path)
    (path / "pytorch_model.bin").write_bytes(b"of before")
    return path


def old_rows(folder):
    model = transformers.LlamaForCausalLM.from_pretrained(folder)
    head = model.get_output_embeddings().weight.detach()
    return model.get_input_embeddings().weight.detach(), head


def loaded(folder):
    model, said = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    assert not said["mismatched_keys"]
    return model


@pytest.mark.parametrize("given", ["object", "folder", "file", "tokenizers"])
def test_the_model_loads_with_its_new_tokenizer(folder, tmp_path, given):
    new = metaspace()
    new.save_pretrained(tmp_path / "new")
    tokenizer = {
        "object": new,
        "folder": tmp_path / "new",
        "file": tmp_path / "new" / "tokenizer.json",
        "tokenizers": new.backend_tokenizer,
    }[given]

    made = pe.transplant(folder, None, tokenizer, pieces=pieces, multiple_of=8)
    made.save(tmp_path / "out")

    model = loaded(tmp_path / "out")
    table = model.get_input_embeddings().weight.detach()
    old, head = old_rows(folder)
    assert table.shape == (16, DIM)
    assert model.config.vocab_size == 16
    assert table.dtype == torch.bfloat16
    for token, was in {"▁the": "Ġthe", "▁cat": "Ġcat", "s": "s", "<0xC3>": "Ã"}.items():
        assert made.explain(token).start == RowStart.SHARED
        assert made.explain(token).parts == ((was, 1.0),)
        row, before = NEW.index(token), OLD.index(was)
        assert same_bits(table[row], old[before])
        new_head = model.get_output_embeddings().weight.detach()
        assert same_bits(new_head[row], head[before])
    dogs = made.explain("▁dogs")
    assert dogs == ("▁dogs", 5, RowStart.PIECES, (("Ġdog", 0.5), ("s", 0.5)))
    assert [RowStart(code).name for code in made.start[10:]] == ["PADDING"] * 6
    # What begins and ends a text goes on doing so; the pad there was not is there now.
    if given != "file":
        again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
        assert again.get_vocab() == new.get_vocab()
    if given in ("object", "folder"):
        assert made.explain("</s>").parts == (("<|end|>", 1.0),)
        assert model.config.eos_token_id == [2]
    assert (model.config.pad_token_id, model.config.bos_token_id) == (0, 1)
    assert model.generation_config.bos_token_id == 1
    assert 2 in model.generation_config.eos_token_id
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()
    ids = torch.tensor([[1, 4, 5]])
    assert torch.isfinite(model(input_ids=ids).logits).all()


def test_a_tokenizer_that_grew(folder, tmp_path):
    made = pe.transplant(folder, new_tokens=["dogs", "zebra"], pieces=pieces)
    made.save(tmp_path / "out")

    model, old = loaded(tmp_path / "out"), old_rows(folder)[0]
    table = model.get_input_embeddings().weight.detach()
    size = len(OLD)
    assert table.shape == old.shape  # there was room in the padding
    others = [row for row in range(len(old)) if row not in (size, size + 1)]
    assert same_bits(table[others], old[others])
    assert made.explain("dogs").parts == (("Ġdog", 0.5), ("s", 0.5))
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.convert_tokens_to_ids(["dogs", "zebra"]) == [size, size + 1]
    assert again.tokenize("dogs") == ["dogs"]
    assert model.config.eos_token_id == [0, 3]


def test_a_live_tokenizer_grows_as_transformers_lets_it(folder, tmp_path):
    mine = byte_level()

    made = pe.transplant(
        folder, mine, new_tokens=["dogs"], pieces=pieces, multiple_of=64
    )
    made.save(tmp_path / "out")

    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.convert_tokens_to_ids("dogs") == len(OLD)
    assert "dogs" not in mine.get_vocab()
    assert len(loaded(tmp_path / "out").get_input_embeddings().weight) == 64


def test_new_rows_have_the_norm_of_their_parts(folder):
    plain = pe.transplant(folder, None, metaspace(), pieces=pieces)
    matched = pe.transplant(folder, None, metaspace(), pieces=pieces, match_norms=True)

    old = old_rows(folder)[0].float().numpy()
    dogs = NEW.index("▁dogs")
    parts = [old[OLD.index(token)] for token in ("Ġdog", "s")]
    wanted = np.mean([np.linalg.norm(part) for part in parts])
    assert np.linalg.norm(plain.vectors[dogs]) < 0.95 * wanted
    assert np.linalg.norm(matched.vectors[dogs]) == pytest.approx(wanted, rel=0.01)
    the = NEW.index("▁the")
    assert np.array_equal(matched.vectors[the], plain.vectors[the])


@pytest.mark.parametrize("given", ["mapping", "matrix", "file"])
def test_rows_of_ones_own(folder, tmp_path, given):
    own = np.arange(DIM, dtype=np.float32)
    matrix = pe.EmbeddingMatrix(own[None], pe.Vocabulary(["▁dogs"], pad=None))
    matrix.save(tmp_path / "own.txt")
    override = {
        "mapping": {"▁dogs": own},
        "matrix": matrix,
        "file": tmp_path / "own.txt",
    }[given]

    made = pe.transplant(folder, None, metaspace(), pieces=pieces, override=override)

    row = NEW.index("▁dogs")
    assert np.array_equal(made.vectors[row], own)
    assert made.start[row] == RowStart.OWN
    made.save(tmp_path / "out")
    model = loaded(tmp_path / "out")
    head = model.get_output_embeddings().weight.detach().float().numpy()
    tied = model.config.tie_word_embeddings
    assert np.array_equal(head[row], own) == tied


def test_matching_pursuit_finds_the_sum_that_is_there(folder, tmp_path):
    """In another model "▁dogs" is 2 the - 0.5 cat: so it becomes that here."""
    random = np.random.default_rng(0)
    space = random.normal(size=(len(NEW), 32)).astype(np.float32)
    at = NEW.index
    space[at("▁dogs")] = 2 * space[at("▁the")] - 0.5 * space[at("▁cat")]
    donor = pe.EmbeddingMatrix(space, pe.Vocabulary(NEW, pad=None))

    made = pe.transplant(folder, None, metaspace(), init="omp,mean", static=donor)

    found = made.explain("▁dogs")
    assert found.start == RowStart.OMP
    parts = dict(found.parts)
    assert parts == pytest.approx({"Ġthe": 2.0, "Ġcat": -0.5}, abs=1e-5)
    donor.save(tmp_path / "donor.npz")
    again = pe.transplant(
        folder, None, metaspace(), init=["omp"], static=tmp_path / "donor.npz"
    )
    assert again.explain("▁dogs") == found


def test_the_ledger_has_a_line_for_each_token(folder, tmp_path):
    made = pe.transplant(folder, None, metaspace(), pieces=pieces)

    made.save_ledger(tmp_path / "ledger.jsonl")

    lines = (tmp_path / "ledger.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    assert [one["token"] for one in said] == NEW
    assert said[5]["start"] == "pieces"
    assert said[5]["parts"] == [["Ġdog", 0.5], ["s", 0.5]]


# What is refused


def test_tokenizers_that_are_swapped_or_of_another_model(folder):
    with pytest.raises(pe.errors.OptionError, match="tokenizers are swapped"):
        pe.transplant(folder, metaspace(), byte_level())
    other = {token: id for id, token in enumerate(reversed(OLD))}
    with pytest.raises(pe.errors.OptionError, match="is not that of"):
        pe.transplant(folder, other, metaspace())


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, "OptionError", "one of the two"),
        ({"new_tokens": ["Ġcat"]}, "VocabularyError", "has it already; leave it out"),
        ({"new_tokens": ["x", "x"]}, "VocabularyError", "list has it already"),
        ({"new_tokens": [" "]}, "VocabularyError", "no token that can be"),
        ({"new_tokens": []}, "VocabularyError", "no token to add"),
        ({"new_tokens": ["x"], "multiple_of": 0}, "OptionError", "multiple_of=0"),
        ({"new_tokens": ["x"], "init": "omp"}, "OptionError", "needs static="),
        ({"new_tokens": ["x"], "init": "omp mean"}, "OptionError", "'omp,mean'"),
        (
            {"new_tokens": ["x"], "override": {"y": np.ones(DIM)}},
            "OptionError",
            "'y', which is no token",
        ),
        (
            {"new_tokens": ["x"], "override": {"x": np.ones(3)}},
            "ShapeError",
            "rows of 16 numbers",
        ),
        (
            {"new_tokens": ["x"], "override": {"x": np.full(DIM, np.nan)}},
            "OptionError",
            "'x' numbers that are not finite",
        ),
    ],
)
def test_options_that_mean_nothing(folder, options, error, said):
    with pytest.raises(getattr(pe.errors, error), match=said):
        pe.transplant(folder, **{"pieces": pieces} | options)


def test_a_plain_mapping_cannot_grow(folder):
    ids = {token: id for id, token in enumerate(OLD)}

    with pytest.raises(pe.errors.OptionError, match="plain mapping"):
        pe.transplant(folder, ids, new_tokens=["x"])


def test_a_folder_with_two_models(folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "both")
    (tmp_path / "both" / "model.safetensors").write_bytes(b"")

    with pytest.raises(pe.errors.FormatError, match="take one away"):
        pe.transplant(tmp_path / "both", None, metaspace())
