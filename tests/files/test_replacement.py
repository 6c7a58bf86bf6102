from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading

import pytest

from pretrained_embed.errors import SourceError, WriteError
from pretrained_embed.files.replacement import (
    new_folder,
    replacing,
    replacing_path,
    replacing_with_others,
)


def test_the_file_appears_at_the_end_and_not_before(tmp_path):
    target = tmp_path / "file"

    with replacing(target) as file:
        file.write(b"whole")
        assert not target.exists()

    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SourceError("gone")])
def test_a_failure_leaves_the_target_as_it_was(tmp_path, failure):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def write() -> None:
        with replacing(target) as file:
            file.write(b"new")
            raise failure

    with pytest.raises(type(failure)):
        write()

    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_follow_the_umask_or_the_file_replaced(tmp_path):
    old = tmp_path / "old"
    old.touch(mode=0o600)
    previous = os.umask(0o027)
    try:
        for name in ("old", "new"):
            with replacing(tmp_path / name) as file:
                file.write(b"new")
    finally:
        os.umask(previous)

    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_link_keeps_pointing_at_the_file_written(tmp_path):
    (tmp_path / "data").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "data" / "file")

    with replacing(link) as file:
        file.write(b"new")

    assert link.is_symlink()
    assert (tmp_path / "data" / "file").read_bytes() == b"new"


@pytest.mark.parametrize("place", ["", "no/such/folder/file", "/dev/null", "/"])
def test_a_place_that_takes_no_file_is_named(tmp_path, place):
    with (
        pytest.raises(WriteError, match=r"cannot write .*" + place),
        replacing(tmp_path / place),
    ):
        pass

    assert list(tmp_path.iterdir()) == []


def test_a_name_of_full_length_can_be_written(tmp_path):
    target = tmp_path / ("ü" * 127)

    with replacing(target) as file:
        file.write(b"x")

    assert target.read_bytes() == b"x"


def test_no_room_is_a_clear_error(tmp_path):
    assert threading.current_thread() is threading.main_thread()
    target = tmp_path / "file"
    target.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with (
            pytest.raises(WriteError, match="File too large"),
            replacing(target) as file,
        ):
            file.write(bytes(8192))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_library_can_write_by_name(tmp_path):
    target = tmp_path / "file"

    with replacing_path(target) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"whole")

    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_files_of_one_library_appear_together_at_the_end(tmp_path):
    target = tmp_path / "model"
    target.write_bytes(b"old")
    (tmp_path / "mine").write_bytes(b"mine")

    with replacing_with_others(target) as temporary:
        temporary.write_bytes(b"new")
        temporary.with_name("model.npy").write_bytes(b"array")
        assert target.read_bytes() == b"old"

    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert files == {"model": b"new", "model.npy": b"array", "mine": b"mine"}


def test_the_file_that_is_named_comes_last(tmp_path):
    target = tmp_path / "model"
    target.write_bytes(b"old")
    (tmp_path / "model.npy").mkdir()  # so that the other cannot take its place

    def write() -> None:
        with replacing_with_others(target) as temporary:
            temporary.write_bytes(b"new")
            temporary.with_name("model.npy").write_bytes(b"array")

    with pytest.raises(WriteError, match="cannot write"):
        write()

    assert target.read_bytes() == b"old"


def test_a_folder_appears_whole(tmp_path):
    with new_folder(tmp_path / "folder") as folder:
        (folder / "file").write_bytes(b"whole")
        assert not (tmp_path / "folder").exists()

    assert (tmp_path / "folder" / "file").read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


@pytest.mark.parametrize("manager", [replacing_with_others, new_folder])
@pytest.mark.parametrize("failure", [KeyboardInterrupt(), SourceError("gone")])
def test_a_failure_leaves_none_of_several_files(tmp_path, manager, failure):
    def write() -> None:
        with manager(tmp_path / "target") as path:
            (path / "file" if path.is_dir() else path).write_bytes(b"new")
            raise failure

    with pytest.raises(type(failure)):
        write()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("manager", [replacing_with_others, new_folder])
def test_a_folder_that_is_not_there_is_our_error(tmp_path, manager):
    with (
        pytest.raises(WriteError, match="make it first"),
        manager(tmp_path / "none" / "target"),
    ):
        pass


KILLED = """
import os, signal, sys
from pretrained_embed.files import replacement

with getattr(replacement, sys.argv[1])(sys.argv[2]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    "way", ["replacing", "replacing_path", "replacing_with_others", "new_folder"]
)
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path, way):
    target = tmp_path / "file"
    subprocess.run([sys.executable, "-c", KILLED, way, target], check=False)
    subprocess.run([sys.executable, "-c", KILLED, way, tmp_path / "other"], check=False)
    (left,) = [one for one in tmp_path.iterdir() if one.name.startswith(".file")]

    with replacing(target) as file:
        file.write(b"new")

    assert not left.exists()
    assert target.read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2  # of the other file's: its next writer's


def test_what_another_writer_is_still_writing_stays(tmp_path):
    target = tmp_path / "file"

    with replacing(target) as slow:
        slow.write(b"slow")
        with replacing(target) as quick:
            quick.write(b"quick")
        assert target.read_bytes() == b"quick"

    assert target.read_bytes() == b"slow"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_without_locks_is_written_to(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refused(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)

    with replacing(tmp_path / "file") as file:
        file.write(b"new")

    assert (tmp_path / "file").read_bytes() == b"new"
