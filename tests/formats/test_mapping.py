"""Files are mapped, unless that is not wanted: then they are read, to the same bits."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import PretrainedEmbedError
from pretrained_embed.formats import local
from pretrained_embed.sources.stream import rereadable
from tests.command_line import run
from tests.formats.test_fuzz import all_samples, read_all

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
    for maps_files in (True, False):
        library = pe.Library(tmp_path / "cache", mmap=maps_files)
        with library.open(path) as reader:
            assert (
                mapped(path) == (maps_files and path.suffix != ".kv")
                or path.suffix == ".kv"
            )
            built.append(pe.build_matrix(vocabulary, reader).vectors)
            assert maps_files or not mapped(path)
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


@pytest.fixture
def maps(monkeypatch):
    """Return a list that gets the inode of each file that is mapped from now on."""
    inodes: list[int] = []

    class Watched(mmap.mmap):
        def __new__(cls, fileno, *given, **named):
            if fileno != -1:
                inodes.append(os.fstat(fileno).st_ino)
            return super().__new__(cls, fileno, *given, **named)

    monkeypatch.setattr(mmap, "mmap", Watched)
    return inodes


def elsewhere(function):
    """Call a function on a thread that knows nothing of this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.mark.parametrize(
    "sample", all_samples(), ids=lambda p: f"{p.parent.name}-{p.name}"
)
def test_nothing_is_mapped_of_any_format_whenever_it_is_read(sample, maps):
    library = pe.Library(mmap=False, stores=False)
    stream = rereadable(library.stream(sample))

    with suppress(PretrainedEmbedError):  # some files there are wrong on purpose
        opened = library.open(sample)
        elsewhere(lambda: read_all(opened))
        elsewhere(lambda: read_all(formats.open_reader(stream)))

    assert maps == []


def test_a_format_that_is_mapped_is_seen_to_be(maps):
    for sample in DATA.glob("*/*.npz"), DATA.glob("*/*.h5"), DATA.glob("*/*.bin"):
        before = len(maps)
        for path in sample:
            with suppress(PretrainedEmbedError):
                read_all(pe.Library(stores=False).open(path))
        assert len(maps) > before


@pytest.mark.parametrize("name", ["shards", "m.npy", "m.npz", "m.h5", "m.safetensors"])
def test_what_is_saved_in_any_way_is_read_later(name, tmp_path, maps):
    path = tmp_path / name
    numbers = np.arange(36, dtype=np.float32).reshape(9, 4)
    (tmp_path / "v.txt").write_text(
        "".join(f"w{i} {' '.join(map(str, row))}\n" for i, row in enumerate(numbers))
    )
    words = pe.Vocabulary([f"w{i}" for i in range(9)], pad=None)
    out = pe.Shards(path, 3) if name == "shards" else path
    library = pe.Library(tmp_path / "cache", mmap=False)

    built = pe.build_matrix(words, tmp_path / "v.txt", out=out, library=library)
    loaded = pe.load_matrix(path, library=library)
    shard = pe.load_shard(path, 1, 2, library=library)
    some = pe.load_matrix(path, rows=slice(2, 7), library=library)

    assert elsewhere(lambda: built.vectors.tobytes()) == numbers.tobytes()
    assert elsewhere(lambda: loaded.vectors.tobytes()) == numbers.tobytes()
    assert elsewhere(lambda: shard.vectors.tobytes()) == numbers[4:].tobytes()
    assert elsewhere(lambda: some.vectors.tobytes()) == numbers[2:7].tobytes()
    if name == "shards":
        assert maps == []
    elif MAPS.exists():  # a build writes to its own file by mapping it
        assert not [line for line in MAPS.read_text().splitlines() if str(path) in line]


def test_no_store_is_mapped(tmp_path, maps):
    (tmp_path / "v.txt").write_text("the 1 2\nof 3 4\n")
    library = pe.Library(tmp_path / "cache", mmap=False)
    pe.index(tmp_path / "v.txt", library=library)

    reader = library.open(tmp_path / "v.txt")

    assert isinstance(reader, formats.store.StoreReader)
    elsewhere(lambda: read_all(reader))
    assert maps == []


@pytest.mark.parametrize(
    "command",
    [
        ("convert", "v.npz", "out.npz"),
        ("convert", "v.npz", "out.txt"),
        ("similar", "v.npz", "w3"),
        ("examine", "v.npz"),
        ("info", "m.npz"),
        ("build", "--vocab", "vocab.txt", "--source", "v.npz", "-o", "out.npy"),
        ("build", "--vocab", "vocab.txt", "--source", "v.txt", "--onto", "m.npz"),
    ],
    ids=lambda words: words[0],
)
def test_no_command_maps_what_it_is_told_to_read(command, tmp_path, monkeypatch, maps):
    monkeypatch.chdir(tmp_path)
    words = [f"w{i}" for i in range(200)]
    numbers = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    pe.EmbeddingMatrix(numbers, pe.Vocabulary(words, pad=None)).save("m.npz")
    Path("v.txt").write_text(
        "".join(
            f"{w} {' '.join(map(str, v))}\n"
            for w, v in zip(words, numbers.tolist(), strict=True)
        )
    )
    Path("vocab.txt").write_text("w1\nw2\n")
    pe.convert("v.txt", "v.npz")
    given = {Path(name).stat().st_ino for name in ("v.npz", "v.txt", "m.npz")}

    assert run(*command).exit_code == 0
    assert given & {*maps}
    maps.clear()
    for written in (Path("out.npz"), Path("out.npy"), Path("out.txt")):
        written.unlink(missing_ok=True)

    result = run(*command, "--no-mmap")

    assert result.exit_code == 0, result.stderr
    assert not given & {*maps}
