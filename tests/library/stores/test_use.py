"""Building from stores: the same matrix as from the source, and never a stale one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from grouped import grouped

import pretrained_embed as pe
from pretrained_embed import kernel
from pretrained_embed.formats import store
from pretrained_embed.formats.store import open_store
from pretrained_embed.library import cache_folder
from tests.library.stores.conftest import TEXT
from tests.rights import read_only

TOKENS = ["the", "THE", "Cat", "new york", "é", "zebra", "<unk>", "7", "DOG", "\udcff"]


def vocabulary() -> pe.Vocabulary:
    return pe.Vocabulary(TOKENS, unk="<unk>")


def build(source: object, **options: object) -> pe.EmbeddingMatrix:
    return pe.build_matrix(
        vocabulary(), source, **grouped(match=("exact", "lower"), **options)
    )


def stores() -> list[Path]:
    return [cached.path for cached in pe.Library().cache.entries() if cached.is_store]


def uses_store(matrix: pe.EmbeddingMatrix) -> bool:
    return "store" in matrix.provenance["source"]


def assert_same(left: pe.EmbeddingMatrix, right: pe.EmbeddingMatrix) -> None:
    assert left.vectors.tobytes() == right.vectors.tobytes()
    assert left.origin.tolist() == right.origin.tolist()
    assert left.source_rows.tolist() == right.source_rows.tolist()
    assert str(left.coverage) == str(right.coverage)


def ramp(tokens, statistics: pe.formats.Statistics, dim: int) -> np.ndarray:
    return np.full((len(tokens), dim), statistics.std + statistics.rows, np.float32)


# The same matrix


@pytest.mark.usefixtures("both_kernels")
@pytest.mark.parametrize("oov", ["normal", "uniform", "mean", "zeros", ramp])
@pytest.mark.parametrize(
    "match", [("exact",), ("lower",), ("exact", "lower"), ("lower", "exact")]
)
def test_a_store_gives_the_matrix_of_the_file(vectors, oov, match):
    special = {"unk": "mean"}
    options = {"oov": oov, "match": match, "special_oov": special, "seed": 3}
    plain = pe.build_matrix(vocabulary(), vectors, **grouped(**options))

    pe.index(vectors)
    ours = pe.build_matrix(vocabulary(), vectors, **grouped(**options))

    assert_same(ours, plain)
    assert ours.findings == plain.findings
    assert (uses_store(ours), uses_store(plain)) == (True, False)


def test_a_store_is_used_for_the_layout_it_was_made_with(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("the 7 0.5 1.5\nof 8 0.25 -1\nto 9 2.5 3\n")

    def build(layout):
        return pe.build_matrix(
            ["the", "the 7"], path, recipe=pe.Recipe(oov="zeros", layout=layout)
        )

    plain = {layout: build(layout) for layout in (None, "dim=2", "dim=3")}
    made = {pe.index(path, layout=layout) for layout in ("dim=2", None)}

    assert len(made) == 2
    for layout, before in plain.items():
        ours = build(layout)
        assert ours.vectors.tobytes() == before.vectors.tobytes()
        assert uses_store(ours) == (layout != "dim=3")
    assert [build(layout).dim for layout in plain] == [3, 2, 3]


def test_a_large_store_gives_the_statistics_of_the_first_rows_alone(tmp_path):
    path = tmp_path / "many.txt"
    path.write_bytes(b"".join(b"w%d %d.5 1\n" % (i, i) for i in range(12_000)))
    plain = pe.build_matrix(["w1", "no"], path)

    pe.index(path)

    assert_same(pe.build_matrix(["w1", "no"], path), plain)


def test_the_policy_error_names_the_same_tokens(vectors):
    with pytest.raises(pe.errors.OOVError) as plain:
        build(vectors, oov="error")
    pe.index(vectors)
    with pytest.raises(pe.errors.OOVError) as ours:
        build(vectors, oov="error")
    assert str(ours.value) == str(plain.value)


@pytest.mark.parametrize("suffix", [".bin", ".npz", ".h5", ".vec"])
def test_every_format_can_be_indexed(tmp_path, suffix):
    path = tmp_path / f"matrix{suffix}"
    tokens = [f"w{number}" for number in range(50)]
    rows = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    source = tmp_path / "source.txt"
    with source.open("w") as file:
        for token, row in zip(tokens, rows.tolist(), strict=True):
            file.write(f"{token} {' '.join(map(repr, row))}\n")
    pe.build_matrix(pe.Vocabulary(tokens, pad=None), source).save(path)
    plain = pe.build_matrix(["w7", "no"], path)

    pe.index(path)

    assert_same(pe.build_matrix(["w7", "no"], path), plain)
    assert uses_store(pe.build_matrix(["w7", "no"], path))


@pytest.mark.parametrize("packed", ["vectors.txt.gz", "two.zip#a/one.txt"])
def test_what_is_packed_is_indexed_as_it_is_named(tmp_path, packed):
    import gzip

    (tmp_path / "vectors.txt.gz").write_bytes(gzip.compress(TEXT))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a/one.txt", TEXT)
        archive.writestr("a/two.txt", TEXT.replace(b"1e-3", b"4"))
    source = str(tmp_path / packed)
    plain = build(source)

    pe.index(source)

    assert_same(build(source), plain)
    assert uses_store(build(source))
    if "#" in packed:
        other = source.replace("one", "two")
        assert not uses_store(build(other))
        pe.index(other)
        assert build(other).vectors.tobytes() != plain.vectors.tobytes()
        assert_same(build(source), plain)


def test_blocks_of_an_open_store_are_those_of_the_file(vectors):
    def tokens(**options: pe.Library) -> list[str]:
        with pe.open_vectors(vectors, **options) as reader:
            return [token for block in reader.blocks() for token in block.tokens]

    plain = tokens()
    pe.index(vectors)

    assert tokens() == tokens(library=pe.Library(stores=False)) == plain


def test_saved_with_a_store_it_comes_back_whole(vectors, tmp_path):
    pe.index(vectors)
    build(vectors).save(tmp_path / "m.npz")

    matrix = pe.load_matrix(tmp_path / "m.npz")

    assert matrix.provenance["source"]["store"] == {"version": 1, "dtype": "float32"}
    assert matrix.provenance["source"]["format"] == "text"


# float16


def test_float16_is_used_where_there_is_no_float32_and_said(vectors):
    pe.index(vectors, dtype="float16")
    halves = build(vectors)
    pe.index(vectors)
    whole = build(vectors)

    assert len(stores()) == 2
    assert halves.provenance["source"]["store"]["dtype"] == "float16"
    assert any("float16" in note for note in halves.findings.notes)
    found = halves.source_rows >= 0
    rounded = whole.vectors[found].astype(np.float16).astype(np.float32)
    assert halves.vectors[found].tobytes() == rounded.tobytes()
    assert halves.vectors[~found].tobytes() == whole.vectors[~found].tobytes()
    assert whole.provenance["source"]["store"]["dtype"] == "float32"
    assert whole.findings.notes == []


# Local files: made once, never stale


def test_a_file_is_indexed_once(vectors):
    first = pe.index(vectors)
    made = first.stat()

    assert pe.index(vectors) == first
    assert pe.index(str(vectors)) == first
    assert first.stat().st_mtime_ns == made.st_mtime_ns


def test_files_of_the_same_content_share_a_store(vectors, tmp_path):
    shutil.copy(vectors, tmp_path / "copy.txt")

    assert pe.index(vectors) == pe.index(tmp_path / "copy.txt")

    for path in (vectors, tmp_path / "copy.txt"):
        matrix = build(path)
        assert uses_store(matrix)
        assert matrix.provenance["source"]["name"] == str(path)


def rewrite(path: Path) -> None:
    path.write_bytes(TEXT.replace(b"0.5", b"9.5"))


def rewrite_with_old_times(path: Path) -> None:
    status = path.stat()
    rewrite(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def put_another_in_its_place(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    rewrite_with_old_times(other)
    other.replace(path)


def lengthen(path: Path) -> None:
    path.write_bytes(TEXT.replace(b"0.5", b"9.5") + b"new 1 2 3\n")


@pytest.mark.parametrize(
    "change", [rewrite, rewrite_with_old_times, put_another_in_its_place, lengthen]
)
def test_a_file_that_was_changed_is_read_itself(vectors, change):
    pe.index(vectors)
    before = build(vectors)
    change(vectors)

    after = build(vectors)

    assert not uses_store(after)
    assert after.vectors[1, 0] == 9.5
    assert before.vectors[1, 0] == 0.5
    pe.index(vectors)
    assert uses_store(build(vectors))
    assert_same(build(vectors), after)


def test_a_change_between_all_samples_of_the_fingerprint_is_seen(tmp_path):
    path = tmp_path / "large.txt"
    path.write_bytes(b"".join(b"w%05d 1 2\n" % i for i in range(60_000)))
    pe.index(path)
    status, raw = path.stat(), bytearray(path.read_bytes())
    place = raw.index(b"w00400 1 2")
    raw[place + 7] = ord("9")
    path.write_bytes(raw)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pe.open_vectors(path, library=pe.Library(stores=False)):
        matrix = pe.build_matrix(["w00400"], path)

    assert matrix.vectors[1].tolist() == [9.0, 2.0]


def test_a_file_that_changes_while_it_is_indexed_is_refused(vectors):
    def change(done: int, total: int | None) -> None:
        rewrite(vectors)

    with pytest.raises(pe.errors.SourceError, match="changed while it was indexed"):
        pe.index(vectors, progress=change)

    assert not uses_store(build(vectors))


def test_tokens_in_another_file_are_not_indexed(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((2, 2), np.float32))
    (tmp_path / "v.txt").write_text("a\nb\n")

    with pytest.raises(pe.errors.OptionError, match="in another file"):
        pe.index(tmp_path / "v.npy")

    assert stores() == []


def test_an_open_file_is_not_indexed(vectors):
    with (
        vectors.open("rb") as file,
        pytest.raises(pe.errors.OptionError, match="save it"),
    ):
        pe.index(file)


def test_another_dtype_is_refused(vectors):
    with pytest.raises(pe.errors.OptionError, match="float32 or float16"):
        pe.index(vectors, dtype="int4")


# Damage


def places(path: Path) -> list[int]:
    size = path.stat().st_size
    with open_store(path) as reader:
        stored = reader._checked._vectors
        start, vectors = stored.base.offset, stored.nbytes
    return [0, 9, 96, *range(start, start + vectors, 5), size - 1, size // 2]


def test_a_store_that_was_touched_is_right_or_made_anew(vectors):
    path = pe.index(vectors)
    good, whole = build(vectors), path.read_bytes()
    for at in places(path):
        flipped = bytearray(whole)
        flipped[at] ^= 0x55
        path.write_bytes(flipped)

        matrix = build(vectors)

        assert_same(matrix, good)
        assert not uses_store(matrix)
        assert any(f"{path} is damaged" in note for note in matrix.findings.notes)
    assert pe.index(vectors) == path
    assert path.read_bytes() == whole
    assert build(vectors).findings == good.findings


def test_a_store_that_was_cut_is_made_anew(vectors):
    path = pe.index(vectors)
    whole, good = path.read_bytes(), build(vectors)
    for length in (0, 1, 800, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])

        assert_same(build(vectors), good)
        pe.index(vectors)
        assert path.read_bytes() == whole


def test_a_store_by_name_is_named_and_made_anew_where_it_is_damaged(host):
    good = build("mini")
    (path,) = stores()
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + b"wrong")

    matrix = build("mini")

    assert_same(matrix, good)
    assert matrix.findings.notes == [
        f"the store {path} is damaged (its content is not what was written); "
        "it was made again"
    ]
    assert path.read_bytes() == whole
    assert build("mini").findings.notes == []


def test_a_damaged_store_is_named_where_there_is_nothing_to_make_it_of(host, cache):
    build("mini")
    (path,) = stores()
    path.write_bytes(path.read_bytes()[:-1])
    shutil.rmtree(cache / "downloads")

    with pytest.raises(
        pe.errors.SourceError, match=r"is damaged.*network may not be used"
    ):
        build("mini", library=pe.Library(offline=True))


def test_a_store_that_was_only_touched_is_hashed_and_used(vectors):
    path = pe.index(vectors)
    os.utime(path, ns=(1, 1))

    assert uses_store(build(vectors))
    known = json.loads(path.with_name("store.h5.json").read_text())
    assert known["mtime_ns"] == 1


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff"])
def test_a_store_whose_record_is_lost_is_made_anew(vectors, content):
    path = pe.index(vectors)
    record, good = path.with_name("store.h5.json"), build(vectors)
    record.unlink()
    if content is not None:
        record.write_bytes(content)

    assert not uses_store(build(vectors))
    assert pe.index(vectors) == path
    assert_same(build(vectors), good)
    assert uses_store(build(vectors))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"state": null}'])
def test_a_damaged_note_on_the_origin_is_no_note(vectors, content):
    path = pe.index(vectors)
    (note,) = path.parent.glob("*.origin")
    note.write_bytes(content)

    assert not uses_store(build(vectors))
    assert pe.index(vectors) == path
    assert uses_store(build(vectors))


def test_a_store_of_another_version_is_not_found(vectors, monkeypatch):
    path = pe.index(vectors)
    good = build(vectors)
    monkeypatch.setattr("pretrained_embed.formats.store.VERSION", 2)
    monkeypatch.setattr("pretrained_embed.formats.store.directory.VERSION", 2)

    assert not uses_store(build(vectors))
    assert pe.index(vectors) != path
    assert_same(build(vectors), good)
    assert uses_store(build(vectors))


# Names


def test_a_name_is_made_into_a_store_at_its_first_use(host):
    first, second = build("mini"), build("mini", library=pe.Library(offline=True))

    assert uses_store(first)
    assert_same(first, second)
    assert_same(build("mini", library=pe.Library(stores=False)), first)
    assert len(stores()) == 1
    assert first.provenance == second.provenance
    assert first.provenance["source"]["licence"] == "CC0-1.0"
    assert second.findings == build("mini", library=pe.Library(stores=False)).findings
    assert len(host.asked) == 1


def test_a_store_is_enough_where_the_download_is_gone(host, cache):
    first = build("mini")
    shutil.rmtree(cache / "downloads")

    for offline in (True, False):
        again = build("mini", library=pe.Library(offline=offline))
        assert_same(again, first)
        assert again.provenance == first.provenance
    with pe.open_vectors("mini", library=pe.Library(offline=True)) as reader:
        assert reader.name == "mini"
    assert [pe.index("mini", library=pe.Library(offline=True))] == stores()
    with pytest.raises(pe.errors.SourceError, match="network may not be used"):
        build("mini", library=pe.Library(offline=True, stores=False))
    assert len(host.asked) == 1


def test_a_url_is_made_into_a_store_too(host, cache):
    url = host.url + "first.txt"
    first = build(url)
    shutil.rmtree(cache / "downloads")

    assert_same(build(url, library=pe.Library(offline=True)), first)


def test_opening_alone_makes_no_store(host):
    with pe.open_vectors("mini"):
        assert stores() == []
    build("mini", library=pe.Library(stores=False))
    assert stores() == []


def test_a_store_is_not_that_of_another_download(host):
    old = build("first-use")
    shutil.rmtree(next(cache_folder.locate().glob("downloads/first*")))
    host.files["first.txt"] = TEXT.replace(b"0.5", b"9.5")
    host.etag = '"version-2"'
    pe.fetch("first-use")

    new = build("first-use")

    assert (old.vectors[1, 0], new.vectors[1, 0]) == (0.5, 9.5)
    assert build("first-use").vectors[1, 0] == 9.5
    shutil.rmtree(cache_folder.locate() / "downloads")
    assert build("first-use", library=pe.Library(offline=True)).vectors[1, 0] == 9.5


def test_a_name_that_means_something_else_now_has_another_store(host, tmp_path):
    build("mini")
    other = TEXT.replace(b"0.5", b"9.5")
    host.files["mini.txt"] = other
    path = tmp_path / "catalog.json"
    known = json.loads(path.read_text())
    known["entries"][0]["checksums"][0]["value"] = hashlib.sha256(other).hexdigest()
    path.write_text(json.dumps(known))

    assert build("mini").vectors[1, 0] == 9.5


def test_a_name_with_malformed_rows_is_read_itself_with_a_note(host, tmp_path):
    host.files["first.txt"] = TEXT + b"bad 1 x 3\n"

    matrix = build("first-use", oov="zeros")

    (note,) = matrix.findings.notes
    assert note.startswith("no store could be made, so the source was read: ")
    assert "line 10" in note
    assert stores() == []
    skipping = build("first-use", bad_rows=1.0)
    assert not uses_store(skipping)
    assert skipping.findings.notes == []


def test_skipping_bad_rows_makes_no_store_but_uses_one(host):
    assert not uses_store(build("mini", bad_rows=1.0))
    build("mini")
    assert uses_store(build("mini", bad_rows=1.0))


def test_a_name_can_be_indexed_as_float16(host):
    path = pe.index("mini", dtype="float16")

    assert stores() == [path]
    assert build("mini").provenance["source"]["store"]["dtype"] == "float16"
    assert stores() == [path]


# Caches that cannot be written to


def test_a_cache_in_whose_place_is_a_file_is_a_note(host, cache, tmp_path):
    build("mini", library=pe.Library(stores=False))
    (cache / "stores").write_text("in the way")

    matrix = build("mini")

    assert not uses_store(matrix)
    (note,) = matrix.findings.notes
    assert "cannot be written to" in note
    assert_same(matrix, build("mini", library=pe.Library(stores=False)))
    with pytest.raises(pe.errors.SourceError, match="cannot be written to"):
        pe.index("mini")


def test_a_cache_that_may_only_be_read_serves_the_stores_it_has(host, cache):
    build("mini")
    host.files["first.txt"] = TEXT + b"one 1 2 3\n"
    build("first-use", library=pe.Library(stores=False))

    with read_only(cache):
        assert uses_store(build("mini"))
        matrix = build("first-use")

    assert any("cannot be written to" in note for note in matrix.findings.notes)


def test_kernels_share_stores(host, monkeypatch):
    first = build("mini")
    for name in ("hash_tokens", "look_up", "gather", "TokenIndex"):
        monkeypatch.setattr(kernel, name, getattr(kernel._reference, name))

    assert_same(build("mini"), first)
    assert uses_store(build("mini"))


@pytest.mark.parametrize("times", [1, 2, 9])
def test_a_store_that_is_deleted_while_it_is_made_is_made_again(
    vectors, cache, monkeypatch, times
):
    written = []

    def deleted_meanwhile(path, *args, **options):
        done = write_store(path, *args, **options)
        written.append(path)
        if len(written) <= times:
            shutil.rmtree(cache)
        return done

    write_store = store.write_store
    monkeypatch.setattr(store, "write_store", deleted_meanwhile)

    if times < 9:
        assert pe.index(vectors).exists()
        assert len(written) == times + 1
    else:
        with pytest.raises(pe.PretrainedEmbedError):
            pe.index(vectors)
        assert len(written) == 3
