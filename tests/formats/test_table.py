"""What all formats that hold a whole table have in common."""

from __future__ import annotations

import numpy as np
import pytest
from conformance import FormatConformance, index_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import HOLE, TOKENS, assert_same, example, piped, read_all, stream_of

from pretrained_embed import formats
from pretrained_embed.arrays import PackedTokens
from pretrained_embed.errors import FormatError, RowError, WriteError
from pretrained_embed.formats import registry
from pretrained_embed.formats.findings import Doubt
from pretrained_embed.formats.hdf5 import reader as hdf5
from pretrained_embed.formats.npz import reader as npz
from pretrained_embed.formats.safetensors import reader as safetensors
from pretrained_embed.formats.table import HOLES, Table
from pretrained_embed.formats.table_reader import TableReader

FORMATS = [npz, hdf5, safetensors]


def write_as(module, path, table):
    formats.write_table(path, table, format=module.NAME)


every_format = pytest.mark.parametrize("module", FORMATS, ids=lambda m: m.NAME)


class TableConformance(FormatConformance):
    """Formats that hold any token, one without a character too."""

    tokens = (*FormatConformance.tokens, "", "new york", "\n", "route 66")

    def write(self, path, tokens, vectors):
        write_as(self.module, path, Table(PackedTokens.pack(tokens), vectors, {}, {}))


class TestNpz(TableConformance):
    module, suffix = npz, ".npz"


class TestHdf5(TableConformance):
    module, suffix = hdf5, ".h5"


class TestSafetensors(TableConformance):
    module, suffix = safetensors, ".safetensors"


def reader_of(tokens: list[str], vectors: np.ndarray, **more: object) -> TableReader:
    return TableReader("test", "table", PackedTokens.pack(tokens), vectors, **more)


@every_format
def test_a_table_reads_back_whole(module, tmp_path):
    path = tmp_path / "table"

    write_as(module, path, example())

    assert_same(formats.read_table(stream_of(path)), example())


@every_format
def test_bytes_that_are_no_file_read_like_one(module, tmp_path):
    path = tmp_path / "table"
    write_as(module, path, example())

    table = formats.read_table(piped(path))

    assert_same(table, example())


@every_format
def test_a_format_recognises_its_own_files_alone(module, tmp_path):
    path = tmp_path / "table"
    write_as(module, path, example())
    stream = stream_of(path)

    sniffed = {f.name: f.sniff for f in registry.FORMATS if f.sniff is not None}

    names = [
        name for name, sniff in sniffed.items() if sniff(stream.head(4096), stream)
    ]

    assert names == [module.NAME]
    for text in (b"", b"the 0.1 0.2\n", b"400000 50\nthe", b"PK\x03\x04", b"\x89HDF"):
        assert not any(sniff(text, stream) for sniff in sniffed.values())


@every_format
def test_equal_tables_give_equal_bytes(module, tmp_path):
    write_as(module, tmp_path / "one", example())

    table = example()
    arrays = dict(reversed(table.arrays.items()))
    metadata = dict(reversed(table.metadata.items()))
    write_as(module, tmp_path / "two", table._replace(arrays=arrays, metadata=metadata))

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@every_format
def test_vectors_of_a_written_file_are_mapped_and_aligned(module, tmp_path):
    write_as(module, tmp_path / "table", example())

    vectors = formats.read_table(stream_of(tmp_path / "table")).vectors

    assert vectors.flags.aligned
    assert not vectors.flags.writeable
    base = vectors
    while not isinstance(base, np.memmap):
        base = base.base
    assert base.offset


@every_format
def test_vectors_in_any_memory_order_are_written_in_row_order(module, tmp_path):
    table = example()
    fortran = table._replace(vectors=np.asfortranarray(table.vectors))

    write_as(module, tmp_path / "table", fortran)

    assert_same(formats.read_table(stream_of(tmp_path / "table")), table)


@every_format
def test_what_would_not_read_back_is_not_written(module, tmp_path):
    table = example()
    path = tmp_path / "table"
    for broken in (
        table._replace(vectors=table.vectors[:-1]),
        table._replace(vectors=np.ones(table.vectors.shape, np.int32)),
        table._replace(vectors=np.empty((len(TOKENS), 0), np.float32)),
        table._replace(arrays={"objects": np.array([{}])}),
        table._replace(arrays={"../up": np.zeros(1)}),
        table._replace(arrays={HOLES: np.array([0])}),
        table._replace(arrays={HOLES: np.array([99])}),
        table._replace(metadata={"value": float("nan")}),
        table._replace(metadata={"value": object()}),
    ):
        with pytest.raises(WriteError):
            write_as(module, path, broken)

    assert list(tmp_path.iterdir()) == []


@every_format
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tokens=st.lists(st.binary(max_size=6), min_size=1, max_size=8))
def test_any_bytes_are_a_token(module, tmp_path, tokens):
    table = Table(
        PackedTokens.join(tokens), np.ones((len(tokens), 1), np.float32), {}, {}
    )

    write_as(module, tmp_path / "table", table)

    assert_same(formats.read_table(stream_of(tmp_path / "table")), table)


@every_format
def test_a_file_cut_anywhere_is_refused(module, tmp_path):
    write_as(module, tmp_path / "whole", example())
    raw = (tmp_path / "whole").read_bytes()
    path = tmp_path / "cut"

    for length in range(0, len(raw), 1 if module is not hdf5 else 61):
        path.write_bytes(raw[:length])
        outcome = read_all(module, path)
        # HDF5 may end in slack that nothing refers to
        assert outcome == "refused" or (module is hdf5 and length > len(raw) - 2048)


@every_format
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_file_gives_rows_or_our_error(module, tmp_path, data):
    whole = tmp_path / "whole"
    if not whole.exists():
        write_as(module, whole, example())
    raw = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(raw) - 1))
        raw[position] = data.draw(
            st.sampled_from([0, 1, 0x7F, 0xFF, raw[position] ^ 1])
        )
    (tmp_path / "damaged").write_bytes(raw)

    read_all(module, tmp_path / "damaged")


@every_format
def test_blocks_give_the_rows_that_have_a_token(module, tmp_path):
    table = example()
    write_as(module, tmp_path / "table", table)
    present = [row for row in range(len(TOKENS)) if row != HOLE]

    with module.open_reader(stream_of(tmp_path / "table")) as reader:
        blocks = list(reader.blocks())

    assert [t for b in blocks for t in b.tokens] == [TOKENS[r] for r in present]
    vectors = np.concatenate([block.vectors for block in blocks])
    assert vectors.tobytes() == table.vectors[present].tobytes()
    assert all(block.vectors.flags.writeable for block in blocks)
    assert reader.findings.rows == len(TOKENS)
    assert reader.findings.notes == ["1 rows without a token"]


@every_format
def test_select_gives_each_wanted_row_its_vector(module, tmp_path):
    table = example()
    write_as(module, tmp_path / "table", table)
    wanted = ["é", "missing", "\udcff\udc80", "", "the", "new york", "a", "\n"]
    index = index_of([(token, row, 0) for row, token in enumerate(wanted)])
    out = np.full((len(wanted) + 1, 3), -7, np.float32)

    with module.open_reader(stream_of(tmp_path / "table")) as reader:
        selection = reader.select(index, out)

    expected = [9, -1, 7, 5, 0, 1, -1, 4, -1]
    assert selection.source_rows.tolist() == expected
    for row, source in enumerate(expected):
        vector = table.vectors[source] if source >= 0 else np.full(3, -7, np.float32)
        assert out[row].tobytes() == vector.tobytes()
    assert selection.findings.duplicates == 1  # "the" stands twice


def test_the_first_of_equal_tokens_wins():
    reader = reader_of(["a", "b", "a"], np.array([[1], [2], [3]], np.float32))
    out = np.zeros((2, 1), np.float32)

    selection = reader.select(index_of([("a", 0, 0), ("b", 1, 0)]), out)

    assert out.tolist() == [[1], [2]]
    assert selection.findings.duplicates == 1


def test_the_lower_rank_wins_even_later_in_the_file():
    reader = reader_of(["paris", "x", "Paris"], np.array([[1], [2], [3]], np.float32))
    out = np.zeros((2, 1), np.float32)
    index = index_of([("Paris", 0, 0), ("paris", 0, 1), ("X", 1, 0), ("x", 1, 1)])

    selection = reader.select(index, out)

    assert out.tolist() == [[3], [2]]
    assert selection.source_rows.tolist() == [2, 1]
    assert selection.ranks.tolist() == [0, 1]


def test_a_hole_matches_nothing_and_moves_no_row():
    vectors = np.arange(4, dtype=np.float32).reshape(4, 1)
    reader = reader_of(["", "a", "", "b"], vectors, arrays={HOLES: np.array([0, 2])})
    out = np.full((3, 1), -1, np.float32)

    selection = reader.select(index_of([("", 0, 0), ("b", 1, 0), ("a", 2, 0)]), out)

    assert selection.source_rows.tolist() == [-1, 3, 1]
    assert out.tolist() == [[-1], [3], [1]]


def test_selection_across_slabs_equals_a_dictionary():
    count = 10_000
    rng = np.random.default_rng(1)
    tokens = [f"w{number}" for number in rng.integers(0, 8_000, count)]
    vectors = rng.normal(size=(count, 2)).astype(np.float32)
    first = {token: row for row, token in reversed(list(enumerate(tokens)))}
    wanted = [f"w{number}" for number in range(0, 9_000, 7)]
    out = np.zeros((len(wanted), 2), np.float32)
    progress: list[tuple[int, int | None]] = []

    selection = reader_of(tokens, vectors).select(
        index_of([(token, row, 0) for row, token in enumerate(wanted)]),
        out,
        progress=lambda done, total: progress.append((done, total)),
    )

    assert selection.source_rows.tolist() == [first.get(token, -1) for token in wanted]
    for row, token in enumerate(wanted):
        assert (
            out[row].tolist()
            == (vectors[first[token]] if token in first else 0 * out[row]).tolist()
        )
    assert progress[-1] == (count * 8, count * 8)


@pytest.mark.parametrize("dtype", ["<f2", "<f8", ">f4", ">f8", ">f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_float_is_read_as_float32(dtype, order):
    values = np.array([[1.5, -2.0], [np.inf, 0.1]])
    stored = values.astype(dtype, order=order)
    reader = reader_of(["a", "b"], stored)
    out = np.zeros((2, 2), np.float32)

    reader.select(index_of([("b", 0, 0), ("a", 1, 0)]), out)
    (block,) = reader.blocks()

    expected = stored.astype(np.float32)
    assert block.vectors.tolist() == expected.tolist()
    assert out.tolist() == expected[::-1].tolist()
    assert reader.table().vectors.tolist() == expected.tolist()


def test_storage_other_than_float32_is_noted():
    def notes(dtype: str) -> list[str]:
        reader = reader_of(["a"], np.full((1, 1), 1, dtype))
        list(reader.blocks())
        return reader.findings.notes

    assert notes("f2") == ["stored as float16"]
    assert notes("f4") == []
    assert notes("f8") == ["stored as float64; rounded to float32"]


def test_float64_beyond_float32_becomes_infinite_without_a_warning():
    reader = reader_of(["a"], np.array([[1e300]]))
    out = np.zeros((1, 1), np.float32)

    reader.select(index_of([("a", 0, 0)]), out)

    assert out[0, 0] == np.inf
    assert next(reader.blocks()).vectors[0, 0] == np.inf


def test_tokens_and_vectors_that_do_not_belong_together_are_refused():
    with pytest.raises(FormatError, match="2 tokens for 3 vectors"):
        reader_of(["a", "b"], np.zeros((3, 1), np.float32))
    with pytest.raises(FormatError, match="int64"):
        reader_of(["a"], np.zeros((1, 1), np.int64))
    with pytest.raises(FormatError, match="shape"):
        reader_of(["a"], np.zeros(1, np.float32))


@pytest.mark.parametrize("offsets", [[], [1, 3], [0, 2], [0, 4, 3], [0, -1, 3]])
def test_offsets_that_do_not_fit_their_bytes_are_refused(offsets):
    with pytest.raises(FormatError, match="offsets"):
        PackedTokens(np.zeros(3, np.uint8), np.array(offsets, np.int64))


def test_offsets_at_odd_addresses_are_copied():
    raw = np.zeros(1 + 3 * 8, np.uint8)
    odd = raw[1:].view(np.int64)
    odd[:] = [0, 1, 2]

    packed = PackedTokens(np.frombuffer(b"ab", np.uint8), odd)

    assert not odd.flags.aligned
    assert packed.offsets.flags.aligned
    assert packed.unpack() == ["a", "b"]


def test_packed_tokens_slice_like_a_list():
    packed = PackedTokens.pack(TOKENS)

    assert len(packed) == len(TOKENS)
    for start in range(len(TOKENS) + 2):
        for stop in range(len(TOKENS) + 2):
            assert packed[start:stop].unpack() == TOKENS[start:stop]


def with_a_malformed_row():
    faults = [Doubt(1, None, "2 numbers, 3 expected", "table.bad-row")]
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    tokens = PackedTokens.pack(["a", "b", "b", "c"])
    return TableReader("x", "name", tokens, vectors, faults=faults), vectors


@pytest.mark.parametrize(
    "use",
    [
        lambda reader, index, out: reader.select(index, out),
        lambda reader, index, out: reader.locate(index),
        lambda reader, index, out: next(reader.packed_blocks()),
        lambda reader, index, out: reader.rows_in(lambda rows: range(rows)),
        lambda reader, index, out: formats.table_of(reader),
    ],
)
def test_a_malformed_row_is_an_error(use):
    reader, _ = with_a_malformed_row()

    with pytest.raises(RowError, match=r"name, row 1: 2 numbers, 3 expected"):
        use(reader, index_of([("a", 0, 0)]), np.zeros((1, 3), np.float32))


def test_a_malformed_row_is_left_out_and_counted():
    reader, vectors = with_a_malformed_row()
    out = np.zeros((2, 3), np.float32)

    found = reader.select(index_of([("b", 0, 0), ("c", 1, 0)]), out, on_bad_row="skip")

    assert found.source_rows.tolist() == [2, 3]
    assert np.array_equal(out, vectors[[2, 3]])
    assert found.findings.bad_rows == 1
    assert [doubt.row for doubt in found.findings.doubts] == [1]
    (block,) = reader.packed_blocks(on_bad_row="skip")
    assert block.tokens.unpack() == ["a", "b", "c"]
    assert np.array_equal(block.vectors, vectors[[0, 2, 3]])
    assert reader.table() is None
    assert reader.rows() is None


@pytest.mark.parametrize("holes", [[0, 0, 2], [0, 2, 2], [2, 0], [-1, 0]])
def test_holes_that_do_not_rise_are_a_damaged_file(holes):
    vectors = np.ones((4, 2), np.float32)

    with pytest.raises(FormatError, match="does not list, in ascending order"):
        reader_of(["", "a", "", "b"], vectors, arrays={HOLES: np.array(holes)})
