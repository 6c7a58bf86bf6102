"""Models of llama.cpp, written by its own package."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from conformance import all_rows

from pretrained_embed import formats, sources
from pretrained_embed.errors import FormatError
from pretrained_embed.formats.table import HOLES

TOKENS = ["<s>", "▁the", "of", "à"]
TABLE = (np.arange(4 * 256, dtype=np.float32).reshape(4, 256) - 500) / 77
KINDS = gguf.GGMLQuantizationType


def written(
    path: Path,
    kind: KINDS,
    tokens: list[str] = TOKENS,
    packed: np.ndarray | None = None,
) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_array("of.arrays", [1.5, 2.5])
    if packed is None:
        packed = gguf.quants.quantize(TABLE, kind)
    shape = None if kind in (KINDS.F32, KINDS.F16) else packed.shape
    writer.add_tensor("output.weight", np.ones((2, 4), np.float32))
    writer.add_tensor("token_embd.weight", packed, raw_shape=shape, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def rows_of(path: Path | str) -> tuple[list[str], np.ndarray]:
    with formats.open_reader(sources.open_source(path)) as reader:
        assert reader.format == "gguf"
        return all_rows(reader)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_rows_are_what_the_package_restores(kind, tmp_path):
    path = written(tmp_path / "m.gguf", KINDS[kind])
    tensor = next(
        t for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight"
    )
    expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)

    tokens, vectors = rows_of(path)

    assert tokens == TOKENS
    assert vectors.tobytes() == expected.astype(np.float32).reshape(4, 256).tobytes()


PLAIN = {KINDS.F32, KINDS.F16, KINDS.F64, KINDS.BF16}


@pytest.mark.parametrize("kind", sorted({*gguf.GGML_QUANT_SIZES} - PLAIN))
def test_every_kind_is_restored_or_named(kind, tmp_path):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    shape = (4, 256 // block * size)
    packed = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = written(tmp_path / "m.gguf", kind, packed=packed)
    try:
        with np.errstate(all="ignore"):
            expected = gguf.quants.dequantize(packed, kind).astype(np.float32)
    except NotImplementedError:
        with pytest.raises(FormatError, match=f"{kind.name}, .* llama-quantize"):
            rows_of(path)
        return
    finite = np.isfinite(expected).all(axis=1)

    with formats.open_reader(sources.open_source(path)) as reader:
        read = reader.table().vectors[0:4]

    assert read[finite].tobytes() == expected[finite].tobytes()


def test_rows_behind_the_tokens_have_none(tmp_path):
    path = written(tmp_path / "m.gguf", KINDS.F32, TOKENS[:3])

    table = formats.read_table(sources.open_source(path))

    assert table.arrays[HOLES].tolist() == [3]


def test_more_tokens_than_rows_are_an_error(tmp_path):
    path = written(tmp_path / "m.gguf", KINDS.F32, [*TOKENS, "more"])

    with pytest.raises(FormatError, match="5 tokens for the 4 rows"):
        rows_of(path)
    with pytest.raises(FormatError, match=r"'no'; it holds output\.weight, token_embd"):
        rows_of(f"{path}#no")


def test_damage_is_an_error_of_ours_or_changes_what_is_read(tmp_path):
    raw = written(tmp_path / "m.gguf", KINDS.Q8_0).read_bytes()
    header = raw.index(b"token_embd.weight") + 60
    path = tmp_path / "x.gguf"
    for at in range(4, header):
        for value in (b"\xff", b"\x00", b"\x09"):
            path.write_bytes(raw[:at] + value + raw[at + 1 :])
            try:
                rows_of(path)
            except FormatError:
                continue
    for size in range(4, len(raw), 41):
        path.write_bytes(raw[:size])
        with pytest.raises(FormatError):
            rows_of(path)


@pytest.mark.parametrize(
    "entry",
    [
        b"\x09\0\0\0" + b"\x08\0\0\0" + b"\xff" * 7 + b"\x7f",
        b"\x09\0\0\0" + b"\x04\0\0\0" + b"\xff" * 7 + b"\x7f",
        (b"\x09\0\0\0" + b"\x01" + b"\0" * 7) * 5000,
        b"\x08\0\0\0" + b"\xff" * 8,
        b"\x63\0\0\0",
    ],
)
def test_counts_that_lie_are_refused(entry, tmp_path):
    head = b"GGUF\x03\0\0\0" + bytes(8) + (1).to_bytes(8, "little")
    path = tmp_path / "x.gguf"
    path.write_bytes(head + (1).to_bytes(8, "little") + b"a" + entry + bytes(99))

    with pytest.raises(FormatError):
        rows_of(path)
