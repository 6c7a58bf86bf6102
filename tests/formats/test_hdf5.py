from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from tables import example, stream_of

from pretrained_embed import formats, kernel
from pretrained_embed.errors import FormatError
from pretrained_embed.formats import marks
from pretrained_embed.formats.hdf5 import reader as hdf5

VECTORS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
TOKENS = ["the", "été", "b c"]


def test_h5py_reads_what_is_written(tmp_path):
    formats.write_table(tmp_path / "table.h5", example())

    with h5py.File(tmp_path / "table.h5") as file:
        assert file["vectors"].chunks is None
        assert file["vectors"].dtype == "<f4"
        assert file["vectors"][:].tobytes() == example().vectors.tobytes()
        assert file["arrays/mean"][()] == 0.25
        for name in ("vectors", "tokens/bytes", "tokens/offsets", "metadata"):
            assert file[name].id.get_offset() % 64 == 0
            assert h5py.h5g.get_objinfo(file[name].id).mtime == 0


@pytest.mark.parametrize(
    "strings",
    [
        np.array(TOKENS, object),
        np.array([token.encode() for token in TOKENS]),
        np.array([token.encode() for token in TOKENS], h5py.string_dtype("utf-8", 9)),
    ],
    ids=["variable", "fixed", "fixed utf-8"],
)
@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"chunks": (2, 1), "compression": "gzip", "shuffle": True},
        {"chunks": (2, 2), "maxshape": (None, 2)},
        {"dtype": "<f2"},
        {"dtype": ">f4"},
        {"dtype": "<f8", "compression": "lzf"},
    ],
    ids=str,
)
def test_files_of_other_writers_are_read(tmp_path, strings, storage):
    with h5py.File(tmp_path / "other.h5", "w", userblock_size=512) as file:
        file.create_dataset("embeddings", data=VECTORS, **storage)
        file["vocabulary"] = strings
        file["counts"] = [1, 2, 3]
    stream = stream_of(tmp_path / "other.h5")
    out = np.zeros((2, 2), np.float32)
    index = kernel.TokenIndex(["b c", "the"], np.array([0, 1]), np.zeros(2, np.uint8))

    with hdf5.open_reader(stream) as reader:
        (block,) = reader.blocks()
        selection = reader.select(index, out)

    assert marks.hdf5(stream.head(4096), stream)
    assert block.tokens == TOKENS
    assert block.vectors.tolist() == VECTORS.tolist()
    assert out.tolist() == [[5, 6], [1, 2]]
    assert selection.source_rows.tolist() == [2, 0]
    assert selection.findings.notes[0] == "data sets left out: counts"


DATA = Path(__file__).parents[1] / "data" / "hdf5"
FRAME = ["/c/en/coffee_pot", "/c/fr/été", "/c/en/#####ish", "/c/de/straße"]


def test_a_frame_of_pandas_is_read_as_its_numbers_stand():
    with hdf5.open_reader(stream_of(DATA / "mini.h5")) as reader:
        (block,) = reader.blocks()

    assert block.tokens == FRAME
    assert block.vectors.dtype == np.float32
    assert block.vectors.tolist() == np.arange(-8.0, 8.0).reshape(4, 4).tolist()
    assert reader.findings.notes == [
        "data sets left out: mat/axis0, mat/block0_items",
        "stored as int8, without a scale: whole numbers as they are",
    ]


def test_a_packed_frame_of_pandas_is_read():
    with hdf5.open_reader(stream_of(DATA / "zlib.h5")) as reader:
        (block,) = reader.blocks()

    assert block.tokens == FRAME
    assert block.vectors.tolist() == (np.arange(-8.0, 8.0) / 4).reshape(4, 4).tolist()


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("blosc", r"packed with blosc.*h5repack -f GZIP=4"),
        ("mixed", r"columns differ in dtype.*astype"),
    ],
)
def test_a_frame_that_cannot_be_read_says_why(name, match):
    with pytest.raises(FormatError, match=match):
        hdf5.open_reader(stream_of(DATA / f"{name}.h5"))


@pytest.mark.parametrize(
    ("vectors", "tokens", "other"),
    [
        ("vectors", "tokens", "words"),
        ("emb", "vocab", "what"),
        ("model/syn0", "model/index2word", "model/syn1"),
        ("anything", "whatever", "more"),
        ("anything", "whatever", "index"),
    ],
)
def test_a_matrix_and_its_tokens_are_known_by_name_or_by_form(
    tmp_path, vectors, tokens, other
):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file[vectors], file[tokens] = VECTORS, TOKENS
        file[other] = np.ones(7)  # neither a matrix nor strings

    with hdf5.open_reader(stream_of(tmp_path / "other.h5")) as reader:
        (block,) = reader.blocks()

    assert block.vectors.tolist() == VECTORS.tolist()
    assert block.tokens == TOKENS


def test_a_matrix_in_slabs_reads_like_a_mapped_one(tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9_000, 3)).astype(np.float32)
    names = [f"w{row}" for row in range(9_000)]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("vectors", data=vectors, compression="gzip")
        file["tokens"] = names
    wanted = rng.permutation(9_000)[:500]
    index = kernel.TokenIndex(
        [names[row] for row in wanted], np.arange(500), np.zeros(500, np.uint8)
    )
    out = np.zeros((500, 3), np.float32)

    with hdf5.open_reader(stream_of(tmp_path / "other.h5")) as reader:
        selection = reader.select(index, out)

    assert selection.source_rows.tolist() == wanted.tolist()
    assert out.tobytes() == vectors[wanted].tobytes()


def test_a_closed_reader_of_slabs_is_our_error(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("vectors", data=VECTORS, compression="gzip")
        file["tokens"] = TOKENS
    with hdf5.open_reader(stream_of(tmp_path / "other.h5")) as reader:
        pass

    with pytest.raises(FormatError):
        list(reader.blocks())


def outside(folder, kind: str) -> None:
    """Make a file whose vectors lie in another file."""
    with h5py.File(folder / "secret.h5", "w") as file:
        file["vectors"] = VECTORS
    (folder / "secret.raw").write_bytes(VECTORS.tobytes())
    with h5py.File(folder / "other.h5", "w") as file:
        file["tokens"] = TOKENS
        if kind == "external link":
            file["vectors"] = h5py.ExternalLink(str(folder / "secret.h5"), "vectors")
        elif kind == "soft link":
            file["elsewhere"] = h5py.ExternalLink(str(folder / "secret.h5"), "/")
            file["vectors"] = h5py.SoftLink("/elsewhere/vectors")
        elif kind == "external data":
            file.create_dataset(
                "vectors", (3, 2), "<f4", external=str(folder / "secret.raw")
            )
        else:
            layout = h5py.VirtualLayout((3, 2), "<f4")
            layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "vectors", (3, 2))
            file.create_virtual_dataset("vectors", layout)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("external link", "links are not followed"),
        ("soft link", "links are not followed"),
        ("external data", "other files"),
        ("virtual data set", "other files"),
    ],
)
def test_nothing_is_read_from_other_files(tmp_path, kind, message):
    outside(tmp_path, kind)
    with h5py.File(tmp_path / "other.h5") as file:
        assert file["vectors"][0, 0] == 1  # h5py alone would read it

    with pytest.raises(FormatError, match=message):
        hdf5.open_reader(stream_of(tmp_path / "other.h5"))


@pytest.mark.parametrize(
    "storage",
    [
        {"shape": (10**9, 300)},
        {"shape": (10**9, 300), "chunks": (1000, 300)},
        {"shape": (3, 2), "chunks": (10**6, 500), "maxshape": (None, None)},
    ],
    ids=str,
)
def test_vectors_that_are_declared_but_not_stored_are_refused(tmp_path, storage):
    with h5py.File(tmp_path / "hollow.h5", "w") as file:
        file.create_dataset("vectors", dtype="<f4", **storage)
        file["tokens"] = TOKENS

    with pytest.raises(FormatError, match="not all there"):
        hdf5.open_reader(stream_of(tmp_path / "hollow.h5"))


def test_sizes_beyond_the_file_are_refused(tmp_path):
    rows = 7919  # a number that stands nowhere else in the file
    path = tmp_path / "beyond.h5"
    with h5py.File(path, "w") as file:
        file["vectors"] = np.ones((rows, 2), np.float32)
        file["tokens"] = np.full(rows, b"a")
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<Q", rows), struct.pack("<Q", 1 << 40)))

    with pytest.raises(FormatError, match=r"beyond\.h5"):
        hdf5.open_reader(stream_of(path))


def test_an_address_beyond_the_file_is_refused(tmp_path):
    path = tmp_path / "beyond.h5"
    formats.write_table(path, example())
    with h5py.File(path) as file:
        vectors = file["vectors"]
        place = struct.pack("<QQ", vectors.id.get_offset(), vectors.nbytes)
        beyond = struct.pack("<QQ", path.stat().st_size - 8, vectors.nbytes)
    raw = path.read_bytes()
    assert raw.count(place) == 1
    path.write_bytes(raw.replace(place, beyond))

    with pytest.raises(FormatError, match=r"beyond\.h5"):
        hdf5.open_reader(stream_of(path))


def test_files_without_a_table_are_refused(tmp_path):
    contents: list[tuple[dict[str, object], str]] = [
        ({}, "no data set of vectors"),
        ({"vectors": VECTORS}, "no data set of tokens"),
        ({"vectors": VECTORS, "tokens": TOKENS[:1]}, "1 tokens for 3 vectors"),
        ({"vectors": VECTORS, "tokens": [1, 2, 3]}, "row of strings"),
        ({"vectors": TOKENS, "tokens": TOKENS}, "shape"),
        ({"vectors": h5py.Empty("f4"), "tokens": TOKENS}, "empty"),
        ({"vectors": VECTORS.astype(int), "tokens": TOKENS}, "int64"),
    ]
    for content, message in contents:
        with h5py.File(tmp_path / "other.h5", "w") as file:
            for name, data in content.items():
                file[name] = data
        with pytest.raises(FormatError, match=message):
            hdf5.open_reader(stream_of(tmp_path / "other.h5"))


@pytest.mark.parametrize("limit", [1, 3_000, 100_000, 300_000, 1_000_000])
def test_a_full_disk_is_an_error_and_leaves_nothing(limit: int, tmp_path: Path) -> None:
    # HDF5 itself ends the process there, so another one has to find out
    script = f"""
import resource, signal, sys
import numpy as np
import pretrained_embed as pe
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
vocabulary = pe.Vocabulary([str(i) for i in range(2_000)])
matrix = pe.EmbeddingMatrix(np.zeros((2_001, 200), np.float32), vocabulary)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    matrix.save({str(tmp_path / "m.h5")!r})
except pe.errors.WriteError as error:
    sys.exit(f"refused: {{error}}")
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr
    assert "refused: cannot write" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_heap_in_which_the_library_would_go_round_in_circles_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("vectors", data=np.ones((2, 2), "f4"))
        file.create_dataset("tokens", data=["a", "b"], dtype=h5py.string_dtype())
    raw = bytearray(path.read_bytes())
    free = raw.index(b"GCOL") + 16 + 2 * 24  # behind two strings
    assert raw[free : free + 2] == b"\0\0"
    raw[free + 8 : free + 16] = bytes(8)
    path.write_bytes(raw)

    with pytest.raises(FormatError, match="a heap of strings at byte"):
        hdf5.open_reader(stream_of(path))
