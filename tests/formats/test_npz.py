from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
from tables import example, read_all, stream_of

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.marks import NPY
from pretrained_embed.formats.npy.header import format_header, parse_header
from pretrained_embed.formats.npz import reader as npz
from pretrained_embed.formats.table import Table

VECTORS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
TOKENS = np.array([b"a", b"b", b"c"])


def header(text: str) -> bytes:
    return NPY + b"\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin-1")


def test_numpy_reads_what_is_written(tmp_path):
    formats.write_table(tmp_path / "table.npz", example())

    with np.load(tmp_path / "table.npz", allow_pickle=False) as arrays:
        assert arrays["vectors"].tobytes() == example().vectors.tobytes()
        assert arrays["array_origin"].tolist() == list(range(10))


def test_every_array_lies_at_a_multiple_of_64_bytes(tmp_path):
    path = tmp_path / "table.npz"
    formats.write_table(path, example())
    raw = path.read_bytes()

    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name, extra = struct.unpack_from("<HH", raw, info.header_offset + 26)
            assert (info.header_offset + 30 + name + extra) % 64 == 0
        assert archive.testzip() is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("kind", [np.str_, np.bytes_])
@pytest.mark.parametrize("order", ["C", "F"])
def test_archives_of_other_writers_are_read(tmp_path, save, kind, order):
    tokens = np.array(["the", "a b", "x"]).astype(kind)
    save(
        tmp_path / "other.npz",
        embeddings=np.asarray(VECTORS, np.float16, order=order),
        words=tokens,
        counts=np.arange(3),
    )

    with npz.open_reader(stream_of(tmp_path / "other.npz")) as reader:
        (block,) = reader.blocks()

    assert block.tokens == ["the", "a b", "x"]
    assert block.vectors.tolist() == VECTORS.tolist()
    assert reader.findings.notes == [
        "arrays left out: counts",
        "stored as float16",
    ]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_without_a_name_are_known_by_their_form(tmp_path, save):
    save(tmp_path / "other.npz", VECTORS, np.array(["a", "b", "c"]), np.arange(3))

    with npz.open_reader(stream_of(tmp_path / "other.npz")) as reader:
        (block,) = reader.blocks()

    assert block.tokens == ["a", "b", "c"]
    assert block.vectors.tolist() == VECTORS.tolist()
    assert reader.findings.notes == ["arrays left out: arr_2"]


def test_pickled_tokens_without_a_name_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", VECTORS, np.array(["a", "b", "c"], object))

    with pytest.raises(FormatError, match=r"arr_1\.npy.*objects.*astype"):
        npz.open_reader(stream_of(tmp_path / "other.npz"))


def test_a_compressed_table_reads_back(tmp_path):
    table = example()
    np.savez_compressed(
        tmp_path / "packed.npz",
        vectors=table.vectors,
        token_bytes=table.tokens.data,
        token_offsets=table.tokens.offsets,
    )

    read = formats.read_table(stream_of(tmp_path / "packed.npz"))

    assert read.vectors.tobytes() == table.vectors.tobytes()
    assert read.tokens.unpack() == table.tokens.unpack()


def test_pickled_tokens_are_refused_and_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    tokens = np.array(["a", "b", Trap()], object)
    np.savez(tmp_path / "other.npz", vectors=VECTORS, tokens=tokens)

    with pytest.raises(FormatError, match=r"tokens\.npy.*objects"):
        npz.open_reader(stream_of(tmp_path / "other.npz"))

    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": VECTORS}, "no array of tokens"),
        ({"tokens": np.array(["a"])}, "no array of vectors"),
        ({"vectors": VECTORS, "tokens": np.array(["a"])}, "1 tokens for 3 vectors"),
        ({"vectors": VECTORS, "tokens": np.arange(3)}, "dtype U or S"),
        ({"vectors": VECTORS[0], "tokens": np.array(["a"])}, "shape"),
        (
            {"vectors": VECTORS, "tokens": np.array(["\ud800", "b", "c"])},
            "not Unicode",
        ),
    ],
)
def test_archives_without_a_table_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "other.npz", **arrays)

    with pytest.raises(FormatError, match=message):
        npz.open_reader(stream_of(tmp_path / "other.npz"))


def test_an_archive_that_declares_more_than_it_can_hold_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, vectors=VECTORS, tokens=np.array(["a", "b", "c"]))
    raw = bytearray(path.read_bytes())
    directory = raw.index(b"PK\x01\x02")
    raw[directory + 24 : directory + 28] = struct.pack("<I", 1 << 31)
    path.write_bytes(raw)

    with pytest.raises(FormatError, match="does not fill its 2,147,483,648 bytes"):
        npz.open_reader(stream_of(path))


def test_a_member_that_unpacks_to_less_than_declared_is_refused(tmp_path):
    path = tmp_path / "short.npz"
    array = format_header(VECTORS) + VECTORS.tobytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vectors.npy", array[:-8])
        archive.writestr("tokens.npy", format_header(TOKENS) + TOKENS.tobytes())
    raw = bytearray(path.read_bytes())
    directory = raw.index(b"PK\x01\x02")
    raw[directory + 24 : directory + 28] = struct.pack("<I", len(array))
    path.write_bytes(raw)

    with pytest.raises(FormatError, match=r"vectors\.npy.* too early"):
        npz.open_reader(stream_of(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused_by_number(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "other.npz", "w", method) as archive:
        for name in ("vectors", "tokens"):
            archive.writestr(f"{name}.npy", b"")

    with pytest.raises(FormatError, match=f"method {method}"):
        npz.open_reader(stream_of(tmp_path / "other.npz"))


def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("vectors.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("vectors.npy", b"")

    with pytest.raises(FormatError, match="two members"):
        npz.open_reader(stream_of(tmp_path / "other.npz"))


@pytest.mark.parametrize("end", [0, 1, 2, 3])
def test_members_outside_the_file_are_refused(tmp_path, end):
    path = tmp_path / "table.npz"
    formats.write_table(path, example())
    raw = bytearray(path.read_bytes())
    # where the directory begins: zipfile moves every member by what it is off
    raw[len(raw) - 6 + end] ^= 0x7F
    path.write_bytes(raw)

    with pytest.raises(FormatError):
        npz.open_reader(stream_of(path))


def test_a_wrong_checksum_is_refused(tmp_path):
    path = tmp_path / "table.npz"
    table = Table(PackedTokens.pack(["a"]), VECTORS[:1], {}, {})
    formats.write_table(path, table)
    raw = path.read_bytes()
    position = raw.index(VECTORS[:1].tobytes())
    path.write_bytes(raw[:position] + b"\x01" + raw[position + 1 :])

    with pytest.raises(FormatError, match=r"vectors\.npy.*checksum"):
        npz.open_reader(stream_of(path))


def test_a_compressed_archive_damaged_anywhere_gives_rows_or_our_error(tmp_path):
    path = tmp_path / "packed.npz"
    np.savez_compressed(path, vectors=VECTORS, tokens=np.array(["a", "b", "c"]))
    raw = path.read_bytes()

    outcomes = set()
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        outcomes.add(read_all(npz, path))

    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 2), "<f4"),
        np.zeros((3, 2), ">f8"),
        np.zeros((2, 3), "<f2", order="F"),
        np.zeros(7, "u1"),
        np.zeros((), "<i8"),
        np.zeros((0, 4), "<f4"),
        np.array(["ab", "c"]),
    ],
)
def test_headers_are_read_as_numpy_writes_them_and_the_other_way_round(array):
    file = io.BytesIO()
    np.save(file, array)

    layout = parse_header(file.getvalue(), "array")
    plain = np.asarray(array, order="C")
    back = np.load(io.BytesIO(format_header(plain) + plain.tobytes()))

    assert (layout.dtype, layout.shape) == (array.dtype, array.shape)
    assert layout.nbytes == len(file.getvalue()) - layout.length
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert len(format_header(plain)) % 64 == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 2), }",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 3, }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9999999999999999999), }",
        "{'descr': __import__('os'), 'fortran_order': False, 'shape': (3,), }",
        "(" * 60_000,
        "{'descr': " * 6_000,
        "-" * 60_000,
    ],
)
def test_headers_that_say_anything_else_are_refused(text):
    with pytest.raises(FormatError, match="array"):
        parse_header(header(text), "array")


def _pairs():
    rows = np.empty(3, object)
    rows[:] = [*zip("abc", VECTORS, strict=True)]
    return rows


@pytest.mark.parametrize(
    ("name", "save"),
    [
        (
            "a.npz",
            lambda path: np.savez(path, **dict(zip("abc", VECTORS, strict=True))),
        ),
        ("b.npz", lambda path: np.savez(path, pairs=_pairs())),
        ("b2.npz", lambda path: np.savez(path, np.array(dict(_pairs())))),
        ("c.npy", lambda path: np.save(path, _pairs(), allow_pickle=True)),
        (
            "d.npy",
            lambda path: np.save(
                path,
                np.array([[t, *v] for t, v in _pairs()], object),
                allow_pickle=True,
            ),
        ),
    ],
)
def test_rows_of_objects_and_arrays_a_token_are_refused_with_lines_that_write_them(
    tmp_path, monkeypatch, name, save
):
    monkeypatch.chdir(tmp_path)
    save(name)

    with pytest.raises(FormatError, match=r"Write all as one|write it anew") as caught:
        pe.open_vectors(name)
    _, lines = str(caught.value).split(":\n", 1)
    exec("\n".join(map(str.strip, lines.splitlines())), {"numpy": np})

    matrix = pe.build_matrix(pe.Vocabulary([*"cab"], pad=None), "vectors.npz")
    np.testing.assert_array_equal(matrix.vectors, VECTORS[[2, 0, 1]])
