"""Several files as one source: the same as one file of all their rows."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pretrained_embed as pe
from pretrained_embed import formats
from pretrained_embed.arrays import Float32Array, PackedTokens
from pretrained_embed.errors import (
    FormatError,
    OptionError,
    RowError,
    UnknownFormatError,
    WriteError,
)
from pretrained_embed.formats import HOLES, Reader, Table
from pretrained_embed.formats.joined_readers import (
    JoinedReader,
    LookedUpReader,
    ScannedReader,
)
from pretrained_embed.formats.store import StoreReader
from pretrained_embed.formats.table_reader import TableReader
from pretrained_embed.kernel import TokenIndex
from tests.large import make_parts_small

#: Some stand twice, in one part and in two.
TOKENS = ["the", "Cat", "a", "cat", "the", "b", "dog", "Cat", "a", "CAT", "é", "z"]
DIM = 3


def rows(count: int = len(TOKENS), dim: int = DIM) -> Float32Array:
    return np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32)


def write_text(path: Path, tokens: Sequence[str], vectors: Float32Array) -> None:
    lines = (
        f"{token} {' '.join(map(repr, vector))}\n"
        for token, vector in zip(tokens, vectors.tolist(), strict=True)
    )
    path.write_text("".join(lines))


def write_headed(path: Path, tokens: Sequence[str], vectors: Float32Array) -> None:
    write_text(path, tokens, vectors)
    path.write_text(f"{len(tokens)} {vectors.shape[1]}\n{path.read_text()}")


def write_packed(path: Path, tokens: Sequence[str], vectors: Float32Array) -> None:
    write_text(path, tokens, vectors)
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_base64(path: Path, tokens: Sequence[str], vectors: Float32Array) -> None:
    coded = [f"B64:{base64.b64encode(t.encode()).decode()}" for t in tokens]
    write_headed(path, coded, vectors)


def write_npy(path: Path, tokens: Sequence[str], vectors: Float32Array) -> None:
    np.save(path.with_suffix(".npy"), vectors)
    path.with_suffix(".txt").write_text("".join(f"{token}\n" for token in tokens))


def write_as(suffix: str) -> Callable[..., None]:
    def write(path: Path, tokens: Sequence[str], vectors: Float32Array) -> None:
        table = Table(PackedTokens.pack(tokens), vectors, {}, {})
        formats.write_table(path.with_suffix(suffix), table)

    return write


KINDS: dict[str, tuple[Callable[..., None], type[Reader]]] = {
    "text": (write_text, ScannedReader),
    "header": (write_headed, ScannedReader),
    "gzip": (write_packed, ScannedReader),
    "binary": (write_as(".bin"), ScannedReader),
    "base64": (write_base64, JoinedReader),
    "npy": (write_npy, TableReader),
    "own-npy": (write_as(".npy"), TableReader),
    "npz": (write_as(".npz"), TableReader),
    "hdf5": (write_as(".h5"), TableReader),
    "safetensors": (write_as(".safetensors"), TableReader),
    "parquet": (write_as(".parquet"), LookedUpReader),
    "arrow": (write_as(".arrow"), LookedUpReader),
}


def cut(folder: Path, write: Callable[..., None], *places: int) -> Path:
    """Write the rows in parts that end before ``places``."""
    folder.mkdir()
    vectors, begin = rows(), 0
    for number, end in enumerate((*places, len(TOKENS))):
        path = folder / f"part-{number + 8}.txt"
        write(path, TOKENS[begin:end], vectors[begin:end])
        begin = end
    return folder


def library(tmp_path: Path) -> pe.Library:
    return pe.Library(tmp_path / "cache", offline=True)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    path = tmp_path / "one.txt"
    write_text(path, TOKENS, rows())
    return path


def looked_up(reader: Reader) -> tuple[list[object], ...]:
    """Return what a search for forms of some tokens finds."""
    wanted = [("cat", 0, 0), ("Cat", 0, 1), ("the", 1, 0), ("no", 2, 0), ("z", 3, 0)]
    wanted += [("dog", 4, 1), ("CAT", 4, 0), ("a", 5, 0), ("a", 6, 2)]
    texts, targets, ranks = zip(*wanted, strict=True)
    index = TokenIndex(texts, np.array(targets, np.int64), np.array(ranks, np.uint8))
    out = np.full((8, reader.dim), 7, np.float32)
    found = reader.select(index, out, threads=2)
    located = reader.locate(index)
    assert located.source_rows.tolist() == found.source_rows[:7].tolist()
    told = [found.findings.duplicates, found.findings.rows]
    return out.tolist(), found.source_rows.tolist(), found.ranks.tolist(), told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("places", [(), (1,), (2, 3, 8), (5, 11)])
def test_parts_are_as_one_file(
    kind: str, places: tuple[int, ...], one: Path, tmp_path: Path
) -> None:
    write, expected = KINDS[kind]
    folder = cut(tmp_path / "parts", write, *places)
    whole = library(tmp_path).open(one)

    with library(tmp_path).open(folder) as reader:
        assert type(reader) is expected
        blocks = list(reader.blocks())
        assert [token for block in blocks for token in block.tokens] == TOKENS
        vectors = np.concatenate([block.vectors for block in blocks])
        assert vectors.tobytes() == rows().tobytes()
        assert reader.findings.rows == len(TOKENS)
        assert looked_up(reader) == looked_up(whole)
        assert reader.facts["parts"] == len(places) + 1


@given(places=st.lists(st.integers(1, len(TOKENS) - 1), unique=True, max_size=4))
def test_any_cut_gives_the_same_matrix(
    places: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tmp_path = tmp_path_factory.mktemp("cut")
    write_text(tmp_path / "one.txt", TOKENS, rows())
    folder = cut(tmp_path / "parts", write_text, *sorted(places))
    vocabulary = pe.Vocabulary(["cat", "the", "dog", "é", "Z"])

    def build(source: Path) -> pe.EmbeddingMatrix:
        return pe.build_matrix(
            vocabulary, source, match="exact,lower", library=library(tmp_path)
        )

    built, expected = build(folder), build(tmp_path / "one.txt")

    assert built.vectors.tobytes() == expected.vectors.tobytes()
    assert built.source_rows.tolist() == expected.source_rows.tolist()
    assert built.findings.duplicates == expected.findings.duplicates


def test_a_header_of_a_file_that_was_cut_up_is_no_finding(tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text, 4, 8)
    first = folder / "part-8.txt"
    first.write_text(f"{len(TOKENS)} {DIM}\n{first.read_text()}")

    with library(tmp_path).open(folder) as reader:
        looked_up(reader)
        assert reader.findings.rows == len(TOKENS)
        assert not reader.findings.notes


def test_empty_parts_are_left_out(tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text, 4)
    (folder / "part-0.txt").write_bytes(b"")
    (folder / "part-7.txt.gz").write_bytes(gzip.compress(b""))

    with library(tmp_path).open(folder) as reader:
        assert reader.facts["parts"] == 2
        looked_up(reader)
        (note,) = reader.findings.notes
    assert note.endswith("part-0.txt and 1 more: empty, and left out")


def test_parts_with_a_header_and_no_row_are_left_out(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    kinds = ("hdr", "csv", "blank", "npy", "parquet")
    for kind in kinds:
        (tmp_path / kind).mkdir()
    for number, tokens in enumerate(([], ["a", "b"], [], ["c"])):
        vectors = np.full((len(tokens), 2), number, np.float32)
        paths = {kind: tmp_path / kind / f"part-{number}.{kind}" for kind in kinds}
        write_headed(paths["hdr"], tokens, vectors)
        lines = [f"{token},{number},{number}.5\n" for token in tokens]
        paths["csv"].write_text("".join(["token,x,y\n", *lines]))
        write_text(paths["blank"], tokens, vectors)
        if not tokens:
            paths["blank"].write_text("\n\n")
        write_npy(paths["npy"], tokens, vectors)
        schema = [("token", pyarrow.string()), ("v", pyarrow.list_(pyarrow.float32()))]
        rows = {"token": tokens, "v": vectors.tolist()}
        parquet.write_table(
            pyarrow.table(rows, schema=pyarrow.schema(schema)), paths["parquet"]
        )

    for kind in kinds:
        with library(tmp_path).open(tmp_path / kind) as reader:
            tokens = [token for block in reader.blocks() for token in block.tokens]
            assert (kind, tokens) == (kind, ["a", "b", "c"])
            assert any("and 1 more: empty" in note for note in reader.findings.notes)


def test_a_note_of_many_parts_is_told_once(tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text, 4, 8)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().rstrip(b"\n"))

    with library(tmp_path).open(folder) as reader:
        looked_up(reader)
        (note,) = reader.findings.notes
        assert reader.findings.codes["text.no-final-line-end"] == 1
    assert "part-8.txt and 2 more: the last line has no line end" in note


def test_blank_lines_behind_a_part_move_no_row(one: Path, tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text, 4, 8)
    for path in folder.iterdir():
        path.write_text(path.read_text() + "\n\n")

    with library(tmp_path).open(folder) as reader:
        assert looked_up(reader) == looked_up(library(tmp_path).open(one))


@pytest.mark.parametrize("behind", ["", "owl 1 2 3\n"])
def test_blank_lines_of_many_splits_move_no_row(
    behind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_parts_small(monkeypatch)
    folder = cut(tmp_path / "parts", write_text, 4, 8)
    first = folder / "part-8.txt"
    blank = 1 << 17  # lines, so that some splits have no other
    first.write_text(first.read_text() + "\n" * blank + behind)
    tokens = ["the", "dog", "z"]

    more = blank + 1 if behind else 0  # bad rows, as a row follows
    wanted = [TOKENS.index(token) for token in tokens]
    for out in (None, tmp_path / "m.npy"):
        built = pe.build_matrix(
            tokens,
            folder,
            library=library(tmp_path),
            limits=pe.Limits(bad_rows=1.0),
            out=out,
        )
        found = [built.source_rows[built.vocabulary[token]] for token in tokens]
        assert found == [row + more if row >= 4 else row for row in wanted]
        assert built.findings.rows == len(TOKENS) + more


def test_a_bad_row_is_told_by_its_file(tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text, 4, 8)
    bad = folder / "part-9.txt"
    bad.write_text(bad.read_text().replace("dog ", "dog"))
    build = pe.build_matrix

    with pytest.raises(RowError, match=r"part-9\.txt, line 3"):
        build(["é"], folder, library=library(tmp_path), match="exact,lower")
    built = build(
        ["é", "dog"],
        folder,
        library=library(tmp_path),
        limits=pe.Limits(bad_rows=1),
    )
    (doubt,) = built.findings.doubts
    assert (doubt.row, doubt.line) == (6, 3)
    assert "part-9.txt: " in doubt.what
    assert built.source_rows[built.vocabulary["é"]] == TOKENS.index("é")


@pytest.mark.parametrize(
    ("name", "write", "count", "dim", "what"),
    [
        ("part-9.txt", write_text, 4, 5, r"part-9\.txt has vectors of 5 .*part-8\.txt"),
        (
            "part-9.npz",
            write_as(".npz"),
            4,
            3,
            r"part-9\.npz is npz.*part-8\.txt is te",
        ),
    ],
)
def test_parts_that_do_not_go_together(
    name: str,
    write: Callable[..., None],
    count: int,
    dim: int,
    what: str,
    tmp_path: Path,
) -> None:
    folder = cut(tmp_path / "parts", write_text)
    write(folder / name, TOKENS[:count], rows(count, dim))

    with pytest.raises(FormatError, match=what):
        library(tmp_path).open(folder)


def test_a_file_that_is_no_part(tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text)
    (folder / "README.md").write_text("Vectors of our own\n\nfor all to use.\n")

    with pytest.raises(UnknownFormatError, match=r"README\.md.* by a pattern such"):
        library(tmp_path).open(folder)
    assert library(tmp_path).open(str(folder / "part-*")).dim == DIM


def test_nothing_but_empty_parts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")

    with pytest.raises(FormatError, match="no rows in 1 file, the first is"):
        library(tmp_path / "cache").open(str(tmp_path / "*.txt"))


def test_tables_keep_their_rows_without_a_token(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, hole in enumerate((0, 2)):
        vectors = rows(4)
        tokens = [f"{number}-{row}" if row != hole else "" for row in range(4)]
        arrays = {HOLES: np.array([hole]), "origin": np.zeros(4, np.uint8)}
        table = Table(PackedTokens.pack(tokens), vectors, arrays, {"made": "here"})
        formats.write_table(folder / f"{number}.npz", table)

    with library(tmp_path).open(folder) as reader:
        table = formats.table_of(reader)
        part = reader.rows_in(lambda count: range(3, count))
        assert len(list(reader.blocks())) == 1
    assert table.arrays[HOLES].tolist() == [0, 6]
    assert part is not None
    assert part.table.tokens.unpack() == ["0-3", "1-0", "1-1", "", "1-3"]
    assert part.table.vectors.tobytes() == np.concatenate([rows(4)] * 2)[3:].tobytes()
    assert any("what else they say of rows" in note for note in reader.findings.notes)


def test_a_store_of_parts(one: Path, tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text, 4, 8)
    own = library(tmp_path)

    own.index(str(folder))

    with own.open(str(folder)) as reader:
        assert isinstance(reader, StoreReader)
        assert looked_up(reader)[:3] == looked_up(own.open(one))[:3]
    more = folder / "part-11.txt"
    write_text(more, ["more"], rows(1))
    assert isinstance(own.open(str(folder)), ScannedReader)


def test_parts_with_files_beside_them_have_no_store(tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_npy, 4)

    with pytest.raises(OptionError, match="a part of it may be in another file"):
        library(tmp_path).index(str(folder))


@pytest.mark.parametrize("kind", ["text", "gzip", "npy"])
def test_workers_read_parts(kind: str, one: Path, tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", KINDS[kind][0], 2, 5, 9)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        built = pe.build_matrix(
            ["Cat", "z", "a", "dog"],
            str(folder / ("*.npy" if kind == "npy" else "*")),
            library=library(tmp_path),
            out=tmp_path / "m.npy",
            work=pe.Work(executor=pool),
        )

    expected = pe.build_matrix(["Cat", "z", "a", "dog"], one, library=library(tmp_path))
    assert np.asarray(built.vectors).tobytes() == expected.vectors.tobytes()
    assert built.source_rows.tolist() == expected.source_rows.tolist()


def test_a_part_is_not_written_over(tmp_path: Path) -> None:
    folder = cut(tmp_path / "parts", write_text, 4, 8)
    part = folder / "part-9.txt"
    before = part.read_bytes()
    own = library(tmp_path)

    for source in (folder, folder / "part-*"):
        matrix = pe.build_matrix(["Cat"], source, library=own)
        with pytest.raises(WriteError, match="is a source of this matrix"):
            matrix.save(part)
        with pytest.raises(OptionError, match="would take the place of what is read"):
            pe.convert(source, part, library=own)
    assert part.read_bytes() == before


def test_some_shards_without_their_index_are_no_parts(tmp_path: Path) -> None:
    table = Table(PackedTokens.pack(TOKENS), rows(), {}, {})
    formats.write_table(tmp_path / "m", table, shards=3)
    (tmp_path / "m" / "model.safetensors.index.json").unlink()
    assert library(tmp_path).open(tmp_path / "m").count == len(TOKENS)
    (tmp_path / "m" / "model-00003-of-00003.safetensors").unlink()

    with pytest.raises(FormatError, match="shards of a matrix, but not all of them"):
        library(tmp_path).open(tmp_path / "m")
