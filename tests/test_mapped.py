"""Matrices are loaded without a copy: from the file, not from memory."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

import pretrained_embed as pe


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".safetensors"])
def test_the_vectors_of_a_loaded_matrix_stay_in_the_file(suffix, tmp_path):
    vocabulary = pe.Vocabulary(["the", "cat"])
    vectors = np.zeros((len(vocabulary), 3), np.float32)
    vectors[1:] = 2
    pe.EmbeddingMatrix(vectors, vocabulary).save(tmp_path / f"m{suffix}")

    loaded = pe.load_matrix(tmp_path / f"m{suffix}").vectors

    base = loaded
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    assert not loaded.flags.writeable
    assert loaded.tolist() == vectors.tolist()
