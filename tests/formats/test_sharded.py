"""A matrix in several files: what others read of it, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from tables import assert_same, read_all

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, OptionError, WriteError
from pretrained_embed.formats import HOLES, Table
from pretrained_embed.formats.sharded.index import is_sharded
from pretrained_embed.formats.table import SHARD
from pretrained_embed.sources.source import from_path

INDEX = "model.safetensors.index.json"
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
TOKENS = ["the", "new york", "", "\n", "\udcff\udc80", "", "é", "a\0"]


def example(seed: int = 0) -> Table:
    rows = len(TOKENS)
    vectors = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    vectors[0, 0] = np.nan
    arrays = {
        HOLES: np.array([2], np.int64),
        "origin": np.arange(rows, dtype=np.uint8),
        "part_rows": np.arange(2 * rows).reshape(2, rows),
    }
    metadata = {"source": "straße \udcff", "options": {"seed": seed}}
    return Table(PackedTokens.pack(TOKENS), vectors, arrays, metadata)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """The example in three shards, not to be changed."""
    folder = tmp_path_factory.mktemp("written") / "m"
    formats.write_table(folder, example(), shards=3)
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(written, tmp_path / "m"))


def read(folder: Path) -> Table:
    return formats.read_table(from_path(folder, str(folder)))


def read_rows(folder: Path, start: int, stop: int) -> Table:
    stream = from_path(folder, str(folder))
    return formats.read_part(stream, lambda _: range(start, stop)).table


def change_index(folder: Path, change: Any) -> None:
    path = folder / INDEX
    index = json.loads(path.read_text())
    change(index, index["metadata"]["pretrained_embed"]["shards"])
    path.write_text(json.dumps(index))


def change_byte(path: Path, offset: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("shards", [1, 2, 3, 5, len(TOKENS)])
def test_a_table_in_shards_reads_back_whole(tmp_path, shards):
    formats.write_table(tmp_path / "m", example(), shards=shards)

    assert_same(read(tmp_path / "m"), example())


def test_equal_tables_give_equal_bytes(written, tmp_path):
    formats.write_table(tmp_path / "m", example(), shards=3)

    for path in written.iterdir():
        assert (tmp_path / "m" / path.name).read_bytes() == path.read_bytes()


def test_the_number_of_shards_is_found_where_it_is_not_given(tmp_path):
    formats.write_table(tmp_path / "m", example(), format="sharded")

    names = sorted(path.name for path in (tmp_path / "m").iterdir())
    assert names == ["model-00001-of-00001.safetensors", INDEX]


def test_the_index_is_that_of_hugging_face(written):
    index = json.loads((written / INDEX).read_text())
    rows, total = [], 0

    for name, file in sorted(index["weight_map"].items()):
        with safe_open(written / file, "numpy") as opened:
            tensor = opened.get_tensor(name)
        total += tensor.nbytes
        if name.endswith("embedding.weight"):
            rows.append(tensor)

    assert np.concatenate(rows).tobytes() == example().vectors.tobytes()
    assert index["metadata"]["total_size"] == total
    for file in SHARDS:
        with safe_open(written / file, "numpy") as opened:
            assert set(opened.keys()) <= index["weight_map"].keys()


def test_each_file_is_a_table_of_its_own(written):
    tokens: list[str] = []
    for file in SHARDS:
        path = written / file
        table = formats.read_table(from_path(path, str(path)))
        assert table.metadata[SHARD]["start"] == len(tokens)
        tokens += table.tokens.unpack()

    assert tokens == TOKENS


def test_rows_are_read_in_blocks_and_found_by_token(written):
    with pe.open_vectors(written) as reader:
        tokens = [token for block in reader.blocks() for token in block.tokens]
    matrix = pe.build_matrix(["new york", "é", "\n"], written)

    assert tokens == TOKENS[:2] + TOKENS[3:]
    assert reader.format == "sharded"
    assert matrix.vectors[1:].tolist() == example().vectors[[1, 6, 3]].tolist()


@pytest.mark.parametrize("start", range(len(TOKENS) + 1))
def test_any_rows_are_read_alone(written, start):
    whole = example()
    for stop in range(start, len(TOKENS) + 1):
        table = read_rows(written, start, stop)

        assert table.tokens.unpack() == TOKENS[start:stop]
        assert table.vectors.tobytes() == whole.vectors[start:stop].tobytes()
        assert table.arrays[HOLES].tolist() == [2 - start] * (start <= 2 < stop)
        assert table.arrays["origin"].tolist() == [*range(start, stop)]
        assert table.arrays["part_rows"].shape == (2, stop - start)


def test_rows_of_one_file_stay_mapped(written):
    def is_mapped(array: np.ndarray) -> bool:
        while array.base is not None and not isinstance(array, np.memmap):
            array = array.base
        return isinstance(array, np.memmap)

    assert is_mapped(read_rows(written, 2, 5).vectors)
    assert not is_mapped(read_rows(written, 2, 6).vectors)


def test_rows_of_several_files_need_not_be_copied_again(written):
    assert not read(written).vectors.flags.writeable


def test_files_of_other_rows_need_not_be_there(folder):
    (folder / SHARDS[0]).unlink()
    change_byte(folder / SHARDS[2], -200)

    assert read_rows(folder, 2, 5).tokens.unpack() == TOKENS[2:5]


@pytest.mark.parametrize("number", range(3))
def test_a_missing_shard_is_named(folder, number):
    (folder / SHARDS[number]).unlink()

    with pytest.raises(FormatError, match=rf"{SHARDS[number]}: this shard is missing"):
        read(folder)


def test_a_shard_of_another_matrix_is_named(folder, tmp_path):
    formats.write_table(tmp_path / "other", example(seed=1), shards=3)
    shutil.copy(tmp_path / "other" / SHARDS[1], folder)

    with pytest.raises(FormatError, match=rf"{SHARDS[1]}: this is not the shard"):
        read(folder)


def test_shards_in_each_others_place_are_named(folder):
    (folder / SHARDS[0]).replace(folder / "x")
    (folder / SHARDS[1]).replace(folder / SHARDS[0])
    (folder / "x").replace(folder / SHARDS[1])

    with pytest.raises(FormatError, match=rf"{SHARDS[0]}: .*no shard"):
        read(folder)


def test_a_file_of_another_kind_in_place_of_a_shard_is_named(folder):
    formats.write_table(folder / "x.safetensors", example())
    (folder / "x.safetensors").replace(folder / SHARDS[1])

    with pytest.raises(FormatError, match=rf"{SHARDS[1]}: .*no shard"):
        read(folder)


def test_a_damaged_byte_of_a_shard_is_seen_wherever_it_is(folder):
    path = folder / SHARDS[1]
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    named = len(good[8:header].rstrip())  # spaces follow

    for offset in [*range(0, 8 + named, 7), *range(header, len(good), 7)]:
        damaged = bytearray(good)
        damaged[offset] ^= 1
        path.write_bytes(damaged)
        try:
            table = read(folder)
        except FormatError as error:
            assert SHARDS[1] in str(error)  # noqa: PT017  (many bytes, one at a time)
        else:  # in the metadata of the file, which the folder has for itself
            assert_same(table, example())


def test_vectors_of_another_dim_are_refused(folder):
    """As told by the index and by every file alike."""
    for path in folder.iterdir():
        raw = path.read_bytes()
        changed = raw.replace(b'"dim":3', b'"dim":4').replace(b'"dim": 3', b'"dim": 4')
        assert changed != raw
        path.write_bytes(changed)

    with pytest.raises(FormatError, match=rf"{SHARDS[0]}: .*\(2, 3\).*\(2, 4\)"):
        read(folder)


@pytest.mark.parametrize("end", [0, 7, 1000, -1])
def test_a_shard_cut_short_is_named(folder, end):
    path = folder / SHARDS[2]
    path.write_bytes(path.read_bytes()[:end])

    with pytest.raises(FormatError, match=SHARDS[2]):
        read(folder)


def place(number: int, **fields: Any) -> Any:
    def change(index: dict[str, Any], shards: list[dict[str, Any]]) -> None:
        shards[number] |= fields

    return change


def elsewhere(name: str) -> Any:
    def change(index: dict[str, Any], shards: list[dict[str, Any]]) -> None:
        shards[1]["file"] = name
        for tensor, file in index["weight_map"].items():
            if file == SHARDS[1]:
                index["weight_map"][tensor] = name

    return change


BAD_INDEXES = {
    "a file elsewhere": (elsewhere("../x.safetensors"), "beside it"),
    "a file anywhere": (elsewhere("/x.safetensors"), "beside it"),
    "a folder": (elsewhere(".."), "this shard is missing"),
    "a file that has none of it": (place(1, file=SHARDS[2]), "not the file that has"),
    "a file without a name": (place(1, file=None), "which file"),
    "rows that overlap": (place(1, start=1), "overlap"),
    "rows left out": (place(0, stop=1), "leave out"),
    "rows at the end left out": (lambda _, shards: shards.pop(), "end at row 5 of 8"),
    "another matrix": (place(2, job="other"), "another matrix"),
    "another size": (place(1, bytes=7), f"{SHARDS[1]}: this is not the shard"),
    "another digest": (place(1, others="0" * 64), "is not the shard"),
    "a digest too many": (place(1, vectors=["0" * 64] * 2), "which rows"),
    "rows backwards": (place(1, start=5, stop=2), "which rows"),
    "rows that are no number": (place(1, start="2"), "which rows"),
    "rows that are true": (place(0, start=False), "which rows"),
    "blocks of nothing": (place(1, block_rows=0), "which rows"),
    "more rows than there can be": (place(2, stop=1 << 62), "which rows"),
    "no shards": (lambda _, shards: shards.clear(), "does not list"),
    "no weight map": (lambda index, _: index.pop("weight_map"), "weight_map"),
    "a newer version": (
        lambda index, _: index["metadata"]["pretrained_embed"].update(version=2),
        "Upgrade",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD_INDEXES.values(), ids=BAD_INDEXES)
def test_a_bad_index_is_refused(folder, change, message):
    change_index(folder, change)

    with pytest.raises(FormatError, match=message):
        read(folder)
    with pytest.raises(FormatError, match=message):
        [read_rows(folder, row, row + 1) for row in range(len(TOKENS))]


@given(data=st.data())
def test_a_changed_index_gives_the_rows_or_our_error(tmp_path_factory, written, data):
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(written, folder, dirs_exist_ok=True)
    index = json.loads((written / INDEX).read_text())
    own = index["metadata"]["pretrained_embed"]
    target = data.draw(st.sampled_from([own, *own["shards"]]))
    key = data.draw(st.sampled_from(sorted(target)))
    values = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers())
    target[key] = data.draw(values)
    (folder / INDEX).write_text(json.dumps(index))

    outcome = read_all(_Folder, folder)

    assert outcome in ("read", "refused")


class _Folder:
    """What `read_all` takes for a format."""

    @staticmethod
    def open_reader(stream: Any) -> Any:
        return formats.open_reader(from_path(stream.path, stream.name))


def test_a_model_in_several_files_is_not_taken_for_shards(tmp_path):
    (tmp_path / INDEX).write_text('{"metadata": {}, "weight_map": {"a": "b"}}')

    assert not is_sharded(tmp_path)


@pytest.mark.parametrize("shards", [0, -1, len(TOKENS) + 1])
def test_a_number_of_shards_that_cannot_be_is_refused(tmp_path, shards):
    with pytest.raises(OptionError, match="it can be 1 to 8"):
        formats.write_table(tmp_path / "m", example(), shards=shards)

    assert not [*tmp_path.iterdir()]


def test_what_cannot_be_in_shards_is_refused(tmp_path):
    table = example()
    mean = table._replace(arrays={"mean": np.array(0.5)})

    with pytest.raises(WriteError, match="'mean'"):
        formats.write_table(tmp_path / "m", mean, shards=2)
    with pytest.raises(OptionError, match="npz has none"):
        formats.write_table(tmp_path / "m", table, format="npz", shards=2)
    wide = table._replace(vectors=table.vectors.astype(np.float64))
    with pytest.raises(WriteError, match="float64"):
        formats.write_table(tmp_path / "m", wide, shards=2)

    assert not [*tmp_path.iterdir()]


def test_vectors_are_converted_to_shards_and_back(written, tmp_path):
    pe.convert(written, tmp_path / "m.npz")
    pe.convert(tmp_path / "m.npz", tmp_path / "n", format="sharded")

    assert_same(read(tmp_path / "n"), example())
