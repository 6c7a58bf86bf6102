from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe

TEXT = b"the 0.1 -2.0\ncat 3.0 4.5\nthe 5.0 6.0\nsat 1e-09 7.0\n"
TOKENS = ["the", "cat", "the", "sat"]
VECTORS = np.float32([[0.1, -2], [3, 4.5], [5, 6], [1e-9, 7]])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_bytes(TEXT)
    return path


def read(path: Path) -> tuple[list[str], np.ndarray]:
    with pe.open_vectors(path) as reader:
        blocks = list(reader.blocks())
    return (
        [token for block in blocks for token in block.tokens],
        np.concatenate([block.vectors for block in blocks]),
    )


def holds(path: Path, rows: Iterable[int]) -> bool:
    tokens, vectors = read(path)
    rows = list(rows)
    return (
        tokens == [TOKENS[row] for row in rows]
        and vectors.tobytes() == VECTORS[rows].tobytes()
    )


@pytest.mark.parametrize("to", [".npz", ".h5", ".safetensors", ".vec", ".bin"])
@pytest.mark.parametrize("via", [".npz", ".h5", ".safetensors", ".txt", ".bin"])
def test_all_rows_survive_any_way_through_the_formats(tmp_path, source, via, to):
    pe.convert(source, tmp_path / f"one{via}")
    done = pe.convert(tmp_path / f"one{via}", tmp_path / f"two{to}")

    assert holds(tmp_path / f"two{to}", range(4))
    assert (done.rows, done.dim, done.duplicates, done.dropped) == (4, 2, 1, False)


@pytest.mark.parametrize("format", ["gensim", "sentence-transformers"])
def test_formats_of_unique_tokens_take_the_first_rows(tmp_path, source, format):
    with pytest.raises(pe.errors.WriteError, match=r"'the' stands there twice"):
        pe.convert(source, tmp_path / "out", format=format)
    done = pe.convert(source, tmp_path / "out", format=format, drop_duplicates=True)

    assert holds(tmp_path / "out", [0, 1, 3])
    assert (done.rows, done.duplicates, done.dropped) == (3, 1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source.txt"]


@pytest.mark.parametrize(
    "vocab",
    [
        ["zz", "sat", "the", "aa"],
        {"the": 7, "zz": 0, "aa": 3, "sat": 1},
        pe.Vocabulary(["aa", "sat", "the", "zz"]),
    ],
)
def test_a_vocabulary_keeps_its_rows_in_the_order_of_the_source(
    tmp_path, source, vocab
):
    done = pe.convert(source, tmp_path / "out.npz", vocab=vocab)

    assert holds(tmp_path / "out.npz", [0, 2, 3])
    assert done.missing == ["aa", "zz"]
    assert done.duplicates == 1


def test_a_vocabulary_and_dropping_go_together(tmp_path, source):
    done = pe.convert(
        source, tmp_path / "out.txt", vocab=["the", "sat"], drop_duplicates=True
    )

    assert holds(tmp_path / "out.txt", [0, 3])
    assert done.missing == []


def test_a_vocabulary_of_which_nothing_is_there_writes_nothing(tmp_path, source):
    with pytest.raises(pe.errors.WriteError, match="no rows"):
        pe.convert(source, tmp_path / "out.npz", vocab=["dog"])

    assert list(tmp_path.iterdir()) == [source]


def test_what_can_be_opened_can_be_converted(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", b"x 1 2\n")
        archive.writestr("source.txt", TEXT)

    pe.convert(f"{tmp_path / 'a.zip'}#source.txt", tmp_path / "one.npz")
    pe.convert(io.BytesIO(TEXT), tmp_path / "two.npz")

    assert holds(tmp_path / "one.npz", range(4))
    assert holds(tmp_path / "two.npz", range(4))


def test_what_goes_by_once_is_converted_as_it_goes_by(tmp_path):
    script = (
        "import sys, pretrained_embed as pe\n"
        f"pe.convert('-', {str(tmp_path / 'out.h5')!r})\n"
    )

    subprocess.run([sys.executable, "-c", script], input=TEXT, check=True)

    assert holds(tmp_path / "out.h5", range(4))


def test_a_matrix_goes_whole_where_the_format_holds_all_of_it(tmp_path, source):
    vocabulary = pe.Vocabulary({"cat": 2, "zebra": 4, "sat": 5})  # rows 1, 3: holes
    matrix = pe.build_matrix(vocabulary, source)
    matrix.save(tmp_path / "m.npz")

    done = pe.convert(tmp_path / "m.npz", tmp_path / "m.h5")
    back = pe.load_matrix(tmp_path / "m.h5")

    assert back.vectors.tobytes() == matrix.vectors.tobytes()
    assert back.origin.tolist() == matrix.origin.tolist()
    assert back.vocabulary.ids == matrix.vocabulary.ids
    assert back.provenance == matrix.provenance
    assert done.duplicates == 0
    assert done.notes == []


def test_what_a_matrix_leaves_behind_is_said(tmp_path, source):
    matrix = pe.build_matrix(
        {"cat": 2, "sat": 4}, source, limits=pe.Limits(coverage=0.5)
    )
    matrix.save(tmp_path / "m.npz")

    text = pe.convert(tmp_path / "m.npz", tmp_path / "m.txt")
    some = pe.convert(tmp_path / "m.npz", tmp_path / "s.npz", vocab=["sat"])

    for done in (text, some):
        assert any("left behind" in note for note in done.notes)
    assert "sat" in read(tmp_path / "m.txt")[0]
    assert holds(tmp_path / "s.npz", [3])


def test_where_vectors_come_from_goes_along(tmp_path, source):
    pe.convert(source, tmp_path / "out.npz")

    with np.load(tmp_path / "out.npz") as archive:
        metadata = archive["metadata"].tobytes().decode()

    assert "source.txt" in metadata
    assert '"fingerprint"' in metadata


def test_a_dtype_rounds_and_says_so(tmp_path, source):
    done = pe.convert(source, tmp_path / "out.npz", dtype="float16")

    with np.load(tmp_path / "out.npz") as archive:
        assert archive["vectors"].dtype == np.float16
    assert read(tmp_path / "out.npz")[1].tolist() == VECTORS.astype("f2").tolist()
    assert done.dtype == "float16"
    assert any("float16" in note for note in done.notes)


def test_malformed_rows_stop_it_or_are_counted(tmp_path):
    source = tmp_path / "bad.txt"
    source.write_bytes(TEXT + b"bad 1.0\n")

    with pytest.raises(pe.errors.RowError, match="line 5"):
        pe.convert(source, tmp_path / "out.npz")
    with pytest.raises(pe.errors.RowError, match="bad_rows"):
        pe.convert(source, tmp_path / "out.npz", limits=pe.Limits(bad_rows=0.1))
    assert list(tmp_path.iterdir()) == [source]
    done = pe.convert(source, tmp_path / "out.npz", limits=pe.Limits(bad_rows=1))

    assert holds(tmp_path / "out.npz", range(4))
    assert done.findings.bad_rows == 1


def test_the_source_is_not_overwritten(tmp_path, source):
    pe.convert(source, tmp_path / "st", format="sentence-transformers", vocab=["cat"])
    (tmp_path / "link.npz").symlink_to(source)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.txt", TEXT)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    for given, out in (
        (source, source),
        (source, tmp_path / "link.npz"),
        (str(source), tmp_path / "." / "source.txt"),
        (f"{tmp_path / 'a.zip'}#x.txt", tmp_path / "a.zip"),
        (tmp_path / "st", tmp_path / "st" / "model.safetensors"),
    ):
        with pytest.raises(pe.errors.OptionError, match="the place of what is read"):
            pe.convert(given, out, format="npz")

    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("out.npz", {"format": "words2vec"}, "did you mean 'word2vec'"),
        ("out.npz", {"dtype": "int9"}, "did you mean"),
        ("out.txt", {"dtype": "float16"}, "word2vec holds float32"),
        ("out.npz", {"max_bad_rows": 1}, r"limits=pe\.Limits\(bad_rows=\.\.\.\) now"),
        ("out.npz", {"on_bad_row": "skip"}, r"limits=pe\.Limits\(bad_rows=1\.0\) now"),
        ("out.npz", {"limits": pe.Limits(coverage=0.5)}, "bad_rows alone"),
        ("out.npz", {"limits": 3}, r"give limits=pe\.Limits"),
        ("out.foo", {}, "by its suffix"),
    ],
)
def test_options_that_mean_nothing_are_refused_before_the_source_is_opened(
    tmp_path, out, options, message
):
    with pytest.raises(ValueError, match=message):
        pe.convert(tmp_path / "none", tmp_path / out, **options)


def test_progress_grows_in_each_pass(tmp_path, source):
    seen: list[tuple[int, int | None]] = []

    pe.convert(source, tmp_path / "o.txt", progress=lambda *at: seen.append(at))

    assert (len(TEXT), len(TEXT)) in seen  # of reading the source
    assert seen[-1] == (VECTORS.nbytes, VECTORS.nbytes)  # and of writing the text


@pytest.mark.parametrize("format", ["hdf5", "word2vec-binary", "sentence-transformers"])
def test_memory_is_bounded_however_many_vectors_there_are(tmp_path, format):
    """96 MB of vectors pass through; memory may grow by a third of that at most."""
    rows, dim = 24_000, 1000
    source, out = tmp_path / "source.bin", tmp_path / "out"
    with source.open("wb") as file:
        file.write(b"%d %d\n" % (rows, dim))
        for row in range(rows):
            file.write(b"w%d " % row + np.full(dim, row, "<f4").tobytes())
    script = f"""
import pretrained_embed as pe
def memory():
    status = open("/proc/self/status").read()
    return int(status.partition("RssAnon:")[2].split()[0])
pe.convert({str(source)!r}, {str(tmp_path / "warm")!r}, format="npz", vocab=["w1"])
before, seen = memory(), []
pe.convert({str(source)!r}, {str(out)!r}, format={format!r},
           progress=lambda *at: seen.append(memory()))
print(max(seen) - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert int(done.stdout) < 32_000  # kB
    with pe.open_vectors(out) as reader:
        firsts = [block[:, 0] for _, block in reader.blocks()]
    assert np.concatenate(firsts).tolist() == list(range(rows))
