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
from pretrained_embed.errors import FormatError, PretrainedEmbedError
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
    with pytest.raises(FormatError, match="none of its vocabularies"):
        opened(with_vocabulary(one[0], "[UNK]\na\nb\nc\nd\ne"))


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
