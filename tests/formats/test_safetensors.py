from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, load_file, save_file
from tables import example, read_all, stream_of

from pretrained_embed import formats
from pretrained_embed.errors import FormatError
from pretrained_embed.formats import marks
from pretrained_embed.formats.safetensors import reader as safetensors
from pretrained_embed.formats.safetensors.header import read_header

VECTORS = np.array([[1, 2], [3, 4]], np.float32)


def file_of(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype: str, shape: list[object], begin: object, end: object) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_the_safetensors_package_reads_what_is_written(tmp_path):
    path = tmp_path / "table.safetensors"
    table = example()
    formats.write_table(path, table)

    tensors = load_file(path)

    assert tensors["embedding.weight"].tobytes() == table.vectors.tobytes()
    assert tensors["token_bytes"].tobytes() == table.tokens.data.tobytes()
    assert tensors["array_origin"].tolist() == table.arrays["origin"].tolist()
    assert struct.unpack_from("<Q", path.read_bytes())[0] % 8 == 0


@pytest.mark.parametrize("name", ["embeddings", "embedding.weight", "whatever"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_a_matrix_of_the_safetensors_package_is_read_with_its_tokens(
    tmp_path, name, dtype
):
    save_file(
        {name: VECTORS.astype(dtype), "scale": np.ones(3, np.int8)},
        tmp_path / "model.safetensors",
    )
    (tmp_path / "vocab.txt").write_bytes("été\nb c\n".encode())

    with safetensors.open_reader(stream_of(tmp_path / "model.safetensors")) as reader:
        (block,) = reader.blocks()

    assert block.tokens == ["été", "b c"]
    assert block.vectors.tolist() == VECTORS.tolist()
    assert reader.findings.notes[:2] == [
        f"vectors from tensor {name}",
        "tokens from vocab.txt",
    ]


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    values = np.array([[1.5, -2.0], [np.inf, 0.0]], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    path = tmp_path / "model.safetensors"
    path.write_bytes(file_of({"w": tensor("BF16", [2, 2], 0, 8)}, halves.tobytes()))
    (tmp_path / "words").write_text("a\nb")

    with safetensors.open_reader(stream_of(path, tmp_path / "words")) as reader:
        (block,) = reader.blocks()
        table = reader.table()

    assert block.vectors.tolist() == values.tolist() == table.vectors.tolist()
    assert "stored as bfloat16" in reader.findings.notes


def test_tokens_come_from_a_tokenizer(tmp_path):
    save_file({"embeddings": VECTORS}, tmp_path / "model.safetensors")
    tokenizer = {
        "added_tokens": [{"id": 1, "content": "[PAD]"}],
        "model": {"type": "WordPiece", "vocab": {"the": 0}},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))

    table = formats.read_table(stream_of(tmp_path / "model.safetensors"))

    assert table.tokens.unpack() == ["the", "[PAD]"]


def test_a_file_without_tokens_says_what_to_do(tmp_path):
    save_file({"embeddings": VECTORS}, tmp_path / "model.safetensors")

    with pytest.raises(FormatError, match=r"one a line.*vocab\.txt"):
        safetensors.open_reader(stream_of(tmp_path / "model.safetensors"))


def test_a_file_without_one_matrix_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for tensors in ({"a": VECTORS, "b": VECTORS}, {"a": np.ones(3, np.float32)}):
        save_file(tensors, path)
        with pytest.raises(FormatError, match="one matrix"):
            safetensors.open_reader(stream_of(path))


GOOD = tensor("F32", [2, 2], 0, 16)
HOSTILE = {
    "nothing": b"",
    "a short length": b"\x02\x00",
    "a length of nothing": file_of(b""),
    "a length beyond the limit": file_of({}, length=100_000_001),
    "a length beyond the file": file_of({}, length=99),
    "a length beyond all files": file_of({}, length=2**64 - 1),
    "no UTF-8": file_of(b'{"\xff":1}'),
    "no JSON": file_of(b"{,}"),
    "no object": file_of([]),
    "a space before": file_of(b" {}"),
    "deep nesting": file_of(b'{"a":' * 50_000),
    "a key twice": file_of(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
        b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
    ),
    "metadata of numbers": file_of({"__metadata__": {"a": 1}}),
    "metadata of text": file_of({"__metadata__": "a"}),
    "a tensor of text": file_of({"a": "b"}),
    "a missing field": file_of({"a": {"dtype": "U8", "shape": [0]}}),
    "a further field": file_of({"a": {**tensor("U8", [0], 0, 0), "x": 1}}),
    "three offsets": file_of(
        {"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0, 0]}}
    ),
    "an unknown dtype": file_of({"a": tensor("F31", [2, 2], 0, 16)}, bytes(16)),
    "a negative size": file_of({"a": tensor("U8", [-1, -16], 0, 16)}, bytes(16)),
    "a size that is true": file_of({"a": tensor("U8", [True], 0, 1)}, bytes(1)),
    "a size with a point": file_of({"a": tensor("U8", [1.0], 0, 1)}, bytes(1)),
    "a size beyond counting": file_of({"a": tensor("U8", [2**64], 0, 0)}),
    "a product beyond counting": file_of({"a": tensor("F32", [2**32, 2**32], 0, 0)}),
    "a hidden product": file_of({"a": tensor("F32", [0, 2**62, 2**62], 0, 0)}),
    "offsets that differ": file_of({"a": tensor("F32", [2, 2], 0, 15)}, bytes(15)),
    "offsets backwards": file_of({"a": tensor("U8", [0], 1, 0)}, bytes(1)),
    "an overlap": file_of({"a": GOOD, "b": tensor("F32", [2, 2], 8, 24)}, bytes(24)),
    "the same bytes twice": file_of({"a": GOOD, "b": GOOD}, bytes(16)),
    "a gap": file_of({"a": GOOD, "b": tensor("U8", [1], 17, 18)}, bytes(18)),
    "a gap before": file_of({"a": tensor("F32", [2, 2], 1, 17)}, bytes(17)),
    "bytes after": file_of({"a": GOOD}, bytes(17)),
    "bytes missing": file_of({"a": GOOD}, bytes(15)),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_is_refused(tmp_path, raw):
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)

    with (
        pytest.raises(FormatError, match=r"model\.safetensors"),
        path.open("rb") as file,
    ):
        read_header(file, len(raw), path.name)


@given(
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=3
    )
)
def test_what_the_safetensors_package_refuses_is_refused(tmp_path_factory, changes):
    raw = bytearray(file_of({"a": GOOD, "b": tensor("U8", [3], 16, 19)}, bytes(19)))
    for position, value in changes:
        raw[position % len(raw)] = value
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(raw)

    try:
        with path.open("rb") as file:
            read_header(file, len(raw), path.name)
    except FormatError:
        return
    try:
        load(bytes(raw))
    except SafetensorError as error:
        pytest.fail(f"accepted what the package refuses: {error}")
    except KeyError:
        pass  # a dtype that numpy does not have


def test_the_header_is_told_from_text():
    def recognised(head: bytes, path: Path = Path(__file__)) -> bool:
        return marks.safetensors(head, stream_of(path))

    assert recognised(file_of({"a": 1}))
    assert not recognised(b"the {0.1")
    assert not recognised(file_of({"a": 1}, length=1 << 20))


def test_a_damaged_matrix_of_others_gives_rows_or_our_error(tmp_path):
    path, words = tmp_path / "model.safetensors", tmp_path / "words"
    save_file({"embeddings": VECTORS}, path)
    words.write_text("a\nb")
    raw = path.read_bytes()

    outcomes = set()
    for position in range(len(raw)):
        for value in (0, 0x30, 0x39, 0xFF):
            damaged = bytearray(raw)
            damaged[position] = value
            path.write_bytes(damaged)
            outcomes.add(read_all(safetensors, path, words))

    assert outcomes == {"read", "refused"}
