"""Some rows of a saved matrix, and one matrix in several files."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.errors import FormatError, OptionError, VocabularyError
from pretrained_embed.ledger import Origin
from tests.ledger.test_saved import assert_whole, example

ROWS = len(example())
WHOLE = [".npy", ".npz", ".h5", ".safetensors", "shards"]


def saved(matrix: pe.EmbeddingMatrix, folder: Path, kind: str, shards: int = 4) -> Path:
    """Save a matrix, in a file or in shards."""
    path = folder / f"m{kind}"
    if kind == "shards":
        matrix.save(path, shards=shards)
    else:
        matrix.save(path)
    return path


def assert_part(part: pe.EmbeddingShard, whole: pe.EmbeddingMatrix, wanted: slice):
    start, stop, _ = wanted.indices(len(whole))
    assert (part.start, part.stop, part.rows) == (start, max(start, stop), len(whole))
    assert part.shape == (len(part), whole.dim)
    assert part.tokens == whole.vocabulary.tokens[wanted]
    assert part.provenance == whole.provenance
    for name in ("vectors", "origin", "source_rows", "sources"):
        one, other = getattr(part, name), getattr(whole, name)[wanted]
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    assert not part.vectors.flags.writeable
    pads = range(ROWS)[wanted].count(whole.pad_id)
    assert part.pad_id == (whole.pad_id if pads else None)


@pytest.mark.parametrize("shards", [1, 2, 3, ROWS])
def test_a_matrix_in_shards_is_given_back_whole(tmp_path, shards):
    path = saved(example(), tmp_path, "shards", shards)

    assert_whole(example(), pe.load_matrix(path))


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize(
    "wanted",
    [
        slice(2, 7),
        slice(None),
        slice(0, 1),
        slice(-3, None),
        slice(4, 4),
        slice(5, 2),
        slice(ROWS, None),
        slice(8, 1000),
    ],
    ids=str,
)
def test_some_rows_are_those_of_the_whole(tmp_path, kind, wanted):
    path = saved(example(), tmp_path, kind)

    assert_part(pe.load_matrix(path, rows=wanted), example(), wanted)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("world_size", [1, 2, 3, ROWS + 2])
def test_the_shards_of_all_ranks_are_the_matrix(tmp_path, kind, world_size):
    path = saved(example(), tmp_path, kind)

    shards = [pe.load_shard(path, rank, world_size) for rank in range(world_size)]

    assert [shard.start for shard in shards[1:]] == [
        shard.stop for shard in shards[:-1]
    ]
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    for shard in shards:
        assert_part(shard, example(), slice(shard.start, shard.stop))
    assert sum(map(len, shards)) == ROWS


@pytest.mark.parametrize("kind", WHOLE)
def test_rows_that_lie_in_one_file_are_mapped(tmp_path, kind):
    vocabulary = pe.Vocabulary([f"w{row}" for row in range(100)], pad=None)
    path = saved(pe.EmbeddingMatrix(np.ones((100, 8)), vocabulary), tmp_path, kind)

    array = pe.load_matrix(path, rows=slice(30, 45)).vectors

    while array.base is not None and not isinstance(array, np.memmap):
        array = array.base
    assert isinstance(array, np.memmap)


_PEAK = """
import json, sys, tracemalloc
import pretrained_embed as pe
from pretrained_embed import formats
path, rank, world_size = json.loads(sys.argv[1])
pe.load_shard(path, rank, world_size)
tracemalloc.start()
shard = pe.load_shard(path, rank, world_size)
print(tracemalloc.get_traced_memory()[1], shard.vectors.nbytes)
"""


def test_memory_is_that_of_the_rows(tmp_path):
    """A rank's rows are in two of three files, so they are put together in memory."""
    rows, dim = 6000, 500
    vocabulary = pe.Vocabulary([f"w{row}" for row in range(rows)], pad=None)
    matrix = pe.EmbeddingMatrix(np.ones((rows, dim)), vocabulary)
    path = saved(matrix, tmp_path, "shards", 3)

    done = subprocess.run(
        [sys.executable, "-c", _PEAK, json.dumps([str(path), 1, 4])],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(pe.__file__).parents[1],
    )
    peak, own = map(int, done.stdout.split())

    assert own == rows // 4 * dim * 4
    assert peak < 1.5 * own


def test_ids_are_those_of_the_whole_matrix(tmp_path):
    matrix = example()
    part = pe.load_matrix(saved(matrix, tmp_path, "shards"), rows=slice(2, 7))

    assert part.lookup([[3, 4], [6, 2]]).tobytes() == (
        matrix.lookup([[3, 4], [6, 2]]).tobytes()
    )
    assert part.lookup([]).shape == (0, 2)
    for wrong in (1, 7, -1):
        with pytest.raises(VocabularyError, match=f"id {wrong} .* rows 2:7 of {ROWS}"):
            part.lookup([3, wrong])
    with pytest.raises(VocabularyError, match="float64"):
        part.lookup([3.0])
    assert repr(part) == f"<EmbeddingShard 5 x 2: rows 2:7 of {ROWS}>"


def test_each_file_of_shards_is_a_matrix_by_itself(tmp_path):
    """Special tokens that are in other files are none of its own."""
    whole = example()
    path = saved(whole, tmp_path, "shards")
    files = sorted(path.glob("*.safetensors"))

    matrices = [pe.load_matrix(file) for file in files]

    assert [m.vocabulary.tokens for m in matrices] == [
        ("<pad>", "the"),
        (None, "CAT", "\udcff"),
        (None, None, ""),
        ("new york", "\u00a0\n", "[UNK]"),
    ]
    for matrix, start in zip(matrices, (0, 2, 5, 8), strict=True):
        rows = slice(start, start + len(matrix))
        assert matrix.vectors.tobytes() == whole.vectors[rows].tobytes()
        assert matrix.origin.tolist() == whole.origin[rows].tolist()
        np.testing.assert_equal(matrix.vocabulary.counts, whole.vocabulary.counts[rows])
        note = f"rows {start} on, of a matrix of {ROWS}"
        assert matrix.findings.notes == [*whole.findings.notes, note]
    assert [m.pad_id for m in matrices] == [0, None, None, None]
    assert matrices[3].vocabulary.special_tokens == {"unk": "[UNK]", "mask": "new york"}


def test_a_file_of_shards_ends_with_its_last_token(tmp_path):
    vocabulary = pe.Vocabulary({"a": 0, "b": 4, "c": 11}, pad=None)
    vectors = np.zeros((12, 2), np.float32)
    vectors[[0, 4, 11]] = [[1, 2], [3, 4], [5, 6]]
    path = saved(pe.EmbeddingMatrix(vectors, vocabulary), tmp_path, "shards", 4)
    files = sorted(path.glob("*.safetensors"))

    assert pe.load_matrix(files[0]).vectors.tolist() == [[1, 2]]
    assert pe.load_matrix(files[1]).vectors.tolist() == [[0, 0], [3, 4]]
    with pytest.raises(FormatError, match=r"00003-of-00004\.safetensors"):
        pe.load_matrix(files[2])
    assert pe.load_matrix(path, rows=slice(6, 9)).tokens == (None, None, None)


def test_rows_of_other_peoples_files_stand_as_they_do_there(tmp_path):
    vectors = np.array([[1, 2], [0, 0], [3, 4], [5, 6]], np.float16)
    np.save(tmp_path / "m.npy", vectors)
    (tmp_path / "m.txt").write_text("a\n<pad>\nb\nc\n")

    part = pe.load_matrix(tmp_path / "m.npy", rows=slice(1, 3))

    assert part.vectors.tolist() == [[0, 0], [3, 4]]
    assert part.vectors.dtype == np.float32
    assert not part.vectors.flags.writeable
    assert part.tokens == ("<pad>", "b")
    assert part.origin.tolist() == [Origin.PAD, Origin.EXACT]
    assert part.source_rows.tolist() == [1, 2]
    assert part.pad_id == 1


@pytest.mark.parametrize("suffix", [".txt", ".bin"])
def test_no_part_is_had_of_a_file_that_is_read_from_front_to_back(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    pe.EmbeddingMatrix(np.ones((2, 3)), pe.Vocabulary(["a", "b"], pad=None)).save(path)

    with pytest.raises(OptionError, match=r"front to back.*convert it to \.npz"):
        pe.load_matrix(path, rows=slice(1))
    with pytest.raises(OptionError, match="front to back"):
        pe.load_shard(path, 0, 2)


def test_rows_are_consecutive(tmp_path):
    path = saved(example(), tmp_path, ".npz")

    with pytest.raises(OptionError, match="step of 2"):
        pe.load_matrix(path, rows=slice(0, 4, 2))


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_that_is_none_is_refused(tmp_path, rank, world_size):
    path = saved(example(), tmp_path, ".npz")

    with pytest.raises(OptionError, match=f"rank is {rank} of {world_size}"):
        pe.load_shard(path, rank, world_size)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ({"origin": np.full(ROWS, 200, np.uint8)}, "code 200"),
        ({"origin": np.zeros(3, np.uint8)}, r"origin of shape \(3,\) for 4 rows"),
        ({"origin": np.full(ROWS, Origin.PAD, np.uint8)}, "pad token is not zeros"),
    ],
)
def test_a_damaged_ledger_is_refused(tmp_path, array, message):
    table = example().table()
    table = table._replace(arrays=table.arrays | array)
    formats.write_table(tmp_path / "m.npz", table)

    with pytest.raises(FormatError, match=message):
        pe.load_matrix(tmp_path / "m.npz", rows=slice(1, 5))


def test_a_matrix_of_a_newer_release_is_refused(tmp_path):
    table = example().table()
    table = table._replace(metadata=table.metadata | {"pretrained_embed": 99})
    formats.write_table(tmp_path / "m.npz", table)

    with pytest.raises(FormatError, match="Upgrade"):
        pe.load_matrix(tmp_path / "m.npz", rows=slice(1, 5))


def test_a_file_of_another_tool_keeps_what_its_reader_found(tmp_path):
    path = tmp_path / "f.txt"
    path.write_bytes(b"2 3\na 0.25 0.5\nb 1.5 2.5\nb 0.5 1.25\n")

    loaded = pe.load_matrix(path)
    loaded.save(tmp_path / "saved.npz")

    expected = {"header.dim-first": 1, "text.repeated-tokens": 1}
    assert loaded.ledger.findings.codes == expected
    assert pe.load_matrix(tmp_path / "saved.npz").findings.codes == expected
    with pe.open_vectors(path) as reader:
        opened = pe.load_matrix(reader)
        reader.findings.notes.append(formats.Note("other", "later"))
    assert opened.findings.codes == expected
    assert len(opened.findings.notes) == 1


def test_shards_are_read_as_far_as_they_are_asked_for(tmp_path: Path) -> None:
    matrix = pe.build_matrix(
        [f"token-{row}" for row in range(6)],
        pe.open_vectors(io.BytesIO(b"token-0 0.5 1\ntoken-4 2 3\ntoken-5 4 5\n")),
        oov="zeros",
    )
    folder = tmp_path / "m"
    matrix.save(folder, shards=3)
    last = folder / "model-00003-of-00003.safetensors"
    raw = bytearray(last.read_bytes())
    place = raw.index(np.array([4, 5], np.float32).tobytes())
    raw[place] ^= 1
    last.write_bytes(raw)

    loaded = pe.load_matrix(folder)

    assert loaded["token-0"].tolist() == [0.5, 1]
    assert loaded.lookup([[1, 0], [1, 2]]).tolist() == [
        [[0.5, 1], [0, 0]],
        [[0.5, 1], [0, 0]],
    ]
    assert loaded.explain("token-0").norm == matrix.explain("token-0").norm
    for read in (
        lambda: loaded["token-5"],
        lambda: loaded.lookup([1, 6]),
        lambda: loaded.vectors,
        lambda: pickle.dumps(loaded),
    ):
        with pytest.raises(FormatError, match="rows 0 to 2 are not those that were"):
            read()


@pytest.mark.parametrize("mmap", [True, False])
def test_shards_are_the_matrix(mmap: bool, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    vocabulary = pe.Vocabulary([f"token-{row}" for row in range(3000)], pad=None)
    matrix = pe.EmbeddingMatrix(vectors, vocabulary)
    matrix.save(tmp_path / "m", shards=4)
    ids = np.random.default_rng(1).integers(0, 3000, (7, 200))
    ids[0, :5] = [0, 2999, 1500, 749, 750]

    loaded = pe.load_matrix(tmp_path / "m", library=pe.Library(mmap=mmap))

    assert loaded.lookup(ids).tobytes() == vectors[ids].tobytes()
    again = pickle.loads(pickle.dumps(loaded))  # noqa: S301  (of our own)
    assert again.vectors.tobytes() == vectors.tobytes()
    assert loaded.vectors.tobytes() == vectors.tobytes()
