"""Files are mapped, unless that is not wanted: then they are read, to the same bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed.formats import local
from tests.command_line import run

DATA = Path(__file__).parents[1] / "data"
FASTTEXT = DATA / "fasttext" / "words.bin"
SUFFIXES = (".npz", ".npy", ".h5", ".safetensors", ".kv")
MAPS = Path("/proc/self/maps")


@pytest.fixture(params=[*SUFFIXES, "store", "fastText"])
def vectors(request, tmp_path):
    """Return a file of each kind that is mapped, and some tokens of it."""
    if request.param == "fastText":
        with pe.open_vectors(FASTTEXT) as reader:
            return FASTTEXT, [t for block in reader.blocks() for t in block.tokens][:9]
    words = [f"w{i}" for i in range(500)]
    numbers = np.random.default_rng(0).normal(size=(500, 40)).astype(np.float32)
    text = tmp_path / "v.txt"
    rows = zip(words, numbers.tolist(), strict=True)
    text.write_text("".join(f"{w} {' '.join(map(str, v))}\n" for w, v in rows))
    if request.param == "store":
        pe.index(text, library=pe.Library(tmp_path / "cache"))
        return text, words[:9]
    path = tmp_path / f"v{request.param}"
    pe.convert(text, path)
    return path, words[:9]


def mapped(path: Path) -> bool:
    """Whether this process maps a file of the folder of ``path``."""
    return any(str(path.parent) in line for line in MAPS.read_text().splitlines())


@pytest.mark.skipif(
    not MAPS.exists(), reason="this system does not tell what is mapped"
)
def test_what_is_not_to_be_mapped_is_read(vectors, tmp_path):
    path, words = vectors
    vocabulary = pe.Vocabulary(words, pad=None)
    built = []
    for mmap in (True, False):
        library = pe.Library(tmp_path / "cache", mmap=mmap)
        with library.open(path) as reader:
            assert (
                mapped(path) == (mmap and path.suffix != ".kv") or path.suffix == ".kv"
            )
            built.append(pe.build_matrix(vocabulary, reader).vectors)
            assert mmap or not mapped(path)
        del reader
    assert built[0].tobytes() == built[1].tobytes()


@pytest.mark.skipif(
    not MAPS.exists(), reason="this system does not tell what is mapped"
)
@pytest.mark.parametrize("suffix", SUFFIXES[:4])
@pytest.mark.parametrize("rows", [None, slice(1, 3)])
def test_a_matrix_that_is_not_to_be_mapped_is_read(tmp_path, suffix, rows):
    vocabulary = pe.Vocabulary(["a", "b", "c"], pad=None)
    numbers = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = tmp_path / f"m{suffix}"
    pe.EmbeddingMatrix(numbers, vocabulary).save(path)

    loaded = pe.load_matrix(path, rows=rows, library=pe.Library(mmap=False))

    assert not mapped(path)
    assert loaded.vectors.tobytes() == numbers[rows or slice(None)].tobytes()


CUT = """
import sys
from pathlib import Path
import pretrained_embed as pe

path = Path(sys.argv[1])
matrix = pe.load_matrix(path, library=pe.Library(mmap=sys.argv[2] == "mapped"))
with path.open("r+b") as file:
    file.truncate(4096)
print(float(matrix.vectors.sum()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no signal, or another")
@pytest.mark.parametrize("way", ["mapped", "read"])
def test_a_file_that_is_cut_short_ends_only_who_has_mapped_it(tmp_path, way):
    vocabulary = pe.Vocabulary([f"w{i}" for i in range(4000)], pad=None)
    pe.EmbeddingMatrix(np.ones((4000, 40), np.float32), vocabulary).save(
        path := tmp_path / "m.npy"
    )

    ended = subprocess.run(
        [sys.executable, "-c", CUT, path, way], capture_output=True, check=False
    )

    assert ended.returncode == (-7 if way == "mapped" else 0)  # SIGBUS
    assert (ended.stdout == b"160000.0\n") == (way == "read")


def test_the_command_line_reads_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("v.txt").write_text("the 1 2\n")
    Path("vocab.txt").write_text("the\n")
    run("convert", "v.txt", "v.npz")
    kept, whole = [], local._read_array

    def read(file, *given):
        kept.append(Path(file.name).name)
        return whole(file, *given)

    monkeypatch.setattr(local, "_read_array", read)

    result = run("build", "--vocab", "vocab.txt", "--source", "v.npz", "--no-mmap")

    assert result.exit_code == 0, result.stderr
    assert "v.npz" in kept
