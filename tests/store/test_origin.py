"""What a source is known by before it is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pretrained_embed.sources import origin
from pretrained_embed.sources.entry import Checksum, Download, Entry

ENTRY = Entry("v", ("https://host.example/v.zip",), member="a.txt")
CHECKSUM = Checksum("sha256", "file", "0" * 64)


def mark(entry: Entry) -> str:
    return origin.of_entry(entry, Path("nowhere")).mark


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
    assert origin.of_entry(published, Path("nowhere")).state is None
