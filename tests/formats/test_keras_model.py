"""Models of Keras, written by Keras itself."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from conformance import all_rows

from pretrained_embed import formats, sources
from pretrained_embed.errors import FormatError, PretrainedEmbedError, SourceError
from pretrained_embed.formats.keras_config import read_config
from pretrained_embed.formats.table import HOLES

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras

import pretrained_embed.adapters.keras  # noqa: F401  (its classes, for Keras)

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")

VOCABULARY = "assets/layers/string_lookup/vocabulary.txt"
RELEASED = Path(__file__).parents[1] / "data" / "release_0_1" / "layers"


def model(*tables: tuple[str, int, int]) -> keras.Model:
    ids = keras.Input((3,), dtype="int32")
    layers = [keras.layers.Embedding(rows, dim, name=n) for n, rows, dim in tables]
    shared = [layer(ids) for layer in layers] + [layers[0](ids)]
    inner = keras.Sequential([keras.layers.Embedding(5, 3, name="inner_emb")])
    return keras.Model(ids, [*shared, inner(ids)])


def with_vocabulary(path: Path, text: str, config: object = None) -> Path:
    """Add what a `StringLookup` that was adapted saves, or one in the config."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        held["config.json"] = json.dumps(config).encode()
    if text:
        held[VOCABULARY] = text.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return path


def opened(source: Path | str) -> formats.Reader:
    return formats.open_reader(sources.open_source(source))


def rows_of(source: Path | str) -> tuple[list[str], np.ndarray]:
    with opened(source) as reader:
        assert reader.format == "keras"
        return all_rows(reader)


@pytest.fixture
def one(tmp_path):
    made = keras.Sequential([keras.layers.Embedding(5, 4), keras.layers.Dense(4)])
    made.build((None, 3))
    made.save(tmp_path / "one.keras")
    return tmp_path / "one.keras", made.layers[0].get_weights()[0]


def test_layers_are_listed_and_one_is_named(tmp_path):
    made = model(("words", 4, 2), ("other_emb", 4, 2))
    made.save(tmp_path / "m.keras")
    made.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.txt").write_text("a\nb\nc\nd\n")
    (tmp_path / "m.weights.txt").write_text("a\nb\nc\nd\n")
    for name in ("m.keras", "m.weights.h5"):
        path = tmp_path / name
        with pytest.raises(FormatError, match="FILE#NAME") as refusal:
            opened(path)
        for told in ("'words' (4, 2) F32", "'other_emb' (4, 2)", "'inner_emb' (5, 3)"):
            assert told in str(refusal.value)
        for asked in ("words", "layers/embedding"):
            tokens, rows = rows_of(f"{path}#{asked}")
            assert tokens == ["a", "b", "c", "d"]
            expected = made.get_layer("words").get_weights()[0]
            assert rows.tobytes() == expected.tobytes()
        with pytest.raises(FormatError, match="no tensor 'none'"):
            opened(f"{path}#none")


def test_a_vocabulary_goes_with_its_rows(one):
    path, table = one
    with_vocabulary(path, "\n[UNK]\n[UNK]\na\né b")
    tokens, rows = rows_of(path)
    assert tokens == ["", "[UNK]", "[UNK]:1", "a", "é b"]
    assert rows.tobytes() == table.tobytes()


def test_rows_behind_a_vocabulary_have_no_token(one):
    path, _ = one
    with opened(with_vocabulary(path, "[UNK]\na\nb")) as reader:
        assert reader.table().arrays[HOLES].tolist() == [3, 4]


def test_a_vocabulary_that_was_given_is_in_the_config(one):
    path, _ = one
    lookup = {"name": "lookup", "vocabulary": ["a", "b", "c"], "mask_token": ""}
    config = {"layers": [{"class_name": "StringLookup", "config": lookup}]}
    assert rows_of(with_vocabulary(path, "", config))[0] == ["", "[UNK]", *"abc"]
    whole = {"name": "v", "vocabulary": ["", "[UNK]", *"xyz"]}
    config = {"layers": [{"class_name": "TextVectorization", "config": whole}]}
    assert rows_of(with_vocabulary(path, "", config))[0] == ["", "[UNK]", *"xyz"]
    with pytest.raises(FormatError, match="several of its vocabularies"):
        opened(with_vocabulary(path, "\n[UNK]\na\nb\nc"))


def test_a_vocabulary_that_is_longer_is_refused(one):
    with pytest.raises(FormatError, match=r"none of its .* ending \.tokens"):
        opened(with_vocabulary(one[0], "[UNK]\na\nb\nc\nd\ne"))
    one[0].with_suffix(".tokens").write_text("a\nb\nc\nd\ne\n")
    assert rows_of(one[0])[0] == list("abcde")


@pytest.mark.parametrize("kind", ["some", "whole", "no_pad", "still"])
def test_our_layers_have_the_table_that_keras_gives(kind, tmp_path):
    source = RELEASED / "keras" / f"{kind}.keras"
    made = keras.saving.load_model(source)
    layer = next(one for one in made.layers if hasattr(one, "embeddings"))
    table = layer.get_weights()[0]
    (tmp_path / "m.keras").write_bytes(source.read_bytes())
    made.save(tmp_path / "again.keras")
    for path in (tmp_path / "m.keras", tmp_path / "again.keras"):
        path.with_suffix(".txt").write_text(
            "".join(f"t{i}\n" for i in range(len(table)))
        )
        assert rows_of(path)[1].tobytes() == table.tobytes()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantised_rows_are_refused(tmp_path):
    made = keras.Sequential([keras.layers.Embedding(5, 4)])
    made.build((None, 3))
    made.quantize("int8")
    made.save(tmp_path / "q.keras")
    with pytest.raises(FormatError, match="int8 of shape"):
        opened(tmp_path / "q.keras")


@pytest.mark.parametrize("left_out", ["config.json", "model.weights.h5"])
def test_a_model_without_a_member_is_refused(left_out, one):
    with zipfile.ZipFile(one[0]) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    del held[left_out]
    with zipfile.ZipFile(one[0], "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    with pytest.raises(PretrainedEmbedError, match=r"one\.keras"):
        opened(one[0])


def test_what_would_fill_the_memory_is_refused(one, monkeypatch):
    monkeypatch.setenv("PRETRAINED_EMBED_READ_BUDGET", "1MB")
    with pytest.raises(FormatError, match="more memory"):
        opened(with_vocabulary(one[0], "a" * (1 << 22)))


def test_groups_in_circles_and_lying_shapes_are_refused(tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        layers = file.create_group("layers")
        for name in "ab":
            layers[name] = layers
        file.create_group("vars")
    with pytest.raises(FormatError, match="more memory"):
        opened(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("e/vars/0", (1 << 30, 64), "f4", chunks=(64, 64))
    path.with_suffix(".txt").write_text("a\n")
    with pytest.raises(FormatError, match="not all there"):
        opened(path)


def test_packed_data_sets_are_read(tmp_path):
    path = tmp_path / "m.weights.h5"
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    with h5py.File(path, "w") as file:
        file.create_dataset("e/vars/0", data=table, compression="gzip")
    path.with_suffix(".txt").write_text("a\nb\nc\nd\n")
    assert rows_of(path)[1].tobytes() == table.tobytes()


def test_damaged_files_are_our_errors(one):
    path, _ = one
    (path.with_suffix(".txt")).write_text("a\nb\nc\nd\ne\n")
    raw = path.read_bytes()
    for at in range(0, len(raw), len(raw) // 40 + 7):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        try:
            rows_of(path)
        except PretrainedEmbedError:
            continue


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Models with a vocabulary for each of their embeddings, as Keras saves them."""
    folder = tmp_path_factory.mktemp("several")
    inputs = [keras.Input((), dtype="string", name=name) for name in "ab"]
    given = keras.layers.StringLookup(vocabulary=["x", "y", "z"], name="given")
    adapted = keras.layers.StringLookup(name="adapted")
    adapted.adapt(np.array(["p", "q", "q", "r", "r", "r"]))
    ids = [given(inputs[0]), keras.layers.Reshape((1,))(adapted(inputs[1]))]
    tables = [keras.layers.Embedding(4, 2, name=f"emb_{name}") for name in "ab"]
    made = keras.Model(
        inputs, [table(one) for table, one in zip(tables, ids, strict=True)]
    )
    made.save(folder / "m.keras")
    keras.saving.save_model(made, folder / "unzipped", zipped=False)
    made.save(folder / "m.h5")
    made.save_weights(folder / "m.weights.h5")
    made.save_weights(folder / "s.weights.json", max_shard_size=50 / 2**30)
    cutting = keras.Sequential([keras.layers.TextVectorization(vocabulary=["u", "v"])])
    inner = keras.Sequential([keras.layers.Embedding(4, 2, name="emb_c")])
    text = keras.Input((1,), dtype="string")
    keras.Model(text, inner(cutting(text))).save(folder / "nested.keras")
    return folder, [table.get_weights()[0] for table in tables]


GIVEN, ADAPTED = ["[UNK]", "x", "y", "z"], ["[UNK]", "r", "q", "p"]


@pytest.mark.parametrize("name", ["m.keras", "unzipped"])
def test_a_vocabulary_belongs_to_the_layer_that_it_feeds(name, several):
    folder, tables = several
    for layer, tokens, table in zip("ab", (GIVEN, ADAPTED), tables, strict=True):
        read, rows = all_rows(opened(f"{folder / name}#emb_{layer}"))
        assert read == tokens
        assert rows.tobytes() == table.tobytes()
    with pytest.raises(FormatError, match=r"(?s)FILE#NAME.*'emb_a' .*'emb_b'"):
        opened(folder / name)


def test_a_vocabulary_is_found_behind_models_in_models(several):
    assert rows_of(several[0] / "nested.keras")[0] == ["", "[UNK]", "u", "v"]


def test_an_old_file_has_the_vocabularies_that_were_given(several):
    folder, (table, _) = several
    tokens, rows = rows_of(f"{folder / 'm.h5'}#emb_a")
    assert tokens == GIVEN
    assert rows.tobytes() == table.tobytes()
    with pytest.raises(FormatError, match=r"adapted was adapted to .* only \.keras"):
        opened(f"{folder / 'm.h5'}#emb_b")


def test_weights_alone_take_tokens_from_beside_them(several, tmp_path):
    folder, tables = several
    assert len(list(folder.glob("s_*.weights.h5"))) == 2
    for name in ("m.weights.h5", "s.weights.json"):
        folder.joinpath(name).with_suffix(".tokens").write_text("a\nb\nc\nd\n")
        for layer, table in zip(
            ("layers/embedding", "layers/embedding_1"), tables, strict=True
        ):
            tokens, rows = rows_of(f"{folder / name}#{layer}")
            assert tokens == ["a", "b", "c", "d"]
            assert rows.tobytes() == table.tobytes()


def test_shards_have_to_lie_beside_their_list(tmp_path):
    path = tmp_path / "s.weights.json"
    for name, kind, told in (
        ("s_0.weights.h5", SourceError, "all shards have to lie beside it"),
        ("../s_0.weights.h5", FormatError, "not the name of a file beside it"),
        ("\ud800.weights.h5", FormatError, "not the name of a file beside it"),
        ("s\0.weights.h5", FormatError, "not the name of a file beside it"),
    ):
        path.write_text(json.dumps({"weight_map": {"/a/vars": name}}))
        with pytest.raises(kind, match=told):
            opened(path)


def test_a_graph_in_circles_is_gone_through_once():
    def node(name, *before, kind="Dense"):
        into = [{"args": [{"config": {"keras_history": [b, 0, 0]}}]} for b in before]
        return {"class_name": kind, "config": {"name": name}, "inbound_nodes": into}

    layers = [node("a", "b"), node("b", "a", "s"), node("s", kind="StringLookup")]
    said = read_config({"class_name": "Functional", "config": {"layers": layers}})

    assert said.lookups_before("a") == {"s"}
    for odd in ({}, {"config": 3}, {"config": {"layers": [3, {}, {"config": {}}]}}):
        assert read_config(odd).lookups == set()
