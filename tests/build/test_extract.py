"""Extracts: what goes in for a range comes out for it, in the order of the file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed import kernel
from pretrained_embed.build import extract
from pretrained_embed.build.extract import (
    Extract,
    Gathering,
    Outcome,
    Pass,
    RangeReader,
)
from pretrained_embed.errors import SourceError, WriteError
from pretrained_embed.files.safe_path import SafePath
from pretrained_embed.formats.blocks import Hits, PackedBlock
from pretrained_embed.formats.findings import Findings
from pretrained_embed.formats.reader import Reader, Selection, SplitReport

DIM = 3
RANGES = 5

#: Tokens that are wanted, and the ranges that want them.
wanted = st.dictionaries(
    st.binary(max_size=6),
    st.sets(st.integers(0, RANGES - 1), min_size=1),
    min_size=1,
    max_size=12,
)


def index_of(tokens: dict[bytes, set[int]]) -> kernel.TokenIndex:
    """Return an index as `WantedTokens` makes it: range after range."""
    pairs = sorted((number, token) for token, by in tokens.items() for number in by)
    return kernel.TokenIndex(
        [token for _, token in pairs],
        np.array([number for number, _ in pairs]),
        np.zeros(len(pairs), np.uint8),
    )


def hits_of(
    index: kernel.TokenIndex, tokens: Sequence[bytes], first: int, vectors: np.ndarray
) -> Hits:
    """Return hits as a scan gives them, for rows of the file from ``first`` on."""
    hits, place = [], 0
    for row, token in enumerate(tokens):
        hits.append((row, place, len(token), index.key(token)))
        place += len(token)
    array = np.array(hits, np.int64).reshape(-1, kernel.HIT_COLUMNS)
    return Hits(first, len(tokens), array, vectors, bytearray(b"".join(tokens)))


def sections_of(
    pieces: list[memoryview],
) -> list[tuple[list[int], list[bytes], np.ndarray]]:
    """Return what each range has: positions, tokens, vectors."""
    data = b"".join(pieces)
    extract = Extract(len(data), 0, data=data)
    sections = []
    for number in range(RANGES):
        bounds = extract.bounds(RANGES, number, DIM)
        positions, tokens = extract.section(bounds, DIM)
        vectors = extract.vectors(bounds, DIM)
        sections.append((positions.tolist(), tokens.split(), vectors))
    return sections


@given(tokens=wanted, data=st.data())
def test_each_range_gets_its_entries_in_order(
    tokens: dict[bytes, set[int]], data: st.DataObject
) -> None:
    index = index_of(tokens)
    calls = data.draw(st.lists(st.lists(st.sampled_from(sorted(tokens)), max_size=9)))
    gathered = Gathering(index, RANGES, DIM)
    rows: list[tuple[int, bytes, np.ndarray]] = []
    for call in calls:
        vectors = np.arange(len(call) * DIM, dtype=np.float32).reshape(-1, DIM)
        found = hits_of(index, call, len(rows), vectors + len(rows))
        assert not gathered.is_full_for(found)
        gathered.add(found)
        rows += zip(count(len(rows)), call, found.vectors, strict=False)

    pieces = gathered.extract()

    if not rows:
        assert not pieces
        return
    for number, section in enumerate(sections_of(pieces)):
        expected = [row for row in rows if number in tokens[row[1]]]
        positions, found_tokens, vectors = section
        assert positions == [row for row, _, _ in expected]
        assert found_tokens == [token for _, token, _ in expected]
        assert vectors.tolist() == [vector.tolist() for *_, vector in expected]
    assert gathered.extract() == []


@pytest.mark.usefixtures("both_kernels")
def test_an_extract_is_closed_before_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extract, "_FULL", 4 * DIM * 4)
    index = index_of({b"a": {0}, b"b": {1, 2}})
    gathered = Gathering(index, RANGES, DIM)
    few = hits_of(index, [b"a", b"b", b"b"], 0, np.ones((3, DIM), np.float32))
    many = hits_of(index, [b"b"] * 7, 3, np.full((7, DIM), 2, np.float32))

    assert not gathered.is_full_for(few)
    gathered.add(few)
    assert gathered.is_full_for(few)
    assert gathered.is_full_for(many)
    first = sections_of(gathered.extract())
    assert not gathered.is_full_for(many)  # there is room made for as many
    gathered.add(many)
    second = sections_of(gathered.extract())

    counts = [[len(positions) for positions, *_ in each] for each in (first, second)]
    assert counts == [[1, 2, 2, 0, 0], [0, 7, 7, 0, 0]]
    assert second[1][2].tolist() == [[2.0] * DIM] * 7


@pytest.mark.parametrize("change", ["entries", "bytes", "order", "cut"])
def test_an_extract_whose_bounds_cannot_be_is_refused(change: str) -> None:
    index = index_of({b"a": {0}, b"b": {1, 2}})
    gathered = Gathering(index, RANGES, DIM)
    gathered.add(hits_of(index, [b"a", b"b"], 0, np.ones((2, DIM), np.float32)))
    data = bytearray(b"".join(gathered.extract()))
    bounds = np.frombuffer(data, np.int64, offset=len(data) - 16 * (RANGES + 1))
    if change == "cut":
        data = data[8:]
    else:
        place = {"entries": RANGES, "bytes": -1, "order": 2}[change]
        bounds[place] += 1 if place != 2 else 2

    damaged = Extract(len(data), 0, data=bytes(data))

    with pytest.raises(SourceError, match="damaged"):
        _ = [damaged.bounds(RANGES, number, DIM) for number in range(RANGES)]


class Lines(Reader):
    """A source of text of which a test says what its scan found."""

    format, name, dim = "text", "lines.txt", DIM

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self._notes = notes

    @property
    def findings(self) -> Findings:
        return Findings()

    def packed_blocks(self, **_: object) -> Iterator[PackedBlock]:
        return iter(())

    def select(self, *_: object, **__: object) -> Selection:
        raise AssertionError("what was extracted is looked up in the extracts")

    def total(self, reports: Iterable[SplitReport]) -> Findings:
        return Findings(rows=sum(report.findings.rows for report in reports))


def outcome_of(
    index: kernel.TokenIndex, tokens: Sequence[bytes], vectors: np.ndarray, rows: int
) -> Outcome:
    """Return what scanning a split of so many rows comes to."""
    gathering = Gathering(index, RANGES, DIM)
    gathering.add(hits_of(index, tokens, 0, vectors))
    data = b"".join(gathering.extract())
    report = SplitReport(Findings(rows=rows), read=7, part=1)
    return Outcome(report, [Extract(len(data), zlib.crc32(data), data=data)])


SPLITS = [[b"a", b"b", b"a"], [b"c", b"a", b"b"]]
BY = {b"a": {0, 1}, b"b": {1}, b"c": {0}}


@pytest.fixture
def extracted() -> Pass:
    """Two splits, of ten rows and of three; the numbers of a vector are its place."""
    index = index_of(BY)
    outcomes = [
        outcome_of(
            index,
            tokens,
            np.full((3, DIM), 10 * number, np.float32)
            + np.arange(3, dtype=np.float32)[:, None],
            rows,
        )
        for number, (tokens, rows) in enumerate(zip(SPLITS, (10, 3), strict=True))
    ]
    return Pass(Lines(), range(RANGES), RANGES, "error", outcomes)


def test_a_range_selects_from_its_extracts_as_from_the_file(
    extracted: Pass,
) -> None:
    wanted = [(b"a", 0, 0), (b"c", 1, 1), (b"b", 1, 2), (b"zz", 2, 0), (b"c", 3, 0)]
    texts, rows, ranks = zip(*wanted, strict=True)
    index = kernel.TokenIndex(list(texts), np.array(rows), np.array(ranks, np.uint8))
    out = np.full(
        (3, DIM), -1, np.float32
    )  # row 3 is beyond it: its vector is not read

    reader = RangeReader(extracted, 0)
    found = reader.select(index, out)

    assert out[:, 0].tolist() == [0, 10, -1]
    assert found.source_rows.tolist() == [0, 10, -1, 10]
    assert found.ranks.tolist() == [0, 1, 0, 0]
    assert found.findings.rows == 13
    assert found.findings.duplicates == 2
    assert reader.met_again == {b"a": 2}


def test_a_range_sees_nothing_of_what_others_want(extracted: Pass) -> None:
    index = kernel.TokenIndex([b"b", b"a"], np.array([0, 1]), np.zeros(2, np.uint8))
    out = np.zeros((2, DIM), np.float32)

    found = [
        RangeReader(extracted, number).select(index, out).source_rows.tolist()
        for number in (0, 1, 2)
    ]

    assert found == [[-1, 0], [1, 0], [-1, -1]]


def test_a_record_of_an_outcome_comes_back_as_it_was(tmp_path: Path) -> None:
    outcome = outcome_of(index_of(BY), SPLITS[0], np.zeros((3, DIM), np.float32), 10)
    outcome = Outcome(
        replace(outcome.report, blank_end=2, skips=False), outcome.extracts
    )
    paths = (
        SafePath.at(tmp_path, WriteError, "name another") / f"{number}.extract"
        for number in count()
    )

    again = Outcome.from_record(outcome.to_record("key"), "key", paths)

    assert again is not None
    assert again.report == outcome.report
    assert [(e.size, e.crc32) for e in again.extracts] == [
        (e.size, e.crc32) for e in outcome.extracts
    ]


def changed(record: bytes, **facts: object) -> bytes:
    """Return a record that says something else, with the right checksum."""
    text = json.dumps(json.loads(record.partition(b"\n")[2]) | facts).encode()
    return b"%08x\n" % zlib.crc32(text) + text


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record[:-1],
        lambda record: record.replace(b"read", b"raed"),
        lambda record: b"",
        lambda record: b"00000000\n",
        lambda record: changed(record, key="other"),
        lambda record: changed(record, read=-1),
        lambda record: changed(record, part=-1),
        lambda record: changed(record, blank_end="2"),
        lambda record: changed(record, extracts=[[1]]),
        lambda record: changed(record, extracts=[[-1, 0]]),
        lambda record: changed(record, findings=None),
    ],
    ids=range(11),
)
def test_a_record_that_is_damaged_or_of_another_job_is_none(
    change: Callable[[bytes], bytes],
) -> None:
    outcome = outcome_of(index_of(BY), SPLITS[0], np.zeros((3, DIM), np.float32), 10)
    record = outcome.to_record("key")

    assert Outcome.from_record(change(record), "key", iter(())) is None


def test_an_extract_in_a_file_is_whole_or_said_not_to_be(tmp_path: Path) -> None:
    data = outcome_of(
        index_of(BY), SPLITS[0], np.ones((3, DIM), np.float32), 10
    ).extracts[0]
    path = SafePath.at(tmp_path, WriteError, "name another") / "0.extract"
    path.write(data.data)
    extract = Extract(data.size, data.crc32, path)
    bounds = extract.bounds(RANGES, 0, DIM)

    assert extract.is_whole()
    assert extract.vectors(bounds, DIM).tolist() == [[1, 1, 1]] * 2
    path.write(data.data[:-1])
    assert not extract.is_whole()
    with pytest.raises(SourceError, match="has become shorter"):
        extract.bounds(RANGES, 0, DIM)
    path.write(bytes([data.data[0] ^ 1]) + data.data[1:])
    assert not extract.is_whole()
    path.remove()
    assert not extract.is_whole()
    with pytest.raises(SourceError, match=r"cannot be read: .*; run the build again"):
        extract.bounds(RANGES, 0, DIM)
