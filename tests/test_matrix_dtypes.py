"""A matrix in the bits of a dtype: made, rounded, saved, loaded, grown, refused."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

import pretrained_embed as pe
from pretrained_embed import bits
from pretrained_embed.errors import FormatError, OptionError, WriteError

DTYPES = bits.MATRIX
NARROW = DTYPES[1:]
DIM = 17  # odd: the last byte of a row of int4 or signs is not full
OUT = ("m.npz", "m.npy", "m.h5", "m.safetensors")
FILES = (*OUT, "m.parquet", "m.arrow")

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
narrow = pytest.mark.parametrize("dtype", NARROW)
every_file = pytest.mark.parametrize("file", FILES)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "v.txt"
    vectors = np.random.default_rng(0).normal(size=(60, DIM)).astype(np.float32)
    lines = [
        f"w{number} {' '.join(map(repr, map(float, row)))}\n"
        for number, row in enumerate(vectors)
    ]
    path.write_text("".join(lines), "utf-8")
    return path


VOCABULARY = pe.Vocabulary([f"w{number}" for number in range(40)] + ["oov"])


def built(source: Path, dtype: str, **more: object) -> pe.EmbeddingMatrix:
    recipe = pe.Recipe(dtype=dtype, oov="zeros")  # type: ignore[arg-type]  # a name
    return pe.build_matrix(VOCABULARY, source, recipe=recipe, **more)  # type: ignore[arg-type]  # as given


@every_dtype
def test_a_build_rounds_once_as_astype_does(source, dtype):
    matrix, whole = built(source, dtype), built(source, "float32")
    assert matrix.dtype == dtype
    assert matrix.stored.same_as(whole.astype(dtype).stored)
    assert matrix.stored.same_as(bits.encode(whole.vectors, dtype))
    assert matrix.provenance == whole.astype(dtype).provenance
    assert matrix.recipe.dtype == dtype
    assert pe.build_matrix(VOCABULARY, source, recipe=matrix.recipe).stored.same_as(
        matrix.stored
    )
    assert not matrix.vectors[[0, -1]].any()  # the pad row, and one of zeros
    assert matrix.vectors.dtype == np.float32
    assert not matrix.vectors.flags.writeable


@every_dtype
def test_numbers_are_the_same_by_whatever_way(source, dtype):
    matrix = built(source, dtype)
    ids = np.array([[3, 0], [41, 3]])
    looked_up = matrix.lookup(ids)
    assert looked_up.shape == (2, 2, DIM)
    token, story = matrix["w2"], matrix.explain("w2")
    assert np.array_equal(looked_up, matrix.vectors[ids])
    assert np.array_equal(token, matrix.vectors[3])
    assert story.norm == pytest.approx(np.linalg.norm(matrix.vectors[3]))
    assert np.array_equal(np.asarray(matrix), matrix.stored.numbers())
    assert matrix.lookup([]).shape == (0, DIM)


@every_dtype
@every_file
def test_every_container_holds_it_to_the_bit(source, tmp_path, dtype, file):
    matrix = built(source, dtype)
    matrix.save(tmp_path / file)
    loaded = pe.load_matrix(tmp_path / file)
    assert loaded.dtype == dtype
    assert loaded.stored.same_as(matrix.stored)
    assert loaded.ledger == matrix.ledger
    with pe.open_vectors(tmp_path / file) as reader:
        assert reader.dtype == dtype
        (block,) = reader.blocks()
        assert np.array_equal(block.vectors, matrix.vectors)
    shard = pe.load_matrix(tmp_path / file, rows=slice(7, 20))
    assert np.array_equal(shard.vectors, matrix.vectors[7:20])
    read = pe.load_matrix(tmp_path / file, library=pe.Library(mmap=False))
    assert read.stored.same_as(matrix.stored)
    again = tmp_path / f"again{file}"
    loaded.save(again)
    assert again.read_bytes() == (tmp_path / file).read_bytes()


@narrow
@pytest.mark.parametrize("file", OUT)
def test_rows_that_are_written_range_by_range_are_the_same(
    source, tmp_path, monkeypatch, dtype, file
):
    monkeypatch.setattr("pretrained_embed.build.plan._RANGE", 4 * DIM * 9)
    straight = built(source, dtype, out=tmp_path / file)
    ranges = built(source, dtype, out=tmp_path / f"r{file}", work=pe.Work(memory="1MB"))
    assert ranges.stored.same_as(straight.stored)
    assert ranges.provenance == straight.provenance
    assert (tmp_path / f"r{file}").read_bytes() == (tmp_path / file).read_bytes()
    in_memory = built(source, dtype, work=pe.Work(memory="1MB"))
    assert in_memory.stored.same_as(straight.stored)


@every_dtype
def test_shards_hold_it(source, tmp_path, dtype):
    matrix = built(source, dtype)
    matrix.save(tmp_path / "saved", shards=3)
    out = built(source, dtype, out=pe.Shards(tmp_path / "built", 3))
    for loaded in (pe.load_matrix(tmp_path / "saved"), out):
        assert loaded.dtype == dtype
        assert np.array_equal(loaded.lookup([3, 30]), matrix.vectors[[3, 30]])
        assert loaded.stored.same_as(matrix.stored)
    for rank in range(4):
        shard = pe.load_shard(tmp_path / "saved", rank, 4)
        assert np.array_equal(shard.vectors, matrix.vectors[shard.start : shard.stop])
    one = next((tmp_path / "saved").glob("*.safetensors"))
    assert pe.load_matrix(one).dtype == dtype


@every_dtype
def test_it_is_pickled_without_the_numbers(source, dtype):
    matrix = built(source, dtype)
    before = len(pickle.dumps(matrix))
    assert matrix.vectors.any()
    assert len(pickle.dumps(matrix)) == before
    again = pickle.loads(pickle.dumps(matrix))  # noqa: S301  (made here)
    assert again.stored.same_as(matrix.stored)
    assert np.array_equal(again.vectors, matrix.vectors)


def test_other_libraries_read_the_files(source, tmp_path):
    half = built(source, "bfloat16")
    for file in FILES:
        half.save(tmp_path / file)
    tensor = safetensors.torch.load_file(tmp_path / "m.safetensors")["embedding.weight"]
    assert tensor.dtype == torch.bfloat16
    assert np.array_equal(tensor.float().numpy(), half.vectors)
    raw = np.load(tmp_path / "m.npy").view(ml_dtypes.bfloat16)
    assert np.array_equal(raw.astype(np.float32), half.vectors)
    eight = built(source, "int8")
    for file in FILES:
        eight.save(tmp_path / file)
    held = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    with np.load(tmp_path / "m.npz") as archive, h5py.File(tmp_path / "m.h5") as hdf5:
        for values, scales in (
            (held["embedding.int8"], held["array_scales"]),
            (archive["vectors_int8"], archive["array_scales"]),
            (hdf5["vectors_int8"][:], hdf5["arrays/scales"][:]),
            (np.load(tmp_path / "m.npy"), eight.stored.scales),
        ):
            assert values.dtype == np.int8
            assert np.array_equal(values * scales[:, None], eight.vectors)


@narrow
def test_what_earlier_releases_look_for_is_not_there(source, tmp_path, dtype):
    """Else they would take the bits for the numbers."""
    if dtype == "float16":
        return  # which they read
    matrix = built(source, dtype)
    for file in FILES:
        matrix.save(tmp_path / file)
    with np.load(tmp_path / "m.npz") as archive:
        assert "vectors" not in archive
    with h5py.File(tmp_path / "m.h5") as hdf5:
        assert "vectors" not in hdf5
    names = set(safetensors.numpy.load_file(tmp_path / "m.rows.safetensors"))
    held = set(safetensors.torch.load_file(tmp_path / "m.safetensors"))
    assert not {"embedding.weight", "token_offsets"} <= held
    assert ("token_offsets" in names) == (dtype != "bfloat16")


def test_files_of_halves_without_metadata_are_numbers(source, tmp_path):
    """Those of earlier releases."""
    built(source, "float16").save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as archive:
        arrays = dict(archive)
    metadata = json.loads(arrays["metadata"].tobytes())
    assert metadata.pop("vectors") == {"dtype": "float16", "dim": DIM}
    arrays["metadata"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    np.savez(tmp_path / "old.npz", **arrays)
    matrix = pe.load_matrix(tmp_path / "old.npz")
    assert matrix.dtype == "float32"
    assert np.array_equal(matrix.vectors, built(source, "float16").vectors)


@narrow
def test_text_has_the_numbers(source, tmp_path, dtype):
    matrix = built(source, dtype)
    matrix.save(tmp_path / "m.txt")
    loaded = pe.load_matrix(tmp_path / "m.txt")
    assert np.array_equal(loaded["w2"], matrix["w2"])


@every_dtype
def test_convert_keeps_bits_and_makes_them(source, tmp_path, dtype):
    matrix = built(source, dtype)
    matrix.save(tmp_path / "m.npz")
    done = pe.convert(tmp_path / "m.npz", tmp_path / "c.safetensors", dtype=dtype)
    assert not [note for note in done.notes if "rounded" in note]
    assert pe.load_matrix(tmp_path / "c.safetensors").stored.same_as(matrix.stored)
    done = pe.convert(source, tmp_path / "t.h5", dtype=dtype)
    made = pe.load_matrix(tmp_path / "t.h5")
    whole = pe.load_matrix(source)
    assert made.dtype == done.dtype == dtype
    assert made.stored.same_as(bits.encode(whole.vectors, dtype))
    noted = f"numbers were rounded to {dtype}" in done.notes
    assert noted == (dtype != "float32")
    pe.convert(tmp_path / "m.npz", tmp_path / "f.npz")
    assert np.array_equal(pe.load_matrix(tmp_path / "f.npz").vectors, matrix.vectors)
    with pytest.raises(OptionError, match=r"float24.*it can be"):
        pe.convert(source, tmp_path / "x.npz", dtype="float24")  # type: ignore[arg-type]  # which is no dtype


@narrow
def test_a_matrix_that_grows_keeps_its_bits(source, dtype):
    old = built(source, dtype)
    # a scale that no rounding would give: bits are kept, not made again
    scales = old.stored.scales
    if scales is not None:
        kept = bits.Stored(dtype, old.stored.values, scales * np.float32(1.5), DIM)
        old = pe.EmbeddingMatrix(kept, old.ledger)
    tokens = [f"w{number}" for number in range(20, 60)]
    grown = pe.build_matrix(tokens, source, recipe=pe.Recipe(dtype=dtype), onto=old)
    mine = [grown.vocabulary[f"w{number}"] for number in range(20, 40)]
    theirs = [old.vocabulary[f"w{number}"] for number in range(20, 40)]
    assert grown.stored.take(mine).same_as(old.stored.take(theirs))
    assert grown.provenance["rounding"]["rows"] == 20  # the others
    extended = old.extend(pe.Vocabulary(tokens), grown)
    assert extended.dtype == dtype
    assert extended.stored.same_as(grown.stored)
    assert not any("rows kept" in note for note in grown.findings.notes)
    whole = pe.build_matrix(tokens, source, onto=old)
    assert np.array_equal(whole.lookup(mine), old.lookup(theirs))
    assert f"rows kept of a matrix of {dtype} have its numbers" in whole.findings.notes
    said = "rows kept of a matrix of float32 were rounded to " + dtype
    other = pe.build_matrix(
        tokens, source, recipe=pe.Recipe(dtype=dtype), onto=built(source, "float32")
    )
    assert said in other.findings.notes
    assert other.provenance["rounding"]["rows"] == 40


def test_rounding_twice_is_told(source):
    matrix = built(source, "int8").astype("int4").astype("float32")
    assert matrix.provenance["rounded_before"] == ["int8", "int4"]
    assert matrix.recipe.dtype == "float32"
    assert "rounding" not in matrix.provenance
    assert matrix.astype("float32") is matrix
    assert matrix.astype(np.float16).dtype == "float16"
    assert matrix.astype(ml_dtypes.bfloat16).dtype == "bfloat16"
    for wrong in ("int2", None, np.int16, torch.bfloat16):
        with pytest.raises(OptionError, match="it can be float32"):
            matrix.astype(wrong)


def test_reports_tell_what_rounding_did(source, tmp_path):
    matrix = built(source, "int4")
    matrix.save_report(tmp_path / "r.md")
    matrix.save_report(tmp_path / "r.json")
    rounding = json.loads((tmp_path / "r.json").read_text("utf-8"))["rounding"]
    assert rounding == matrix.provenance["rounding"]
    whole = built(source, "float32").vectors[1:-1].astype(float)
    kept = matrix.vectors[1:-1].astype(float)
    cosines = (whole * kept).sum(axis=1)
    cosines /= np.linalg.norm(whole, axis=1) * np.linalg.norm(kept, axis=1)
    assert rounding["rows"] == 40
    assert rounding["cosine"]["worst"] == pytest.approx(cosines.min())
    text = (tmp_path / "r.md").read_text("utf-8")
    assert f"| cosine | {cosines.mean():.6f} | {cosines.min():.6f} |" in text
    built(source, "float32").save_report(tmp_path / "f.md")
    assert "Rounding" not in (tmp_path / "f.md").read_text("utf-8")


def test_a_number_too_large_is_refused_by_its_token(tmp_path):
    (tmp_path / "v.txt").write_text("the 1 2\ncat 1 70000\n", "utf-8")
    for where in (None, tmp_path / "m.npz"):
        with pytest.raises(WriteError, match="'cat' holds the number 70000"):
            pe.build_matrix(
                ["the", "cat"],
                tmp_path / "v.txt",
                recipe=pe.Recipe(dtype="float16"),
                out=where,
            )
    matrix = pe.load_matrix(tmp_path / "v.txt")
    with pytest.raises(WriteError, match="'cat'"):
        matrix.astype("float16")
    assert not (tmp_path / "m.npz").exists()


# Files that are not what they say


def rewritten(path: Path, **changes: object) -> Path:
    """Write an archive with other arrays, or other metadata of its vectors."""
    with np.load(path) as archive:
        arrays = dict(archive)
    metadata = json.loads(arrays["metadata"].tobytes())
    for name, value in changes.items():
        if name == "told":
            metadata["vectors"] = value
        elif value is None:
            arrays.pop(name)
        else:
            arrays[name] = np.asarray(value)
    if changes.get("told", 0) is None:
        del metadata["vectors"]
    arrays["metadata"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    out = path.with_name("hostile.npz")
    np.savez(out, **arrays)
    return out


@pytest.mark.parametrize("dtype", ["int8", "int4", "binary"])
@pytest.mark.parametrize(
    "changes",
    [
        {"array_scales": None},
        {"array_scales": np.ones(5, np.float32)},
        {"array_scales": np.ones(42, np.float64)},
        {"array_scales": np.full(42, np.nan, np.float32)},
        {"array_scales": np.full(42, np.inf, np.float32)},
        {"array_scales": -np.ones(42, np.float32)},
        {"told": None},
        {"told": {"dtype": "int8"}},
        {"told": {"dtype": "int3", "dim": DIM}},
        {"told": {"dtype": "float32", "dim": DIM}},
        {"told": {"dtype": "bfloat16", "dim": DIM}},
        {"told": {"dtype": "int8", "dim": 10**30}},
        {"told": {"dtype": "int4", "dim": -3}},
        {"told": {"dtype": "binary", "dim": True}},
        {"told": "int8"},
        {"told": []},
    ],
)
def test_a_file_that_contradicts_itself_is_refused(source, tmp_path, dtype, changes):
    built(source, dtype).save(tmp_path / "m.npz")
    hostile = rewritten(tmp_path / "m.npz", **changes)
    for read in (pe.load_matrix, pe.open_vectors):
        with pytest.raises(FormatError, match=r"hostile\.npz"):
            read(hostile)


@pytest.mark.parametrize(
    ("dtype", "byte"), [("int8", 0x80), ("int4", 0x08), ("binary", 0xFF)]
)
@every_file
def test_bits_that_are_no_number_are_told_of_with_their_row(
    source, tmp_path, dtype, byte, file
):
    matrix = built(source, dtype)
    values = matrix.stored.values.copy()
    values[30, -1] = np.array(byte, np.uint8).astype(values.dtype)
    broken = bits.Stored(dtype, values, matrix.stored.scales, DIM)
    pe.EmbeddingMatrix(broken, matrix.ledger).save(tmp_path / file)
    loaded = pe.load_matrix(tmp_path / file)
    assert np.array_equal(loaded.lookup([3]), matrix.lookup([3]))
    with pytest.raises(FormatError, match=rf"{file}: row 30 has bits that no {dtype}"):
        loaded.vectors  # noqa: B018  (the property reads)
    with pytest.raises(FormatError, match="has bits that no"):
        loaded.lookup([30])
    with pytest.raises(FormatError, match="has bits that no"):
        pe.build_matrix(["w29"], tmp_path / file)


def test_an_array_of_the_name_of_scales_is_refused(tmp_path):
    from pretrained_embed import formats
    from pretrained_embed.arrays import PackedTokens

    table = formats.Table(
        PackedTokens.pack(["a", "b"]),
        bits.encode(np.ones((2, 3), np.float32), "int8"),
        {"scales": np.ones(2, np.float32)},
        {},
    )
    with pytest.raises(WriteError, match="the name of the scales"):
        formats.write_table(tmp_path / "m.npz", table)


def test_a_zip_of_equal_matrices_is_equal(source, tmp_path):
    built(source, "int8").save(tmp_path / "a.npz")
    built(source, "int8").save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.namelist()[0] == "vectors_int8.npy"
