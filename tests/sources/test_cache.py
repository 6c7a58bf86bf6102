"""Where the cache is, and what its commands do."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from pretrained_embed.errors import SourceError
from pretrained_embed.sources import cache
from pretrained_embed.sources.entry import Checksum, Download, Entry
from pretrained_embed.sources.fetching import fetch_entry
from tests.servers import serving

TAG = Path(__file__).parents[2] / "cache" / "CACHEDIR.TAG"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a home folder of this test's own, with the variables of all systems."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", cache.ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work" / "cache").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def test_an_argument_comes_before_the_environment_and_that_before_the_checkout(
    home, tmp_path, monkeypatch
):
    shutil.copy(TAG, "cache")
    assert cache.locate() == Path.cwd() / "cache"

    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / "named"))
    assert cache.locate() == tmp_path / "named"
    assert cache.locate(tmp_path / "given") == tmp_path / "given"
    assert cache.locate("~/given") == home / "given"
    assert cache.locate("given") == Path.cwd() / "given"


@pytest.mark.parametrize("tag", [None, "Signature: 8a477f597d28d172789f06886806bc55\n"])
def test_a_folder_called_cache_that_is_not_ours_is_left_alone(tag, home):
    if tag is not None:
        Path("cache/CACHEDIR.TAG").write_text(tag)

    assert home in cache.locate().parents


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, ".cache/pretrained-embed"),
        ("linux", "XDG_CACHE_HOME", "elsewhere/pretrained-embed"),
        ("darwin", None, "Library/Caches/pretrained-embed"),
        ("win32", None, "AppData/Local/pretrained-embed/Cache"),
        ("win32", "LOCALAPPDATA", "elsewhere/pretrained-embed/Cache"),
    ],
)
def test_each_system_has_a_folder_for_caches(
    platform, variable, expected, home, monkeypatch
):
    monkeypatch.setattr(sys, "platform", platform)
    if variable is not None:
        monkeypatch.setenv(variable, str(home / "elsewhere"))

    assert cache.locate() == home / expected


def test_a_relative_folder_of_the_environment_is_ignored_as_the_standard_says(
    home, monkeypatch
):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert cache.locate() == home / ".cache/pretrained-embed"


def test_a_new_cache_tags_itself_and_is_then_ours(home):
    cache.prepare(Path.cwd() / "cache")
    cache.prepare(Path.cwd() / "cache")

    assert cache.locate() == Path.cwd() / "cache"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("https://host.example/a/glove.6B.zip", "glove.6B.zip"),
        ("https://host.example/v.gz?dl=1", "v.gz"),
        ("https://host.example/a%2Fb/W%2BC.gz", "W+C.gz"),
        ("https://host.example/", "download"),
        ("in/v.txt", "in%2Fv.txt"),
        ("..", "_"),
        ("../../v", "%2F..%2Fv"),
        ("C:\\v", "C%3A%5Cv"),
        ("x" * 300, "x" * 150),
    ],
)
def test_file_names_are_safe_on_every_system(name, expected):
    assert cache.file_name(name) == expected


def test_one_file_has_one_folder_wherever_it_is_published():
    root = Path("root")
    digest = (Checksum("md5", "file", "0" * 32),)
    here = Download(("https://a.example/v.gz",), digest)
    there = Download(("https://b.example/v.gz",), digest)
    other = Download(("https://a.example/v.gz",))

    assert cache.folder(root, here) == cache.folder(root, there)
    assert cache.folder(root, here) != cache.folder(root, other)
    assert cache.folder(root, here).name.startswith("v.gz-")


@pytest.fixture
def filled(tmp_path):
    """Return a cache with one file from a host, and an unfinished one."""
    root = tmp_path / "cache"
    data = b"a 1\n"
    checksum = Checksum("sha256", "file", hashlib.sha256(data).hexdigest())
    with serving() as host:
        host.files["v.txt"] = data
        url = host.url + "v.txt"
        fetch_entry(Entry("mine", (url,), checksums=(checksum,)), cache_dir=root)
    unfinished = root / "downloads" / "w.txt-12345678" / "w.txt.part"
    unfinished.parent.mkdir()
    unfinished.write_bytes(b"12")
    unfinished.with_name("w.txt.part.json").write_text("{}")
    return root


def test_the_listing_has_sizes_sources_and_who_vouches(filled):
    done, unfinished = cache.listing(filled)

    assert (done.path.name, done.source, done.size) == ("v.txt", "mine", 4)
    assert done.sha256 == hashlib.sha256(b"a 1\n").hexdigest()
    assert done.published == f"sha256:{done.sha256}"
    assert (unfinished.path.name, unfinished.size) == ("w.txt.part", 2)
    assert unfinished.sha256 is None


def test_a_cache_that_is_not_there_is_empty(tmp_path):
    assert cache.listing(tmp_path / "nothing") == []
    assert cache.clear(tmp_path / "nothing") == 0
    assert not (tmp_path / "nothing").exists()


def test_verify_hashes_again(filled):
    (one,) = cache.verify(filled)
    assert one[1]

    status = one[0].path.stat()
    one[0].path.write_bytes(b"a 2\n")
    os.utime(one[0].path, ns=(status.st_atime_ns, status.st_mtime_ns))
    seen = []
    ((cached, right),) = cache.verify(filled, progress=lambda *at: seen.append(at))

    assert not right
    assert cached.source == "mine"
    assert seen == [(4, 4)]


def test_remove_deletes_one_and_clear_all(filled):
    done, unfinished = cache.listing(filled)

    freed = cache.remove(done.path.parent)
    assert freed > 4
    assert cache.listing(filled) == [unfinished]

    assert cache.clear(filled) == 4
    assert cache.listing(filled) == []
    assert (filled / "CACHEDIR.TAG").exists()


def test_clear_touches_nothing_but_downloads(filled):
    (filled / "mine.txt").write_text("keep")

    cache.clear(filled)

    assert (filled / "mine.txt").read_text() == "keep"


def test_a_file_that_cannot_be_deleted_is_our_error(filled):
    folder = cache.listing(filled)[0].path.parent
    (folder / "folder").mkdir()

    with pytest.raises(SourceError, match="cannot be removed"):
        cache.remove(folder)
