"""Folders and patterns of names as one source: which files, in what order."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pretrained_embed.budget import USUAL
from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.sources import Stream
from pretrained_embed.sources.source import (
    from_path,
    of_folder,
    of_pattern,
    open_source,
)


def filled(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    return folder


def folder_of(folder: Path) -> Stream:
    stream = from_path(folder, str(folder))
    assert isinstance(stream, Stream)
    return of_folder(stream)


def names(stream: Stream) -> list[str]:
    return [Path(part.name).name for part in stream.parts]


def test_parts_stand_by_the_numbers_in_their_names(tmp_path: Path) -> None:
    filled(tmp_path, "part-10", "part-2", "part-02b", "part-1", "other-3", "Part-0")

    expected = ["Part-0", "other-3", "part-1", "part-2", "part-02b", "part-10"]
    assert names(folder_of(tmp_path)) == expected
    assert names(of_pattern(str(tmp_path / "*"), USUAL)) == expected


def test_what_hadoop_writes_beside_is_no_part(tmp_path: Path) -> None:
    filled(
        tmp_path,
        "part-00001-c000.txt",
        "part-00000-c000.txt",
        ".part-00000-c000.txt.crc",
        "part-00001-c000.txt.crc",
        "_SUCCESS",
        "._SUCCESS.crc",
        "_temporary/0/part-00002",
    )

    expected = ["part-00000-c000.txt", "part-00001-c000.txt"]
    assert names(folder_of(tmp_path)) == expected
    assert names(of_pattern(str(tmp_path / "*"), USUAL)) == expected


def test_a_pattern_can_ask_for_names_that_begin_with_a_line(tmp_path: Path) -> None:
    filled(tmp_path, "_a", "_b", "c")

    assert names(of_pattern(str(tmp_path / "_*"), USUAL)) == ["_a", "_b"]


def test_a_pattern_goes_through_folders(tmp_path: Path) -> None:
    filled(tmp_path, "10/part-1", "9/part-2", "9/deep/part-0", "9/other")

    one = of_pattern(str(tmp_path / "*" / "part-*"), USUAL)
    all_of_them = of_pattern(str(tmp_path / "**" / "part-*"), USUAL)

    assert [part.name for part in one.parts] == [
        str(tmp_path / "9/part-2"),
        str(tmp_path / "10/part-1"),
    ]
    assert names(all_of_them) == ["part-0", "part-2", "part-1"]


def test_a_file_comes_before_a_pattern(tmp_path: Path) -> None:
    filled(tmp_path, "a[1]*.txt", "a1.txt")

    assert not open_source(str(tmp_path / "a[1]*.txt")).parts
    assert names(of_pattern(str(tmp_path / "a[1]*.txt"), USUAL)) == ["a1.txt"]


def test_parts_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\n"))
    filled(tmp_path, "b")

    assert [part.head(9) for part in folder_of(tmp_path).parts] == [b"one\n", b"b\n"]


@pytest.mark.parametrize(
    "pattern", ["none-*", "no/such/*", "b?", "[z]", "a\0*", "x" * 300 + "*", "~*/b"]
)
def test_a_pattern_without_a_file(pattern: str, tmp_path: Path) -> None:
    filled(tmp_path, "a")

    with pytest.raises(UnknownSourceError, match="as a pattern of names it matches"):
        open_source(f"{tmp_path}/{pattern}")


def test_a_folder_in_a_folder(tmp_path: Path) -> None:
    filled(tmp_path, "a", "more/b")

    with pytest.raises(SourceError, match="'more' in it is a folder, too"):
        folder_of(tmp_path)
    with pytest.raises(SourceError, match=r"matches '.*more', .*more/\*'|go on to"):
        of_pattern(str(tmp_path / "*"), USUAL)


def test_a_folder_without_files(tmp_path: Path) -> None:
    filled(tmp_path, "_SUCCESS")

    with pytest.raises(UnknownSourceError, match="without a file of vectors"):
        folder_of(tmp_path)


def test_a_folder_is_known_by_all_its_parts(tmp_path: Path) -> None:
    filled(tmp_path, "a", "b")

    def known() -> tuple[object, ...]:
        identity = folder_of(tmp_path).identity
        assert identity is not None
        mark = identity.mark()
        assert mark is not None
        return identity.fingerprint, mark.state, identity.read()

    before = known()
    assert known() == before
    (tmp_path / "b").write_text("x\n")
    fingerprint, state, content = known()
    assert fingerprint != before[0]
    assert state != before[1]
    assert content != before[2]


def test_parts_in_another_order_are_another_source(tmp_path: Path) -> None:
    filled(tmp_path, "a", "b")
    before = folder_of(tmp_path).identity
    (tmp_path / "a").rename(tmp_path / "c")
    after = folder_of(tmp_path).identity

    assert before is not None
    assert after is not None
    assert after.fingerprint != before.fingerprint
    (tmp_path / "c").rename(tmp_path / "a")
    there = before.read()
    (tmp_path / "a").rename(tmp_path / "c")
    assert after.read() != there


def test_parts_have_no_bytes_as_a_whole(tmp_path: Path) -> None:
    filled(tmp_path, "a", "b")

    with pytest.raises(SourceError, match="2 files that are read as the parts"):
        folder_of(tmp_path).open()
