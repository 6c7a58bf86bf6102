"""Damage in the vectors of a store that keeps its size and its time is seen."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pretrained_embed as pe
from pretrained_embed.formats import store
from pretrained_embed.formats.store.directory import checksums

ROWS, DIM = 1500, 7  # more than are compared at once


@pytest.fixture(params=["float32", "float16", "bfloat16", "int8"])
def indexed(request, tmp_path):
    """Return a store, and what it was made from."""
    source = tmp_path / "v.txt"
    numbers = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float16)
    lines = [f"w{i} {' '.join(map(str, v))}\n" for i, v in enumerate(numbers.tolist())]
    source.write_text("".join(lines))
    path = pe.index(source, dtype=request.param, library=pe.Library(tmp_path / "cache"))
    return path, source


def damage(path, row: int, column: int) -> None:
    """Change one bit of a store, and nothing else that the system tells of it."""
    with store.open_store(path) as reader:
        stored = reader.stored._stored.values[row : row + 1].tobytes()
    data = bytearray(path.read_bytes())
    at = data.index(stored) + column
    status = path.stat()
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def build(words, source, path):
    vocabulary = pe.Vocabulary(words, pad=None)
    return pe.build_matrix(vocabulary, source, library=pe.Library(path.parents[2]))


@pytest.mark.parametrize("row", [0, 511, 512, ROWS - 1])
def test_a_damaged_row_is_never_handed_out(indexed, row):
    path, source = indexed
    damage(path, row, row % DIM)
    others = [f"w{i}" for i in range(ROWS) if i != row]

    with pytest.raises(
        pe.errors.FormatError, match=f"store is damaged: its row {row:,} is"
    ):
        build(["w3", f"w{row}", "w7"], source, path)
    assert "store" in build(others, source, path).source_facts[0]

    with (
        store.open_store(path) as reader,
        pytest.raises(pe.errors.FormatError, match="is damaged"),
    ):
        list(reader.packed_blocks())
    with (
        store.open_store(path) as reader,
        pytest.raises(pe.errors.FormatError, match="is damaged"),
    ):
        reader.table()

    path.unlink()  # as the error says
    assert build([f"w{row}"], source, path).coverage.found == 1


def test_damaged_checksums_are_seen_at_once(indexed):
    path, _ = indexed
    with store.open_store(path) as reader:
        sums = checksums(reader.stored._stored.values[:]).tobytes()
    data = path.read_bytes()
    assert data.count(sums) == 1
    path.write_bytes(data.replace(sums, sums[:-1] + bytes([sums[-1] ^ 1])))

    with pytest.raises(pe.errors.FormatError, match="digest is wrong"):
        store.open_store(path)


@given(st.data())
def test_each_change_of_one_number_changes_the_checksum(data):
    dim = data.draw(st.integers(1, 400))
    rows = np.random.default_rng(dim).normal(size=(1, dim)).astype(np.float32)
    changed = rows.copy()
    column = data.draw(st.integers(0, dim - 1))
    changed.view(np.uint32)[0, column] ^= data.draw(st.integers(1, 2**32 - 1))

    assert checksums(rows) != checksums(changed)
    assert dim == 1 or checksums(rows) != checksums(np.roll(rows, 1, axis=1))


def test_the_checksums_of_stores_on_disks_stay_as_they_are():
    rows = np.arange(12, dtype=np.float32).reshape(2, 6) / 7

    assert checksums(rows).tolist() == EXPECTED["float32"]
    assert checksums(rows.astype(np.float16)).tolist() == EXPECTED["float16"]


EXPECTED = {"float32": [1166987188, 3760811149], "float16": [3848594888, 2962215394]}
