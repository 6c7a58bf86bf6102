"""What a source is known by before it is read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pretrained_embed.errors import SourceError
from pretrained_embed.files.digests import json_digest, sha256
from pretrained_embed.library import Library
from pretrained_embed.library.catalog import Checksum, Download, Entry
from pretrained_embed.library.published import fetch_stream, mark_of
from pretrained_embed.sources import open_source
from pretrained_embed.sources.identity import Identity
from pretrained_embed.sources.source import unpacked
from tests.sources import packed
from tests.sources.published import DATA, OF_DATA, entry
from tests.sources.published import sha256 as published_sha256

ENTRY = Entry("v", ("https://host.example/v.zip",), member="a.txt")
CHECKSUM = Checksum("sha256", "file", "0" * 64)


def mark(entry: Entry) -> str:
    return mark_of(entry, Path("nowhere")).key


def test_an_entry_of_other_bytes_has_another_mark():
    tokens = Download(("https://host.example/t.json",))
    others = [
        replace(ENTRY, id="w"),
        replace(ENTRY, urls=("https://host.example/w.zip",)),
        replace(ENTRY, member="b.txt"),
        replace(ENTRY, member=None),
        replace(ENTRY, checksums=(CHECKSUM,)),
        replace(ENTRY, checksums=(replace(CHECKSUM, value="1" * 64),)),
        replace(ENTRY, checksums=(replace(CHECKSUM, of="member"),)),
        replace(ENTRY, tokens=tokens),
        replace(ENTRY, tokens=replace(tokens, checksums=(CHECKSUM,))),
    ]

    assert len({mark(ENTRY), *map(mark, others)}) == len(others) + 1


def test_a_published_checksum_makes_hosts_and_words_mean_nothing():
    published = replace(ENTRY, checksums=(CHECKSUM,))
    moved = replace(
        published, urls=("https://other.example/x.zip",), title="V", citation="C"
    )

    assert mark(moved) == mark(published)
    assert mark_of(published, Path("nowhere")).state is None


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (ENTRY, "096c8d18e2efdeef724a6e3a4d82d4e0"),
        (replace(ENTRY, checksums=(CHECKSUM,)), "da0b98e332d9b1f7a0880c10597c1e87"),
    ],
)
def test_the_marks_in_the_caches_of_users_stay_what_they_are(entry, key):
    assert mark(entry) == key


def test_a_local_file_is_known_by_its_place_and_by_all_that_a_change_changes(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1 2\n")

    stream = open_source(path)
    before = stream.identity.mark()
    again = open_source(path).identity.mark()
    os.utime(path, ns=(1, 1))

    assert before == again
    assert before.key == json_digest([str(path.resolve()), None])
    assert before.state[0] == stream.provenance["fingerprint"]
    assert stream.identity.mark() != before
    assert stream.identity.content() is None
    assert stream.identity.read() == [f"sha256:{sha256(path)}"]


@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_what_is_in_a_file_is_known_by_that_file_and_its_member(tmp_path, packing):
    path = packed.make(packing, tmp_path)

    stream = open_source(path)

    member = "in/v.txt" if packing == "zip" else None
    told = [] if member is None else [f"member {member}"]
    assert stream.identity.member == stream.provenance.get("member") == member
    assert stream.identity.mark().key == json_digest([str(path.resolve()), member])
    assert stream.identity.read() == [f"sha256:{sha256(path)}", *told]


def test_a_download_is_known_by_digests_that_were_verified(host, tmp_path):
    found = Library(tmp_path / "cache").mark(host.url + "v.txt")
    stream = fetch_stream(entry(host), tmp_path / "cache", offline=False)

    known = [(digest["algorithm"], digest["by"]) for digest in stream.identity.digests]
    assert known == [("sha256", "published")]
    assert stream.identity.content() == [f"sha256:{OF_DATA[0].value}"]
    assert stream.identity.mark() is None
    assert found.source == host.url + "v.txt"


def test_a_published_checksum_of_a_download_covers_its_member_by_name(host, tmp_path):
    path = packed.zipped(tmp_path / "a.zip", {"v.txt": DATA})
    host.files["a.zip"] = path.read_bytes()
    wanted = entry(host, "a.zip", checksums=(published_sha256(path.read_bytes()),))

    stream = unpacked(fetch_stream(wanted, tmp_path / "cache", offline=False))

    assert stream.identity.content() == [f"sha256:{sha256(path)}", "member v.txt"]


def test_what_goes_by_once_or_is_a_folder_is_known_by_nothing(tmp_path):
    with (tmp_path / "v.txt").open("w+b") as file:
        assert open_source(file).identity is None
    assert open_source(tmp_path).identity is None
    assert Identity("-").telling() == {}


def test_a_file_that_is_gone_has_no_mark_and_no_content(tmp_path):
    identity = Identity("v", fingerprint="f", files=(tmp_path / "gone",))

    assert identity.mark() is None
    with pytest.raises(SourceError, match="gone: cannot be read: No such file"):
        identity.read()


def test_a_digest_that_is_half_told_is_none():
    assert Identity("v", digests=({"algorithm": "md5"},)).content() is None
