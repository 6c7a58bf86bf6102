from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conformance import DIM, ReadingConformance, all_rows, select
from hypothesis import given
from hypothesis import strategies as st
from tables import piped, read_all, stream_of

from pretrained_embed import formats
from pretrained_embed.errors import FormatError, UnknownFormatError
from pretrained_embed.formats import magnitude as magnitude

DATA = Path(__file__).parents[1] / "data" / "magnitude"
FILES = sorted(DATA.glob("*.magnitude"))

FORMAT = "CREATE TABLE magnitude_format (key TEXT COLLATE NOCASE, value INTEGER)"


def opened(path):
    return formats.open_reader(stream_of(path))


def columns(dim):
    dims = ", ".join(f"dim_{number} INTEGER" for number in range(dim))
    return f"key TEXT COLLATE NOCASE, {dims}, magnitude REAL"


def database(path, *statements):
    """Write a database; each statement may come with its values."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as held, held:
        for statement in statements:
            held.execute(*([statement] if isinstance(statement, str) else statement))
    return path


def table(dim, *rows, precision=7):
    """Return the statements that make a file of rows (key, numbers, length)."""
    marks = ", ".join("?" * (dim + 2))
    return [
        FORMAT,
        f"CREATE TABLE magnitude ({columns(dim)})",
        ("INSERT INTO magnitude_format VALUES ('precision', ?)", (precision,)),
        *(
            (f"INSERT INTO magnitude VALUES ({marks})", (key, *numbers, length))
            for key, numbers, length in rows
        ),
    ]


class TestMagnitude(ReadingConformance):
    integers = np.random.default_rng(3).integers(
        -(10**7), 10**7, (len(ReadingConformance.tokens), DIM)
    )

    @property
    def vectors(self):
        return (self.integers / 10**7).astype(np.float32)

    def write(self, path, tokens, vectors):
        keys = [token.encode("utf-8", "surrogateescape") for token in tokens]
        rows = [
            (key, numbers, 1.0)
            for key, numbers in zip(keys, self.integers.tolist(), strict=True)
        ]
        # Blobs, as no text that is not UTF-8 can be put in from here.
        database(
            path, *table(DIM, *rows), "UPDATE magnitude SET key = CAST(key AS TEXT)"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("stream", [stream_of, piped])
def test_keys_and_vectors_are_those_that_pymagnitude_gives(path, stream):
    words = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))["words"]
    vectors = np.load(path.with_name(path.name + ".npy"))

    with formats.open_reader(stream(path)) as reader:
        tokens, rows = all_rows(reader)
        wanted = [(word, row, 0) for row, word in enumerate(reversed(words))]
        out, _ = select(reader, wanted)

    assert reader.format == "magnitude"
    assert tokens == words
    assert rows.tobytes() == vectors.tobytes()
    assert out[:-1].tobytes() == vectors[::-1].tobytes()
    facts = dict(reader.facts)
    assert facts["precision"] == (4 if path.stem == "subwords" else 7)
    assert facts["version"] == 2
    assert 0 < facts["norms"][0] < facts["norms"][1]
    assert "unit length" in reader.findings.notes[0]


def test_keys_that_differ_in_case_are_two(tmp_path):
    rows = [("the", [1], 1.0), ("The", [2], 1.0), ("THE", [3], 1.0)]
    path = database(tmp_path / "x.magnitude", *table(1, *rows, precision=0))

    with opened(path) as reader:
        out, selection = select(reader, [("The", 0, 0), ("THE", 1, 0), ("tHE", 2, 0)])

    assert out[:2].tolist() == [[2], [3]]
    assert selection.source_rows.tolist() == [1, 2, -1, -1]


def test_rows_keep_their_order_where_some_were_deleted(tmp_path):
    rows = [(f"w{number}", [number], 1.0) for number in range(10)]
    path = database(
        tmp_path / "x.magnitude",
        *table(1, *rows, precision=1),
        "DELETE FROM magnitude WHERE rowid IN (2, 3, 9)",
        "CREATE INDEX magnitude_key_idx ON magnitude (key DESC)",
    )

    with opened(path) as reader:
        tokens, vectors = all_rows(reader)

    assert tokens == ["w0", "w3", "w4", "w5", "w6", "w7", "w9"]
    assert vectors[:, 0].tolist() == pytest.approx([0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9])


def test_norms_that_are_one_or_no_number_are_not_spoken_of(tmp_path):
    rows = [("a", [1], 1.0), ("b", [1], None)]
    path = database(tmp_path / "x.magnitude", *table(1, *rows))

    with opened(path) as reader:
        all_rows(reader)

    assert "norms" not in reader.facts
    assert reader.findings.notes == []


def test_a_name_that_means_something_in_a_url_is_a_name(tmp_path):
    path = database(tmp_path / "a?mode=rwc#%41.magnitude", *table(1, ("a", [1], 1.0)))

    with opened(path) as reader:
        assert all_rows(reader)[0] == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_nothing_is_written_and_no_journal_replayed(tmp_path):
    path = database(tmp_path / "x.magnitude", *table(1, ("a", [1], 1.0)))
    journal = tmp_path / "x.magnitude-journal"
    journal.write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    before = path.read_bytes(), journal.read_bytes()
    path.chmod(0o444)

    with opened(path) as reader:
        all_rows(reader)

    assert (path.read_bytes(), journal.read_bytes()) == before


def test_another_database_is_named_for_what_it_is(tmp_path):
    path = database(tmp_path / "x.db", "CREATE TABLE words (word TEXT)")

    with pytest.raises(UnknownFormatError, match="an SQLite database"):
        opened(path)


ONE = ("a", [1], 1.0)
MAKES = f"CREATE TABLE magnitude ({columns(1)})"
DAMAGED = {
    "no-table": ([FORMAT], "no plain table of vectors"),
    "view": (
        [
            FORMAT,
            "CREATE VIEW magnitude AS SELECT 'a' AS key, 1 AS dim_0, 1 AS magnitude",
        ],
        "no plain table of vectors",
    ),
    "virtual": (
        [  # written by hand: not every SQLite has a module to make one with
            FORMAT,
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES ('table', 'magnitude', 'magnitude', 0, "
            "'CREATE VIRTUAL TABLE magnitude USING fts3(key, dim_0)')",
        ],
        "no plain table of vectors",
    ),
    "computed": (
        [
            FORMAT,
            "CREATE TABLE magnitude "
            "(key TEXT, dim_0 INTEGER AS (length(key)), magnitude REAL)",
        ],
        "some of its columns are computed",
    ),
    "no-numbers": (
        [FORMAT, "CREATE TABLE magnitude (key TEXT, magnitude REAL)"],
        "its columns are not",
    ),
    "other-columns": (
        [FORMAT, "CREATE TABLE magnitude (key TEXT, dim_1 INTEGER, magnitude REAL)"],
        "its columns are not",
    ),
    "no-rowid": (
        [
            FORMAT,
            f"CREATE TABLE magnitude ({columns(1)}, PRIMARY KEY (key)) WITHOUT ROWID",
            "INSERT INTO magnitude_format VALUES ('precision', 7)",
        ],
        "no such column: rowid",
    ),
    "no-format": ([MAKES, "CREATE TABLE t (magnitude_format)"], "no such table"),
    "no-precision": ([FORMAT, MAKES], "how many decimal digits"),
    "precision": (table(1, ONE, precision=19), "how many decimal digits"),
    "minus": (table(1, ONE, precision=-1), "how many decimal digits"),
    "no-rows": (table(1), "at least one of each"),
    "null-key": (table(1, (None, [1], 1.0)), "row 1 has no key"),
    "real": (table(1, ("a", [0.5], 1.0)), "row 1 is not all integers"),
    "null": (table(1, ("a", [None], 1.0)), "row 1 is not all integers"),
    "text": (table(1, ("a", ["x"], 1.0)), "row 1 is not all integers"),
    "long-key": (table(1, ("a" * (1 << 21), [1], 1.0)), "string or blob too big"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_not_as_magnitude_writes_it_is_refused(name, tmp_path):
    statements, what = DAMAGED[name]
    path = database(tmp_path / "x.magnitude", *statements)

    with pytest.raises(FormatError, match=what) as caught:
        all_rows(opened(path))

    assert "x.magnitude" in str(caught.value)


def test_pages_that_are_met_again_and_again_end(tmp_path):
    """The root of the table has one page of rows for all its children."""
    rows = [(f"w{number}", [number], 1.0) for number in range(3000)]
    path = database(tmp_path / "x.magnitude", *table(1, *rows))
    with closing(sqlite3.connect(path)) as held:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'magnitude'"
        ((root,),) = held.execute(query).fetchall()
        ((size,),) = held.execute("PRAGMA page_size").fetchall()
    raw = bytearray(path.read_bytes())
    page = memoryview(raw)[(root - 1) * size : root * size]
    assert page[0] == 5  # an inner page of a table
    cells = int.from_bytes(page[3:5], "big")
    starts = [
        int.from_bytes(page[12 + 2 * i : 14 + 2 * i], "big") for i in range(cells)
    ]
    child = bytes(page[starts[0] : starts[0] + 4])
    for start in starts:
        page[start : start + 4] = child
    page.release()
    path.write_bytes(raw)

    with pytest.raises(FormatError, match="row 1 comes twice"):
        opened(path)


RAW = FILES[0].read_bytes()


@given(st.data())
def test_damaged_files_give_rows_or_our_error(tmp_path_factory, data):
    raw = bytearray(RAW)
    # Most of the file is empty; the places that hold something are of interest.
    places = data.draw(st.sampled_from([range(100, 1200), range(len(raw))]))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.sampled_from(places))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.magnitude"
    path.write_bytes(raw)

    read_all(magnitude, path)


def test_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "cut.magnitude"
    for size in range(0, len(RAW), 1024):
        path.write_bytes(RAW[:size])
        with pytest.raises(FormatError):
            opened(path)
