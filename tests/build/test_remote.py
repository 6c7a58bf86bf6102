"""Matrices from files that are read where they are, and only what is needed of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import pretrained_embed as pe
from pretrained_embed.formats.text import reader as text
from tests.command_line import run
from tests.s3 import BUCKET, Store
from tests.vectors import cut_into_parts

pytest.importorskip("s3fs", reason="the extra 'remote' is not installed")

ROWS, DIM = 4000, 8
TEXT = b"".join(
    b"token%d" % i + b" %d.25" * DIM % tuple((i * k) % 997 for k in range(DIM)) + b"\n"
    for i in range(ROWS)
)
#: Tokens all over the file, one of them not in it.
VOCABULARY = [f"token{i}" for i in range(0, ROWS, 7)] + ["nowhere"]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a text file of vectors, which is read in many parts."""
    cut_into_parts(monkeypatch, 1 << 15, read=1 << 13)
    monkeypatch.setenv("PRETRAINED_EMBED_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "vectors.txt"
    path.write_bytes(TEXT)
    return path


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_the_bytes_are_those_of_a_local_build(s3: Store, local: Path, threads):
    url = s3.put("vectors.txt", TEXT)
    s3.asked.clear()

    far = pe.build_matrix(VOCABULARY, url, work=pe.Work(threads=threads))

    here = pe.build_matrix(VOCABULARY, local)
    assert far.vectors.tobytes() == here.vectors.tobytes()
    assert far.coverage == here.coverage
    assert far.provenance["source"]["url"] == url
    assert all(asked.span for asked in s3.asked if asked.method == "GET")


def test_to_open_a_file_little_of_it_is_read(s3: Store):
    url = s3.put("large.txt", TEXT * 10)
    s3.asked.clear()

    with pe.open_vectors(url) as reader:
        assert (reader.format, reader.dim) == ("text", DIM)

    assert max(last for _, last in s3.spans()) < 1 << 20


def test_who_stops_early_has_not_asked_for_much_more(s3: Store, local, monkeypatch):
    monkeypatch.setattr(text, "_BLOCK_SIZE", 1 << 14)
    url = s3.put("large.txt", TEXT * 10)

    with pe.open_vectors(url) as reader:
        s3.asked.clear()
        next(reader.packed_blocks())

    assert sum(last + 1 - first for first, last in s3.spans()) < 1 << 18


@pytest.mark.parametrize(
    "name",
    ["v.bin", "v.safetensors", "v.npz", "v.txt.gz", "v.h5", "v.parquet", "v.arrow"],
)
def test_every_format_can_be_far_away(s3: Store, local: Path, name, tmp_path):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(TEXT))
    else:
        pe.convert(local, path)
    url = s3.put(name, path.read_bytes())

    far = pe.build_matrix(VOCABULARY, url)

    here = pe.build_matrix(VOCABULARY, path, library=pe.Library(stores=False))
    assert far.vectors.tobytes() == here.vectors.tobytes()
    assert far.coverage.found == len(VOCABULARY) - 1


def test_of_parquet_only_row_groups_with_wanted_rows_are_asked_for(
    s3: Store, tmp_path: Path
):
    words = [f"w{number}" for number in range(20_000)]
    vectors = np.random.default_rng(0).normal(size=(20_000, 50)).astype(np.float32)
    table = pa.table({"w": words, "v": list(vectors)})
    parquet.write_table(table, tmp_path / "x", row_group_size=1_000)
    url = s3.put("x.parquet", (tmp_path / "x").read_bytes())
    s3.asked.clear()

    matrix = pe.build_matrix(["w1500", "w1501"], url, oov="zeros")

    assert matrix["w1501"].tobytes() == vectors[1501].tobytes()
    asked = sum(last + 1 - first for first, last in s3.spans())
    assert asked < (tmp_path / "x").stat().st_size // 3


def test_a_change_in_the_middle_of_a_build_is_an_error(s3: Store, local: Path):
    url = s3.put("vectors.txt", TEXT)
    asked_for_rows = iter(range(99))

    def change(asked) -> None:
        if asked.method == "GET" and next(asked_for_rows) == 4:
            s3.put("vectors.txt", TEXT.replace(b".25", b".75"))

    s3.before = change

    with pytest.raises(pe.errors.SourceError, match="was changed while it was read"):
        pe.build_matrix(VOCABULARY, url)


def test_what_is_far_away_cannot_be_indexed(s3: Store, local: Path):
    with pytest.raises(pe.errors.OptionError, match="only local files"):
        pe.index(s3.put("vectors.txt", TEXT))


def test_the_command_line_builds_from_afar(s3: Store, local: Path, tmp_path):
    url = s3.put("vectors.txt", TEXT)
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(VOCABULARY))
    arguments = ("build", "--vocab", vocab, "--output", tmp_path / "m.npz")

    assert run(*arguments, "--source", url).exit_code == 0

    far = pe.load_matrix(tmp_path / "m.npz")
    assert run(*arguments, "--source", local).exit_code == 0
    here = pe.load_matrix(tmp_path / "m.npz")
    np.testing.assert_array_equal(far.vectors, here.vectors)
    assert far.provenance["source"]["version"].startswith("ETag")


def test_the_command_line_says_in_one_line_what_is_wrong(s3: Store, tmp_path):
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("the\n")

    result = run("build", "--vocab", vocab, "--source", f"s3://{BUCKET}/none.txt")

    assert result.exit_code == 1
    assert f"s3://{BUCKET}/none.txt: there is no such file" in result.stderr
    assert "Traceback" not in result.stderr
