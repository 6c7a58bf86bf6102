"""Extracts: what goes in for a range comes out for it, in the order of the file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretrained_embed import kernel
from pretrained_embed.build import extract
from pretrained_embed.build.extract import Extract, Gathering
from pretrained_embed.errors import SourceError
from pretrained_embed.formats.blocks import Hits

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
    bounds = extract.bounds(RANGES, DIM)
    sections = []
    for number in range(RANGES):
        positions, tokens = extract.section(bounds, number, DIM)
        vectors = extract.vectors(bounds, number, DIM)
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

    with pytest.raises(SourceError, match="damaged"):
        Extract(len(data), 0, data=bytes(data)).bounds(RANGES, DIM)
