"""`Library`: a value that says where vectors come from."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import FrozenInstanceError, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed import budget
from pretrained_embed.library import Library

TEXT = "the 1 2\ncat 3 4\n"

SOME = [
    Library(),
    Library("vectors"),
    Library(Path("v") / "x", offline=True, catalog="mine.json"),
    Library(offline=False, stores=False, mmap=False, read_budget="4GB"),
]


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("library", SOME, ids=repr)
def test_it_is_a_value_whose_repr_is_code(library):
    assert eval(repr(library), {"Library": Library}) == library
    assert pickle.loads(pickle.dumps(library)) == library  # noqa: S301  (our own)
    assert hash(replace(library)) == hash(library)
    assert [other == library for other in SOME].count(True) == 1
    with pytest.raises(FrozenInstanceError):
        library.offline = True


def test_paths_and_sizes_are_compared_by_what_they_mean():
    assert Library(Path("a")) == Library("a") == Library(b"a")
    assert Library(read_budget="1kB") == Library(read_budget=1000)
    assert repr(Library("a", offline=True)) == "Library('a', offline=True)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache_dir": 3}, "cache_dir is 3, which is no path"),
        ({"cache_dir": ""}, "cache_dir is '', which is no path"),
        ({"catalog": ["a"]}, "catalog is .*, which is no path"),
        ({"offline": "yes"}, "offline is 'yes'; it is True or False or None"),
        ({"offline": 1}, "offline is 1; it is True or False or None"),
        ({"stores": None}, "stores is None; it is True or False"),
        ({"mmap": 0}, "mmap is 0; it is True or False"),
        (
            {"read_budget": "much"},
            "read_budget is 'much', which is not a number of bytes",
        ),
        ({"read_budget": 0}, "read_budget is 0, which is not a number of bytes"),
    ],
)
def test_what_is_wrong_in_it_is_told_at_once(options: dict[str, Any], message):
    with pytest.raises(pe.errors.OptionError, match=message):
        Library(**options)


def test_to_make_one_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PRETRAINED_EMBED_OFFLINE", "perhaps")
    monkeypatch.setenv("PRETRAINED_EMBED_READ_BUDGET", "some")
    monkeypatch.setenv("PRETRAINED_EMBED_CATALOG", str(tmp_path / "none.json"))

    library = Library(tmp_path / "none", catalog=tmp_path / "no.json")

    assert not (tmp_path / "none").exists()
    with pytest.raises(pe.errors.SourceError, match=r"no\.json"):
        library.list()
    with pytest.raises(
        pe.errors.OptionError, match="PRETRAINED_EMBED_OFFLINE is 'perhaps'"
    ):
        replace(library, catalog=None).fetch("https://host.example/v.txt")


FUNCTIONS = {
    "open_vectors": ("cache_dir", "offline", "catalog", "use_store", "mmap"),
    "index": ("cache_dir", "offline", "catalog"),
    "fetch": ("cache_dir", "offline", "catalog"),
    "build_matrix": ("cache_dir", "offline", "catalog", "use_store"),
    "coverage": ("cache_dir", "offline", "catalog", "use_store"),
    "convert": ("cache_dir", "offline", "catalog"),
    "examine": ("cache_dir", "offline", "catalog"),
    "similar": ("cache_dir", "offline", "catalog", "use_store"),
    "load_matrix": ("mmap",),
}
GIVEN = {
    "build_matrix": lambda path: (["the"], path),
    "coverage": lambda path: (["the"], path),
    "convert": lambda path: (path, path.with_suffix(".npz")),
    "similar": lambda path: (path, "the"),
    "fetch": lambda path: ("glove-6b-50d",),
}


@pytest.mark.parametrize(
    ("function", "former"),
    [(name, former) for name, all_ in FUNCTIONS.items() for former in all_],
)
def test_a_former_keyword_names_the_library(function, former, vectors):
    given = GIVEN.get(function, lambda path: (path,))(vectors)

    with pytest.raises(
        pe.errors.OptionError, match=rf"{former}= is library=pe\.Library\("
    ):
        getattr(pe, function)(*given, **{former: True})
    with pytest.raises(pe.errors.OptionError, match=f"{function} has no bogus="):
        getattr(pe, function)(*given, bogus=1)
    with pytest.raises(
        pe.errors.OptionError, match=r"library is 'cache'; give library=pe\.Lib"
    ):
        getattr(pe, function)(*given, library="cache")


def test_cache_offline_and_catalog_stand_in_one_signature():
    found = []
    for name in [*FUNCTIONS, *("align", "compare", "evaluate", "page", "transplant")]:
        parameters = inspect.signature(getattr(pe, name)).parameters
        assert "library" in parameters, name
        found += sorted({"cache_dir", "offline", "catalog"} & parameters.keys())
    assert found == []


def test_stores_are_of_the_library_that_is_asked(vectors, tmp_path):
    one, other = Library(tmp_path / "one"), Library(tmp_path / "other")

    path = one.index(vectors)

    assert path.is_relative_to(tmp_path / "one")
    assert [file.path for file in one.cache.entries()] == [path]
    assert other.cache.entries() == []
    for library, stored in ((one, True), (other, False)):
        opened = library.opened(vectors)
        assert ("store" in opened.provenance) == stored
        assert opened.library == library
    itself = replace(one, stores=False).opened(vectors)
    assert "store" not in itself.provenance


@pytest.mark.parametrize("suffix", [".npz", ".kv"])
def test_the_budget_for_reading_is_the_library_s(vectors, suffix, monkeypatch):
    path = vectors.with_suffix(suffix)
    if suffix == ".npz":
        tokens = np.array([f"w{n}" for n in range(500)])
        np.savez_compressed(path, vectors=np.ones((500, 2), "f4"), tokens=tokens)
    else:
        pe.convert(vectors, path)
    monkeypatch.setenv(budget.ENVIRONMENT, "10GB")

    with pytest.raises(
        pe.errors.FormatError, match=r"more memory than the 9 bytes that read"
    ):
        pe.load_matrix(path, library=Library(read_budget=9))
    monkeypatch.setenv(budget.ENVIRONMENT, "9")
    with pytest.raises(
        pe.errors.FormatError, match="than the 9 that PRETRAINED_EMBED_READ"
    ):
        pe.load_matrix(path)

    assert len(pe.load_matrix(path, library=Library(read_budget="1GB")).vectors)


def test_workers_read_as_the_library_says(tmp_path, monkeypatch):
    """A tar has a budget for its headers; what a worker knows of it is the library."""
    monkeypatch.setenv(budget.ENVIRONMENT, "10")
    path = tmp_path / "v.tar"
    (tmp_path / "v.txt").write_text(TEXT)
    with tarfile.open(path, "w") as archive:
        archive.add(tmp_path / "v.txt", "v.txt")
    library = Library(tmp_path / "cache", read_budget="1GB")
    words = ["the", "cat", "dog"]
    expected = pe.build_matrix(words, tmp_path / "v.txt").vectors

    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        built = pe.build_matrix(
            words,
            path,
            library=library,
            out=tmp_path / "m.npy",
            work=pe.Work(executor=pool),
        )

    assert built.vectors.tobytes() == expected.tobytes()
    with pytest.raises(pe.errors.FormatError, match="takes more memory"):
        pe.build_matrix(words, path)


def test_a_damaged_store_is_made_anew_when_it_is_indexed(vectors, tmp_path):
    library = Library(tmp_path / "cache")
    path = library.index(vectors)
    whole, status = path.read_bytes(), path.stat()
    at = whole.index(np.float32([1, 2, 3, 4]).tobytes())
    path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(pe.errors.FormatError, match=r"its row 0 is not.*index"):
        pe.build_matrix(["the"], vectors, library=library)

    assert library.index(vectors) == path

    assert path.read_bytes()[at:].startswith(np.float32([1, 2, 3, 4]).tobytes())
    matrix = pe.build_matrix(["the"], vectors, library=library)
    assert matrix.vectors[1].tolist() == [1, 2]


def test_the_catalog_is_listed_and_names_are_placed(tmp_path):
    library = Library(tmp_path / "cache", offline=True)

    (entry,) = [one for one in library.list(dim=50) if one.id == "glove-6b-50d"]
    ((url, path),) = library.by_hand("glove-6b-50d")

    assert entry == library.entry("glove-6b-50d")
    assert url in entry.urls
    assert path.is_relative_to(library.cache.folder)
    assert library.entry("no such name") is None
    assert {one.languages for one in library.list(language="de")} == {("de",)}


def test_a_source_that_is_a_file_loads_nothing_of_catalog_and_downloads(vectors):
    code = (
        "import sys, pretrained_embed as pe\n"
        f"pe.Library().open({str(vectors)!r})\n"
        "print(*(m for m in sys.modules if m.startswith('pretrained_embed.library')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )

    modules = {name.rpartition(".")[2] for name in shown.stdout.split()}
    assert modules.isdisjoint({"catalog", "packages", "published", "cache"})
