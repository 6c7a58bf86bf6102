"""Paths in a folder of the package's own: nothing is used through a link."""

from __future__ import annotations

import errno
import os
import pickle
import stat
import threading

import pytest

import pretrained_embed as pe
from pretrained_embed.errors import SourceError
from pretrained_embed.files import safe_path
from pretrained_embed.files.safe_path import SafePath
from tests.large import write_source


@pytest.fixture(params=["by descriptor", "by path"])
def root(request, tmp_path, monkeypatch):
    """An empty folder, used in both ways that there are."""
    if request.param == "by path":
        monkeypatch.setattr(safe_path, "_BY_DESCRIPTOR", False)
    elif not safe_path._BY_DESCRIPTOR:
        pytest.skip("this system opens no files by the descriptor of a folder")
    (tmp_path / "root").mkdir()
    return SafePath.at(tmp_path / "root", SourceError, "remove the link")


@pytest.fixture
def outside(tmp_path):
    """A folder that is nobody's business, and what is in it."""
    folder = tmp_path / "important"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_bytes(b"mine")
    (folder / "sub" / "file").write_bytes(b"mine")
    yield folder
    held = {path.relative_to(folder): path for path in folder.rglob("*")}
    assert {str(name) for name in held} == {"file", "sub", "sub/file"}
    assert (folder / "file").read_bytes() == b"mine"
    assert (folder / "sub" / "file").read_bytes() == b"mine"


def replaced(path):
    with path.open("w") as file:
        file.write(b"new")
    path.replace(path.beside(".new"))


def locked(path):
    with path.locked():
        pass


USES = {
    "status": SafePath.status,
    "checked": SafePath.checked,
    "read": SafePath.read,
    "write": lambda path: path.write(b"new"),
    "open to add": lambda path: path.open("a"),
    "open to write": lambda path: path.open("w"),
    "open to change": lambda path: path.open("r+"),
    "make": SafePath.make,
    "children": SafePath.children,
    "replace": replaced,
    "locked": locked,
}
#: These leave the link alone, or take the link itself.
OF_THE_LINK = {
    "remove": SafePath.remove,
    "remove_folder": SafePath.remove_folder,
    "discard_leftovers": SafePath.discard_leftovers,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_a_link_in_the_last_place_is_refused(root, outside, use, kind):
    target = {"file": "file", "folder": "", "nothing": "new"}[kind]
    (root.path / "link").symlink_to(f"../important/{target}")

    with pytest.raises(SourceError, match="remove the link") as raised:
        USES[use](root / "link")

    assert f"{root / 'link'} is a symbolic link to ../important" in str(raised.value)


@pytest.mark.parametrize("use", USES | OF_THE_LINK)
@pytest.mark.parametrize("name", ["file", "sub", "new"])
def test_nothing_is_reached_through_a_link_on_the_way(root, outside, use, name):
    (root.path / "a").mkdir()
    (root.path / "a" / "link").symlink_to("../../important")

    with pytest.raises(SourceError, match=r"root.a.link is a symbolic link"):
        (USES | OF_THE_LINK)[use](root / "a" / "link" / name)


@pytest.mark.parametrize("use", ["remove", "remove_folder"])
@pytest.mark.parametrize("target", ["file", "sub", "nothing"])
def test_of_a_link_the_link_is_removed(root, outside, use, target):
    (root.path / "link").symlink_to(outside / target)

    OF_THE_LINK[use](root / "link")

    assert list(root.path.iterdir()) == []


def test_a_folder_is_removed_and_nothing_that_it_links_to(root, outside):
    (root / "a" / "b").make()
    (root / "a" / "b" / "c").write(b"1")
    (root.path / "a" / "link").symlink_to(outside)

    (root / "a").remove_folder()
    (root / "a").remove_folder()  # nothing is there, and nothing is said

    assert list(root.path.iterdir()) == []


def test_leftovers_that_are_links_go_and_what_they_lead_to_stays(root, outside):
    for name, target in [("f" * 12, "file"), ("0" * 12, "sub"), ("1" * 12, "none")]:
        (root.path / f".name.{name}.part").symlink_to(outside / target)
    (root.path / f".other.{'2' * 12}.part").touch()

    (root / "name").discard_leftovers()

    assert [path.name for path in root.children()] == [f".other.{'2' * 12}.part"]


def test_the_folder_itself_may_be_a_link_and_is_what_it_was_when_named(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    link = tmp_path / "link"
    link.symlink_to("first")
    root = SafePath.at(link, SourceError, "")
    link.unlink()
    link.symlink_to("second")

    (root / "sub").make()
    (root / "sub" / "file").write(b"1")

    assert (tmp_path / "first" / "sub" / "file").read_bytes() == b"1"
    assert (root / "sub" / "file").path == link / "sub" / "file"


def test_a_file_is_written_read_listed_and_renamed(root):
    file = (root / "a" / "b").make() / "file"

    assert file.status() is None
    assert (root / "none").children() == []
    file.write(b"one")
    with file.open("a") as more:
        more.write(b" two")
    assert file.read() == b"one two"
    assert file.status().st_size == 7
    assert file.checked().read_bytes() == b"one two"
    assert [child.name for child in file.parent.children()] == ["file"]
    file.replace(file.beside(".new"))
    assert (root / "a" / "b" / "file.new").read() == b"one two"
    assert pickle.loads(pickle.dumps(file)) == file  # noqa: S301  (made here)


def test_what_fails_leaves_what_was_there(root):
    file = root / "file"
    file.write(b"old")

    def fail():
        with file.replacing() as new:
            new.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert [(path.name, path.read()) for path in root.children()] == [("file", b"old")]


def test_permissions_follow_the_umask(root):
    previous = os.umask(0o027)
    try:
        (root / "file").write(b"")
        (root / "folder").make()
    finally:
        os.umask(previous)

    assert stat.S_IMODE((root / "file").status().st_mode) == 0o640
    assert stat.S_IMODE((root / "folder").status().st_mode) == 0o750


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\0"])
def test_a_step_is_one_name_and_never_leads_up(tmp_path, name):
    with pytest.raises(ValueError, match="not the name of a file"):
        SafePath.at(tmp_path, SourceError, "") / name


def test_a_file_in_the_place_of_a_folder_is_the_systems_error(root):
    (root / "a").write(b"")

    with pytest.raises(FileExistsError):
        (root / "a").make()
    with pytest.raises(NotADirectoryError):
        (root / "a" / "b").write(b"")


def test_folders_above_are_made_only_where_that_is_asked_for(tmp_path):
    deep = SafePath.at(tmp_path / "a" / "b", SourceError, "")

    with pytest.raises(FileNotFoundError):
        (deep / "c").make()
    (deep / "c").make(parents=True)

    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_lock_keeps_other_threads_out(root):
    order = []

    def other():
        with (root / "lock").locked():
            order.append("other")

    with (root / "lock").locked():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)  # it gets as far as it can
        order.append("first")
    thread.join()

    assert order == ["first", "other"]
    assert (root / "lock").read() == b""


def test_a_disk_without_locks_is_named_with_the_remedy(tmp_path, monkeypatch):
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(safe_path, "_locks", lambda: (refused, refused))
    path = SafePath.at(tmp_path, SourceError, "remove the link") / "lock"

    with (
        pytest.raises(OSError, match=r"No locks .*network disk.*another disk"),
        path.locked(),
    ):
        pass
    with pytest.raises(SourceError, match="gives no locks"):
        pe.index(
            write_source(tmp_path / "v.txt", 20), library=pe.Library(tmp_path / "cache")
        )
