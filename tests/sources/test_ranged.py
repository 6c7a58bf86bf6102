"""Ranges of a file far away: what is read, and what is asked for."""

from __future__ import annotations

import io
import threading
from itertools import pairwise
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrained_embed.errors import SourceError
from pretrained_embed.sources.http import Failure, Retry
from pretrained_embed.sources.remote import (
    AT_ONCE,
    USUAL,
    RangedFile,
    Requests,
    RequestSizes,
)
from pretrained_embed.sources.stream import read_fully

DATA = bytes(range(256)) * 4096  # 1 MiB


class Memory:
    """Bytes in memory that are as if far away."""

    name = "far://away"

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []
        self.failures: list[Failure] = []
        self.checks = 0

    def get(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        if self.failures:
            raise self.failures.pop()
        return self.data[start:stop]

    def check(self) -> None:
        self.checks += 1


#: Small requests, for which small files are large.
SMALL = RequestSizes(most=1 << 12, first=1 << 6, slack=1 << 4)


def requests_to(
    far: Memory, size: int = len(DATA), sizes: RequestSizes = USUAL
) -> Requests:
    return Requests(far, size, Retry(sleep=lambda seconds: None), sizes)


MOVES = st.tuples(
    st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]),
    st.integers(-300, 300) | st.integers(0, 3000),
    st.integers(0, 700),
)


@settings(max_examples=25)
@given(
    size=st.integers(0, 3000),
    begin=st.integers(0, 3000),
    length=st.none() | st.integers(0, 3000),
    moves=st.lists(MOVES, max_size=8),
)
def test_it_reads_as_a_file_does_wherever_one_seeks(size, begin, length, moves):
    begin = min(begin, size)
    end = None if length is None else begin + length
    here = io.BytesIO(DATA[:size])
    here.seek(begin)

    sizes = RequestSizes(most=256, first=16)
    with RangedFile(requests_to(Memory(), size, sizes), begin, end) as file:
        assert read(file, 50) == here.read(50)
        for whence, offset, count in moves:
            base = (0, here.tell(), size)[whence]
            offset = max(offset, -base)
            assert file.seek(offset, whence) == here.seek(base + offset)
            assert read(file, count) == here.read(count)
            assert file.tell() == here.tell()


def test_a_named_range_is_asked_for_at_once_and_little_else():
    far = Memory()

    with RangedFile(requests_to(far, sizes=SMALL), 100_000, 120_000) as file:
        file.read(1)
        file.seek(100_000)
        data = b"".join(
            iter(lambda: file.read(8000) if file.tell() < 120_000 else b"", b"")
        )

    assert data[:20_000] == DATA[100_000:120_000]
    asked = sorted(far.asked)
    assert asked[0][0] == 100_000
    assert asked[-1][1] == 120_016
    assert all(before[1] == behind[0] for before, behind in pairwise(asked))


def test_what_stands_behind_a_named_range_can_be_read_too():
    with RangedFile(requests_to(Memory(), sizes=SMALL), 1000, 2000) as file:
        assert read_all(file) == DATA[1000:]


def test_of_a_file_that_is_looked_into_little_is_asked_for():
    far = Memory(DATA * 64)
    size = len(far.data)

    with RangedFile(requests_to(far, size), 0, None) as file:
        for place in (size - 22, size - 5000, 10_000_000):
            file.seek(place)
            file.read(20)

    assert sum(stop - start for start, stop in far.asked) <= 3 * 2 * USUAL.first


def test_the_more_is_read_in_order_the_more_is_asked_for():
    far = Memory(DATA * 64)

    with RangedFile(requests_to(far, len(far.data)), 0, None) as file:
        assert read_all(file) == far.data

    sizes = [stop - start for start, stop in sorted(far.asked)]
    assert sizes[0] == USUAL.first
    assert max(sizes) == USUAL.most
    assert sum(sizes) == len(far.data)
    assert len(sizes) < 40


def test_several_requests_are_under_way_at_once():
    class Slow(Memory):
        def get(self, start: int, stop: int) -> bytes:
            together.wait(timeout=30)  # all or none get on
            return super().get(start, stop)

    together = threading.Barrier(AT_ONCE)
    size = AT_ONCE * USUAL.most
    far = Slow(bytes(size))

    with RangedFile(requests_to(far, size), 0, size) as file:
        assert read_all(file) == far.data


def test_the_head_is_asked_for_once():
    far = Memory()
    requests = requests_to(far)

    assert requests.head(10) == DATA[:10]
    assert requests.head(512) == DATA[:512]
    assert requests.head(300_000) == DATA[:300_000]
    assert requests.head(1 << 30) == DATA
    assert far.asked == [(0, USUAL.first), (USUAL.first, 300_000), (300_000, len(DATA))]


def test_a_request_that_fails_is_made_again():
    far = Memory()
    far.failures = [Failure("busy", again=True), Failure("busy", again=True)]

    assert requests_to(far).get(5, 10) == DATA[5:10]
    assert len(far.asked) == 3


def test_an_answer_that_is_cut_is_asked_for_again():
    class Cut(Memory):
        def get(self, start: int, stop: int) -> bytes:
            return super().get(start, stop - (len(self.asked) == 0))

    assert requests_to(Cut()).get(5, 10) == DATA[5:10]


def test_patience_has_an_end():
    far = Memory()
    far.failures = [Failure("busy", again=True)] * 9

    with pytest.raises(SourceError, match=r"^far://away: cannot be read: busy$"):
        requests_to(far).get(5, 10)

    assert len(far.asked) == 4


def test_what_cannot_get_better_is_asked_for_once():
    far = Memory()
    far.failures = [Failure("refused")] * 9

    with RangedFile(requests_to(far), 0, 100) as file, pytest.raises(SourceError):
        file.read(5)

    assert len(far.asked) == 1


def test_the_last_file_that_is_closed_checks_the_version():
    far = Memory()
    requests = requests_to(far)

    with RangedFile(requests, 0, 100) as first:
        with RangedFile(requests, 100, 200) as second:
            second.read(5)
        first.read(5)
        assert far.checks == 0
    assert far.checks == 1

    with pytest.raises(KeyError), RangedFile(requests, 0, 100):
        raise KeyError  # which is what matters then
    assert far.checks == 1


def test_a_closed_file_asks_for_nothing_more():
    release = threading.Event()

    class Slow(Memory):
        def get(self, start: int, stop: int) -> bytes:
            if start:
                release.wait(timeout=30)
            return super().get(start, stop)

    far = Slow()
    requests = requests_to(far, sizes=SMALL)
    file = RangedFile(requests, 0, len(DATA))
    other = RangedFile(requests, 0, len(DATA))
    file.read(1)
    other.read(1)

    file.close()
    other.close()
    release.set()
    requests.get(0, 1)

    assert file.closed
    assert len(far.asked) <= 2 * AT_ONCE


def test_there_is_nothing_before_the_beginning():
    file = RangedFile(requests_to(Memory()), 0, None)

    with pytest.raises(ValueError, match="negative"):
        file.seek(-1)


def read(file: RangedFile, size: int) -> bytes:
    return read_fully(cast(BinaryIO, file), size)


def read_all(file: RangedFile) -> bytes:
    return b"".join(iter(lambda: file.read(1 << 20), b""))
