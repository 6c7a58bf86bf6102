"""Names and URLs, from a host to a file in the cache."""

import json
import zipfile
from dataclasses import replace

import pytest

from pretrained_embed.errors import SourceError, UnknownSourceError
from pretrained_embed.library import Library
from pretrained_embed.library.cache import Cache
from pretrained_embed.library.catalog import Download, entry_of_url
from pretrained_embed.library.published import fetch_entry, fetch_stream
from tests.rights import read_only
from tests.sources.published import DATA, entry, left, sha256


def test_a_url_is_a_source(secure, tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("in/v 1.txt", DATA)
        file.writestr("other", b"")
    secure.files["a.zip"] = archive.read_bytes()

    library = Library(tmp_path / "cache", offline=False)
    stream = library.stream(secure.url + "v.txt")
    member = library.stream(secure.url + "a.zip#in/v%201.txt")

    assert stream.head(len(DATA)) == DATA
    assert stream.path.name == "v.txt"
    assert stream.provenance["source"] == secure.url + "v.txt"
    assert member.head(len(DATA)) == DATA
    assert library.fetch(secure.url + "v.txt") == stream.path


def test_a_file_is_the_same_wherever_its_host_moves(host, get):
    host.files["elsewhere/v.txt"] = DATA

    assert get(entry(host)).path == get(entry(host, "elsewhere/v.txt")).path
    assert len(host.asked) == 1


def test_a_second_file_of_tokens_comes_along(host, get):
    host.files["tokens.json"] = b"[]"
    tokens = Download((host.url + "tokens.json",), (sha256(b"[]"),))

    fetched = get(entry(host, tokens=tokens))

    assert fetched.path.read_bytes() == DATA
    assert fetched.tokens_path.read_bytes() == b"[]"


def test_what_is_known_goes_into_the_provenance(host, tmp_path):
    wanted = entry(host, licence="PDDL-1.0", citation="A. Body", title="Vectors")

    stream = fetch_stream(wanted, tmp_path / "cache", offline=False)

    assert stream.size == len(DATA)
    assert stream.provenance["source"] == "vectors"
    assert stream.provenance["licence"] == "PDDL-1.0"
    assert stream.provenance["citation"] == "A. Body"
    assert stream.provenance["url"] == host.url + "v.txt"
    (digest,) = stream.provenance["digests"]
    assert digest == {
        "algorithm": "sha256",
        "value": sha256(DATA).value,
        "of": "v.txt",
        "by": "published",
    }


def test_progress_tells_bytes_and_their_total(host, get):
    seen = []

    get(entry(host), progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_unknown_name_is_no_download(tmp_path):
    with pytest.raises(UnknownSourceError, match="glove-6b-50d"):
        Library(tmp_path).fetch("glove-6b-50")


def test_the_entry_of_a_url_knows_its_member():
    assert entry_of_url("https://host.example/a.zip#b%20c").member == "b c"
    assert entry_of_url("https://host.example/a.zip").member is None


def test_a_cache_that_may_only_be_read_serves_what_it_has(host, get):
    fetched = get(entry(host))
    fetched.path.with_name("v.txt.json").unlink()

    with read_only(fetched.path.parent):
        again = get(entry(host))

    assert again.path.read_bytes() == DATA
    assert again.record.sha256 == fetched.record.sha256


def test_a_cache_that_cannot_be_made_is_our_error(host, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(SourceError, match="cannot be written"):
        fetch_entry(entry(host), tmp_path / "file" / "cache", offline=False)

    assert host.asked == []


def test_what_was_fetched_can_be_removed_and_fetched_again(host, get, tmp_path):
    host.files["tokens.json"] = b"[]"
    tokens = Download((host.url + "tokens.json",), (sha256(b"[]"),))
    wanted = entry(host, tokens=tokens)
    get(wanted)

    freed = Cache(tmp_path / "cache").clear()

    assert freed > len(DATA) + 2
    assert left(tmp_path) == []
    assert Cache(tmp_path / "cache").clear() == 0
    assert get(wanted).path.read_bytes() == DATA


def test_a_name_of_ones_own_catalog_is_a_source(host, tmp_path):
    sums = [{"algorithm": "sha256", "of": "file", "value": sha256(DATA).value}]
    mine = {"id": "mine", "urls": [host.url + "v.txt"], "checksums": sums}
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"schema": 1, "entries": [mine]}))
    library = Library(tmp_path / "cache", catalog=path)

    stream = library.stream("mine")
    again = replace(library, offline=True).stream("mine")

    assert stream.name == "mine"
    assert stream.head(len(DATA)) == DATA
    assert again.path == stream.path == library.fetch("mine")
    assert len(host.asked) == 1
