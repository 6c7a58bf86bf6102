"""A link in a folder of ours is refused, wherever it was put; none is followed."""

from __future__ import annotations

import pytest

import pretrained_embed as pe
from pretrained_embed.library.cache import Cache
from tests import servers
from tests.large import make_parts_small, tokens, write_source
from tests.sources.packed import DATA


@pytest.fixture
def important(tmp_path):
    """A folder with things that are nobody's business; they have to stay."""
    folder = tmp_path / "important"
    (folder / "sub").mkdir(parents=True)
    names = ["store.h5", "store.h5.json", "v.txt", "sub/file", "sub/split-000000.json"]
    for name in names:
        (folder / name).write_bytes(b"mine")
    yield folder
    held = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert held == set(names)
    assert {(folder / name).read_bytes() for name in names} == {b"mine"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A cache that came with somebody else's files."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("PRETRAINED_EMBED_CACHE", str(folder))
    return folder


@pytest.mark.parametrize("kind", ["stores", "downloads"])
@pytest.mark.parametrize("deep", [False, True], ids=["the folder", "one in it"])
def test_clearing_a_cache_removes_nothing_behind_a_link(root, important, kind, deep):
    link = root / kind / "key" if deep else root / kind  # the cache gives no "key"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(important)

    Cache().clear()

    assert link.is_symlink() == deep


@pytest.mark.parametrize("name", ["store.h5", ".lock", "mine"])
def test_of_a_link_in_an_entry_the_link_is_removed(root, important, name):
    link = root / "stores" / ("0a" * 16) / name
    link.parent.mkdir(parents=True)
    link.symlink_to(important / "store.h5")

    Cache().clear()

    assert link.is_symlink() == (name == "mine")


def test_what_is_planted_where_a_download_goes_is_not_written_to(
    root, important, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.TLS / "good.pem"))
    with servers.serving("good.pem") as host:
        host.files["v.txt"] = DATA
        path = pe.fetch(host.url + "v.txt")
        for name in ("v.txt", "v.txt.json", "v.txt.part", "v.txt.part.json", ".lock"):
            Cache().clear()
            for left in path.parent.iterdir():
                left.unlink()
            (path.parent / name).symlink_to(important / "v.txt")
            with pytest.raises(pe.errors.SourceError, match="is a symbolic link to"):
                pe.fetch(host.url + "v.txt")


def test_a_store_is_neither_made_nor_found_behind_a_link(root, important, tmp_path):
    source = write_source(tmp_path / "v.txt", 50)
    made = pe.index(source)
    for path in made.parent.iterdir():
        path.unlink()
    made.symlink_to(important / "store.h5")

    with pytest.raises(pe.errors.SourceError, match="is a symbolic link to"):
        pe.index(source)


@pytest.mark.parametrize("name", ["m.npy.work", "m.npy.work/s0-0-key"])
def test_rows_do_not_wait_behind_a_link(important, tmp_path, monkeypatch, name):
    make_parts_small(monkeypatch)
    source = write_source(tmp_path / "v.txt", 500)
    (tmp_path / "m.npy.work").mkdir()
    link = tmp_path / name
    if link.parent == tmp_path:
        link.rmdir()
    link.symlink_to(important)

    if link.parent == tmp_path:
        with pytest.raises(
            pe.errors.WriteError, match=r"m\.npy\.work is a symbolic link"
        ):
            pe.build_matrix(tokens()[:200], source, out=tmp_path / "m.npy")
    else:  # a name that this build does not use: it goes with the folder
        pe.build_matrix(tokens()[:200], source, out=tmp_path / "m.npy")
        assert not link.is_symlink()


def test_shards_are_not_written_behind_a_link(important, tmp_path):
    source = write_source(tmp_path / "v.txt", 50)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model-00001-of-00002.safetensors").symlink_to(important / "v.txt")

    with pytest.raises(pe.errors.WriteError, match="is a symbolic link to"):
        pe.build_matrix(["w1", "w2"], source, out=pe.Shards(folder, 2))


def test_the_folder_itself_and_the_output_may_be_links(tmp_path, monkeypatch):
    source = write_source(tmp_path / "v.txt", 50)
    for name in ("disk", "shards"):
        (tmp_path / "disk" / name).mkdir(parents=True)
    (tmp_path / "cache").symlink_to("disk")
    (tmp_path / "model").symlink_to("disk/shards")
    (tmp_path / "m.npz").symlink_to("disk/m.npz")

    pe.index(source, library=pe.Library(tmp_path / "cache"))
    pe.build_matrix(["w1", "w2"], source, out=pe.Shards(tmp_path / "model", 2))
    pe.build_matrix(["w1", "w2"], source).save(tmp_path / "m.npz")

    assert list((tmp_path / "disk" / "stores").glob("*/store.h5"))
    assert list((tmp_path / "disk" / "shards").glob("*.safetensors"))
    assert (tmp_path / "m.npz").is_symlink()
    assert (tmp_path / "disk" / "m.npz").is_file()
