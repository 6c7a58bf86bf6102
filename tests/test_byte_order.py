"""Files are the same on machines of either order of bytes; `emulate.py` runs this."""

import hashlib

import numpy as np
import pytest

import pretrained_embed as pe

TOKENS = [f"token{i}" for i in range(300)]
VECTORS = np.linspace(-2, 2, 300 * 25).astype(np.float32).reshape(300, 25)

#: SHA-256 of the vectors as little-endian float32, the same on any machine.
DIGESTS = {
    "float32": "d0853749b35dae8b",
    "float16": "0131d1b3baf9ee1d",
    "bfloat16": "5777606eb4b7f134",
    "int8": "a680695c9e7d1dde",
    "int4": "d1a506e5509e5d56",
    "binary": "1f9c7e68b46d260c",
}


def digest(vectors):
    return hashlib.sha256(vectors.astype("<f4").tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("dtype", DIGESTS)
def test_a_saved_matrix_has_the_same_numbers_anywhere(dtype, suffix, tmp_path):
    vocabulary = pe.Vocabulary(TOKENS, pad=None)
    matrix = pe.build_matrix(vocabulary, (TOKENS, VECTORS)).astype(dtype)
    matrix.save(tmp_path / f"m{suffix}")

    loaded = pe.load_matrix(tmp_path / f"m{suffix}")

    assert digest(matrix.vectors) == DIGESTS[dtype]
    assert digest(loaded.vectors) == DIGESTS[dtype]
    assert digest(pe.build_matrix(TOKENS[3:5], loaded).vectors[-2:]) == digest(
        matrix.vectors[3:5]
    )


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_binary_numbers_of_either_order_are_read(dtype, tmp_path):
    path = tmp_path / "v.bin"
    rows = zip(TOKENS, VECTORS.astype(dtype), strict=True)
    path.write_bytes(
        b"300 25\n"
        + b"".join(token.encode() + b" " + row.tobytes() + b"\n" for token, row in rows)
    )

    matrix = pe.build_matrix(pe.Vocabulary(TOKENS, pad=None), path)

    assert digest(matrix.vectors) == DIGESTS["float32"]
