"""Where the cache is, and what its commands do."""

import hashlib
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

import pretrained_embed as pe
from pretrained_embed.errors import SourceError
from pretrained_embed.library import cache_folder
from pretrained_embed.library.cache import Cache
from pretrained_embed.library.catalog import Checksum, Entry
from pretrained_embed.library.published import fetch_entry
from tests.servers import serving

TAG = Path(__file__).parents[2] / "cache" / "CACHEDIR.TAG"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a home folder of this test's own, with the variables of all systems."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", cache_folder.ENVIRONMENT):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work" / "cache").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(cache_folder, "_PACKAGE", tmp_path / "clone/pretrained_embed")
    (tmp_path / "clone" / "pretrained_embed").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def checkout(home, tmp_path):
    """Return the root of the checkout that the package is imported from."""
    root = tmp_path / "clone"
    (root / "cache").mkdir()
    (root / "pyproject.toml").touch()
    shutil.copy(TAG, root / "cache")
    return root


def test_an_argument_comes_before_the_environment_and_that_before_the_checkout(
    home, checkout, tmp_path, monkeypatch
):
    assert cache_folder.locate() == checkout / "cache"

    monkeypatch.setenv(cache_folder.ENVIRONMENT, str(tmp_path / "named"))
    assert cache_folder.locate() == tmp_path / "named"
    assert cache_folder.locate(tmp_path / "given") == tmp_path / "given"
    assert cache_folder.locate("~/given") == home / "given"
    assert cache_folder.locate("given") == Path.cwd() / "given"


@pytest.mark.parametrize("without", ["pyproject.toml", "cache/CACHEDIR.TAG"])
def test_beside_a_package_that_is_no_checkout_there_is_no_cache(
    home, checkout, without
):
    (checkout / without).unlink()

    assert home in cache_folder.locate().parents


def test_a_cache_in_the_working_folder_is_not_used_by_itself(home):
    shutil.copy(TAG, "cache")
    assert home in cache_folder.locate().parents
    assert list(cache_folder.remarks()) == []  # for nothing is in it

    Path("cache/stores/key").mkdir(parents=True)

    (remark,) = cache_folder.remarks()
    assert "is not used by itself" in remark
    assert "--cache-dir cache uses it" in remark
    assert list(cache_folder.remarks("cache")) == []


def test_the_cache_of_the_checkout_is_used_in_silence_from_its_own_folder(
    checkout, monkeypatch
):
    (checkout / "cache" / "stores" / "key").mkdir(parents=True)
    monkeypatch.chdir(checkout)

    assert list(cache_folder.remarks()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes say nothing here")
def test_the_folder_of_the_user_is_private(home):
    root = cache_folder.locate()
    cache_folder.prepare(root)
    cache_folder.prepare(Path.cwd() / "named")

    assert root.stat().st_mode & 0o777 == 0o700
    umask = os.umask(0)
    os.umask(umask)
    assert (Path.cwd() / "named").stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.fixture(params=["the user's", "the checkout's"])
def believed(request, home, tmp_path):
    """Return a cache that is used by itself, with what lies in it."""
    if request.param == "the checkout's":
        request.getfixturevalue("checkout")
    root = cache_folder.locate()
    for kind in ("stores", "downloads"):
        (root / kind).mkdir(parents=True)
    return root


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes say nothing here")
@pytest.mark.parametrize("part", ["", "stores", "downloads"])
def test_a_cache_that_everybody_may_write_to_is_refused_unless_named(
    believed, part, monkeypatch
):
    (believed / part).chmod(0o777)

    for look in (cache_folder.locate, Cache().entries, lambda: [*Cache().remarks()]):
        with pytest.raises(
            SourceError, match=r"everybody.*'chmod -R o-w .*--cache-dir"
        ):
            look()
    assert cache_folder.locate(believed) == believed
    monkeypatch.setenv(cache_folder.ENVIRONMENT, str(believed))
    assert cache_folder.locate() == believed


def test_where_modes_mean_nothing_they_are_not_judged(believed, monkeypatch):
    believed.chmod(0o777)
    monkeypatch.setattr(cache_folder, "_has_modes", lambda folder: False)
    assert cache_folder.locate() == believed

    monkeypatch.undo()
    monkeypatch.delattr(os, "geteuid", raising=False)  # as on Windows
    monkeypatch.setattr(cache_folder, "_of_user", lambda: believed)
    monkeypatch.setattr(cache_folder, "_of_checkout", lambda: None)
    monkeypatch.delenv(cache_folder.ENVIRONMENT, raising=False)
    assert cache_folder.locate() == believed


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes say nothing here")
def test_a_cache_that_its_group_may_write_to_is_a_remark(believed):
    (believed / "stores").chmod(0o775)

    assert cache_folder.locate() == believed
    (remark,) = cache_folder.remarks()
    assert "written to by its group" in remark


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_a_cache_of_another_user_is_refused_unless_named(believed, tmp_path):
    os.chown(believed / "stores", 12345, 12345)
    with pytest.raises(SourceError, match="belongs to another user"):
        cache_folder.locate()
    assert cache_folder.locate(believed) == believed

    os.chown(tmp_path / "clone" / "pretrained_embed", 12345, 12345)
    if believed.parent == tmp_path / "clone":  # whoever may change the code as well
        assert cache_folder.locate() == believed
    else:
        with pytest.raises(SourceError, match="belongs to another user"):
            cache_folder.locate()


def test_a_store_in_somebody_elses_clone_does_not_answer(home, tmp_path):
    """A cloned repository has a cache whose store is found by a name."""
    planted = Path("cache")
    shutil.copy(TAG, planted)
    vectors = tmp_path / "v.txt"
    vectors.write_text("the 666 666\n")
    data = vectors.read_bytes()
    with serving() as host:
        host.files["v.txt"] = data
        checksum = Checksum("sha256", "file", hashlib.sha256(data).hexdigest())
        catalog = tmp_path / "catalog.json"
        entry = {
            "id": "mine",
            "urls": [host.url + "v.txt"],
            "checksums": [asdict(checksum) | {"vouched": "me"}],
        }
        catalog.write_text(json.dumps({"schema": 1, "entries": [entry]}))
        pe.build_matrix(["the"], "mine", library=pe.Library(planted, catalog=catalog))

    with pytest.raises(SourceError, match="is not in the cache"):
        pe.build_matrix(
            ["the"], "mine", library=pe.Library(offline=True, catalog=catalog)
        )
    named = pe.build_matrix(
        ["the"], "mine", library=pe.Library(planted, offline=True, catalog=catalog)
    )
    assert named.vectors.max() == 666


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

    assert cache_folder.locate() == home / expected


def test_a_relative_folder_of_the_environment_is_ignored_as_the_standard_says(
    home, monkeypatch
):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert cache_folder.locate() == home / ".cache/pretrained-embed"


def test_a_new_cache_tags_itself(home, checkout):
    shutil.rmtree(checkout / "cache")
    for _ in range(2):
        cache_folder.prepare(checkout / "cache")

    assert cache_folder.locate() == checkout / "cache"


@pytest.fixture
def filled(tmp_path):
    """Return a cache with one file from a host, and an unfinished one."""
    root = tmp_path / "cache"
    data = b"a 1\n"
    checksum = Checksum("sha256", "file", hashlib.sha256(data).hexdigest())
    with serving() as host:
        host.files["v.txt"] = data
        url = host.url + "v.txt"
        wanted = Entry("mine", (url,), checksums=(checksum,))
        fetch_entry(wanted, root, offline=False)
    unfinished = root / "downloads" / "w.txt-12345678" / "w.txt.part"
    unfinished.parent.mkdir()
    unfinished.write_bytes(b"12")
    unfinished.with_name("w.txt.part.json").write_text("{}")
    return root


def test_the_listing_has_sizes_sources_and_who_vouches(filled):
    done, unfinished = Cache(filled).entries()

    assert (done.path.name, done.source, done.size) == ("v.txt", "mine", 4)
    assert done.sha256 == hashlib.sha256(b"a 1\n").hexdigest()
    assert done.published == f"sha256:{done.sha256}"
    assert (unfinished.path.name, unfinished.size) == ("w.txt.part", 2)
    assert unfinished.sha256 is None


def test_a_cache_that_is_not_there_is_empty(tmp_path):
    assert Cache(tmp_path / "nothing").entries() == []
    assert Cache(tmp_path / "nothing").clear() == 0
    assert not (tmp_path / "nothing").exists()


def test_verify_hashes_again(filled):
    (one,) = Cache(filled).verify()
    assert one[1]

    status = one[0].path.stat()
    one[0].path.write_bytes(b"a 2\n")
    os.utime(one[0].path, ns=(status.st_atime_ns, status.st_mtime_ns))
    seen = []
    ((cached, right),) = Cache(filled).verify(progress=lambda *at: seen.append(at))

    assert not right
    assert cached.source == "mine"
    assert seen == [(4, 4)]


def test_remove_deletes_one_and_clear_all(filled):
    _, unfinished = Cache(filled).entries()

    gone, freed = Cache(filled).remove("mine")
    assert gone == ["mine"]
    assert freed > 4
    assert Cache(filled).entries() == [unfinished]

    assert Cache(filled).clear() == 4
    assert Cache(filled).entries() == []
    assert (filled / "CACHEDIR.TAG").exists()


def test_clear_removes_only_names_that_the_cache_gives(filled):
    folders = [one.path.parent for one in Cache(filled).entries()]
    store = filled / "stores" / ("0123456789abcdef" * 2)
    kept = [filled / "mine.txt", filled / "downloads" / "mine.txt"]
    kept += [filled / kind / "mine" / "v.txt" for kind in ("downloads", "stores")]
    kept += [folder / "mine.txt" for folder in (*folders, store)]
    gone = [
        store / name
        for name in ("store.h5", "store.h5.json", ".store.h5.0123456789ab.part")
    ]
    gone += [
        store / f"{store.name}.origin",
        filled / "downloads" / "w.txt-12345678" / "v.txt",
    ]
    for path in (*kept, *gone, gone[-1].with_name("v.txt.json")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("keep")
    gone[-1].with_name("v.txt.json").write_text(
        json.dumps(
            {"source": "v", "sha256": "", "size": 4, "mtime_ns": 0, "published": None}
        )
    )

    Cache(filled).clear()

    left = {path for path in filled.rglob("*") if path.is_file()}
    assert {path.name for path in left - {*kept}} <= {"CACHEDIR.TAG", ".lock"}
    assert left >= {*kept}


def test_a_file_that_cannot_be_deleted_is_our_error(filled):
    path = Cache(filled).entries()[1].path
    path.unlink()
    path.mkdir()

    with pytest.raises(SourceError, match="cannot be removed"):
        Cache(filled).remove("w.txt-12345678")
