"""Whatever a parser raises for damaged bytes is our error, and nothing else is."""

from __future__ import annotations

import io
import json
import lzma
import pickle
import resource
import struct
import tarfile
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

import pretrained_embed as pe
from pretrained_embed import damage, formats, sources
from pretrained_embed.damage import parser_errors, refusing_damage
from pretrained_embed.errors import (
    FormatError,
    PretrainedEmbedError,
    SourceError,
    TruncatedError,
    VocabularyError,
)
from pretrained_embed.formats.parallel import run_in_order
from pretrained_embed.library import catalog

#: What means that this package is wrong, not the file.
OURS = (AssertionError, AttributeError, NameError, UnboundLocalError, ImportError)
ROWS = b"the 0.1 0.2\nof 0.3 0.4\n"
DEEP = "[" * 100_000


@pytest.mark.parametrize("kind", OURS)
def test_what_means_a_fault_of_ours_comes_through(kind):
    assert not issubclass(kind, parser_errors())
    assert not any(issubclass(turned, kind) for turned in parser_errors())
    with pytest.raises(kind) as caught, refusing_damage("file"):
        raise kind("ours")
    assert caught.value.__cause__ is None


def test_kinds_of_modules_are_there_once_these_are_imported():
    for module, name in damage._OF_MODULES:
        pytest.importorskip(module, reason="not in every version of Python")
        assert getattr(__import__(module, fromlist=[name]), name) in parser_errors()


@pytest.mark.parametrize(
    ("raised", "becomes", "message"),
    [
        (ValueError("x"), FormatError, "file: the data is damaged (x); copy or"),
        (ValueError(), FormatError, "file: the data is damaged; copy or"),
        (zlib.error("y"), FormatError, "file: the data is damaged (y); copy or"),
        (KeyError("k"), FormatError, "file: the data is damaged (no 'k'); copy"),
        (RecursionError("z"), FormatError, "(it is nested too deep)"),
        (EOFError("z"), TruncatedError, "file: the data ends too early (z)"),
        (OSError("bad block"), FormatError, "the data is damaged (bad block)"),
        (OSError(5, "I/O error"), SourceError, "file: cannot be read: I/O error"),
        (MemoryError(), SourceError, "file: there is not enough memory to read it"),
        (ValueError("a" * 10_000), FormatError, "a..."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_cause_is_named_and_kept(raised, becomes, message):
    with pytest.raises(PretrainedEmbedError) as caught, refusing_damage("file"):
        raise raised

    assert type(caught.value) is becomes
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.__cause__ is raised


def test_our_errors_come_through_and_others_can_be_asked_for():
    own = VocabularyError("own")
    with pytest.raises(VocabularyError) as caught, refusing_damage("file"):
        raise own
    assert caught.value is own
    for raised in (EOFError("e"), ValueError("v"), OSError("o")):
        with (
            pytest.raises(VocabularyError, match=r"^file: no list \(.\)$"),
            refusing_damage("file", "no list", "", kind=VocabularyError),
        ):
            raise raised


def tar(path, headers=(), form=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=form) as file:
        member = tarfile.TarInfo("v.txt")
        member.size = len(ROWS)
        member.pax_headers = dict(headers)
        file.addfile(member, io.BytesIO(ROWS))
    return path


def with_long_header(path, size):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = b"L", size
    raw = header.tobuf(tarfile.GNU_FORMAT) + b"x" * (size + -size % 512)
    path.write_bytes(raw + tar(path).read_bytes())
    return path


def with_many_headers(path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = b"L", 10
    one = header.tobuf(tarfile.GNU_FORMAT) + b"x" * 10 + b"\0" * 502
    path.write_bytes(one * 5_000 + tar(path).read_bytes())
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda path: tar(path, {"size": "9" * 100}),
        lambda path: tar(path, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        lambda path: with_long_header(path, 3 << 20),
        with_many_headers,
    ],
    ids=["size", "sparse", "long-header", "many-headers"],
)
def test_headers_of_a_tar_that_make_no_sense(make, tmp_path):
    with pytest.raises((FormatError, SourceError)):
        formats.open_reader(sources.open_source(make(tmp_path / "x.tar")))


def test_a_member_of_a_tar_with_holes_is_refused(tmp_path):
    path = tmp_path / "x.tar"
    sparse = {"GNU.sparse.map": "0,24", "GNU.sparse.size": str(1 << 60)}
    tar(path, sparse)

    with pytest.raises(SourceError, match="stored with holes; unpack it first"):
        formats.open_reader(sources.open_source(path))


def test_a_name_of_a_tar_may_be_long(tmp_path):
    path = with_long_header(tmp_path / "x.tar", 300)

    with formats.open_reader(sources.open_source(path)) as reader:
        assert [len(block.tokens) for block in reader.blocks()] == [2]


def test_json_that_is_nested_without_end(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(DEEP)
    with pytest.raises(SourceError, match=r"is no JSON \(it is nested too deep\)"):
        catalog.read(path)
    with pytest.raises(VocabularyError, match="it is nested too deep"):
        pe.Vocabulary.from_file(path)
    np.save(tmp_path / "m.npy", np.zeros((2, 2), np.float32))
    path.rename(tmp_path / "m.json")
    with pytest.raises(FormatError, match="it is nested too deep"):
        formats.open_reader(sources.open_source(tmp_path / "m.npy"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"added_tokens": 5},
        {"added_tokens": [[]]},
        {"post_processor": "x"},
        {"post_processor": [1]},
        {"normalizer": "x"},
        {"normalizer": {"type": "Sequence", "normalizers": [3]}},
        {"padding": "x"},
        {"model": {"vocab": [["a", 0]], "unk_id": 7}},
        {"model": {"vocab": [5]}},
    ],
    ids=repr,
)
def test_a_tokenizer_whose_parts_are_of_other_kinds(wrong, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": {"a": 0}}} | wrong))

    with pytest.raises(VocabularyError):
        pe.Vocabulary.from_file(path)


def packed_with_dictionary(code):
    """Return rows packed by xz that say to need a dictionary of another size."""
    raw = bytearray(lzma.compress(ROWS))
    end = 12 + 4 * (raw[12] + 1)
    at = raw.index(b"\x21\x01", 12) + 2
    raw[at] = code
    raw[end - 4 : end] = struct.pack("<I", zlib.crc32(raw[12 : end - 4]))
    return bytes(raw)


def rows_of(path):
    with formats.open_reader(sources.open_source(path)) as reader:
        return [token for block in reader.blocks() for token in block.tokens]


def test_a_dictionary_of_xz_is_bounded(tmp_path):
    path = tmp_path / "x.txt.xz"
    path.write_bytes(packed_with_dictionary(30))  # 128 MiB
    assert rows_of(path) == ["the", "of"]

    for code in (31, 40):  # 192 MiB, 4 GiB
        path.write_bytes(packed_with_dictionary(code))
        with pytest.raises(FormatError, match="Memory usage limit"):
            rows_of(path)


def test_streams_of_xz_may_follow_each_other_padded(tmp_path):
    path = tmp_path / "x.txt.xz"
    one = [lzma.compress(line) for line in ROWS.splitlines(keepends=True)]
    path.write_bytes(one[0] + bytes(8) + one[1] + bytes(4))
    assert rows_of(path) == ["the", "of"]

    path.write_bytes(one[0] + one[1][:-20])
    with pytest.raises(TruncatedError):
        rows_of(path)
    path.write_bytes(one[0] + b"no xz" * 9)
    with pytest.raises(FormatError, match="the data is damaged"):
        rows_of(path)


@pytest.mark.parametrize("allowed", [0, 1])
def test_where_no_thread_can_be_started_one_does_the_work(
    allowed, tmp_path, monkeypatch
):
    path = tmp_path / "x.txt"
    path.write_bytes(b"".join(b"t%d 1 2\n" % n for n in range(1000)))
    start, begun = threading.Thread.start, []

    def refused(thread):
        begun.append(thread)
        if len(begun) > allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)

    assert [*run_in_order(lambda part: part, 9, 4)] == [*range(9)]
    assert len(rows_of(path)) == 1000
    assert len(begun) > allowed


def test_what_cannot_be_mapped_is_our_error(tmp_path):
    np.savez(tmp_path / "x.npz", vectors=np.ones((1 << 12, 1 << 10), np.float32))
    np.save(tmp_path / "x.npy", np.ones((1 << 12, 1 << 10), np.float32))
    (tmp_path / "x.txt").write_text("".join(f"t{n}\n" for n in range(1 << 12)))
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + (8 << 20), limits[1]))
    try:
        with pytest.raises(SourceError, match=r"cannot be mapped .*ulimit"):
            formats.open_reader(sources.open_source(tmp_path / "x.npy"))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize("name", ["a" * 5_000, "a/" * 3_000 + "a", "a\0b"])
def test_a_name_that_no_file_can_have(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.txt").write_bytes(ROWS)
    matrix = pe.build_matrix(["the"], "s.txt")
    for use in (
        lambda: pe.Vocabulary.from_file(name),
        lambda: pe.build_matrix(["the"], name),
        lambda: pe.build_matrix(["the"], f"{name}#member"),
        lambda: matrix.save(f"{name}.npz"),
        lambda: pe.load_matrix(name),
        lambda: pe.convert("s.txt", f"{name}.npz"),
        lambda: pe.convert(name, "x.npz"),
        lambda: pe.build_matrix(["the"], "s.txt", out=f"{name}.npy"),
        lambda: pe.build_matrix(["the"], "s.txt", out=pe.Shards(name, 1)),
        lambda: pe.build_matrix(["the"], "s.txt", onto=name),
        lambda: pe.build_matrix(["the"], "s.txt", library=pe.Library(name)),
        lambda: pe.build_matrix(
            ["the"], "glove-6b-50d", library=pe.Library(offline=True, catalog=name)
        ),
        lambda: pe.fetch("glove-6b-50d", library=pe.Library(name, offline=True)),
        lambda: pe.index("s.txt", library=pe.Library(name)),
    ):
        with pytest.raises(PretrainedEmbedError):
            use()


def test_a_dtype_in_a_pickle_is_looked_at_before_it_is_one(tmp_path):
    held = np.zeros((2, 2), np.float32)
    raw = pickle.dumps({"index_to_key": ["a", "b"], "vectors": held}, 2)
    raw = raw.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00,")
    path = tmp_path / "x.kv"
    path.write_bytes(
        b"\x80\x02cgensim.models.keyedvectors\nKeyedVectors\n)\x81" + raw[2:-1] + b"b."
    )

    with pytest.raises(FormatError, match="not one of plain numbers"):
        formats.open_reader(sources.open_source(path))
