"""A store by itself: what it gives, what it is on disk, what it refuses."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pretrained_embed as pe
from pretrained_embed import bits, formats, kernel
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, OptionError, RowError, WriteError
from pretrained_embed.fill import source_statistics
from pretrained_embed.formats import Findings, PackedBlock, Reader, Table
from pretrained_embed.formats.reader import Statistics
from pretrained_embed.formats.store import (
    StoreReader,
    directory,
    open_store,
    write_store,
)
from tests.tables import stream_of

#: Tokens that formats tend to lose, and some that stand there twice.
TOKENS = [
    *("the", "The", "new york", "\u00a0", "\x85", "\u2028", "\ufeff", "a\rb", "a\0b"),
    *("", "é", "e\u0301", "\udcff", "\udcfe\udc80", "1", "-0.5", "<unk>", "x" * 300),
    *(f"w{number}" for number in range(700)),
    *("the", "w1", "w1", "\udcff", "last"),
]
DIM = 5


class Rows(Reader):
    """A source in memory, which hands out one block of rows after the other."""

    format = "rows"
    name = "memory"

    def __init__(
        self, tokens: list[str], vectors: np.ndarray, block: int = 100
    ) -> None:
        self.tokens, self.vectors, self.block = tokens, vectors, block
        self.dim = vectors.shape[1]
        self._findings = Findings(rows=len(tokens))

    def packed_blocks(self, **_: object) -> Iterator[PackedBlock]:
        for start in range(0, len(self.tokens), self.block):
            chosen = slice(start, start + self.block)
            tokens = PackedTokens.pack(self.tokens[chosen])
            yield PackedBlock(tokens, self.vectors[chosen].copy())

    def select(self, *args: object, **_: object):
        raise NotImplementedError

    @property
    def findings(self) -> Findings:
        return self._findings


def vectors_for(tokens: list[str], dim: int = DIM) -> np.ndarray:
    made = np.random.default_rng(0).normal(size=(len(tokens), dim)).astype(np.float32)
    made[:6, 0] = [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38][: len(made)]
    return made


def stored(path: Path, reader: Reader, **options: object) -> StoreReader:
    write_store(path, reader, lambda: source_statistics(reader, "error"), **options)
    return open_store(path)


def selected(reader: Reader, wanted: list[tuple[str, int, int]]):
    rows = 1 + max((row for _, row, _ in wanted), default=0)
    index = kernel.TokenIndex(
        [token for token, _, _ in wanted],
        np.array([row for _, row, _ in wanted], np.int64),
        np.array([rank for _, _, rank in wanted], np.uint8),
    )
    out = np.full((rows + 1, reader.dim), -7, np.float32)
    selection = reader.select(index, out)
    return out.tobytes(), selection.source_rows.tolist(), selection.ranks.tolist()


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """The same rows in a format that is tested elsewhere."""
    path = tmp_path_factory.mktemp("table") / "table.npz"
    vectors = vectors_for(TOKENS)
    formats.write_table(path, Table(PackedTokens.pack(TOKENS), vectors, {}, {}))
    return path


@pytest.fixture(scope="module")
def store(table) -> Path:
    path = table.with_name("store.h5")
    with formats.open_reader(stream_of(table)) as reader:
        stored(path, reader)
    return path


# What it gives


def test_it_gives_all_rows_as_they_were(store):
    reader = open_store(store)

    blocks = list(reader.blocks())

    assert [token for block in blocks for token in block.tokens] == TOKENS
    vectors = np.concatenate([block.vectors for block in blocks])
    assert vectors.tobytes() == vectors_for(TOKENS).tobytes()
    assert (reader.format, reader.name) == ("npz", "table.npz")
    assert (reader.count, reader.dim) == (len(TOKENS), DIM)


@pytest.mark.usefixtures("both_kernels")
@given(
    wanted=st.lists(
        st.tuples(
            st.sampled_from(TOKENS) | st.text(max_size=3),
            st.integers(0, 9),
            st.integers(0, 3),
        ),
        max_size=30,
    )
)
def test_a_selection_is_that_of_the_source(store, table, wanted):
    ours = open_store(store)
    with formats.open_reader(stream_of(table)) as theirs:
        assert selected(ours, wanted) == selected(theirs, wanted)
        assert ours.findings == theirs.findings


@pytest.mark.usefixtures("both_kernels")
def test_every_token_is_found_where_it_stands_first(store):
    first = {token: row for row, token in reversed(list(enumerate(TOKENS)))}
    reader = open_store(store)
    wanted = [(token, i, 0) for i, token in enumerate(first)]

    out, rows, _ = selected(reader, wanted)

    assert rows[:-1] == list(first.values())
    assert rows[-1] == -1
    expected = vectors_for(TOKENS)[list(first.values())]
    assert out == expected.tobytes() + np.full(DIM, -7, np.float32).tobytes()
    assert reader.findings.duplicates == len(TOKENS) - len(first)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(tmp_path, threads):
    tokens = [f"w{number}" for number in range(40_000)]
    reader = stored(tmp_path / "s.h5", Rows(tokens, vectors_for(tokens, 2), 9_000))
    index = kernel.TokenIndex(
        tokens[::-1], np.arange(len(tokens)), np.zeros(len(tokens), np.uint8)
    )
    out, done = np.empty((len(tokens), 2), np.float32), []

    reader.select(
        index, out, threads=threads, progress=lambda *given: done.append(given)
    )

    assert out.tobytes() == vectors_for(tokens, 2)[::-1].tobytes()
    assert done[-1] == (out.nbytes, out.nbytes)
    assert done == sorted(done)


def test_what_was_found_when_it_was_made_is_told_again(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"5 2\nthe 1 2\nroute 66 3 4\nthe 5 6\ncat 7 8")

    with formats.open_reader(stream_of(path)) as source:
        reader = stored(tmp_path / "store.h5", source)
        for wanted in ([("the", 0, 0)], [("cat", 0, 0)]):
            assert selected(reader, wanted) == selected(source, wanted)
            assert reader.findings == source.findings
        assert reader.findings.suspicious_rows == 1
        assert len(reader.findings.notes) == 2


def test_statistics_are_those_of_the_source(tmp_path):
    source = Rows(TOKENS, vectors_for(TOKENS))
    known = source_statistics(source, "error")

    for dtype in ("float32", "float16"):
        made = replace_large(source) if dtype == "float16" else source
        reader = stored(tmp_path / dtype, made, dtype=dtype)
        given = source_statistics(reader, "error")
        assert given is reader.statistics
        if made is source:
            assert given.mean.tobytes() == known.mean.tobytes()
            assert given.std.tobytes() == known.std.tobytes()
        assert given.rows == len(TOKENS)


def replace_large(source: Rows) -> Rows:
    """Return the same rows with no number that float16 cannot hold."""
    vectors = source.vectors.copy()
    vectors[np.abs(vectors) > 6e4] = np.inf
    return Rows(source.tokens, vectors)


def test_float16_rounds_and_says_so(tmp_path):
    source = replace_large(Rows(TOKENS, vectors_for(TOKENS)))
    reader = stored(tmp_path / "s.h5", source, dtype="float16")

    out, rows, _ = selected(reader, [("The", 0, 0), ("last", 1, 0), ("no", 2, 0)])

    with np.errstate(invalid="ignore"):
        halves = source.vectors.astype(np.float16).astype(np.float32)
    assert np.frombuffer(out, np.float32).reshape(-1, DIM)[:2].tobytes() == (
        halves[rows[:2]].tobytes()
    )
    assert rows == [1, len(TOKENS) - 1, -1, -1]
    assert reader.dtype == "float16"
    assert any("float16" in note for note in reader.findings.notes)
    assert (tmp_path / "s.h5").stat().st_size < len(TOKENS) * DIM * 4 + 150_000


def test_a_number_too_large_for_float16_is_refused(tmp_path):
    source = Rows(TOKENS, vectors_for(TOKENS))

    with pytest.raises(WriteError, match=r"3e\+38.*float16"):
        stored(tmp_path / "s.h5", source, dtype="float16")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_other_bits_are_kept_and_found_by_whatever_way(tmp_path, dtype):
    vectors = np.random.default_rng(0).normal(size=(len(TOKENS), DIM))
    source = Rows(TOKENS, vectors.astype(np.float32))
    reader = stored(tmp_path / "s.h5", source, dtype=dtype)
    kept = bits.encode(source.vectors, dtype).numbers()

    out, rows, _ = selected(reader, [("The", 0, 0), ("last", 1, 0), ("no", 2, 0)])

    found = np.frombuffer(out, np.float32).reshape(-1, DIM)[:2]
    assert found.tobytes() == kept[rows[:2]].tobytes()
    blocks = [block.vectors for block in reader.blocks()]
    assert np.concatenate(blocks).tobytes() == kept.tobytes()
    assert reader.dtype == dtype
    assert any(dtype in note for note in reader.findings.notes)
    with pe.open_vectors(tmp_path / "s.h5") as table:  # it is one in HDF5, too
        assert table.dtype == dtype
        blocks = [block.vectors for block in table.blocks()]
        assert np.concatenate(blocks).tobytes() == kept.tobytes()


# What it is on disk


def test_vectors_are_one_piece_that_begins_on_a_page(store):
    with h5py.File(store) as file:
        vectors = file["vectors"]
        assert vectors.chunks is None
        assert vectors.id.get_offset() % 4096 == 0
        assert vectors.dtype == "<f4"
        assert h5py.h5g.get_objinfo(vectors.id).mtime == 0  # equal bytes at any time
        assert vectors[:].tobytes() == vectors_for(TOKENS).tobytes()


def test_vectors_are_mapped_and_not_read(store):
    base = open_store(store)._checked._vectors.base

    assert isinstance(base, np.memmap)
    assert base.mode == "r"


def test_hashes_ascend_and_lead_to_their_tokens(store):
    with h5py.File(store) as file:
        hashes, rows = file["index/hashes"][:], file["index/rows"][:]
        starts = file["index/starts"][:]
        packed = PackedTokens(file["tokens/bytes"][:], file["tokens/offsets"][:])
    expected = np.empty(len(TOKENS), np.uint64)
    kernel.hash_tokens(packed.data.data, packed.offsets, expected)

    assert packed.unpack() == TOKENS
    assert (hashes[1:] >= hashes[:-1]).all()
    assert (expected[rows] == hashes).all()
    assert sorted(rows.tolist()) == list(range(len(TOKENS)))
    bits = len(starts).bit_length() - 1
    assert len(starts) == 2**bits + 1
    edges = np.arange(1, 2**bits, dtype=np.uint64) << np.uint64(64 - bits)
    assert starts[1:-1].tolist() == np.searchsorted(hashes, edges).tolist()


def test_a_store_is_a_table_in_hdf5(store):
    table = formats.read_table(stream_of(store))

    assert table.tokens.unpack() == TOKENS
    assert table.vectors.tobytes() == vectors_for(TOKENS).tobytes()


@pytest.mark.parametrize("block", [1, 7, 100_000])
def test_equal_rows_give_equal_bytes_however_they_come(tmp_path, block):
    tokens, vectors = TOKENS[:50], vectors_for(TOKENS[:50])
    for name, size in (("a", 50), ("b", block)):
        stored(tmp_path / name, Rows(tokens, vectors, size), provenance={"a": "é"})

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(("rows", "dim"), [(1, 1), (1, 5000), (3, 2), (20_000, 1)])
def test_a_store_can_have_any_shape(tmp_path, rows, dim):
    tokens = [f"w{number}" for number in range(rows)]
    vectors = vectors_for(tokens, dim)

    reader = stored(tmp_path / "s.h5", Rows(tokens, vectors, 9_000))

    assert reader.table().vectors.tobytes() == vectors.tobytes()
    out, found, _ = selected(reader, [(tokens[-1], 0, 0)])
    assert found[0] == rows - 1
    assert out[: 4 * dim] == vectors[-1].tobytes()


def test_blocks_are_let_go_when_they_are_written(tmp_path):
    alive = []

    class Counting(Rows):
        def packed_blocks(self, **_: object) -> Iterator[PackedBlock]:
            for block in super().packed_blocks():
                gc.collect()
                assert sum(one() is not None for one in alive) <= 1
                alive.append(weakref.ref(block.vectors))
                yield block

    source = Counting(TOKENS, vectors_for(TOKENS))
    sample = source_statistics(Rows(TOKENS, source.vectors), "error")
    write_store(tmp_path / "s.h5", source, lambda: sample)

    assert len(alive) == 8


# What it refuses


def test_a_malformed_row_leaves_nothing(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"the 1 2\ncat 3\ndog 4 5\n")

    with pytest.raises(RowError, match="line 2"):
        stored(tmp_path / "store.h5", formats.open_reader(stream_of(path)))

    assert [file.name for file in tmp_path.iterdir()] == ["vectors.txt"]


def test_rows_without_a_token_are_refused(tmp_path):
    source = Rows(["a", "b"], np.ones((2, 2), np.float32))
    source._findings = replace(source.findings, rows=3)

    with pytest.raises(FormatError, match="1 of its rows have no token"):
        stored(tmp_path / "store.h5", source)


def test_no_rows_are_refused(tmp_path):
    source = Rows([], np.ones((0, 2), np.float32))

    with pytest.raises(FormatError, match="no rows"):
        write_store(tmp_path / "store.h5", source, lambda: Statistics(0, 0, 0))


def test_another_dtype_is_refused(tmp_path):
    with pytest.raises(OptionError, match="float32 or float16"):
        stored(tmp_path / "s.h5", Rows(TOKENS, vectors_for(TOKENS)), dtype="float64")


def rewritten(original: Path, path: Path, change: Callable[[dict], object]) -> Path:
    """Return a store with another directory, whose digest is made to fit."""
    raw = original.read_bytes()
    size = int.from_bytes(raw[-16:-8], "little")
    arrays, known = raw[: -16 - size], json.loads(raw[-16 - size : -16])
    change(known)
    with suppress(TypeError, ValueError, KeyError, AttributeError):
        places = {
            name: directory.Place(*place) for name, place in known["arrays"].items()
        }
        parts = {
            name: np.frombuffer(
                arrays, places[name].dtype, np.prod(places[name].shape), offset
            )
            for name in directory.COVERED
            for offset in [places[name].offset]
        }
        known["digest"] = directory.digest(places, parts)
    text = json.dumps(known).encode()
    path.write_bytes(arrays + text + len(text).to_bytes(8, "little") + directory.MARK)
    return path


def test_a_directory_that_says_the_same_is_read(store, tmp_path):
    path = rewritten(store, tmp_path / "s.h5", lambda known: None)

    assert path.read_bytes() == store.read_bytes()
    assert open_store(path).count == len(TOKENS)


def test_a_store_of_another_version_is_refused(store, tmp_path):
    path = rewritten(store, tmp_path / "s.h5", lambda known: known.update(version=2))

    with pytest.raises(FormatError, match=r"version 2.*reads version 1"):
        open_store(path)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("vectors", ["<f4", [10**6, DIM], 8192]),
        ("vectors", ["<f4", [2**62, 2**62], 8192]),
        ("vectors", ["<f4", [-1, -1], 8192]),
        ("vectors", ["<f4", [1, DIM], -8192]),
        ("vectors", ["<f8", [2, DIM], 8192]),
        ("vectors", ["|O", [2, DIM], 8192]),
        ("vectors", ["<f4", [2, 2], 8192]),
        ("vectors", ["<f4", "ab", 8192]),
        ("vectors", None),
        ("index/rows", ["<i4", [2], 8192]),
        ("index/rows", ["<i8", [2**40], 8192]),
        ("tokens/offsets", ["<i8", [3], 8192]),
        ("metadata", ["|u1", [3], 8192]),
    ],
)
def test_a_directory_that_cannot_be_is_refused(store, tmp_path, name, place):
    path = rewritten(
        store, tmp_path / "s.h5", lambda known: known["arrays"].update({name: place})
    )

    with pytest.raises(FormatError):
        open_store(path)


def test_a_place_that_the_digest_does_not_know_is_refused(store, tmp_path):
    raw, path = store.read_bytes(), tmp_path / "s.h5"
    place = f'["<f4", [{len(TOKENS)}, {DIM}], 8192]'.encode()
    assert raw.count(place) == 1
    path.write_bytes(raw.replace(place, place.replace(b"8192", b"8193")))

    with pytest.raises(FormatError, match="digest is wrong"):
        open_store(path)


@pytest.mark.parametrize("arrays", [{}, [], None, {"vectors": ["<f4", [1, 1], 0]}])
def test_a_directory_of_other_arrays_is_refused(store, tmp_path, arrays):
    path = rewritten(store, tmp_path / "s", lambda known: known.update(arrays=arrays))

    with pytest.raises(FormatError, match="damaged"):
        open_store(path)


def test_opening_needs_no_library(store):
    code = f"""
import sys
from pretrained_embed.formats.store import open_store
open_store({str(store)!r})
assert "h5py" not in sys.modules
"""
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_another_file_in_hdf5_is_no_store(tmp_path):
    table = Table(PackedTokens.pack(["a"]), np.ones((1, 2), np.float32), {}, {})
    formats.write_table(tmp_path / "t.h5", table)

    with pytest.raises(FormatError, match="is no store"):
        open_store(tmp_path / "t.h5")


def test_a_store_cut_anywhere_is_refused(store, tmp_path):
    whole = store.read_bytes()
    cut = tmp_path / "cut.h5"
    for length in sorted({*range(0, len(whole), 997), 1, 7, 8, len(whole) - 1}):
        cut.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            open_store(cut)


def test_damage_is_refused_or_changes_nothing(store, tmp_path):
    whole = store.read_bytes()
    with h5py.File(store) as file:
        spans = {
            name: range(start, start + file[name].nbytes)
            for name in (*directory.COVERED, directory.VECTORS)
            for start in [file[name].id.get_offset()]
        }
    vectors = spans.pop(directory.VECTORS)
    structure = range(0, vectors.start, 37)
    size = int.from_bytes(whole[-16:-8], "little")
    within = [*range(len(whole) - 16 - size, len(whole), 3)]
    within += [at for span in spans.values() for at in span[:: len(span) // 20 or 1]]
    wanted = [(token, i, 0) for i, token in enumerate(TOKENS[:20])]
    good = selected(open_store(store), wanted)
    damaged = tmp_path / "damaged.h5"
    for at in (*structure, *within):
        flipped = bytearray(whole)
        flipped[at] ^= 0x55
        damaged.write_bytes(flipped)
        try:
            reader = open_store(damaged)
        except FormatError:
            continue
        assert at not in within
        assert selected(reader, wanted) == good
