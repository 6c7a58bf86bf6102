"""A cache that release 0.1 filled gives what is in it, offline, and what was half got.

An archive changes what a user's own cache folder keeps: the times of files, which
records hold, and the inodes and paths, by which the store of a local file is found. A
copy for a test has the recorded times again (``times="kept"``); what is known of the
local file is written anew for where its copy lies, as release 0.1 would have.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe
from tests import servers
from tests.command_line import run
from tests.rights import read_only

FOLDER = Path(__file__).parents[1] / "data" / "release_0_1" / "cache"

with np.load(FOLDER / "expected.npz") as _arrays:
    EXPECTED = {name: _arrays[name] for name in _arrays.files}
URL = str(EXPECTED["url"])
READABLE = [
    "published",
    "unpublished",
    "url",
    "in-zip",
    "in-zip-checked",
    "whole-zip",
    "odd-hash",
    "odd-dot",
    "odd-long",
    "two-files",
    "only-store",
    "only-store-16",
]
#: Those that lie in the cache as they were downloaded or unpacked.
FILES = [name for name in READABLE if not name.startswith("only-store")]
#: How a name is asked for, where that is not by itself.
ASKED = {"url": URL}
CHECKED = {"published", "in-zip-checked", "two-files"}


class Copy(NamedTuple):
    """A copy of the cache that a test may change."""

    root: Path

    @property
    def options(self) -> dict[str, Any]:
        catalog = FOLDER / "catalog.json"
        return {"library": pe.Library(self.root, catalog=catalog, offline=True)}

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Return the bytes of every file, and when they were written."""
        return {
            str(path.relative_to(self.root)): (
                path.read_bytes(),
                path.stat().st_mtime_ns,
            )
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def forget_times(self) -> None:
        """Give every file another time, as a copy without times has."""
        for path in self.root.rglob("*"):
            os.utime(path, ns=(10**18, 10**18))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    for name in [name for name in os.environ if name.startswith("PRETRAINED_EMBED_")]:
        monkeypatch.delenv(name)
    root = tmp_path / "cache"
    shutil.unpack_archive(FOLDER / "cache.zip", tmp_path)
    for record in root.rglob("*.json"):
        known = json.loads(record.read_bytes())
        if "mtime_ns" in known:
            file = record.with_name(record.name.removesuffix(".json"))
            os.utime(file, ns=(known["mtime_ns"],) * 2)
    return Copy(root)


def tokens_of(name: str) -> list[str]:
    return [token.decode() for token in EXPECTED[f"{name}.tokens"].tolist()]


def build(name: str, source: Any, **options: Any) -> pe.EmbeddingMatrix:
    words = [*tokens_of(name), "not there"]
    vocabulary = pe.Vocabulary(words, pad=None)
    return pe.build_matrix(vocabulary, source, **grouped(oov="zeros", **options))


def assert_held(matrix: pe.EmbeddingMatrix, name: str) -> None:
    """The matrix has the rows that were drawn for this source, and no others."""
    vectors = EXPECTED[f"{name}.vectors"]
    assert matrix.vectors[:-1].tobytes() == vectors.tobytes()
    assert not matrix.vectors[-1].any()
    assert matrix.source_rows.tolist() == [*EXPECTED[f"{name}.rows"].tolist(), -1]
    found = [pe.ledger.Origin.EXACT] * len(vectors)
    assert matrix.origin.tolist() == [*found, pe.ledger.Origin.OOV]


@pytest.mark.parametrize("times", ["kept", "lost"])
@pytest.mark.parametrize("name", READABLE)
def test_what_was_cached_is_used(cache: Copy, name: str, times: str) -> None:
    if times == "lost":
        cache.forget_times()
    source = ASKED.get(name, name)

    first = build(name, source, **cache.options)
    again = build(name, source, **cache.options)  # by now it may have a store

    for matrix in (first, again):
        assert_held(matrix, name)
        (facts,) = matrix.source_facts
        assert facts["source"] == source
        by = {digest["by"] for digest in facts["digests"]}
        assert ("published" in by) == (name in CHECKED | {"only-store"})
        assert matrix.findings.bad_rows == 0


@pytest.mark.parametrize("times", ["kept", "lost"])
def test_a_cache_that_may_only_be_read_is_used_and_left_as_it_is(
    cache: Copy, times: str
) -> None:
    if times == "lost":
        cache.forget_times()
    before = cache.files()

    with read_only(cache.root):
        with pytest.raises(PermissionError):
            (cache.root / "new").touch()
        for name in READABLE:
            assert_held(build(name, ASKED.get(name, name), **cache.options), name)

    assert cache.files() == before


@pytest.mark.parametrize("name", FILES)
def test_fetching_gives_the_file_that_is_there(cache: Copy, name: str) -> None:
    path = pe.fetch(ASKED.get(name, name), **cache.options)

    assert cache.root in path.parents
    if name != "two-files":
        assert_held(build(name, path, library=pe.Library(stores=False)), name)


@pytest.mark.parametrize("name", ["published", "unpublished", "in-zip", "odd-dot"])
def test_a_file_that_has_changed_is_not_what_was_vouched_for(
    cache: Copy, name: str
) -> None:
    path = pe.fetch(name, **cache.options)
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)

    with pytest.raises(pe.errors.SourceError):
        build(name, name, **cache.options)


def stores(cache: Copy) -> set[str]:
    """Return the digests of the stores, each the only file so large."""
    return {
        hashlib.sha256(data).hexdigest()
        for data, _ in cache.files().values()
        if len(data) > 50_000
    }


@pytest.mark.parametrize("name", ["only-store", "only-store-16"])
def test_a_store_is_found_by_its_source_and_not_made_anew(
    cache: Copy, name: str
) -> None:
    before = stores(cache)
    dtype = "float16" if name.endswith("-16") else "float32"

    path = pe.index(name, dtype=dtype, **cache.options)
    matrix = build(name, name, **cache.options)

    assert stores(cache) == before
    assert hashlib.sha256(path.read_bytes()).hexdigest() in before
    (facts,) = matrix.source_facts
    assert facts["store"]["dtype"] == dtype
    assert_held(build(name, path), name)  # a store is a table as well


def write_origin(cache: Copy, local: Path) -> None:
    """Say of the local file's store that it is of the file ``local``."""
    (origin,) = [
        path
        for path in cache.root.rglob("*.origin")
        if "indexed.txt" in path.read_text()
    ]
    known = json.loads(origin.read_bytes())
    status = local.stat()
    known["source"] = str(local)
    known["state"][1:] = [
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
    ]
    origin.unlink()
    mark = blake2b(json.dumps([str(local.resolve()), None]).encode(), digest_size=16)
    target = origin.with_name(f"{mark.hexdigest()}.origin")
    target.write_text(json.dumps(known, indent=1))


@pytest.mark.parametrize("remembered", [True, False])
def test_the_store_of_a_local_file_is_used(
    cache: Copy, tmp_path: Path, remembered: bool
) -> None:
    local = tmp_path / "indexed.txt"
    shutil.copy2(FOLDER / "indexed.txt", local)
    if remembered:
        write_origin(cache, local)
    else:  # known by its content alone, once that has been read
        pe.index(local, library=pe.Library(cache.root))
    before = stores(cache)

    matrix = build("indexed", local, library=pe.Library(cache.root))

    assert_held(matrix, "indexed")
    assert "store" in matrix.source_facts[0]
    assert stores(cache) == before
    assert len(before) == 3


def test_a_changed_local_file_is_not_answered_by_its_store(
    cache: Copy, tmp_path: Path
) -> None:
    local = tmp_path / "indexed.txt"
    shutil.copy2(FOLDER / "indexed.txt", local)
    write_origin(cache, local)
    local.write_bytes(local.read_bytes().replace(b"w3 ", b"v3 "))

    matrix = build("indexed", local, library=pe.Library(cache.root))

    row = tokens_of("indexed").index("w3")
    assert matrix.origin[row] == pe.ledger.Origin.OOV


def test_the_command_line_lists_checks_and_clears_all_of_it(cache: Copy) -> None:
    listed = run("cache", "list", "--json", "--cache-dir", cache.root)
    verified = run("cache", "verify", "--json", "--cache-dir", cache.root)
    cleared = run("cache", "clear", "--cache-dir", cache.root)

    sources = {file["source"] for file in json.loads(listed.stdout)}
    assert {ASKED.get(name, name) for name in READABLE} <= sources
    assert sum("half" in source for source in sources) == 2
    assert verified.exit_code == 0
    assert all(file["ok"] for file in json.loads(verified.stdout))
    assert len(json.loads(verified.stdout)) == len(FILES) + 3 + 2  # zip, tokens
    assert cleared.exit_code == 0
    left = {Path(name).name for name, (data, _) in cache.files().items() if data}
    assert left <= {"CACHEDIR.TAG"}


def test_what_the_command_line_removes_is_gone_and_the_rest_is_there(
    cache: Copy,
) -> None:
    removed = run("cache", "remove", "published", "--cache-dir", cache.root)

    assert removed.exit_code == 0
    with pytest.raises(pe.errors.SourceError):
        build("published", "published", **cache.options)
    assert_held(build("odd-long", "odd-long", **cache.options), "odd-long")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[servers.Host]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servers.TLS / "good.pem"))
    with servers.serving("good.pem") as host:
        yield host


def catalog_at(host: servers.Host, folder: Path) -> Path:
    """Write the catalog anew for a host that has moved to another port."""
    text = (FOLDER / "catalog.json").read_text(encoding="utf-8")
    path = folder / "catalog.json"
    path.write_text(text.replace(URL.removesuffix("url.txt"), host.url), "utf-8")
    return path


def text_of(name: str) -> bytes:
    """Return the file of a source as it was published."""
    lines = [
        " ".join([token, *map(str, vector)])
        for token, vector in zip(
            tokens_of(name), EXPECTED[f"{name}.vectors"].tolist(), strict=True
        )
    ]
    lines.insert(7, " ".join(["the", *["9.5"] * 6]))
    return "".join(f"{line}\n" for line in lines).encode()


def move_to(host: servers.Host, cache: Copy) -> None:
    """Say of what has no checksum that it is of ``host``: that is in a folder's name.

    And in the record, for without a checksum bytes go on only from where they came.
    """
    (note,) = cache.root.rglob("half-unknown.txt.part.json")
    known = json.loads(note.read_bytes())
    known["url"] = f"{host.url}half-unknown.txt"
    note.write_text(json.dumps(known))
    mark = blake2b(known["url"].encode(), digest_size=4).hexdigest()
    note.parent.rename(note.parent.with_name(f"half-unknown.txt-{mark}"))


@pytest.mark.parametrize("name", ["half", "half-unknown"])
def test_a_download_goes_on_from_the_half_that_is_there(
    cache: Copy, name: str, host: servers.Host, tmp_path: Path
) -> None:
    data = text_of(name)
    host.files[f"{name}.txt"] = data
    if name == "half-unknown":
        move_to(host, cache)
    catalog = catalog_at(host, tmp_path)

    path = pe.fetch(name, library=pe.Library(cache.root, catalog=catalog))

    assert path.read_bytes() == data
    assert host.asked == [(f"{name}.txt", f"bytes={len(data) // 2}-")]
    assert not list(path.parent.glob("*.part*"))
    matrix = build(
        name, name, library=pe.Library(cache.root, catalog=catalog, offline=True)
    )
    assert_held(matrix, name)


@pytest.mark.parametrize("name", ["half", "half-unknown"])
def test_half_a_download_is_never_taken_for_the_whole(cache: Copy, name: str) -> None:
    for stack in (ExitStack(), read_only(cache.root)):
        with stack, pytest.raises(pe.errors.SourceError, match="not in the cache"):
            build(name, name, **cache.options)
