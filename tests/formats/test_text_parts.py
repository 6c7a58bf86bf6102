"""Parts of a file and reads of a part may end anywhere."""

from __future__ import annotations

import io
import os

import pytest
from conformance import all_rows, select
from tables import piped, stream_of
from vectors import cut_into_parts

from pretrained_embed import formats
from pretrained_embed.errors import (
    FormatError,
    SourceError,
)
from pretrained_embed.formats import window
from pretrained_embed.formats.text import reader as text
from pretrained_embed.sources.stream import Stream

ROWS = b"first 1 2 3\nsecond 4 5 6\nthird 7 8 9\n"


def opened(path, raw):
    path.write_bytes(raw)
    return formats.open_reader(stream_of(path))


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("raw", [ROWS, b"3 3\n" + ROWS, b"\xef\xbb\xbf" + ROWS[:-1]])
def test_borders_of_parts_fall_anywhere(tmp_path, monkeypatch, raw):
    whole = all_rows(opened(tmp_path / "f", raw))
    for part in range(5, len(raw) + 2):  # longer than a header, as they are
        cut_into_parts(monkeypatch, part, read=7)
        reader = opened(tmp_path / "f", raw)
        tokens, vectors = all_rows(reader)
        out, selection = select(reader, [("third", 0, 0), ("first", 1, 0)], threads=3)

        assert tokens == whole[0] == ["first", "second", "third"]
        assert vectors.tolist() == whole[1].tolist()
        assert out[:2].tolist() == [[7, 8, 9], [1, 2, 3]]
        assert selection.source_rows.tolist() == [2, 0, -1]
        assert reader.findings.rows == 3
        assert ("no line end" in str(reader.findings)) == (raw[-1:] != b"\n")


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("headroom", [1, 5, 64])
def test_rows_may_be_longer_than_a_read_and_its_headroom(
    tmp_path, monkeypatch, headroom
):
    long = b"x" * 99
    for read in (1, 2, 3, 31, 33, 200):
        cut_into_parts(monkeypatch, 50, read=read, headroom=headroom)
        for stream in (stream_of, piped):
            (tmp_path / "f").write_bytes(ROWS + long + b" 1 2 3\nlast 4 5 6\n")
            tokens, vectors = all_rows(formats.open_reader(stream(tmp_path / "f")))

            assert tokens == ["first", "second", "third", long.decode(), "last"]
            assert vectors[-2:].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("left", [0, 11, 12, 13, 30])
def test_a_file_that_shrinks_is_an_error(tmp_path, monkeypatch, threads, left):
    cut_into_parts(monkeypatch, 4, read=4)
    reader = opened(tmp_path / "f", ROWS)
    os.truncate(tmp_path / "f", left)

    with pytest.raises(FormatError, match=r"37 bytes when opened.*while it was read"):
        select(reader, [("third", 0, 0)], threads=threads)


def test_a_file_that_shrinks_behind_the_reading_is_an_error(tmp_path, monkeypatch):
    cut_into_parts(monkeypatch, 12, read=12)
    reader = opened(tmp_path / "f", ROWS)

    # once the first part has been read, the file is cut to a piece of it
    with pytest.raises(FormatError, match="changed while it was read"):
        select(
            reader,
            [("third", 0, 0)],
            threads=1,
            progress=lambda *_: os.truncate(tmp_path / "f", 3),
        )


class Dribble(io.RawIOBase):
    """Gives a byte or two at a time, and fails in the end if it is to."""

    def __init__(self, raw: bytes, failure: Exception | None = None) -> None:
        self._left = raw
        self._failure = failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        size = min(len(buffer), 1 + len(self._left) % 2, len(self._left))
        if not size and self._failure is not None:
            raise self._failure
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


@pytest.mark.usefixtures("both_kernels")
def test_reads_may_be_short():
    reader = formats.open_reader(Stream("dribble", lambda: Dribble(ROWS)))

    tokens, vectors = all_rows(reader)

    assert tokens == ["first", "second", "third"]
    assert vectors.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_failure_while_reading_ahead_is_raised():
    failures = iter([None, *[SourceError("the cable was cut")] * 2])
    stream = Stream("dribble", lambda: Dribble(ROWS, next(failures)))
    reader = text.open_reader(stream)

    with pytest.raises(SourceError, match="the cable was cut"):
        all_rows(reader)
    with pytest.raises(SourceError, match="the cable was cut"):
        select(reader, [("first", 0, 0)])


def test_a_line_that_never_ends_is_given_up(tmp_path, monkeypatch):
    cut_into_parts(monkeypatch, 1 << 20, read=1 << 12)
    monkeypatch.setattr(window, "LONGEST_ROW", 1 << 14)
    reader = opened(tmp_path / "f", ROWS * 200_000 + b"x" * (1 << 15))

    with pytest.raises(FormatError, match=r"no end of a row in"):
        select(reader, [("third", 0, 0)])
