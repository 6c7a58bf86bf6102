"""Every file that the package writes is on the disk before it has its name.

And nothing beside `pretrained_embed.files` gives files their names, so that none is
forgotten here.
"""

from __future__ import annotations

import ast
import os
import re
import stat
from pathlib import Path

import pytest
from grouped import grouped

import pretrained_embed as pe
from tests import servers
from tests.large import make_parts_small, tokens, write_source
from tests.sources.packed import DATA, tarred, zipped

PACKAGE = Path(pe.__file__).parent


class Disk:
    """What was flushed to the disk, and what got its name without."""

    def __init__(self) -> None:
        self.synced: set[tuple[int, int]] = set()
        self.named = 0
        self.missed: list[str] = []

    def check(self, path: Path, status: os.stat_result) -> None:
        if (status.st_dev, status.st_ino) not in self.synced:
            self.missed.append(str(path))


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    fsync = os.fsync

    def spy(descriptor):
        status = os.fstat(descriptor)
        disk.synced.add((status.st_dev, status.st_ino))
        fsync(descriptor)

    def watched(move):
        def call(source, target, *, src_dir_fd=None, dst_dir_fd=None):
            status = os.stat(source, dir_fd=src_dir_fd, follow_symlinks=False)
            disk.named += 1
            if stat.S_ISDIR(status.st_mode):
                for path in Path(source).rglob("*"):
                    disk.check(path, path.lstat())
            else:
                disk.check(source, status)
            move(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            if src_dir_fd is None:
                disk.check(target, Path(target).stat())

        return call

    monkeypatch.setattr(os, "fsync", spy)
    monkeypatch.setattr(os, "replace", watched(os.replace))
    monkeypatch.setattr(os, "rename", watched(os.rename))
    return disk


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_source(tmp_path_factory.mktemp("source") / "vectors.txt", 1500)


@pytest.fixture(scope="module")
def matrix(source):
    return pe.build_matrix(["w1", "w2", "w3", "w99999"], source)


def wrote(disk, folder, *names):
    """Check that these are there, and that all that is there was flushed."""
    assert disk.named
    assert disk.missed == []
    held = [path for path in folder.rglob("*") if path.is_file()]
    for path in held:
        if path.name not in (".lock", "lock"):
            disk.check(path, path.stat())
    assert disk.missed == []
    for name in names:
        assert (folder / name).exists()


@pytest.mark.parametrize("suffix", pe.formats.WRITABLE_SUFFIXES)
def test_of_a_matrix_that_is_saved(disk, matrix, tmp_path, suffix):
    matrix.save(tmp_path / f"m{suffix}")

    wrote(disk, tmp_path, f"m{suffix}")


@pytest.mark.parametrize("format", ["sentence-transformers", "projector", "sharded"])
def test_of_a_matrix_that_is_saved_in_a_folder(disk, matrix, tmp_path, format):
    shards = 2 if format == "sharded" else None
    matrix.save(tmp_path / "m", format=format, shards=shards)

    wrote(disk, tmp_path, "m")


@pytest.mark.parametrize("suffix", pe.formats.WRITABLE_SUFFIXES)
def test_of_vectors_that_are_converted(disk, source, tmp_path, suffix):
    pe.convert(source, tmp_path / f"v{suffix}")

    wrote(disk, tmp_path, f"v{suffix}")


@pytest.mark.parametrize("name", ["m.npy", "m.h5", "m.safetensors", "shards"])
def test_of_a_build_and_what_waits_for_it(disk, source, tmp_path, monkeypatch, name):
    make_parts_small(monkeypatch)
    shards = 2 if name == "shards" else None

    pe.build_matrix(
        tokens()[:900], source, **grouped(out=tmp_path / name, files=shards)
    )

    # nobody waits for the disk here: a checksum tells what is whole, or made again
    waiting = [
        path
        for path in disk.missed
        if re.match(r"\.?(wanted$|wanted\.|split-\d|range-\d)", path)
    ]
    assert len(waiting) > 10
    disk.missed = [path for path in disk.missed if path not in waiting]
    wrote(disk, tmp_path, name)


@pytest.mark.parametrize("suffix", [*pe.Coverage.REPORT_SUFFIXES, ".html", ".svg"])
def test_of_a_report_a_page_and_a_picture(disk, matrix, tmp_path, suffix):
    path = tmp_path / f"r{suffix}"
    if suffix == ".html":
        pe.page(matrix, path)
    elif suffix == ".svg":
        pe.save_picture(matrix.plot(), path)
    else:
        matrix.save_report(path)

    wrote(disk, tmp_path, path.name)


def test_of_a_store(disk, source, tmp_path):
    pe.index(source, library=pe.Library(tmp_path))

    wrote(disk, tmp_path, "CACHEDIR.TAG")


@pytest.mark.parametrize("name", ["v.txt", "a.zip#v.txt", "a.tar.gz#v.txt"])
def test_of_a_download_and_of_a_member(disk, tmp_path, monkeypatch, name):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.TLS / "good.pem"))
    members = {"v.txt": DATA}
    with servers.serving("good.pem") as host:
        host.files["v.txt"] = DATA
        host.files["a.zip"] = zipped(tmp_path / "a.zip", members).read_bytes()
        host.files["a.tar.gz"] = tarred(tmp_path / "a.tar", members, "gz").read_bytes()
        pe.fetch(host.url + name, library=pe.Library(tmp_path / "cache"))

    wrote(disk, tmp_path / "cache", "CACHEDIR.TAG")


def test_of_a_model(disk, tmp_path):
    from tests.tools.transplant.models import OLD, table, write_model

    model = write_model(tmp_path / "model", {"embed.weight": table()})
    (model / "more").mkdir()
    (model / "more" / "file").write_bytes(b"1")
    ids = {token: number for number, token in enumerate(OLD)}
    made = pe.transplant(model, ids, ids, tensor="embed.weight", init="mean")

    made.save(tmp_path / "out")

    assert disk.named
    assert disk.missed == []


#: What gives a file its name, makes one, or removes one, and who may call it
#: beside `files`: only for files that have another name until they are whole.
MAKES = {"rename", "replace", "unlink", "rmdir", "rmtree", "write_text", "write_bytes"}


def calls(tree):
    """Yield the calls of methods that name, make or remove files."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, count = node.func.attr, len(node.args) + len(node.keywords)
        if name == "replace" and (count != 1 or node.keywords):
            continue  # of a string, or of fields
        if name in MAKES:
            yield name


def test_nothing_else_gives_files_their_names():
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "files"
        for name in calls(ast.parse(path.read_text("utf-8")))
    }

    assert found == {
        "build/scan.py: replace",  # of `SafePath`, into the folder of its job
        "formats/hdf5/sink.py: write_bytes",  # a file by its temporary name
        "formats/hugging_face/sink.py: write_bytes",  # in a folder by such a name
        "formats/projector.py: write_text",  # likewise
        "library/cache_folder.py: unlink",  # what was made to see its modes
        "library/cache_folder.py: replace",  # of `SafePath`, once all is on the disk
        "sources/download.py: replace",  # likewise
        "tools/transplant/tokenizer.py: write_bytes",  # in a folder by such a name
        "sources/stream.py: unlink",  # the copy of a stream, in the system's folder
    }
