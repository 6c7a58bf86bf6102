"""Compressed files, read as streams."""

import gzip
import io
import json
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretrained_embed.errors import (
    FormatError,
    MissingPackageError,
    SourceError,
    TruncatedError,
)
from pretrained_embed.sources import open_source
from tests.sources.packed import DATA, PACKINGS, make, read


@pytest.mark.parametrize("kind", PACKINGS)
def test_every_packing_gives_the_same_bytes_again_and_again(kind, tmp_path):
    stream = open_source(make(kind, tmp_path))

    assert stream.head(10) == DATA[:10]
    for _ in range(2):
        with stream.open() as file:
            assert file.read() == DATA
    assert stream.size in (None, len(DATA))
    assert json.loads(json.dumps(stream.provenance)) == stream.provenance


@pytest.mark.parametrize("kind", PACKINGS)
def test_readinto_fills_a_buffer_of_any_size(kind, tmp_path):
    stream = open_source(make(kind, tmp_path))
    buffer = bytearray(37)
    parts = []

    with stream.open() as file:
        while count := file.readinto(buffer):
            parts.append(bytes(buffer[:count]))

    assert b"".join(parts) == DATA


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_cut_file_is_our_error(kind, share, tmp_path):
    path = make(kind, tmp_path)
    whole = path.read_bytes()
    length = len(DATA) if kind == "tar" else len(whole)  # without the padding of a tar
    path.write_bytes(whole[: int(length * share)])

    with pytest.raises(FormatError, match="vectors"):
        read(path)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_a_cut_compressed_file_is_called_truncated(kind, tmp_path):
    path = make(kind, tmp_path)
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(TruncatedError, match="incomplete"):
        read(path)


@pytest.mark.parametrize("kind", [k for k in PACKINGS if k != "plain"])
@settings(max_examples=30, deadline=None)  # each writes a file
@given(place=st.floats(0.05, 0.95), value=st.integers(0, 255))
def test_a_flipped_byte_gives_the_right_bytes_or_our_error(
    kind, place, value, tmp_path_factory
):
    path = make(kind, tmp_path_factory.mktemp("flip"))
    damaged = bytearray(path.read_bytes())
    damaged[int(place * len(damaged))] = value
    path.write_bytes(damaged)

    try:
        data = read(path)
    except (FormatError, SourceError):
        return
    if kind != "tar":  # which has no checksum of its contents
        assert data == DATA


@pytest.mark.parametrize("kind", ["gz", "tar.gz", "zip", "zip of gz"])
def test_the_standard_library_does_where_isal_is_missing(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "isal.igzip", None)
    path = make(kind, tmp_path)

    assert read(path) == DATA
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError, match="vectors"):
        read(path)


def test_concatenated_gzip_files_are_read_to_the_end(tmp_path):
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(b"a 1\n") + gzip.compress(b"b 2\n"))

    assert read(path) == b"a 1\nb 2\n"


def test_a_text_that_begins_like_bzip2_is_text(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"BZh 1 2 3\n")

    assert read(path) == b"BZh 1 2 3\n"


def test_zstandard_without_a_package_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "v.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)

    with pytest.raises(MissingPackageError, match=r"pip install backports\.zstd"):
        open_source(path)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst", "zip", "zip by bz2"])
def test_a_bomb_is_streamed_within_bounded_memory(kind, tmp_path):
    path = make(kind, tmp_path, bytes(30 << 20))
    assert path.stat().st_size < 100_000
    buffer, total = bytearray(1 << 20), 0

    tracemalloc.start()
    try:
        with open_source(path).open() as file:
            while count := file.readinto(buffer):
                total += count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert total == 30 << 20
    assert peak < 12 << 20


@pytest.mark.parametrize("kind", PACKINGS)
def test_bytes_in_memory_may_be_packed_too(kind, tmp_path):
    data = io.BytesIO(make(kind, tmp_path).read_bytes())

    assert read(data) == DATA
