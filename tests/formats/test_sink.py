"""Rows into a new file, block by block: what it then is, and what it never is."""

from __future__ import annotations

import errno
import json
import os
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
from tables import assert_same, example, stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import WriteError
from pretrained_embed.files.digests import crc32_joined
from pretrained_embed.formats import PackedBlock, Table
from pretrained_embed.formats.hdf5.sink import RowFile
from pretrained_embed.formats.safetensors.header import DTYPES, read_header

every_suffix = pytest.mark.parametrize("suffix", formats.TARGET_SUFFIXES)


def small(rows: int, dim: int) -> Table:
    """Return a table with few bytes, at any multiple of four."""
    vectors = np.random.default_rng(rows).normal(size=(rows, dim)).astype(np.float32)
    tokens = PackedTokens.pack(f"w{row}" for row in range(rows))
    arrays = {
        "origin": np.arange(rows, dtype=np.uint8),
        "source_rows": np.arange(rows, dtype=np.int64),
    }
    return Table(tokens, vectors, arrays, {"seed": rows})


def write(path: Path, table: Table, step: int = 3, **announced: int) -> None:
    """Write a table in blocks of ``step`` rows."""
    shape = dict(zip(("rows", "dim"), table.vectors.shape, strict=False))
    known = formats.Announced(**shape | {"tokens": table.tokens} | announced)
    with formats.new_sink(path, known) as sink:
        for start in range(0, len(table.vectors), step):
            sink.append(block(table, start, start + step))
        sink.finish(table.arrays, table.metadata)


def block(table: Table, start: int, stop: int) -> PackedBlock:
    return PackedBlock(table.tokens[start:stop], table.vectors[start:stop])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@every_suffix
def test_rows_that_are_put_in_their_places_make_the_same_bytes(suffix, tmp_path):
    table, one, two = example(), tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    write(one, table)

    known = formats.Announced(*table.vectors.shape, tokens=table.tokens, beside=999)
    with formats.new_sink(two, known) as sink:
        place = sink.place()
        rows = place.map(table.vectors.shape)
        assert not rows.any()
        for row in reversed(range(len(rows))):
            rows[row] = table.vectors[row]
        sink.finish(table.arrays, table.metadata)

    assert two.read_bytes() == one.read_bytes()
    assert_same(formats.read_table(stream_of(two)), table)


@every_suffix
def test_what_grows_in_a_folder_outlives_its_writer(suffix, tmp_path):
    table, one, two = example(), tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    write(one, table)
    folder = tmp_path / "growing"
    folder.mkdir()
    shape = table.vectors.shape
    known = formats.Announced(*shape, tokens=table.tokens, growing=folder)
    half = shape[0] // 2 * shape[1] * 4
    raw = table.vectors.tobytes()

    for begin, end in ((0, half), (half, len(raw))):
        with suppress(KeyboardInterrupt), formats.new_sink(two, known) as sink:
            place = sink.place()
            with place.path.open("r+b") as file:
                file.seek(place.begin + begin)
                file.write(raw[begin:end])
            if end < len(raw):
                raise KeyboardInterrupt
            place.crc32 = crc32_joined(
                zlib.crc32(raw[:half]), zlib.crc32(raw[half:]), len(raw) - half
            )
            sink.finish(table.arrays, table.metadata)
        assert two.exists() == (end == len(raw))

    assert two.read_bytes() == one.read_bytes()
    if suffix == ".npz":
        with zipfile.ZipFile(two) as archive:
            assert archive.testzip() is None


@pytest.mark.parametrize("lacks", ["posix_fallocate", "memmap"])
def test_where_rows_cannot_be_mapped_they_are_written_to_their_place(
    lacks, tmp_path, monkeypatch
):
    def refused(*_):
        raise OSError(errno.ENODEV, "no such device")

    if lacks == "memmap":
        monkeypatch.setattr(np, "memmap", refused)
    else:
        monkeypatch.delattr(os, "posix_fallocate")
    for suffix in formats.TARGET_SUFFIXES:
        known = formats.Announced(1, 1, tokens=small(1, 1).tokens)
        with formats.new_sink(tmp_path / f"m{suffix}", known) as sink:
            place = sink.place()
            assert place.map((1, 1)) is None
            with place.path.open("r+b") as file:
                file.seek(place.begin)
                file.write(small(1, 1).vectors.tobytes())
            sink.finish({}, {})
    monkeypatch.undo()
    for suffix in formats.TARGET_SUFFIXES:
        read = formats.read_table(stream_of(tmp_path / f"m{suffix}"))
        assert read.vectors.tobytes() == small(1, 1).vectors.tobytes()


@every_suffix
@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_table_written_in_blocks_reads_back_whole(suffix, step, tmp_path):
    path = tmp_path / f"table{suffix}"

    write(path, example(), step)

    assert_same(formats.read_table(stream_of(path)), example())


@every_suffix
def test_a_matrix_is_the_one_that_save_writes(suffix, tmp_path):
    vocabulary = pe.Vocabulary(
        {"<pad>": 0, "sat": 2, "the": 3, "[CLS]": 5},
        unk="<unk>",
        special_tokens={"cls": "[CLS]"},
        counts={"sat": 2, "the": 7},
    )
    source = tmp_path / "source.txt"
    source.write_text("the 1 2\nsat 3 4\n")
    matrix = pe.build_matrix(vocabulary, source, match="exact,lower")
    matrix.save(tmp_path / f"saved{suffix}")

    write(tmp_path / f"blocks{suffix}", matrix.table(), step=2)

    saved, blocks = (
        pe.load_matrix(tmp_path / f"{stem}{suffix}") for stem in ("saved", "blocks")
    )
    assert_same(blocks.table(), saved.table())
    assert_same(blocks.table(), matrix.table())
    assert blocks.vocabulary.holes.tolist() == vocabulary.holes.tolist()
    assert blocks.coverage == matrix.coverage


@every_suffix
def test_equal_tables_give_equal_bytes_however_they_come(suffix, tmp_path):
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    table = example()
    arrays = dict(reversed(table.arrays.items()))

    write(one, table, 1)
    write(two, table._replace(arrays=arrays), 4, beside=1 << 20)

    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_safetensors_reads_it_in_every_alignment(rows, dim, tmp_path):
    path, table = tmp_path / "m.safetensors", small(rows, dim)

    write(path, table)

    with path.open("rb") as file:
        header = read_header(file, path.stat().st_size, "m")
    assert header.data % 4096 == 0
    for tensor in header.tensors.values():
        assert tensor.begin % DTYPES[tensor.dtype].itemsize == 0
    for tensors in (
        safetensors.numpy.load_file(path),
        {k: v.numpy() for k, v in safetensors.torch.load_file(path).items()},
    ):
        vectors = tensors["embedding.weight"]
        assert vectors.dtype == np.float32
        assert vectors.tolist() == table.vectors.tolist()
        assert tensors["token_offsets"].tolist() == table.tokens.offsets.tolist()
        assert tensors["array_source_rows"].tolist() == list(range(rows))
        assert json.loads(tensors["metadata"].tobytes()) == table.metadata


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_h5py_reads_it_as_one_piece(suffix, tmp_path):
    path, table = tmp_path / f"m{suffix}", small(7, 3)

    write(path, table)

    with h5py.File(path) as file:
        vectors = file["vectors"]
        assert vectors.chunks is None
        assert vectors.dtype == np.dtype("<f4")
        assert vectors[()].tolist() == table.vectors.tolist()


def test_numpy_maps_it(tmp_path):
    path, table = tmp_path / "m.npy", small(7, 3)

    write(path, table)

    assert path.read_bytes()[:8] == b"\x93NUMPY\x01\x00"
    vectors = np.load(path, mmap_mode="r")
    assert vectors.dtype == np.dtype("<f4")
    assert vectors.flags.c_contiguous
    assert vectors.tolist() == table.vectors.tolist()


@pytest.mark.parametrize("count", [1, 2, 511, 512, 10_000_000])
@pytest.mark.parametrize("dim", [1, 3, 512])
@pytest.mark.parametrize("alignment", [64, 4096])
def test_hdf5_gives_rows_the_same_place_whatever_their_number(
    count, dim, alignment, tmp_path
):
    path = tmp_path / "rows"
    with RowFile(path, "vectors", dim, np.float32, alignment=alignment) as file:
        file.reserve(4 * dim * count if count < 1000 else 0, path)

        offsets = file.finish(count, {})  # of a file with a hole, where there are many

    assert offsets["vectors"] % alignment == 0


@every_suffix
def test_wrong_rows_are_refused_and_leave_nothing(suffix, tmp_path):
    def attempt(message: str, rows: int = 3, **changed: object) -> None:
        table = small(3, 2)._replace(**changed)
        with pytest.raises(WriteError, match=message):
            write(tmp_path / f"m{suffix}", table, rows=rows, dim=2)
        assert files(tmp_path) == []

    attempt("2 rows were announced, 3 came", rows=2)
    attempt("4 rows were announced, 3 came", rows=4)
    attempt("at least one", rows=0)
    attempt(r"float32 \(rows, 2\)", vectors=np.zeros((3, 4), np.float32))
    attempt(
        r"of shape \(3, 2, 3\); expected float32 \(rows, 2\)",
        vectors=np.zeros((3, 2, 3), np.float32),
    )
    attempt("vectors are float64", vectors=np.zeros((3, 2)))
    attempt("2 tokens for 3 vectors", tokens=PackedTokens.pack(["a", "b"]))
    attempt("array 'a' is complex", arrays={"a": np.zeros(3, complex)})
    attempt("does not fit into JSON", metadata={"a": object()})


def test_a_row_too_many_is_refused_before_it_is_written(tmp_path):
    path, table = tmp_path / "m.npy", small(3, 2)

    with formats.new_sink(path, formats.Announced(3, 2)) as sink:
        sink.append(block(table, 0, 3))
        with pytest.raises(WriteError, match="3 rows were announced, 4 came"):
            sink.append(block(table, 0, 1))
        sink.finish(table.arrays, table.metadata)

    assert_same(formats.read_table(stream_of(path)), table)


@every_suffix
def test_rows_that_are_never_finished_leave_what_was_there(suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    write(path, small(3, 2))
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    with (
        pytest.raises(WriteError, match="never finished"),
        formats.new_sink(path, formats.Announced(4, 2)) as sink,
    ):
        sink.append(block(small(4, 2), 0, 4))

    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@every_suffix
def test_a_disk_with_too_little_room_is_known_at_once(suffix, tmp_path):
    with (
        pytest.raises(WriteError, match=r"400,000,\d{3},\d{3},\d{3} bytes.* are free"),
        formats.new_sink(tmp_path / f"m{suffix}", formats.Announced(10**12, 100)),
    ):
        raise AssertionError

    assert files(tmp_path) == []


def test_what_comes_beside_the_rows_counts_as_well(tmp_path):
    with (
        pytest.raises(WriteError, match="No space left"),
        formats.new_sink(tmp_path / "m.h5", formats.Announced(1, 1, beside=10**15)),
    ):
        raise AssertionError


def test_another_suffix_is_refused(tmp_path):
    with (
        pytest.raises(WriteError, match=r"m\.vectors' by its suffix; use one of \.npz"),
        formats.new_sink(tmp_path / "m.vectors", formats.Announced(1, 1)),
    ):
        raise AssertionError


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with (
        pytest.raises(WriteError, match="make it first"),
        formats.new_sink(tmp_path / "no" / "m.npy", formats.Announced(1, 1)),
    ):
        raise AssertionError


def test_more_tensors_than_the_header_has_room_for_are_refused(tmp_path):
    arrays = {f"{'a' * 500}{n}": np.zeros(1) for n in range(200)}
    table = small(3, 2)._replace(arrays=arrays)

    with pytest.raises(WriteError, match="shorter names"):
        write(tmp_path / "m.safetensors", table)

    assert files(tmp_path) == []


def test_metadata_of_any_length_fits(tmp_path):
    path = tmp_path / "m.safetensors"
    table = small(3, 3)._replace(metadata={"notes": "n" * 1_000_000})

    write(path, table)

    assert_same(formats.read_table(stream_of(path)), table)
