"""Row by row: what the tables of a model become under another tokenizer."""

import json
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

import torch
from safetensors.torch import load_file, save_file

import pretrained_embed as pe
from pretrained_embed import RowStart

from .models import (
    BODY,
    DIM,
    OLD,
    ids,
    longest_first,
    read_model,
    same_bits,
    table,
    write_model,
)

NEW = ["</s>", "▁dog", "▁unhappy", "▁cats", "qwzx", "▁the", "<new>"]
INPUT = "model.embed_tokens.weight"
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def row(tensor, token):
    return tensor[OLD.index(token)]


def mean_of(tensor, tokens):
    """Return the mean of rows as torch rounds it."""
    rows = torch.stack([row(tensor, token) for token in tokens]).double()
    return (
        rows.mean(0).float().to(tensor.dtype)
        if tensor.dtype != torch.float64
        else (rows.mean(0))
    )


def moved(model, new=NEW, **options):
    options.setdefault("pieces", longest_first(OLD))
    return pe.transplant(model, ids(OLD), ids(new), **options)


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_row_of_the_new_table(tmp_path, dtype, shards):
    old = table(dtype)
    model = write_model(tmp_path / "model", {INPUT: old}, shards=shards)

    result = moved(model)
    result.save(tmp_path / "out")

    new = read_model(tmp_path / "out")[INPUT]
    assert new.dtype == dtype
    assert new.shape == (len(NEW), DIM)
    for token in ("</s>", "▁dog", "▁the"):
        assert same_bits(new[NEW.index(token)], row(old, token))
    assert same_bits(new[2], mean_of(old, ["▁un", "happy"]))
    assert same_bits(new[3], mean_of(old, ["▁cat", "s"]))
    assert same_bits(new[4], mean_of(old, OLD))
    assert [RowStart(code).name for code in result.start] == [
        *("SHARED", "SHARED", "PIECES", "PIECES", "MEAN", "SHARED", "MEAN")
    ]


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_of_torch_save_becomes_one_of_safetensors(tmp_path, dtype, shards):
    tables = {INPUT: table(dtype), "lm_head.weight": table(dtype)}
    model = write_model(tmp_path / "model", tables, shards=shards)
    moved(model).save(tmp_path / "expected")
    pickled(model)

    moved(model).save(tmp_path / "out")

    expected, new = read_model(tmp_path / "expected"), read_model(tmp_path / "out")
    assert new.keys() == expected.keys()
    assert all(same_bits(new[name], tensor) for name, tensor in expected.items())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert not any("pytorch" in name or name.endswith(".bin") for name in names)
    if shards:
        index, known = (
            json.loads((tmp_path / folder / "model.safetensors.index.json").read_text())
            for folder in ("out", "expected")
        )
        assert index == known


def pickled(model):
    """Turn the files of a model into those of torch.save."""
    for path in model.glob("*.safetensors"):
        tensors = load_file(path)
        name = path.name.replace("model.", "pytorch_model.")
        torch.save(OrderedDict(tensors), (model / name).with_suffix(".bin"))
        path.unlink()
    index = model / "model.safetensors.index.json"
    if index.is_file():
        text = index.read_text().replace(".safetensors", ".bin")
        (model / "pytorch_model.bin.index.json").write_text(text)
        index.unlink()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"step": 3}, "no state dict of plain tensors; load"),
        ({"more": {"weight": torch.ones(2)}}, "no state dict"),
        ({"odd": torch.ones(2, dtype=torch.complex128)}, "'odd' is complex128"),
    ],
)
def test_a_file_that_would_lose_something_is_refused(tmp_path, state, said):
    model = write_model(tmp_path / "model", {INPUT: table()})
    (model / "model.safetensors").unlink()
    torch.save({INPUT: table()} | state, model / "pytorch_model.bin")

    with pytest.raises(pe.errors.FormatError, match=said):
        moved(model)


@pytest.mark.parametrize("shards", [False, True])
def test_all_else_stays_as_it_is(tmp_path, shards):
    model = write_model(tmp_path / "model", {INPUT: table()}, shards=shards)

    moved(model).save(tmp_path / "out")

    out = tmp_path / "out"
    new = read_model(out)
    assert new.keys() == {INPUT, *BODY}
    assert all(same_bits(new[name], tensor) for name, tensor in BODY.items())
    generation = json.loads((out / "generation_config.json").read_text())
    assert generation == {"eos_token_id": NEW.index("</s>")}
    assert json.loads((out / "config.json").read_text()) == {
        "model_type": "made",
        "vocab_size": len(NEW),
        "eos_token_id": NEW.index("</s>"),
    }
    if shards:
        assert (out / "a.safetensors").read_bytes() == (
            model / "a.safetensors"
        ).read_bytes()


def test_the_totals_of_an_index_are_those_of_the_new_files(tmp_path):
    old = table(torch.bfloat16)
    model = write_model(tmp_path / "model", {INPUT: old}, shards=True)

    moved(model).save(tmp_path / "out")

    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    every = read_model(tmp_path / "out").values()
    assert index["metadata"] == {
        "total_size": sum(t.numel() * t.element_size() for t in every),
        "total_parameters": sum(t.numel() for t in every),
    }
    assert index["weight_map"][INPUT] == "b.safetensors"


def test_tensors_stay_aligned_to_their_numbers(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})
    # Eight rows of one float16 take 16 bytes, seven of them 14: no place for a float32.
    text = json.dumps(
        {
            "wte.weight": {"dtype": "F16", "shape": [8, 1], "data_offsets": [0, 16]},
            "norm": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
        }
    ).encode()
    norm = np.array([1, 2], "<f4").tobytes()
    raw = len(text).to_bytes(8, "little") + text + bytes(16) + norm
    (model / "model.safetensors").write_bytes(raw)

    moved(model).save(tmp_path / "out")

    raw = (tmp_path / "out/model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    begin, end = header["norm"]["data_offsets"]
    assert length % 8 == begin % 4 == 0
    assert raw[8 + length :][begin:end] == norm
    assert header["wte.weight"]["shape"] == [7, 1]


@pytest.mark.parametrize(
    ("embedding", "head"),
    [
        ("model.embed_tokens.weight", "lm_head.weight"),
        ("gpt_neox.embed_in.weight", "embed_out.weight"),
        ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
        ("transformer.wte.weight", "lm_head.weight"),
        ("shared.weight", "lm_head.weight"),
    ],
)
def test_an_untied_head_gets_rows_from_its_own(tmp_path, embedding, head):
    tensors = {embedding: table(), head: table(seed=1)}
    model = write_model(tmp_path / "model", tensors, tie_word_embeddings=False)

    moved(model).save(tmp_path / "out")

    new = read_model(tmp_path / "out")
    for name, old in tensors.items():
        assert same_bits(new[name][1], row(old, "▁dog"))
        assert same_bits(new[name][3], mean_of(old, ["▁cat", "s"]))
        assert same_bits(new[name][6], mean_of(old, OLD))


def test_a_tied_head_that_is_stored_stays_the_same_as_the_input(tmp_path):
    tensors = {INPUT: table(), "lm_head.weight": table()}
    model = write_model(tmp_path / "model", tensors, tie_word_embeddings=True)

    moved(model).save(tmp_path / "out")

    new = read_model(tmp_path / "out")
    assert same_bits(new[INPUT], new["lm_head.weight"])


def test_a_bias_has_a_number_for_each_new_token(tmp_path):
    tensors = {
        "bert.embeddings.word_embeddings.weight": table(),
        "cls.predictions.bias": table()[:, 0].contiguous(),
        "final_logits_bias": table()[None, :, 1].contiguous(),
    }
    model = write_model(tmp_path / "model", tensors)

    moved(model).save(tmp_path / "out")

    new = read_model(tmp_path / "out")
    bias, logits = new["cls.predictions.bias"], new["final_logits_bias"]
    assert bias.shape == (len(NEW),)
    assert logits.shape == (1, len(NEW))
    assert bias[1] == row(table(), "▁dog")[0]
    assert logits[0, 3] == mean_of(table(), ["▁cat", "s"])[1]


def test_rows_that_no_old_token_has_are_left_behind_and_out_of_the_mean(tmp_path):
    old = table(rows=len(OLD) + 3)  # as models are padded to a round number of rows
    old[len(OLD) :] = 1e6
    model = write_model(tmp_path / "model", {INPUT: old})

    result = moved(model)

    assert np.array_equal(result.vectors[4], mean_of(old, OLD).numpy())


def test_a_special_token_takes_the_row_it_is_told_to(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})

    result = moved(model, special={"<new>": "<pad>"})

    assert result.start[6] == RowStart.SPECIAL
    assert np.array_equal(result.vectors[6], row(table(), "<pad>").numpy())


def test_init_mean_asks_no_tokenizer_for_pieces(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})

    result = moved(model, init="mean", pieces=None)

    assert result.counts() == {
        "shared": 3,
        "special": 0,
        "pieces": 0,
        "similarity": 0,
        "mean": 4,
        "omp": 0,
        "own": 0,
        "padding": 0,
    }
    assert str(result) == f"7 rows of {INPUT}: 3 shared, 4 mean."


STATIC = {"the": [1, 0], "dog": [0, 1], "unhappy": [0.1, 1], "cats": [1, 1]}


def static_matrix():
    vectors = np.array(list(STATIC.values()), np.float32)
    return pe.EmbeddingMatrix(vectors, pe.Vocabulary(list(STATIC), pad=None))


@pytest.mark.parametrize("from_file", [False, True])
def test_similarity_blends_the_shared_tokens_that_are_near(tmp_path, from_file):
    old = table()
    model = write_model(tmp_path / "model", {INPUT: old})
    static = static_matrix()
    if from_file:
        static.save(tmp_path / "static.txt")
        static = tmp_path / "static.txt"

    result = moved(model, init=("similarity", "pieces"), static=static)

    # Cosines of "unhappy" to "the" and "dog" are 0.0995 and 0.995; sparsemax of two
    # gives each half of what is left after their difference.
    near = (1 + (1 - 0.1) / np.hypot(0.1, 1)) / 2
    the, dog = (row(old, token).numpy() for token in ("▁the", "▁dog"))
    assert result.start[2] == result.start[3] == RowStart.SIMILARITY
    np.testing.assert_allclose(result.vectors[2], near * dog + (1 - near) * the, 1e-5)
    np.testing.assert_allclose(result.vectors[3], (dog + the) / 2, 1e-5)
    assert result.start[4] == RowStart.MEAN


def test_what_goes_on_in_a_word_is_not_the_word_of_the_same_letters(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})

    result = moved(
        model, ["▁the", "▁dog", "cats"], init="similarity", static=static_matrix()
    )

    assert result.start[2] == RowStart.MEAN


def test_rows_filled_by_an_oov_policy_say_nothing_of_a_token(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})
    static = static_matrix()
    origin = static.origin.copy()
    origin[static.vocabulary["cats"]] = pe.ledger.Origin.OOV
    static = pe.EmbeddingMatrix(static.vectors, static.vocabulary, origin)

    result = moved(model, init="similarity", static=static)

    assert result.start[3] == RowStart.MEAN


def test_the_old_tokenizer_is_not_left_beside_the_new_table(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})
    old, new = model / "tokenizer.json", tmp_path / "new"
    new.mkdir()
    (new / "tokenizer.json").write_text(old.read_text().replace("▁cat", "▁cow"))
    (new / "tokenizer_config.json").write_text("{}")
    (new / "notes.txt").write_text("not a tokenizer's")

    pe.transplant(model, old, new, init="mean").save(tmp_path / "out")
    moved(model).save(tmp_path / "without")

    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (new / name).read_bytes()
    assert not (tmp_path / "out/notes.txt").exists()
    assert not (tmp_path / "without/tokenizer.json").exists()


def test_a_folder_that_is_there_is_not_touched(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})
    before = {path: path.read_bytes() for path in model.iterdir()}

    with pytest.raises(pe.errors.WriteError, match="there already"):
        moved(model).save(model)

    assert {path: path.read_bytes() for path in model.iterdir()} == before


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table()})
    result = moved(model)
    (model / "generation_config.json").unlink()
    (model / "gone").symlink_to(tmp_path / "nowhere")

    with pytest.raises(pe.errors.WriteError, match="nothing was changed"):
        result.save(tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_same_call_gives_the_same_bytes(tmp_path):
    model = write_model(tmp_path / "model", {INPUT: table(torch.bfloat16)})

    for name in ("one", "two"):
        moved(model).save(tmp_path / name)

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("pickled", [False, True])
def test_memory_holds_the_tables_and_two_pieces_of_a_file(tmp_path, pickled):
    tables, body = {INPUT: torch.ones(len(OLD), 4_096)}, 24 << 20
    folder = write_model(tmp_path / "model", tables, shards=True)
    whole = {"rest.weight": torch.zeros(1_536, 4_096)}
    parts = {"a": {"body.weight": torch.zeros(1_536, 4_096)}, "b": tables | whole}
    kind, saver = (".bin", torch.save) if pickled else (".safetensors", save_file)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    for name, part in parts.items():
        saver(part, folder / (name + kind))
    weights = {tensor: name + kind for name, part in parts.items() for tensor in part}
    stem = "pytorch_model.bin" if pickled else "model.safetensors"
    (folder / f"{stem}.index.json").write_text(json.dumps({"weight_map": weights}))
    moved(folder).save(tmp_path / "warm")
    tracemalloc.start()
    try:
        moved(folder).save(tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    table = len(OLD) * 4_096 * 4
    assert peak < (8 << 20) + 16 * table < body
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("*.safetensors")]
    assert min(sizes) > body
    assert len(sizes) == 2
