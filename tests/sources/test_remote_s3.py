"""Files in an object store that are read where they are: ``s3://`` and its like."""

from __future__ import annotations

import gzip
import multiprocessing
import sys
import tarfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from importlib import import_module
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pretrained_embed import build_matrix
from pretrained_embed.errors import (
    MissingPackageError,
    OptionError,
    SourceError,
    UnknownSourceError,
)
from pretrained_embed.kernel import TokenIndex
from pretrained_embed.library import Library
from pretrained_embed.sources import open_source
from pretrained_embed.sources.http import Failure, Retry
from pretrained_embed.sources.object_store import StoredFile
from pretrained_embed.sources.stream import Stream, rereadable
from pretrained_embed.sources.url import Url
from tests.s3 import BUCKET
from tests.sources.opened_elsewhere import digest
from tests.sources.published import DATA

pytest.importorskip("s3fs", reason="the extra 'remote' is not installed")


@pytest.fixture
def stream(s3, waits) -> Stream:
    """Return a stream of a stored file; the store has seen nothing yet."""
    url = s3.put("v.txt", DATA)
    stream = open_source(url, retry=Retry(sleep=waits.append))
    s3.asked.clear()
    return stream


def all_of(stream: Stream) -> bytes:
    with stream.open() as file:
        return b"".join(iter(lambda: file.read(1 << 16), b""))


def test_any_range_of_a_file_can_be_read(stream, s3):
    assert stream.ranges
    assert stream.path is None
    assert stream.size == len(DATA)
    with stream.open(5000, 6000) as file:
        assert file.read(1000) == DATA[5000:6000]
    assert s3.spans() == [(5000, 6000 + (1 << 14) - 1)]


def test_all_of_it_is_asked_for_once_in_ranges_of_one_version(stream, s3):
    assert all_of(stream) == DATA

    spans = sorted(s3.spans())
    assert spans[0][0] == 0
    assert sum(last + 1 - first for first, last in spans) == len(DATA)
    assert len({asked.condition for asked in s3.asked if asked.method == "GET"}) == 1
    assert all(asked.condition for asked in s3.asked if asked.method == "GET")


def test_to_open_a_file_only_its_head_is_read(s3):
    stream = open_source(s3.put("v.txt", DATA))

    assert stream.head(512) == DATA[:512]
    assert s3.spans() == [(0, (1 << 16) - 1)]


def test_what_is_known_goes_into_the_provenance(stream):
    url = f"s3://{BUCKET}/v.txt"
    version = stream.provenance["version"]

    assert stream.name == stream.address == url
    assert version.startswith("ETag ")
    assert stream.provenance == {
        "source": url,
        "name": "v.txt",
        "url": url,
        "size": len(DATA),
        "version": version,
    }


def test_another_content_is_another_version(stream, s3):
    again = open_source(stream.address)
    s3.put("v.txt", DATA[::-1])
    changed = open_source(stream.address)

    assert again.provenance == stream.provenance
    assert changed.provenance["version"] != stream.provenance["version"]


def packed(kind: str) -> bytes:
    out = BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("in/v.txt", DATA)
            archive.writestr("other.txt", b"")
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            info = tarfile.TarInfo("in/v.txt")
            info.size = len(DATA)
            archive.addfile(info, BytesIO(DATA))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "address"),
    [
        ("v.gz", gzip.compress(DATA), "v.gz"),
        ("v.zip#in/v.txt", packed("zip"), "v.zip#in/v.txt"),
        ("v.tar.gz", packed("tar.gz"), "v.tar.gz#in/v.txt"),
    ],
)
def test_packed_files_are_read_as_everywhere(s3, name, content, address):
    s3.put(name.partition("#")[0], content)

    stream = open_source(f"s3://{BUCKET}/{name}")

    assert all_of(stream) == DATA
    assert not stream.ranges
    assert stream.address == f"s3://{BUCKET}/{address}"
    assert all_of(open_source(stream.address)) == DATA


def test_another_process_opens_the_address(stream, tmp_path):
    (tmp_path / "v.txt").write_bytes(DATA)
    (tmp_path / "v.gz").write_bytes(gzip.compress(DATA))
    (tmp_path / "v.zip").write_bytes(packed("zip"))
    local = [open_source(tmp_path / name) for name in ("v.txt", "v.gz")]
    member = open_source(f"{tmp_path / 'v.zip'}#in/v.txt")
    addresses = [one.address for one in (stream, *local, member)]

    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as processes:
        digests = [*processes.map(digest, addresses)]

    assert digests == [sha256(DATA).hexdigest()] * 4


def test_what_goes_by_once_has_no_address():
    assert open_source(BytesIO(DATA)).address is None
    assert rereadable(open_source(OneByOne())).address is None


class OneByOne:
    """A handle that cannot seek."""

    def read(self, size: int) -> bytes:
        return b""


def test_a_store_that_fails_is_asked_again(stream, s3):
    s3.answers.extend([(500, "InternalError"), (503, "SlowDown")])

    assert all_of(stream) == DATA


def test_a_store_that_goes_on_failing_is_given_up(stream, s3, waits):
    s3.answers.extend([(409, "OperationAborted")] * 99)

    with pytest.raises(SourceError, match=r"v\.txt: cannot be read: "):
        all_of(stream)
    assert waits[:3] == [0.5, 1.0, 2.0]


def test_a_file_that_changes_while_it_is_read_is_an_error(stream, s3):
    s3.put("v.txt", DATA[::-1])

    with pytest.raises(SourceError, match="was changed while it was read"):
        all_of(stream)


def test_a_change_between_two_ranges_is_an_error(stream, s3):
    with stream.open(0, 1000) as file:
        assert file.read(1000) == DATA[:1000]
    s3.put("v.txt", DATA[::-1])

    with pytest.raises(SourceError, match="changed"), stream.open(0, 1000) as file:
        file.read(1000)


def test_a_handle_that_is_opened_later_is_of_the_same_version(s3):
    file = StoredFile(Url(s3.put("v.txt", DATA)))
    s3.answers.append((409, "OperationAborted"))
    with pytest.raises(Failure):  # the handle is used no more
        file.get(0, 10)
    s3.put("v.txt", DATA[::-1])

    with pytest.raises(SourceError, match="was changed while it was read"):
        file.get(0, 10)


def test_a_file_that_is_gone_is_an_error(stream, s3):
    s3.answers.extend([(404, "NoSuchKey")] * 9)

    with pytest.raises(UnknownSourceError, match="there is no such file"):
        all_of(stream)


@pytest.mark.parametrize("words", ["parts/", "parts/part-*", "**/part-*", "p*/*"])
def test_a_folder_or_a_pattern_is_one_source(s3, words):
    for number in (10, 2, 1):
        s3.put(f"parts/part-{number}.txt", b"w%d %d 0.5\nsame %d 1\n" % ((number,) * 3))
    for name in ("parts/_SUCCESS", "parts/.part-1.txt.crc"):
        s3.put(name, b"none")
    url = f"s3://{BUCKET}/{words}"

    stream = open_source(url)
    with Library().open(url) as reader:
        tokens = [token for block in reader.blocks() for token in block.tokens]
    matrix = build_matrix(["same", "w10", "w2"], url)

    assert [part.name[-6:] for part in stream.parts] == ["-1.txt", "-2.txt", "10.txt"]
    assert tokens == ["w1", "same", "w2", "same", "w10", "same"]
    assert matrix["same"].tolist() == [1, 1]
    assert matrix["w10"].tolist() == [10, 0.5]
    assert matrix.provenance["source"]["parts"][2]["version"].startswith("ETag")
    again = open_source(stream.address)
    assert again.provenance == stream.provenance
    s3.put("parts/part-2.txt", b"w2 2 0.25\n")
    assert open_source(url).provenance["version"] != stream.provenance["version"]


def test_of_parts_of_parquet_only_what_is_wanted_is_asked_for(s3):
    for part in range(3):
        words = [f"w{part}-{row}" for row in range(40)] + ["same"]
        vectors = np.full((41, 3000), part, np.float32)
        table = pa.table({"w": words, "v": list(vectors)})
        sink = BytesIO()
        parquet.write_table(table, sink, row_group_size=20, use_dictionary=False)
        s3.put(f"parquet/part-{part}.parquet", sink.getvalue())

    with Library().open(f"s3://{BUCKET}/parquet/*.parquet") as reader:
        s3.asked.clear()
        out = np.zeros((2, 3000), np.float32)
        index = TokenIndex([b"w1-30", b"same"], np.arange(2), np.zeros(2, np.uint8))
        selection = reader.select(index, out)

    assert selection.source_rows.tolist() == [41 + 30, 40]
    assert selection.findings.duplicates == 2
    assert out[:, 0].tolist() == [1, 0]
    read = sum(last + 1 - first for first, last in s3.spans())
    assert read < 2 * 20 * 3000 * 4  # of 6 row groups


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        (f"s3://{BUCKET}/none.txt", UnknownSourceError, "there is no such file"),
        (f"s3://{BUCKET}/folder", SourceError, "is a folder; name a file in it"),
        (f"s3://{BUCKET}", SourceError, "is a folder; name a file in it"),
        (f"s3://{BUCKET}/none*.txt", UnknownSourceError, "no file is there"),
        (f"s3://{BUCKET}/none/", UnknownSourceError, "there is no such file"),
        (f"s3://{BUCKET}/f*", SourceError, "'folder' in it is a folder"),
        (f"simplecache::s3://{BUCKET}/v.txt", SourceError, "name files without"),
        (f"zip://v.txt::s3://{BUCKET}/v.zip", SourceError, "name files without"),
        ("nosuch://bucket/v.txt", UnknownSourceError, "no package for nosuch://"),
    ],
)
def test_what_is_no_file_is_an_error(s3, url, kind, message):
    s3.put("folder/v.txt", DATA)

    with pytest.raises(kind, match=message):
        open_source(url)


def test_that_access_is_denied_is_said(s3):
    url = s3.put("v.txt", DATA)
    s3.answers.extend([(403, "AccessDenied")] * 9)

    with pytest.raises(SourceError, match=r"access is denied .* environment"):
        open_source(url)


def test_missing_credentials_are_our_error(s3, monkeypatch, tmp_path):
    from s3fs import S3FileSystem

    monkeypatch.setattr(S3FileSystem, "_cache", {})  # which have credentials
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(SourceError, match=r"credentials.* from the environment"):
        open_source(f"s3://{BUCKET}/v.txt")


@pytest.mark.parametrize(
    ("protocol", "missing", "command"),
    [
        ("s3", "s3fs", r"pip install 'pretrained-embed\[remote\]'$"),
        ("gs", "gcsfs", r"pip install 'pretrained-embed\[remote\]'$"),
        ("hf", "huggingface_hub", r"pip install 'pretrained-embed\[remote\]'$"),
        ("az", "adlfs", r"pip install 'pretrained-embed\[remote\]' adlfs$"),
        ("s3", "fsspec", r"pip install 'pretrained-embed\[remote\]'$"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, protocol, missing, command):
    known = import_module("fsspec.registry")._registry
    monkeypatch.delitem(known, protocol, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "fsspec":
        monkeypatch.setitem(sys.modules, "fsspec.core", None)

    with pytest.raises(MissingPackageError, match=command):
        open_source(f"{protocol}://bucket/v.txt")


def test_offline_no_store_is_asked(s3):
    url = s3.put("v.txt", DATA)
    s3.asked.clear()

    with pytest.raises(SourceError, match="the network is off"):
        open_source(url, offline=True)
    assert s3.asked == []


def test_what_is_read_where_it_is_is_not_fetched():
    with pytest.raises(OptionError, match="is read where it is"):
        Library().fetch("s3://bucket/v.txt")
    assert Library().mark("s3://bucket/v.txt") is None


def test_what_has_no_ranges_is_read_from_front_to_back():
    import fsspec

    fsspec.filesystem("memory").pipe("/v.txt", DATA)

    stream = open_source("memory://v.txt")

    assert not stream.ranges
    assert all_of(stream) == all_of(stream) == DATA
