"""On a disk that is really full: a clear error, and nothing half-written is left."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import SourceError, WriteError
from pretrained_embed.library.published import fetch_entry
from pretrained_embed.sources.http import Retry
from tests.servers import chunked, serving
from tests.sources.published import DATA, entry, sha256

MIB = 1 << 20


@pytest.fixture(params=[MIB])
def disk(tmp_path, request) -> Iterator[Path]:
    """A disk of its own with room for a MiB, or as many bytes as the test says."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command to make a small disk with")
    if done.returncode:
        pytest.skip(f"making a small disk takes root on Linux: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def large(tmp_path) -> Path:
    """A file of vectors, of twice the disk's size."""
    path = tmp_path / "vectors.txt"
    rows = 2 * MIB // 100
    path.write_text("".join(f"w{i} {'0.123456789 ' * 8}\n" for i in range(rows)))
    assert path.stat().st_size > 2 * MIB
    return path


@pytest.mark.parametrize(
    "suffix", [".npz", ".npy", ".h5", ".safetensors", ".txt", ".bin"]
)
def test_a_matrix_is_saved_whole_or_not_at_all(disk, suffix):
    path = disk / f"matrix{suffix}"
    small = pe.EmbeddingMatrix(np.ones((2, 3)), pe.Vocabulary(["a", "b"], pad=None))
    rows = MIB // 64
    vocabulary = pe.Vocabulary([f"w{i}" for i in range(rows)], pad=None)
    noise = np.random.default_rng(0).normal(size=(rows, 32))
    large = pe.EmbeddingMatrix(noise, vocabulary)
    small.save(path)
    before = files(disk)

    with pytest.raises((WriteError, OSError), match="No space left"):
        large.save(path)

    assert files(disk) == before
    assert pe.load_matrix(path).vectors.tolist() == small.vectors.tolist()


@pytest.mark.parametrize("suffix", formats.TARGET_SUFFIXES)
def test_rows_are_written_whole_or_not_at_all(disk, suffix):
    vectors = np.ones((1000, MIB // 2 // 4000), np.float32)
    shape = {"rows": len(vectors), "dim": vectors.shape[1]}
    long = PackedTokens.pack([f"{row:0700}" for row in range(len(vectors))])
    path = disk / f"rows{suffix}"

    def write() -> None:
        with formats.new_sink(path, formats.Announced(**shape, tokens=long)) as sink:
            sink.append(formats.PackedBlock(long, vectors))
            sink.finish({}, {})

    with pytest.raises(WriteError, match="No space left"):
        write()
    assert files(disk) == []
    with (
        pytest.raises(WriteError, match=r"it takes; [\d,]+ are free"),
        formats.new_sink(path, formats.Announced(**shape, beside=len(long.data))),
    ):
        raise AssertionError

    assert files(disk) == []


@pytest.mark.parametrize("suffix", formats.TARGET_SUFFIXES)
def test_the_room_of_rows_to_come_is_taken_first(disk, suffix):
    before = shutil.disk_usage(disk).free
    rows = MIB // 2 // 40

    with (
        pytest.raises(WriteError, match="never finished"),
        formats.new_sink(disk / f"rows{suffix}", formats.Announced(rows, 10)),
    ):
        taken = before - shutil.disk_usage(disk).free

    assert taken >= rows * 40
    assert shutil.disk_usage(disk).free == before


def test_a_store_is_made_whole_or_not_at_all(disk, large, tmp_path):
    with pytest.raises((WriteError, SourceError), match="No space left"):
        pe.index(large, library=pe.Library(disk))

    assert not [name for name in files(disk) if name.endswith((".h5", ".tmp"))]
    vocabulary = pe.Vocabulary(["w7"])
    matrix = pe.build_matrix(vocabulary, large, library=pe.Library(disk))
    assert matrix.coverage.found == 1


@pytest.mark.parametrize("disk", [20 * MIB], indirect=True)
def test_a_download_of_unknown_size_is_kept_whole_or_not_at_all(disk, tmp_path):
    data = DATA * (24 * MIB // len(DATA))
    wanted = {"checksums": (sha256(data),)}
    retry = Retry(sleep=lambda _: None)
    with serving() as host:
        host.files["v.txt"], host.default = data, chunked

        with pytest.raises(SourceError, match="No space left"):
            fetch_entry(entry(host, **wanted), disk, offline=False, retry=retry)

        assert "v.txt" not in files(disk)
        fetched = fetch_entry(
            entry(host, **wanted), tmp_path, offline=False, retry=retry
        )
    assert fetched.path.read_bytes() == data
