"""Folders of models, as the libraries that they are of wrote them; see make.py."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance import all_rows, select
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_tensors
from tables import stream_of

from pretrained_embed import formats, sources
from pretrained_embed.errors import FormatError, SourceError, UnknownFormatError
from pretrained_embed.formats import Reader
from pretrained_embed.formats.table import HOLES
from pretrained_embed.formats.tensors.embedding import inputs_of_encoder

DATA = Path(__file__).parents[1] / "data" / "hugging_face"
ANSWERS = json.loads((DATA / "answers.json").read_text("ascii"))
VECTORS = np.load(DATA / "answers.npz")
EACH = pytest.mark.parametrize("model", ANSWERS)


def open_folder(path: Path | str) -> Reader:
    return formats.open_reader(sources.open_source(path))


def copied(model: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / model, tmp_path / model))


@EACH
def test_a_token_has_the_vector_that_its_library_gives_it(model):
    tokens = ANSWERS[model]

    with open_folder(DATA / model) as reader:
        out, selection = select(reader, [(t, i, 0) for i, t in enumerate(tokens)])

    assert reader.format == "hugging-face"
    assert out[: len(tokens)].tobytes() == VECTORS[model].tobytes()
    assert (selection.source_rows[: len(tokens)] >= 0).all()


@EACH
def test_the_file_of_vectors_in_a_folder_gives_the_same_rows(model):
    files = sorted((DATA / model).glob("*.safetensors"))

    with open_folder(DATA / model) as folder, open_folder(files[0]) as file:
        expected, given = all_rows(folder), all_rows(file)

    assert file.format == "safetensors"
    assert given[0] == expected[0]
    assert given[1].tobytes() == expected[1].tobytes()


def test_tokens_are_spelled_as_their_tokenizer_spells_them():
    for model, spelled in (("bert", "##ing"), ("gpt2", "Ġthe"), ("t5", "▁the")):
        with open_folder(DATA / model) as reader:
            tokens, _ = all_rows(reader)
        assert spelled in tokens


def test_rows_beyond_the_tokenizer_are_rows_without_token():
    table = formats.read_table(sources.open_source(DATA / "gpt2"))

    assert table.arrays[HOLES].tolist() == list(range(12, 32))
    assert len(table.tokens) == 32
    assert table.tokens.unpack()[:12] == ANSWERS["gpt2"]


def test_a_model_without_such_rows_has_no_holes():
    assert formats.read_table(sources.open_source(DATA / "bert")).arrays == {}


def test_a_model_tells_what_it_is():
    with open_folder(DATA / "llama") as reader:
        assert reader.facts == {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "vocab_size": 11,
            "tie_word_embeddings": False,
            "dtype": "float16",
            "tensor": "model.embed_tokens.weight",
            "file": "model-00001-of-00002.safetensors",
            "stored_dtype": "F16",
        }
    with open_folder(DATA / "model2vec-clusters") as reader:
        assert reader.facts["normalize"] is True
        assert reader.facts["vocabulary_quantization"] == 5


def test_what_is_done_to_the_numbers_is_said():
    def notes(model: str) -> list[str]:
        with open_folder(DATA / model) as reader:
            all_rows(reader)
        return reader.findings.notes

    assert notes("model2vec-clusters") == [
        "vectors from tensor embeddings",
        "17 tokens share 5 vectors",
        "each vector times the weight of its token",
        "tokens from tokenizer.json",
    ]
    assert notes("model2vec-int8")[-1] == (
        "stored as int8, without a scale: whole numbers as they are"
    )
    assert "stored as bfloat16" in notes("bert")


def test_only_the_file_with_the_embedding_has_to_be_there(tmp_path):
    folder = copied("llama", tmp_path)
    (folder / "model-00002-of-00002.safetensors").unlink()

    with open_folder(folder) as reader:
        _, vectors = all_rows(reader)

    assert vectors.tobytes() == VECTORS["llama"].tobytes()


def test_a_part_of_a_model_may_have_a_folder_of_its_own(tmp_path):
    part = Path(shutil.copytree(DATA / "static-embedding", tmp_path / "0_Static"))
    kind = "sentence_transformers.models.StaticEmbedding"
    (part / "modules.json").unlink()
    modules = json.dumps([{"idx": 0, "path": part.name, "type": kind}])
    (tmp_path / "modules.json").write_text(modules)

    with open_folder(tmp_path) as reader:
        out, _ = select(reader, [("the", 0, 0)])

    row = ANSWERS["static-embedding"].index("the")
    assert out[0].tobytes() == VECTORS["static-embedding"][row].tobytes()


# Tokenizers without a tokenizer.json


def with_tokens(tmp_path: Path, **files: object) -> Path:
    """The model of BERT with other files of tokens; text is written as it is."""
    folder = copied("bert", tmp_path)
    (folder / "tokenizer.json").unlink()
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, "utf-8", newline="")
    return folder


WORDS = ANSWERS["bert"]


@pytest.mark.parametrize(
    "files",
    [
        {"vocab__txt": "\n".join(WORDS)},
        {"vocab__txt": "\r\n".join(WORDS) + "\r\n"},
        {"vocab__json": {word: id for id, word in reversed([*enumerate(WORDS)])}},
        {
            "vocab__txt": "\n".join(WORDS[:15]),
            "added_tokens__json": {WORDS[16]: 16, WORDS[15]: 15},
        },
        {
            "vocab__json": {word: id for id, word in enumerate(WORDS[1:], 1)},
            "tokenizer_config__json": {
                "added_tokens_decoder": {"0": {"content": "[PAD]"}}
            },
        },
    ],
    ids=["txt", "txt-crlf", "json", "txt-added", "json-added"],
)
def test_tokens_come_from_older_files_too(tmp_path, files):
    with open_folder(with_tokens(tmp_path, **files)) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == WORDS
    assert vectors.tobytes() == VECTORS["bert"].tobytes()


def test_an_added_token_takes_the_row_of_another_and_it_is_said(tmp_path):
    folder = with_tokens(
        tmp_path, vocab__txt="\n".join(WORDS), added_tokens__json={"new": 16}
    )

    with open_folder(folder) as reader:
        tokens, _ = all_rows(reader)

    assert tokens == [*WORDS[:16], "new"]
    assert "1 tokens gave their rows to added ones" in reader.findings.notes


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({}, r"has no tokens: none of tokenizer\.json.*AutoTokenizer"),
        ({"tokenizer__json": "{"}, r"tokenizer\.json: not JSON"),
        ({"tokenizer__json": {"model": {"vocab": 3}}}, "not the vocabulary"),
        ({"tokenizer__json": {"model": {"vocab": [[1, 2]]}}}, "not the vocabulary"),
        ({"tokenizer__json": {"added_tokens": []}}, "not the vocabulary"),
        ({"vocab__json": {"a": 0, "b": 17}}, r"'b' has id 17, but .* has 17 rows"),
        ({"vocab__json": {"a": -1}}, "'a' has no id but -1"),
        ({"vocab__json": {"a": True}}, "'a' has no id but True"),
        ({"vocab__json": {"\ud800": 0}}, "half a character"),
        ({"vocab__txt": "\n".join([*WORDS, "b"])}, "not that of the model"),
        (
            {"vocab__txt": "a", "tokenizer_config__json": {"added_tokens_decoder": 3}},
            "added_tokens_decoder",
        ),
        ({"whitespacetokenizer_config__json": {"vocab": "a"}}, "no list of strings"),
    ],
)
def test_tokens_that_do_not_go_with_the_rows_are_refused(tmp_path, files, match):
    with pytest.raises(FormatError, match=match):
        open_folder(with_tokens(tmp_path, **files))


# Weights


def pickled(model: str, tmp_path: Path, **saving: Any) -> Path:
    """Copy a model, its weights as they were before safetensors."""
    folder = copied(model, tmp_path)
    index = folder / "model.safetensors.index.json"
    if index.exists():
        renamed = index.read_text().replace("safetensors", "bin")
        (folder / "pytorch_model.bin.index.json").write_text(renamed)
        index.unlink()
    for file in folder.glob("*.safetensors"):
        name = "pytorch_model" if file.stem == "model" else file.stem
        torch.save(load_tensors(file), folder / f"{name}.bin", **saving)
        file.unlink()
    return folder


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("model", ["bert", "gpt2", "llama", "t5"])
def test_weights_that_are_a_pickle_give_the_same_rows(model, old, tmp_path):
    folder = pickled(model, tmp_path, _use_new_zipfile_serialization=not old)

    with open_folder(folder) as reader, open_folder(DATA / model) as expected:
        rows, right = all_rows(reader), all_rows(expected)
        assert reader.facts["stored_dtype"] == expected.facts["stored_dtype"]

    assert rows[0] == right[0]
    assert rows[1].tobytes() == right[1].tobytes()


def test_another_tensor_of_a_folder_can_be_named(tmp_path):
    tokens = [f"<{i}>" for i in range(11)]
    folder = copied("llama", tmp_path)
    head = load_file(folder / "model-00002-of-00002.safetensors")["lm_head.weight"]

    with open_folder(f"{folder}#lm_head.weight") as reader:
        table = reader.table()

    assert table.vectors.tobytes() == head.astype(np.float32).tobytes()
    assert len(table.tokens) == len(tokens)
    with pytest.raises(FormatError, match=r"index\.json: names no tensor 'no'"):
        open_folder(f"{folder}#no")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("model-q4.gguf", "llama.cpp. Name the file"),
        ("model.onnx", "computation graph.*safetensors"),
        ("tf_model.h5", "TensorFlow.*safetensors"),
        ("flax_model.msgpack", "Flax.*safetensors"),
        ("adapter_model.safetensors", "adapter"),
        ("config.json", "neither model.safetensors nor .*get the model's files again"),
    ],
)
def test_weights_in_other_files_are_named(tmp_path, name, match):
    (tmp_path / name).write_bytes(b"{}")

    with pytest.raises(UnknownFormatError, match=match):
        open_folder(tmp_path)


def test_a_folder_without_any_file_of_a_model_is_no_model(tmp_path):
    (tmp_path / "notes.txt").touch()

    with pytest.raises(UnknownFormatError, match="a folder; name the file"):
        open_folder(tmp_path)


def changed_model2vec(tmp_path: Path, **tensors: np.ndarray) -> Path:
    folder = copied("model2vec-clusters", tmp_path)
    path = folder / "model.safetensors"
    save_file({**load_file(path), **tensors}, path)
    return folder


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        ({"mapping": np.full(17, 5, np.int32)}, "vectors 5 to 5, but there are 5"),
        ({"mapping": np.full(17, -1, np.int32)}, "vectors -1 to -1"),
        ({"mapping": np.zeros((17, 1), np.int32)}, "expected a row of integers"),
        ({"mapping": np.zeros(17, np.float32)}, "expected a row of integers"),
        ({"mapping": np.zeros(16, np.int32)}, "expected 16 floats, one for each"),
        ({"weights": np.zeros(16, np.float32)}, "expected 17 floats, one for each"),
        ({"weights": np.zeros(17, np.int32)}, "expected 17 floats, one for each"),
    ],
)
def test_shared_vectors_that_do_not_fit_are_refused(tmp_path, tensors, match):
    with pytest.raises(FormatError, match=match):
        open_folder(changed_model2vec(tmp_path, **tensors))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("[", "not a list of modules"),
        ("{}", "has an embedding that can be read"),
        ("[3]", "not a list of modules"),
        ('[{"type": "a.StaticEmbedding", "path": ".."}]', "not a folder beside it"),
        ('[{"type": "a.StaticEmbedding", "path": "/tmp"}]', "not a folder beside it"),
        ('[{"type": "a.CLIPModel", "path": ""}]', "none of CLIPModel"),
    ],
)
def test_modules_that_lead_nowhere_are_refused(tmp_path, content, match):
    folder = copied("static-embedding", tmp_path)
    (folder / "modules.json").write_text(content)

    with pytest.raises(FormatError, match=match):
        open_folder(folder)


def test_a_part_that_is_not_there_is_our_error(tmp_path):
    kind = "sentence_transformers.models.StaticEmbedding"
    modules = json.dumps([{"idx": 0, "path": "0_Static", "type": kind}])
    (tmp_path / "modules.json").write_text(modules)

    with pytest.raises(SourceError, match=r"cannot read .*0_Static"):
        open_folder(tmp_path)


def test_an_index_that_names_files_elsewhere_is_refused(tmp_path):
    folder = copied("llama", tmp_path)
    index = {"weight_map": {"model.embed_tokens.weight": "../x.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(FormatError, match="not the name of a file beside it"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("name", "match", "error"),
    [
        ("model.norm.weight", "expected one matrix", FormatError),
        ("model.embed_tokens.weight", "model-3.safetensors", SourceError),
    ],
)
def test_an_index_without_the_embedding_is_refused(tmp_path, name, match, error):
    folder = copied("llama", tmp_path)
    index = {"weight_map": {name: "model-3.safetensors", "head": "a.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(error, match=match):
        open_folder(folder)


def test_an_index_that_names_the_wrong_file_is_refused(tmp_path):
    folder = copied("llama", tmp_path)
    name = "model.embed_tokens.weight"
    index = {"weight_map": {name: "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(FormatError, match=f"00002.safetensors: has no tensor '{name}'"):
        open_folder(folder)


def test_a_quantised_table_is_refused_as_one(tmp_path):
    folder = copied("gpt2", tmp_path)
    tensors = {"transformer.wte.weight": np.ones((4, 2), np.uint32)}
    save_file({**tensors, "other": np.ones((4, 2))}, folder / "model.safetensors")

    with pytest.raises(FormatError, match=r"wte\.weight': U32 of shape.*quantised"):
        open_folder(folder)


def test_a_file_of_a_model_without_its_embedding_says_to_name_the_folder():
    file = DATA / "llama" / "model-00002-of-00002.safetensors"

    with pytest.raises(FormatError, match="several files, name the folder"):
        open_folder(file)


@pytest.mark.parametrize("reference", ["4a1c", "4a1c\n"])
def test_a_model_in_the_cache_of_the_hub_is_found(tmp_path, reference):
    folder = tmp_path / "models--org--bert"
    shutil.copytree(DATA / "bert", folder / "snapshots" / "4a1c")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(reference)

    with open_folder(folder) as reader:
        assert reader.count == 17


@pytest.mark.parametrize("reference", ["other", "..", "../../bert", "/", "a\0b"])
def test_a_reference_to_no_snapshot_is_followed_nowhere(tmp_path, reference):
    folder = tmp_path / "models--org--bert"
    shutil.copytree(DATA / "bert", tmp_path / "bert")
    (folder / "snapshots" / "4a1c").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(reference)

    with pytest.raises(UnknownFormatError, match="a folder; name the file"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["transformer.wte.weight", "lm_head.weight"], ["transformer.wte.weight"]),
        (
            ["shared.weight", "encoder.embed_tokens.weight", "decoder.wte.weight"],
            ["shared.weight"],
        ),
        (["encoder.wte.weight", "decoder.wte.weight"], ["encoder.wte.weight"]),
        (["model.decoder.embed_tokens.weight"], ["model.decoder.embed_tokens.weight"]),
        (["a.wte.weight", "b.wte.weight"], ["a.wte.weight", "b.wte.weight"]),
        (["embeddings.position_embeddings.weight", "awte.weight"], []),
    ],
)
def test_the_input_embedding_is_known_by_its_name(names, expected):
    assert inputs_of_encoder(names) == expected


def test_two_tensors_that_may_be_the_embedding_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({f"{n}.wte.weight": np.ones((2, 2), np.float32) for n in "ab"}, path)

    with pytest.raises(
        FormatError, match=r"several.*\n  'a\.wte\.weight' \(2, 2\) F32\n  'b\.wte"
    ):
        formats.open_reader(stream_of(path))


def test_the_encoder_of_a_pipeline_has_its_tokens_in_the_folder_beside(tmp_path):
    (tmp_path / "tokenizer_2").mkdir()
    folder = copied("bert", tmp_path).rename(tmp_path / "text_encoder_2")
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer_2" / "tokenizer.json")

    with open_folder(folder) as reader, open_folder(DATA / "bert") as expected:
        assert all_rows(reader)[0] == all_rows(expected)[0]


def test_tokens_of_a_folder_can_be_given(tmp_path):
    folder = copied("bert", tmp_path)
    (tmp_path / "t.txt").write_text("".join(f"t{i}\n" for i in range(17)))

    source = replace(sources.open_source(folder), tokens_path=tmp_path / "t.txt")
    with formats.open_reader(source) as reader:
        assert all_rows(reader)[0][:2] == ["t0", "t1"]
